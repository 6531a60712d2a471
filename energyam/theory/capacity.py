"""Capacity: how many random, unbiased patterns K a memory of D neurons can hold.

"Exact" means that all D bits of a pattern stay put with a probability near 1; with an `error`, that this
share of the bits is wrong after one update from the pattern. All are asymptotic in D.
"""

import math
from statistics import NormalDist

from energyam import checks

Number = int | float

REPLICA_LOAD = 0.138  # K/D up to which Hebb's retrieval states exist, about 1.6 % of bits wrong


def bit_error(num_neurons: Number, num_patterns: Number, n: Number = 2) -> float:
    """The probability that a bit of a stored pattern is unstable in a memory of order n.

        P = Φ(-√(D^{n-1} / ((2n - 3)!! K)))

    The field at a neuron is a signal of the pattern itself and Gaussian noise of the K others. n = 2 is
    Hebb's rule. **Arguments:** `num_neurons` D; `num_patterns` K, any positive number; `n` at least 2.
    For plain powers sⁿ; rectified ones make half the variance of the noise.
    (Krotov & Hopfield 2016; Hertz, Krogh & Palmer 1991 for n = 2.)
    """
    checks.positive("num_patterns", num_patterns)
    log_ratio = _log_order(num_neurons, n) - math.log(num_patterns)
    return math.erfc(math.exp(min(log_ratio, 10.0) / 2) / math.sqrt(2)) / 2


def polynomial_capacity(num_neurons: Number, n: Number, error: Number | None = None) -> float:
    """Patterns that a polynomial memory of order n holds: K grows as D^{n-1}.

        K = D^{n-1} / (2 (2n - 3)!! ln D)            exact
        K = D^{n-1} / ((2n - 3)!! Φ⁻¹(error)²)       with a share `error` of the bits unstable

    **Arguments:** `num_neurons` D, at least 2; `n`, at least 2; `error`, between 0 and .5 (the paper's
    criterion is .005). Infinity where a float can't hold it. Raises `ValueError` for others.

    For plain powers sⁿ; rectified ones hold twice that. (Krotov & Hopfield 2016.)
    """
    noise = 2 * math.log(checks.count("num_neurons", num_neurons, least=2))
    if error is not None:
        if not 0 < error < 0.5:
            raise ValueError(f"error must lie between 0 and .5; got {error}")
        noise = NormalDist().inv_cdf(error) ** 2
    return _exp(_log_order(num_neurons, n) - math.log(noise))


def hopfield_capacity(num_neurons: Number, error: Number | None = None) -> float:
    """Patterns that Hebb's rule holds: D / (2 ln D) exactly, D / Φ⁻¹(error)² with a share of wrong bits.

    The polynomial memory of order 2. With errors that later updates add, retrieval breaks down at
    `replica_capacity`. (McEliece et al. 1987 for the exact limit.)
    """
    return polynomial_capacity(num_neurons, 2, error)


def replica_capacity(num_neurons: Number) -> float:
    """K = 0.138 D, where Hebb's retrieval states cease to exist, after all updates.

    (Amit, Gutfreund & Sompolinsky 1985, by the replica method.)
    """
    return REPLICA_LOAD * checks.count("num_neurons", num_neurons)


def storkey_capacity(num_neurons: Number) -> float:
    """K = D / √(2 ln D), exact recall under Storkey's rule. (Storkey 1997; Storkey & Valabregue 1999.)"""
    return num_neurons / math.sqrt(2 * math.log(checks.count("num_neurons", num_neurons, least=2)))


def pseudo_inverse_capacity(num_neurons: Number) -> float:
    """K = D: any D - 1 independent patterns are fixed points of the pseudo-inverse rule.

    Their basins shrink to single points on the way there. (Personnaz, Guyon & Dreyfus 1986; Kanter &
    Sompolinsky 1987.)
    """
    return float(checks.count("num_neurons", num_neurons))


def log_exponential_capacity(num_neurons: Number, noise: Number = 0) -> float:
    """The natural log of the number of patterns an exponential memory holds, exp(α D).

        α = I(1 - 2 noise) / 2,    I(a) = ½ (1 + a) ln(1 + a) + ½ (1 - a) ln(1 - a)

    One update from a share `noise` of flipped bits restores every pattern with probability near 1 for
    any smaller α: 2^{D/2} patterns without noise. For E = -Σ exp(ξ·x), β = 1. **Arguments:** `num_neurons`
    D; `noise`, from 0 to below .5. Raises `ValueError` for others. (Demircigil et al. 2017.)
    """
    if not 0 <= noise < 0.5:
        raise ValueError(f"noise must be from 0 to below .5; got {noise}")
    a = 1 - 2 * noise
    rate = ((1 + a) * math.log1p(a) + ((1 - a) * math.log1p(-a) if a < 1 else 0.0)) / 2
    return checks.count("num_neurons", num_neurons) * rate / 2


def _log_order(num_neurons: Number, n: Number) -> float:
    """log(D^{n-1} / (2n - 3)!!)."""
    n, D = checks.count("n", n, least=2), checks.count("num_neurons", num_neurons)
    return (n - 1) * math.log(D) - sum(math.log(k) for k in range(1, 2 * n - 2, 2))


def _exp(log: float) -> float:
    return math.exp(log) if log < math.log(1.7e308) else math.inf
