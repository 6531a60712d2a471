"""Flips of memories that see a state through similarities with patterns."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from energyam.flips.capabilities import (
    AbstractBounds,
    AbstractCouplings,
    AbstractEnclosures,
    AbstractFlips,
    AbstractGains,
    AbstractGrowing,
    AbstractLed,
    AbstractSquares,
    Bounds,
    Change,
)
from energyam.flips.derived import moved_by, rounding_of_potential, similarities_of
from energyam.flips.leader import Leader, find_leader, follow_leader
from energyam.linalg import dot, overlaps, weighted_sum

_EXACT = 2**24  # whole numbers up to here are floats
_CACHED = 2**19  # floats of a block of neurons
Bounded = tuple[Float[Array, " K"], Bounds]


def flips_between_patterns(patterns: Num[Array, "K D"], separation: Any) -> AbstractFlips | None:
    """Flips of a state ±1 by its overlaps with patterns ±1 (int8): exact, by what the separation declares.

    None where it declares nothing that makes flips exact.
    """
    K, D = patterns.shape
    if isinstance(separation, AbstractSquares) and K * D < _EXACT:
        return OverlapFlips(patterns, None, separation)
    if isinstance(separation, AbstractBounds) and isinstance(separation, AbstractGains):
        return BoundedFlips(patterns, None, separation)
    return None


class OverlapFlips(AbstractCouplings, AbstractLed):
    """Flips under ½ Σ s², patterns ±1 few enough that all sums are whole numbers below 2^24, so exact.

    What is kept: the overlaps. The couplings are ΞᵀΞ.
    """

    patterns: Num[Array, "K D"]
    by_neuron: Num[Array, "N K"] | None
    separation: Any

    def start(self, state: Float[Array, " D"]) -> Float[Array, " K"]:
        return overlaps(self.patterns, state)

    def energy(self, kept: Float[Array, " K"], state: Float[Array, " N"]) -> Float[Array, ""]:
        return -self.separation.potential(kept)

    def fields(self, kept: Float[Array, " K"]) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
        fields = _products(self, kept)
        return fields, jnp.zeros_like(fields)

    def couplings(self) -> Float[Array, "N N"]:
        rows = _by_neuron(self)
        return dot(rows, rows.T)

    def own_couplings(self) -> Float[Array, " N"]:
        K, D = self.patterns.shape
        return jnp.full(D if self.by_neuron is None else self.by_neuron.shape[0], K, float)

    def moved(self, kept: Float[Array, " K"], steps: Float[Array, " N"]) -> Float[Array, " K"]:
        return kept + dot(steps, _by_neuron(self))

    def laid_out(self) -> "OverlapFlips":
        return OverlapFlips(self.patterns, self.patterns.T, self.separation)

    def seen_from(self, neurons: Int[Array, " b"]) -> "OverlapFlips":
        return OverlapFlips(self.patterns, _rows(self, neurons), self.separation)

    def leader(self, kept: Float[Array, " K"]) -> Leader | None:
        return find_leader(self.separation, kept, self.patterns.shape[1])

    def follow(
        self,
        leader: Leader,
        state: Float[Array, " D"],
        energy: Float[Array, ""],
        order: Int[Array, " t"],
        free: Bool[Array, " D"],
    ) -> tuple[Float[Array, " D"], Float[Array, ""], Float[Array, " t"], Int[Array, " t"]]:
        return follow_leader(self.separation, self.patterns, leader, state, energy, order, free)


class BoundedFlips(AbstractEnclosures, AbstractLed):
    """Flips between patterns ±1 under a separation with bounds: exact, by its `gain` where it is close.

    What is kept: the overlaps, and the bounds at them.
    """

    patterns: Num[Array, "K D"]
    by_neuron: Num[Array, "N K"] | None
    separation: Any

    def start(self, state: Float[Array, " D"]) -> Bounded:
        return self._bounded(overlaps(self.patterns, state))

    def energy(self, kept: Bounded, state: Float[Array, " N"]) -> Float[Array, ""]:
        return -kept[1].potential

    def enclosure(
        self, kept: Bounded, state: Float[Array, " N"]
    ) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
        return self.separation.enclose(kept[1], -state * _products(self, kept[1].weights), 2)

    def change(self, kept: Bounded, state: Float[Array, " N"], i: Int[Array, ""]) -> Change:
        return self.separation.gain(kept[0], -state[i] * _row(self, i), 2)

    def flip(self, kept: Bounded, state: Float[Array, " N"], i: Int[Array, ""]) -> Bounded:
        return self._bounded(kept[0] - 2 * state[i] * _row(self, i))

    def laid_out(self) -> "BoundedFlips":
        return BoundedFlips(self.patterns, self.patterns.T, self.separation)

    def seen_from(self, neurons: Int[Array, " b"]) -> "BoundedFlips":
        return BoundedFlips(self.patterns, _rows(self, neurons), self.separation)

    def leader(self, kept: Bounded) -> Leader | None:
        if not isinstance(self.separation, AbstractGrowing):
            return None
        return find_leader(self.separation, kept[0], self.patterns.shape[1])

    def follow(
        self,
        leader: Leader,
        state: Float[Array, " D"],
        energy: Float[Array, ""],
        order: Int[Array, " t"],
        free: Bool[Array, " D"],
    ) -> tuple[Float[Array, " D"], Float[Array, ""], Float[Array, " t"], Int[Array, " t"]]:
        return follow_leader(self.separation, self.patterns, leader, state, energy, order, free)

    def _bounded(self, similarities):
        return similarities, self.separation.bounds(similarities, 2)


class SimilarityFlips(AbstractFlips):
    """Flips under any similarity and any separation: changes by difference, with a bound on their rounding.

    Between patterns ±1, by overlaps, a separation's own `gain` is taken where it declares one (`exact`).
    What is kept: similarities, potential, and how far rounding may move a potential.
    """

    patterns: Num[Array, "K D"]
    by_neuron: Num[Array, "D K"] | None
    similarity: Any
    separation: Any
    exact: bool = eqx.field(static=True)

    def start(self, state: Float[Array, " D"]) -> Any:
        similarities = similarities_of(self.similarity, self.patterns, state)
        rounding = rounding_of_potential(self.separation, similarities)
        if not jnp.issubdtype(self.patterns.dtype, jnp.integer):
            rounding = rounding * (1 + self.patterns.shape[1] ** 0.5)  # of similarities carried through flips
        return similarities, self.separation.potential(similarities), rounding

    def energy(self, kept: Any, state: Float[Array, " D"]) -> Float[Array, ""]:
        return -kept[1]

    def change(self, kept: Any, state: Float[Array, " D"], i: Int[Array, ""]) -> Change:
        if self.exact:
            return self.separation.gain(kept[0], -state[i] * _row(self, i), 2)
        return Change(self.flip(kept, state, i)[1] - kept[1], 2 * kept[2])

    def flip(self, kept: Any, state: Float[Array, " D"], i: Int[Array, ""]) -> Any:
        similarities, _, rounding = kept
        patterns = self.patterns if self.by_neuron is None else self.by_neuron.T
        after = similarities + moved_by(self.similarity, patterns, state, i, similarities)
        return after, self.separation.potential(after), rounding

    def laid_out(self) -> "SimilarityFlips":
        return eqx.tree_at(
            lambda flips: flips.by_neuron, self, self.patterns.T, is_leaf=lambda leaf: leaf is None
        )


def _products(flips, weights):
    """Σ_μ w_μ ξ_μi for each neuron; as the patterns lie, where none are laid out by neuron."""
    if flips.by_neuron is None:
        return weighted_sum(flips.patterns, weights)
    return weighted_sum(flips.by_neuron, weights, axis=1)


def _by_neuron(flips):
    return flips.patterns.T if flips.by_neuron is None else flips.by_neuron


def _rows(flips, neurons):
    """The patterns at some neurons (b, K), as floats where these stay in a core's cache."""
    rows = _by_neuron(flips)[neurons]
    return rows.astype(float) if rows.size <= _CACHED else rows


def _row(flips, i):
    return _by_neuron(flips)[i]
