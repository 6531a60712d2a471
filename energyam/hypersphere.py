"""Geometry of the unit sphere: the share of it that lies within two equal caps, in log space.

Functions work in the precision of what they get: float64 for Python and NumPy numbers, and jit, vmap and grad
for JAX arrays.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from energyam import checks
from energyam.checks import Whole

MAX_REAL = 2**53  # whole numbers that a float64 holds exactly


def cap_intersection(n: Whole, radius: ArrayLike, cosine: ArrayLike) -> Any:
    """The fraction of the sphere within both of two equal caps whose centres have this cosine.

    F(c) = (1/π) ∫_{t/2}^θ (1 − cos²θ/cos²φ)^{(n−2)/2} dφ, with t = arccos c and θ = arccos(1 − 2 radius/n),
    for θ ≤ π/2; larger caps by their complements.

    **Arguments:** `n`: at least 2; `radius`: 0..n, the Hamming radius whose cosine bounds the cap, any real
    number; `cosine`: any shape. **Returns** the shape of `cosine`.

    Raises `ValueError` for n below 2, a radius outside 0..n, or a cosine outside −1..1 by more than rounding.

    The area of Lee & Kim, "Concise formulas for the surface area of the intersection of two hyperspherical
    caps" (2014), as one integral.

        >>> float(eam.hypercube.cap_intersection(3, 1.5, 0.0))  # half-spheres share a quarter
        0.24999999999999983
    """
    logs = log_cap_intersection(n, radius, cosine)
    return jnp.exp(logs) if isinstance(logs, jax.Array) else np.exp(logs)


def log_cap_intersection(n: Whole, radius: ArrayLike, cosine: ArrayLike) -> Any:
    """The natural log of `cap_intersection`, −inf where the caps don't meet; same arguments and errors.

    Differentiable in `cosine` and `radius`; its slope at cosine 1, infinite in truth, is bounded.

        >>> np.exp(float(eam.hypercube.log_cap_intersection(3, 1.5, 0.0)))
        np.float64(0.24999999999999983)
    """
    xp, theta, angle, large = _caps(n, radius, cosine)
    inner = _log_small_caps(xp, n, theta, angle)
    cap = _log_small_caps(xp, n, theta, xp.zeros_like(theta))
    smallest = xp.finfo(angle.dtype).eps
    outer = xp.log1p(xp.maximum(xp.exp(inner) - 2 * xp.exp(cap), smallest - 1))
    return xp.where(large, outer, inner)[()]


def log_cap_integral(n: Whole, radius: ArrayLike, cosine: ArrayLike) -> Any:
    """The natural log of ∫_{−1}^c F(x) dx, the integral of `cap_intersection`; same arguments and errors.

    (1/π) ∫_{t/2}^θ (c − cos 2φ) (1 − cos²θ/cos²φ)^{(n−2)/2} dφ, for θ ≤ π/2: one integral again, by parts.

        >>> np.exp(float(eam.hypercube.log_cap_integral(3, 1.5, 1.0))).round(3)  # of F over all cosines
        np.float64(0.5)
    """
    xp, theta, angle, large = _caps(n, radius, cosine)
    inner = _log_small_caps(xp, n, theta, angle, integrated=True)
    both = 1 - 2 * xp.exp(_log_small_caps(xp, n, theta, xp.zeros_like(theta)))
    outer = both * (1 + xp.cos(angle)) + xp.exp(inner)
    smallest = xp.finfo(angle.dtype).tiny
    return xp.where(large, xp.log(xp.maximum(outer, smallest)), inner)[()]


def _caps(n, radius, cosine):
    """NumPy or JAX, the half-angle θ of the caps or of their complements, arccos c, and whether θ > π/2."""
    checks.count("n", n, least=2, most=MAX_REAL)
    checks.within("radius", radius, 0, n)
    check_cosine(cosine)
    if np.ndim(radius):
        raise ValueError(f"radius must be one number; got shape {np.shape(radius)} (use jax.vmap)")
    xp = jnp if isinstance(cosine, jax.Array) or isinstance(radius, jax.Array) else np
    if xp is np:
        angle = np.arccos(np.clip(np.asarray(cosine, dtype=np.float64), -1, 1))
    else:
        angle = _arccos(checks.as_floats("cosine", cosine, "..."))
    share = xp.asarray(radius, dtype=angle.dtype) / n
    theta = 2 * xp.arcsin(xp.sqrt(xp.minimum(share, 1 - share)))
    quarter = math.pi / 2 * (1 - 2 * xp.finfo(angle.dtype).eps)  # below π/2 after rounding too
    return xp, xp.minimum(theta, quarter), angle, share > 0.5


@jax.custom_jvp
def _arccos(cosine):
    return jnp.arccos(jnp.clip(cosine, -1, 1))


@_arccos.defjvp
def _arccos_jvp(primals, tangents):
    """The slope −1/√(1 − c²), bounded where c is within rounding of ±1."""
    (cosine,), (tangent,) = primals, tangents
    sine2 = jnp.maximum(1 - cosine**2, jnp.finfo(cosine.dtype).eps)
    return _arccos(cosine), -tangent / jnp.sqrt(sine2)


def _log_small_caps(xp, n, theta, angle, integrated=False):
    integral = _small_caps if xp is np else _jitted_small_caps  # traced once for each shape
    return integral(xp, n, theta, angle, integrated)


def _small_caps(xp, n, theta, angle, integrated):
    """log F, or log ∫F, for caps of half-angle θ ≤ π/2 whose centres are `angle` apart.

    With cos²φ − cos²θ = sin(θ−φ) sin(θ+φ) nothing cancels, and φ = θ − span u² makes the integrand smooth at
    φ = θ for odd n too. The integral is cut where its integrand is lost in the rounding of the first value.
    """
    points, negligible = (64, 40) if angle.dtype == np.float64 else (24, 20)
    column = (1,) * angle.ndim + (-1,)
    nodes, node_weights = (xp.asarray(x, dtype=angle.dtype).reshape(column) for x in gauss_legendre(points))
    meets = (theta > 0) & (theta > angle / 2)
    theta = xp.where(theta > 0, theta, 1)
    half = xp.where(meets, angle / 2, 0)[..., None]
    span = theta - half
    power = (n - 2) / 2

    def log_ratio(u):  # log(1 − cos²θ / cos²φ)
        gap = span * u**2
        return xp.log(xp.sin(gap)) + xp.log(xp.sin(2 * theta - gap)) - 2 * xp.log(xp.cos(theta - gap))

    first = log_ratio(xp.ones_like(span))
    last = xp.exp(first - negligible / max(power, 1e-3))
    cut = theta - xp.arccos(xp.minimum(xp.cos(theta) / xp.sqrt(1 - last), 1))
    low = xp.sqrt(xp.clip(cut / span, 0, 1 - 1 / n))  # rounding must not leave nothing
    low = low if xp is np else jax.lax.stop_gradient(low)
    u = low + (1 - low) * nodes
    integrand = node_weights * u * xp.exp(power * (log_ratio(u) - first))
    if integrated:  # c − cos 2φ = 2 sin(φ − t/2) sin(φ + t/2)
        integrand = integrand * 2 * xp.sin(span * (1 - u**2)) * xp.sin(theta - span * u**2 + half)
    integral = xp.sum(integrand, axis=-1) * (span * (1 - low))[..., 0] * (2 / math.pi)
    return xp.where(meets, power * first[..., 0] + xp.log(integral), -math.inf)


_jitted_small_caps = jax.jit(_small_caps, static_argnums=(0, 1, 4))


def check_cosine(cosine: ArrayLike) -> None:
    """Raise `ValueError` unless all of `cosine` lies within −1..1, but for its rounding."""
    dtype = getattr(cosine, "dtype", np.dtype(np.float64))
    slack = max(64 * float(jnp.finfo(dtype).eps), 1e-5) if jnp.issubdtype(dtype, jnp.floating) else 0
    checks.within("cosine", cosine, -1 - slack, 1 + slack)


@functools.cache
def gauss_legendre(points: Whole) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss-Legendre quadrature from 0 to 1. Raises `ValueError` for points < 1."""
    checks.count("points", points, most=10**4)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return (1 + nodes) / 2, weights / 2
