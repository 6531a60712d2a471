"""What a memory is: an energy over states, seen through currents, and its change when a neuron flips."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Shaped

from energyam.memories.neurons import AbstractNeurons

Currents = Any  # a pytree: what a memory's energy needs of a state, say the overlaps Ξx


class AbstractIncrements(eqx.Module):
    """How a memory's energy changes when one neuron flips, given the currents of the present state."""

    @abc.abstractmethod
    def currents(self, state: Float[Array, " D"]) -> Currents:
        """The currents of a state, computed afresh."""

    @abc.abstractmethod
    def energy(self, currents: Currents, state: Float[Array, " D"]) -> Float[Array, ""]:
        """E(x)."""

    @abc.abstractmethod
    def gain(self, currents: Currents, state: Float[Array, " D"], i: Int[Array, ""]) -> Float[Array, ""]:
        """E(x) − E(x with neuron i flipped): above 0 only if the flip lowers the energy."""

    def signs(
        self, currents: Currents, state: Float[Array, " D"], neurons: Int[Array, " t"] | None = None
    ) -> Int[Array, " t"]:
        """What is told cheaply of some neurons' flips, or all: 1 with a gain, −1 without one, 0 if open."""
        return jnp.zeros((state if neurons is None else neurons).shape, int)

    @abc.abstractmethod
    def flip(self, currents: Currents, state: Float[Array, " D"], i: Int[Array, ""]) -> Currents:
        """The currents after neuron i of `state` has flipped."""


class AbstractNetwork(eqx.Module):
    """Neurons, and the field that a state makes at them: all that a synchronous update needs.

    Everything is for one state; callers `jax.vmap`.
    """

    neurons: eqx.AbstractVar[AbstractNeurons]

    @property
    @abc.abstractmethod
    def num_neurons(self) -> int:
        """D, the number of neurons of a state."""

    @abc.abstractmethod
    def currents(self, state: Float[Array, " D"]) -> Currents:
        """What the energy needs of a state: the overlaps Ξx of a dense memory, Wx of a network."""

    @abc.abstractmethod
    def field(self, currents: Currents) -> Float[Array, " D"]:
        """What pulls at each neuron: ∇_x potential, where there is an energy."""


class AbstractMemory(AbstractNetwork):
    """A network with an energy over states: its field is a gradient, and recall goes downhill."""

    @abc.abstractmethod
    def potential(self, currents: Currents, state: Float[Array, " D"]) -> Float[Array, ""]:
        """R(x) − E(x): the part of the energy, its sign turned, that the patterns make."""

    @abc.abstractmethod
    def increments(self) -> AbstractIncrements:
        """The memory laid out for flipping single neurons (binary neurons only)."""

    def energy(self, state: ArrayLike) -> Float[Array, ""]:
        """E(x) = R(x) − potential(x), a scalar for one state (D,)."""
        state = as_state(state, self.num_neurons)
        return self.neurons.energy(state) - self.potential(self.currents(state), state)


class EnergyIncrements(AbstractIncrements):
    """Increments of any object with an `energy(x)`: the currents are the energy itself.

    Each flip tried costs one evaluation of the whole energy, and a difference of two of them: ties and
    falls below float rounding are not told apart.
    """

    memory: Any

    def currents(self, state: Float[Array, " D"]) -> Currents:
        return self.memory.energy(state)

    def energy(self, currents: Currents, state: Float[Array, " D"]) -> Float[Array, ""]:
        return currents

    def gain(self, currents: Currents, state: Float[Array, " D"], i: Int[Array, ""]) -> Float[Array, ""]:
        return currents - self.flip(currents, state, i)

    def flip(self, currents: Currents, state: Float[Array, " D"], i: Int[Array, ""]) -> Currents:
        return self.memory.energy(state.at[i].multiply(-1))


def as_state(state: ArrayLike, num_neurons: int) -> Float[Array, " D"]:
    """One state as floats; raises `ValueError` unless its shape is (num_neurons,)."""
    state = jnp.asarray(state)
    if state.shape != (num_neurons,):
        raise ValueError(
            f"state must be ({num_neurons},), one state of the memory's neurons; got shape {state.shape} "
            "(use jax.vmap for a batch)"
        )
    return state if jnp.issubdtype(state.dtype, jnp.floating) else state.astype(float)


def dot(a: Shaped[Array, "..."], b: Shaped[Array, "..."]) -> Float[Array, "..."]:
    """a @ b in full precision on every platform (accelerators round the factors unless told not to).

    Integers (int8 patterns) are read as the floats of the other factor.
    """
    dtype = jnp.promote_types(jnp.result_type(a, b), jnp.result_type(float))
    return jnp.matmul(a.astype(dtype), b.astype(dtype), precision="highest")
