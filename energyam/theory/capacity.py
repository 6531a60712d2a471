"""Capacity: how many random, unbiased patterns K a memory of D neurons can hold.

"Exact" means that all D bits of a pattern stay the same with a probability near 1; with an `error`, that this
share of the bits is wrong after one update from the pattern. All are asymptotic in D.
"""

import math
from statistics import NormalDist

from energyam import checks
from energyam.checks import Number, Whole

LARGEST = 10**300  # of whole numbers that are turned into floats

ORDER = 10**15
LOG_BASE = 2 - math.log(math.cosh(2))  # ln b of the exponential sequence
LARGEST_MARGIN = 1e6  # of Gardner's that a float can tell from others
REPLICA_LOAD = 0.138  # K/D up to which Hebb's retrieval states exist, about 1.6 % of bits wrong


def bit_error(num_neurons: Whole, num_patterns: Number, n: Whole = 2) -> float:
    """The probability that a bit of a stored pattern is unstable in a memory of order n.

        P = Φ(-√(D^{n-1} / ((2n - 3)!! K)))

    The field at a neuron is a signal of the pattern itself and Gaussian noise of the K others. n = 2 is
    Hebb's rule. **Arguments:** `num_neurons` D; `num_patterns` K, any positive number; `n` at least 2.
    For plain powers sⁿ; rectified ones make half the variance of the noise. Raises `ValueError` for others.
    (Krotov & Hopfield 2016; Hertz, Krogh & Palmer 1991 for n = 2.)

        >>> round(eam.theory.bit_error(1000, 138), 4), eam.theory.bit_error(1000, 138, n=3) < 1e-9
        (0.0036, True)
    """
    checks.positive("num_patterns", num_patterns)
    log_ratio = _log_order(num_neurons, n) - math.log(checks.number("num_patterns", num_patterns))
    return math.erfc(math.exp(min(log_ratio, 10.0) / 2) / math.sqrt(2)) / 2


def polynomial_capacity(num_neurons: Whole, n: Whole, error: Number | None = None) -> float:
    """Patterns that a polynomial memory of order n holds: K grows as D^{n-1}.

        K = D^{n-1} / (2 (2n - 3)!! ln D)            exact
        K = D^{n-1} / ((2n - 3)!! Φ⁻¹(error)²)       with a share `error` of the bits unstable

    **Arguments:** `num_neurons` D, at least 2; `n`, at least 2; `error`, between 0 and .5 (the paper's
    criterion is .005). Infinity where a float can't hold it. Raises `ValueError` for others.

    For plain powers sⁿ; rectified ones hold twice that. (Krotov & Hopfield 2016.)

        >>> [round(eam.theory.polynomial_capacity(100, n)) for n in (2, 3, 4)]
        [11, 362, 7238]
    """
    noise = 2 * math.log(_neurons(num_neurons, least=2))
    if error is not None:
        error = checks.number("error", error)
        if not 0 < error < 0.5:
            raise ValueError(f"error must lie between 0 and .5; got {error}")
        noise = NormalDist().inv_cdf(error) ** 2
    return _exp(_log_order(num_neurons, n) - math.log(noise))


def hopfield_capacity(num_neurons: Whole, error: Number | None = None) -> float:
    """Patterns that Hebb's rule holds: D / (2 ln D) exactly, D / Φ⁻¹(error)² with a share of wrong bits.

    The polynomial memory of order 2. With errors that later updates add, retrieval breaks down at
    `replica_capacity`. (McEliece et al. 1987 for the exact limit.)

        >>> round(eam.theory.hopfield_capacity(1000)), round(eam.theory.hopfield_capacity(1000, error=0.005))
        (72, 151)
    """
    return polynomial_capacity(num_neurons, 2, error)


def replica_capacity(num_neurons: Whole) -> float:
    """K = 0.138 D, where Hebb's retrieval states cease to exist, after all updates.

    (Amit, Gutfreund & Sompolinsky 1985, by the replica method.)

        >>> eam.theory.replica_capacity(1000)
        138.0
    """
    return REPLICA_LOAD * _neurons(num_neurons)


def storkey_capacity(num_neurons: Whole) -> float:
    """K = D / √(2 ln D), exact recall under Storkey's rule. (Storkey 1997; Storkey & Valabregue 1999.)

    >>> round(eam.theory.storkey_capacity(1000))
    269
    """
    D = _neurons(num_neurons, least=2)
    return D / math.sqrt(2 * math.log(D))


