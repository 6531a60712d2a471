"""States as pytrees: which shape a memory's states have, which neurons, and what a batch of them is."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, PyTree

from energyam import checks
from energyam.memories.discrete import Binary
from energyam.memories.neurons import AbstractNeurons, Free

Shape = tuple[int, ...]
Move = tuple[int, float]


class Layers(NamedTuple):
    """The layers of a state, one leaf each: their structure, names, shapes and neurons."""

    structure: Any
    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    neurons: tuple[AbstractNeurons, ...]

    @property
    def moves(self) -> tuple[Move | None, ...]:
        """Of each layer, how many entries of its last axis move together, and the sum of the two values of a
        neuron that moves alone; None for layers without single moves."""
        return tuple(map(_move_of, self.neurons, self.shapes, self.names))


def _move_of(neurons, shape, name):
    if neurons.values is not None:
        return 1, float(sum(neurons.values))
    unit = neurons.unit or (shape[-1] if shape else 1)
    if neurons.others(np.eye(unit, dtype=np.float32)[0]) is None:
        return None
    if not shape or shape[-1] % unit:
        raise ValueError(
            f"state_shape{name} must end in a multiple of the {unit} values of a unit; got {shape}"
        )
    return unit, 0.0


def layers_of(memory: Any, state: PyTree[ArrayLike], flipping: bool, name: str = "query") -> Layers:
    """The layers of a memory's states. Raises `ValueError` where it declares too little or contradictions.

    Neurons that the memory doesn't declare are ±1 under rules that flip, and real under others.
    """
    shapes = getattr(memory, "state_shape", None)
    if shapes is None:
        shapes = _flat_shape(memory, state, name)
    named, structure = jax.tree_util.tree_flatten_with_path(shapes, is_leaf=_is_shape)
    for path, shape in named:
        if not _is_shape(shape):
            raise ValueError(
                f"state_shape{keystr(path)} must be a tuple of whole numbers of at least 1; got {shape!r}"
            )
    if not named:
        raise ValueError(f"state_shape must have at least one layer; got {shapes!r}")
    names = tuple(keystr(path) for path, _ in named)
    neurons = _neurons_of(memory, structure, flipping)
    layers = Layers(structure, names, tuple(tuple(map(int, shape)) for _, shape in named), neurons)
    for label, shape, one in zip(*layers[1:], strict=True):
        if one.shape not in (None, shape):
            raise ValueError(
                f"neurons{label} of {type(memory).__name__} must have the shape of state_shape{label}, "
                f"{shape}; got {one.shape}"
            )
    return layers


def _flat_shape(memory, state, name):
    """The shape (D,) of a state of a memory that declares none."""
    try:
        shape = None if isinstance(state, dict) else getattr(state, "shape", None) or jnp.asarray(state).shape
    except (TypeError, ValueError):
        shape = None
    if shape is None:
        raise ValueError(
            f"memory must say state_shape, as {name} is a {type(state).__name__} of layers; "
            f"{type(memory).__name__} has none"
        )
    if shape == ():
        raise ValueError(f"{name} must be (..., D), or memory must say state_shape; got shape ()")
    if shape[-1] == 0:
        raise ValueError(f"{name} must not be empty; got shape {shape}")
    return shape[-1:]


def _is_shape(node):
    return isinstance(node, tuple) and all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in node
    )


def _neurons_of(memory, structure, flipping):
    neurons = getattr(memory, "neurons", None)
    if neurons is None:
        neurons = Binary() if flipping else Free()
    if isinstance(neurons, AbstractNeurons):
        return (neurons,) * structure.num_leaves
    found, own = jax.tree.flatten(neurons, is_leaf=lambda node: isinstance(node, AbstractNeurons))
    if not all(isinstance(one, AbstractNeurons) for one in found) or own != structure:
        raise ValueError(
            f"neurons of {type(memory).__name__} must be neurons, one for all layers or one for each layer "
            f"of state_shape; got {neurons!r}"
        )
    return tuple(found)


class Batch(NamedTuple):
    """States as checked, in the dtypes given, with their leading axes."""

    states: PyTree[Array]
    axes: tuple[int, ...]


def checked_states(layers: Layers, states: PyTree[ArrayLike], name: str) -> Batch:
    """The states, in values that their neurons can take; else raises `ValueError` that names the layer."""
    try:
        leaves = layers.structure.flatten_up_to(states)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{name} must have the layers of the memory's state_shape; {error}") from None
    checked, axes = [], None
    for label, shape, neurons, leaf in zip(*layers[1:], leaves, strict=True):
        leaf = _checked_leaf(name + label, shape, neurons, leaf)
        own_axes = leaf.shape[: leaf.ndim - len(shape)]
        if axes is not None and own_axes != axes:
            raise ValueError(f"{name + label} must have leading axes {axes} like the others; got {own_axes}")
        axes = own_axes
        checked.append(leaf)
    return Batch(jax.tree.unflatten(layers.structure, checked), axes or ())


def _checked_leaf(name, shape, neurons, leaf):
    one_axis = len(shape) == 1
    leaf = neurons.check(name, leaf, "... D" if one_axis else " ".join(["...", *map(str, shape)]))
    if leaf.shape[leaf.ndim - len(shape) :] != shape:
        wanted = ", ".join(["...", *map(str, shape)])
        reason = f", as the memory has D = {shape[0]} neurons" if one_axis and name.isidentifier() else ""
        raise ValueError(f"{name} must be ({wanted}){reason}; got shape {leaf.shape}")
    return leaf


def as_working(states: PyTree[Array], axes: tuple[int, ...]) -> PyTree[Array]:
    """States as floats of jax's default width or wider, with their leading axes made one (or none)."""

    def convert(leaf):
        leaf = leaf.astype(jnp.promote_types(leaf.dtype, jnp.result_type(float)))
        return leaf.reshape(math.prod(axes), *leaf.shape[len(axes) :]) if axes else leaf

    return jax.tree.map(convert, states)


