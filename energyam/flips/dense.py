"""Flips of memories that see a state through similarities: by bounds, and by differences."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from energyam.flips.abstract import AbstractFlips, Change, Enclosure, Entries, Vector
from energyam.flips.bounds import Bounds
from energyam.flips.derived import rounding_of_potential
from energyam.flips.overlaps import AbstractOverlapFlips
from energyam.linalg import dot, overlaps, weighted_sum


class BoundedFlips(AbstractOverlapFlips):
    """Flips under a separation with bounds: exact, by its `gain` where it is close.

    What is kept: the overlaps, and the bounds at them.
    """

    patterns: Num[Array, "K D"]
    by_neuron: Num[Array, "N K"] | None
    some_zero: Bool[Array, ""] | None
    separation: Any
    values: tuple[int, int] = eqx.field(static=True)

    def start(self, state: Float[Array, " D"]) -> tuple[Float[Array, " K"], Bounds]:
        return self._bounded(overlaps(self.patterns, state))

    def energy(self, kept: tuple[Array, Bounds], state: Float[Array, " N"]) -> Float[Array, ""]:
        return -kept[1].potential

    def change(self, kept: tuple[Array, Bounds], state: Vector, i: Entries, step: Vector) -> Change:
        return self.separation.gain(kept[0], self.moved(i, jnp.sign(step)), self._size())

    def move(self, kept: tuple[Array, Bounds], state: Vector, i: Entries, step: Vector) -> Any:
        return self._bounded(kept[0] + self.moved(i, step))

    def changes(self, kept: tuple[Array, Bounds]) -> Callable[[Array, Array | None], Change]:
        rows, before = self.rows().astype(kept[0].dtype), kept[0]
        earlier = jnp.tril(jnp.ones((rows.shape[0],) * 2, before.dtype), -1)

        def changes(steps: Float[Array, " b"], moved: Float[Array, " b"] | None) -> Change:
            here = jnp.broadcast_to(before, rows.shape)
            if moved is not None:
                here = here + dot(earlier, moved[:, None] * rows)
            gain = lambda s, row, step: self.separation.gain(s, jnp.sign(step) * row, self._size())  # noqa: E731
            return jax.vmap(gain)(here, rows, steps)

        return changes

    def move_all(self, kept: tuple[Array, Bounds], moved: Float[Array, " N"]) -> Any:
        return self._bounded(kept[0] + dot(moved, self.rows()))

    def enclosure(self, kept: tuple[Array, Bounds], steps: Float[Array, " N"]) -> Enclosure:
        bounds, still = kept[1], kept[1].still
        products = jnp.sign(steps) * self._products(bounds.weights)
        if still is not None:
            products = products + self._products(still.bend, sized=True)
            bounds = bounds._replace(low=still.low, high=still.high)
        return bounds.enclose(products)

    def _bounded(self, similarities):
        bounds = self.separation.bounds(similarities, self._size())
        return similarities, bounds._replace(still=None) if self.some_zero is None else bounds

    def _size(self):
        """By how much a move changes a neuron, and so the overlaps."""
        return self.values[1] - self.values[0]

    def _products(self, weights, sized=False):
        """Σ_μ w_μ ξ_μi for each neuron, or Σ_μ w_μ |ξ_μi|; as the patterns lie, where none are by neuron."""
        if self.by_neuron is None:
            return weighted_sum(jnp.abs(self.patterns) if sized else self.patterns, weights)
        return weighted_sum(jnp.abs(self.by_neuron) if sized else self.by_neuron, weights, axis=1)


class SimilarityFlips(AbstractFlips):
    """Flips under any similarity and any separation: changes by difference, with a bound on their rounding.

    Between patterns of whole numbers, by overlaps, a separation's own `gain` is taken where it has one;
    `size` is then that of a move, and 0 elsewhere. What is kept: similarities, potential, and how far
    rounding may move a potential.
    """

    patterns: Num[Array, "K D"]
    by_neuron: Num[Array, "D K"] | None
    similarity: Any
    separation: Any
    size: int = eqx.field(static=True)

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
        change = self.separation.gain(similarities, jnp.sign(moved), self.size) if self.size else None
        change = Change(new - potential, 2 * rounding) if change is None else change
        return change, (after, new, rounding)

    def laid_out(self) -> "SimilarityFlips":
        is_none = lambda leaf: leaf is None  # noqa: E731
        return eqx.tree_at(lambda flips: flips.by_neuron, self, self.patterns.T, is_leaf=is_none)
