"""The β that a memory needs, computed from its patterns."""

import math

import numpy as np
from jaxtyping import ArrayLike, Float

from energyam import checks
from energyam.checks import Number

_PRODUCTS = 2 * 10**7  # similarities that are looked at
_ROWS = 64  # patterns that are looked at together
_HALVINGS = 24


def suggest_beta(
    patterns: ArrayLike, noise: Number = 0.0, weight: Number = 0.99, share: Number = 0.95
) -> float:
    """The smallest β at which noisy copies of the patterns read them back, for softmax memories of overlaps.

        Σ_{ν≠μ} exp(−β m_μν) = (1 − weight) / weight,    m = mean − √(2 ln K) · deviation of (ξ_μ − ξ_ν) · x

    A copy x of ξ_μ then gives it at least this `weight` of the softmax(β Ξx), unless a fluctuation is larger
    than the largest of K usual ones. This is what `ModernHopfield`, `ExponentialDenseAM` and attention need:
    with less, the answer is a mean of many patterns, and `converged` alone does not reveal that it is wrong.
    It uses the margin of Ramsauer et al., ξ·ξ − max ξ·ξ', for each pattern, whereas their bound uses the
    smallest margin for all.

    **Arguments:**

    - `patterns` (K, D), K ≥ 2: ±1, or real. Equal patterns count as one. If there are very many, a sample is
    used.
    - `noise`: of ±1 patterns the share of entries that are flipped, below .5; of real ones the length of
      Gaussian noise relative to that of the pattern.
    - `weight`: that a pattern should have, between 0 and 1; `share`: of the patterns, above 0, for which this
      should hold: the others are too near to one another.

    Raises `ValueError` for others, and if too many patterns are so near to another one that no β can separate
    their noisy copies.

    Ramsauer et al., ICLR 2021, theorems 3 to 5.

        >>> patterns = eam.datasets.random_patterns(100, 64, key=jr.key(0))
        >>> beta = eam.theory.suggest_beta(patterns, noise=0.1)
        >>> query = eam.datasets.flip_bits(patterns[7], 0.1, key=jr.key(1))
        >>> memory = eam.ExponentialDenseAM(patterns, beta)
        >>> bool(eam.evaluation.retrieved(memory, query).weight > 0.99)
        True
    """
    X = np.asarray(checks.as_floats("patterns", patterns, "K D"), np.float64)
    weight, share = _between("weight", weight), _between("share", share, closed=True)
    binary = bool((np.abs(X) == 1).all())
    noise = checks.number("noise", noise)
    if noise < 0 or (binary and noise >= 0.5):
        raise ValueError(f"noise must be at least 0{', and below .5 for ±1' * binary}; got {noise}")
    if (X == X[:1]).all():
        raise ValueError(f"patterns must be two or more that differ; got {len(X)}, all the same")
    squares, count = np.sum(X**2, axis=1), min(len(X), max(_ROWS, _PRODUCTS // len(X)))
    rows = np.unique(np.linspace(0, len(X) - 1, count).round().astype(int))
    parts = np.array_split(rows, -(-len(rows) // _ROWS))
    margins = (_margins(X, squares, part, noise, binary) for part in parts)
    betas = np.concatenate([_betas(some, weight / (1 - weight)) for some in margins])
    lost = np.isinf(betas).mean()
    if lost > 1 - share:
        got = f"{noise}, with which {lost:.0%} of them are as near to another pattern"
        why = f"share = {share} asks for {share:.0%} of the patterns to be distinguished"
        raise ValueError(f"noise must be less for these patterns; got {got}, and {why}")
    return float(np.quantile(betas, share, method="higher"))


def _margins(X, squares, rows, noise, binary):
    """By how much x is likelier ξ_μ, of `rows` (R,), than each ξ_ν, less what noise may take: (R, K).

    Infinite for equal patterns.
    """
    K, D = X.shape
    products = X[rows] @ X.T
    own = squares[rows][:, None]
    apart = np.maximum(own + squares[None] - 2 * products, 0)  # ‖ξ_μ − ξ_ν‖²
    mean = own - products
    if binary:  # of d = apart / 4 places that differ, a hypergeometric number is flipped
        variance = 4 * apart * noise * (1 - noise) * (1 - apart / (4 * D))
        mean = mean * (1 - 2 * noise)
    else:
        variance = noise**2 * own * apart / D
    margins = mean - math.sqrt(2 * math.log(K)) * np.sqrt(variance)
    return np.where(apart <= 1e-12 * (own + squares[None]), np.inf, margins)


def _betas(margins: Float[np.ndarray, "R K"], odds: float) -> Float[np.ndarray, " R"]:
    """For each row the β with Σ exp(−β m) = 1 / odds; infinite where a margin is not positive."""
    least = margins.min(axis=1)
    known = (least > 0) & np.isfinite(least)
    scale = np.where(known, least, 1)
    # The nearest pattern alone asks for ln(odds), all as near as it for ln(K odds).
    low = np.full(len(margins), max(math.log(odds), 0.0))
    high = low + math.log(margins.shape[1]) + max(-math.log(odds), 0.0)
    relative = np.where(known[:, None], margins / scale[:, None], 1)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        total = np.exp(-np.where(known, middle, 1)[:, None] * relative).sum(axis=1)
        low, high = np.where(total * odds > 1, middle, low), np.where(total * odds > 1, high, middle)
    return np.where(known, high / scale, np.inf)


def _between(name: str, value: Number, closed: bool = False) -> float:
    number = checks.number(name, value)
    if not 0 < number < 1 + closed * 1e-12:
        raise ValueError(f"{name} must lie between 0 and 1; got {value}")
    return number
