"""The embedded glyphs, flipped bits, masked halves and random patterns."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import energyam as eam
from energyam import datasets
from energyam.datasets import flip_bits, glyph_names, glyphs, mask_half, random_patterns


@pytest.fixture(scope="module")
def pictures():
    return glyphs()


def test_glyphs_are_ink_on_paper_and_named(pictures):
    assert pictures.shape == (1024, 48, 48) and pictures.dtype == np.int8
    assert set(np.unique(pictures)) == {-1, 1}
    names = glyph_names()
    assert len(names) == len(set(names)) == 1024
    assert names[:2] == ["DIGIT ZERO", "DIGIT ONE"]
    assert pictures[0, 0, 0] == 1 and pictures[1, 24, 24] == -1  # paper in the corner, ink in the stroke


def test_no_two_glyphs_are_near_duplicates(pictures):
    patterns = pictures.reshape(1024, -1).astype(np.float32)
    overlaps = patterns @ patterns.T / patterns.shape[1]
    assert overlaps[~np.eye(1024, dtype=bool)].max() <= 0.7
    assert overlaps.min() > -0.7


@pytest.mark.parametrize("dtype", ["int8", "int32", "float32", "bfloat16"])
def test_worn_patterns_keep_their_dtype(dtype, getkey):
    """So that products of int32 don't wrap: the square of 300 entries of int8 is 44."""
    ones = jnp.ones((2, 150), dtype)
    worn, (half, _) = flip_bits(ones.reshape(-1), 0.1, key=getkey()), mask_half(ones, key=getkey())
    assert worn.dtype == half.dtype == dtype
    assert dtype != "int32" or int(worn @ worn) == 300 == int(half.reshape(-1) @ half.reshape(-1))


def test_flip_bits_flips_an_exact_count(getkey):
    patterns = random_patterns(6, 40, key=getkey()).reshape(2, 3, 40)
    flipped = flip_bits(patterns, 0.25, key=getkey())
    assert flipped.dtype == jnp.int8
    assert (jnp.sum(flipped != patterns, axis=-1) == 10).all()
    assert len(np.unique(np.asarray(flipped != patterns).reshape(6, 40), axis=0)) > 1
    assert (flip_bits(patterns, 1.0, key=getkey()) == -patterns).all()
    assert (flip_bits(patterns, 0.0, key=getkey()) == patterns).all()


def test_flip_bits_one_by_one_varies(getkey):
    patterns = jnp.ones((50, 400), jnp.int8)
    counts = jnp.sum(flip_bits(patterns, 0.2, exact=False, key=getkey()) == -1, axis=-1)
    assert len(np.unique(counts)) > 5
    assert abs(float(counts.mean()) / 400 - 0.2) < 0.02


def test_flip_bits_under_jit_takes_a_traced_fraction(getkey):
    key, patterns = getkey(), jnp.ones((3, 20), jnp.int8)
    assert (jax.jit(flip_bits)(patterns, 0.3, key=key) == flip_bits(patterns, 0.3, key=key)).all()


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_mask_half_keeps_what_is_known(getkey, side, pictures):
    masked, known = mask_half(pictures[:5], side, key=getkey())
    assert known.sum() == 48 * 24
    assert (np.asarray(masked)[:, np.asarray(known)] == pictures[:5][:, np.asarray(known)]).all()
    lost = np.asarray(masked)[:, ~np.asarray(known)]
    assert abs(lost.mean()) < 0.1
    corner = {"top": (-1, 0), "left": (0, -1)}.get(side, (0, 0))
    assert known[corner]


def test_a_lost_half_is_completed(getkey, pictures):
    patterns = pictures[:20].reshape(20, -1)
    masked, known = mask_half(pictures[3], "left", key=getkey())
    memory = eam.ExponentialDenseAM(patterns, beta=1.0)
    result = eam.recall(memory, masked.ravel(), clamp=known.ravel(), key=getkey())
    assert (result.state == patterns[3]).all()


