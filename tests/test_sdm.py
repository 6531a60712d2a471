"""PatternSDM, ContinuousSDM and their separations: weights, energies, and how far they recall."""

import math

import equinox as eqx
import jax
import jax.export
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import all_states, patterns

import energyam as eam
from energyam.memories import reads


def flipped(states, count):
    """States with their first `count` neurons turned."""
    return jnp.where(jnp.arange(states.shape[-1])[None] < count, -states, states)


SEPARATIONS = {
    "circle": eam.CircleIntersection(12, 3),
    "wide": eam.CircleIntersection(14, 8),
    "expected": eam.CircleIntersection(64, 11, 2**64),
    "cosines": eam.CircleIntersection(12, 3, cosines=True),
    "cap": eam.CapIntersection(12, 3),
    "wide_cap": eam.CapIntersection(5, 4.5),
}


@pytest.mark.parametrize("name", SEPARATIONS)
def test_weights_are_the_gradient_of_the_potential(name, getkey):
    separation = SEPARATIONS[name]
    slope = jax.jit(jax.grad(lambda s: separation.potential(s)))
    weights_of = jax.jit(lambda s: separation.weights(s))
    size = 1 if name in ("cosines", "cap", "wide_cap") else 12
    for similarities in (
        size * jr.uniform(getkey(), (7,), minval=-1),
        size * jnp.array([1.0, 0.5, -1.0, 0.0]),
    ):
        np.testing.assert_allclose(weights_of(similarities), slope(similarities), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["circle", "cosines", "cap"])
def test_a_read_by_blocks_is_that_of_all_patterns(name, getkey):
    separation = SEPARATIONS[name]
    size = 1 if separation.cosines else separation.dim
    similarities = size * jr.uniform(getkey(), (3, 13), minval=-1, maxval=jnp.array([[1.0], [0.2], [-0.9]]))
    values = jr.normal(getkey(), (13, 4))

    def by_blocks(similarities):
        gather = lambda weights, _, values: weights @ values  # noqa: E731
        potential, found = reads.read(
            separation, lambda rows, _: rows[:, 0], gather, (similarities[:, None], values), 5
        )
        return potential + found.sum(), (potential, found)

    def whole(similarities):
        potential, found = separation.potential(similarities), separation.weights(similarities) @ values
        return potential + found.sum(), (potential, found)

    ask = lambda read: jax.jit(jax.vmap(jax.grad(read, has_aux=True)))(similarities)  # noqa: E731
    for got, expected in zip(*map(jax.tree.leaves, (ask(by_blocks), ask(whole))), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["circle", "cap"])
def test_working_memory_of_reads_does_not_grow_with_the_patterns(name):
    def needed(K):
        def fields(queries, keys):
            read = lambda query: reads.read_pairs(SEPARATIONS[name], keys, keys, query)[1]  # noqa: E731
            return jax.vmap(read)(queries)

        shapes = jax.ShapeDtypeStruct((4, 12), jnp.float32), jax.ShapeDtypeStruct((K, 12), jnp.float32)
        return jax.jit(fields).lower(*shapes).compile().memory_analysis().temp_size_in_bytes

    # Both in several blocks; and not by 16 · 2^18 bytes, those of an array (B, K).
    assert needed(2**18) <= needed(2**15) + 2**16


@pytest.mark.parametrize("name", ["circle", "wide", "expected"])
def test_gain_is_the_change_of_the_potential(name, getkey):
    separation = SEPARATIONS[name]
    gain = jax.jit(lambda s, direction: separation.gain(s, direction, 2).value)
    potential = jax.jit(lambda s: separation.potential(s))
    for _ in range(20):
        similarities = 2.0 * jr.randint(getkey(), (9,), -5, 6)
        direction = 1.0 * jr.rademacher(getkey(), (9,))
        before, after = potential(similarities), potential(similarities + 2 * direction)
        scale = abs(float(before)) + abs(float(after)) + 1
        np.testing.assert_allclose(gain(similarities, direction), after - before, atol=2e-6 * scale)


def test_circle_weights_are_the_intersection_over_one_circle():
    weights = eam.CircleIntersection(64, 11).weights(64.0 - 2 * jnp.arange(65))
    exact = eam.hypercube.circle_intersection(64, 11)
    np.testing.assert_allclose(weights, [count / exact[0] for count in exact], rtol=1e-6)
    assert (weights[23:] == 0).all()


