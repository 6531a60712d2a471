"""Flips of memories that see a state through similarities with patterns."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from energyam.flips.abstract import AbstractFlips, Change, Enclosure, Entries, Vector
from energyam.flips.bounds import Bounds
from energyam.flips.couplings import changes_of_pairs
from energyam.flips.derived import rounding_of_potential
from energyam.flips.leader import Leader, find_leader
from energyam.linalg import dot, overlaps, weighted_sum

_EXACT = 2**24  # whole numbers up to here are floats
_CACHED = 2**19  # floats of a block of neurons


class Rows(eqx.Module):
    """Patterns with whole entries −1, 0, 1, as they lie (K, D), or by neuron: all, or those of a block.

    `values`: the two values of a neuron, whole numbers; `some_zero`: whether an entry is 0, None for none.
    """

    patterns: Num[Array, "K D"]
    by_neuron: Num[Array, "N K"] | None
    some_zero: Bool[Array, ""] | None
    values: tuple[int, int] = eqx.field(static=True)

    @property
    def size(self) -> int:
        """By how much a move changes a neuron, and so the overlaps."""
        return self.values[1] - self.values[0]

    def laid_out(self) -> "Rows":
        """The same, by neuron."""
        return Rows(self.patterns, self.patterns.T, self.some_zero, self.values)

    def of(self, neurons: Int[Array, " b"]) -> "Rows":
        """Some neurons alone, as floats where these stay in a core's cache."""
        rows = self.all()[neurons]
        rows = rows.astype(float) if rows.size <= _CACHED else rows
        return Rows(self.patterns, rows, self.some_zero, self.values)

    def all(self) -> Num[Array, "N K"]:
        """The patterns' entries at each neuron."""
        return self.patterns.T if self.by_neuron is None else self.by_neuron

    def products(self, weights: Float[Array, " K"], sized: bool = False) -> Float[Array, " N"]:
        """Σ_μ w_μ ξ_μi for each neuron, or Σ_μ w_μ |ξ_μi|; as the patterns lie, where none are by neuron."""
        if self.by_neuron is None:
            return weighted_sum(jnp.abs(self.patterns) if sized else self.patterns, weights)
        return weighted_sum(jnp.abs(self.by_neuron) if sized else self.by_neuron, weights, axis=1)

    def moved(self, i: Int[Array, " w"], step: Float[Array, " w"]) -> Float[Array, " K"]:
        """By how much the overlaps change as the neurons `i` move by `step`."""
        return dot(step, self.all()[i])


class OverlapFlips(AbstractFlips):
    """Flips under ½ Σ s², patterns few enough that all sums are whole numbers below 2^24, so exact.

    What is kept: the overlaps. The couplings are ΞᵀΞ.
    """

    rows: Rows
    separation: Any

    def start(self, state: Float[Array, " D"]) -> Float[Array, " K"]:
        return overlaps(self.rows.patterns, state)

    def energy(self, kept: Float[Array, " K"], state: Float[Array, " N"]) -> Float[Array, ""]:
        return -self.separation.potential(kept)

    def change(self, kept: Float[Array, " K"], state: Vector, i: Entries, step: Vector) -> Change:
        moved = self.rows.moved(i, step)
        change = dot(moved, kept + 0.5 * moved)
        return Change(change, jnp.zeros_like(change))

    def move(self, kept: Float[Array, " K"], state: Vector, i: Entries, step: Vector) -> Any:
        return kept + self.rows.moved(i, step)

    def laid_out(self) -> "OverlapFlips":
        return OverlapFlips(self.rows.laid_out(), self.separation)

    def block(self, neurons: Int[Array, " b"]) -> "OverlapFlips":
        return OverlapFlips(self.rows.of(neurons), self.separation)

    def changes(self, kept: Float[Array, " K"]) -> Callable[[Array, Array | None], Change]:
        fields, rows = self.rows.products(kept), self.rows.all()
        return changes_of_pairs(fields, jnp.zeros_like(fields), self.own_couplings(), dot(rows, rows.T))

    def move_all(self, kept: Float[Array, " K"], moved: Float[Array, " N"]) -> Float[Array, " K"]:
        return kept + dot(moved, self.rows.all())

    def own_couplings(self) -> Float[Array, " N"]:
        rows = self.rows.all()
        if self.rows.some_zero is None:
            return jnp.full(rows.shape[0], rows.shape[1], float)
        return jnp.sum(rows != 0, axis=1).astype(float)

    def leader(self, kept: Float[Array, " K"]) -> Leader:
        return find_leader(self.separation, self.rows.patterns, kept, self.rows.values)


