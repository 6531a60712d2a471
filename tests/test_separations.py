"""Separations: weights against autodiff, gains against the potential, and against whole numbers."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import SEPARATIONS

import energyam as eam
from energyam.flips.integer_powers import limbs_for, with_exact_sign
from energyam.log_scale import compressed, is_beyond, log_sizes


@pytest.mark.parametrize("separation", SEPARATIONS.values(), ids=SEPARATIONS)
def test_weights_are_the_gradient_of_the_potential(separation, getkey):
    similarities = 4 * jr.normal(getkey(), (7,))
    expected = jax.grad(separation.potential)(similarities)
    np.testing.assert_allclose(separation.weights(similarities), expected, rtol=1e-5, atol=1e-5)


def has_gain(separation, step):
    nine = jax.ShapeDtypeStruct((9,), jnp.float32)  # nothing is compiled for it
    return jax.eval_shape(lambda x, d: separation.gain(x, d, step), nine, nine) is not None


WITH_GAINS = {name: one for name, one in SEPARATIONS.items() if has_gain(one, 2)}


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("separation", WITH_GAINS.values(), ids=WITH_GAINS)
def test_gain_is_the_change_of_the_potential(separation, step, getkey):
    gain, potential = eqx.filter_jit(separation.gain), eqx.filter_jit(separation.potential)
    for _ in range(20):
        similarities = 1.0 * step * jr.randint(getkey(), (9,), -6, 7)
        direction = 1.0 * jr.randint(getkey(), (9,), -1 if step == 1 else 0, 2)
        direction = direction if step == 1 else 2 * direction - 1
        before, after = potential(similarities), potential(similarities + step * direction)
        scale = abs(float(before)) + abs(float(after)) + 1
        found = gain(similarities, direction, step).value
        np.testing.assert_allclose(found, after - before, atol=2e-6 * scale)


@pytest.mark.parametrize("n", [2, 3, 6, 30])
@pytest.mark.parametrize("rectified", [True, False])
def test_polynomial_gain_has_the_sign_of_whole_numbers(n, rectified):
    rng = np.random.default_rng(n)
    separation = eam.Polynomial(n, rectified)
    gain = jax.jit(jax.vmap(lambda s, way: separation.gain(s, way, 2).value))
    # Pairs s, s or s + 2 that move in opposite directions: differences far below the terms, and ties.
    pairs = rng.integers(-1000, 1000, (60, 10))
    offsets = rng.integers(0, 2, pairs.shape)
    offsets[:10] = 1
    similarities = 2 * np.concatenate([pairs, pairs + offsets], axis=1)
    direction = np.concatenate([np.ones_like(pairs), -np.ones_like(pairs)], axis=1)
    got = np.sign(gain(jnp.asarray(similarities, float), jnp.asarray(direction, float)))

    def power(s):
        return max(int(s), 0) ** n if rectified else int(s) ** n

    change = [
        sum(power(s + 2 * d) - power(s) for s, d in zip(row, way, strict=True))
        for row, way in zip(similarities, direction, strict=True)
    ]
    expected = [(c > 0) - (c < 0) for c in change]
    np.testing.assert_array_equal(got, expected)
    assert expected[:10] == [0] * 10


@pytest.mark.parametrize("K", [1, 30, 40_000])
def test_a_gain_of_many_small_powers_has_the_sign_of_whole_numbers(K):
    rng = np.random.default_rng(K)
    before = rng.integers(-1000, 1000, (8, K))
    after = before + rng.choice([-2, 2], before.shape)
    after[0] = rng.permutation(before[0])  # no gain
    expected = np.sign(np.sum(after**3 - before**3, axis=1))
    unknown = jnp.zeros(()), jnp.ones(()), jnp.ones(())  # the estimate, its error and the scale
    gain = jax.jit(jax.vmap(lambda *both: with_exact_sign(*unknown, *both, jnp.int32(3), limbs_for(3))))
    got = gain(jnp.asarray(before, jnp.float32), jnp.asarray(after, jnp.float32))
    np.testing.assert_array_equal(np.sign(got), expected)
    assert expected[0] == 0 and (K == 1 or expected.any())


def test_logsumexp_gain_sees_what_underflow_hides():
    # β = 50: exp(β · 2) apart. The leader is lost if pattern 0 goes away, unless pattern 1 catches up.
    separation = eam.LogSumExp(50.0, divided=False)
    gain = lambda *args: separation.gain(*args).value  # noqa: E731
    similarities = jnp.array([2304.0, 2300.0, 100.0])
    assert gain(similarities, jnp.array([1.0, -1.0, -1.0]), 2) == pytest.approx(100)
    assert gain(similarities, jnp.array([-1.0, 1.0, 1.0]), 2) == pytest.approx(-100 + np.log(2), rel=1e-5)
    close = jnp.array([2302.0, 2300.0, 2300.0])
    assert gain(close, jnp.array([-1.0, 1.0, 1.0]), 2) == pytest.approx(np.log(2), rel=1e-4)
    assert gain(close[:2], jnp.array([-1.0, 1.0]), 2) == 0  # they change places: a tie


@pytest.mark.parametrize("n", [2, 11, 30])
@pytest.mark.parametrize("K", [1, 100_000])
def test_polynomials_never_overflow(n, K, getkey):
    similarities = jr.randint(getkey(), (K,), -2304, 2305).astype(jnp.float32).at[0].set(2304.0)
    separation = eam.Polynomial(n)
    values = separation.potential(similarities), *separation.weights(similarities)[:3]
    assert np.isfinite(values).all()
    assert np.isfinite(separation.weights(similarities)).all()
    exact = sum(max(int(s), 0) ** n for s in similarities) / n
    assert log_sizes(np.asarray(separation.potential(similarities))) == pytest.approx(
        math.log(exact), rel=1e-6
    )


@pytest.mark.parametrize("beta", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("K", [1, 100_000])
def test_logsumexp_is_finite_and_exact_for_extreme_betas(beta, K):
    similarities = np.arange(K) % 4609 - 2304
    exact = np.logaddexp.reduce(beta * similarities.astype(np.float64))
    separation = eam.LogSumExp(beta, divided=False)
    s = jnp.asarray(similarities, jnp.float32)
    assert separation.potential(s) == pytest.approx(exact, rel=2e-6)
    assert separation.weights(s).sum() == pytest.approx(beta, rel=1e-3)
    assert np.isfinite(separation.gain(s, jnp.where(s % 2 == 0, 1.0, -1.0), 2).value)


def test_potential_of_a_sum_that_fits_although_its_terms_do_not():
    # scaleⁿ = 2^128 overflows float32, but scaleⁿ / n does not.
    potential = np.asarray(eam.Polynomial(32).potential(jnp.array([16.0])))
    assert log_sizes(potential) == pytest.approx(123 * math.log(2), rel=1e-6)


def whole_energies(X, states, n):
    """−n E of states, in whole numbers."""
    overlaps = np.asarray(X, int) @ np.asarray(states, int).T
    return [sum(max(int(s), 0) ** n for s in column) for column in overlaps.T]


@pytest.mark.parametrize("n", [12, 14, 40, 200])
def test_states_keep_the_order_of_energies_that_floats_cannot_hold(n):
    X = jr.rademacher(jr.key(n), (30, 400), dtype="int8")
    memory = eam.PolynomialDenseAM(X, n)
    states = jnp.where(jnp.arange(400)[None] < 8 * jnp.arange(25)[:, None], -1, 1).astype("int8") * X[:25]
    energies = np.asarray(jax.jit(jax.vmap(memory.energy))(states.astype(float)))
    exact = whole_energies(X, states, n)
    logs = np.array([math.log(size) for size in exact])
    by_energy = logs[np.argsort(energies)]
    assert (np.diff(by_energy) <= 4e-7 * n * np.log(400)).all()  # the best first, up to rounding
    assert len(np.unique(energies)) == 25
    np.testing.assert_allclose(eam.evaluation.log_energies(energies), math.log(n) - logs, rtol=1e-6)
    saturated = np.minimum(logs, math.log(jnp.finfo(jnp.float32).max))
    assert n < 15 or len(np.unique(saturated)) < 25  # as floats some would be one number, the largest


@pytest.mark.parametrize("n", [30, 40])
def test_recorded_energies_fall_at_every_flip(n):
    X = jr.rademacher(jr.key(3), (40, 300), dtype="int8")
    result = eam.recall(
        eam.PolynomialDenseAM(X, n), eam.datasets.flip_bits(X[:4], 0.25, key=jr.key(1)), key=jr.key(2)
    )
    energies = np.concatenate([result.initial_energy[:, None], result.energies], axis=1)
    flipped = np.asarray(result.record.indices).reshape(4, -1) >= 0
    assert (np.diff(energies, axis=1)[flipped] < 0).all() and flipped.sum() > 250
    np.testing.assert_allclose(np.diff(energies, axis=1)[~flipped], 0, atol=1e-6 * np.abs(energies).max())


def test_compressed_energies_join_the_others_and_grow(x64):
    for dtype in ("float32", "float64"):
        limit = (jnp.finfo(dtype).maxexp - 18) * math.log(2)
        logs = jnp.asarray(
            [0.9 * limit, limit * (1 - 1e-6), limit * (1 + 1e-6), 1.1 * limit, 100 * limit], dtype
        )
        values = np.asarray(jnp.where(is_beyond(logs), compressed(jnp.ones(5, dtype), logs), jnp.exp(logs)))
        assert np.isfinite(values).all() and (np.diff(values) > 0).all() and values[2] / values[1] < 1.002
        np.testing.assert_allclose(log_sizes(values), logs, rtol=2e-6 if dtype == "float32" else 1e-12)


def test_sweeps_over_beta_and_n_compile_once():
    traces = []

    @jax.jit
    def potential(separation, s):
        traces.append(1)
        return separation.potential(s)

    s = jnp.arange(5.0)
    for beta in np.linspace(0.1, 3, 10):
        potential(eam.LogSumExp(beta), s)
    assert len(traces) == 1
    for n in range(2, 12):
        potential(eam.Polynomial(n), s)
    assert len(traces) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: eam.LogSumExp(0.0), "beta must be positive"),
        (lambda: eam.LogSumExp(-1.0), "beta must be positive"),
        (lambda: eam.LogSumExp(float("nan")), "beta must be positive"),
        (lambda: eam.LogSumExp("hot"), "beta must be a number"),
        (lambda: eam.Polynomial(0), "n must be positive"),
        (lambda: eam.Polynomial(0.5), "n must be at least 1"),
        (lambda: eam.Polynomial(2.5, rectified=False), "n must be a whole number"),
        (lambda: eam.TopK(eam.Linear(), 0), "k must be an integer of at least 1"),
        (lambda: eam.TopK(eam.Linear(), 2.0), "k must be an integer"),
    ],
)
def test_bad_parameters_are_named(make, message, no_hook):
    with pytest.raises(ValueError, match=message):
        make()
