"""Distances: mean shift, minima of compact support by enumeration, proofs of rest, cosines, memory."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import energyam as eam


def minima(X, radius):
    """All sets of patterns in reach of their own mean and of no other, in float64: sets, and their means."""
    X = np.asarray(X, float)
    sets = [list(S) for n in range(1, len(X) + 1) for S in itertools.combinations(range(len(X)), n)]
    means = np.array([X[S].mean(0) for S in sets])
    near = np.linalg.norm(means[:, None] - X[None], axis=2) < radius
    own = [set(np.flatnonzero(row)) == set(S) for row, S in zip(near, sets, strict=True)]
    return [S for S, is_own in zip(sets, own, strict=True) if is_own], means[own]


def random_patterns(seed, K, D, factor):
    """Patterns in the unit cube, and a radius that is `factor` times the least distance between two."""
    X = np.random.default_rng(seed).random((K, D))
    distances = np.linalg.norm(X[:, None] - X[None], axis=2) + 9 * np.eye(K)
    return X, factor * distances.min()


def test_energies_are_those_of_the_kernels():
    X, x = jr.normal(jr.key(0), (6, 4)), jr.normal(jr.key(1), (4,))
    squares = np.sum((np.asarray(X, float) - np.asarray(x, float)) ** 2, axis=1)
    gaussian, compact = eam.GaussianDenseAM(X, 0.7), eam.EpanechnikovDenseAM(X, 0.3)
    assert gaussian.energy(x) == pytest.approx(-np.log(np.exp(-0.35 * squares).sum()) / 0.7, rel=1e-5)
    assert compact.energy(x) == pytest.approx(-np.log(np.maximum(0, 1 - 0.15 * squares).sum()) / 0.3)
    cosine = eam.DenseAM(X, eam.LogSumExp(0.9), eam.Free(), eam.Cosine())
    for memory in (gaussian, compact, cosine):
        np.testing.assert_allclose(memory.field(x), -jax.grad(memory.energy)(x), rtol=1e-4, atol=1e-5)


def test_one_step_is_mean_shift_and_that_of_modern_hopfield_with_biases():
    X, x = jr.normal(jr.key(2), (6, 4)), jr.normal(jr.key(3), (3, 4))
    end = eam.recall(eam.GaussianDenseAM(X, 1.3), x, max_steps=1).state
    scores = 1.3 * (x @ X.T - 0.5 * jnp.sum(X**2, axis=1)[None])
    np.testing.assert_allclose(end, jax.nn.softmax(scores) @ X, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("a", "beta"), [(1.0, 2.0), (0.7, 5.0)])
def test_gaussian_recall_is_never_exact(a, beta, x64):
    memory = eam.GaussianDenseAM(jnp.array([[a], [-a]]), beta)
    x = float(eam.recall(memory, jnp.array([0.4 * a]), eam.Synchronous(1e-15), 500).state[0])
    assert abs(x - a * np.tanh(a * beta * x)) < 1e-12 and abs(x - a) > 1e-4
    if (a, beta) == (1.0, 2.0):
        assert x == pytest.approx(0.9575040240772688, abs=1e-13)


def test_two_patterns_make_one_well_if_they_are_near(x64):
    for beta, wells in ((0.98, 1), (1.05, 2)):
        memory = eam.GaussianDenseAM(jnp.array([[1.0], [-1.0]]), beta)
        ends = eam.recall(memory, jnp.array([[0.5], [-0.5]]), eam.Synchronous(1e-12), 3000).state
        assert len({round(float(x), 3) for x in ends[:, 0]}) == wells


def test_two_patterns_and_a_radius_make_three_minima():
    memory = eam.EpanechnikovDenseAM(jnp.array([[1.0], [-1.0]]), 2 / 1.5**2)
    assert memory.radius == pytest.approx(1.5)
    energy = lambda x: float(memory.energy(jnp.array([x])))  # noqa: E731
    assert energy(0.0) == pytest.approx(-0.1185306, rel=1e-6)
    assert energy(1.0) == energy(-1.0) == 0
    assert energy(0.5) == pytest.approx(0.1325059, rel=1e-6) == energy(-0.5)
    starts = jnp.linspace(-1.2, 1.2, 25)[:, None]
    ends = eam.recall(memory, starts)
    assert ends.converged.all()
    assert {float(x) for x in ends.state[:, 0]} == {-1.0, 0.0, 1.0}


@pytest.mark.parametrize(
    ("seed", "K", "D", "factor", "stored", "emergent"),
    [(0, 8, 8, 0.999, 8, 25), (0, 8, 8, 0.5, 8, 0), (3, 9, 2, 1.7, None, None), (4, 10, 3, 2.2, None, None)],
)
def test_recall_ends_in_the_minima_by_enumeration_each_certified(seed, K, D, factor, stored, emergent):
    X, radius = random_patterns(seed, K, D, factor)
    sets, means = minima(X, radius)
    if stored is not None:
        sizes = [len(S) for S in sets]
        assert sizes.count(1) == stored and len(sizes) - stored == emergent
    memory = eam.EpanechnikovDenseAM(X, 2 / radius**2)
    starts = np.concatenate([X, np.random.default_rng(seed + 1).random((100, D)), means])
    result = eam.recall(memory, starts, max_steps=60)
    reached = jax.vmap(memory.in_reach)(starts).any(1)
    np.testing.assert_array_equal(result.converged, reached)
    states = np.asarray(result.state)
    distances = np.linalg.norm(states[reached][:, None] - means[None], axis=2)
    assert distances.min(1).max() < 1e-5
    for state, nearest in zip(states[reached], distances.argmin(1), strict=True):
        assert set(np.flatnonzero(memory.in_reach(state))) == set(sets[nearest])
    np.testing.assert_allclose(states[-len(means) :], means, atol=1e-6)  # every minimum is found and stays
    energies = np.concatenate([result.initial_energy[:, None], result.energies], axis=1)[reached]
    assert (np.diff(energies, axis=1) <= 1e-4).all()


def test_a_pattern_is_recalled_exactly_in_one_step_within_its_radius_and_not_beyond():
    X, least = random_patterns(5, 8, 6, 1.0)
    radius = 0.6 * least
    i = int(np.argmin(np.sort(np.linalg.norm(X[:, None] - X[None], axis=2), axis=1)[:, 1]))
    nearest = np.argsort(np.linalg.norm(X - X[i], axis=1))[1]
    r = np.linalg.norm(X[nearest] - X[i])
    basin = min(radius, r - radius)
    way = (X[nearest] - X[i]) / r
    memory = eam.EpanechnikovDenseAM(X, 2 / radius**2)
    step = lambda x: np.asarray(eam.recall(memory, x, max_steps=1).state)  # noqa: E731
    np.testing.assert_allclose(step(X[i] + 0.99 * basin * way), X[i], rtol=2e-7)  # a division's rounding
    assert np.abs(step(X[i] + 1.02 * basin * way) - X[i]).max() > 0.01


def test_small_moves_that_change_the_set_are_not_called_settled():
    """The mean of 10^5 patterns moves by less than the tolerance when one of them drops out."""
    X = np.zeros((100_000, 1), np.float32)
    X[0] = 1.0 - 2e-6
    memory = eam.EpanechnikovDenseAM(X, 2.0)  # radius 1
    both, one = eqx.filter_jit(memory.proves_rest), jnp.array([-3e-6])
    assert not both(one, jnp.zeros(1)) and both(jnp.zeros(1), jnp.zeros(1))
    result = eam.recall(memory, one, max_steps=1)
    assert abs(float(result.state[0]) + 3e-6) > 0 and not result.converged
    end = eam.recall(memory, one)
    assert end.converged and memory.proves_rest(end.state, end.state)


@pytest.mark.parametrize("update", [eam.Synchronous(), eam.GradientDescent(0.1)], ids=["cccp", "gradient"])
def test_states_without_support_stay_and_never_converge(update):
    memory = eam.EpanechnikovDenseAM(jnp.zeros((2, 3)), 2.0)
    far, near = jnp.full((3,), 5.0), jnp.full((3,), 0.1)
    result = eam.recall(memory, jnp.stack([far, near]), update, 300)
    np.testing.assert_array_equal(result.state[0], far)
    assert eam.STATUSES[int(result.status[0])] == "not finite" and not result.converged[0]
    assert memory.energy(far) == jnp.inf and not memory.in_reach(far).any()
    assert result.converged[1] and np.abs(result.state[1]).max() < 1e-4


@pytest.mark.parametrize("make", [eam.GaussianDenseAM, eam.EpanechnikovDenseAM])
@pytest.mark.parametrize("dtype", ["float32", "int8", "bfloat16"])
@pytest.mark.usefixtures("as_users_do")
def test_neither_step_nor_energy_takes_working_memory_like_the_patterns(make, dtype):
    K, D = 30_000, 64
    patterns = jax.ShapeDtypeStruct((K, D), dtype)
    memory = make(jnp.zeros((1, D), dtype), 0.1)
    memory = eqx.tree_at(lambda memory: memory.patterns, memory, patterns)
    x = jax.ShapeDtypeStruct((3, D), jnp.float32)
    step = lambda memory, x: jax.vmap(memory.pull)(x)  # noqa: E731
    used = jax.jit(step).lower(memory, x).compile().memory_analysis().temp_size_in_bytes
    assert used < K * D * (2 if dtype != "bfloat16" else 5), used / (K * D)


@pytest.mark.usefixtures("as_users_do")
def test_cosines_ignore_lengths_and_agree_with_their_definition():
    X, x = jr.normal(jr.key(11), (5, 7)), jr.normal(jr.key(12), (7,))
    cosine = eam.Cosine()
    expected = X @ x / jnp.linalg.norm(X, axis=1) / jnp.linalg.norm(x)
    np.testing.assert_allclose(cosine.of_all(X, 3 * x), expected, rtol=1e-5)
    np.testing.assert_allclose(cosine.of(X[2], x), expected[2], rtol=1e-5)
    assert np.isfinite(cosine.of_all(X.at[0].set(0), jnp.zeros(7))).all()
    moved = cosine.of_all(X, x.at[3].multiply(-1)) - cosine.of_all(X, x)
    np.testing.assert_allclose(
        cosine.moved(X, x, jnp.array([3]), -2 * x[3:4], cosine.of_all(X, x)), moved, rtol=1e-4, atol=1e-6
    )
    signs, whole = jnp.sign(X), jnp.sign(X).astype("int8")
    np.testing.assert_allclose(cosine.of_all(whole, jnp.sign(x)), signs @ jnp.sign(x) / 7, rtol=1e-5)


def test_cosines_make_memories():
    X = jr.normal(jr.key(13), (5, 12))
    sphere = eam.DenseAM(
        X / jnp.linalg.norm(X, axis=1, keepdims=True), eam.LogSumExp(60.0), eam.Spherical(), eam.Cosine()
    )
    start = sphere.neurons.retract(X[2] + 0.2 * jr.normal(jr.key(14), (12,)))
    result = eam.recall(sphere, start, max_steps=100)
    assert result.converged and result.state @ sphere.patterns[2] > 0.99
    binary = jr.rademacher(jr.key(15), (4, 24), dtype="int8")
    by_cosine = eam.DenseAM(binary, eam.LogSumExp(24 * 0.4), eam.Binary(), eam.Cosine())
    by_overlap = eam.DenseAM(binary, eam.LogSumExp(0.4), eam.Binary())
    noisy = eam.datasets.flip_bits(binary, 0.2, key=jr.key(16))
    ends = [eam.recall(memory, noisy, key=jr.key(17)).state for memory in (by_cosine, by_overlap)]
    np.testing.assert_array_equal(*ends)
