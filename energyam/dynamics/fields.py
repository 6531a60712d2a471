"""What rules over layers share: the fields at a state, its energy, and the inputs that would give it."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from energyam import checks
from energyam.dynamics.states import layers_of
from energyam.memories.neurons import AbstractNeurons, Free


def check_potential(memory: Any, rule: str) -> None:
    """Raise `ValueError` unless the memory has a potential, an energy, and neurons that answer a field."""
    name = type(memory).__name__
    for wanted in ("energy", "potential"):
        if not checks.has_method(memory, wanted):
            raise ValueError(
                f"{rule} needs a memory with a {wanted}(state); {name} has none "
                "(use eam.GradientDescent(step_size))"
            )
    is_neurons = lambda node: isinstance(node, AbstractNeurons)  # noqa: E731
    neurons = jax.tree.leaves(getattr(memory, "neurons", None), is_leaf=is_neurons)
    if not neurons or any(isinstance(one, Free) for one in neurons):
        got = "Free, which cost nothing" if neurons else "missing"
        raise ValueError(
            f"{rule} needs neurons with an energy, which says how they answer a field; those of {name} are "
            f"{got} (use eam.Synchronous() or eam.GradientDescent(step_size))"
        )


def energy_and_field(memory: Any, state: PyTree[Array]) -> tuple[Float[Array, ""], PyTree[Array]]:
    """E(g) = Σ R_l(g_l) − P(g), and the fields ∂P/∂g."""
    potential, field = jax.value_and_grad(memory.potential)(state)
    return cost(memory, state) - potential, field


def cost(memory: Any, state: PyTree[Array]) -> Float[Array, ""]:
    """Σ R_l(g_l) over the layers."""
    neurons = layers_of(memory, state, False).neurons
    costs = [one.energy(leaf) for one, leaf in zip(neurons, jax.tree.leaves(state), strict=True)]
    return sum(costs, jnp.zeros(()))


def answers(memory: Any, inputs: PyTree[Array], state: PyTree[Array]) -> PyTree[Array]:
    """What every layer answers to its input: argmin R(g) − x · g."""
    neurons = layers_of(memory, state, False).neurons
    leaves, structure = jax.tree.flatten(state)
    found = [
        one.respond(x, leaf) for one, x, leaf in zip(neurons, jax.tree.leaves(inputs), leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, found)


def inputs_of(memory: Any, state: PyTree[Array]) -> PyTree[Array]:
    """Inputs x that layers answer with `state`: x = ∇R(g), at the nearest state where that is finite."""
    neurons = layers_of(memory, state, False).neurons
    leaves, structure = jax.tree.flatten(state)
    found = [jax.grad(one.energy)(one.retract(leaf)) for one, leaf in zip(neurons, leaves, strict=True)]
    return jax.tree.unflatten(structure, found)
