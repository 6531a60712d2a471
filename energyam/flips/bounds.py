"""Bounds of changes: one product decides most flips, instead of a term for each pattern.

A flip takes similarities s to s + step · d, d_μ = ±1. Few flips of a recall are close, and for the others
linear bounds suffice. They hold the rounding of the product too, so that what they decide is true in exact
arithmetic. What they leave undecided is decided by the separation's `gain`.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from energyam.flips.abstract import Enclosure
from energyam.linalg import BLOCK


class Still(NamedTuple):
    """Bounds of a change in which some similarities may stay the same: |d| · bend is added to the product."""

    bend: Float[Array, " K"]
    low: Float[Array, ""]
    high: Float[Array, ""]


class Bounds(NamedTuple):
    """Bounds of the change of a potential when the similarities move by step · d, for any d with entries ±1.

        low ≤ change / unit − Σ_μ d_μ weights_μ ≤ high

    `low` and `high` hold the rounding of that sum too. `unit` is anything positive; where it is infinite,
    only the sign is known. `potential` is that of the similarities as they are. With a `log_scale`, the
    change is log_scale · log(1 + unit · v) in place of unit · v. `still` bounds moves in which some d_μ are
    0, as between patterns with entries 0; None where that is not known.

        >>> bounds = eam.Quadratic().bounds(jnp.array([2.0, -4.0]), 2.0)
        >>> low, high = bounds.enclose(jnp.array([[1.0, 1.0]]) @ bounds.weights)
        >>> bool(low <= (4**2 + 2**2) / 2 - (2**2 + 4**2) / 2 <= high)  # both similarities rise by 2
        True
    """

    weights: Float[Array, " K"]
    low: Float[Array, ""]
    high: Float[Array, ""]
    unit: Float[Array, ""]
    potential: Float[Array, ""]
    log_scale: Float[Array, ""] | None = None
    still: Still | None = None

    def enclose(self, products: Float[Array, " t"]) -> Enclosure:
        """The lowest and the highest change, in true units, that some products d · weights allow."""
        least = jnp.finfo(products.dtype).tiny
        low, high = (self.unit * (edge + products) for edge in (self.low, self.high))
        # A unit of 0 or infinity must not hide the sign.
        low = jnp.where(self.low + products > 0, jnp.maximum(low, least), low)
        high = jnp.where(self.high + products < 0, jnp.minimum(high, -least), high)
        low, high = jnp.nan_to_num(low, nan=-jnp.inf), jnp.nan_to_num(high, nan=jnp.inf)
        if self.log_scale is None:
            return Enclosure(low, high)
        known = jnp.isfinite(self.unit)  # else the sign alone
        signs = jnp.where(low > 0, least, -jnp.inf), jnp.where(high < 0, -least, jnp.inf)
        low, high = (
            self.log_scale * jnp.where(known, jnp.log1p(jnp.maximum(edge, -1)), sign)
            for edge, sign in zip((low, high), signs, strict=True)
        )
        return Enclosure(low, high)


def of_terms(
    rises: Float[Array, " K"], falls: Float[Array, " K"], unit: Float[Array, ""], potential: Float[Array, ""]
) -> Bounds:
    """The bounds of a sum of terms: term μ rises by `rises` where d_μ = 1, and falls by `falls` where −1.

    Σ_near rises − Σ_away falls = ½ Σ |d| (rises − falls) + ½ Σ d (rises + falls), in multiples of `unit`. The
    terms are good to 60 units of rounding.
    """
    excess, size = sums(jnp.stack([rises - falls, jnp.abs(rises) + jnp.abs(falls)]))
    return of_sums(rises, falls, excess, size, unit, potential)


def of_sums(
    rises: Float[Array, " K"],
    falls: Float[Array, " K"],
    excess: Float[Array, ""],
    size: Float[Array, ""],
    unit: Float[Array, ""],
    potential: Float[Array, ""],
    error: ArrayLike = 0.0,
) -> Bounds:
    """`of_terms` with the sums of rises − falls and of |rises| + |falls|.

    The terms are good to 60 units of rounding, and beyond that to `error` in all.
    """
    middle, slack = 0.5 * excess, _rounding(rises) * size + error
    still = Still(0.5 * (rises - falls), -slack, slack)
    return Bounds(0.5 * (rises + falls), middle - slack, middle + slack, unit, potential, None, still)


def of_powers(
    beta: Float[Array, ""], similarities: Float[Array, " K"], step: ArrayLike, scale: ArrayLike, sink: bool
) -> Bounds:
    """The bounds of scale · log Σ exp(β s), by p_μ = exp(b (s_μ − max s)) with b = β, or less where β is
    large.

    With h = step the change is log(1 + (e^{βh} − 1) v / Σ p), v = N − A e^{−βh}, for the sums N and A of the
    powers of patterns that come nearer and go away: v = ½ (1 − e^{−βh}) Σ |d| p + ½ (1 + e^{−βh}) Σ d p.

    At a large β both sides underflow, but sums at b < β say much, as Σ exp(βx) ≤ (Σ exp(bx))^{β/b}:
    N(b) < e^{−bh} means that the largest similarity goes away, A(β) ≥ 1, and N(β) < e^{−βh}: no gain.
    A(b) < 1 means that it comes nearer, N(β) ≥ 1, and A(β) < 1: a gain. The unit is then infinite: only
    the sign is known. (Nothing is known there of moves in which the largest may stay.)

    A `sink` is one more power, of a similarity 0 that stays: it enters the sum alone, and changes no sign.
    """
    top = similarities.max()
    b = jnp.minimum(beta, -jnp.log(jnp.finfo(similarities.dtype).eps) / 3 / step)
    p = jnp.exp(b * (similarities - top))
    total, least = sums(p), jnp.exp(-b * step)
    slack = 2 * _rounding(p) * total
    mild = b == beta
    at_beta = lax.cond(mild, lambda: total, lambda: sums(jnp.exp(beta * (similarities - top))))
    middle = 0.5 * (1 - least) * total
    low = jnp.where(mild, middle, 1 - 0.5 * total) - slack
    high = jnp.where(mild, middle, 0.5 * total - least) + slack
    share = jnp.where(mild, 0.5 * (1 + least), 0.5)  # of p in v, which stands in the unit: p is used as it is
    whole = total + jnp.exp(-b * top) if sink else total
    unit = jnp.where(mild, jnp.expm1(b * step) / whole, jnp.inf) * share
    scale, potential = jnp.asarray(scale, p.dtype), beta * top + jnp.log(at_beta)
    potential = scale * (jnp.logaddexp(potential, 0) if sink else potential)
    unknown = jnp.where(mild, slack / share, jnp.inf)
    still = Still((1 - least) / (1 + least) * p, -unknown, unknown)
    return Bounds(p, low / share, high / share, unit, potential, scale, still)


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
