"""Work that few queries of a batch need: done for those alone, one after another."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool


def where_needed(needed: Bool[Array, ""], function: Callable[..., Any], otherwise: Any, *args: Any) -> Any:
    """`function(*args)` where needed, else `otherwise`, of the same shapes and dtypes.

    Under `vmap` a `lax.cond` would do the work for all queries; here it is done for those that need it, one
    after another. Worth it where they are few. `function` must not close over anything traced.
    """
    arrays, rest = eqx.partition(args, eqx.is_array)

    def compute(arrays):
        return function(*eqx.combine(arrays, rest))

    none = [()] * len(jax.tree.leaves(arrays))
    return _where_needed(compute, none, needed, otherwise, arrays)


def _where_needed(compute, axes, needed, otherwise, arrays):
    """The same over all axes of `needed`, those of one `vmap` each. `axes` lists which of them each array
    has."""

    @jax.custom_batching.custom_vmap
    def run(needed, otherwise, arrays):
        if needed.ndim == 0:
            return lax.cond(needed, compute, lambda _: otherwise, arrays)

        def do_next(at):
            needed, found = at
            place = jnp.unravel_index(jnp.argmax(needed), needed.shape)
            leaves, structure = jax.tree.flatten(arrays)
            own = [leaf[tuple(place[k] for k in has)] for leaf, has in zip(leaves, axes, strict=True)]
            found = jax.tree.map(
                lambda all_, new: all_.at[place].set(new), found, compute(jax.tree.unflatten(structure, own))
            )
            return needed.at[place].set(False), found

        return lax.while_loop(lambda at: at[0].any(), do_next, (needed, otherwise))[1]

    @run.def_vmap
    def run_many(size, in_batched, needed, otherwise, arrays):
        needed, otherwise = (
            jax.tree.map(lambda leaf, batched: _for_all(leaf, batched, size), given, batched)
            for given, batched in zip((needed, otherwise), in_batched[:2], strict=True)
        )
        deeper = zip(jax.tree.leaves(in_batched[2]), axes, strict=True)
        new = [(0,) * batched + tuple(axis + 1 for axis in has) for batched, has in deeper]
        found = _where_needed(compute, new, needed, otherwise, arrays)
        return found, jax.tree.map(lambda _: True, found)

    return run(needed, otherwise, arrays)


def _for_all(leaf, batched, size):
    return leaf if batched else jnp.broadcast_to(leaf, (size, *leaf.shape))
