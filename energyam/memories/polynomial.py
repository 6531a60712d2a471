"""The polynomial separation, with exact gains."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from energyam import checks
from energyam.flips import integer_powers
from energyam.flips.abstract import Change
from energyam.flips.bounds import Bounds, of_sums, sums
from energyam.flips.integer_powers import MAX_ORDER, largest_order, limbs_for, power
from energyam.linalg import saturated
from energyam.log_scale import compressed, is_beyond
from energyam.memories.separation import AbstractSeparation, Directions, Pair, Similarities, by_blocks

_SMALL_ORDER = 19  # up to here bounds take products of squares too: their n units of rounding are few


class Polynomial(AbstractSeparation):
    """F(s) = max(s, 0)ⁿ/n (rectified) or sⁿ/n: dense associative memory of order n.

    potential(s) = Σ_μ F(s_μ), weights(s) = max(s, 0)ⁿ⁻¹ or sⁿ⁻¹. Powers are taken relative to the largest
    similarity. Sums beyond L = 2^110 (in 32-bit floats) are given as L (1 + log(sum / L)), which is finite
    and keeps their order. A whole `n` decides gains of whole similarities exactly, in integers where floats
    can't.

    **Arguments:** `n`: the order, from 1 to 1000, and whole unless rectified; an array leaf, so that a sweep
    over n rarely compiles anew (once for each doubling of the integers' size). `rectified`: whether negative
    similarities count as 0.

    Raises `ValueError` for n out of range, not whole where it must be, or a whole n that is only known
    inside `jit` (the size of its integers depends on it).

    Krotov & Hopfield, "Dense associative memory for pattern recognition", NeurIPS 2016.

        >>> cubic, overlaps = eam.Polynomial(3), jnp.array([2.0, -1.0])
        >>> cubic.weights(overlaps), cubic.potential(overlaps)  # 2², 0 and 2³/3
        (Array([4., 0.], dtype=float32), Array(2.6666667, dtype=float32))
    """

    n: Num[Array, ""]
    rectified: bool = eqx.field(static=True)
    limbs: int = eqx.field(static=True, default=limbs_for(MAX_ORDER))  # of the integers that decide
    growing = True

    def __init__(self, n: ArrayLike, rectified: bool = True):
        checks.positive("n", n)
        self.n = _whole_if_possible(checks.as_array("n", n, ""))
        self.rectified = checks.flag("rectified", rectified)
        if not checks.passes(lambda n: (n >= 1) & (n <= MAX_ORDER), self.n):
            raise ValueError(f"n must be at least 1 and at most {MAX_ORDER}; got {n}")
        whole = jnp.issubdtype(self.n.dtype, jnp.integer)
        if not rectified and not whole:
            raise ValueError(f"n must be a whole number unless rectified; got {n}")
        if whole and not checks.is_known(self.n):
            raise ValueError("n must be known where a Polynomial is made; got a traced whole number")
        self.limbs = limbs_for(int(self.n)) if whole else 0

    def potential(self, similarities: Similarities) -> Float[Array, ""]:
        return by_blocks(self, similarities)[0]

    def blocks(self) -> "Polynomial":
        return self

    def scale(self, similarities: Similarities) -> Float[Array, ""]:
        # Above 0 where all similarities are 0, so that a slope of 1 (n = 1) is not lost.
        least = jnp.finfo(similarities.dtype).tiny ** 0.5
        return jnp.maximum(jnp.max(self._rectified(similarities, jnp.abs)), least)

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        s = self._rectified(similarities) / scale
        most = largest_order(self.limbs)
        weights = power(s, self.n - 1, most)
        terms = s * weights if self._whole else power(s, self.n, most)
        return terms, jnp.where(s > 0, weights, 0) if self.rectified else weights

    def total(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        largest = jnp.finfo(total.dtype).max
        unit = jnp.minimum(scale ** (self._order(scale) - 1), largest / 2.0**32)
        return self._value(total, scale), unit

    def gain(self, similarities: Similarities, direction: Directions, step: ArrayLike) -> Change:
        before, after = similarities, similarities + step * direction.astype(similarities.dtype)
        if self.rectified:
            before, after = jax.nn.relu(before), jax.nn.relu(after)
        scale = jnp.maximum(jnp.max(jnp.maximum(jnp.abs(before), jnp.abs(after))), 1)
        terms = integer_powers.power_changes(before, after, scale, self.n)
        estimate = terms.sum()
        bound = (64 + terms.size) * jnp.finfo(terms.dtype).eps * jnp.abs(terms).sum()
        if self._whole:
            both = before, after, self.n, self.limbs
            estimate = integer_powers.with_exact_sign(estimate, bound, scale, *both)
            bound = jnp.zeros_like(bound)
        return Change(*(saturated(self._in_units(part, scale)) for part in (estimate, bound)))

    def bounds(self, similarities: Similarities, step: ArrayLike) -> Bounds:
        small = self._whole and largest_order(self.limbs) <= _SMALL_ORDER
        around = similarities[None] + step * jnp.arange(-1.0, 2.0, dtype=similarities.dtype)[:, None]
        top = jnp.max(self._rectified(similarities, jnp.abs))
        scale = jnp.maximum(top if small else top + step, 1)
        sizes = jnp.maximum(self._rectified(around, jnp.abs), 0) / scale
        powers, error = self._small_powers(sizes) if small else self._large_powers(sizes)
        if not self.rectified:
            powers = jnp.where((around < 0) & (self.n & 1 == 1), -powers, powers)
        low, here, high = lax.optimization_barrier(powers)  # else XLA takes them anew for all that follows
        rises, falls = high - here, here - low
        excess, size, total = sums(rises - falls), sums(jnp.abs(rises) + jnp.abs(falls)), sums(here)
        # The sum of all three: where none is negative, it is one of those known.
        weight = excess + 4 * total if self.rectified else sums(jnp.abs(low) + jnp.abs(here) + jnp.abs(high))
        unit = self._in_units(jnp.ones((), scale.dtype), scale)
        potential = self._value(total, scale)
        return of_sums(rises, falls, excess, size, unit, potential, error(weight))

    def _small_powers(self, sizes):
        """Whole powers of the neighbours (3, K) of similarities, and how far all of them are off together.

        Those below 2^-100 are lost beside the others, and CPUs are slow at what is nearly 0.
        """
        n = self._order(sizes)
        powers = power(jnp.where(sizes > jnp.exp2(-100 / n), sizes, 0), self.n, _SMALL_ORDER)
        return powers, lambda weight: jnp.finfo(sizes.dtype).eps * (n + 4) * weight

    def _large_powers(self, sizes):
        """The same by exp(−y), y = −n log |size|: good to a few units of rounding of 1 + y."""
        y = -self._order(sizes) * jnp.log(sizes)
        powers = jnp.exp(-y)
        error = jnp.finfo(y.dtype).eps * jnp.sum(jnp.where(powers > 0, powers * (8 + 4 * y), 0))
        return powers, lambda weight: 2 * error

    @property
    def _whole(self):
        return jnp.issubdtype(self.n.dtype, jnp.integer)

    def _order(self, like):
        """n as a float beside others."""
        return self.n.astype(like.dtype)

    def _value(self, relative, scale):
        """relative · scaleⁿ / n, compressed beyond the limit."""
        size = jnp.abs(relative)
        n = self._order(size)
        log_size = jnp.log(jnp.where(size > 0, size, 1)) + n * jnp.log(scale) - jnp.log(n)
        beyond = is_beyond(log_size) & (size > 0)
        plain = self._in_units(relative, jnp.where(beyond, 1, scale))
        return jnp.where(beyond, compressed(jnp.sign(relative), log_size), plain)

    def _in_units(self, relative, scale):
        """relative · scaleⁿ / n, in two halves: scaleⁿ may overflow where the whole does not."""
        n = self._order(relative)
        half = jnp.minimum(scale ** (0.5 * n), jnp.finfo(relative.dtype).max)
        return relative / n * half * half

    def _rectified(self, similarities, otherwise=lambda s: s):
        return jax.nn.relu(similarities) if self.rectified else otherwise(similarities)


def _whole_if_possible(n):
    whole = checks.is_known(n) and float(n).is_integer()
    return checks.now(lambda n: n.astype(jnp.int32), n) if whole else n
