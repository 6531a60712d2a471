"""Sparse distributed memory in numbers: signal to noise, and how many patterns it holds.

n dimension, `radius` the Hamming radius, `num_patterns` (m) patterns, `num_neurons` (r) hard locations, as
in the papers. Everything is in logarithms, so that `num_neurons` may be 2**1000.

The noise that other patterns make depends on how many neurons a query shares with one of them. Of the five
models all but the last are published, and take the patterns for independent of the query and one another:

* `"paper"`: as many as with a pattern at distance n/2. Leaves out that some patterns are nearer.
* `"averaged"`: the second moment over all distances, as random patterns have them.
* `"independent"`: p² r for circles that hold the fraction p each, as if they were drawn independently.
* `"book"`: Kanerva's, one number for all distances of the query (see `signal_to_noise`).
* `"corrected"`: `"averaged"`, less the square of the mean, and what the neurons that the query activates have
  in common: the words written to a neuron lie near its address, so that its counters lean towards it. Over
  the active neurons these leanings add up to the pull of `next_distance` and, as there are only so many, to
  the variance (m − 1)(m − 2) p³ r b².
"""

import math
from statistics import NormalDist
from typing import Literal

import numpy as np

from energyam import checks
from energyam.checks import Number, Whole
from energyam.hypercube import (
    check_dimension,
    check_radius,
    log_binomials,
    log_circle_intersection,
    log_fractions,
    log_number,
    log_of,
)

Noise = Literal["paper", "averaged", "independent", "book", "corrected"]
Published = Literal["paper", "averaged", "independent"]  # of the query
NOISES = ("paper", "averaged", "independent", "book", "corrected")


def signal_to_noise(
    n: Whole, radius: Whole, num_patterns: Number, num_neurons: Number, noise: Noise = "paper"
) -> np.ndarray:
    """The signal-to-noise ratio N(x)/σ(x) of a read at distance x = 0..n from its pattern: float64 (n + 1,).

    N(x) = r I(x)/2ⁿ neurons are shared with the pattern, and σ² = N(x) + (m − 1) (N₁ + N₂), where N₁ and N₂
    are the first and second moment of how many are shared with another pattern (see the top of this module).
    `noise="book"` has Kanerva's σ² = (1 + h² r/(4 p² n)) p² r m with h = −exp(−c²)/π, c = (2 radius − n)/√n,
    which takes no account of x; `noise="corrected"` has the variance of `next_distance`.

    Raises `ValueError` for another noise, a radius outside 0..n, or numbers of patterns or neurons below 1.

    Jaeckel (1989) and Bricken & Pehlevan (2021), appendix B; Kanerva (1988), appendix C.

        >>> found = eam.theory.signal_to_noise(1000, 451, 10_000, 10**6)
        >>> bool(found[0] > found[100] > found[200])
        True
    """
    checks.one_of("noise", noise, NOISES)
    log_r, log_m = log_number("num_neurons", num_neurons), log_number("num_patterns", num_patterns)
    log_n = log_shared(n, radius, log_r)
    return np.exp(np.minimum(log_n - log_deviation(n, radius, log_m, log_r, noise), 700))


def sdm_capacity(
    n: Whole, radius: Whole, num_neurons: Number, probability: Number = 0.5, noise: Published = "independent"
) -> float:
    """How many patterns can be stored so that one of them is read without an error with this probability.

    m = 1 + (N(0)²/z² − N(0)) / (N₁ + N₂), with z = Φ⁻¹(probability^{1/n}) and the moments N₁, N₂ of
    `signal_to_noise`; 0 at least. `probability` lies between 0 and 1.

    Raises `ValueError` for another noise, a radius outside 0..n, or numbers out of range.

    Bricken & Pehlevan, NeurIPS 2021, appendix B.

        >>> round(eam.theory.sdm_capacity(1000, 451, 10**6), -3)
        45000.0
    """
    return math.exp(min(log_capacity(n, radius, num_neurons, probability, noise), 709.0))


def neuron_distance_distribution(n: Whole, num_neurons: Number, published: bool = False) -> np.ndarray:
    """The probability that at least one of r random neurons lies within each distance 0..n of a point.

    1 − (1 − F(d))^r with the exact fraction F(d) of the hypercube; `published`: 1 − exp(−r Φ((2d − n)/√n)).

    **Returns** float64 (n + 1,). Raises `ValueError` for n or a number of neurons below 1.

    Kanerva (1988); Bricken & Pehlevan's program.

        >>> found = eam.theory.neuron_distance_distribution(1000, 10**6)
        >>> int(np.searchsorted(found, 0.5))  # the nearest of a million neurons, in the median
        424
    """
    log_r, log_f = log_number("num_neurons", num_neurons), log_fractions(n)
    if checks.flag("published", published):
        normal = [math.erfc((n - 2 * d) / math.sqrt(2 * n)) / 2 for d in range(n + 1)]
        rates = log_of(np.array(normal))
    else:
        rates = np.where(log_f < -40, log_f, log_of(-np.log1p(-np.minimum(np.exp(log_f), 1 - 1e-16))))
    return -np.expm1(-np.exp(np.minimum(log_r + rates, 700)))


