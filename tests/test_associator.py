"""Linear associators and key-value reads against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import energyam as eam

SHAPES = [(5, 12), (12, 12), (13, 12), (200, 12), (1, 4), (7, 1)]


def pairs(K, Dk, Dv=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((K, Dk), np.float32), rng.standard_normal((K, Dv), np.float32)


def least_squares(keys, values, ridge=0.0):
    keys, values = np.asarray(keys, np.float64), np.asarray(values, np.float64)
    if ridge:
        return np.linalg.solve(keys.T @ keys + ridge * np.eye(keys.shape[1]), keys.T @ values).T
    return (np.linalg.pinv(keys, rcond=1e-6) @ values).T


@pytest.mark.parametrize("K, Dk", SHAPES)
def test_optimal_linear_associator_is_the_pseudo_inverse(K, Dk):
    keys, values = pairs(K, Dk)
    expected = least_squares(keys, values)
    weights = eam.optimal_linear_associator(keys, values)
    assert weights.shape == (6, Dk)
    assert_allclose(weights, expected, atol=2e-5 * np.abs(expected).max())


def test_independent_keys_are_recalled_exactly():
    keys, values = pairs(12, 20)
    weights = eam.optimal_linear_associator(keys, values)
    assert_allclose(keys @ weights.T, values, atol=1e-5)


@pytest.mark.parametrize("condition", [10, 1e4])
def test_badly_conditioned_keys_lose_no_more_digits_than_they_must(condition):
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((n, 12)))[0] for n in (40, 12))
    keys = np.float32(left * np.geomspace(1, 1 / condition, 12) @ right.T)
    values = rng.standard_normal((40, 6))
    expected = (np.linalg.pinv(keys.astype(np.float64)) @ values).T
    error = np.abs(eam.optimal_linear_associator(keys, values) - expected).max()
    assert error < 1e-6 * condition * np.abs(expected).max()


@pytest.mark.parametrize("K", [6, 100])
def test_dependent_keys_get_the_smallest_weights(K):
    keys, values = pairs(K, 12)
    keys[:, 3], keys[1], keys[2] = keys[:, 5], keys[0], 0
    expected = least_squares(keys, values)
    assert_allclose(eam.optimal_linear_associator(keys, values), expected, atol=1e-5)


@pytest.mark.parametrize("K, Dk", SHAPES)
def test_ridge(K, Dk):
    keys, values = pairs(K, Dk)
    weights = eam.optimal_linear_associator(keys, values, ridge=0.5)
    assert_allclose(weights, least_squares(keys, values, 0.5), atol=1e-5)


@pytest.mark.parametrize("K", [40, 64, 400])
def test_cosine_falls_as_the_root_of_d_over_n(K):
    """V K⁺ k projects on d of n dimensions: exact for n ≤ d, cosine √(d/n) beyond."""
    keys, values = pairs(K, 64, 64)
    read = keys @ eam.optimal_linear_associator(keys, values).T
    cosines = np.sum(read * values, 1) / np.linalg.norm(read, axis=1) / np.linalg.norm(values, axis=1)
    assert_allclose(cosines.mean(), min(1, (64 / K) ** 0.5), rtol=0.02)


def test_correlation_matrix_memory():
    keys, values = pairs(5, 12)
    assert_allclose(eam.correlation_matrix_memory(keys, values), values.T @ keys, rtol=1e-5)
    axes = np.eye(12, dtype=np.float32)[:5]
    assert_allclose(eam.correlation_matrix_memory(axes, values) @ axes[3], values[3], rtol=1e-6)


def softmax(s):
    return np.exp(s - s.max()) / np.exp(s - s.max()).sum()


def three_largest(s):
    return np.where(s >= np.sort(s)[-3], s, -np.inf)


@pytest.mark.parametrize(
    "separation, weigh",
    [
        (eam.Linear(), lambda s: s),
        (eam.ReLU(), lambda s: np.maximum(s, 0)),
        (eam.LogSumExp(0.7), lambda s: softmax(0.7 * s)),
        (eam.TopK(eam.LogSumExp(0.7), 3), lambda s: softmax(0.7 * three_largest(s))),
    ],
)
def test_reads_are_values_weighed_by_similarity(separation, weigh):
    keys, values = pairs(9, 12)
    query = pairs(1, 12, seed=1)[0][0]
    memory = eam.KeyValueMemory(keys, values, separation)
    assert_allclose(memory(query), weigh(keys @ query) @ values, atol=1e-5)
    queries = jnp.stack([query, keys[0]])
    assert_allclose(jax.jit(jax.vmap(memory))(queries)[1], memory(keys[0]), atol=1e-5)


def test_a_linear_read_is_the_correlation_matrix():
    keys, values = pairs(9, 12)
    memory = eam.KeyValueMemory(keys, values, eam.Linear())
    matrix = eam.correlation_matrix_memory(keys, values)
    assert_allclose(memory(keys[4]), matrix @ keys[4], rtol=1e-4, atol=1e-4)


def test_reads_differentiate():
    """The gradient of a softmax read against finite differences, in the keys."""
    keys, values = pairs(4, 3, 2)

    def loss(keys):
        return jnp.sum(eam.KeyValueMemory(keys, values, eam.LogSumExp(1.0))(values[0, 0] * jnp.ones(3)) ** 2)

    slope, step = jax.grad(loss)(jnp.asarray(keys)), np.zeros_like(keys)
    step[2, 1] = 1e-2
    assert_allclose(slope[2, 1], (loss(keys + step) - loss(keys - step)) / 2e-2, rtol=1e-2)


def dependent_pairs():
    keys, values = pairs(30, 8)
    keys[4], keys[:, 2] = keys[0] - 2 * keys[1], keys[:, 6]
    return keys, values


@pytest.mark.parametrize("keys, values", [pairs(5, 8), pairs(8, 8), pairs(60, 8), dependent_pairs()])
@pytest.mark.usefixtures("as_users_do")
def test_online_associator_is_optimal_after_every_pair(keys, values):
    def write(memory, pair):
        memory = memory.write(*pair)
        return memory, memory.weights

    start = eam.OnlineAssociator(8, 6)
    _, history = jax.lax.scan(write, start, (jnp.asarray(keys), jnp.asarray(values)))
    for n in {1, 3, 5, len(keys) - 1, len(keys)}:
        expected = least_squares(keys[:n], values[:n])
        assert_allclose(history[n - 1], expected, atol=2e-4 * np.abs(expected).max())


def test_online_associator_reads_and_stands_a_zero_key():
    keys, values = pairs(4, 8)
    memory = eam.OnlineAssociator(8, 6).write(keys[0], values[0])
    assert_allclose(memory(keys[0]), values[0], atol=1e-5)
    assert_allclose(memory.write(np.zeros(8), values[1]).weights, memory.weights)


@pytest.mark.parametrize("rule", [eam.optimal_linear_associator, eam.correlation_matrix_memory])
@pytest.mark.parametrize(
    "keys, values, message",
    [
        (np.ones((3, 4)), np.ones((2, 5)), "agree in K"),
        (np.ones((0, 4)), np.ones((0, 5)), "keys must not be empty"),
        (np.ones((3, 4)), np.full((3, 5), np.nan), "values must be finite"),
        (np.full((3, 4), np.inf), np.ones((3, 5)), "keys must be finite"),
        (np.ones(4), np.ones((3, 5)), r"keys must be \(K, Dk\)"),
    ],
)
def test_bad_pairs_are_refused(rule, keys, values, message):
    with pytest.raises(ValueError, match=message):
        rule(keys, values)
    with pytest.raises(ValueError, match=message):
        eam.KeyValueMemory(keys, values, eam.Linear())


def test_bad_keys_and_queries_are_refused():
    with pytest.raises(ValueError, match="keys must not all be zero"):
        eam.optimal_linear_associator(np.zeros((3, 4)), np.ones((3, 5)))
    with pytest.raises(ValueError, match="ridge"):
        eam.optimal_linear_associator(np.ones((3, 4)), np.ones((3, 5)), ridge=-1)
    with pytest.raises(ValueError, match=r"query must be \(4,\)"):
        eam.KeyValueMemory(np.ones((3, 4)), np.ones((3, 5)), eam.Linear())(np.ones(5))
    with pytest.raises(ValueError, match=r"value must be \(5,\)"):
        eam.OnlineAssociator(4, 5).write(np.ones(4), np.ones(4))
    with pytest.raises(ValueError, match="key_dim"):
        eam.OnlineAssociator(0, 5)
