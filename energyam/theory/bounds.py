"""Bounds of the circle intersection, and exponential approximations that were published as bounds.

Everything is the natural log of a fraction of {±1}ⁿ, as a float64 table over the Hamming distance h = 0..n.
I(h) is a double sum of C(n−h, a) C(h, b): the points that agree with both centres on a coordinates, and with
the first on b of the h others.
"""

import math

import numpy as np

from energyam import checks
from energyam.checks import Whole
from energyam.hypercube import check_radius, log_binomials


def log_lower_bound(n: Whole, radius: Whole) -> np.ndarray:
    """The largest term of the double sum: C(n−h, a) C(h, ⌊h/2⌋), a = max(n−radius−⌊h/2⌋, ⌊(n−h)/2⌋).

    A true lower bound of I(h)/2ⁿ; −inf where the circles don't meet. Raises `ValueError` for a radius
    outside 0..n.

    Bricken & Pehlevan, NeurIPS 2021, appendix B, take this term for the whole sum.

        >>> exact = eam.hypercube.log_circle_intersection(64, 11) - 64 * np.log(2)
        >>> bool((eam.theory.log_lower_bound(64, 11)[:23] <= exact[:23] + 1e-9).all())
        True
    """
    radius, logs = check_radius(n, radius), np.full(n + 1, -np.inf)
    for h in range(n + 1):
        a = max(n - radius - h // 2, (n - h) // 2)
        if a <= n - h:
            logs[h] = log_binomials(n - h)[a] + log_binomials(h)[h // 2]
    return logs - n * math.log(2)


def log_upper_bound(n: Whole, radius: Whole) -> np.ndarray:
    """The largest term times the number of terms: a true upper bound of I(h)/2ⁿ.

    Raises `ValueError` for a radius outside 0..n.

        >>> exact = eam.hypercube.log_circle_intersection(64, 11) - 64 * np.log(2)
        >>> bool((eam.theory.log_upper_bound(64, 11)[:23] >= exact[:23] - 1e-9).all())
        True
    """
    radius = check_radius(n, radius)
    counts = np.array([_num_terms(n, radius, h) for h in range(n + 1)])
    return log_lower_bound(n, radius) + np.log(np.maximum(counts, 1))


def log_normal_approximation(n: Whole, radius: Whole, taylor: bool = False) -> np.ndarray:
    """The published exponential approximation, 2/(π√(h(n−h))) exp(−(n−2 radius)²/(2(n−h))); NaN at h = 0, n.

    The normal approximation of the largest term (odd h keep the rounding of h/2). `taylor`: the exponent to
    first order in h, −(n−2 radius)²/(2n) · (1 + h/n). The paper calls it a lower bound, which it is not: at
    n = 64, radius 11, it lies above the intersection wherever the circles meet. `log_lower_bound` is one.

    Raises `ValueError` for a radius outside 0..n.

    Bricken & Pehlevan, NeurIPS 2021, appendix B.

        >>> exact = eam.hypercube.log_circle_intersection(64, 11) - 64 * np.log(2)
        >>> bool((eam.theory.log_normal_approximation(64, 11)[1:23] > exact[1:23]).all())  # no lower bound
        True
    """
    radius, h = check_radius(n, radius), np.arange(1, n)
    log_constant = math.log(2 / math.pi) - 0.5 * np.log(h * (n - h))
    if checks.flag("taylor", taylor):
        exponent = -((n - 2 * radius) ** 2) / (2 * n) * (1 + h / n)
    else:
        mean_a = (n - radius - h // 2) - (n - h) / 2
        exponent = -2 * mean_a**2 / (n - h) - 2 * (h // 2 - h / 2) ** 2 / h
    return np.concatenate([[np.nan], log_constant + exponent, [np.nan]])


def exponent_beta(n: Whole, radius: Whole) -> float:
    """β ≈ (n − 2 radius)²/(4n), read off the exponent of the Taylor approximation.

    Least squares gives between this and three times this. Raises `ValueError` for a radius outside 0..n.

    Bricken & Pehlevan, NeurIPS 2021, appendix B.

        >>> eam.theory.exponent_beta(64, 11)  # (64 − 22)² / 256
        6.890625
    """
    return (n - 2 * check_radius(n, radius)) ** 2 / (4 * n)


def _num_terms(n, radius, h):
    """How many (a, b) with 0 ≤ b ≤ h and n−radius−a ≤ b ≤ h−(n−radius−a) there are."""
    short = n - radius - np.arange(n - h + 1)
    return int(np.maximum(np.minimum(h, h - short) - np.maximum(0, short) + 1, 0).sum())
