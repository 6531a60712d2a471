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

    @jax.custom_batching.custom_vmap
    def one(needed, otherwise, arrays):
        return lax.cond(needed, compute, lambda _: otherwise, arrays)

    @one.def_vmap
    def many(axis_size, in_batched, needed, otherwise, arrays):
        needed, otherwise = (
            jax.tree.map(lambda leaf, batched: _for_all(leaf, batched, axis_size), given, batched)
            for given, batched in zip((needed, otherwise), in_batched[:2], strict=True)
        )

        def do_next(carry):
            needed, found = carry
            b = jnp.argmax(needed)
            own = jax.tree.map(lambda leaf, batched: leaf[b] if batched else leaf, arrays, in_batched[2])
            found = jax.tree.map(lambda all_, new: all_.at[b].set(new), found, compute(own))
            return needed.at[b].set(False), found

        _, found = lax.while_loop(lambda carry: carry[0].any(), do_next, (needed, otherwise))
        return found, jax.tree.map(lambda _: True, found)

    return one(needed, otherwise, arrays)


def _for_all(leaf, batched, axis_size):
    return leaf if batched else jnp.broadcast_to(leaf, (axis_size, *leaf.shape))
