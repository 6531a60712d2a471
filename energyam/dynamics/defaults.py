"""Which update rule a memory is recalled with where none is given."""

from typing import Any

import jax
from jax.typing import ArrayLike
from jaxtyping import PyTree

from energyam import checks
from energyam.dynamics.asynchronous import Asynchronous
from energyam.dynamics.blockwise import Blockwise, tokens_of
from energyam.dynamics.fields import has_field
from energyam.dynamics.states import layers_of
from energyam.dynamics.synchronous import Synchronous
from energyam.dynamics.update import AbstractUpdate
from energyam.memories.neurons import AbstractNeurons


def default_update(memory: Any, query: PyTree[ArrayLike]) -> AbstractUpdate:
    """The rule that suits a memory; raises `ValueError` where none is known to."""
    has_energy = checks.has_method(memory, "energy")
    neurons = getattr(memory, "neurons", None)
    if neurons is None and has_energy:
        layers = layers_of(memory, query, True)
        if layers.names != ("",) or len(layers.shapes[0]) != 1:
            shapes = jax.tree.unflatten(layers.structure, layers.shapes)
            raise ValueError(
                f"update must be given for states of shape {shapes} without neurons; got None for "
                f"{type(memory).__name__} (say eam.GradientDescent(step_size))"
            )
        return Asynchronous()
    if has_energy and neurons is not None and all(layers_of(memory, query, True).moves):
        return Asynchronous()
    layered = neurons is not None and not isinstance(neurons, AbstractNeurons)
    if has_energy and layered and checks.has_method(memory, "potential"):
        return Blockwise(tokens=tuple(tokens_of(memory)))
    if has_field(memory):
        return Synchronous()
    raise ValueError(
        f"update must be given for {type(memory).__name__}, which has an energy but no field; got None "
        "(say eam.GradientDescent(step_size))"
    )
