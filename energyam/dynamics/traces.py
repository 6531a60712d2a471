"""Frames: the states along a recall, rebuilt from what its rule recorded."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, PyTree, Shaped

from energyam import checks


def frames_of_flips(
    query: PyTree[Shaped[Array, "..."]],
    indices: Int[Array, "*batch T"],
    flippable: tuple[bool, ...],
    every: int,
) -> PyTree[Shaped[Array, "..."]]:
    """The query with its ±1 neurons flipped, after every `every`-th update and the last.

    `indices` (*batch, T) holds the neuron flipped at each update, −1 for none.
    """
    *batch, T = indices.shape
    every = min(every, max(T, 1))
    leaves, structure = jax.tree.flatten(query)
    B, axes = math.prod(batch), len(batch)
    flat = [leaf.reshape(B, -1) for leaf, flips in zip(leaves, flippable, strict=True) if flips]
    start = jnp.concatenate(flat, axis=1)
    missing = -T % every
    indices = jnp.pad(indices.reshape(B, T), [(0, 0), (0, missing)], constant_values=-1)
    flipped = jnp.where(indices < 0, start.shape[1], indices).reshape(B, -(-T // every), every)
    rows = jnp.arange(B)[:, None]

    def advance(states, some):
        states = states.at[rows, some].multiply(-1, mode="drop")
        return states, states

    _, later = lax.scan(advance, start, jnp.moveaxis(flipped, 1, 0))
    frames = jnp.moveaxis(jnp.concatenate([start[None], later]), 0, 1)
    at, new = 0, []
    for leaf, flips in zip(leaves, flippable, strict=True):
        shape = leaf.shape[axes:]
        if flips:
            size = math.prod(shape)
            part = frames[..., at : at + size].astype(leaf.dtype)
            at += size
        else:
            part = jnp.broadcast_to(leaf.reshape(B, 1, -1), (B, frames.shape[1], math.prod(shape)))
        new.append(part.reshape(*batch, frames.shape[1], *shape))
    return jax.tree.unflatten(structure, new)


def frames_of_states(
    query: PyTree[Shaped[Array, "..."]],
    states: PyTree[Shaped[Array, "..."]],
    axes: int,
    taken: Bool[Array, "*batch T"],
    every: int,
) -> PyTree[Shaped[Array, "..."]]:
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