def test_gain_has_the_sign_of_whole_numbers_and_ties_are_none():
    D, radius, rng = 40, 9, np.random.default_rng(0)
    exact = eam.hypercube.circle_intersection(D, radius)
    similarities = D - 2 * rng.integers(1, D, (200, 12))
    direction = rng.choice([-1, 1], similarities.shape)
    similarities[:50, 6:], direction[:50, 6:] = (
        similarities[:50, :6] + 2 * direction[:50, :6],
        -direction[:50, :6],
    )

    def change(s, way):
        h = (D - s) // 2
        return way * (exact[h] + exact[h - way])

    sums = [
        sum(change(s, w) for s, w in zip(*row, strict=True))
        for row in zip(similarities, direction, strict=True)
    ]
    gain = jax.jit(jax.vmap(lambda s, w: eam.CircleIntersection(D, radius).gain(s, w, 2).value))
    got = gain(jnp.asarray(similarities, float), jnp.asarray(direction, float))
    np.testing.assert_array_equal(np.sign(got), np.sign([float(c) for c in sums]))
    assert sums[:50] == [0] * 50 and any(sums[50:])


@pytest.mark.parametrize(
    "separation", [eam.CircleIntersection(1000, 384, 2**1000), eam.CircleIntersection(10_000, 4787)]
)
def test_huge_and_tiny_numbers_saturate(separation):
    D = separation.dim
    similarities = jnp.array([1.0 * D, 0.1 * D, -0.9 * D])
    for value in (separation.potential(similarities), separation.weights(similarities)):
        assert jnp.isfinite(value).all() and (value >= 0).all()
    far = jnp.array([-0.9 * D, -0.9 * D - 2])
    if D == 10_000:
        assert separation.weights(far).max() > 0 and separation.gain(far, jnp.array([1.0, -1.0]), 2).value > 0


@pytest.mark.parametrize("radius", [0, 1, 3, 5, 7, 10])
def test_energy_falls_and_ends_in_minima_at_any_radius(radius):
    X, queries = patterns(0, 6, 10), all_states(10)[::7]
    memory = eam.PatternSDM(X, radius)
    result = eam.recall(memory, queries, key=jr.key(radius))
    assert result.converged.all() and (jnp.diff(result.energies) <= 0).all()
    energies = jax.jit(lambda states: jax.vmap(memory.energy)(states))(all_states(10))
    places = ((result.state > 0) * 2 ** jnp.arange(10)[None]).sum(1)
    index = 1023 - places
    np.testing.assert_allclose(energies[index], result.energies[:, -1], rtol=1e-5, atol=1e-6)
    neighbours = energies[index[:, None] ^ (2 ** jnp.arange(10))[None]]
    assert (neighbours >= energies[index][:, None] - 1e-5).all()
    assert eam.is_local_minimum(memory, result.state).all()


@pytest.mark.parametrize("radius", [1, 3, 5, 8])
def test_synchronous_recall_never_raises_the_energy(radius):
    memory = eam.PatternSDM(patterns(1, 30, 16), radius, 500, key=jr.key(3))
    result = eam.recall(memory, patterns(2, 40, 16), eam.Synchronous())
    rise = jnp.diff(result.energies).max(initial=0)
    assert rise <= 1e-5 * jnp.abs(result.energies).max()


def test_a_query_that_meets_no_neuron_stays():
    X = patterns(3, 1, 40)
    memory, far = eam.PatternSDM(X, 5), -1.0 * X
    for update in (eam.Asynchronous(), eam.Synchronous()):
        assert (eam.recall(memory, far, update, key=jr.key(0)).state == far).all()
    units = X / jnp.sqrt(40.0)
    assert (eam.recall(eam.ContinuousSDM(units, 5), -units).state == -units).all()


