"""Sparse distributed memory in numbers: signal to noise, critical distance, capacity, the best radius.

n dimension, `radius` the Hamming radius, `num_patterns` (m) patterns, `num_neurons` (r) hard locations, as
in the papers. Everything is in logarithms, so that `num_neurons` may be 2**1000.

The noise that other patterns make depends on how many neurons a query shares with one of them:

* `"paper"`: as many as with a pattern at distance n/2;
* `"averaged"`: the second moment over all distances, as random patterns have them;
* `"independent"`: p² r for circles that hold the fraction p each, as if they were drawn independently.
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from energyam import checks
from energyam.hypercube import (
    check_radius,
    log_binomials,
    log_circle_intersection,
    log_fractions,
    log_number,
    log_of,
    radius_for_log_fraction,
)


def signal_to_noise(
    n: Any,
    radius: Any,
    num_patterns: Any,
    num_neurons: Any,
    noise: str = "paper",
) -> np.ndarray:
    """The signal-to-noise ratio N(x)/σ(x) of a read at distance x = 0..n from its pattern: float64 (n + 1,).

    N(x) = r I(x)/2ⁿ neurons are shared with the pattern, and σ² = N(x) + (m − 1) (N₁ + N₂), where N₁ and N₂
    are the first and second moment of how many are shared with another pattern (see the top of this module).
    `noise="book"` has Kanerva's σ² = (1 + h² r/(4 p² n)) p² r m with h = −exp(−c²)/π, c = (2 radius − n)/√n,
    which takes no account of x.

    Raises `ValueError` for another noise, a radius outside 0..n, or numbers of patterns or neurons below 1.

    Jaeckel (1989) and Bricken & Pehlevan (2021), appendix B; Kanerva (1988), appendix C.
    """
    return np.exp(np.minimum(_log_signal_to_noise(n, radius, num_patterns, num_neurons, noise), 700))


def critical_distance(n: Any, radius: Any, num_patterns: Any, num_neurons: Any, noise: str = "paper") -> int:
    """The largest distance from a pattern at which a read still comes no farther from it, up to n/2.

    A read at distance x lands at new(x) = n (1 − Φ(N(x)/σ(x))) on average. The critical distance ends the
    first run of x ≥ 1 with new(x) ≤ x; where the circles part before that (N(x) = 0), it is that x; and n/2
    if neither happens. It is 0 if no run begins up to n/4: beyond, nothing is recalled.

    **Arguments:** `n`; `radius` 0..n; `num_patterns`, `num_neurons`: at least 1; `noise`: `"paper"`, the
    default, reproduces the published figures, which are too hopeful where n is small (31 at n = 64,
    radius 15, 128 patterns, where simulations give about 21); `"averaged"` mends that.

    Raises `ValueError` for another noise, a radius outside 0..n, or numbers below 1.

    Bricken & Pehlevan, NeurIPS 2021, appendix B.
    """
    snr = signal_to_noise(n, radius, num_patterns, num_neurons, noise)[1 : n // 2 + 1]
    x = np.arange(1, n // 2 + 1)
    nearer = np.array([n * math.erfc(ratio / math.sqrt(2)) / 2 for ratio in snr]) <= x
    starts = np.flatnonzero(nearer[: n // 4])
    if not starts.size:
        return 0
    ends = starts[0] + np.flatnonzero((~nearer | (snr == 0))[starts[0] :])
    if not ends.size:
        return n // 2
    return int(x[ends[0]] if snr[ends[0]] == 0 else x[ends[0]] - 1)


def sdm_capacity(
    n: Any, radius: Any, num_neurons: Any, probability: Any = 0.5, noise: str = "independent"
) -> float:
    """How many patterns can be stored so that one of them is read whole with this probability.

    m = 1 + (N(0)²/z² − N(0)) / (N₁ + N₂), with z = Φ⁻¹(probability^{1/n}) and the moments N₁, N₂ of
    `signal_to_noise`; 0 at least. `probability` lies between 0 and 1.

    Raises `ValueError` for another noise, a radius outside 0..n, or numbers out of range.

    Bricken & Pehlevan, NeurIPS 2021, appendix B.
    """
    log_m = _log_capacity(n, radius, num_neurons, probability, noise)
    return math.exp(min(log_m, 709.0))


def optimal_radius(
    n: Any,
    num_patterns: Any,
    num_neurons: Any,
    criterion: str = "snr",
    noise: str | None = None,
    probability: Any = 0.5,
) -> int:
    """The radius that is best by a criterion: signal to noise, capacity, or critical distance.

    * `"snr"`: the largest N(0)/σ(0). Published: p* = (2 m r)^{−1/3} for the fraction p of a circle.
    * `"capacity"`: the largest `sdm_capacity` (`num_patterns` does not matter). Published: p* is the root of
      2 r² p³ − 3 r z² p² − z² = 0.
    * `"critical_distance"`: the largest `critical_distance`, and the smallest of equally good radii.

    **Arguments:** `noise`: `None` for the published answer (closed forms for `"snr"` and `"capacity"`, and
    the `"paper"` noise for `"critical_distance"`), or a noise of `signal_to_noise` to search all radii up to
    n/2 by the exact geometry; `probability`: of reading a whole pattern (`"capacity"`).

    Raises `ValueError` for another criterion or noise, or numbers out of range.

    Bricken & Pehlevan, NeurIPS 2021, appendix B; 11, 5 and 15 at n = 64, 1,024 patterns, 2⁶⁴ neurons.
    """
    log_m, log_r = log_number("num_patterns", num_patterns), log_number("num_neurons", num_neurons)
    if criterion not in ("snr", "capacity", "critical_distance"):
        raise ValueError(f'criterion must be "snr", "capacity" or "critical_distance"; got {criterion!r}')
    if criterion == "snr":
        if noise is None:
            return radius_for_log_fraction(n, -(math.log(2) + log_m + log_r) / 3)
        merit = [_log_signal_to_noise(n, d, num_patterns, num_neurons, noise)[0] for d in range(n // 2 + 1)]
    elif criterion == "capacity":
        if noise is None:
            return radius_for_log_fraction(n, _log_capacity_fraction(_quantile(n, probability), log_r))
        merit = [_log_capacity(n, d, num_neurons, probability, noise) for d in range(n // 2 + 1)]
    else:
        noise = noise or "paper"
        merit = [critical_distance(n, d, num_patterns, num_neurons, noise) for d in range(n // 2 + 1)]
    return int(np.argmax(merit))


def neuron_distance_distribution(n: Any, num_neurons: Any, published: bool = False) -> np.ndarray:
    """The probability that at least one of r random neurons lies within each distance 0..n of a point.

    1 − (1 − F(d))^r with the exact fraction F(d) of the hypercube; `published`: 1 − exp(−r Φ((2d − n)/√n)).

    **Returns** float64 (n + 1,). Raises `ValueError` for n or a number of neurons below 1.

    Kanerva (1988); Bricken & Pehlevan's program.
    """
    log_r, log_f = log_number("num_neurons", num_neurons), log_fractions(n)
    if published:
        normal = [math.erfc((n - 2 * d) / math.sqrt(2 * n)) / 2 for d in range(n + 1)]
        rates = log_of(np.array(normal))
    else:
        rates = np.where(log_f < -40, log_f, log_of(-np.log1p(-np.minimum(np.exp(log_f), 1 - 1e-16))))
    return -np.expm1(-np.exp(np.minimum(log_r + rates, 700)))


def _log_signal_to_noise(n, radius, num_patterns, num_neurons, noise):
    log_r, log_m = log_number("num_neurons", num_neurons), log_number("num_patterns", num_patterns)
    log_n = _log_shared(n, radius, log_r)
    if noise == "book":
        log_p2 = 2 * float(log_fractions(n)[radius])
        log_h2 = -2 * math.log(math.pi) - 2 * (2 * radius - n) ** 2 / n
        spread = np.logaddexp(0, log_h2 + log_r - math.log(4 * n) - log_p2)
        return log_n - 0.5 * (spread + log_p2 + log_r + log_m)
    others = _log_noise(n, radius, log_n, noise) + (log_of(math.expm1(log_m)) if log_m < 30 else log_m)
    return log_n - 0.5 * np.maximum(np.logaddexp(log_n, others), -1e300)  # −inf where nothing is shared


def _log_noise(n, radius, log_n, noise):
    """log(N₁ + N₂), the moments of how many neurons are shared with a random pattern."""
    if noise == "paper":
        return np.logaddexp(log_n[n // 2], 2 * log_n[n // 2])
    if noise == "averaged":
        shares = log_binomials(n) - n * math.log(2)
        return np.logaddexp.reduce(np.concatenate([shares + log_n, shares + 2 * log_n]))
    if noise == "independent":
        log_mean = log_n[0] + log_fractions(n)[radius]
        return np.logaddexp(log_mean, 2 * log_mean)
    raise ValueError(f'noise must be "paper", "averaged" or "independent"; got {noise!r}')


def _log_capacity(n, radius, num_neurons, probability, noise):
    log_n = _log_shared(n, radius, log_number("num_neurons", num_neurons))
    signal = log_n[0] - 2 * math.log(_quantile(n, probability))  # log N(0)/z²
    others = _log_noise(n, radius, log_n, noise)
    if signal <= 0:
        return -math.inf
    return float(np.logaddexp(0, log_n[0] + signal + math.log1p(-math.exp(-signal)) - others))


def _log_capacity_fraction(z, log_r):
    """log of the root p of 2 r² p³ − 3 r z² p² − z² = 0, found at the scale p = s u: u³ − a u² − 1 = 0."""
    log_s = (2 * math.log(z) - math.log(2) - 2 * log_r) / 3
    a = math.exp(math.log(1.5) + 2 * math.log(z) - log_r - log_s)
    roots = np.roots([1, -a, 0, -1])
    return min(log_s + math.log(roots[np.argmin(np.abs(roots.imag))].real), 0)


def _quantile(n, probability):
    """z = Φ⁻¹(probability^{1/n})."""
    checks.positive("probability", probability)
    checks.fraction("probability", probability)
    tail = -math.expm1(math.log(probability) / n)
    if not 0 < tail < 0.5:
        raise ValueError(f"probability must lie above 2^-n and below 1; got {probability}")
    return -NormalDist().inv_cdf(tail)


def _log_shared(n, radius, log_r):
    """log N(x), the number of neurons within the radius of both of two points at distance x = 0..n."""
    return log_circle_intersection(n, check_radius(n, radius)) + log_r - n * math.log(2)
