"""Geometry of {±1}ⁿ and of the unit sphere: overlaps, balls, and how far two circles or caps intersect.

n is the dimension and `radius` a Hamming distance, as in the literature on sparse distributed memory. The
counts exceed 2^1000, so tables are natural logarithms in float64 NumPy, −inf where nothing is counted;
`circle_intersection` gives exact integers. The sphere's part is in `energyam.hypersphere`, and named here.
"""

import functools
import math
from itertools import accumulate
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import ArrayLike

from energyam import checks
from energyam.checks import Number, Whole
from energyam.hypersphere import (  # noqa: F401
    MAX_REAL,
    cap_intersection,
    check_cosine,
    gauss_legendre,
    log_cap_integral,
    log_cap_intersection,
)
from energyam.names import public_names

Weighting = Literal["linear", "exponential"]

MAX_DIMENSION = 10**7  # tables have n + 1 entries


def hamming_to_cosine(distance: ArrayLike, n: Whole) -> Any:
    """The cosine 1 − 2h/n of two ±1 vectors at Hamming distance h, of any shape.

    Raises `ValueError` for a distance outside 0..n, or n below 1.

        >>> eam.hypercube.hamming_to_cosine(np.array([0, 2, 4, 8]), 8)
        array([ 1. ,  0.5,  0. , -1. ])
    """
    checks.within("distance", distance, 0, checks.count("n", n, most=MAX_REAL))
    return 1 - 2 * _numbers(distance) / n


def cosine_to_hamming(cosine: ArrayLike, n: Whole) -> Any:
    """The Hamming distance n (1 − c)/2 at cosine c: a real number, not rounded (the inverse of the above).

    Raises `ValueError` for a cosine outside −1..1 by more than rounding, or n below 1.

        >>> eam.hypercube.cosine_to_hamming(0.5, 8)
        np.float64(2.0)
    """
    checks.count("n", n, most=MAX_REAL)
    check_cosine(cosine)
    return n * (1 - _numbers(cosine)) / 2


def fraction_for_radius(n: Whole, radius: Whole) -> float:
    """The fraction Σ_{k ≤ radius} C(n, k) / 2ⁿ of the hypercube within a Hamming distance of a point.

    Raises `ValueError` for a radius outside 0..n.

        >>> eam.hypercube.fraction_for_radius(8, 2), 37 / 256
        (0.1445312499999997, 0.14453125)
    """
    radius = check_radius(n, radius)
    return float(np.exp(log_fractions(n)[radius]))


def radius_for_fraction(n: Whole, p: Number) -> int:
    """The smallest radius that holds at least the fraction p of the hypercube.

    A fraction that differs from p by rounding alone counts as p, so that this inverts `fraction_for_radius`.
    Raises `ValueError` for p outside (0, 1].

        >>> eam.hypercube.radius_for_fraction(1000, 0.001)  # Kanerva's circles of a thousandth
        451
    """
    checks.positive("p", p)
    return radius_for_log_fraction(n, math.log(checks.number("p", p, 0, 1)))


def radius_for_log_fraction(n: Whole, log_p: Number) -> int:
    """`radius_for_fraction` of exp(log_p), for fractions too small for a float.

    Raises `ValueError` for a log_p that is not a finite number of at most 0.

        >>> eam.hypercube.radius_for_log_fraction(1000, -500.0)  # e^−500 of the hypercube
        50
    """
    log_p, rounding = checks.number("log_p", log_p, high=0), 4 * check_dimension(n) * np.finfo(np.float64).eps
    return int(np.searchsorted(log_fractions(n), log_p - rounding))


