"""What rules that follow fields share: the fields at a state, its energy, and how layers answer."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PyTree

from energyam import checks
from energyam.dynamics.states import declared_neurons, layers_of
from energyam.flips.derived import one_number
from energyam.memories.base import Pull
from energyam.memories.continuous import Free


class Felt(NamedTuple):
    """What a state feels, and its energy (None for a memory without one)."""

    pull: Pull
    energy: Float[Array, ""] | None

    def field(self, state: PyTree[Array]) -> PyTree[Array]:
        """∇potential, f − c x."""
        return jax.tree.map(lambda f, c, x: f - c * x, self.pull.field, self.pull.curvature, state)


class Slope(NamedTuple):
    """The energy of a state and its gradient."""

    energy: Float[Array, ""]
    gradient: PyTree[Array]


def has_field(memory: Any) -> bool:
    """Whether rules that follow fields can run: the memory has a field, or a potential and neurons."""
    if checks.has_method(memory, "pull") or checks.has_method(memory, "field"):
        return True
    return checks.has_method(memory, "potential") and hasattr(memory, "neurons")


def felt(memory: Any, state: PyTree[Array]) -> Felt:
    """Field and energy at a state, together; raises `ValueError` for a field unlike the state."""
    pull = _pull(memory, state)
    _check_field(memory, state, pull.field)
    if pull.potential is None or not checks.has_method(memory, "energy"):
        return Felt(pull, None)
    return Felt(pull, cost(memory, state) - pull.potential)


def _pull(memory, state):
    """What a state feels; a potential of None where it is not known."""
    if checks.has_method(memory, "pull"):
        return memory.pull(state)
    curvature = jax.tree.map(lambda leaf: jnp.zeros((), leaf.dtype), state)
    if checks.has_method(memory, "potential"):
        name = f"potential of {type(memory).__name__}"
        potential, field = jax.value_and_grad(lambda x: one_number(memory.potential(x), name))(state)
        return Pull(potential, field, curvature)
    return Pull(None, memory.field(state), curvature)


def _check_field(memory, state, field):
    """Raise `ValueError` unless the field is one number for each neuron."""
    wanted, got = (jax.tree.map(jnp.shape, tree) for tree in (state, field))
    if wanted != got:
        raise ValueError(f"field of {type(memory).__name__} must be like the state, {wanted}; got {got}")


def check_fields(memory: Any, rule: str, energy: bool = False) -> None:
    """Raise `ValueError` unless the memory has a potential with an energy, or else a field, and neurons that
    answer it with an energy of their own. `energy`: a field alone won't do."""
    name = type(memory).__name__
    by_field = checks.has_method(memory, "field") and not checks.has_method(memory, "energy")
    for wanted in () if by_field and not energy else ("energy", "potential"):
        if not checks.has_method(memory, wanted):
            raise ValueError(
                f"{rule} needs a memory with a {wanted}(state); {name} has none "
                "(use eam.GradientDescent(step_size))"
            )
    neurons = declared_neurons(memory)
    if not neurons or any(isinstance(one, Free) for one in neurons):
        got = "Free, which cost nothing" if neurons else "missing"
        raise ValueError(
            f"{rule} needs neurons with an energy, which says how they answer a field; those of {name} are "
            f"{got} (use eam.Synchronous() or eam.GradientDescent(step_size))"
        )


def cost(memory: Any, state: PyTree[Array]) -> Float[Array, ""]:
    """Σ R_l(g_l) over the layers."""
    neurons = layers_of(memory, state, False).neurons
    costs = [one.energy(leaf) for one, leaf in zip(neurons, jax.tree.leaves(state), strict=True)]
    return sum(costs, jnp.zeros(()))


def answers(
    memory: Any, inputs: PyTree[Array], state: PyTree[Array], curvature: PyTree[ArrayLike] | None = None
) -> PyTree[Array]:
    """What every layer answers to its input: argmin R(g) + ½ c ‖g‖² − x · g, without curvature c = 0."""
    neurons = layers_of(memory, state, False).neurons
    leaves, structure = jax.tree.flatten(state)
    bent = [0.0] * len(leaves) if curvature is None else jax.tree.leaves(curvature)
    each = zip(neurons, jax.tree.leaves(inputs), leaves, bent, strict=True)
    return jax.tree.unflatten(structure, [one.respond(x, leaf, c) for one, x, leaf, c in each])


def inputs_of(memory: Any, state: PyTree[Array]) -> PyTree[Array]:
    """Inputs x that layers answer with `state`: x = ∇R(g), at the nearest state where that is finite."""
    neurons = layers_of(memory, state, False).neurons
    leaves, structure = jax.tree.flatten(state)
    found = [jax.grad(one.energy)(one.retract(leaf)) for one, leaf in zip(neurons, leaves, strict=True)]
    return jax.tree.unflatten(structure, found)


def retracted(memory: Any, state: PyTree[Array]) -> PyTree[Array]:
    """Every layer at the nearest state that its neurons, where the memory declares them, can take."""
    leaves, structure = jax.tree.flatten(state)
    neurons = layers_of(memory, state, False).neurons
    nearest = [one.retract(leaf) for one, leaf in zip(neurons, leaves, strict=True)]
    return jax.tree.unflatten(structure, nearest)


def held(clamp: PyTree[Bool[Array, "..."]], old: PyTree[Array], new: PyTree[Array]) -> PyTree[Array]:
    """`new`, with clamped neurons as in `old`."""
    return jax.tree.map(jnp.where, clamp, old, new)


def is_still(new: PyTree[Array], old: PyTree[Array], tol: Float[Array, ""]) -> Bool[Array, ""]:
    """Whether no neuron moved by more than tol · max(1, max|x|)."""
    apart = [jnp.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (new, old)), strict=True)]
    sizes = [jnp.abs(a).max() for a in jax.tree.leaves(new)]
    return jnp.stack(apart).max() <= tol * jnp.maximum(1, jnp.stack(sizes).max())


def checked_tol(tol: ArrayLike) -> Float[Array, ""]:
    """A tolerance as a float; raises `ValueError` for others and below 0."""
    number = checks.as_floats("tol", tol, "")
    if not checks.passes(lambda tol: tol >= 0, number):
        raise ValueError(f"tol must not be negative; got {tol}")
    return number


def one_state(state: PyTree[Array]) -> PyTree[Array]:
    """A state as the record of one update, every leaf (1, …)."""
    return jax.tree.map(lambda leaf: leaf[None], state)


def one_energy(energy: Float[Array, ""] | None) -> Float[Array, " t"] | None:
    """An energy as those of one update; None for none."""
    return None if energy is None else energy[None]
