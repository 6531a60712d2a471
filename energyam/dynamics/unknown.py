"""Unknown entries of a query: which they are, and where they start.

They start at the answer of their neurons to the field of the known entries. For queries without unknown
entries nothing here runs: `recall` uses it only after the ordinary check has refused a query, or if `clamp`
is "known".
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree, Shaped

from energyam import checks
from energyam.abilities import ask
from energyam.dynamics.fields import felt, has_field
from energyam.dynamics.states import Batch, Layers, all_or_none, as_working, checked_clamp, checked_states
from energyam.memories.neurons import AbstractNeurons

Mask = Bool[Array | np.ndarray, "..."]


class _Part(NamedTuple):
    """One layer of a query: its values, and what numpy masks of them (None where that is no masked array)."""

    name: str
    neurons: AbstractNeurons
    shape: tuple[int, ...]
    values: Shaped[Array | np.ndarray, "..."]
    masked: Mask | None

    @property
    def is_known(self) -> bool:
        return checks.is_known(self.values)

    @property
    def has_signs(self) -> bool:
        return self.neurons.values == (-1, 1) and self.values.dtype != bool

    @property
    def is_real(self) -> bool:
        return self.neurons.values is None and self.neurons.unit is None and self.values.dtype.kind in "fV"

    @property
    def says_unknown(self) -> bool:
        """Whether all of it may still be known: it is a masked array, or its values can't be read."""
        return self.masked is not None or not self.is_known

    def holds(self, value: int) -> bool:
        """Whether a value of neurons ±1 is seen in it."""
        return self.has_signs and self.is_known and bool((self.values == value).any())


def completed(
    memory: Any, layers: Layers, states: PyTree, name: str, clamp: Any, refused: ValueError | None
) -> tuple[Batch, Any]:
    """States with their unknown entries at the answer to the field of the others, and the clamp to run with.

    Unknown are the masked entries of numpy's masked arrays, entries 0 of neurons ±1 (but 0 and 1 alone are
    0/1 data), and NaN of real neurons that a clamp leaves free. Traced values are looked at only where the
    clamp is "known". Raises `refused`, the error of the ordinary check, where there are none; `ValueError`
    where nothing of a query is known, the clamp holds what is unknown, or the memory has no field.
    """
    only_known = isinstance(clamp, str)
    if only_known and clamp != "known":
        raise ValueError(f'clamp must be bools, or "known" to hold the known entries; got {clamp!r}')
    parts = _parts(layers, states, name)
    axes = parts[0].values.shape[: parts[0].values.ndim - len(parts[0].shape)]
    held = _held(layers, None if only_known else clamp, axes)
    masks = _masks(parts, held, clamp is not None)
    if not any(map(_any, masks)) and not (only_known and any(part.says_unknown for part in parts)):
        _refuse(layers, states, parts, name, refused)
    _check(parts, masks, held, axes, name)
    # What is made here on the host is sent on purpose, so that a transfer guard lets it pass.
    filled = jax.device_put([_filled(part, mask) for part, mask in zip(parts, masks, strict=True)])
    batch = checked_states(layers, jax.tree.unflatten(layers.structure, filled), name)
    if not has_field(memory):
        raise ValueError(
            f"{name} has unknown entries, which start at the answer to a field; {type(memory).__name__} has "
            "none (write its field(state), or its potential(state) and neurons, or fill the entries in)"
        )
    unknown = jax.tree.unflatten(layers.structure, jax.device_put(masks))
    start = _started(memory, layers.neurons, batch.states, unknown, batch.axes)
    return Batch(start, batch.axes), jax.tree.map(jnp.logical_not, unknown) if only_known else clamp


def _parts(layers, states, name):
    """The layers of a query as arrays of their shapes; raises `ValueError` as the ordinary check does."""
    try:
        leaves = layers.structure.flatten_up_to(states)
    except (ValueError, TypeError, KeyError):
        leaves = checked_states(layers, states, name)  # raises
    parts = []
    for label, neurons, shape, leaf in zip(layers.names, layers.neurons, layers.shapes, leaves, strict=True):
        try:
            masked = np.ma.getmaskarray(leaf) if isinstance(leaf, np.ma.MaskedArray) else None
            values = np.asarray(np.ma.getdata(leaf)) if checks.is_known(leaf) else leaf
        except (ValueError, TypeError):  # rows of several lengths, and keys
            values = np.asarray(None)
        if values.dtype.kind not in "biufV" or values.ndim < len(shape):
            checked_states(layers, states, name)  # raises
        if values.shape[values.ndim - len(shape) :] != shape:
            wanted = ", ".join(["...", *map(str, shape)])
            raise ValueError(f"{name + label} must be ({wanted}); got shape {values.shape}")
        parts.append(_Part(name + label, neurons, shape, values, masked))
    return parts


