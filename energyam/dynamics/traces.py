"""Frames: the states along a recall, rebuilt from what its rule recorded."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, PyTree

from energyam import checks
from energyam.dynamics.states import Move


def frames_of_flips(
    query: PyTree[Array], indices: Int[Array, "*batch T"], moves: tuple[Move | None, ...], every: int
) -> PyTree[Array]:
    """The query with its neurons moved, after every `every`-th update and the last.

    `indices` (*batch, T) holds the entry moved at each update, −1 for none: a neuron of two values, or what
    became 1 in a one-hot unit.
    """
    *batch, T = indices.shape
    every = min(every, max(T, 1))
    B, axes = math.prod(batch), len(batch)
    indices = jnp.pad(indices.reshape(B, T), [(0, 0), (0, -T % every)], constant_values=-1)
    indices = indices.reshape(B, -(-T // every), every)
    leaves, structure = jax.tree.flatten(query)
    start, new = 0, []
    for leaf, move in zip(leaves, moves, strict=True):
        shape = leaf.shape[axes:]
        flat, size = leaf.reshape(B, -1), math.prod(shape)
        if move is None:
            frames = jnp.broadcast_to(flat[:, None], (B, indices.shape[1] + 1, size))
        else:
            own = indices - start
            own = jnp.where((own < 0) | (own >= size), size, own)
            frames = _frames_of_layer(flat, own, move)
            start += size
        new.append(frames.astype(leaf.dtype).reshape(*batch, frames.shape[1], *shape))
    return jax.tree.unflatten(structure, new)


def _frames_of_layer(start, moved, move):
    """States (B, F, N) of a layer, given which of its entries moved in each of F − 1 chunks of updates."""
    width, total = move
    rows = jnp.arange(start.shape[0])[:, None]

    def advance(states, some):
        if width == 1:
            odd = jnp.zeros(states.shape, int).at[rows, some].add(1, mode="drop") % 2 == 1
            states = jnp.where(odd, jnp.asarray(total, states.dtype) - states, states)
            return states, states
        order = 1 + jnp.arange(some.shape[1])[None]
        when = jnp.zeros(states.shape, int).at[rows, some].max(order, mode="drop")
        when = when.reshape(states.shape[0], -1, width)
        last = jax.nn.one_hot(jnp.argmax(when, axis=-1), width, dtype=states.dtype)
        units = jnp.where(when.any(axis=-1, keepdims=True), last, states.reshape(when.shape))
        states = units.reshape(states.shape)
        return states, states

    later = lax.scan(advance, start, jnp.moveaxis(moved, 1, 0))[1]
    return jnp.moveaxis(jnp.concatenate([start[None], later]), 0, 1)


def frames_of_states(
    query: PyTree[Array], states: PyTree[Array], axes: int, taken: Bool[Array, "*batch T"], every: int
) -> PyTree[Array]:
    """Recorded states (*batch, T, …), after every `every`-th update and the last.

    Where an update was not `taken` any more, the last state before it stands.
    """
    T = taken.shape[-1]
    last = jnp.cumsum(taken, axis=-1)
    last = jnp.pad(last, [(0, 0)] * (last.ndim - 1) + [(1, 0)])  # 0 is the query
    chosen = last[..., frame_updates(T, every)]

    def of_leaf(start, later):
        all_states = jnp.concatenate([jnp.expand_dims(start, axes), later.astype(start.dtype)], axis=axes)
        index = chosen.reshape(chosen.shape + (1,) * (all_states.ndim - chosen.ndim))
        return jnp.take_along_axis(all_states, index, axis=axes)

    return jax.tree.map(of_leaf, query, states)


def frame_updates(num_updates: int, every: int) -> Int[Array, " F"]:
    """How many updates lie behind each frame: 0, every, 2·every, …, and `num_updates` at the end."""
    every = min(checks.count("every", every), max(num_updates, 1))
    return jnp.minimum(jnp.arange(-(-num_updates // every) + 1) * every, num_updates)