def test_random_patterns_have_the_asked_bias_and_correlation(getkey):
    patterns = np.asarray(random_patterns(40, 4000, bias=0.4, correlation=0.25, key=getkey()), float)
    assert abs(patterns.mean() - 0.4) < 0.03
    pairs = np.cov(patterns)[np.triu_indices(40, 1)]
    assert abs(pairs.mean() - 0.25 * (1 - 0.4**2)) < 0.03
    assert random_patterns(3, 5, key=getkey()).dtype == jnp.int8


OLD_CALLS = [  # the key first, and the call that the message shows
    (lambda key: flip_bits(key, jnp.ones(4), 0.25), r"flip_bits(patterns, fraction, key=key)"),
    (lambda key: mask_half(key, jnp.ones((4, 4)), "top"), "mask_half(pictures, key=key)"),
    (lambda key: mask_half(key, jnp.ones((4, 4)), side="top"), "mask_half(pictures, key=key)"),
    (lambda key: random_patterns(key, 3, 5), "random_patterns(num_patterns, dim, key=key)"),
    (lambda key: datasets.sample_episode(key, jnp.ones((4, 4, 2, 2))), "sample_episode(images, key=key)"),
    (lambda key: datasets.split_classes(jnp.ones((4, 4, 2, 2)), 2, key), "split_classes(images, num_train"),
    (lambda key: datasets.associative_retrieval(4, key), "associative_retrieval(length, key=key)"),
    (lambda key: datasets.stroke_characters(key, 2, 3), "stroke_characters(num_classes, num_drawers, key"),
]


@pytest.mark.parametrize(("call", "shown"), OLD_CALLS)
@pytest.mark.parametrize("make_key", [jax.random.key, jax.random.PRNGKey])
def test_a_key_that_is_not_given_by_name_meets_the_new_call(call, shown, make_key):
    with pytest.raises(ValueError, match="key must be given by name.*" + re.escape(shown)):
        call(make_key(0))
    with pytest.raises(ValueError, match="key must be given by name"):
        jax.jit(call)(make_key(0))


NO_KEYS = [0, None, 1.5, "key", np.zeros(3), np.zeros(2), [0, 1]]


@pytest.mark.parametrize("wrong", NO_KEYS)
def test_what_is_no_key_is_named(wrong):
    with pytest.raises(ValueError, match=r"key must be a jax random key, e\.g\. jax\.random\.key\(0\); got"):
        flip_bits(jnp.ones(4), 0.25, key=wrong)


def test_one_key_is_wanted():
    with pytest.raises(ValueError, match=r"key must be given, .*: random_patterns\(num_patterns, dim, key"):
        random_patterns(3, 5)
    with pytest.raises(ValueError, match=r"key must be one .*; got keys of shape \(3,\)"):
        random_patterns(3, 5, key=jax.random.split(jax.random.key(0), 3))


def test_raw_and_traced_keys_are_keys():
    ones, typed, raw = jnp.ones(40), jax.random.key(3), jax.random.PRNGKey(3)
    wanted = flip_bits(ones, 0.25, key=typed)
    assert (flip_bits(ones, 0.25, key=raw) == wanted).all()
    for key in (typed, raw):
        assert (jax.vmap(lambda key: flip_bits(ones, 0.25, key=key))(key[None])[0] == wanted).all()


@pytest.mark.usefixtures("no_hook")
def test_bad_noise_is_named(getkey):
    ones = jnp.ones((2, 4, 4), jnp.int8)
    with pytest.raises(ValueError, match=r"fraction must lie between 0 and 1; got 1\.5"):
        flip_bits(ones, 1.5, key=getkey())
    with pytest.raises(ValueError, match=r"patterns must be .* entries ±1"):
        flip_bits(0 * ones, 0.5, key=getkey())
    with pytest.raises(ValueError, match="side must be one of top, bottom, left, right; got 'middle'"):
        mask_half(ones, "middle", key=getkey())
    with pytest.raises(ValueError, match="pictures must be"):
        mask_half(jnp.ones(4), "top", key=getkey())
    with pytest.raises(ValueError, match="bias"):
        random_patterns(2, 3, bias=1.2, key=getkey())
    with pytest.raises(ValueError, match="correlation"):
        random_patterns(2, 3, correlation=-0.1, key=getkey())
    with pytest.raises(ValueError, match="num_patterns"):
        random_patterns(0, 3, key=getkey())