def log_fractions(n: Whole) -> np.ndarray:
    """log of the fraction of {±1}ⁿ within each Hamming distance 0..n of a point: float64, (n + 1,).

    Raises `ValueError` for n outside 1..10⁷.

        >>> np.exp(eam.hypercube.log_fractions(4)) * 16  # points within each distance
        array([ 1.,  5., 11., 15., 16.])
    """
    k = np.arange(1, (check_dimension(n) + 1) // 2)
    ratios = k / (n - k + 1)  # C(n, k−1) / C(n, k)
    sums = list(accumulate(ratios, lambda share, ratio: 1 + ratio * share, initial=1.0))  # Σ_{j≤k} / C(n, k)
    lower = log_binomials(n)[: k.size + 1] + np.log(sums) - n * math.log(2)
    return np.concatenate([lower, np.log1p(-np.exp(lower[: n // 2][::-1])), [0.0]])


def log_binomials(n: Whole) -> np.ndarray:
    """log C(n, k) for k = 0..n: float64, (n + 1,). Raises `ValueError` for n outside 0..10⁷.

    >>> np.exp(eam.hypercube.log_binomials(4)).round()
    array([1., 4., 6., 4., 1.])
    """
    log_factorials = _log_factorials(checks.count("n", n, least=0, most=MAX_DIMENSION))
    return log_factorials[n] - log_factorials - log_factorials[::-1]


def circle_intersection(n: Whole, radius: Whole) -> list[int]:
    """How many points of {±1}ⁿ lie within `radius` of both of two points, by the distance of the two.

    I(h) = R + Σ_{k ≥ ⌈h/2⌉} C(2k, k) C(n−2k−1, radius−k), where R = Σ_{w=n−radius}^{radius} C(n, w) is
    0 if 2 radius < n. I(2k−1) = I(2k).

    **Returns** exact Python integers; the index is the Hamming distance h = 0..n.

    Raises `ValueError` for a radius outside 0..n.

    Kanerva, *Sparse Distributed Memory* (1988), appendix B counts the same points as a difference; this sum
    has no negative term.

        >>> eam.hypercube.circle_intersection(8, 2)  # by distance 0 … 8; 37 = 1 + 8 + 28
        [37, 16, 16, 6, 6, 0, 0, 0, 0]
    """
    radius = check_radius(n, radius)
    both = sum(math.comb(n, w) for w in range(n - radius, radius + 1))
    terms = [math.comb(2 * k, k) * math.comb(n - 2 * k - 1, radius - k) for k in range(_num_terms(n, radius))]
    sums = list(accumulate(reversed(terms), initial=both))[::-1]
    return [sums[min((h + 1) // 2, len(terms))] for h in range(n + 1)]


def log_circle_intersection(n: Whole, radius: Whole) -> np.ndarray:
    """The natural log of `circle_intersection`: float64 (n + 1,), −inf where the circles don't meet.

    The running sum is carried relative to its own last term, so that nothing overflows or cancels: right
    to 1e-11 at n = 10,000. Raises `ValueError` for a radius outside 0..n.

        >>> np.exp(eam.hypercube.log_circle_intersection(8, 2)[:5]).round()
        array([37., 16., 16.,  6.,  6.])
    """
    radius = check_radius(n, radius)
    logs, log_factorials = np.full(n // 2 + 2, -np.inf), _log_factorials(n)
    k = np.arange(_num_terms(n, radius))
    if k.size:
        left, right = radius - k, n - radius - 1 - k  # the second binomial is C(left + right, left)
        first = log_factorials[2 * k] - 2 * log_factorials[k]
        terms = first + log_factorials[left + right] - log_factorials[left] - log_factorials[right]
        j, a, b = k[:-1], left[:-1], right[:-1]
        ratios = (4 * j + 2) / (j + 1) * a * b / ((a + b) * (a + b - 1))  # term j + 1 over term j
        sums = list(accumulate(ratios[::-1], lambda tail, ratio: 1 + ratio * tail, initial=1.0))
        logs[: k.size] = terms + np.log(sums[::-1])
    both = log_binomials(n)[n - radius : radius + 1]
    if both.size:
        logs = np.logaddexp(logs, both.max() + np.log(np.sum(np.exp(both - both.max()))))
    return logs[(np.arange(n + 1) + 1) // 2]


def kanerva_circle_intersection(n: Whole, radius: Whole, continuity: Number = 0.0) -> np.ndarray:
    """Kanerva's continuous approximation of the circle intersection, as log fractions of {±1}ⁿ.

    I(h)/2ⁿ ≈ ∫_{h/n}^1 exp(−½ c²/(1−x)) / (2π √(x(1−x))) dx, with c = (radius + continuity − n/2)/√(n/4).
    The book has no `continuity` (7 to 14 % low at n = 1000, radius 451); ½ mends most of it.

    **Returns** float64 (n + 1,) over the Hamming distance h; −inf at h = n. For radii up to n/2. Raises
    `ValueError` for a radius outside 0..n/2 and a continuity that is not one finite number.

    Kanerva, *Sparse Distributed Memory* (1988), appendix B.

        >>> exact = eam.hypercube.log_circle_intersection(1000, 451) - 1000 * np.log(2)
        >>> book = eam.hypercube.kanerva_circle_intersection(1000, 451)
        >>> np.exp(book[:3] - exact[:3]).round(2)  # the book's figures are low
        array([0.91, 0.93, 0.89])
    """
    if 2 * check_radius(n, radius) > n:
        raise ValueError(f"radius must be at most n/2 = {n / 2:g}; got {radius}")
    c2 = (radius + checks.number("continuity", continuity) - n / 2) ** 2 / (n / 4)
    h = np.arange(n)[:, None]  # with x = sin²ψ the integral is (1/π) ∫ exp(−½ c²/cos²ψ) dψ
    tangent2 = h / (n - h)  # cut where the integrand has fallen to e⁻⁴⁰
    low = np.arctan(np.sqrt(tangent2))
    high = np.arctan(np.sqrt(tangent2 + 80 / c2)) if c2 > 0 else np.full_like(low, np.pi / 2)
    nodes, node_weights = gauss_legendre(64)
    exponents = -0.5 * c2 * (np.tan(low + (high - low) * nodes) ** 2 - tangent2)
    integral = (high - low)[:, 0] * (np.exp(exponents) @ node_weights) / np.pi
    return np.append(np.log(integral) - 0.5 * c2 * (1 + tangent2[:, 0]), -np.inf)


def log_weighted_circle_intersection(
    n: Whole, radius: Whole, distance: Whole, weighting: Weighting = "linear", rate: Number = 0.01
) -> float:
    """The log of the circle intersection at one distance, points weighted by their distance to both centres.

    Σ_z w(|z⊕x|) w(|z⊕y|) over the points z within `radius` of x and of y, with w(k) = 1 − k/n (`"linear"`)
    or exp(−rate · k) (`"exponential"`).

    Raises `ValueError` for another weighting, a radius or distance outside 0..n, or a rate that is not one
    finite number.

    Bricken & Pehlevan, "Attention approximates sparse distributed memory", NeurIPS 2021 (their program).

        >>> points = eam.hypercube.circle_intersection(8, 2)[2]
        >>> np.exp(eam.hypercube.log_weighted_circle_intersection(8, 2, 2)) < points
        np.True_
    """
    logs, to_x, to_y = _log_agreement_terms(n, check_radius(n, radius), check_radius(n, distance, "distance"))
    rate = checks.number("rate", rate)
    if checks.one_of("weighting", weighting, ("linear", "exponential")) == "linear":
        logs = logs + log_of((1 - to_x / n) * (1 - to_y / n))
    else:
        logs = logs - rate * (to_x + to_y)
    top = logs.max(initial=-np.inf)
    return float(top + np.log(np.sum(np.exp(logs - top)))) if np.isfinite(top) else -math.inf


def check_dimension(n: Whole) -> int:
    """`n` as an integer; raises `ValueError` unless it is 1..10⁷, as tables of n + 1 numbers are made."""
    return checks.count("n", n, most=MAX_DIMENSION)


def check_radius(n: Whole, radius: Whole, name: str = "radius") -> int:
    """A Hamming distance `radius` as an integer; raises `ValueError` unless it is 0..n, or for n below 1."""
    check_dimension(n)
    radius = checks.count(name, radius, least=0)
    if radius > n:
        raise ValueError(f"{name} must lie within 0..n = 0..{n}; got {radius}")
    return radius


def log_number(name: str, value: Number) -> float:
    """The log of a number of at least 1, however large an integer; raises `ValueError` for others."""
    known = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not known or not 1 <= value < math.inf:
        raise ValueError(f"{name} must be a finite number of at least 1; got {value!r}")
    return math.log(value)


def log_of(values: ArrayLike) -> Any:
    """log, with −inf for 0."""
    with np.errstate(divide="ignore"):
        return np.log(values)


def _numbers(values):
    return values if isinstance(values, jax.Array) else np.asarray(values, dtype=np.float64)[()]


def _num_terms(n, radius):
    """How many k ≥ 0 have both radius − k and n − 1 − radius − k at 0 or above."""
    return min(radius, n - 1 - radius) + 1


@functools.cache
def _log_factorials(n):
    return np.array([math.lgamma(k + 1) for k in range(n + 1)])


def _log_agreement_terms(n, radius, distance):
    """The points within `radius` of both x and y, by where they agree with them.

    a of the n − h coordinates on which x and y agree, and b of the other h on which the point has x's value:
    log C(n−h, a) C(h, b) (−inf outside the circles), and the distances of the point to x and to y.
    """
    a = np.arange(n - distance + 1)[:, None]
    b = np.arange(distance + 1)[None]
    to_x, to_y = n - a - b, n - a - distance + b
    logs = log_binomials(n - distance)[a] + log_binomials(distance)[b]
    return np.where((to_x <= radius) & (to_y <= radius), logs, -np.inf), to_x, to_y


__all__, __dir__ = public_names(
    __name__,
    also="cap_intersection log_cap_integral log_cap_intersection",
    without="check_dimension check_radius log_number log_of",
)