@pytest.mark.parametrize("weighting", ["cap", "circle"])
def test_continuous_recall(weighting, getkey):
    units = jr.normal(getkey(), (100, 64))
    units = units / jnp.linalg.norm(units, axis=1, keepdims=True)
    memory = eam.ContinuousSDM(units, 11, weighting)
    queries = units[:10] + 0.07 * jr.normal(getkey(), (10, 64))
    queries = queries / jnp.linalg.norm(queries, axis=1, keepdims=True)
    result = eam.recall(memory, queries)
    assert result.converged.all() and (jnp.sum(result.state * units[:10], 1) > 0.999).all()
    assert jnp.diff(result.energies).max() <= 1e-6


def test_drawn_counts_fall_with_distance_and_have_the_expected_mean():
    draws = [eam.CircleIntersection(64, 19, 10**5, key=jr.key(seed)) for seed in range(60)]
    distances = jnp.arange(0, 13)
    counts = np.array([draw.weights(64.0 - 2 * distances) for draw in draws])
    assert (np.diff(counts, axis=1) <= 0).all() and np.allclose(counts, np.round(counts))
    expected = np.exp(eam.hypercube.log_circle_intersection(64, 19)[:13] - 64 * math.log(2)) * 1e5
    assert (abs(counts.mean(0) - expected) < 5 * np.sqrt(expected / 60)).all()


def test_recalls_as_far_as_the_critical_distance_predicts():
    D, radius, K = 200, 75, 40
    critical = eam.theory.critical_distance(D, radius, K, 10**6, noise="averaged")
    X = patterns(5, K, D)
    memory = eam.PatternSDM(X, radius, 10**6)
    result = eam.recall(memory, flipped(1.0 * X, critical // 2), eam.Synchronous())
    assert critical > 20 and (result.state == X).all(1).mean() > 0.95


def test_attention_twin_recalls_alike():
    X = patterns(6, 100, 64)
    queries = flipped(1.0 * X, 8)
    beta = eam.theory.fit_beta(64, 11).beta / 64  # of an overlap instead of a cosine
    for memory in (eam.PatternSDM(X, 11), eam.ExponentialDenseAM(X, beta)):
        assert (eam.recall(memory, queries, eam.Synchronous()).state == X).all()


def test_as_a_read_out():
    keys, values = patterns(7, 20, 64), jr.normal(jr.key(8), (20, 5))
    read = eam.KeyValueMemory(keys * 1.0, values, eam.CircleIntersection(64, 11))
    similarities = keys.astype(float) @ keys[0]
    np.testing.assert_allclose(
        read(keys[0] * 1.0), values.T @ read.separation.weights(similarities), rtol=1e-5
    )


def test_saved_and_loaded(tmp_path):
    energy = eqx.filter_jit(lambda memory, state: memory.energy(state))
    for memory in (eam.PatternSDM(patterns(9, 4, 20), 5), eam.ContinuousSDM(jnp.eye(4), 1.5)):
        eam.save(tmp_path / "memory", memory)
        loaded = eam.load(tmp_path / "memory")
        state = 1.0 * patterns(10, 1, memory.num_neurons)[0]
        assert energy(loaded, state) == energy(memory, state)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_lowers_for_accelerators(platform):
    memory = eam.PatternSDM(patterns(11, 8, 32), 9)
    run = jax.jit(lambda q: eam.recall(memory, q, eam.Asynchronous("sequential"), record=False).state)
    jax.export.export(run, platforms=[platform])(jax.ShapeDtypeStruct((4, 32), jnp.float32))


@pytest.mark.parametrize(
    "call",
    [
        lambda: eam.PatternSDM(patterns(0, 3, 8), 9),
        lambda: eam.PatternSDM(patterns(0, 3, 8), -1),
        lambda: eam.PatternSDM(patterns(0, 3, 8), 2.5),
        lambda: eam.PatternSDM(patterns(0, 3, 8), 2, 0),
        lambda: eam.PatternSDM(patterns(0, 3, 8), 2, key=jr.key(0)),
        lambda: eam.PatternSDM(jnp.zeros((3, 8)), 2),
        lambda: eam.CircleIntersection(8.5, 2),
        lambda: eam.CapIntersection(8, 9),
        lambda: eam.CapIntersection(1, 1),
        lambda: eam.ContinuousSDM(jnp.ones((3, 8)), 2),
        lambda: eam.ContinuousSDM(jnp.eye(8), 2, "square"),
    ],
)
def test_wrong_use(call, no_hook):
    with pytest.raises(ValueError, match="must"):
        call()