def checked_clamp(
    layers: Layers, clamp: Any, axes: tuple[int, ...]
) -> tuple[PyTree[Bool[Array | np.ndarray, "..."]], bool]:
    """The clamp as bools for every layer, and whether it has the batch axis (made one).

    A clamp is None, bools that broadcast against a layer with or without its leading axes, True or False
    for a layer, or a dictionary of these in which missing layers are free. Raises `ValueError` for others.
    """
    given = _clamps_of_layers(layers, clamp)
    arrays = [
        _checked_clamp("clamp" + label, value, shape, axes, neurons)
        for label, shape, neurons, value in zip(*layers[1:], given, strict=True)
    ]
    batched = any(array.ndim > len(shape) for array, shape in zip(arrays, layers.shapes, strict=True))
    full = []
    for array, shape in zip(arrays, layers.shapes, strict=True):
        broadcast_to = jnp.broadcast_to if isinstance(array, jax.Array) else np.broadcast_to
        array = broadcast_to(array, (*axes, *shape) if batched else shape)
        full.append(array.reshape(math.prod(axes), *shape) if batched else array)
    return jax.tree.unflatten(layers.structure, full), batched


def _clamps_of_layers(layers, clamp):
    if clamp is None or isinstance(clamp, bool):
        return [bool(clamp)] * len(layers.names)
    names = jax.tree.unflatten(layers.structure, list(layers.names))
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(names)[0]]
    if isinstance(clamp, dict):
        known = [path[0].key for path in paths if path and hasattr(path[0], "key")]
        if not known:
            raise ValueError(f"clamp must be bools, as the state is one layer; got {clamp!r}")
        for name in clamp:
            if name not in known:
                raise ValueError(f"clamp must name layers of the state, {known}; got {name!r}")
    return [_clamp_at(clamp, path, layers) for path in paths]


def _clamp_at(clamp, path, layers):
    """What a clamp says of the layer at `path`; a bool or an array on the way holds for all below it."""
    for step in path:
        if isinstance(clamp, dict):
            clamp = clamp.get(getattr(step, "key", None), False)
        elif isinstance(clamp, list | tuple):
            i = getattr(step, "idx", len(clamp))
            if i >= len(clamp):
                raise ValueError(
                    f"clamp must have the layers of the state, {layers.structure}; got {clamp!r}"
                )
            clamp = clamp[i]
    if isinstance(clamp, dict):
        raise ValueError(f"clamp must be bools for each layer, like the state; got {clamp!r}")
    return clamp


def _checked_clamp(name, value, shape, axes, neurons):
    try:  # bools of the host stay there: an operation on the device costs more than the call
        if not isinstance(value, jax.Array):
            host = isinstance(value, bool | np.ndarray)
            value = np.asarray(value) if host else jnp.asarray(None if isinstance(value, str) else value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be bools; got {value!r}") from None
    array, fits = value, value.dtype == bool
    try:
        fits = fits and jnp.broadcast_shapes(array.shape, (*axes, *shape)) == (*axes, *shape)
    except ValueError:
        fits = False
    if not fits:
        wanted = "({})".format(", ".join(map(str, shape)) + ("," if len(shape) == 1 else ""))
        also = f", or with the leading axes {axes}" if axes else ""
        raise ValueError(f"{name} must be {wanted} bool{also}; got shape {array.shape}, dtype {array.dtype}")
    if neurons.coupled and not checks.passes(lambda clamp: _all_or_none(clamp, neurons.unit), array):
        raise ValueError(
            f"{name} must hold all neurons of a state or none along the last axis, as those of "
            f"{type(neurons).__name__} constrain one another"
        )
    return array


def _all_or_none(clamp, unit):
    """Whether a clamp holds whole rows, or whole units of rows that have several."""
    rows = jnp.atleast_1d(clamp)
    rows = rows.reshape(*rows.shape[:-1], -1, unit) if unit and rows.shape[-1] % unit == 0 else rows
    return (rows.all(-1) | ~rows.any(-1)).all()
