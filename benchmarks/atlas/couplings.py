"""Claims about what couplings can hold, counted in networks of a few hundred neurons and extrapolated."""

import math

import jax.random as jr
import numpy as np
from scipy.optimize import nnls

import energyam as eam
from benchmarks.atlas.claim import claim
from benchmarks.atlas.equations import FIELD
from benchmarks.atlas.learned import kept
from benchmarks.atlas.physics import (
    AGS_FEW,
    BRAY_MOORE,
    COVER,
    GARDNER,
    GSET_BEST,
    KANTER,
    PARISI,
    SOMPOLINSKY,
)
from benchmarks.atlas.sources import FACHECHI
from benchmarks.intervals import Ours, at_infinity, mean_of, share_of
from benchmarks.ising import GRAPHS


def widest(points):
    """The J of least ‖J‖ with points @ J ≥ 1, by non-negative least squares; None where there is none.

    Lawson & Hanson, “Solving least squares problems” (1974), chapter 23.
    """
    wanted = np.append(np.zeros(points.shape[1]), 1.0)
    system = np.vstack([points.T, np.ones(len(points))])
    residual = system @ nnls(system, wanted)[0] - wanted
    return -residual[:-1] / residual[-1] if np.linalg.norm(residual) > 1e-8 else None


def separable(D, K, repeats):
    """The share of sets of K random labelled points of D dimensions that a plane through 0 separates."""
    random = np.random.default_rng([D, K])
    return share_of([widest(random.normal(size=(K, D))) is not None for _ in range(repeats)])


