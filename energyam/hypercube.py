"""Geometry of {±1}ⁿ and of the unit sphere: overlaps, balls, and how far two circles or caps intersect.

n is the dimension and `radius` a Hamming distance, as in the literature on sparse distributed memory. The
counts exceed 2^1000, so tables are natural logarithms in float64 NumPy, −inf where nothing is counted;
`circle_intersection` gives exact integers. Functions of a cosine work in the precision of what they get:
float64 for Python and NumPy numbers, and jit, vmap and grad for JAX arrays.
"""

import functools
import math
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from energyam import checks

_NEGLIGIBLE = 40.0  # e⁻⁴⁰ of the largest value of an integrand may be left out


def hamming_to_cosine(distance: ArrayLike, n: int) -> Any:
    """The cosine 1 − 2h/n of two ±1 vectors at Hamming distance h."""
    return 1 - 2 * _numbers(distance) / checks.count("n", n)


def cosine_to_hamming(cosine: ArrayLike, n: int) -> Any:
    """The Hamming distance n (1 − c)/2 at cosine c: a real number, not rounded (the inverse of the above)."""
    return checks.count("n", n) * (1 - _numbers(cosine)) / 2


def fraction_for_radius(n: int, radius: int) -> float:
    """The fraction Σ_{k ≤ radius} C(n, k) / 2ⁿ of the hypercube within a Hamming distance of a point.

    Raises `ValueError` for a radius outside 0..n.
    """
    return float(np.exp(log_fractions(n)[check_radius(n, radius)]))


def radius_for_fraction(n: int, p: float) -> int:
    """The smallest radius that holds at least the fraction p of the hypercube.

    A fraction that differs from p by rounding alone counts as p, so that this inverts `fraction_for_radius`.
    Raises `ValueError` for p outside (0, 1].
    """
    checks.positive("p", p)
    checks.fraction("p", p)
    return radius_for_log_fraction(n, math.log(p))


def radius_for_log_fraction(n: int, log_p: float) -> int:
    """`radius_for_fraction` of exp(log_p), for fractions too small for a float."""
    rounding = 4 * n * np.finfo(np.float64).eps
    return int(np.searchsorted(log_fractions(n), log_p - rounding))