def pseudo_inverse_capacity(num_neurons: Whole) -> float:
    """K = D: any D - 1 independent patterns are fixed points of the pseudo-inverse rule.

    Their basins shrink to single points on the way there; with D of them all states are fixed points.
    (Personnaz, Guyon & Dreyfus 1986; Kanter & Sompolinsky 1987.)

        >>> eam.theory.pseudo_inverse_capacity(1000)
        1000.0
    """
    return float(_neurons(num_neurons))


def gardner_capacity(margin: Number = 0.0) -> float:
    """The most patterns per neuron, K/D, that any couplings hold with a margin κ; 2 at κ = 0.

        α_c(κ) = 1 / ∫_{-κ}^∞ (t + κ)² e^{-t²/2} dt/√(2π) = 1 / ((1 + κ²) Φ(κ) + κ φ(κ))

    κ is the least stability ξ_i Σ_j W_ij ξ_j / ‖W_i‖ of any neuron of any pattern (`learning.stability`);
    couplings need not be symmetric. **Arguments:** `margin` κ, at least 0. Raises `ValueError` for others.
    (Gardner 1988.)

        >>> eam.theory.gardner_capacity(), round(eam.theory.gardner_capacity(1.0), 4)
        (2.0, 0.5196)
    """
    k = checks.number("margin", margin, 0, LARGEST_MARGIN)
    normal = NormalDist()
    return 1 / ((1 + k * k) * normal.cdf(k) + k * normal.pdf(k))


def gardner_margin(load: Number) -> float:
    """The largest margin κ of K = load · D patterns, the inverse of `gardner_capacity`: 1.03 at load .5.

    **Arguments:** `load` K/D, above 0 and at most 2, where no margin is left. Raises `ValueError` for others.
    (Gardner 1988.)

        >>> round(eam.theory.gardner_margin(0.5), 4)
        1.0343
    """
    load = checks.number("load", load, 0, 2)
    least = gardner_capacity(LARGEST_MARGIN)
    if load < least:
        raise ValueError(
            f"load must be at least {least:.3g}, where the margin is {LARGEST_MARGIN:g}; got {load}"
        )
    low, high = 0.0, float(LARGEST_MARGIN)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if gardner_capacity(middle) > load else (low, middle)
    return low


def willshaw_capacity(num_neurons: Whole, num_active: Number) -> float:
    """Sparse patterns after which half of Willshaw's binary couplings are on, where each bit carries the most
    information.

        K = ln 2 · (D / k)²

    A neuron outside of a pattern is then active with probability 2^{-k}, so that k = log₂ D active neurons
    leave one wrong neuron. **Arguments:** `num_neurons` D; `num_active` k, from 1 to D. Raises `ValueError`
    for others. (Willshaw, Buneman & Longuet-Higgins 1969.)

        >>> round(eam.theory.willshaw_capacity(1024, 10))
        7268
    """
    D = _neurons(num_neurons)
    return math.log(2) * (D / checks.number("num_active", num_active, 1, D)) ** 2


def sparse_capacity(num_neurons: Whole, activity: Number) -> float:
    """Patterns with few active neurons that covariance couplings hold, as the activity goes to 0.

        K = D / (2 a ln(1/a))

    **Arguments:** `num_neurons` D; `activity` a, the share of active neurons, between 0 and 1 (the formula is
    a limit, and several times too large at a = .01). Raises `ValueError` for others. (Tsodyks & Feigelman
    1988.)

        >>> round(eam.theory.sparse_capacity(1000, 0.02))
        6391
    """
    D, a = _neurons(num_neurons), checks.number("activity", activity)
    if not 0 < a < 1:
        raise ValueError(f"activity must lie between 0 and 1, exclusive; got {activity}")
    return D / (-2 * a * math.log(a))


def potts_capacity(num_neurons: Whole, q: Whole) -> float:
    """K = 0.138 q (q - 1) / 2 · D for D units of q values; 0.138 D at q = 2.

    Hebb's rule of centred one-hot units. The replica-symmetric equations give 0.4144 D at q = 3, where the
    formula gives 0.414 D, and 6.02 D at q = 10, where it gives 6.21 D. **Arguments:** `num_neurons` D, the
    units; `q`, at least 2. Raises `ValueError` for others. (Kanter 1988.)

        >>> round(eam.theory.potts_capacity(1000, 3))
        414
    """
    q = checks.count("q", q, 2)
    return REPLICA_LOAD * q * (q - 1) / 2 * _neurons(num_neurons)


