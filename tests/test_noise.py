"""The random numbers of sweeps: the hash is that of jax, and what is made of it is uniform."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from energyam.flips.noise import fold_in, threefry, uniform_at, uniform_within, words_of

FLOAT = jnp.dtype("float32")


def test_the_hash_is_threefry_as_published_and_as_jax_has_it():
    # The first and the last test vector that Random123 gives for Threefry-2×32-20.
    ones, pi = np.uint32(0xFFFFFFFF), np.array([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], np.uint32)
    vectors = {(0, 0, 0, 0): (0x6B200159, 0x99BA4EFE), (ones,) * 4: (0x1CB996FC, 0xBB002BE7)}
    vectors[pi[2], pi[3], pi[0], pi[1]] = (0xC4923A9C, 0x483DF7A0)
    for given, wanted in vectors.items():
        assert tuple(map(int, threefry(*(jnp.uint32(word) for word in given)))) == wanted
    key, counts = jr.bits(jr.key(0), (2,), "uint32"), jr.bits(jr.key(1), (2, 50), "uint32")
    np.testing.assert_array_equal(jnp.stack(threefry(*key, *counts)), threefry_2x32(key, counts))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_uniform_numbers_lie_on_a_grid_between_0_and_1(dtype):
    with jax.enable_x64(dtype == "float64"):
        u = uniform_at(*words_of(key=jr.key(2)), jnp.arange(10**5), jnp.dtype(dtype))
        steps = np.asarray(u, np.float64) * 2.0 ** jnp.finfo(dtype).nmant
        assert u.dtype == dtype and (steps % 1 == 0.5).all() and 0 < u.min() and u.max() < 1
        assert (1 - np.asarray(u, np.float64) == np.asarray(1 - u, np.float64)).all()
        counts = np.bincount((64 * np.asarray(u, np.float64)).astype(int), minlength=64)
        assert np.sum((counts - 10**5 / 64) ** 2) / (10**5 / 64) < 120  # χ² of 63 degrees of freedom


def test_numbers_of_neighbouring_keys_and_places_are_independent():
    u = jax.vmap(lambda key: uniform_within((2000,), FLOAT, key=key))(jr.split(jr.key(3), 8))
    assert np.abs(np.corrcoef(np.concatenate([u, np.roll(u, 1, axis=1)])) - np.eye(16)).max() < 0.1
    other = uniform_within((10,), FLOAT, key=jr.key(3, impl="rbg"))
    assert len(np.unique(other)) == 10


@pytest.mark.parametrize("make", [jr.key, jr.PRNGKey, lambda seed: jr.key(seed, impl="rbg")])
def test_folded_keys_are_those_of_jax(make):
    key, other = make(5), make(6)
    for number in (0, 1, 2**31 - 1, 2**32 - 1, jnp.array(7)):
        folded, wanted = fold_in(number, key=key), jr.fold_in(key, number)
        assert folded.dtype == wanted.dtype
        np.testing.assert_array_equal(jr.key_data(folded), jr.key_data(wanted))
        assert (jr.key_data(folded) != jr.key_data(jr.fold_in(other, number))).any()
    folded = jax.jit(jax.vmap(lambda n: jr.key_data(fold_in(n, key=key))))(jnp.arange(4))
    np.testing.assert_array_equal(folded, [jr.key_data(jr.fold_in(key, n)) for n in range(4)])
