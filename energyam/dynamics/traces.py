"""`Recall`, the answer of a recall, and its frames: the states along the way, rebuilt from the record."""

import functools
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PyTree, Shaped

from energyam import checks
from energyam.dynamics import loop
from energyam.dynamics.states import Move
from energyam.dynamics.update import Flips, States
from energyam.shown import shown

STATUSES = ("settled", "stopped", "out of steps", "not finite", "cycle")
"""How a recall may have ended: `STATUSES[result.status]` is the word for it."""


@shown("status num_steps period state energies initial_energy record query", status=STATUSES)
class Recall(eqx.Module):
    """The answer of a recall, and how it ended. Non-convergence is reported, not raised.

    **Fields:** `state`, like the query; `energies` (*batch, T) after each of the T updates (a neuron tried,
    or a step of all) and `initial_energy` (*batch), None for a memory without an energy; `status` (*batch):
    an index into `STATUSES`; `num_steps` (*batch): steps taken, including the one that showed convergence;
    `period` (*batch): after how many steps state and carry repeat, 0 where no limit cycle was seen; `record`:
    what the rule recorded, leaves (*batch, steps, …), None without a record; `query`: where the recall
    started.

    T covers the steps of the slowest query of the batch; inside `jit`, where that number is unknown, it
    covers `max_steps`, and the energies after the end repeat the last. Entries of `record` past `num_steps`
    mean nothing.

        >>> memory = eam.CHN(jnp.array([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1]]))
        >>> result = eam.recall(memory, jnp.array([-1, 1, 1, 1, -1, -1, -1, -1]), key=jr.key(0))
        >>> eam.STATUSES[result.status], result.num_steps.item(), result.frames(every=8).shape
        ('settled', 2, (3, 8))
    """

    state: PyTree[Shaped[Array, "..."]]
    energies: Float[Array, "*batch T"] | None
    initial_energy: Float[Array, "*batch"] | None
    status: Int[Array, "*batch"]
    num_steps: Int[Array, "*batch"]
    period: Int[Array, "*batch"]
    record: Any
    query: PyTree[Shaped[Array, "..."]]
    moves: tuple[Move | None, ...] = eqx.field(static=True)

    @property
    def converged(self) -> Bool[Array, "*batch"]:
        """Whether no further step would move the state. For asynchronous recall this proves a local minimum
        if the memory declares exact changes; otherwise it holds within the tolerance."""
        return _is(self.status, loop.SETTLED)

    def frames(self, every: int = 64) -> PyTree[Shaped[Array, "..."]]:
        """States along the way: the query, the state after every `every` updates, and the last state,
        (*batch, F, …).

        Raises `ValueError` for `every` below 1, a recall without a record, or a rule that recorded neither
        flips nor states.
        """
        every = checks.count("every", every)
        if self.record is None:
            raise ValueError(
                "frames need a record; there is none, as recall was called with record=False or its update "
                "rule recorded nothing"
            )
        if isinstance(self.record, Flips):
            if not any(self.moves):
                raise ValueError(
                    "frames of flips need ±1 neurons, or others that move from value to value; the memory "
                    "declares others, or none (a rule that moves neurons says so by `moves_neurons`)"
                )
            return _frames_of_flips(self.query, self.record.indices, self.num_steps, self.moves, every)
        if isinstance(self.record, States):
            return _frames_of_states(self.query, self.record.states, self.num_steps, every)
        raise ValueError(
            f"frames need a record of Flips or States; the update rule recorded {type(self.record).__name__}"
        )


@functools.partial(jax.jit, static_argnums=1)  # so that the number is not sent at every call
def _is(status, number):
    return status == number


@functools.partial(jax.jit, static_argnums=(3, 4))
def _frames_of_flips(query, indices, num_steps, moves, every):
    """The query with its neurons moved, after every `every`-th update and the last.

    `indices` (*batch, steps, t) holds the entry moved at each update, −1 for none: a neuron of two values, or
    what became 1 in a one-hot unit.
    """
    *batch, steps, t = indices.shape
    T, indices = steps * t, jnp.where(_taken(num_steps, steps)[..., None], indices, -1)
    indices = indices.astype(jnp.int32)  # one more than the last entry may not fit in the record's dtype
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


@functools.partial(jax.jit, static_argnums=3)
def _frames_of_states(query, states, num_steps, every):
    """Recorded states (*batch, steps, t, …), after every `every`-th update and the last.

    Where an update was not taken any more, the last state before it stands.
    """
    axes, shape = num_steps.ndim, jax.tree.leaves(states)[0].shape
    steps, t = shape[axes : axes + 2]
    T, taken = steps * t, jnp.repeat(_taken(num_steps, steps), t, axis=-1)
    last = jnp.cumsum(taken, axis=-1)
    last = jnp.pad(last, [(0, 0)] * (last.ndim - 1) + [(1, 0)])  # 0 is the query
    chosen = last[..., frame_updates(T, every)]

    def of_leaf(start, later):
        later = later.reshape(*later.shape[:axes], T, *later.shape[axes + 2 :])
        all_states = jnp.concatenate([jnp.expand_dims(start, axes), later.astype(start.dtype)], axis=axes)
        index = chosen.reshape(chosen.shape + (1,) * (all_states.ndim - chosen.ndim))
        return jnp.take_along_axis(all_states, index, axis=axes)

    return jax.tree.map(of_leaf, query, states)


def _taken(num_steps, steps):
    """Which of the steps (*batch, steps) of a record were taken."""
    shape = (*num_steps.shape, steps)
    return lax.broadcasted_iota(num_steps.dtype, shape, num_steps.ndim) < num_steps[..., None]


def frame_updates(num_updates: int, every: int) -> Int[Array, " F"]:
    """How many updates lie behind each frame: 0, every, 2·every, …, and `num_updates` at the end."""
    every = min(checks.count("every", every), max(num_updates, 1))
    return jnp.minimum(jnp.arange(-(-num_updates // every) + 1) * every, num_updates)
