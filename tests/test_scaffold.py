"""Memories on a scaffold: against plain numpy, and what their papers prove of them."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import erf

import energyam as eam

PERIODS, M = (3, 4, 5), 60
PLACES = np.arange(M)[:, None] % np.array(PERIODS)


@pytest.fixture(scope="module")
def memory():
    return eam.Scaffold(features(40, 80), PERIODS, 220, key=jr.key(1))


def features(K, D):
    return eam.datasets.random_patterns(K, D, key=jr.key(0))


def test_every_place_is_a_fixed_point_of_the_scaffold(memory):
    """Also where nothing hangs, and not with few hidden cells."""
    there = jax.vmap(lambda p: memory.nearest_place(memory.hidden(p)))
    assert memory.num_places == M and len(np.unique(PLACES, axis=0)) == M
    np.testing.assert_array_equal(there(jnp.arange(M)), PLACES)
    noise = 0.5 * jr.normal(jr.key(2), (M, 220))
    noisy = jax.vmap(lambda p, n: memory.nearest_place(memory.hidden(p) + n))(jnp.arange(M), noise)
    assert (noisy == PLACES).all(axis=1).mean() > 0.95
    few = eqx.tree_at(lambda m: m.outward, memory, memory.outward[:12])
    few = eqx.tree_at(lambda m: m.inward, few, memory.inward[:, :12])
    assert (jax.vmap(lambda p: few.nearest_place(few.hidden(p)))(jnp.arange(M)) == PLACES).all(1).mean() < 0.5


def test_a_recall_is_the_loop_of_plain_numpy(memory):
    X, W = np.asarray(features(40, 80), float), np.asarray(memory.outward, float)
    hidden = np.maximum([W @ np.concatenate([np.eye(n)[p % n] for n in PERIODS]) for p in range(M)], 0)
    back = [hidden[PLACES[:, m] == r].sum(0) for m, n in enumerate(PERIODS) for r in range(n)]
    read_in = np.linalg.solve(
        X.T @ X + np.sum(X**2) / 160 * np.eye(80), X.T @ (hidden[:40] - hidden.mean(0))
    ).T
    read_out = X.T @ np.linalg.pinv(hidden[:40]).T
    query = np.asarray(eam.datasets.flip_bits(features(40, 80), 0.1, key=jr.key(3)))
    grid = np.split(query @ read_in.T @ np.array(back).T, np.cumsum(PERIODS)[:-1], axis=1)
    found = np.stack([module.argmax(axis=1) for module in grid], axis=1)
    np.testing.assert_array_equal(jax.vmap(memory.place)(query * 1.0), found)
    codes = np.concatenate([np.eye(n)[found[:, m]] for m, n in enumerate(PERIODS)], axis=1)
    expected = np.sign(np.maximum(codes @ W.T, 0) @ read_out.T)
    once = eam.recall(memory, query, eam.Synchronous(), 1).state
    np.testing.assert_array_equal(once[(expected == X).all(1)], expected[(expected == X).all(1)])
    result = eam.recall(memory, query, eam.Synchronous())
    assert result.converged.mean() > 0.9 and result.energies is None and result.state.dtype == jnp.int8
    assert (result.state == X).all(axis=1).mean() > 0.8


def test_what_hangs_at_the_places_comes_in_their_order(memory):
    """A walk by velocities of ±2 and more, along the scaffold: the remainders move, each by itself."""
    X = features(40, 80)
    place = memory.place(X[3] * 1.0)
    for velocity in (2, -4, 30, M, 1):
        place = place + velocity
    assert (memory.at(place) == X[32]).all() and (memory.at(32 - M) == X[32]).all()
    np.testing.assert_array_equal(memory.place(memory.at(place)), np.array(32) % PERIODS)


def test_features_fade_by_what_hidden_cells_can_hold():
    """K random patterns read from H hidden cells: a part ρ = H/K of each, and the noise of the others."""
    for H in (30, 60, 120):
        X = features(400, 100)
        memory = eam.Scaffold(X, (3, 4, 5, 7), H, key=jr.key(4))
        overlap = jnp.mean(jax.vmap(memory.at)(jnp.arange(400)) * X)
        rho = H / 400
        assert float(overlap) == pytest.approx(erf(np.sqrt(rho / (2 * (1 - rho)))), abs=0.02)


def test_scaffolds_under_transformations_and_other_dtypes(memory):
    X = features(40, 80)
    for dtype in (np.int8, np.float16, jnp.bfloat16, np.float32):
        result = eam.recall(memory, jnp.asarray(X[:4], dtype), eam.Synchronous())
        assert result.state.dtype == dtype and (result.state == X[:4]).all()
    assert_allclose(eqx.filter_jit(memory.field)(X[0] * 1.0), memory.field(X[0] * 1.0), atol=1e-5)
    loss = lambda m: jnp.sum(m.field(X[0] * 1.0) ** 2)  # noqa: E731
    slope = eqx.filter_grad(loss)(memory).read_out
    hidden = memory.hidden(0)
    assert_allclose(slope, 2 * jnp.outer(memory.field(X[0] * 1.0), hidden), rtol=1e-3, atol=1e-3)
    real = jr.normal(jr.key(5), (10, 80))
    graded = eam.Scaffold(real, (3, 4), 60, eam.Continuous(), key=jr.key(6))
    assert_allclose(eam.recall(graded, real, eam.Synchronous()).state, real, atol=1e-3)


@pytest.mark.usefixtures("no_hook")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"periods": (3, 6)}, "periods must be .* without a common factor"),
        ({"periods": (1, 3)}, "periods must be an integer of at least 2"),
        ({"periods": 12}, "periods must be whole numbers"),
        ({"periods": ()}, "periods must be one or more"),
        ({"periods": (2, 3)}, "patterns must be at most as many as the 6 places"),
        ({"num_hidden": 0}, "num_hidden must be an integer"),
        ({"patterns": np.zeros((3, 8))}, "patterns must be .*±1"),
        ({"key": 3}, "key must be a jax random key"),
        ({"neurons": eam.Binary}, "neurons must be an instance"),
    ],
)
def test_wrong_scaffolds_are_refused(change, message):
    right = {"patterns": features(8, 8), "periods": (3, 4), "num_hidden": 9, "key": jr.key(0)}
    with pytest.raises(ValueError, match=message):
        eam.Scaffold(**(right | change))


@pytest.mark.usefixtures("no_hook")
def test_wrong_places_are_refused(memory):
    for place, call in itertools.product((0.5, [1, 2], "a", None), (memory.at, memory.hidden)):
        with pytest.raises(ValueError, match="place must be"):
            call(place)
    with pytest.raises(ValueError, match=r"features must be \(80,\)"):
        memory.place(np.ones(79))
    with pytest.raises(ValueError, match=r"hidden must be \(220,\)"):
        memory.nearest_place(np.ones(3))


def test_a_scaffold_is_saved_and_comes_back(memory, tmp_path):
    eam.save(tmp_path / "scaffold.safetensors", memory)
    loaded = eam.load(tmp_path / "scaffold.safetensors")
    assert loaded.periods == PERIODS and (loaded.at(7) == memory.at(7)).all()


def test_scaffolds_in_double_precision(x64):
    """The loop of plain numpy to twelve digits, with patterns of 64 bits; states of 32 bits stay so."""
    real = np.random.default_rng(0).normal(size=(10, 30))
    memory = eam.Scaffold(real, (3, 4), 60, eam.Continuous(), key=jr.key(6))
    assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(memory) if eqx.is_array(leaf))
    W = np.asarray(memory.outward)
    codes = np.array([np.concatenate([np.eye(n)[p % n] for n in (3, 4)]) for p in range(12)])
    hidden = np.maximum(codes @ W.T, 0)
    read_out = real.T @ np.linalg.pinv(hidden[:10]).T
    assert_allclose(jax.vmap(memory.at)(jnp.arange(12)), hidden @ read_out.T, atol=1e-10)
    result = eam.recall(memory, real, eam.Synchronous())
    assert result.state.dtype == jnp.float64
    assert_allclose(result.state, real, atol=1e-10)
    assert eam.recall(memory, real.astype(np.float32), eam.Synchronous()).state.dtype == jnp.float32


def test_recalls_of_scaffolds_inside_jit_and_vmap(memory):
    queries = eam.datasets.flip_bits(features(40, 80), 0.1, key=jr.key(3))[:6]
    state = lambda query: eam.recall(memory, query, eam.Synchronous()).state  # noqa: E731
    batch = state(queries)
    np.testing.assert_array_equal(jax.jit(state)(queries), batch)
    np.testing.assert_array_equal(jax.vmap(state)(queries), batch)
    np.testing.assert_array_equal(jax.jit(jax.vmap(state))(queries), batch)
    walk = jax.jit(lambda x, velocity: memory.at(memory.place(x) + velocity))
    np.testing.assert_array_equal(walk(features(40, 80)[3] * 1.0, jnp.array(7)), features(40, 80)[10])


def test_many_scaffolds_at_once(memory):
    """Built and recalled under `vmap`, one key each: as if one after another."""
    X, keys = features(8, 40), jr.split(jr.key(7), 3)

    def recalled(key):
        made = eam.Scaffold(X, (3, 4), 60, key=key)
        return made.outward, eam.recall(made, X[2], eam.Synchronous()).state, made.place(X[5] * 1.0)

    together = jax.vmap(recalled)(keys)
    for i, key in enumerate(keys):
        for a, b in zip(together, recalled(key), strict=True):
            assert_allclose(a[i], b, atol=1e-6)
    assert (np.asarray(together[1]) == np.asarray(X[2])).all() and not jnp.allclose(
        together[0][0], together[0][1]
    )


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_scaffolds_of_16_bits(memory, dtype):
    """Patterns of 16 bits are stored as those of 32; a memory cast to 16 bits names the same places."""
    X = features(40, 80)
    made = eam.Scaffold(jnp.asarray(X, dtype), PERIODS, 220, key=jr.key(1))
    assert_allclose(made.read_out, memory.read_out, atol=1e-6)
    narrow = jax.tree.map(lambda leaf: leaf.astype(dtype) if eqx.is_inexact_array(leaf) else leaf, memory)
    np.testing.assert_array_equal(jax.vmap(narrow.place)(X.astype(dtype)), PLACES[:40])
    result = eam.recall(narrow, X[:6].astype(dtype), eam.Synchronous())
    assert result.state.dtype == dtype and (result.state == X[:6]).all()
