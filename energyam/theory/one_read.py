"""One read of a sparse distributed memory: how near it ends to the pattern, and from how far it still comes
nearer.

This is about a single read for a random pattern. Repeated reads, until nothing changes, restore patterns
completely only from smaller distances at small n, because reads move little near the critical distance.
"""

import math

import numpy as np

from energyam import checks
from energyam.checks import Number, Whole
from energyam.hypercube import check_radius, log_fractions, log_number
from energyam.theory.sdm import NOISES, Noise, log_deviation, log_lean, log_less, log_shared


def next_distance(
    n: Whole, radius: Whole, num_patterns: Number, num_neurons: Number, noise: Noise = "corrected"
) -> np.ndarray:
    """The mean distance from its pattern after a read at distance x = 0..n: float64 (n + 1,).

        next(x) = (n − x) Φ(−(N(x) + B)/σ) + x Φ(−(N(x) − B)/σ),    B = (m − 1) p² r b² + ½ min(1, σ²)

    N(x) neurons are shared with the pattern, whose bits they vote for. Other patterns with which the query
    shares neurons lie near the query, and pull each bit towards the value it has: B, where p is the fraction
    of a circle and b the mean bit in a circle around (1, …, 1). The ½ is for ties, which leave the bit; less
    where the field is mostly 0, so that a read that meets no neuron is no recall. For r neurons at random
    places σ² = N(x) + (m − 1)(p² r + Σ_h C(n, h) 2⁻ⁿ N(h)² − (p² r b²)²)
    + (m − 1)(m − 2) p³ r b²; the last term is of the neurons themselves, each of which leans to its own
    address. For `PatternSDM`, which has infinitely many, pass a `num_neurons` such as 2**1000.

    The published noises (see `signal_to_noise`) have B = 0. It is a normal approximation: the query should
    activate ten neurons or more.

    Raises `ValueError` for another noise, a radius outside 0..n, or numbers below 1.

    Kanerva (1988) and Bricken & Pehlevan (2021), appendix B, without the pull.

        >>> found = eam.theory.next_distance(1000, 451, 10_000, 10**6)
        >>> bool(found[100] < 100), bool(found[300] > 300)  # one comes nearer, the other gets lost
        (True, True)
    """
    gap, _ = _approach(n, radius, num_patterns, num_neurons, noise)
    return np.arange(n + 1) + gap


def critical_distance(
    n: Whole, radius: Whole, num_patterns: Number, num_neurons: Number, noise: Noise = "corrected"
) -> int:
    """The largest distance from a pattern at which one read still comes no farther from it, up to n/2.

    It ends the first run of x ≥ 1 with `next_distance` ≤ x; n/2 if the run goes on, and 0 if none begins up
    to n/4: beyond, nothing is recalled. An odd x shares as many neurons as x + 1, and passes with it
    (`"corrected"`; the published ones end there). At n = 1000, radius 451, 10,000 patterns and 10⁶ neurons it
    is 228 (simulated: 229 ± 1), where Kanerva's book has 209.

    The crossing is ill-conditioned where patterns are few: at n = 512, radius 220, 600 patterns, a read from
    226 to 246 lands within three bits of where it began, and the answer is 256. Look at `next_distance`
    before trusting the digit. Where patterns are so many that they hold every query in its place, no read
    from the run comes nearer by as much as one bit, and the answer is 0.

    **Arguments:** `n`; `radius` 0..n; `num_patterns`, `num_neurons`: at least 1; `noise`: what is left out by

    * `"corrected"`: covariances of the pattern itself and the others, small;
    * `"averaged"`: the pull of other patterns towards the query, and the lean of the neurons. It has 152;
    * `"paper"`: these, and that some patterns are nearer than n/2. It has the published figures: 164 here,
      and 31 at n = 64, radius 15, 128 patterns, where whole recall reaches about 21;
    * `"independent"`: these, and that the distances of other patterns differ at all;
    * `"book"`: the pull, and that noise depends on the query's distance. It has 212.

    Where the circles part first (N(x) = 0), the published ones return that x.

    Raises `ValueError` for another noise, a radius outside 0..n, or numbers below 1.

    Kanerva (1988), chapter 7; Bricken & Pehlevan, NeurIPS 2021, appendix B.

        >>> eam.theory.critical_distance(1000, 451, 10_000, 10**6)
        228
    """
    gap, apart = _approach(n, radius, num_patterns, num_neurons, noise)
    gap, apart = gap[1 : n // 2 + 1], apart[1 : n // 2 + 1]
    nearer = gap <= 0
    if noise == "corrected":  # an odd distance shares no more than the even one above it
        nearer[:-1:2] = nearer[1::2]
    starts = np.flatnonzero(nearer[: n // 4])
    if not starts.size:
        return 0
    ends = starts[0] + np.flatnonzero((~nearer | apart)[starts[0] :])
    end = int(ends[0] if ends.size else n // 2)
    if noise != "corrected":
        return end + bool(ends.size and apart[end])
    return end if gap[starts[0] : end].min(initial=0) <= -1 else 0


def _approach(n, radius, num_patterns, num_neurons, noise):
    """next(x) − x, and where nothing is shared with the pattern, for x = 0..n.

    The difference is (n − x) Φ(−(N + B)/σ) − x Φ(−(B − N)/σ), so that it keeps its sign where both are tiny.
    """
    checks.one_of("noise", noise, NOISES)
    radius = check_radius(n, radius)
    log_r, log_m = log_number("num_neurons", num_neurons), log_number("num_patterns", num_patterns)
    log_n = log_shared(n, radius, log_r)
    log_sigma = log_deviation(n, radius, log_m, log_r, noise)
    signal = np.exp(np.minimum(log_n - log_sigma, 300))
    pull = np.zeros(n + 1)
    if noise == "corrected":
        pull = np.exp(np.minimum(_log_pull(n, radius, log_m, log_r, log_sigma) - log_sigma, 300))
    x = np.arange(n + 1)
    with np.errstate(divide="ignore"):
        lost = np.log(n - x) + [_log_tail(t) for t in pull + signal]
        mended = np.log(x) + [_log_tail(t) for t in pull - signal]
    return _difference(lost, mended), np.isneginf(log_n)


def _log_pull(n, radius, log_m, log_r, log_sigma):
    """log B."""
    others = log_less(log_m, 1) + log_r + 2 * (log_fractions(n)[radius] + log_lean(n, radius))
    return np.logaddexp(others, np.minimum(2 * log_sigma, 0) - math.log(2))


def _log_tail(t):
    """log Φ(−t)."""
    if t < 37:
        return math.log(math.erfc(t / math.sqrt(2)) / 2)
    return -(t**2) / 2 - math.log(t * math.sqrt(2 * math.pi)) - 1 / t**2


def _difference(a, b):
    """exp a − exp b, not 0 unless a = b: the smallest float where both underflow."""
    return np.where(a == b, 0, np.sign(a - b) * np.maximum(np.abs(np.exp(a) - np.exp(b)), 5e-324))
