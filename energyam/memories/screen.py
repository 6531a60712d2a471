"""Screens: the sign of most flips' gains, told by one product a flip in place of a term for each pattern.

A flip takes similarities s to s + step · d, d_μ = ±1. Few flips of a recall are close, and for the others
linear bounds suffice: w and two offsets, made once a state, with

    gain(s, d, step) ≤ 0    wherever    high + d · w < 0,
    gain(s, d, step) > 0    wherever    low + d · w > 0.

The offsets hold the rounding of the product too, so that what a screen tells is true in exact arithmetic.
What it leaves open is decided by the separation's `gain`.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Num

from energyam.memories.products import BLOCK, weighed


class Screen(NamedTuple):
    """`weights` w (K,) and offsets `low` ≤ `high`: bounds of the gain of any direction, in some unit."""

    weights: Float[Array, " K"]
    low: Float[Array, ""]
    high: Float[Array, ""]

    def signs(
        self, directions: Num[Array, "..."], factors: Float[Array, " t"], axis: int = 0
    ) -> Int[Array, " t"]:
        """Of flips along factor_i · direction_i: 1 with a gain, −1 without one, 0 where that is open.

        `axis` is that of the patterns: 0 for directions (K, t), 1 for (t, K).
        """
        products = factors * weighed(directions, self.weights, axis)
        return jnp.where(self.low + products > 0, 1, jnp.where(self.high + products < 0, -1, 0))


def of_none(similarities: Float[Array, " K"]) -> Screen:
    """The screen that leaves all flips open."""
    zero = jnp.zeros((), similarities.dtype)
    return Screen(jnp.zeros_like(similarities), zero, zero)


def of_changes(rises: Float[Array, " K"], falls: Float[Array, " K"]) -> Screen:
    """The screen of a sum of terms: term μ rises by `rises` where d_μ = 1, and falls by `falls` where −1.

    Σ_near rises − Σ_away falls = ½ Σ (rises − falls) + ½ Σ d (rises + falls).
    """
    slack = _rounding(rises) * jnp.sum(jnp.abs(rises) + jnp.abs(falls))
    middle = 0.5 * _sum(rises - falls)
    return Screen(0.5 * (rises + falls), middle - slack, middle + slack)


def of_powers(beta: Float[Array, ""], similarities: Float[Array, " K"], step: ArrayLike) -> Screen:
    """The screen of a log-sum-exp, by p_μ = exp(b (s_μ − max s)) with b = β, or less where β is large.

    With h = step there is a gain iff N(β) e^{βh} > A(β), for the sums N and A of the powers of patterns that
    come nearer and go away. For b = β that is ½ (1 − e^{−βh}) Σ p + ½ (1 + e^{−βh}) Σ d p > 0.

    At a large β both sides underflow, but sums at b < β tell much, as Σ exp(βx) ≤ (Σ exp(bx))^{β/b}:
    N(b) < e^{−bh} means that the largest similarity goes away, A(β) ≥ 1, and N(β) < e^{−βh}: no gain.
    A(b) < 1 means that it comes nearer, N(β) ≥ 1, and A(β) < 1: a gain.
    """
    b = jnp.minimum(beta, -jnp.log(jnp.finfo(similarities.dtype).eps) / 3 / step)
    p = jnp.exp(b * (similarities - similarities.max()))
    total, least, slack = _sum(p), jnp.exp(-b * step), 2 * _rounding(p)
    whole = b == beta
    middle = 0.5 * (1 - least) * total
    low = jnp.where(whole, middle, 1 - 0.5 * total) - slack * total
    high = jnp.where(whole, middle, 0.5 * total - least) + slack * total
    return Screen(jnp.where(whole, 0.5 * (1 + least), 0.5) * p, low, high)


def _rounding(terms):
    """A bound on the relative error of `_sum` and `weighed`, and of terms good to 60 units of rounding."""
    K = terms.shape[0]
    return (128 + min(BLOCK, K) + K / BLOCK) * jnp.finfo(terms.dtype).eps


def _sum(terms):
    return weighed(jnp.ones((terms.shape[0], 1), jnp.int8), terms)[0]
