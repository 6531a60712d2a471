"""Outcomes of a recall, and success curves: the ordering of the learning rules, with both measures."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import zoo

import energyam as eam
from energyam import evaluation
from energyam.datasets import random_patterns

D = 120
PATTERNS = zoo.patterns(5, 9, D) * 1.0
MIXTURE = jnp.sign(PATTERNS[0] - PATTERNS[3] + PATTERNS[6])


def with_flips(state, count):
    return state.at[:count].multiply(-1)


@pytest.mark.parametrize(
    "state, expected",
    [
        (PATTERNS[2], "pattern"),
        (with_flips(PATTERNS[2], 6), "pattern"),
        (-PATTERNS[2], "inverse"),
        (PATTERNS[4], "other"),
        (-PATTERNS[4], "other"),
        (MIXTURE, "mixture"),
        (with_flips(MIXTURE, 6), "mixture"),
        (jnp.sign(PATTERNS[:5].sum(axis=0)), "mixture"),
        (PATTERNS[:3].mean(axis=0), "mixture"),
        (with_flips(PATTERNS[2], 30), "spurious"),
        (zoo.patterns(99, 1, D)[0], "spurious"),
    ],
)
def test_outcomes(state, expected):
    code = evaluation.outcome(PATTERNS, state, 2)
    assert evaluation.OUTCOMES[code] == expected


def test_tolerance_is_a_share_of_neurons():
    state = with_flips(PATTERNS[2], 6)
    assert evaluation.outcome(PATTERNS, state, 2, tolerance=6 / D) == 0
    assert evaluation.outcome(PATTERNS, state, 2, tolerance=5 / D) == 4


def test_outcomes_of_a_batch():
    states = jnp.stack([PATTERNS[0], -PATTERNS[1], MIXTURE])
    codes = jax.jit(jax.vmap(evaluation.outcome, (None, 0, 0)))(PATTERNS, states, jnp.arange(3))
    assert codes.tolist() == [0, 1, 3]


def test_cosines_and_nearest_pattern():
    state = with_flips(PATTERNS[7], 30)
    np.testing.assert_allclose(evaluation.cosines(PATTERNS, state), PATTERNS @ state / D, atol=1e-6)
    assert evaluation.nearest_pattern(PATTERNS, state) == 7
    assert evaluation.nearest_pattern(PATTERNS.astype(jnp.int8), 0.1 * state) == 7
    assert not evaluation.cosines(PATTERNS, np.zeros(D)).any()


@functools.cache
def curve(rule, bias):
    """Seed 003's experiment with fewer repeats: 100 units, synchronous, from the patterns themselves."""
    return evaluation.success_curve(
        lambda X: eam.HopfieldNetwork(rule(X)),
        lambda key, K: random_patterns(K, 100, bias, key=key),
        [15, 30, 50, 70],
        repeats=8,
        update=eam.Synchronous(),
        key=jr.key(3),
    )


@pytest.mark.parametrize("bias", [0.0, -0.2])
def test_storkey_holds_more_than_hebb(bias):
    hebb, storkey = (curve(rule, bias).nearest.rate[:, 0] for rule in (eam.hebbian, eam.storkey))
    assert hebb[0] > 0.8 and np.all(hebb[1:] < 0.8)
    assert np.all(storkey > 0.88)
    assert np.all(storkey[1:] > hebb[1:] + 0.15)


def test_correlated_patterns_hurt_hebb_far_more_than_storkey():
    hebb, storkey = (
        curve(rule, 0.0).nearest.rate[1:, 0] - curve(rule, -0.2).nearest.rate[1:, 0]
        for rule in (eam.hebbian, eam.storkey)
    )
    assert np.all(hebb > 0.2) and np.all(storkey < 0.08)


def test_exact_recall_falls_earlier_than_nearest_pattern():
    hebb, storkey = curve(eam.hebbian, 0.0), curve(eam.storkey, 0.0)
    assert 0.6 < hebb.exact.rate[0, 0] < 0.9 < hebb.nearest.rate[0, 0]
    assert 0.4 < storkey.exact.rate[2, 0] < 0.8 < 0.97 < storkey.nearest.rate[2, 0]


def test_intervals_and_outcomes_are_shares():
    result = curve(eam.hebbian, 0.0)
    for share in (result.nearest, result.exact):
        assert share.rate.shape == (4, 1)
        assert np.all(
            (0 <= share.low) & (share.low <= share.rate) & (share.rate <= share.high) & (share.high <= 1)
        )
        assert np.all(share.high - share.low > 0)
    np.testing.assert_allclose(result.outcomes.sum(axis=-1), 1, atol=1e-5)


def test_intervals_cover_and_count_memories_that_fail_together():
    """Repeats that are all right or all wrong count as one recall each."""
    together = evaluation._share(np.array([[[1.0, 0, 1, 0, 1, 0, 1, 0]]]), np.array([[8 * 50]]))
    apart = evaluation._share(np.array([[[0.5, 0.5, 0.49, 0.51] * 2]]), np.array([[8 * 50]]))
    assert together.low < 0.25 and together.high > 0.75
    assert apart.low > 0.44 and apart.high < 0.56
    rng = np.random.default_rng(0)
    rates = rng.binomial(25, 0.9, (1, 1000, 8)) / 25
    share = evaluation._share(rates, np.array([[8 * 25]]))
    covered = np.mean((share.low <= 0.9) & (0.9 <= share.high))
    assert 0.9 < covered < 0.99


def test_any_memory_any_rule_and_noise():
    """Continuous states with noise of one's own, and asynchronous recall from flipped bits."""
    soft = evaluation.success_curve(
        lambda X: eam.ModernHopfield(X, 8.0),
        lambda key, K: jr.normal(key, (K, 16)),
        [4, 8],
        noise=[0.1, 5.0],
        repeats=3,
        corrupt=lambda key, X, noise: X + noise * jr.normal(key, X.shape),
        key=jr.key(0),
    )
    assert np.all(soft.exact.rate[:, 0] == 1) and np.all(soft.nearest.rate[:, 1] < 1)
    dense = evaluation.success_curve(
        eam.CHN,
        lambda key, K: random_patterns(K, 64, key=key),
        [3],
        noise=[0.1, 0.45],
        repeats=5,
        key=jr.key(0),
    )
    assert dense.exact.rate[0, 0] > 0.8 > 0.6 > dense.exact.rate[0, 1]


def test_hebbian_network_and_chn_take_the_same_decisions():
    """Every flip, from random states, below and above capacity; the diagonal is a constant energy."""
    for K in (4, 20):
        patterns = random_patterns(K, 80, key=jr.key(K))
        queries = zoo.patterns(K + 1, 12, 80)
        results = [
            eam.recall(memory, queries, eam.Asynchronous(), key=jr.key(0))
            for memory in (eam.CHN(patterns), eam.HopfieldNetwork(eam.hebbian(patterns)))
        ]
        np.testing.assert_array_equal(results[0].state, results[1].state)
        np.testing.assert_array_equal(*(result.record.indices for result in results))
        difference = results[0].energies + K * 80 / 2 - 80 * results[1].energies
        np.testing.assert_allclose(difference, 0, atol=0.05)
