"""Flips by overlaps with patterns of whole entries: under ½ Σ s², and behind a pattern that leads."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Num

from energyam.flips.abstract import AbstractFlips, Change, Entries, Moving, Swept, Vector
from energyam.linalg import dot, overlaps

EXACT = 2**24  # whole numbers up to here are floats
_CACHED = 2**19  # entries of a block of neurons that become floats: these stay in a core's cache
Flips = TypeVar("Flips", bound="AbstractOverlapFlips")


class Leader(eqx.Module):
    """The nearest pattern, whether it leads, and its overlap with the state."""

    leads: Bool[Array, ""]
    pattern: Num[Array, " N"]
    overlap: Float[Array, ""]
    separation: Any

    def follow(self, neurons: Moving, energy: Float[Array, ""], order: Int[Array, " t"]) -> Swept:
        """A sweep behind the leader: the free neurons that bring it nearer move, each in its turn."""
        gains = neurons.steps * self.pattern
        moves = (gains > 0) & neurons.free
        overlap = self.overlap + jnp.cumsum(jnp.where(moves, gains, 0)[order])
        energies = -jax.vmap(self.separation.potential)(overlap[:, None])
        energies = lax.cummin(jnp.minimum(energy, energies))
        state = neurons.state + jnp.where(moves, neurons.steps, 0)
        return Swept(state, energies[-1], energies, jnp.where(moves[order], order, -1))


class AbstractOverlapFlips(AbstractFlips):
    """Flips of two-valued neurons by overlaps with patterns of whole entries −1, 0, 1.

    What is kept are the overlaps, and whatever follows from them. The patterns lie as they are stored,
    (K, D), and for a sweep by neuron too: all neurons, or a block's. `some_zero`: whether an entry is 0, None
    where none can be; `values`: the two of a neuron, whole numbers.
    """

    patterns: eqx.AbstractVar[Num[Array, "K D"]]
    by_neuron: eqx.AbstractVar[Num[Array, "N K"] | None]
    some_zero: eqx.AbstractVar[Bool[Array, ""] | None]
    separation: eqx.AbstractVar[Any]
    values: eqx.AbstractVar[tuple[int, int]]

    def laid_out(self: Flips) -> Flips:
        return dataclasses.replace(self, by_neuron=self.patterns.T)

    def block(self: Flips, neurons: Int[Array, " b"]) -> Flips:
        rows = self.rows()[neurons]
        rows = rows.astype(float) if rows.size <= _CACHED else rows
        return dataclasses.replace(self, by_neuron=rows)

    def rows(self) -> Num[Array, "N K"]:
        """The patterns' entries at each neuron."""
        return self.patterns.T if self.by_neuron is None else self.by_neuron

    def moved(self, i: Entries, step: Vector) -> Float[Array, " K"]:
        """By how much the overlaps change as the neurons `i` move by `step`."""
        return jnp.sum(step[:, None] * self.rows()[i], axis=0)  # a product would not be fused

    def leader(self, kept: Any) -> Leader | None:
        """Whether one pattern outweighs all others together, from here on to its last flip.

        A flip the leader agrees to takes its overlap s up by h, the distance of the two values of a neuron,
        and any other, |s'|, up by h at most. So the others never come nearer than they would at its last
        flip, where s is the most that it can be. If even there |F'(s' + h)| summed over all others is lost in
        the rounding of F'(s − h), the leader decides each flip, and makes the energy. This holds where |F'|
        grows with the similarity. A pattern with entries 0 never leads, as it leaves those neurons undecided.
        """
        if not self.separation.growing:
            return None
        overlaps, (low, high) = jax.tree.leaves(kept)[0], self.values
        K, h, index, s = overlaps.shape[0], high - low, jnp.argmax(overlaps), jnp.max(overlaps)
        # Indexed by an array of one: a number would make XLA gather sharded patterns from all devices.
        pattern = self.patterns[index[None]][0].astype(s.dtype)
        most = jnp.sum(jnp.where(pattern > 0, high * pattern, low * pattern))
        others = jnp.max(jnp.abs(overlaps), where=jnp.arange(K) != index, initial=0)
        at_last = jnp.stack([most - h, others + (most - s) + h])
        ahead, behind = jnp.abs(self.separation.weights(at_last))
        outweighs = ahead * jnp.finfo(s.dtype).eps > (K - 1) * behind
        leads = (s - h > others + h) & outweighs & (pattern != 0).all()
        return Leader(leads, pattern, s, self.separation)


class OverlapFlips(AbstractOverlapFlips):
    """Flips under ½ Σ s², patterns few enough that all sums are whole numbers below 2^24, so exact.

    What is kept: the overlaps. The couplings are ΞᵀΞ.
    """

    patterns: Num[Array, "K D"]
    by_neuron: Num[Array, "N K"] | None
    some_zero: Bool[Array, ""] | None
    separation: Any
    values: tuple[int, int] = eqx.field(static=True)

    def start(self, state: Float[Array, " D"]) -> Float[Array, " K"]:
        return overlaps(self.patterns, state)

    def energy(self, kept: Float[Array, " K"], state: Float[Array, " N"]) -> Float[Array, ""]:
        return -self.separation.potential(kept)

    def change(self, kept: Float[Array, " K"], state: Vector, i: Entries, step: Vector) -> Change:
        moved = self.moved(i, step)
        change = dot(moved, kept + 0.5 * moved)
        return Change(change, jnp.zeros_like(change))

    def move(self, kept: Float[Array, " K"], state: Vector, i: Entries, step: Vector) -> Any:
        return kept + self.moved(i, step)

    def changes(self, kept: Float[Array, " K"]) -> Callable[[Array, Array | None], Change]:
        rows = self.rows()
        fields = dot(kept, self.patterns) if self.by_neuron is None else dot(rows, kept)
        return changes_of_pairs(fields, jnp.zeros_like(fields), self.own_couplings(), dot(rows, rows.T))

    def move_all(self, kept: Float[Array, " K"], moved: Float[Array, " N"]) -> Float[Array, " K"]:
        return kept + dot(moved, self.rows())

    def own_couplings(self) -> Float[Array, " N"]:
        rows = self.rows()
        if self.some_zero is None:
            return jnp.full(rows.shape[0], rows.shape[1], float)
        return jnp.sum(rows != 0, axis=1).astype(float)


def changes_of_pairs(
    fields: Float[Array, " b"],
    errors: Float[Array, " b"],
    own: Float[Array, " b"],
    pulls: Float[Array, "b b"],
) -> Callable[[Array, Array | None], Change]:
    """The changes step · (f + ½ step · W_ii) of neurons with fields f, given what those before have moved."""
    before = jnp.triu(pulls, 1)

    def changes(steps: Float[Array, " b"], moved: Float[Array, " b"] | None) -> Change:
        field = fields if moved is None else fields + dot(moved, before)
        return Change(steps * (field + 0.5 * steps * own), jnp.abs(steps) * errors)

    return changes
