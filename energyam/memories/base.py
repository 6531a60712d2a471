"""What memories have in common: an energy of one state, from neurons and a potential."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from energyam import checks
from energyam.abilities import optional
from energyam.flips.abstract import AbstractFlips
from energyam.memories.hidden import AbstractRedraws
from energyam.memories.neurons import AbstractNeurons
from energyam.shown import shown


class Pull(NamedTuple):
    """What a state feels: the potential at it, and field f and curvature c with ∇potential = f − c x.

    Arrays for a state of one layer, else pytrees like the state (the potential is a scalar always).
    """

    potential: Any
    field: Any
    curvature: Any


@shown()
class AbstractMemory(eqx.Module):
    """A memory of one layer of D neurons: E(x) = R(x) − potential(x). Write `pull` and `num_neurons`.

    Nothing in `recall` asks for this class: any object with an `energy(state)` serves, and is asked for the
    same optional methods by name. Everything is for one state; callers `jax.vmap`.
    """

    neurons: eqx.AbstractVar[AbstractNeurons]

    @property
    @abc.abstractmethod
    def num_neurons(self) -> int:
        """D, the number of neurons of a state."""

    @abc.abstractmethod
    def pull(self, state: Float[Array, " D"]) -> Pull:
        """Potential, field and curvature at a state, together, as one pass over the patterns makes them."""

    @optional
    def flips(self, exact: bool = True) -> AbstractFlips | None:
        """How single moves change the energy; None where the neurons have none. Write it where that is faster
        or more exact than differences of energies. Not `exact`: by arithmetic that has derivatives."""
        return None

    @optional
    def redraws(self) -> AbstractRedraws | None:
        """How all neurons are drawn at once, given hidden units. Write it so that `BlockGibbs` serves it."""
        return None

    @optional
    def proves_rest(self, before: Float[Array, " D"], after: Float[Array, " D"]) -> Bool[Array, ""] | None:
        """Whether `after`, one synchronous step from `before`, is a fixed point. Write it where states that
        move little need not rest, and the memory can tell."""
        return None

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
