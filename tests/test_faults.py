"""Faults of the first version, each with its kind: small inputs that gave wrong answers."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import BINARY, CONTINUOUS, patterns

import energyam as eam

UPDATES = [eam.Synchronous(), eam.GradientDescent(0.1)]


def exact_energy(X, n, x):
    """−n E(x) of a rectified polynomial memory in Python's integers."""
    return sum(max(int(s), 0) ** n for s in np.asarray(X, int) @ np.asarray(x, int))


@pytest.mark.parametrize("n", [150, 200])
def test_large_orders_end_in_minima_of_the_exact_energy(n):
    X = np.random.default_rng(0).choice([-1, 1], (6, 20))
    X[1], X[2] = X[0], X[0]
    X[1, 3] *= -1
    X[2, 5] *= -1
    memory = eam.PolynomialDenseAM(X, n)
    result = eam.recall(memory, X, eam.Asynchronous("sequential"))
    assert result.converged.all() and eam.is_local_minimum(memory, result.state).all()
    for start, end in zip(X, np.asarray(result.state), strict=True):
        here = exact_energy(X, n, end)
        assert here >= exact_energy(X, n, start)
        for i in range(20):
            assert exact_energy(X, n, np.where(np.arange(20) == i, -end, end)) <= here


def test_orders_that_are_too_large_are_refused():
    for n in (1001, 10**10):
        with pytest.raises(ValueError, match="n must be at least 1 and at most 1000"):
            eam.PolynomialDenseAM(patterns(0, 2, 4), n)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_any_float_query_gives_an_answer_of_its_dtype(dtype):
    X = patterns(1, 4, 16)
    for update in (eam.Synchronous(), eam.Asynchronous("sequential")):
        result = eam.recall(eam.ExponentialDenseAM(X, 0.5), X.astype(dtype), update)
        assert result.state.dtype == result.frames().dtype == dtype
        np.testing.assert_array_equal(result.state, X)
    for name in ("modern", "gaussian", "hopfield_1984", "sphere"):
        memory = CONTINUOUS[name](X)
        start = memory.neurons.retract(memory.patterns.astype(jnp.float32)).astype(dtype)
        for update in UPDATES:
            result = eam.recall(memory, start, update, 5)
            assert result.state.dtype == dtype and jnp.isfinite(result.energies).all()


def test_queries_of_32_bits_under_64():
    with jax.enable_x64(True):
        X = patterns(1, 4, 16)
        query = jnp.asarray(np.asarray(X), jnp.float32)
        result = eam.recall(eam.ModernHopfield(X * 1.0, 2.0), query)
        assert result.state.dtype == jnp.float32 and result.converged.all()
        small = eam.recall(eam.ModernHopfield(query, 2.0), query, eam.GradientDescent(np.float64(0.1)), 3)
        assert small.state.dtype == jnp.float32
        np.testing.assert_array_equal(
            eam.recall(eam.CHN(X[:1]), query[:1], eam.Synchronous()).state, query[:1]
        )


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_networks_of_16_bits_are_summed_in_32(dtype):
    X = patterns(2, 12, 64)
    weights = eam.hebbian(X).astype(dtype)
    narrow, wide = eam.HopfieldNetwork(weights), eam.HopfieldNetwork(weights.astype(float))
    queries = patterns(3, 20, 64)
    ends = [eam.recall(m, queries, eam.Asynchronous("sequential")).state for m in (narrow, wide)]
    np.testing.assert_array_equal(*ends)
    energies = jax.vmap(wide.energy)
    flipped = jax.vmap(lambda x: energies(x[None] * (1 - 2 * jnp.eye(64))))(ends[0].astype(float))
    assert (flipped.min(axis=1) >= energies(ends[0].astype(float)) - 1e-4).all()
    np.testing.assert_array_equal(*(eam.is_local_minimum(m, queries) for m in (narrow, wide)))
    large = eam.HopfieldNetwork(jnp.full((64, 64), 2000.0, dtype))  # row sums overflow float16
    with jax.numpy_dtype_promotion("strict"):
        ended = eam.recall(large, X[0], eam.Asynchronous("sequential")).state
    assert (ended == jnp.sign(X[0].sum())).all()


def test_large_weights_are_not_lost_when_they_are_made_symmetric():
    weights = np.array([[0, 3e38], [3e38, 0]], np.float32)
    np.testing.assert_array_equal(eam.HopfieldNetwork(weights).weights, weights)


@pytest.mark.parametrize("name", [*BINARY, "sdm"])
def test_a_recall_may_be_mapped(name):
    X = patterns(4, 5, 32)
    memory = eam.PatternSDM(X, 12) if name == "sdm" else BINARY[name](X)
    queries = eam.datasets.flip_bits(X, 0.2, key=jr.key(0))
    run = lambda x: eam.recall(memory, x, eam.Asynchronous("sequential")).state  # noqa: E731
    np.testing.assert_array_equal(jax.vmap(run)(queries), run(queries))


def test_opposite_terms_cancel_though_each_overflows():
    o = np.ones(100)
    assert eam.PolynomialDenseAM(np.stack([o, -o]), 41, rectified=False).energy(o) == 0


def test_the_gradient_is_zero_where_a_query_meets_no_neuron():
    X = jnp.eye(8)[:2]

    def energy(X, x):
        return eam.ContinuousSDM(X, 1.0).energy(x)

    slopes = jax.jit(jax.grad(energy, argnums=(0, 1)))(X, -X[0])
    assert all((slope == 0).all() for slope in slopes)


def test_the_gradient_of_order_1_where_all_overlaps_are_0():
    X, x = jnp.array([[1.0, 1.0], [1.0, 1.0]]), jnp.array([1.0, -1.0])
    memory = eam.PolynomialDenseAM(X, 1, rectified=False)
    np.testing.assert_allclose(jax.grad(memory.energy)(x), -X.sum(axis=0))


def test_no_gradient_through_flips():
    X = patterns(5, 3, 8)

    def end(beta):
        memory = eam.ExponentialDenseAM(X, beta)
        return eam.recall(memory, X[0] * 1.0, eam.Asynchronous("sequential")).state.sum()

    with pytest.raises(ValueError, match=r"update must be differentiable .*use eam\.Synchronous"):
        jax.grad(end)(0.5)
    stopped = lambda beta: end(jax.lax.stop_gradient(beta))  # noqa: E731
    assert jax.grad(stopped)(0.5) == 0
