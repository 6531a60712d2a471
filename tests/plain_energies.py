"""Energies in plain numpy and float64, written from their formulas: for tests by enumeration."""

import numpy as np

import energyam as eam


def log_sum_exp(s):
    return np.logaddexp.reduce(s, axis=0)


def sdm_energy(X, S):
    """−Σ_μ C(h_μ) in units of I(0): C rises by ½ (I(h) + I(h − ½)) as h falls by a half, I linear between."""
    D = X.shape[1]
    circles = np.array([float(c) for c in eam.hypercube.circle_intersection(D, 3)])
    at_halves = np.interp(np.arange(2 * D + 1) / 2, np.arange(D + 1), circles / circles[0])
    steps = 0.5 * (at_halves[1:] + at_halves[:-1])
    running = np.append(np.cumsum(steps[::-1])[::-1], 0.0)
    return -running[(D - X @ S).round().astype(int)].sum(axis=0)


def best_weights(weights, total):
    """The weights(τ) (K, N) that fall with τ and sum to `total`, by bisection."""
    low, high = -100.0, 100.0
    for _ in range(80):
        tau = (low + high) / 2
        more = weights(tau).sum(axis=0) > total
        low, high = np.where(more, tau, low), np.where(more, high, tau)
    return weights(low)


def entmax_energy(s, beta):
    """−max_p p·s − Ω(p)/β for α = 3/2."""
    p = best_weights(lambda tau: np.maximum(0.5 * beta * s - tau, 0) ** 2, 1)
    return -(p * s).sum(0) + ((p**1.5).sum(0) - 1) / (0.75 * beta)


def subsets_energy(s, beta, k):
    """−max_p p·s − ‖p‖²/2β over weights from 0 to 1 that sum to k."""
    p = best_weights(lambda tau: np.clip(beta * s - tau, 0, 1), k)
    return -(p * s).sum(0) + (p**2).sum(0) / (2 * beta)


def couplings(X, diagonal=False):
    W = X.T @ X / X.shape[1]
    return W if diagonal else W - np.diag(np.diag(W))


def quadratic_form(W, S):
    return -0.5 * np.einsum("in,ij,jn->n", S, W, S)


def own_similarity(X, S):
    return (X / (1 + 0.2 * np.arange(X.shape[1]))) @ S


def half_distance(X, S):
    """−½ ‖x − ξ‖²."""
    return X @ S - 0.5 * (S**2).sum(0) - 0.5 * (X**2).sum(1)[:, None]


def cosines(X, S):
    """Cosines, 0 where the state or the pattern is 0."""
    sizes = np.sqrt((X**2).sum(1))[:, None] * np.sqrt((S**2).sum(0))
    return X @ S / np.where(sizes > 0, sizes, 1)


def on_ring(D):
    """Which pairs of neurons `zoo.ring` couples: those at most two apart, and the first with all odd ones."""
    i, j = np.indices((D, D))
    apart, hub = np.minimum((i - j) % D, (j - i) % D), (np.minimum(i, j) == 0) & (np.maximum(i, j) % 2 == 1)
    return ((apart > 0) & (apart <= 2)) | hub


# Energies (N,) of states S (D, N) in float64, from patterns X (K, D) and the ramp r (D,).
ENERGIES = {
    "chn": lambda X, S, r: -0.5 * ((X @ S) ** 2).sum(0),
    "quadratic": lambda X, S, r: -0.5 * ((X @ S) ** 2).sum(0),
    "polynomial_3": lambda X, S, r: -(np.maximum(X @ S, 0) ** 3).sum(0) / 3,
    "polynomial_4_plain": lambda X, S, r: -((X @ S) ** 4).sum(0) / 4,
    "polynomial_2.5": lambda X, S, r: -(np.maximum(X @ S, 0) ** 2.5).sum(0) / 2.5,
    "exponential": lambda X, S, r: -log_sum_exp(0.7 * X @ S),
    "steep": lambda X, S, r: -log_sum_exp(9 * X @ S) / 9,
    "relu": lambda X, S, r: -0.5 * (np.maximum(X @ S, 0) ** 2).sum(0),
    "topk": lambda X, S, r: -log_sum_exp(0.5 * np.sort(X @ S, axis=0)[-2:]) / 0.5,
    "hopfield": lambda X, S, r: quadratic_form(couplings(X), S),
    "sdm": lambda X, S, r: sdm_energy(X, S),
    "hopfield_biased": lambda X, S, r: quadratic_form(couplings(X, True), S) - r @ S,
    "float_patterns": lambda X, S, r: -log_sum_exp(0.6 * (X + r) @ S) / 0.6,
    "float_quadratic": lambda X, S, r: -0.5 * (((X + r) @ S) ** 2).sum(0),
    "distances": lambda X, S, r: -log_sum_exp(0.7 * half_distance(X, S)) / 0.7,
    "product": lambda X, S, r: -log_sum_exp(0.7 * X[:, :3] @ S[:3]) - log_sum_exp(0.7 * X[:, 3:] @ S[3:]),
    "entmax": lambda X, S, r: entmax_energy(X @ S, 0.3),
    "subsets": lambda X, S, r: subsets_energy(X @ S, 0.2, 2),
    "cosine": lambda X, S, r: -log_sum_exp(9 * cosines(X, S)) / 9,
    "compact": lambda X, S, r: -99 * np.log((1 + half_distance(X, S) / 99).sum(0)),
    "own_separation": lambda X, S, r: -np.cosh(X @ S / 3).sum(0),
    "own_similarity": lambda X, S, r: -log_sum_exp(0.8 * own_similarity(X, S)) / 0.8,
    "energy_alone": lambda X, S, r: -(np.abs(X @ S) ** 1.5).sum(0) - r @ S,
    "sparse": lambda X, S, r: quadratic_form(couplings(X) * on_ring(X.shape[1]), S) - r @ S,
    "potts_hopfield": lambda X, S, r: quadratic_form(couplings(X, True), S) - r @ S,
    "potts_exponential": lambda X, S, r: -log_sum_exp(0.7 * X @ S),
    "potts_polynomial": lambda X, S, r: -((X @ S) ** 3).sum(0) / 3,
    "potts_energy_alone": lambda X, S, r: -(np.abs((X + r) @ S) ** 1.5).sum(0),
}


def energies_of_states(name, X, S):
    """The energies (n,) of states (n, D), of the memory that the zoo makes of whole patterns X."""
    X, S = np.asarray(X, np.float64), np.asarray(S, np.float64)
    return ENERGIES[name](X, S.T, np.linspace(-0.5, 0.5, X.shape[1]))
