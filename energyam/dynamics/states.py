"""States as pytrees: the shape and neurons of a memory's states, and how a batch of them is checked."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.tree_util import keystr
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, PRNGKeyArray, PyTree

from energyam import checks
from energyam.dynamics.update import AbstractUpdate
from energyam.linalg import float_dtype
from energyam.memories.continuous import Free
from energyam.memories.neurons import AbstractNeurons, Binary

Shape = tuple[int, ...]
Move = tuple[int, float]


class Layers(NamedTuple):
    """The layers of a state, one leaf each: their structure, names, shapes, neurons and single moves.

    `moves`: how many entries of a layer's last axis move together, and the sum of the two values of a neuron
    that moves alone; None for a layer without single moves.
    """

    structure: Any
    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    neurons: tuple[AbstractNeurons, ...]
    moves: tuple[Move | None, ...]


def check_memory(memory: Any) -> None:
    """Raise `ValueError` unless `memory` is an object with an energy or a field."""
    if isinstance(memory, type):
        raise ValueError(f"memory must be an object, not the class {memory.__name__}; make one first")
    if isinstance(memory, AbstractUpdate):
        raise ValueError(f"memory must be a memory; got the rule {type(memory).__name__}")
    if not checks.has_method(memory, "energy") and not checks.has_method(memory, "field"):
        raise ValueError(f"memory must have an energy(state) method; got {type(memory).__name__}")


def layers_of(memory: Any, state: PyTree[ArrayLike], flipping: bool, name: str = "query") -> Layers:
    """The layers of a memory's states. Raises `ValueError` where it declares too little or contradictions.

    Neurons that the memory doesn't declare are ±1 under rules that flip, and real under others.
    """
    shapes = getattr(memory, "state_shape", None)
    if shapes is None:
        shapes = _flat_shape(memory, state, name)
    named, structure = jax.tree_util.tree_flatten_with_path(shapes, is_leaf=is_shape)
    for path, shape in named:
        if not is_shape(shape):
            raise ValueError(
                f"state_shape{keystr(path)} must be a tuple of whole numbers of at least 1; got {shape!r}"
            )
    if not named:
        raise ValueError(f"state_shape must have at least one layer; got {shapes!r}")
    neurons = _neurons_of(memory, structure, flipping)
    names, sizes, moves = [], [], list[Move | None]()
    for (path, shape), one in zip(named, neurons, strict=True):
        label, shape = keystr(path), tuple(map(int, shape))
        if one.shape not in (None, shape):
            raise ValueError(
                f"neurons{label} of {type(memory).__name__} must have the shape of state_shape{label}, "
                f"{shape}; got {one.shape}"
            )
        names.append(label)
        sizes.append(shape)
        unit = 1 if one.values is not None else one.unit or (shape[-1] if shape else 1)
        if one.values is not None:
            moves.append((1, float(sum(one.values))))
        elif one.unit is None and one.others(np.eye(unit, dtype=np.float32)[0]) is None:
            moves.append(None)
        elif not shape or shape[-1] % unit:
            raise ValueError(
                f"state_shape{label} must end in a multiple of the {unit} values of a unit; got {shape}"
            )
        else:
            moves.append((unit, 0.0))
    return Layers(structure, tuple(names), tuple(sizes), neurons, tuple(moves))


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


def is_shape(node: Any) -> bool:
    """Whether `node` is a shape: a tuple of whole numbers of at least 1."""
    if not isinstance(node, tuple):
        return False
    for n in node:
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n <= 0:
            return False
    return True


def declared_neurons(memory: Any) -> list[Any]:
    """The neurons that a memory declares, one for all layers or one for each."""
    neurons = getattr(memory, "neurons", None)
    one = isinstance(neurons, AbstractNeurons)
    return [neurons] if one else jax.tree.leaves(neurons, is_leaf=_is_neurons)


def _is_neurons(node):
    return isinstance(node, AbstractNeurons)


def _neurons_of(memory, structure, flipping):
    neurons = getattr(memory, "neurons", None)
    if neurons is None:
        neurons = Binary() if flipping else Free()
    if isinstance(neurons, AbstractNeurons):
        return (neurons,) * structure.num_leaves
    found, own = jax.tree.flatten(neurons, is_leaf=_is_neurons)
    if not all(map(_is_neurons, found)) or own != structure:
        raise ValueError(
            f"neurons of {type(memory).__name__} must be neurons, one for all layers or one for each layer "
            f"of state_shape; got {neurons!r}"
        )
    return tuple(found)


def random_layer(neurons: AbstractNeurons, shape: Shape, *, key: PRNGKeyArray) -> Array:
    """A layer drawn without a field at temperature 1; for neurons that can't be drawn, normal numbers taken
    to the nearest values."""
    drawn = neurons.draw(jnp.zeros(shape), jnp.zeros(()), jnp.ones(()), key=key)
    return neurons.retract(jr.normal(key, shape)) if drawn is None else drawn


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
    for label, shape, neurons, leaf in zip(layers.names, layers.shapes, layers.neurons, leaves, strict=True):
        own, one_axis = name + label, len(shape) == 1
        given = getattr(leaf, "dtype", np.dtype(bool))
        leaf = neurons.check(own, leaf, "... D" if one_axis else " ".join(["...", *map(str, shape)]))
        if jnp.issubdtype(given, jnp.integer) and jnp.issubdtype(leaf.dtype, jnp.integer):
            leaf = leaf.astype(
                jax.dtypes.canonicalize_dtype(given)
            )  # int8, in which memories work, wraps in state @ state
        own_axes = leaf.shape[: leaf.ndim - len(shape)]
        if leaf.shape[len(own_axes) :] != shape:
            wanted = ", ".join(["...", *map(str, shape)])
            reason = f", as the memory has D = {shape[0]} neurons" if one_axis and own.isidentifier() else ""
            raise ValueError(f"{own} must be ({wanted}){reason}; got shape {leaf.shape}")
        if axes not in (None, own_axes):
            raise ValueError(f"{own} must have leading axes {axes} like the others; got {own_axes}")
        axes = own_axes
        checked.append(leaf)
    return Batch(jax.tree.unflatten(layers.structure, checked), axes or ())


def as_working(states: PyTree[Array], axes: tuple[int, ...]) -> PyTree[Array]:
    """States as floats of jax's default width or wider, with their leading axes made one (or none)."""
    leaves, structure = jax.tree.flatten(states)
    working = []
    for leaf in leaves:
        leaf = leaf.astype(float_dtype(leaf.dtype))
        working.append(leaf.reshape(math.prod(axes), *leaf.shape[len(axes) :]) if axes else leaf)
    return jax.tree.unflatten(structure, working)


