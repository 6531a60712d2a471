"""Bounds of changes: most flips are decided by one product each, in place of a term for each pattern.

A flip takes similarities s to s + step · d, d_μ = ±1. Few flips of a recall are close, and for the others
linear bounds suffice. They hold the rounding of the product too, so that what they decide is true in exact
arithmetic. What they leave undecided is decided by the separation's `gain`.
"""

import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from energyam.flips.capabilities import Bounds
from energyam.linalg import BLOCK

Enclosure = tuple[Float[Array, " t"], Float[Array, " t"]]


def of_terms(
    rises: Float[Array, " K"], falls: Float[Array, " K"], unit: Float[Array, ""], potential: Float[Array, ""]
) -> Bounds:
    """The bounds of a sum of terms: term μ rises by `rises` where d_μ = 1, and falls by `falls` where −1.

    Σ_near rises − Σ_away falls = ½ Σ (rises − falls) + ½ Σ d (rises + falls), in multiples of `unit`. The
    terms are good to 60 units of rounding.
    """
    excess, size = sums(jnp.stack([rises - falls, jnp.abs(rises) + jnp.abs(falls)]))
    return of_sums(0.5 * (rises + falls), excess, size, unit, potential)


def of_sums(
    weights: Float[Array, " K"],
    excess: Float[Array, ""],
    size: Float[Array, ""],
    unit: Float[Array, ""],
    potential: Float[Array, ""],
    error: ArrayLike = 0.0,
) -> Bounds:
    """`of_terms` by the weights ½ (rises + falls) and the sums of rises − falls and |rises| + |falls|.

    The terms are good to 60 units of rounding, and beyond that to `error` in all.
    """
    middle, slack = 0.5 * excess, _rounding(weights) * size + error
    return Bounds(weights, middle - slack, middle + slack, unit, potential)


def enclose_terms(bounds: Bounds, products: Float[Array, " t"]) -> Enclosure:
    """Bounds of the change of a sum of terms, from products d·weights."""
    low, high = (bounds.unit * (edge + products) for edge in (bounds.low, bounds.high))
    # A unit of 0 or infinity must not hide the sign.
    low = jnp.where(bounds.low + products > 0, jnp.maximum(low, _tiny(low)), low)
    high = jnp.where(bounds.high + products < 0, jnp.minimum(high, -_tiny(high)), high)
    return jnp.nan_to_num(low, nan=-jnp.inf), jnp.nan_to_num(high, nan=jnp.inf)


def of_powers(beta: Float[Array, ""], similarities: Float[Array, " K"], step: ArrayLike) -> Bounds:
    """The bounds of a log-sum-exp, by p_μ = exp(b (s_μ − max s)) with b = β, or less where β is large.

    With h = step the change is log(1 + (e^{βh} − 1) v / Σ p), v = N − A e^{−βh}, for the sums N and A of the
    powers of patterns that come nearer and go away: v = ½ (1 − e^{−βh}) Σ p + ½ (1 + e^{−βh}) Σ d p.

    At a large β both sides underflow, but sums at b < β say much, as Σ exp(βx) ≤ (Σ exp(bx))^{β/b}:
    N(b) < e^{−bh} means that the largest similarity goes away, A(β) ≥ 1, and N(β) < e^{−βh}: no gain.
    A(b) < 1 means that it comes nearer, N(β) ≥ 1, and A(β) < 1: a gain. The unit is then infinite: only
    the sign is known.
    """
    top = similarities.max()
    b = jnp.minimum(beta, -jnp.log(jnp.finfo(similarities.dtype).eps) / 3 / step)
    p = jnp.exp(b * (similarities - top))
    total, least, slack = sums(p), jnp.exp(-b * step), 2 * _rounding(p)
    mild = b == beta
    at_beta = lax.cond(mild, lambda: total, lambda: sums(jnp.exp(beta * (similarities - top))))
    middle = 0.5 * (1 - least) * total
    low = jnp.where(mild, middle, 1 - 0.5 * total) - slack * total
    high = jnp.where(mild, middle, 0.5 * total - least) + slack * total
    share = jnp.where(mild, 0.5 * (1 + least), 0.5)  # of p in v, which stands in the unit: p is used as it is
    unit = jnp.where(mild, jnp.expm1(b * step) / total, jnp.inf) * share
    potential = beta * top + jnp.log(at_beta)
    return Bounds(p, low / share, high / share, unit, potential)


def enclose_powers(bounds: Bounds, products: Float[Array, " t"]) -> Enclosure:
    """Bounds of the change of log Σ exp(β s), from products d·weights."""
    low, high = enclose_terms(bounds, products)
    known = jnp.isfinite(bounds.unit)  # else the sign alone
    below = jnp.where(low > 0, _tiny(low), -jnp.inf)
    above = jnp.where(high < 0, -_tiny(high), jnp.inf)
    low, high = (jnp.log1p(jnp.maximum(edge, -1)) for edge in (low, high))
    return jnp.where(known, low, below), jnp.where(known, high, above)


def sums(terms: Float[Array, "... K"]) -> Float[Array, "..."]:
    """Sums over the last axis, with a rounding of (BLOCK + K / BLOCK) eps Σ |term| at most."""
    *rows, K = terms.shape
    if K <= BLOCK:
        return jnp.sum(terms, axis=-1)
    padded = jnp.pad(terms, [(0, 0)] * len(rows) + [(0, -K % BLOCK)])
    return jnp.sum(jnp.sum(padded.reshape(*rows, -1, BLOCK), axis=-1), axis=-1)


def _rounding(terms):
    """A bound on the relative error of `sums` and `weighted_sum`, for terms good to 60 units of rounding."""
    K = terms.shape[0]
    return (128 + min(BLOCK, K) + K / BLOCK) * jnp.finfo(terms.dtype).eps


def _tiny(like):
    return jnp.finfo(like.dtype).tiny