def log_fractions(n: int) -> np.ndarray:
    """log of the fraction of {±1}ⁿ within each Hamming distance 0..n of a point: float64, (n + 1,)."""
    k = np.arange(1, (checks.count("n", n) + 1) // 2)
    ratios = k / (n - k + 1)  # C(n, k−1) / C(n, k)
    sums = list(accumulate(ratios, lambda share, ratio: 1 + ratio * share, initial=1.0))  # Σ_{j≤k} / C(n, k)
    lower = log_binomials(n)[: k.size + 1] + np.log(sums) - n * math.log(2)
    return np.concatenate([lower, np.log1p(-np.exp(lower[: n // 2][::-1])), [0.0]])


def log_binomials(n: int) -> np.ndarray:
    """log C(n, k) for k = 0..n: float64, (n + 1,)."""
    log_factorials = _log_factorials(n)
    return log_factorials[n] - log_factorials - log_factorials[::-1]


def circle_intersection(n: int, radius: int) -> list[int]:
    """How many points of {±1}ⁿ lie within `radius` of both of two points, by the distance of the two.

    I(h) = R + Σ_{k ≥ ⌈h/2⌉} C(2k, k) C(n−2k−1, radius−k), where R = Σ_{w=n−radius}^{radius} C(n, w) is
    0 if 2 radius < n. I(2k−1) = I(2k).

    **Returns** exact Python integers; the index is the Hamming distance h = 0..n.

    Raises `ValueError` for a radius outside 0..n.

    Kanerva, *Sparse Distributed Memory* (1988), appendix B counts the same points as a difference; this sum
    has no negative term.
    """
    radius = check_radius(n, radius)
    both = sum(math.comb(n, w) for w in range(n - radius, radius + 1))
    terms = [math.comb(2 * k, k) * math.comb(n - 2 * k - 1, radius - k) for k in range(_num_terms(n, radius))]
    sums = list(accumulate(reversed(terms), initial=both))[::-1]
    return [sums[min((h + 1) // 2, len(terms))] for h in range(n + 1)]


def log_circle_intersection(n: int, radius: int) -> np.ndarray:
    """The natural log of `circle_intersection`: float64 (n + 1,), −inf where the circles don't meet.

    The running sum is carried relative to its own last term, so that nothing overflows or cancels: right
    to 1e-11 at n = 10,000. Raises `ValueError` for a radius outside 0..n.
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


def kanerva_circle_intersection(n: int, radius: int, continuity: float = 0.0) -> np.ndarray:
    """Kanerva's continuous approximation of the circle intersection, as log fractions of {±1}ⁿ.

    I(h)/2ⁿ ≈ ∫_{h/n}^1 exp(−½ c²/(1−x)) / (2π √(x(1−x))) dx, with c = (radius + continuity − n/2)/√(n/4).
    The book has no `continuity` (7 to 14 % low at n = 1000, radius 451); ½ mends most of it.

    **Returns** float64 (n + 1,) over the Hamming distance h; −inf at h = n. For radii up to n/2. Raises
    `ValueError` for a radius outside 0..n/2.

    Kanerva, *Sparse Distributed Memory* (1988), appendix B.
    """
    if 2 * check_radius(n, radius) > n:
        raise ValueError(f"radius must be at most n/2 = {n / 2:g}; got {radius}")
    c2 = (radius + continuity - n / 2) ** 2 / (n / 4)
    h = np.arange(n)[:, None]  # with x = sin²ψ the integral is (1/π) ∫ exp(−½ c²/cos²ψ) dψ
    tangent2 = h / (n - h)
    low = np.arctan(np.sqrt(tangent2))
    high = np.arctan(np.sqrt(tangent2 + 2 * _NEGLIGIBLE / c2)) if c2 > 0 else np.full_like(low, np.pi / 2)
    nodes, node_weights = _gauss_legendre()
    exponents = -0.5 * c2 * (np.tan(low + (high - low) * nodes) ** 2 - tangent2)
    integral = (high - low)[:, 0] * (np.exp(exponents) @ node_weights) / np.pi
    return np.append(np.log(integral) - 0.5 * c2 * (1 + tangent2[:, 0]), -np.inf)


def log_weighted_circle_intersection(
    n: int, radius: int, distance: int, weighting: str = "linear", rate: float = 0.01
) -> float:
    """The log of the circle intersection at one distance, points weighted by their distance to both centres.

    Σ_z w(|z⊕x|) w(|z⊕y|) over the points z within `radius` of x and of y, with w(k) = 1 − k/n (`"linear"`)
    or exp(−rate · k) (`"exponential"`).

    Raises `ValueError` for another weighting, or radius or distance outside 0..n.

    Bricken & Pehlevan, "Attention approximates sparse distributed memory", NeurIPS 2021 (their program).
    """
    logs, to_x, to_y = _log_agreement_terms(n, check_radius(n, radius), check_radius(n, distance, "distance"))
    if weighting == "linear":
        logs = logs + _log((1 - to_x / n) * (1 - to_y / n))
    elif weighting == "exponential":
        logs = logs - rate * (to_x + to_y)
    else:
        raise ValueError(f'weighting must be "linear" or "exponential"; got {weighting!r}')
    top = logs.max(initial=-np.inf)
    return float(top + np.log(np.sum(np.exp(logs - top)))) if np.isfinite(top) else -math.inf


def cap_intersection(n: int, radius: ArrayLike, cosine: ArrayLike) -> Any:
    """The fraction of the sphere within both of two equal caps whose centres have this cosine.

    F(c) = (1/π) ∫_{t/2}^θ (1 − cos²θ/cos²φ)^{(n−2)/2} dφ, with t = arccos c and θ = arccos(1 − 2 radius/n),
    for θ ≤ π/2; larger caps by their complements.

    **Arguments:** `n`: at least 2; `radius`: 0..n, the Hamming radius whose cosine bounds the cap, any real
    number; `cosine`: any shape. **Returns** the shape of `cosine`.

    Raises `ValueError` for n below 2 or a radius outside 0..n.

    The area of Lee & Kim, "Concise formulas for the surface area of the intersection of two hyperspherical
    caps" (2014), as one integral.
    """
    return _namespace(cosine, radius).exp(log_cap_intersection(n, radius, cosine))


def log_cap_intersection(n: int, radius: ArrayLike, cosine: ArrayLike) -> Any:
    """The natural log of `cap_intersection`, −inf where the caps don't meet; same arguments and errors.

    Differentiable in `cosine` and `radius`; its slope at cosine 1, infinite in truth, is bounded.
    """
    xp = _namespace(cosine, radius)
    _check_cap(n, radius)
    angle = _angle(xp, cosine)
    share = xp.asarray(radius, dtype=angle.dtype) / n
    theta = 2 * xp.arcsin(xp.sqrt(xp.minimum(share, 1 - share)))  # of the cap, or of its complement
    inner = _log_small_caps(xp, n, theta, angle)
    cap = _log_small_caps(xp, n, theta, xp.zeros_like(theta))
    smallest = xp.finfo(angle.dtype).eps
    outer = xp.log1p(xp.maximum(xp.exp(inner) - 2 * xp.exp(cap), smallest - 1))
    return xp.where(share <= 0.5, inner, outer)[()]


def check_radius(n: int, radius: int, name: str = "radius") -> int:
    """A Hamming distance `radius` as an integer; raises `ValueError` unless it is 0..n, or for n below 1."""
    radius = checks.count(name, radius, least=0)
    if radius > checks.count("n", n):
        raise ValueError(f"{name} must lie within 0..n = 0..{n}; got {radius}")
    return radius


def _check_cap(n, radius):
    checks.count("n", n, least=2)
    checks.fraction("radius / n", radius / n)


def _namespace(*values):
    return jnp if any(isinstance(value, jax.Array) for value in values) else np


def _numbers(values):
    return values if isinstance(values, jax.Array) else np.asarray(values, dtype=np.float64)[()]


def _angle(xp, cosine):
    if xp is np:
        return np.arccos(np.clip(np.asarray(cosine, dtype=np.float64), -1, 1))
    return _arccos(checks.as_floats("cosine", cosine, "..."))


@jax.custom_jvp
def _arccos(cosine):
    return jnp.arccos(jnp.clip(cosine, -1, 1))


@_arccos.defjvp
def _arccos_jvp(primals, tangents):
    """The slope −1/√(1 − c²), bounded where c is within rounding of ±1."""
    (cosine,), (tangent,) = primals, tangents
    sine2 = jnp.maximum(1 - cosine**2, jnp.finfo(cosine.dtype).eps)
    return _arccos(cosine), -tangent / jnp.sqrt(sine2)


def _log_small_caps(xp, n, theta, angle):
    """log F for caps of half-angle θ ≤ π/2 whose centres are `angle` apart.

    With cos²φ − cos²θ = sin(θ−φ) sin(θ+φ) nothing cancels, and φ = θ − span u² makes the integrand smooth at
    φ = θ for odd n too. The integral is cut where its integrand has fallen to e⁻⁴⁰ of the first value.
    """
    nodes, node_weights = _gauss_legendre()
    column = (1,) * angle.ndim + (-1,)
    nodes, node_weights = (xp.asarray(x, dtype=angle.dtype).reshape(column) for x in (nodes, node_weights))
    meets = (theta > 0) & (theta > angle / 2)
    theta = xp.where(theta > 0, theta, 1)
    span = xp.where(meets, theta - angle / 2, theta)[..., None]
    power = (n - 2) / 2

    def log_ratio(u):  # log(1 − cos²θ / cos²φ)
        gap = span * u**2
        return xp.log(xp.sin(gap)) + xp.log(xp.sin(2 * theta - gap)) - 2 * xp.log(xp.cos(theta - gap))

    first = log_ratio(xp.ones_like(span))
    last = xp.exp(first - _NEGLIGIBLE / max(power, 1e-3))
    cut = theta - xp.arccos(xp.minimum(xp.cos(theta) / xp.sqrt(1 - last), 1))
    low = xp.sqrt(xp.clip(cut / span, 0, 1))
    low = low if xp is np else jax.lax.stop_gradient(low)
    u = low + (1 - low) * nodes
    mean = xp.sum(node_weights * u * xp.exp(power * (log_ratio(u) - first)), axis=-1)
    log_f = power * first[..., 0] + xp.log(mean * (2 / math.pi) * (span * (1 - low))[..., 0])
    return xp.where(meets, log_f, -math.inf)


@functools.cache
def _gauss_legendre():
    """Nodes and weights of 64-point Gauss-Legendre quadrature from 0 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    return (1 + nodes) / 2, weights / 2


def _num_terms(n, radius):
    """How many k ≥ 0 have both radius − k and n − 1 − radius − k at 0 or above."""
    return min(radius, n - 1 - radius) + 1


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


def _log(values):
    with np.errstate(divide="ignore"):
        return np.log(values)
