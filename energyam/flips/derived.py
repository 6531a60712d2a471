"""What is derived where a part declares nothing: weights by autodiff, changes by difference."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from energyam import checks
from energyam.flips.capabilities import (
    AbstractFlips,
    AbstractHasFlips,
    AbstractManySimilarities,
    AbstractMovable,
    AbstractWeights,
    Change,
)

_ROUNDINGS = 4  # units of rounding that a potential or an energy may be wrong by, relative to its terms


def weights_of(separation: Any, similarities: Float[Array, " K"]) -> Float[Array, " K"]:
    """The weights of a separation at similarities (K,): its own, or else the gradient of its potential."""
    if isinstance(separation, type) or not checks.has_method(separation, "potential"):
        raise ValueError(f"separation must have a potential(similarities); got {separation!r:.80}")
    similarities = checks.as_array("similarities", similarities, "K")
    if isinstance(separation, AbstractWeights):
        return separation.weights(similarities)

    def potential(similarities):
        value = one_number(separation.potential(similarities), f"potential of {type(separation).__name__}")
        return value.astype(similarities.dtype)

    return jax.grad(potential)(similarities)


def similarities_of(
    similarity: Any, patterns: Num[Array, "K D"], state: Float[Array, " D"]
) -> Float[Array, " K"]:
    """The similarity of each pattern with a state, (K,): all at once where declared, else one by one."""
    if isinstance(similarity, AbstractManySimilarities):
        return similarity.of_all(patterns, state)
    each = jax.vmap(similarity.of, in_axes=(0, None))
    similarities = each(patterns.astype(state.dtype), state)
    if similarities.shape != patterns.shape[:1]:
        raise ValueError(
            f"similarity must give one number for each pattern, ({patterns.shape[0]},) in all; "
            f"got shape {similarities.shape} from {type(similarity).__name__}.of"
        )
    return similarities


def moved_by(
    similarity: Any,
    patterns: Num[Array, "K D"],
    state: Float[Array, " D"],
    i: Int[Array, ""],
    before: Float[Array, " K"],
) -> Float[Array, " K"]:
    """How similarities, now `before`, change when neuron i flips: as declared, else taken anew."""
    if isinstance(similarity, AbstractMovable):
        return similarity.moved(patterns, state, i)
    return similarities_of(similarity, patterns, state.at[i].multiply(-1)) - before


def rounding_of_potential(separation: Any, similarities: Float[Array, " K"]) -> Float[Array, ""]:
    """By how much rounding may have moved a potential: a few units of |potential| + Σ |s · weights|."""
    potential = jnp.abs(separation.potential(similarities))
    sizes = jnp.sum(jnp.abs(similarities * weights_of(separation, similarities)))
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
    rebuild: Any  # from the ±1 neurons (N,) to the whole state

    def start(self, state: Float[Array, " N"]) -> Float[Array, ""]:
        return scalar_energy(self.memory)(self.rebuild(state))

    def energy(self, kept: Float[Array, ""], state: Float[Array, " N"]) -> Float[Array, ""]:
        return kept

    def change(self, kept: Float[Array, ""], state: Float[Array, " N"], i: Int[Array, ""]) -> Change:
        after = self.flip(kept, state, i)
        size = jnp.abs(kept) + jnp.abs(after)
        return Change(kept - after, _ROUNDINGS * jnp.finfo(kept.dtype).eps * size)

    def flip(self, kept: Float[Array, ""], state: Float[Array, " N"], i: Int[Array, ""]) -> Float[Array, ""]:
        return self.start(state.at[i].multiply(-1))

    def laid_out(self) -> "EnergyFlips":
        return self


def flips_of(memory: Any, rebuild: Any = lambda state: state) -> AbstractFlips:
    """How single flips change a memory's energy: as it declares, else by its energy alone.

    `rebuild` makes the whole state of the ±1 neurons (N,), where there are others beside them.
    """
    if isinstance(memory, type) or not checks.has_method(memory, "energy"):
        raise ValueError(f"memory must have an energy(state); got {memory!r:.80}")
    declared = memory.flips() if isinstance(memory, AbstractHasFlips) else None
    return EnergyFlips(memory, rebuild) if declared is None else declared
