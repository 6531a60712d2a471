"""Inputs over time: the memory that each step of a recall sees, and the check of what users pass in."""

import math
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr
from jaxtyping import Array, Float, PyTree

from energyam import checks
from energyam.dynamics.states import Layers, is_shape
from energyam.memories.base import Pull


def driven(memory: Any, inputs: PyTree[Array]) -> Any:
    """A memory under the input u of one step: its own `driven(inputs)` if it has one, else E(x) − u · x."""
    return memory.driven(inputs) if checks.has_method(memory, "driven") else Driven(memory, inputs)


class Driven(eqx.Module):
    """A memory under an input u: E(x) − u · x, with u added to the field. It has the methods of the
    memory."""

    memory: Any
    inputs: PyTree[Array]

    def __getattr__(self, name: str) -> Any:
        if name in _SAME:
            return getattr(self.memory, name)
        if name in _CHANGED:
            return partial(_CHANGED[name], getattr(self.memory, name), self.inputs)
        raise AttributeError(f"{type(self).__name__} has no {name}")


def _work(inputs: PyTree[Array], state: PyTree[Array]) -> Float[Array, ""]:
    """u · x over all layers."""
    products = jax.tree.map(lambda u, x: jnp.sum(u.astype(x.dtype) * x), inputs, state)
    return sum(jax.tree.leaves(products), jnp.zeros(()))


def _added(inputs, field):
    return jax.tree.map(lambda u, f: f + u.astype(f.dtype), inputs, field)


def _pull(pull, inputs, state):
    found = pull(state)
    return Pull(found.potential + _work(inputs, state), _added(inputs, found.field), found.curvature)


_SAME = ("neurons", "state_shape", "multilinear", "tokens", "order")
_CHANGED = {
    "energy": lambda energy, inputs, state: energy(state) - _work(inputs, state),
    "potential": lambda potential, inputs, state: potential(state) + _work(inputs, state),
    "field": lambda field, inputs, state: _added(inputs, field(state)),
    "pull": _pull,
}


def checked_inputs(
    memory: Any, layers: Layers, inputs: Any, axes: tuple[int, ...], called: str, num_steps: int
) -> tuple[PyTree[Array], bool]:
    """Inputs (steps, *batch, …) as floats, with their batch axes made one, and whether they have any.

    Their shape at one step is the memory's `input_shape`, else that of its states, of which a dictionary may
    leave out layers; `called` is what the caller calls the number of steps. Raises `ValueError` for another
    shape or number of steps, and NaN.
    """
    shapes = getattr(memory, "input_shape", None)
    shapes = jax.tree.unflatten(layers.structure, list(layers.shapes)) if shapes is None else shapes
    if isinstance(shapes, dict) and isinstance(inputs, dict) and set(inputs) < set(shapes):
        missing = {name: np.zeros((num_steps, *shapes[name]), np.float32) for name in shapes.keys() - inputs}
        inputs = jax.device_put(missing) | inputs  # sent on purpose, which a transfer guard lets pass
    named, tree = jax.tree_util.tree_flatten_with_path(shapes, is_leaf=is_shape)
    structure: Any = tree
    try:
        given = structure.flatten_up_to(inputs)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"inputs must have the layers of the memory's inputs, {shapes}; {error}") from None
    leaves = [
        _checked(keystr(path), x, s, axes, called, num_steps)
        for (path, s), x in zip(named, given, strict=True)
    ]
    batched = any(leaf.ndim > 1 + len(shape) for leaf, (_, shape) in zip(leaves, named, strict=True))
    if batched:
        for i, (_, shape) in enumerate(named):
            if leaves[i].ndim == 1 + len(shape):
                leaves[i] = leaves[i].reshape(num_steps, *[1] * len(axes), *shape)
            whole = jnp.broadcast_to(leaves[i], (num_steps, *axes, *shape))
            leaves[i] = whole.reshape(num_steps, math.prod(axes), *shape)
    return jax.tree.unflatten(structure, leaves), batched


def _checked(label, inputs, shape, axes, called, num_steps):
    inputs = checks.as_floats("inputs" + label, inputs, "...")
    if inputs.ndim == 0 or inputs.shape[1:] not in (shape, (*axes, *shape)):
        wanted = tuple((num_steps, *leading, *shape) for leading in ((), axes))
        also = f", or {wanted[1]} for each query its own" if axes else ""
        raise ValueError(f"inputs{label} must be {wanted[0]}{also}; got shape {inputs.shape}")
    if num_steps == 0:
        raise ValueError(f"inputs{label} must be None where {called} is 0; got shape {inputs.shape}")
    if inputs.shape[0] != num_steps:
        raise ValueError(
            f"inputs{label} must have one slice for each of {called} = {num_steps} steps; got "
            f"{inputs.shape[0]} slices"
        )
    return inputs
