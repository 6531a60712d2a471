"""Random features: unbiased, with the exact error bar; written, forgotten, recalled."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import energyam as eam

D, BETA = 4, 1.3
X = jr.normal(jr.key(0), (6, D))
STATE = X[0] + 0.3
EXACT = float(jnp.sum(jnp.exp(-BETA / 2 * jnp.sum((X - STATE[None]) ** 2, axis=1))))


def drawn(seed_or_key, num_features=50, beta=BETA):
    return eam.DistributedDenseAM.random(D, num_features, beta, key=seed_or_key)


def test_the_estimate_is_unbiased_with_the_exact_variance_and_the_error_bar_covers():
    """4,000 draws of 50 frequencies: mean, variance and reported error within 5 standard errors."""
    draw = jax.jit(jax.vmap(lambda key: drawn(key).write(X).estimate(STATE)))
    values, errors = (np.asarray(part, float) for part in draw(jr.split(jr.key(1), 4000)))
    sd = float(drawn(jr.key(0)).error(STATE, X))
    assert abs(values.mean() - EXACT) < 5 * sd / 4000**0.5
    assert abs(values.std() / sd - 1) < 5 / (2 * 4000) ** 0.5 < 0.06
    assert abs((errors**2).mean() / sd**2 - 1) < 0.03
    assert 0.93 < np.mean(np.abs(values - EXACT) < 1.96 * errors) < 0.97


def test_the_variance_is_its_formula():
    k = lambda a, b: np.exp(-BETA / 2 * np.sum((a - b) ** 2))  # noqa: E731
    xs, x = np.asarray(X, float), np.asarray(STATE, float)
    pairs = sum(k(a, b) + k(2 * x, a + b) for a in xs for b in xs) / 2
    variance = (pairs - sum(k(x, a) for a in xs) ** 2) / 50
    np.testing.assert_allclose(drawn(jr.key(3)).error(STATE, X), variance**0.5, rtol=1e-5)


def test_one_kernel_has_the_textbook_variance():
    """K = 1: (1 + k(2x, 2ξ)) / 2 − k², which is 0 at the pattern itself."""
    memory = drawn(jr.key(2)).write(X[:1])
    assert memory.error(X[0], X[:1]) == 0 and memory.estimate(X[0]).error < 1e-4
    np.testing.assert_allclose(memory.energy(X[0]), 0, atol=1e-5)


def test_writing_and_forgetting():
    memory = drawn(jr.key(4))
    np.testing.assert_allclose(memory.write(X[:2]).write(X[2:]).written, memory.write(X).written, atol=1e-5)
    np.testing.assert_allclose(memory.write(X).forget(X[3:]).written, memory.write(X[:3]).written, atol=1e-5)
    np.testing.assert_allclose(memory.write(X).forget(X).written, 0, atol=1e-5)


def test_energy_is_the_gaussian_memory_s_within_its_error():
    memory = drawn(jr.key(5), 20_000).write(X)
    error = memory.error(STATE, X) / (BETA * EXACT)
    assert abs(memory.energy(STATE) + np.log(EXACT) / BETA) < 4 * error < 0.05
    slope = jax.grad(memory.energy)(STATE)
    h = 1e-2 * jnp.eye(D)
    numeric = [(memory.energy(STATE + v) - memory.energy(STATE - v)) / 2e-2 for v in h]
    np.testing.assert_allclose(slope, numeric, atol=5e-3)


def test_recall_goes_down_to_a_stored_pattern():
    memory = eam.DistributedDenseAM.random(D, 5000, 8.0, key=jr.key(6)).write(X)
    result = eam.recall(memory, X + 0.1, eam.GradientDescent(0.3, tol=1e-4), max_steps=60)
    assert result.converged.all() and (jnp.linalg.norm(result.state - X, axis=1) < 0.1).all()


def test_where_the_estimate_is_negative_the_energy_is_infinite_and_recall_says_so():
    memory = drawn(jr.key(7)).write(X)
    far = jr.normal(jr.key(8), (40, D)) * 30
    values = jax.vmap(memory.estimate)(far)
    negative = np.asarray(values.value < 0)
    assert 5 < negative.sum() < 35
    assert (np.asarray(jnp.abs(values.value) < 5 * values.error)).all()
    energies = np.asarray(jax.vmap(memory.energy)(far))
    np.testing.assert_array_equal(np.isposinf(energies), negative)
    result = eam.recall(memory, far[np.flatnonzero(negative)[0]], eam.GradientDescent(0.1), max_steps=3)
    assert eam.STATUSES[int(result.status)] == "not finite" and not result.converged


def test_saved_narrow_and_with_a_rule_to_be_named(tmp_path):
    memory = drawn(jr.key(9)).write(X)
    eam.save(tmp_path / "m.safetensors", memory)
    loaded = eam.load(tmp_path / "m.safetensors")
    narrow = STATE.astype(jnp.bfloat16)
    np.testing.assert_allclose(loaded.energy(narrow), memory.energy(narrow.astype(float)), rtol=1e-6)
    with pytest.raises(ValueError, match="update must be given for DistributedDenseAM"):
        eam.recall(memory, STATE)
