"""Claims about sparse and categorical codes, and about rules that learn a margin or sleep."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

import energyam as eam
from benchmarks.atlas.claim import claim
from benchmarks.atlas.equations import normal_mean
from benchmarks.atlas.physics import KANTER_1988, KRAUTH_1987, TSODYKS
from benchmarks.atlas.sources import HOPFIELD_1983, WILLSHAW
from benchmarks.intervals import Ours, at_infinity, mean_of

FIELD = "sparse codes and margins"


@claim(
    FIELD,
    "A binary matrix says the most when half of its synapses are on, after ln 2 (D/k)² patterns",
    WILLSHAW,
    "share of synapses that are on, keys and values of k = log₂ D active neurons, D = 1024",
    0.5,
    0.005,
    note="The tolerance is half of a hundredth.",
)
def willshaw_synapses(quick):
    D, k = (256, 8) if quick else (1024, 10)
    K = round(eam.theory.willshaw_capacity(D, k))

    def one(seed):
        draws = np.random.default_rng(seed).random((2, K, D))
        keys, values = (np.argsort(draws, axis=2) < k).astype(np.float32)
        return keys, values, keys.T @ values > 0

    matrices = [one(seed) for seed in range(3 if quick else 5)]
    wrong = [
        ((keys @ on.astype(np.float32) > k - 0.5) & (values == 0)).sum(axis=1).mean()
        for keys, values, on in matrices
    ]
    control = f"neurons that are active beside those of a value: {np.mean(wrong):.2f}"
    return mean_of([on.mean() for _, _, on in matrices])._replace(control=control)


@claim(
    FIELD,
    "Patterns of low activity can be more than there are neurons",
    TSODYKS,
    "share of K = D patterns that are recalled, a = .02, D = 1000, a tenth of the active neurons lost",
    0.95,
    0.0,
    kind="at least",
    nature="own check",
    note="K = D/(2 a ln 1/a), which is 6.4 D here, is a limit for a → 0. Recalled: the end agrees with the "
    "pattern by a correlation above .9.",
)
def low_activity(quick):
    D, a, repeats = (400, 0.05, 2) if quick else (1000, 0.02, 5)
    K = D // 2 if quick else D

    def sparse(key):
        of_patterns, of_noise, of_recall = jr.split(key, 3)
        X = (jnp.argsort(jr.uniform(of_patterns, (K, D)), axis=1) < a * D).astype(float)
        memory = eam.HopfieldNetwork(eam.hebbian(X, activity=a), jnp.full(D, -0.55), eam.ZeroOne())
        worn = jnp.where(jr.bernoulli(of_noise, 0.1, X.shape), 0, X)[:200]
        ends = np.asarray(eam.recall(memory, worn, key=of_recall, record=False).state)
        return _correlated(ends, np.asarray(X)[:200])

    X = eam.datasets.random_patterns(K, D, key=jr.key(0))
    memory = eam.HopfieldNetwork(eam.hebbian(X))
    ends = eam.recall(memory, X[:200], key=jr.key(1), record=False).state
    dense = _correlated(np.asarray(ends, float), np.asarray(X[:200], float))
    found = mean_of([sparse(key) for key in jr.split(jr.key(2), repeats)])
    return found._replace(control=f"patterns ±1 by Hebb's rule: {dense:.2f}")


def _correlated(ends, patterns, least=0.9):
    """The share of ends whose correlation with their pattern is above .9."""
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (ends, patterns))
    sizes = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) > least * np.maximum(sizes, 1e-9)).mean())


def potts_replica(x, q):
    """The load α at which the field of the stored value leads the others by x standard deviations of noise.

    The noise of each value is σ g, and with the share P = E 1[the stored value wins] of right units and the
    noise of the winner G = E[g of the winner], the replica-symmetric equations at temperature 0 are

        x σ = P − 1/q,    C = G/(q σ),    σ² = α (q − 1)/(q³ (1 − C)²)
    """
    right = normal_mean(lambda z: ndtr(z + x) ** (q - 1))
    winner = normal_mean(lambda z: z * (ndtr(z + x) ** (q - 1) + (q - 1) * ndtr(z - x) * ndtr(z) ** (q - 2)))
    return q**3 / (q - 1) * max((right - 1 / q) / x - winner / q, 0.0) ** 2


def largest_potts_load(q):
    """The largest load of a state that is retrieved, over all leads x."""
    found = minimize_scalar(lambda x: -potts_replica(x, q), bounds=(1.0, 8.0), method="bounded")
    return -found.fun


@claim(
    FIELD,
    "Units of 3 values hold 0.138 q (q − 1)/2 patterns for each unit by Hebb's rule",
    KANTER_1988,
    "the largest load at which the replica-symmetric equations have a retrieval state, q = 3, T = 0",
    0.414,
    0.0005,
    note="The published number is that of its formula. For many values the formula is a little too large.",
)
def potts_replica_load(quick):
    two, ten = largest_potts_load(2), largest_potts_load(10)
    others = f"q = 2: {two:.4f}; q = 10: {ten:.2f}, where the formula has {0.138 * 45:.2f}"
    return Ours(largest_potts_load(3), control=others)


def kanter_couplings(one_hot):
    """Covariances of one-hot units, patterns (K, D, q)."""
    K, D, q = one_hot.shape
    centred = (one_hot - 1 / q).reshape(K, D * q)
    return centred.T @ centred / D * _between(D, q)


def bcpnn_couplings(one_hot):
    """Logarithms of odds, with one more pattern that is spread evenly."""
    K, D, q = one_hot.shape
    flat = one_hot.reshape(K, D * q)
    single, pairs = (flat.sum(axis=0) + 1 / q) / (K + 1), (flat.T @ flat + 1 / q**2) / (K + 1)
    return np.log(pairs / np.outer(single, single)) * _between(D, q)


def _between(D, q):
    """1 between units, and 0 within one."""
    return 1 - np.kron(np.eye(D), np.ones((q, q)))


def potts_load(couplings_of, D, q, seed):
    """The load up to which half of the patterns are recalled, from themselves; by bisection."""
    random = np.random.default_rng([D, q, seed])
    labels, low, high = random.integers(0, q, (D, D)), D // 5, D
    while high - low > max(1, D // 100):
        K = (low + high) // 2
        one_hot = np.eye(q)[labels[:K]]
        memory = eam.HopfieldNetwork(couplings_of(one_hot), neurons=eam.Categorical(q))
        some = jnp.asarray(np.resize(one_hot, (20, D, q)).reshape(20, D * q), float)
        ends = eam.recall(memory, some, eam.Synchronous(), 60, record=False).state
        kept = (np.asarray(ends).reshape(20, D, q).argmax(-1) == np.resize(labels[:K], (20, D))).mean(axis=1)
        low, high = (K, high) if np.mean(kept > 0.8) > 0.5 else (low, K)
    return (low + high) / 2 / D


@claim(
    FIELD,
    "Units of 3 values hold at least 0.138 q (q − 1)/2 patterns for each unit by Hebb's rule",
    KANTER_1988,
    "load up to which half of the patterns are recalled, q = 3, D = 800",
    0.414,
    0.0,
    kind="at least",
    nature="own check",
    note="The number is the capacity itself for infinite D, by replica symmetry (potts-replica-load). Half "
    "of the patterns are recalled beyond it at a finite D, so that it is a lower bound here. The load still "
    "falls at D = 800; the limit is that of a straight line in 1/D through D = 200, 400 and 800, which are "
    "small for it.",
)
def potts_hebb(quick):
    sizes, repeats = ((20, 40), (2, 2)) if quick else ((200, 400, 800), (8, 6, 4))
    found = [
        mean_of([potts_load(kanter_couplings, D, 3, seed) for seed in range(count)])
        for D, count in zip(sizes, repeats, strict=True)
    ]
    odds = np.mean([potts_load(bcpnn_couplings, sizes[0], 3, seed) for seed in range(2 if quick else 6)])
    limit = at_infinity([1 / D for D in sizes], found)
    control = f"BCPNN at D = {sizes[0]}: {odds:.2f}, Hebb's rule there: {found[0].value:.2f}"
    return found[-1]._replace(limit=limit, control=control)


@claim(
    FIELD,
    "Teaching the least stable pattern, again and again, reaches the largest margin",
    KRAUTH_1987,
    "mean over neurons of the least stability ξ_i Σ_j W_ij ξ_j/‖W_i‖, K = D/2, D = 100, 10,000 steps",
    round(eam.theory.gardner_margin(0.5), 4),
    0.01,
    nature="own check",
    note="The published number is Gardner's for infinite D.",
)
def minover_margin(quick):
    D, steps = (40, 1000) if quick else (100, 10_000)

    def least(key, rule):
        X = eam.datasets.random_patterns(D // 2, D, key=key)
        return float(jnp.mean(jnp.min(eam.learning.stability(rule(X), X), axis=0)))

    keys = jr.split(jr.key(3), 3 if quick else 20)
    learn = jax.jit(lambda X: eam.learning.minover(X, steps, symmetric=False))
    others = [np.mean([least(key, rule) for key in keys]) for rule in (eam.pseudo_inverse, eam.hebbian)]
    control = f"pseudo-inverse: {others[0]:.3f}; Hebb: {others[1]:.3f}"
    return mean_of([least(key, learn) for key in keys])._replace(control=control)


@claim(
    FIELD,
    "Forgetting a little of what random starts end in makes room for patterns",
    HOPFIELD_1983,
    "share of K = .3 D patterns that are fixed points, D = 100, after 700 dreams of rate .03/D",
    0.95,
    0.0,
    kind="at least",
    nature="own check",
)
def unlearning(quick):
    D, dreams = (40, 100) if quick else (100, 700)

    def one(seed):
        random = np.random.default_rng(seed)
        X = random.choice([-1, 1], (3 * D // 10, D))
        couplings = eam.hebbian(X)
        rests = lambda W: float(eam.is_local_minimum(eam.HopfieldNetwork(W), X).mean())  # noqa: E731
        awake = rests(couplings)
        for key in jr.split(jr.key(seed), dreams):
            start = jnp.asarray(random.choice([-1, 1], D))
            dream = eam.recall(eam.HopfieldNetwork(couplings), start, key=key, record=False).state
            couplings = eam.learning.forget(couplings, dream, 0.03 / D)
        return awake, rests(couplings)

    found = np.array([one(seed) for seed in range(2 if quick else 6)])
    return mean_of(found[:, 1])._replace(control=f"before: {found[:, 0].mean():.2f}")