class BoundedFlips(AbstractFlips):
    """Flips under a separation with bounds: exact, by its `gain` where it is close.

    What is kept: the overlaps, and the bounds at them.
    """

    rows: Rows
    separation: Any

    def start(self, state: Float[Array, " D"]) -> tuple[Float[Array, " K"], Bounds]:
        return self._bounded(overlaps(self.rows.patterns, state))

    def energy(self, kept: tuple[Array, Bounds], state: Float[Array, " N"]) -> Float[Array, ""]:
        return -kept[1].potential

    def change(self, kept: tuple[Array, Bounds], state: Vector, i: Entries, step: Vector) -> Change:
        return self.separation.gain(kept[0], self.rows.moved(i, jnp.sign(step)), self.rows.size)

    def move(self, kept: tuple[Array, Bounds], state: Vector, i: Entries, step: Vector) -> Any:
        return self._bounded(kept[0] + self.rows.moved(i, step))

    def laid_out(self) -> "BoundedFlips":
        return BoundedFlips(self.rows.laid_out(), self.separation)

    def block(self, neurons: Int[Array, " b"]) -> "BoundedFlips":
        return BoundedFlips(self.rows.of(neurons), self.separation)

    def changes(self, kept: tuple[Array, Bounds]) -> Callable[[Array, Array | None], Change]:
        rows, before = self.rows.all().astype(kept[0].dtype), kept[0]
        earlier = jnp.tril(jnp.ones((rows.shape[0],) * 2, before.dtype), -1)

        def changes(steps: Float[Array, " b"], moved: Float[Array, " b"] | None) -> Change:
            here = jnp.broadcast_to(before, rows.shape)
            if moved is not None:
                here = here + dot(earlier, moved[:, None] * rows)
            gain = lambda s, row, step: self.separation.gain(s, jnp.sign(step) * row, self.rows.size)  # noqa: E731
            return jax.vmap(gain)(here, rows, steps)

        return changes

    def move_all(self, kept: tuple[Array, Bounds], moved: Float[Array, " N"]) -> Any:
        return self._bounded(kept[0] + dot(moved, self.rows.all()))

    def enclosure(self, kept: tuple[Array, Bounds], steps: Float[Array, " N"]) -> Enclosure:
        bounds, still = kept[1], kept[1].still
        products = jnp.sign(steps) * self.rows.products(bounds.weights)
        if still is not None:
            products = products + self.rows.products(still.bend, sized=True)
            bounds = bounds._replace(low=still.low, high=still.high)
        return bounds.enclose(products)

    def leader(self, kept: tuple[Array, Bounds]) -> Leader | None:
        if not self.separation.growing:
            return None
        return find_leader(self.separation, self.rows.patterns, kept[0], self.rows.values)

    def _bounded(self, similarities):
        bounds = self.separation.bounds(similarities, self.rows.size)
        return similarities, bounds._replace(still=None) if self.rows.some_zero is None else bounds


class SimilarityFlips(AbstractFlips):
    """Flips under any similarity and any separation: changes by difference, with a bound on their rounding.

    Between patterns of whole numbers, by overlaps, a separation's own `gain` is taken where it has one
    (`exact`). What is kept: similarities, potential, and how far rounding may move a potential.
    """

    patterns: Num[Array, "K D"]
    by_neuron: Num[Array, "D K"] | None
    similarity: Any
    separation: Any
    size: int = eqx.field(static=True)
    exact: bool = eqx.field(static=True)

    def start(self, state: Float[Array, " D"]) -> Any:
        similarities = self.similarity.of_all(self.patterns, state)
        rounding = rounding_of_potential(self.separation, similarities)
        if not jnp.issubdtype(self.patterns.dtype, jnp.integer):
            rounding = rounding * (1 + self.patterns.shape[1] ** 0.5)  # of similarities carried through flips
        return similarities, self.separation.potential(similarities), rounding

    def energy(self, kept: Any, state: Float[Array, " D"]) -> Float[Array, ""]:
        return -kept[1]

    def change(self, kept: Any, state: Vector, i: Entries, step: Vector) -> Change:
        return self.attempt(kept, state, i, step)[0]

    def move(self, kept: Any, state: Vector, i: Entries, step: Vector) -> Any:
        return self.attempt(kept, state, i, step)[1]

    def attempt(self, kept: Any, state: Vector, i: Entries, step: Vector) -> tuple[Change, Any]:
        similarities, potential, rounding = kept
        patterns = self.patterns if self.by_neuron is None else self.by_neuron.T
        moved = self.similarity.moved(patterns, state, i, step, similarities)
        after = similarities + moved
        new = self.separation.potential(after)
        change = self.separation.gain(similarities, jnp.sign(moved), self.size) if self.exact else None
        change = Change(new - potential, 2 * rounding) if change is None else change
        return change, (after, new, rounding)

    def laid_out(self) -> "SimilarityFlips":
        is_none = lambda leaf: leaf is None  # noqa: E731
        return eqx.tree_at(lambda flips: flips.by_neuron, self, self.patterns.T, is_leaf=is_none)


def flips_between_patterns(
    patterns: Num[Array, "K D"], separation: Any, values: tuple[int, int]
) -> AbstractFlips | None:
    """Flips of two-valued neurons by overlaps with patterns of whole entries −1, 0, 1: exact, by what the
    separation declares. None where it declares nothing that makes flips exact and fast.
    """
    K, D = patterns.shape
    rows = Rows(patterns, None, None if values == (-1, 1) else (patterns == 0).any(), values)
    if separation.squares and 2 * K * D < _EXACT * rows.size:
        return OverlapFlips(rows, separation)
    s, d = jnp.zeros(K), jnp.ones(K)
    bounds, gain = separation.bounds(s, rows.size), separation.gain(s, d, rows.size)
    known = bounds is not None and (rows.some_zero is None or bounds.still is not None)
    return BoundedFlips(rows, separation) if known and gain is not None else None
