"""One pass through the layers of a model, with its memory, and with a cache of earlier tokens."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from energyam.lm.attention import Heads, attention_weights, by_group, mix
from energyam.lm.lookup import Lookup
from energyam.lm.store import Bank

Number = Int[Array, ""]

_AT_ONCE = 2**24  # nearness numbers held at a time, 64 MB of float32


class Access(NamedTuple):
    """A memory and how it is read."""

    bank: Bank
    lookup: Lookup


class Cache(NamedTuple):
    """The keys and values of the C earlier positions that later tokens need, layer by layer."""

    keys: Float[Array, "*L G C d"]  # as attention sees them
    values: Float[Array, "*L G C d"]
    changes: Float[Array, "*L H C d"] | None  # replacement − value, where there is a memory


class Pass(NamedTuple):
    """The output of the last layer, the cache with the new tokens, and the unrotated heads if kept."""

    x: Float[Array, "T D"]
    cache: Cache | None
    heads: Heads | None


def run(
    model: Any,
    token_ids: Int[Array, " R"],
    length: Int[Array, ""],
    access: Access | None,
    *,
    cache: Cache | None = None,
    start: Int[Array, ""] | int = 0,
    keep_heads: bool = False,
) -> Pass:
    """R tokens through all layers, as the positions from `start` on; `length` of the whole text count."""
    positions = start + jnp.arange(token_ids.shape[0])

    def layer(x, inputs):
        block, slot, past = inputs
        heads = block.project(x)
        turned = block.rotate(heads, positions)
        changes = None if access is None else _value_changes(access, slot, heads, turned)
        now = Cache(turned.keys, turned.values, changes)
        if past is not None:
            write = partial(lax.dynamic_update_slice_in_dim, start_index=start, axis=1)
            now = jax.tree.map(write, past, now)
        attention = attention_weights(turned.queries, now.keys, positions)
        mixed = mix(attention, now.values)
        if access is not None and now.changes is not None:

            def added(lookup=access.lookup, changes=now.changes):
                read = chosen(lookup, attention, positions, length)
                return mix(jnp.where(read, attention, 0), changes)

            mixed += lax.cond(slot < 0, lambda: jnp.zeros_like(mixed), added)
        return block.finish(x, mixed), (None if past is None else now, heads if keep_heads else None)

    slots = None if access is None else access.bank.slots
    x, (cache, heads) = lax.scan(layer, model.embed(token_ids, positions), (model.blocks, slots, cache))
    return Pass(x, cache, heads)


def chosen(
    lookup: Lookup, attention: Float[Array, "H R C"], positions: Int[Array, " R"], length: Number
) -> Bool[Array, "H rows C"]:
    """The token-heads looked up: by each row for itself if causal, else by the newest row for all."""
    if lookup.causal:
        return lookup.chosen(attention, positions + 1)
    newest = lax.dynamic_slice_in_dim(attention, length - 1 - positions[0], 1, axis=1)
    return lookup.chosen(newest, length[None])


def _value_changes(access: Access, slot: Number, heads: Heads, turned: Heads) -> Float[Array, "H R d"]:
    """Replacement − value of each token-head; 0 in layers without memory.

    Where only the first token may read (mem_frac 0), no other is looked up.
    """
    heads = turned if access.bank.rotated else heads
    nothing = jnp.zeros_like(heads.queries)

    def first():
        return nothing.at[:, :1].set(_all_changes(access, slot, Heads(*(h[:, :1] for h in heads))))

    branch = jnp.where(slot < 0, 0, jnp.where(access.lookup.mem_frac > 0, 2, 1))
    return lax.switch(branch, [lambda: nothing, first, lambda: _all_changes(access, slot, heads)])


def _all_changes(access: Access, slot: Int[Array, ""], heads: Heads) -> Float[Array, "H R d"]:
    """Replacement − value, with every token-head looked up, some positions at a time."""
    keys, values = access.bank.at(slot)
    if (keys.shape[0], keys.shape[2]) != (heads.keys.shape[0], heads.keys.shape[2]):
        wanted = f"(G, d) = {heads.keys.shape[::2]} as the model's heads"
        raise ValueError(f"memory must have {wanted}; got {keys.shape[::2]}")
    filled, groups = access.bank.sources >= 0, keys.shape[0]

    def at_position(queries, key, value):  # (G, n, d), (G, d), (G, d)
        found = jax.vmap(access.lookup.nearest, in_axes=(0, 0, 0, None))(key, keys, values, filled)
        of_group = jax.vmap(access.lookup.replacement, in_axes=(0, None, None, None))
        return jax.vmap(of_group)(queries, key, value, found) - value[:, None]

    rows = by_group(heads.queries, groups), heads.keys, heads.values
    per_position = [jnp.moveaxis(of_positions, -2, 0) for of_positions in rows]
    at_once = max(1, _AT_ONCE // (groups * keys.shape[1]))
    if heads.keys.shape[1] <= at_once:
        changes = jax.vmap(at_position)(*per_position)
    else:
        changes = lax.map(lambda args: at_position(*args), per_position, batch_size=at_once)
    return jnp.moveaxis(changes, 0, 2).reshape(heads.queries.shape)