def checked_clamp(
    layers: Layers, clamp: Any, axes: tuple[int, ...]
) -> tuple[PyTree[Bool[Array | np.ndarray, "..."]], bool]:
    """The clamp as bools for every layer, and whether it has the batch axis (made one).

    A clamp is None, bools that broadcast against a layer with or without its leading axes, True or False
    for a layer, or a dictionary of these in which missing layers are free. Raises `ValueError` for others.
    """
    if clamp is None:
        free = list(map(functools.partial(np.zeros, dtype=bool), layers.shapes))
        return jax.tree.unflatten(layers.structure, free), False
    given = zip(layers.names, layers.shapes, layers.neurons, _clamps_of_layers(layers, clamp), strict=True)
    arrays = [
        _checked_clamp("clamp" + label, value, shape, axes, neurons) for label, shape, neurons, value in given
    ]
    batched = any(array.ndim > len(shape) for array, shape in zip(arrays, layers.shapes, strict=True))
    full = []
    for array, shape in zip(arrays, layers.shapes, strict=True):
        broadcast_to = jnp.broadcast_to if isinstance(array, jax.Array) else np.broadcast_to
        array = broadcast_to(array, (*axes, *shape) if batched else shape)
        full.append(array.reshape(math.prod(axes), *shape) if batched else array)
    return jax.tree.unflatten(layers.structure, full), batched


def _clamps_of_layers(layers, clamp):
    if isinstance(clamp, bool):
        return [clamp] * len(layers.names)
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
    """What a clamp holds in the layer at `path`; a bool or an array higher in the tree holds for all layers
    below."""
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
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be bools; got {value!r:.80}") from None
    array, fits = value, value.dtype == bool
    try:
        fits = fits and jnp.broadcast_shapes(array.shape, (*axes, *shape)) == (*axes, *shape)
    except ValueError:
        fits = False
    if not fits:
        wanted = "({})".format(", ".join(map(str, shape)) + ("," if len(shape) == 1 else ""))
        also = f", or with the leading axes {axes}" if axes else ""
        raise ValueError(f"{name} must be {wanted} bool{also}; got shape {array.shape}, dtype {array.dtype}")
    if neurons.coupled and checks.is_known(array) and not all_or_none(np.asarray(array), neurons.unit):
        raise ValueError(
            f"{name} must hold all neurons of a state or none along the last axis, as those of "
            f"{type(neurons).__name__} constrain one another"
        )
    return array


def all_or_none(clamp: Bool[Array | np.ndarray, "..."], unit: int | None) -> Any:
    """Whether a clamp, or another mask, holds whole rows, or whole units of rows that have several."""
    rows = np.atleast_1d(clamp)
    rows = rows.reshape(*rows.shape[:-1], -1, unit) if unit and rows.shape[-1] % unit == 0 else rows
    return (rows.all(-1) | ~rows.any(-1)).all()


def whole_clamp(clamp: PyTree[Array] | None, states: PyTree[Array], batched: bool) -> PyTree[Array]:
    """A clamp as bools of the device for every layer of states; None holds no neuron."""
    if clamp is not None:
        return jax.tree.map(jnp.asarray, clamp)
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:] if batched else leaf.shape, bool), states)
