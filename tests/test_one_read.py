"""Where one read lands, against reads by brute force: neurons at random places, and infinitely many."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import energyam as eam

theory, hc = eam.theory, eam.hypercube
MANY = 2**1000  # as good as infinitely many


def moved(rng, patterns, distance):
    """The patterns with `distance` bits flipped, others in each."""
    order = rng.random(patterns.shape).argsort(1)
    return np.where(order < distance, -patterns, patterns)


def fields_of_neurons(rng, X, queries, radius, num_neurons):
    """Counters of neurons at random places, summed over those within the radius of a query."""
    n = X.shape[1]
    places = rng.choice(np.float32([-1, 1]), (num_neurons, n))
    active = lambda x: (x @ places.T >= n - 2 * radius).astype(np.float32)  # noqa: E731
    return active(queries) @ (active(X).T @ X)


def fields_of_all(rng, X, queries, radius, num_neurons):
    """What neurons at all 2ⁿ places would add up to."""
    n = X.shape[1]
    logs = hc.log_circle_intersection(n, radius)
    distances = np.rint((n - queries @ X.T) / 2).astype(int)
    return np.exp(logs - logs[0])[distances] @ X


def simulated(n, radius, m, num_neurons, distances, memories):
    """The mean distance after one read from 20 patterns of each memory, for each distance before it."""
    rng, landed = np.random.default_rng(0), np.zeros((memories, len(distances)))
    fields = fields_of_neurons if num_neurons < MANY else fields_of_all
    for row in landed:
        X = rng.choice(np.float32([-1, 1]), (m, n))
        queries = np.concatenate([moved(rng, X[:20], x) for x in distances])
        field = fields(rng, X, queries, radius, num_neurons)
        read = np.where(field == 0, queries, np.sign(field)).reshape(len(distances), 20, n)
        row[:] = (read != X[:20]).sum(2).mean(1)
    return landed.mean(0)


SETTINGS = [
    (64, 22, 60, 2000, 60),
    (100, 38, 200, 2000, 40),
    (128, 50, 200, 5000, 20),
    (256, 108, 500, 5000, 8),
    (128, 50, 300, MANY, 40),
    (256, 105, 600, MANY, 20),
]
IDS = [str(setting[:3]) for setting in SETTINGS]


@pytest.mark.parametrize(("n", "radius", "m", "neurons", "memories"), SETTINGS, ids=IDS)
def test_a_read_lands_where_it_says(n, radius, m, neurons, memories):
    """Within 1.3 % of n from n/8 on, where the published formulas without the pull miss by 2.5 % or more."""
    distances = np.arange(n // 8, n // 2, n // 8)
    landed = simulated(n, radius, m, neurons, distances, memories)
    expected = theory.next_distance(n, radius, m, neurons)[distances]
    np.testing.assert_allclose(expected, landed, atol=0.013 * n)
    for noise in ("averaged", "independent"):
        published = theory.next_distance(n, radius, m, neurons, noise)[distances]
        assert np.abs(published - landed).max() > 0.025 * n


@pytest.mark.parametrize(
    ("n", "radius", "m", "neurons", "memories"),
    [(128, 50, 200, 5000, 40), (200, 80, 300, 8000, 20), (512, 220, 2500, MANY, 4)],
    ids=str,
)
def test_critical_distance_by_brute_force(n, radius, m, neurons, memories):
    """The crossing of the simulated curve, read off a straight line through points around it."""
    critical = theory.critical_distance(n, radius, m, neurons)
    around = np.array([-8, -4, 0, 4, 8])
    gaps = simulated(n, radius, m, neurons, critical + around, memories) - (critical + around)
    slope, at_critical = np.polyfit(around, gaps, 1)
    assert slope > 0 and abs(at_critical / slope) < 0.025 * n
    assert critical - theory.critical_distance(n, radius, m, neurons, "averaged") > 0.04 * n


def test_kanervas_own_setting():
    """n = 1000, radius 451, 10,000 patterns, 10⁶ neurons; only those that the query activates are drawn.

    228: 600 such memories gave 222.8 from 225 and 230.4 from 230, each ± .7.
    """
    n, radius, m, p = 1000, 451, 10_000, hc.fraction_for_radius(1000, 451)
    rng, distances, landed = np.random.default_rng(0), [160, 200, 228], []
    near = np.exp(hc.log_binomials(n)[: radius + 1] - hc.log_binomials(n)[: radius + 1].max())
    for _ in range(6):
        places = np.ones((rng.poisson(10**6 * p), n), np.float32)
        flips = rng.choice(radius + 1, places.shape[0], p=near / near.sum())
        places = moved(rng, places, flips[:, None])
        X = rng.choice(np.float32([-1, 1]), (m - 1, n))
        others = (places @ X.T >= n - 2 * radius).sum(0).astype(np.float32) @ X
        targets = np.stack([moved(rng, np.ones((1, n), np.float32), x)[0] for x in distances])
        shared = (places @ targets.T >= n - 2 * radius).sum(0)[:, None]
        landed.append((np.where(others + shared * targets < 0, -1, 1) != targets).sum(1))
    found, corrected = np.mean(landed, 0), theory.next_distance(n, radius, m, 10**6)[distances]
    np.testing.assert_allclose(corrected, found, atol=20)
    assert (theory.next_distance(n, radius, m, 10**6, "averaged")[distances] > found + 20)[1:].all()
    assert theory.critical_distance(n, radius, m, 10**6) == 228


@pytest.mark.parametrize(
    ("n", "radius", "m", "simulated", "averaged"),
    [(512, 220, 2500, 198, 156), (1000, 451, 2000, 364, 314), (1000, 451, 10_000, 300, 200)],
)
def test_infinitely_many_neurons(n, radius, m, simulated, averaged):
    """Where one read of `PatternSDM` lands no nearer, simulated over several seeds."""
    assert abs(theory.critical_distance(n, radius, m, MANY) - simulated) <= 0.025 * n
    assert theory.critical_distance(n, radius, m, MANY, "averaged") < simulated - 0.025 * n


def test_pattern_memory_reads_alike():
    n, radius, m = 128, 50, 200
    X = np.array(jr.rademacher(jr.key(0), (m, n), float))
    queries = moved(np.random.default_rng(1), X, 40)
    read = eam.recall(eam.PatternSDM(X, radius), jnp.asarray(queries), eam.Synchronous(), max_steps=1).state
    expected = theory.next_distance(n, radius, m, MANY)[40]
    assert abs((read != X).sum(1).mean() - expected) < 0.011 * n


def test_ill_conditioned_where_patterns_are_few():
    gaps = theory.next_distance(512, 220, 600, MANY) - np.arange(513)
    assert np.abs(gaps[226:247:2]).max() < 3.3
    distances = np.array([226, 236, 246])
    landed = simulated(512, 220, 600, MANY, distances, 6)
    np.testing.assert_allclose(landed - distances, gaps[distances], atol=2)


@pytest.mark.parametrize("noise", ["corrected", "averaged", "paper", "independent", "book"])
def test_limits(noise):
    """One pattern alone is read from afar, no neurons recall nothing, and nothing overflows."""
    assert theory.critical_distance(64, 24, 1, MANY, noise) >= 32 * (noise != "book")
    assert theory.critical_distance(1000, 200, 100, 1, noise) == 0
    for radius in (0, 300, 500, 1000):
        for m in (1, 2, 1.5, 2**2000):
            for r in (1, 10**6, 2**4000):
                landed = theory.next_distance(1000, radius, m, r, noise)
                assert (landed >= -1e-9).all() and (landed <= 1000).all()
                assert 0 <= theory.critical_distance(1000, radius, m, r, noise) <= 500


def test_the_radius_that_reaches_farthest():
    found = [theory.critical_distance(128, d, 200, 10**5) for d in range(65)]
    best = theory.optimal_radius(128, 200, 10**5, "critical_distance")
    assert found[best] == max(found) and best == found.index(max(found))
    assert abs(theory.optimal_radius(1000, 1024, 10**6, "critical_distance") - 451) <= 3