@claim(
    FIELD,
    "Half of all sets of 2 N patterns can be separated by a perceptron",
    COVER,
    "2^{1−K} Σ_{k<N} C(K − 1, k) at K = 2N; share of 40,000 sets, N = 20",
    0.5,
    0.01,
    note="Exact for any N; the tolerance is that of 40,000 sets.",
)
def cover_half(quick):
    repeats = 40 if quick else 40_000
    ends = [separable(20, K, repeats // 10).value for K in (30, 50)]
    return separable(20, 40, repeats)._replace(control=f"K = 1.5 N: {ends[0]:.2f}; K = 2.5 N: {ends[1]:.2f}")


@claim(
    FIELD,
    "At K = 0.5196 N the largest margin of random patterns is 1",
    GARDNER,
    "α_c(κ) = 1/∫_{−κ}^∞ Dt (t + κ)²; κ = min ξ·J/‖J‖ of the best J",
    1.0,
    0.01,
    nature="own check",
    note="At N = 50; the limit is that of a straight line in 1/N through N = 50, 100, 200 and 400.",
)
def gardner_margin(quick):
    def margin(N, random):
        patterns = random.choice([-1.0, 1.0], (round(eam.theory.gardner_capacity(1.0) * N), N))
        return 1 / np.linalg.norm(widest(patterns))

    sizes = (20, 50) if quick else (50, 100, 200, 400)
    found = []
    for N, repeats in zip(sizes, (10, 10) if quick else (4000, 2000, 1000, 300), strict=True):
        random = np.random.default_rng(N)
        found.append(mean_of([margin(N, random) for _ in range(repeats)]))
    return found[0]._replace(limit=at_infinity([1 / N for N in sizes], found))


def most_returning(weights_of, D, repeats, seed):
    """The load up to which a state with one flip returns in one step, in half of the tries; by bisection."""
    random, found = np.random.default_rng([seed, D]), []
    for _ in range(repeats):
        X = random.choice([-1.0, 1.0], (D, D))
        low, high = 1, D
        while high - low > 1:
            K = (low + high) // 2
            weights, stored = weights_of(X[:K]), X[: min(K, 50)]
            flipped = stored.copy()
            flipped[:, 0] *= -1
            back = (np.sign(flipped @ weights) == stored).all(axis=1).mean()
            low, high = (K, high) if back > 0.5 else (low, K)
        found.append((low + high) / 2 / D)
    return mean_of(found)


def projection(X):
    """X⁺X."""
    return X.T @ np.linalg.solve(X @ X.T + 1e-9 * np.eye(len(X)), X)


def hollow(weights):
    """The same without a diagonal."""
    return weights - np.diag(np.diag(weights))


def _returning(weights_of, seed, quick):
    """The same at D = 400, and its limit by a straight line of 1/α in ln D/D.

    A flip is 2 max|W_ij| ~ √(ln D α(1 − α)/D) at the other neurons, and the field there is 1 − α.
    """
    sizes, repeats = ((30, 60), (3, 3)) if quick else ((100, 200, 400), (200, 80, 30))
    found = [most_returning(weights_of, D, n, seed) for D, n in zip(sizes, repeats, strict=True)]
    inverted = [Ours(1 / one.value, 1 / one.high, 1 / one.low) for one in found]
    limit = at_infinity([math.log(D) / D for D in sizes], inverted)
    return found[-1]._replace(limit=Ours(1 / limit.value, 1 / limit.high, 1 / limit.low))


@claim(
    FIELD,
    "With its diagonal, the projection rule corrects a flip up to K = N/2",
    KANTER,
    "load up to which a state with one flip returns in one step, in half of the tries; N = 400",
    0.5,
    0.05,
    note="The tolerance is 1/√D, which is what one flip does to the other neurons.",
)
def projection_with_diagonal(quick):
    return most_returning(projection, 60 if quick else 400, 3 if quick else 10, 1)


@claim(
    FIELD,
    "Without its diagonal it corrects a flip up to K = N",
    KANTER,
    "load up to which a state with one flip returns in one step, in half of the tries; N = 400",
    1.0,
    0.02,
    note="The limit is that of a straight line of the inverse load in ln D/D, D = 100, 200 and 400, and the "
    "tolerance is that of the limit.",
)
def projection_hollow(quick):
    return _returning(lambda X: hollow(projection(X)), 2, quick)


@claim(
    FIELD,
    "A network that dreams long enough holds N patterns",
    FACHECHI,
    "W = Xᵀ (1 + t)(1 + tC)⁻¹ X/N without diagonal, C = XXᵀ/N, t = 10⁶; load as above",
    1.0,
    0.02,
    note="The limit is that of a straight line of the inverse load in ln D/D, D = 100, 200 and 400, and the "
    "tolerance is that of the limit.",
)
def dreaming(quick):
    def weights(X, t=1e6):
        correlations = X @ X.T / X.shape[1]
        return hollow(X.T @ np.linalg.solve(np.eye(len(X)) + t * correlations, (1 + t) * X) / X.shape[1])

    found = _returning(weights, 3, quick)
    awake = most_returning(lambda X: weights(X, 0.0), 60 if quick else 400, 3, 4)
    return found._replace(control=f"without dreaming: {awake.value:.2f}")


@claim(
    FIELD,
    "A mixture of three patterns rests at an overlap of ½ with each",
    AGS_FEW,
    "mean overlap of the state reached from sign(ξ¹ + ξ² + ξ³), D = 2000",
    0.5,
    0.005,
)
def mixture_overlap(quick):
    D = 500 if quick else 2000

    def one(key):
        X = eam.datasets.random_patterns(3, D, key=key)
        mixed = np.sign(np.asarray(X, float).sum(axis=0)).astype(np.int8)
        memory = eam.HopfieldNetwork(eam.hebbian(X))
        end = eam.recall(memory, mixed, eam.Asynchronous("sequential"), 50, record=False).state
        return float(np.mean(np.asarray(end, float) @ np.asarray(X, float).T / D))

    return mean_of([one(key) for key in jr.split(jr.key(1), 3 if quick else 40)])


@claim(
    FIELD,
    "The lowest energy of a spin glass is −.7632 per neuron",
    PARISI,
    "lowest of 64 chains at D = 200; limit: a straight line in D^{−2/3} through D = 50, 100 and 200",
    -0.7632,
    0.01,
    note="The tolerance is that of the limit.",
)
def parisi_energy(quick):
    def lowest(D, key):
        of_couplings, of_chains = jr.split(key)
        memory = eam.ising.sherrington_kirkpatrick(D, key=of_couplings)
        chains, sweeps = (16, 50) if quick else (64, 200)
        return float(eam.ising.minimize(memory, chains, sweeps, key=of_chains).energy) / D

    sizes, repeats = ((30, 60), 4) if quick else ((50, 100, 200), 60)
    found = [mean_of([lowest(D, key) for key in jr.split(jr.key(D), repeats)]) for D in sizes]
    return found[-1]._replace(limit=at_infinity([D ** (-2 / 3) for D in sizes], found))


def minima(D, repeats):
    """How many states of spin glasses no flip lowers, and their mean energy per neuron; all 2^D are tried."""
    states = 1.0 - 2.0 * ((np.arange(2 ** (D - 1))[:, None] >> np.arange(D)) & 1)  # the last spin is +1
    states, random = states.astype(np.float32), np.random.default_rng(D)
    counts, energies = [], []
    for _ in range(repeats):
        half = np.triu(random.normal(size=(D, D)), 1).astype(np.float32) / np.float32(math.sqrt(D))
        fields = (states @ (half + half.T)) * states
        stable = (fields > 0).all(axis=1)
        counts.append(2 * stable.sum())
        energies.append(-0.5 * fields[stable].sum() / D)
    return np.array(counts, float), np.array(energies)


@claim(
    FIELD,
    "A spin glass has exp(.1992 N) states that no flip lowers",
    BRAY_MOORE,
    "slope of the logarithm of their mean number, all states of N = 10 and 17 tried",
    0.1992,
    0.01,
    note="The tolerance is a finite-size term: the mean is 1.05 exp(.1992 N) up to 1/N.",
)
def metastable_states(quick):
    sizes, repeats = ((6, 10), 200) if quick else ((10, 17), 2000)
    counts = [minima(D, repeats)[0] for D in sizes]
    slope = lambda means: np.diff(np.log(means), axis=0)[0] / (sizes[1] - sizes[0])  # noqa: E731
    picks = np.random.default_rng(0).integers(0, repeats, (1000, repeats))
    drawn = slope(np.stack([of_size[picks].mean(axis=1) for of_size in counts]))
    value = float(slope(np.array([of_size.mean() for of_size in counts])))
    return Ours(value, *np.quantile(drawn, [0.025, 0.975]).tolist())


@claim(
    FIELD,
    "Transitions of strength λ > 1 carry a network from state to state, weaker ones do not",
    SOMPOLINSKY,
    "strength from which the state after a step is nearer to the next pattern, by bisection; five patterns",
    1.0,
    0.02,
    note="The tolerance is half of 1/√D, D = 500: what other patterns add.",
)
def transition_strength(quick):
    def threshold(key):
        X = np.asarray(eam.datasets.random_patterns(5, 500, key=key))
        low, high = 0.5, 1.5
        while high - low > 1e-3:
            middle = (low + high) / 2
            weights = eam.sequence_weights(X, np.roll(np.eye(5), 1, axis=1), middle)
            after = np.sign(np.asarray(weights, float) @ X[0])
            low, high = (low, middle) if after @ X[1] > after @ X[0] else (middle, high)
        return low

    return mean_of([threshold(key) for key in jr.split(jr.key(2), 4 if quick else 60)])


def _cut(graph):
    nodes, _, best = GRAPHS[graph]

    @claim(
        FIELD,
        f"The best known cut of the graph {graph} ({nodes} vertices) has {best} edges",
        GSET_BEST,
        "largest cut of 64 annealed chains",
        best,
        0.0,
        kind="at least",
        command="python -m benchmarks --only ising --json",
        name=f"cut-{graph.lower()}",
        note="The best of 64 chains of 1,500 sweeps is a lower bound; the upper one is all edges.",
    )
    def cut(quick):
        row = next(r for r in kept("ising") if r["case"] == graph and r["by"] == "energyam")
        return Ours(row["best"], row["best"], GRAPHS[graph][1], control=f"the mean chain: {row['mean']:.0f}")


for graph in GRAPHS:
    _cut(graph)