def log_exponential_capacity(num_neurons: Whole, noise: Number = 0) -> float:
    """The natural log of the number of patterns an exponential memory holds, exp(α D).

        α = I(1 - 2 noise) / 2,    I(a) = ½ (1 + a) ln(1 + a) + ½ (1 - a) ln(1 - a)

    One update from a share `noise` of flipped bits restores every pattern with probability near 1 for
    any smaller α: 2^{D/2} patterns without noise. For E = -Σ exp(ξ·x), β = 1. **Arguments:** `num_neurons`
    D; `noise`, from 0 to below .5. Raises `ValueError` for others. (Demircigil et al. 2017.)

        >>> eam.theory.log_exponential_capacity(64), 32 * np.log(2)  # 2^(D/2) patterns
        (22.18070977791825, np.float64(22.18070977791825))
    """
    noise = checks.number("noise", noise)
    if not 0 <= noise < 0.5:
        raise ValueError(f"noise must be from 0 to below .5; got {noise}")
    a = 1 - 2 * noise
    rate = ((1 + a) * math.log1p(a) + ((1 - a) * math.log1p(-a) if a < 1 else 0.0)) / 2
    return _neurons(num_neurons) * rate / 2


def log_exponential_load(dim: Whole, beta: Number) -> float:
    """The natural log of `exponential_load`, which a float can't hold in many dimensions; the same errors.

    >>> round(eam.theory.log_exponential_load(2304, 1.0), 1)  # e^1305 patterns
    1304.6
    """
    D, beta = _neurons(dim, name="dim"), checks.number("beta", beta, 0)
    return D * (math.log(2) - math.log1p(math.exp(-2 * beta)))


def exponential_load(dim: Whole, beta: Number) -> float:
    """The number of random patterns that weigh as much as a stored one in an exponential memory at β.

        K_c = (2 / (1 + e^{-2β}))^D,    own softmax weight ≈ 1 / (1 + K / K_c)

    K others have the weight K (cosh β)^D on average, and the pattern itself e^{βD}. No threshold, but the
    exact load at which a stored pattern has half of the weight. Infinity where a float can't hold it.
    **Arguments:** `dim` D; `beta`, at least 0, of overlaps ξ·x. Raises `ValueError` for others.

        >>> [round(eam.theory.exponential_load(dim, 1.0)) for dim in (10, 20)]  # twice D, the square
        [288, 82817]
    """
    return _exp(log_exponential_load(dim, beta))


def dense_transition_capacity(num_neurons: Whole, degree: Whole) -> float:
    """Transitions that a dense sequence memory of a degree makes without an error: K grows as D^d.

        K = D^d / (2 (2d - 1)!! ln D)    for x ← sign(Σ_μ ξ_{μ+1} (ξ_μ·x)^d)

    The polynomial memory of order d + 1. **Arguments:** `num_neurons` D, at least 2; `degree` d, at least 1.
    Infinity where a float can't hold it. Raises `ValueError` for others. (Chaudhry et al. 2023.)

        >>> [round(eam.theory.dense_transition_capacity(100, degree)) for degree in (1, 2, 3)]
        [11, 362, 7238]
    """
    return polynomial_capacity(num_neurons, checks.count("degree", degree, most=ORDER) + 1)


def log_exponential_transition_capacity(num_neurons: Whole) -> float:
    """The natural log of the transitions that an exponential sequence memory makes without an error.

        K = b^{D-1} / (2 ln D),    b = e² / cosh 2 = 1.964    for x ← sign(Σ_μ ξ_{μ+1} exp(ξ_μ·x))

    Raises `ValueError` for fewer than 2 neurons. (Chaudhry et al. 2023.)

        >>> round(float(np.exp(eam.theory.log_exponential_transition_capacity(32))))
        176501981
    """
    D = _neurons(num_neurons, least=2)
    return (D - 1) * LOG_BASE - math.log(2 * math.log(D))


def log_exponential_sequence_capacity(num_neurons: Whole) -> float:
    """The natural log of the length of a sequence that an exponential memory recalls without an error.

        K = b^D / (2 D ln b),    b = e² / cosh 2

    Raises `ValueError` for fewer than 1 neuron. (Chaudhry et al. 2023.)

        >>> round(float(np.exp(eam.theory.log_exponential_sequence_capacity(32))))
        55621238
    """
    D = _neurons(num_neurons)
    return D * LOG_BASE - math.log(2 * D * LOG_BASE)


def _neurons(num_neurons: Whole, least: int = 1, name: str = "num_neurons") -> int:
    return checks.count(name, num_neurons, least, LARGEST)


def _log_order(num_neurons: Whole, n: Whole) -> float:
    """log(D^{n-1} / (2n - 3)!!), with (2k - 1)!! = (2k)! / (2^k k!)."""
    D, k = _neurons(num_neurons), checks.count("n", n, 2, ORDER + 1) - 1
    return k * math.log(D) - (math.lgamma(2 * k + 1) - k * math.log(2) - math.lgamma(k + 1))


def _exp(log: int | float) -> float:
    return math.exp(log) if log < math.log(1.7e308) else math.inf
