"""Flips that are derived for memories without their own: changes by difference, or from one gradient."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from energyam.flips.abstract import AbstractFlips, Change, Enclosure, Entries, Vector

_ROUNDINGS = 4  # units of rounding that a potential or an energy may be wrong by, relative to its terms


def rounding_of_potential(separation: Any, similarities: Float[Array, " K"]) -> Float[Array, ""]:
    """By how much rounding may have moved a potential: a few units of |potential| + Σ |s · weights|."""
    potential = jnp.abs(separation.potential(similarities))
    sizes = jnp.sum(jnp.abs(similarities * separation.weights(similarities)))
    return _ROUNDINGS * jnp.finfo(similarities.dtype).eps * (potential + sizes)


def scalar_energy(memory: Any) -> Any:
    """`memory.energy` as a function to a float; raises `ValueError` when traced if it gives anything else."""

    def energy(state):
        value = one_number(memory.energy(state), f"energy of {type(memory).__name__}")
        return value.astype(float)

    return energy


def one_number(value: Any, name: str) -> Num[Array, ""]:
    """`value` as an array of one real number; raises `ValueError` that calls it `name` for anything else."""
    try:
        value = jnp.asarray(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be one real number for one state; got {value!r}") from None
    if value.shape != () or jnp.issubdtype(value.dtype, jnp.complexfloating):
        raise ValueError(
            f"{name} must be one real number for one state; got shape {value.shape}, dtype {value.dtype}"
        )
    return value


class EnergyFlips(AbstractFlips):
    """Flips of any energy: what is kept is the energy itself, and a change is a difference of two.

    The error is a few units of rounding of the energy's size: a tolerance, not a proof.
    """

    memory: Any
    rebuild: Callable[[Array], Any]  # from the neurons that move (N,) to the whole state

    def start(self, state: Float[Array, " N"]) -> Float[Array, ""]:
        return scalar_energy(self.memory)(self.rebuild(state))

    def energy(self, kept: Float[Array, ""], state: Float[Array, " N"]) -> Float[Array, ""]:
        return kept

    def change(self, kept: Float[Array, ""], state: Vector, i: Entries, step: Vector) -> Change:
        return self.attempt(kept, state, i, step)[0]

    def move(self, kept: Float[Array, ""], state: Vector, i: Entries, step: Vector) -> Float[Array, ""]:
        return self.start(state.at[i].add(step))

    def attempt(
        self, kept: Float[Array, ""], state: Vector, i: Entries, step: Vector
    ) -> tuple[Change, Float[Array, ""]]:
        after = self.move(kept, state, i, step)
        size = jnp.abs(kept) + jnp.abs(after)
        return Change(kept - after, _ROUNDINGS * jnp.finfo(kept.dtype).eps * size), after


class SlopeFlips(AbstractFlips):
    """Flips of a function that is linear in every neuron: one field −∂E/∂x gives the changes of all, step ·
    field.

    What is kept: the energy, and the field at the state. A memory that has a field and no energy is taken as
    one whose energy is 0: its neurons follow the field. Changes within rounding count as 0.
    """

    energy_and_field: Callable[[Array], tuple[Array, Array]]  # of the neurons that move (N,)
    neurons: Int[Array, " b"] | None = None  # which of them these are; None for all

    def start(self, state: Float[Array, " N"]) -> tuple[Array, Array, Array]:
        return (*self.energy_and_field(state), state)

    def energy(self, kept: tuple[Array, Array, Array], state: Float[Array, " N"]) -> Float[Array, ""]:
        return kept[0]

    def change(self, kept: tuple[Array, Array, Array], state: Vector, i: Entries, step: Vector) -> Change:
        at = i if self.neurons is None else self.neurons[i]
        change = self._clear(kept, jnp.sum(step * kept[1][at]), jnp.abs(step).max())
        return Change(change, jnp.zeros_like(change))

    def move(
        self, kept: tuple[Array, Array, Array], state: Vector, i: Entries, step: Vector
    ) -> tuple[Array, Array, Array]:
        at = i if self.neurons is None else self.neurons[i]
        return self.start(kept[2].at[at].add(step))

    def block(self, neurons: Int[Array, " b"]) -> "SlopeFlips":
        return SlopeFlips(self.energy_and_field, neurons)

    def enclosure(self, kept: tuple[Array, Array, Array], steps: Float[Array, " b"]) -> Enclosure:
        field = kept[1] if self.neurons is None else kept[1][self.neurons]
        change = self._clear(kept, steps * field, jnp.abs(steps))
        return Enclosure(change, change)

    def _clear(self, kept, change, size):
        rounding = _ROUNDINGS * jnp.finfo(change.dtype).eps * size * jnp.abs(kept[1]).max()
        return jnp.where(jnp.abs(change) > rounding, change, 0)
