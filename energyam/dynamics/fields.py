"""Common parts of the rules that follow fields: the fields at a state, its energy, and how layers answer."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from energyam import checks
from energyam.dynamics.states import declared_neurons, layers_of
from energyam.dynamics.update import States, Step
from energyam.flips.derived import one_number, scalar_energy
from energyam.memories.base import Pull
from energyam.memories.continuous import Free

Given = Array | None


class Felt(NamedTuple):
    """The pull on a state, and its energy (None for a memory without one)."""

    pull: Pull
    energy: Float[Array, ""] | None

    def field(self, state: PyTree[Array]) -> PyTree[Array]:
        """∇potential, f − c x."""
        return jax.tree.map(lambda f, c, x: f - c * x, self.pull.field, self.pull.curvature, state)


class Slope(NamedTuple):
    """The energy of a state and its gradient."""

    energy: Float[Array, ""]
    gradient: PyTree[Array]


def slope_of(memory: Any, state: PyTree[Array]) -> Slope:
    """The energy of a memory at a state, and its gradient there."""
    return Slope(*jax.value_and_grad(scalar_energy(memory))(state))


def has_field(memory: Any) -> bool:
    """Whether rules that follow fields can run: the memory has a field, or a potential and neurons."""
    known = checks.has_method(memory, "potential") and hasattr(memory, "neurons")
    return known or checks.has_method(memory, "pull") or checks.has_method(memory, "field")


def felt(memory: Any, state: PyTree[Array]) -> Felt:
    """Field and energy at a state, together; raises `ValueError` for a field unlike the state."""
    pull = _pull(memory, state)
    wanted, got = (jax.tree.map(jnp.shape, tree) for tree in (state, pull.field))
    if wanted != got:
        raise ValueError(f"field of {type(memory).__name__} must be like the state, {wanted}; got {got}")
    if pull.potential is None or not checks.has_method(memory, "energy"):
        return Felt(pull, None)
    return Felt(pull, cost(memory, state) - pull.potential)


def _pull(memory, state):
    """The pull on a state, with None for a potential that is not known."""
    if checks.has_method(memory, "pull"):
        return memory.pull(state)
    curvature = jax.tree.map(lambda leaf: jnp.zeros((), leaf.dtype), state)
    if checks.has_method(memory, "potential"):
        name = f"potential of {type(memory).__name__}"
        potential, field = jax.value_and_grad(lambda x: one_number(memory.potential(x), name))(state)
        return Pull(potential, field, curvature)
    return Pull(None, memory.field(state), curvature)


def check_fields(memory: Any, rule: str, energy: bool = False) -> None:
    """Raise `ValueError` unless the memory has a potential with an energy, or else a field, and neurons that
    answer it with an energy of their own. `energy`: a field alone won't do."""
    name = type(memory).__name__
    by_field = checks.has_method(memory, "field") and not checks.has_method(memory, "energy")
    for wanted in () if by_field and not energy else ("energy", "potential"):
        if not checks.has_method(memory, wanted):
            hint = "(use eam.GradientDescent(step_size))"
            raise ValueError(f"{rule} needs a memory with a {wanted}(state); {name} has none {hint}")
    neurons = declared_neurons(memory)
    if not neurons or any(isinstance(one, Free) for one in neurons):
        got = "Free, which cost nothing" if neurons else "missing"
        wanted = "neurons with an energy, which says how they answer a field"
        hint = "(use eam.Synchronous() or eam.GradientDescent(step_size))"
        raise ValueError(f"{rule} needs {wanted}; those of {name} are {got} {hint}")


def by_layer(function: Callable, memory: Any, state: PyTree[Array], *others: PyTree) -> PyTree:
    """`function(neurons, layer, …)` for each layer of a state, with the same layer of the other trees."""
    leaves, structure = jax.tree.flatten(state)
    neurons = layers_of(memory, state, False).neurons
    layers = zip(neurons, leaves, *map(jax.tree.leaves, others), strict=True)
    return jax.tree.unflatten(structure, [function(*layer) for layer in layers])


def cost(memory: Any, state: PyTree[Array]) -> Float[Array, ""]:
    """Σ R_l(g_l) over the layers."""
    costs = by_layer(lambda neurons, layer: neurons.energy(layer), memory, state)
    return sum(jax.tree.leaves(costs), jnp.zeros(()))


def answers(memory: Any, inputs: PyTree, state: PyTree[Array], curvature: PyTree | None = None) -> PyTree:
    """The answer of every layer to its input: argmin R(g) + ½ c ‖g‖² − x · g, with c = 0 if there is no
    curvature."""
    curvature = jax.tree.map(lambda layer: 0.0, state) if curvature is None else curvature
    answer = lambda neurons, layer, x, c: neurons.respond(x, layer, c)  # noqa: E731
    return by_layer(answer, memory, state, inputs, curvature)


def inputs_of(memory: Any, state: PyTree[Array]) -> PyTree[Array]:
    """Inputs x to which layers answer with `state`: x = ∇R(g), at the nearest state where that is finite."""
    slope = lambda neurons, layer: jax.grad(neurons.energy)(neurons.retract(layer))  # noqa: E731
    return by_layer(slope, memory, state)


def retracted(memory: Any, state: PyTree[Array]) -> PyTree[Array]:
    """Every layer at the nearest state that its neurons, where the memory declares them, can take."""
    return by_layer(lambda neurons, layer: neurons.retract(layer), memory, state)


def held(clamp: PyTree[Bool[Array, "..."]], old: PyTree[Array], new: PyTree[Array]) -> PyTree[Array]:
    """`new`, with clamped neurons as in `old`."""
    return jax.tree.map(jnp.where, clamp, old, new)


def is_still(new: PyTree[Array], old: PyTree[Array], tol: ArrayLike) -> Bool[Array, ""]:
    """Whether no neuron moved by more than tol · max(1, max|x|)."""
    largest = lambda tree: jnp.stack([jnp.abs(leaf).max() for leaf in jax.tree.leaves(tree)]).max()  # noqa: E731
    return largest(jax.tree.map(jnp.subtract, new, old)) <= tol * jnp.maximum(1, largest(new))


as_tol = partial(checks.not_negative, "tol", dims="")  # the tolerance of a rule as a float


def normal_like(state: PyTree[Array], *, key: PRNGKeyArray) -> PyTree[Array]:
    """Independent normal numbers of variance 1, in the shapes of a state."""
    leaves, structure = jax.tree.flatten(state)
    keys = jr.split(key, len(leaves))
    drawn = [jr.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, drawn)


def one_step(state: PyTree, carry: Any, settled: Given = None, accepted: Given = None) -> Step:
    """A step of one update, with the energy in its carry and the state as its record. It is never settled by
    default, as for a chain of samples.
    """
    energies = None if carry.energy is None else carry.energy[None]
    settled = jnp.zeros((), bool) if settled is None else settled
    return Step(state, carry, energies, one_state(state), settled, accepted)


def one_state(state: PyTree[Array]) -> States:
    """A state as the record of one update, every leaf (1, …)."""
    return States(jax.tree.map(lambda leaf: leaf[None], state))