def log_deviation(n: Whole, radius: Whole, log_m: int | float, log_r: int | float, noise: str) -> np.ndarray:
    """log σ(x) of the field of a read at distance x = 0..n: float64 (n + 1,), finite also where σ is 0."""
    log_n, log_p = log_shared(n, radius, log_r), float(log_fractions(n)[radius])
    log_others = log_less(log_m, 1)
    if noise == "book":
        log_h2 = -2 * math.log(math.pi) - 2 * (2 * radius - n) ** 2 / n
        spread = np.logaddexp(0, log_h2 + log_r - math.log(4 * n) - 2 * log_p)
        return np.full(n + 1, 0.5 * (spread + 2 * log_p + log_r + log_m))
    if noise == "corrected":
        log_mean = log_r + 2 * (log_p + log_lean(n, radius))  # of N ξᵢqᵢ: how much one pattern pulls
        moments = _log_noise(n, radius, log_n, "averaged")
        each = moments + log_of(-np.expm1(np.minimum(2 * log_mean - moments, 0)))
        total = np.logaddexp(log_others + each, log_others + log_less(log_m, 2) + log_p + log_mean)
    else:
        total = log_others + _log_noise(n, radius, log_n, noise)
    return 0.5 * np.maximum(np.logaddexp(log_n, total), -1e300)


def log_lean(n: Whole, radius: Whole) -> float:
    """log b, where b = E[zᵢ] over the points z within the radius of (1, …, 1): the lean of a circle's bits.

    b = (n − d) C(n, d) / (n Σ_{k ≤ d} C(n, k)) for the radius d, as the sum of (n − 2k) C(n, k) over k ≤ d
    is (n − d) C(n, d).
    """
    share = log_of(1 - radius / n) + log_binomials(n)[radius] - n * math.log(2)
    return float(share - log_fractions(n)[radius])


def _log_noise(n, radius, log_n, noise):
    """log(N₁ + N₂), the moments of how many neurons are shared with a random pattern."""
    if noise == "paper":
        return np.logaddexp(log_n[n // 2], 2 * log_n[n // 2])
    if noise == "averaged":
        shares = log_binomials(n) - n * math.log(2)
        return np.logaddexp.reduce(np.concatenate([shares + log_n, shares + 2 * log_n]))
    log_mean = log_n[0] + log_fractions(n)[radius]
    return np.logaddexp(log_mean, 2 * log_mean)


def log_capacity(n: Whole, radius: Whole, num_neurons: Number, probability: Number, noise: str) -> float:
    """The log of `sdm_capacity`, however large; the same errors."""
    checks.one_of("noise", noise, ("paper", "averaged", "independent"))
    log_n = log_shared(n, radius, log_number("num_neurons", num_neurons))
    signal = log_n[0] - 2 * math.log(quantile(n, probability))  # log N(0)/z²
    others = _log_noise(n, radius, log_n, noise)
    if signal <= 0:
        return -math.inf
    return float(np.logaddexp(0, log_n[0] + signal + math.log1p(-math.exp(-signal)) - others))


def log_capacity_fraction(z: int | float, log_r: int | float) -> float:
    """The log of the root p of 2 r² p³ − 3 r z² p² − z² = 0, found as p = s u with u³ − a u² − 1 = 0."""
    log_s = (2 * math.log(z) - math.log(2) - 2 * log_r) / 3
    a = math.exp(math.log(1.5) + 2 * math.log(z) - log_r - log_s)
    roots = np.roots([1, -a, 0, -1])
    return min(log_s + math.log(roots[np.argmin(np.abs(roots.imag))].real), 0)


def quantile(n: Whole, probability: Number) -> float:
    """z = Φ⁻¹(probability^{1/n}). Raises `ValueError` for a probability out of range."""
    check_dimension(n)
    checks.number("probability", probability, 0, 1)
    tail = -math.expm1(math.log(probability) / n) if probability > 0 else 1.0
    if not 0 < tail < 0.5:
        raise ValueError(f"probability must lie above 2^-n and below 1; got {probability}")
    return -NormalDist().inv_cdf(tail)


def log_shared(n: Whole, radius: Whole, log_r: int | float) -> np.ndarray:
    """log N(x), the number of neurons within the radius of both of two points at distance x = 0..n."""
    return log_circle_intersection(n, check_radius(n, radius)) + log_r - n * math.log(2)


def log_less(log_number: int | float, less: int) -> float:
    """log max(number − less, 0), for numbers that may exceed any float."""
    return log_number if log_number > 40 else float(log_of(max(math.exp(log_number) - less, 0.0)))
