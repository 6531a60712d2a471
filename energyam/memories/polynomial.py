"""The polynomial separation, whose gains are exact."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from energyam import checks
from energyam.memories.exact import power, power_changes, settle_sign
from energyam.memories.screen import Screen, of_changes
from energyam.memories.separation import AbstractBlockwise, Pair, saturated


class Polynomial(AbstractBlockwise):
    """F(s) = max(s, 0)ⁿ/n (rectified) or sⁿ/n: dense associative memory of order n.

    potential(s) = Σ_μ F(s_μ), weights(s) = max(s, 0)ⁿ⁻¹ or sⁿ⁻¹. Powers are taken relative to the largest
    similarity. A whole `n` decides gains of whole similarities exactly, in integers where floats can't.

    **Arguments:** `n`: the order, at least 1, and whole unless rectified; an array leaf, so that a sweep
    over n compiles once. `rectified`: whether negative similarities count as 0.

    Raises `ValueError` for n below 1, or not whole where it must be.

    Krotov & Hopfield, "Dense associative memory for pattern recognition", NeurIPS 2016.
    """

    n: Num[Array, ""]
    rectified: bool = eqx.field(static=True)

    def __init__(self, n: Any, rectified: bool = True):
        checks.positive("n", n)
        self.n = _whole_if_possible(checks.as_array("n", n, ""))
        self.rectified = rectified
        if not checks.passes(lambda n: n >= 1, self.n):
            raise ValueError(f"n must be at least 1; got {n}")
        if not rectified and not jnp.issubdtype(self.n.dtype, jnp.integer):
            raise ValueError(f"n must be a whole number unless rectified; got {n}")

    def scale(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        return jnp.max(self._rectified(similarities, jnp.abs))

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        s = self._rectified(similarities) / jnp.where(scale > 0, scale, 1)
        weights = power(s, self.n - 1)
        terms = s * weights if jnp.issubdtype(self.n.dtype, jnp.integer) else power(s, self.n)
        return terms, jnp.where(s > 0, weights, 0) if self.rectified else weights

    def whole(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        half = scale ** (0.5 * self.n)  # in two halves: scaleⁿ may overflow where the sum does not
        largest = jnp.finfo(total.dtype).max / 2.0**32
        return saturated(total / self.n * half * half), jnp.minimum(scale ** (self.n - 1.0), largest)

    def gain(
        self, similarities: Float[Array, " K"], direction: Float[Array, " K"], step: ArrayLike
    ) -> Float[Array, ""]:
        before, after = similarities, similarities + step * direction
        if self.rectified:
            before, after = jax.nn.relu(before), jax.nn.relu(after)
        scale = jnp.maximum(jnp.max(jnp.maximum(jnp.abs(before), jnp.abs(after))), 1)
        terms = power_changes(before, after, scale, self.n)
        estimate = terms.sum()
        bound = (64 + terms.size) * jnp.finfo(terms.dtype).eps * jnp.abs(terms).sum()
        if jnp.issubdtype(self.n.dtype, jnp.integer):
            gain = settle_sign(estimate, bound, before, after, self.n)
        else:
            gain = jnp.where(jnp.abs(estimate) > bound, estimate, 0)
        half = jnp.minimum(scale ** (0.5 * self.n), jnp.finfo(terms.dtype).max)
        return saturated(gain / self.n * half * half)

    def screen(self, similarities: Float[Array, " K"], step: ArrayLike) -> Screen:
        low, here, high = map(self._rectified, (similarities - step, similarities, similarities + step))
        scale = jnp.maximum(jnp.max(jnp.maximum(jnp.abs(low), jnp.abs(high))), 1)
        return of_changes(power_changes(here, high, scale, self.n), power_changes(low, here, scale, self.n))

    def _rectified(self, similarities, otherwise=lambda s: s):
        return jax.nn.relu(similarities) if self.rectified else otherwise(similarities)


def _whole_if_possible(n):
    if checks.is_known(n) and float(n).is_integer():
        return checks.now(lambda n: n.astype(jnp.int32), n)
    return n
