"""Roots of increasing functions, and weights on the simplex that are such roots: exact to the last digits."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float

_MOST_STEPS = 200

Values = Float[Array, "..."]
Slope = Callable[[Values], tuple[Values, Values]]


def increasing_root(function: Slope, low: Values, high: Values, start: Values) -> Values:
    """Where increasing functions, one for each entry, pass through 0 between `low` and `high`.

    `function(x)` gives values and slopes. Newton's steps, and halves of the bracket where these leave it or
    don't halve (the first after a half may go as far as the bracket does), until no entry moves by more than
    the rounding of the bracket. Not differentiable: callers differentiate implicitly.
    """

    def narrow(at):
        x, low, high, last, _, count = at
        value, slope = lax.stop_gradient(function(x))
        low, high = jnp.where(value <= 0, x, low), jnp.where(value >= 0, x, high)
        newton = x - value / jnp.where(slope > 0, slope, 1)
        good = (slope > 0) & (newton >= low) & (newton <= high) & (2 * jnp.abs(newton - x) <= last)
        new = jnp.where(good, newton, low + 0.5 * (high - low))
        step = jnp.abs(new - x)
        return new, low, high, jnp.where(good, step, 2 * step), step > least, count + 1

    shapes = jnp.broadcast_shapes(*map(jnp.shape, (low, high, start)))
    low, high, start = (lax.stop_gradient(jnp.broadcast_to(x, shapes)) for x in (low, high, start))
    least = jnp.finfo(start.dtype).eps * jnp.maximum(jnp.abs(low), jnp.abs(high))
    at = start, low, high, 2 * (high - low), low < high, 0
    return lax.while_loop(lambda at: at[4].any() & (at[5] < _MOST_STEPS), narrow, at)[0]


def held_field(
    activation: Callable[[Values], Any], field: Values, curvature: ArrayLike, low: ArrayLike, high: ArrayLike
) -> Values:
    """The u with u + curvature · activation(u) = field, each entry by itself: what a curvature leaves of it.

    `activation`, increasing from `low` to `high`, gives values and slopes. Where the curvature is 0 this is
    the field, and costs nothing. Differentiable once, in all that the activation reads.
    """
    c = jnp.asarray(curvature, field.dtype)
    c = jnp.where(c >= 0, c, 0)

    def excess(u, f=field, c=c):
        value, slope = activation(u)
        return u + c * value - f, 1 + c * slope

    fixed = lambda u: excess(u, lax.stop_gradient(field), lax.stop_gradient(c))  # noqa: E731
    found = increasing_root(fixed, field - c * high, field - c * low, field - c * jnp.clip(0.0, low, high))
    value, slope = excess(lax.stop_gradient(found))
    return found - value / lax.stop_gradient(slope)  # one more of Newton's steps carries the derivatives


@jax.custom_jvp
def entmax(scores: Float[Array, "*B K"], alpha: Float[Array, ""]) -> Float[Array, "*B K"]:
    """The p on the simplex of the last axis that maximises p · scores − (Σ p^α − 1) / (α (α − 1)).

    p = [(α−1) scores − τ]_+^{1/(α−1)}, for 1 < α ≤ 3. The root is found in y = log max p, in which it is well
    scaled for all α, with p = exp(y + log1p(−(α−1) (max scores − scores) / e^{(α−1) y}) / (α−1)).
    Derivatives are those of the exact p, and 0 outside its support.

    Peters, Niculae & Martins, "Sparse sequence-to-sequence models", ACL 2019; α = 2: Martins & Astudillo,
    ICML 2016 (sparsemax).
    """
    behind = jnp.max(scores, axis=-1, keepdims=True) - scores
    a = jnp.asarray(alpha - 1, scores.dtype)

    def weights(y):
        reach = jnp.exp(a * y)  # of the best score beyond τ
        inside = a * behind < reach
        ratio = jnp.where(inside, a * behind / reach, 0)
        return jnp.where(inside, jnp.exp(y + jnp.log1p(-ratio) / a), 0), reach

    def log_total(y):
        p, reach = weights(y)
        total = jnp.sum(p, axis=-1, keepdims=True)
        return jnp.log(total), reach * jnp.sum(_slopes(p, a), axis=-1, keepdims=True) / total

    low = jnp.full_like(behind[..., :1], -jnp.log(scores.shape[-1]))
    p = weights(increasing_root(log_total, low, jnp.zeros_like(low), low))[0]
    return p / jnp.sum(p, axis=-1, keepdims=True)


@entmax.defjvp
def _entmax_jvp(primals, tangents):
    scores, alpha = primals
    p = entmax(scores, alpha)
    a = jnp.asarray(alpha - 1, p.dtype)
    slopes = _slopes(p, a)
    # In α, with w = p^{2−α}: p (1 − a log p) / a² less its part along w; the difference to w / a² is small.
    x = -a * jnp.log(jnp.where(p > 0, p, 1))
    series = 0.5 * x**2 * (1 + x / 3 * (1 + x / 4))
    curve = -p * jnp.where(jnp.abs(x) < 0.05, series, jnp.expm1(x) - x) / a**2
    moved = slopes * tangents[0] + curve * jnp.asarray(tangents[1], p.dtype)
    share = slopes / jnp.sum(slopes, axis=-1, keepdims=True)
    return p, moved - share * jnp.sum(moved, axis=-1, keepdims=True)


def _slopes(p, a):
    """p^{2−α} on the support, and 0 outside."""
    inside = p > 0
    return jnp.where(inside, jnp.where(inside, p, 1) ** (1 - a), 0)