def _held(layers, clamp, axes):
    """What a clamp holds in every layer, as bools of its shape."""
    full, batched = checked_clamp(layers, clamp, axes)
    held = []
    for leaf, shape in zip(jax.tree.leaves(full), layers.shapes, strict=True):
        whole, xp = (*axes, *shape), np if checks.is_known(leaf) else jnp
        leaf = xp.asarray(leaf)
        held.append(leaf.reshape(whole) if batched else xp.broadcast_to(leaf, whole))
    return held


def _masks(parts, held, clamped):
    """Which entries of each layer are unknown."""
    zeros_too = any(part.holds(-1) for part in parts) or not any(part.holds(1) for part in parts)
    masks = []
    for part, kept in zip(parts, held, strict=True):
        mask = np.zeros(part.values.shape, bool) if part.masked is None else part.masked
        if part.has_signs and not part.is_known:
            mask = mask | (part.values == 0)
        elif part.has_signs and zeros_too and (mask | np.isin(part.values, (-1, 0, 1))).all():
            mask = mask | (part.values == 0)
        elif part.is_real and clamped:
            mask = mask | ((part.values != part.values) & ~kept)  # NaN
        masks.append(mask)
    return masks


def _any(mask):
    return checks.is_known(mask) and bool(mask.any())


def _refuse(layers, states, parts, name, refused):
    """Raise the error of the ordinary check, with the other reading of zeros; or that all is known."""
    try:
        checked_states(layers, states, name)
    except ValueError as error:
        refused = error
    if refused is None:
        raise ValueError(
            f'clamp="known" holds the known entries of a {name}, and none is unknown (unknown are entries 0 '
            "of ±1, NaN of real numbers, and masked entries of a numpy masked array)"
        )
    if not any(part.holds(0) for part in parts) or any(part.holds(-1) for part in parts):
        raise refused
    raise ValueError(f"{refused}; if 0 means unknown, say so by np.ma.masked_equal({name}, 0)") from None


def _check(parts, masks, held, axes, name):
    """Raise `ValueError` for masks that the clamp or the neurons contradict, and where nothing is known."""
    known = []
    for part, mask, kept in zip(parts, masks, held, strict=True):
        known.append((~mask).reshape(*axes, -1).any(axis=-1))
        if not checks.passes(lambda mask, kept: not (mask & kept).any(), mask, kept):
            raise ValueError(f"clamp must leave unknown entries free; it holds some of {part.name}")
        if part.neurons.coupled and not checks.passes(all_or_none, mask, part.neurons.unit):
            raise ValueError(
                f"{part.name} must be known or unknown in all neurons that constrain one another along the "
                f"last axis, as those of {type(part.neurons).__name__} do; got some of them unknown"
            )
    if all(map(checks.is_known, known)) and not np.any(known, axis=0).all():
        raise ValueError(
            f"{name} must have known entries; got one whose entries are all unknown, which are zeros among "
            "±1, NaN and masked entries (give at least one entry, or a state drawn at random)"
        )


def _filled(part, mask):
    """The values, with a value that the neurons can take wherever nothing is known."""
    nothing = np.zeros(part.shape, np.float32)
    nothing[..., 0] = part.neurons.coupled  # unit vectors have a direction
    start = checks.now(lambda x: _retracted(part.neurons, jax.device_put(x)), nothing)
    if part.is_known and checks.is_known(mask) and checks.is_known(start):
        return np.where(mask, np.asarray(start).astype(part.values.dtype), part.values)
    return jnp.where(mask, start.astype(part.values.dtype), part.values)


@eqx.filter_jit
def _retracted(neurons, x):
    return neurons.retract(x)


@eqx.filter_jit
def _started(memory, neurons, states, unknown, axes):
    """States with unknown entries at the answer to the field of the others, unknown ones being 0 in it."""

    def of_one(state, unknown):
        zeroed = jax.tree.map(lambda x, mask: jnp.where(mask, 0, x), state, unknown)
        pull = ask(memory, "pull_of_known", zeroed, jax.tree.map(jnp.logical_not, unknown))
        pull = felt(memory, zeroed).pull if pull is None else pull
        parts = map(jax.tree.leaves, (state, unknown, pull.field, pull.curvature))
        return [
            jnp.where(mask, one.respond(field, x, curvature), x)
            for one, x, mask, field, curvature in zip(neurons, *parts, strict=True)
        ]

    leaves, structure = jax.tree.flatten(states)
    flat = [mask.reshape(math.prod(axes), *mask.shape[len(axes) :]) for mask in jax.tree.leaves(unknown)]
    masks = jax.tree.unflatten(structure, flat) if axes else unknown
    found = (jax.vmap(of_one) if axes else of_one)(as_working(states, axes), masks)
    found = [new.reshape(old.shape).astype(old.dtype) for new, old in zip(found, leaves, strict=True)]
    return jax.tree.unflatten(structure, found)
