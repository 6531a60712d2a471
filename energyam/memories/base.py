"""What memories have in common: an energy of one state, from neurons and a potential."""

import abc
from typing import Any, NamedTuple, NoReturn

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from energyam import checks
from energyam.memories.neurons import AbstractNeurons


class Pull(NamedTuple):
    """What a state feels: the potential at it, and field f and curvature c with ∇potential = f − c x.

    Arrays for a state of one layer, else pytrees like the state (the potential is a scalar always).
    """

    potential: Any
    field: Any
    curvature: Any


class AbstractPulls(eqx.Module):
    """Of a memory: potential and field together, as one pass over its patterns makes both."""

    @abc.abstractmethod
    def pull(self, state: Float[Array, " D"]) -> Pull:
        """Potential, field and curvature at a state."""


class AbstractProvesRest(eqx.Module):
    """Of a memory: it can prove that synchronous recall rests, where states that move little don't."""

    @abc.abstractmethod
    def proves_rest(self, before: Float[Array, " D"], after: Float[Array, " D"]) -> Bool[Array, ""]:
        """Whether `after`, one synchronous step from `before`, is a fixed point."""


class AbstractLayered(eqx.Module):
    """Of a memory of named layers: how rules that take them one after another should go about it."""

    @property
    @abc.abstractmethod
    def order(self) -> tuple[str, ...]:
        """The names of the layers in the order of visits: dictionaries are sorted by jit."""

    @property
    @abc.abstractmethod
    def tokens(self) -> dict[str, bool]:
        """The layers in which the potential is not convex as a whole, and whether it is in each token."""


class AbstractUncalled(eqx.Module):
    """Of a memory: it is no function of a query, and says so where it is called as one."""

    def __call__(self, query: Any) -> NoReturn:
        """Memories are not called: raises `TypeError` that says so."""
        raise TypeError(
            "a memory can't be called with a query; use eam.recall(memory, query), or one of its methods"
        )


class AbstractMemory(AbstractPulls, AbstractUncalled):
    """A memory of one layer of D neurons: E(x) = R(x) − potential(x).

    Nothing in `recall` asks for this class: any object with an `energy(state)` serves. Everything is for
    one state; callers `jax.vmap`.
    """

    neurons: eqx.AbstractVar[AbstractNeurons]

    @property
    @abc.abstractmethod
    def num_neurons(self) -> int:
        """D, the number of neurons of a state."""

    @property
    def state_shape(self) -> tuple[int]:
        """(D,), the shape of a state."""
        return (self.num_neurons,)

    def energy(self, state: ArrayLike) -> Float[Array, ""]:
        """E(x), a scalar for one state (D,); raises `ValueError` for another shape."""
        return _energy(self, as_state(state, self.num_neurons))

    def potential(self, state: ArrayLike) -> Float[Array, ""]:
        """R(x) − E(x): the part of the energy, its sign turned, that the patterns make."""
        return _pull(self, as_state(state, self.num_neurons)).potential

    def field(self, state: ArrayLike) -> Float[Array, " D"]:
        """What pulls at each neuron: ∇potential, (D,) for one state (D,)."""
        state = as_state(state, self.num_neurons)
        pull = _pull(self, state)
        return pull.field - pull.curvature * state


# Compiled, so that calls outside `jit` don't trace anew; inside they are inlined.
@eqx.filter_jit
def _energy(memory, state):
    return memory.neurons.energy(state) - memory.pull(state).potential


@eqx.filter_jit
def _pull(memory, state):
    return memory.pull(state)


def as_state(state: ArrayLike, num_neurons: int) -> Float[Array, " D"]:
    """One state as floats; raises `ValueError` unless its shape is (num_neurons,)."""
    state = checks.as_array("state", state, "...")
    if state.shape != (num_neurons,):
        raise ValueError(
            f"state must be ({num_neurons},), one state of the memory's neurons; got shape {state.shape} "
            "(use jax.vmap for a batch)"
        )
    return state.astype(jnp.promote_types(state.dtype, jnp.result_type(float)))
