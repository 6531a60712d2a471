"""Moves of single neurons: the base class of a memory's flips.

A move adds a *step* to a neuron: ∓2 for neurons ±1, ±1 for neurons 0/1. The neurons of a one-hot unit move
together, one by −1 and another by +1.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int

from energyam.abilities import check_written, optional
from energyam.flips.noise import Noise

Vector = Float[Array, " _"]
Entries = Int[Array, " w"]


class Change(NamedTuple):
    """A change known to within an error: the true one lies in `value` ± `error`; 0 where it is exact.

    >>> eam.Change(jnp.ones(1), jnp.zeros(1))  # the energy falls by just 1
    Change(value=Array([1.], dtype=float32), error=Array([0.], dtype=float32))
    """

    value: Float[Array, "..."]
    error: Float[Array, "..."]


class Enclosure(NamedTuple):
    """The lowest and the highest values that some changes can have."""

    low: Float[Array, "..."]
    high: Float[Array, "..."]


class Moving(NamedTuple):
    """The neurons that move, as vectors: the state, what a move adds to each, and which ones may."""

    state: Float[Array, " N"]
    steps: Float[Array, " N"]
    free: Bool[Array, " N"]


class Swept(NamedTuple):
    """The outcome of a sweep of t tries: `flips` holds the neuron moved at each try, −1 for none."""

    state: Float[Array, " N"]
    energy: Float[Array, ""]
    energies: Float[Array, " t"]
    flips: Int[Array, " t"]


class Turns(NamedTuple):
    """The moves of all neurons colour by colour: the state, what is kept for it, the fall of the energy at
    each neuron's turn in the order of the colours (0 if it stayed), and the sum of these."""

    state: Float[Array, " N"]
    kept: Any
    total: Float[Array, ""]
    gains: Float[Array, " N"]


class AbstractFlips(eqx.Module):
    """Moves of single neurons: what is kept for a state between moves, and how a move changes the energy.

    States are vectors (N,) of all neurons that move. `kept` is any pytree of arrays, say the overlaps with
    the patterns. `i` (w,) are the neurons that move together, one or those of a one-hot unit, and `step` (w,)
    is the amount by which each moves; 0 moves nothing.

        >>> flips = eam.CHN(jnp.array([[1, 1, 1, 1]])).flips()
        >>> state = jnp.array([1.0, 1.0, 1.0, -1.0])
        >>> kept = flips.start(state)  # the overlaps
        >>> flips.change(kept, state, jnp.array([3]), jnp.array([2.0]))  # E falls from −2 to −8
        Change(value=Array(6., dtype=float32), error=Array(0., dtype=float32))
    """

    def __init_subclass__(cls, **options: Any):
        check_written(cls, AbstractFlips, **options)

    coloured = False  # whether `colours` and `by_colour` are written

    @abc.abstractmethod
    def start(self, state: Float[Array, " N"]) -> Any:
        """The data to keep for a state, computed anew."""

    @abc.abstractmethod
    def energy(self, kept: Any, state: Float[Array, " N"]) -> Float[Array, ""]:
        """E(x)."""

    @abc.abstractmethod
    def change(self, kept: Any, state: Vector, i: Entries, step: Vector) -> Change:
        """E(x) − E(x + step), in the units of the energy: above 0 if the move lowers it."""

    @abc.abstractmethod
    def move(self, kept: Any, state: Vector, i: Entries, step: Vector) -> Any:
        """The data to keep for x + step."""

    @optional
    def attempt(self, kept: Any, state: Vector, i: Entries, step: Vector) -> tuple[Change, Any]:
        """`change` and `move` at once. Write it if both come from one evaluation, for example if the change
        is a difference of energies: each try then costs one evaluation."""
        return self.change(kept, state, i, step), self.move(kept, state, i, step)

    @optional
    def laid_out(self) -> "AbstractFlips":
        """The same flips, laid out in memory for a sweep. Write it if the arrays are slow to read neuron by
        neuron, like patterns that are stored row by row."""
        return self

    @optional
    def block(self, neurons: Int[Array, " b"]) -> "AbstractFlips | None":
        """The same flips of these neurons alone: states are then (b,), `i` counts among them, and `kept`
        stays what it was. Write it, with `changes` or `enclosure`, so that sweeps decide many neurons at
        once."""
        return None

    @optional
    def changes(self, kept: Any) -> Callable[[Array, Array | None], Change] | None:
        """A function of `steps` (b,) and `moved` (b,): each neuron's change by its step, after those before
        it have moved (None: none has). Write it where all changes cost little more than one: blocks are then
        decided in a few rounds."""
        return None

    @optional
    def move_all(self, kept: Any, moved: Float[Array, " b"]) -> Any:
        """The data to keep after all neurons have moved by `moved`. Write it together with `changes`."""
        return None

    @optional
    def enclosure(self, kept: Any, steps: Float[Array, " b"]) -> Enclosure | None:
        """The lowest and the highest possible change of each neuron. Write it where one product bounds the
        changes of many neurons: a sweep then examines exactly those that it leaves open."""
        return None

    @optional
    def colours(self) -> Int[Array, " N"] | None:
        """All neurons, colour by colour: no move of one changes what a move of another of its colour does.
        Write it, with `by_colour`, where the interactions are few."""
        return None

    @optional
    def by_colour(self, kept: Any, neurons: Moving, noise: Noise | None) -> Turns | None:
        """The moves of all free neurons in the order of `colours`, decided by `exceeds` exactly as one after
        another, with the thresholds that the noise has for their places in that order; 0 without noise."""
        return None

    @optional
    def leader(self, kept: Any) -> Any:
        """One pattern that decides all flips from here on (see `energyam.flips.overlaps`). Write it where the
        nearest pattern may outweigh all others."""
        return None

    @optional
    def own_couplings(self) -> Float[Array, " N"] | None:
        """W_ii = −∂²E/∂x_i² of a quadratic energy. Write it so that losses have the gradient of the
        couplings."""
        return None

    @optional
    def typical_field(self) -> Float[Array, ""] | None:
        """The root mean square of a field at a random state, which sets the temperatures of annealing. Write
        it where it is known in closed form."""
        return None
