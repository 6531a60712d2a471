"""Flips of memories that see a state through similarities with patterns."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

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
    """Flips under ½ Σ s², patterns ±1 few enough that all sums are whole numbers below 2^24, so exact."""

    patterns: Num[Array, "K D"]
    by_neuron: Num[Array, "D K"] | None
    separation: Any

    def start(self, state: Float[Array, " D"]) -> Float[Array, " K"]:
        return overlaps(self.patterns, state)

    def energy(self, kept: Float[Array, " K"], state: Float[Array, " D"]) -> Float[Array, ""]:
        return -self.separation.potential(kept)

    def fields(
        self, kept: Float[Array, " K"], neurons: Int[Array, " t"] | None
    ) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
        if neurons is None:
            fields = weighted_sum(self.patterns, kept)
        else:
            fields = dot(kept, _rows(self, neurons).T)
        return fields, jnp.zeros_like(fields)

    def couplings(self, neurons: Int[Array, " t"]) -> Float[Array, "t t"]:
        rows = _rows(self, neurons)
        return dot(rows, rows.T)

    def moved(
        self, kept: Float[Array, " K"], neurons: Int[Array, " t"], steps: Float[Array, " t"]
    ) -> Float[Array, " K"]:
        return kept + dot(steps, _rows(self, neurons))

    def own_couplings(self) -> Float[Array, " D"]:
        K, D = self.patterns.shape
        return jnp.full(D, K, float)

    def laid_out(self) -> "OverlapFlips":
        return OverlapFlips(self.patterns, self.patterns.T, self.separation)

    def leader(self, kept: Float[Array, " K"]) -> Leader | None:
        return find_leader(self.separation, kept, self.patterns.shape[1])

    def follow(self, leader, state, energy, order, free):
        return follow_leader(self.separation, self.patterns, leader, state, energy, order, free)


class BoundedFlips(AbstractEnclosures, AbstractLed):
    """Flips between patterns ±1 under a separation with bounds: exact, by its `gain` where it is close."""

    patterns: Num[Array, "K D"]
    by_neuron: Num[Array, "D K"] | None
    separation: Any

    def start(self, state: Float[Array, " D"]) -> Bounded:
        return self._bounded(overlaps(self.patterns, state))

    def energy(self, kept: Bounded, state: Float[Array, " D"]) -> Float[Array, ""]:
        return -kept[1].potential

    def enclosure(
        self, kept: Bounded, state: Float[Array, " D"], neurons: Int[Array, " t"] | None
    ) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
        bounds = kept[1]
        if neurons is None:  # as the patterns lie: where no more is asked, none are laid out by neuron
            products = -state * weighted_sum(self.patterns, bounds.weights)
        else:
            products = -state[neurons] * weighted_sum(_rows(self, neurons), bounds.weights, axis=1)
        return self.separation.enclose(bounds, products, 2)

    def change(self, kept: Bounded, state: Float[Array, " D"], i: Int[Array, ""]) -> Change:
        return self.separation.gain(kept[0], -state[i] * _row(self, i), 2)

    def flip(self, kept: Bounded, state: Float[Array, " D"], i: Int[Array, ""]) -> Bounded:
        return self._bounded(kept[0] - 2 * state[i] * _row(self, i))

    def laid_out(self) -> "BoundedFlips":
        return BoundedFlips(self.patterns, self.patterns.T, self.separation)

    def leader(self, kept: Bounded) -> Leader | None:
        if not isinstance(self.separation, AbstractGrowing):
            return None
        return find_leader(self.separation, kept[0], self.patterns.shape[1])

    def follow(self, leader, state, energy, order, free):
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


def _rows(flips, neurons):
    return flips.patterns[:, neurons].T if flips.by_neuron is None else flips.by_neuron[neurons]


def _row(flips, i):
    return flips.patterns[:, i] if flips.by_neuron is None else flips.by_neuron[i]
