"""Roots of increasing functions, and weights on the simplex that are such roots: exact to the last digits."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float

_MOST_STEPS = 200
_MANY, _GROUP = 4096, 32  # of so many scores the best of groups are taken first: they can only ask for more

Values = Float[Array, "..."]
Slope = Callable[[Values], tuple[Values, Values]]


def increasing_root(
    function: Slope, low: Values, high: Values, start: Values, halving: ArrayLike = True
) -> Values:
    """Where increasing functions, one for each entry, pass through 0 between `low` and `high`.

    `function(x)` gives values and slopes. Newton's steps, and halves of the bracket where these leave it or
    don't halve (the first after a half may go as far as the bracket does), until no entry moves by more than
    the rounding of the bracket. Not `halving`, where the function is convex, steps need not halve: they come
    from above one by one. Not differentiable: callers differentiate implicitly.
    """

    halved = jnp.asarray(halving)

    def narrow(at):
        x, low, high, last, _, count = at
        value, slope = lax.stop_gradient(function(x))
        low, high = jnp.where(value <= 0, x, low), jnp.where(value >= 0, x, high)
        newton = x - value / jnp.where(slope > 0, slope, 1)
        good = (
            (slope > 0) & (newton >= low) & (newton <= high) & ((2 * jnp.abs(newton - x) <= last) | ~halved)
        )
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


@jax.jit
def entmax(scores: Float[Array, "*B K"], alpha: Float[Array, ""]) -> Float[Array, "*B K"]:
    """The p on the simplex of the last axis that maximises p · scores − (Σ p^α − 1) / (α (α − 1)).

    p = [(α−1) scores − τ]_+^{1/(α−1)}, for 1 < α ≤ 3. The root is found in y = log max p, in which it is well
    scaled for all α, with p = exp(y) (1 − (α−1) (max scores − scores) / e^{(α−1) y})^{1/(α−1)}. Of many
    scores, the best of each group alone give an upper bound of y, which is nearly y where the support is
    narrow. The powers of α = 3/2 and 2 are taken without logarithms.
    Derivatives are those of the exact p, and 0 outside its support.

    Peters, Niculae & Martins, "Sparse sequence-to-sequence models", ACL 2019; α = 2: Martins & Astudillo,
    ICML 2016 (sparsemax).
    """
    return _entmax(scores, alpha)


@jax.custom_jvp
def _entmax(scores, alpha):
    behind = jnp.max(scores, axis=-1, keepdims=True) - scores
    a = jnp.asarray(alpha - 1, scores.dtype)
    if scores.shape[-1] < _MANY:
        p = _entmax_by(_any_power, behind, a)
    else:
        which = jnp.where(a == 0.5, 1, jnp.where(a == 1, 2, 0))
        p = lax.switch(which, [partial(_entmax_by, power) for power in _POWERS], behind, a)
    return p / jnp.sum(p, axis=-1, keepdims=True)


def _entmax_by(power, behind, a):
    """`_entmax` but for the last rounding, from how far scores lie behind the largest.

    `power(behind, y, a)` gives p, and p over its share 1 − (α−1) behind / e^{(α−1) y} of the reach.
    """

    def to_go(y, behind):
        # For α ≤ 2 the norm (Σ p)^a is convex in the reach, so that Newton's steps come from above.
        total, slope = (jnp.sum(part, axis=-1, keepdims=True) for part in power(behind, y, a))
        share = jnp.expm1(-a * jnp.log(total)) * total / slope
        return -jnp.log1p(jnp.maximum(share, jnp.finfo(y.dtype).eps - 1)) / a, jnp.ones_like(y)

    def root(behind, high):
        return increasing_root(partial(to_go, behind=behind), low, high, high, halving=a > 1)

    K = behind.shape[-1]
    low = jnp.full_like(behind[..., :1], -jnp.log(K))
    high = jnp.zeros_like(low)
    if K >= _MANY:
        groups = behind[..., : K - K % _GROUP].reshape(*behind.shape[:-1], _GROUP, -1)
        high = root(jnp.min(groups, axis=-2), high)
    return power(behind, root(behind, high), a)[0]


def _any_power(behind, y, a):
    reach = jnp.exp(a * y)  # of the best score beyond τ
    inside = a * behind < reach
    ratio = jnp.where(inside, a * behind / reach, 0)
    p = jnp.where(inside, jnp.exp(y + jnp.log1p(-ratio) / a), 0)
    return p, p / (1 - ratio)


def _second_power(behind, y, a):
    reach = jnp.exp(a * y)
    root = jax.nn.relu(reach - a * behind)
    return root**2, reach * root


def _first_power(behind, y, a):
    p = jax.nn.relu(jnp.exp(y) - behind)
    return p, jnp.where(p > 0, jnp.exp(y), 0)


_POWERS = _any_power, _second_power, _first_power


@_entmax.defjvp
def _entmax_jvp(primals, tangents):
    scores, alpha = primals
    p = _entmax(scores, alpha)
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
