"""In which order the neurons of a step are tried."""

import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Int, PRNGKeyArray

from energyam.dynamics.update import Tick

ORDERS = ("permutation", "uniform", "sequential")
_MOST_PLACE_BITS = 20  # 12 bits of a word remain random


def checked_order(order: str) -> str:
    """`order`, if it is one of `ORDERS`; raises `ValueError` otherwise."""
    if not isinstance(order, str) or order not in ORDERS:
        raise ValueError(f"order must be 'permutation', 'uniform' or 'sequential'; got {order!r}")
    return order


def drawn_order(order: str, num_neurons: int, tick: Tick) -> Int[Array, " N"]:
    """The neurons of one step in the order they are tried, shared by the batch."""
    if order == "sequential":
        return jnp.arange(num_neurons)
    if not tick.has_key:
        raise ValueError(
            f"key must be given, as the order is {order!r}; got None "
            "(pass key=jax.random.key(0), or an update rule with order='sequential')"
        )
    if order == "permutation":
        return shuffled(num_neurons, key=tick.shared)
    return jr.randint(tick.shared, (num_neurons,), 0, num_neurons)


def shuffled(num: int, *, key: PRNGKeyArray) -> Int[Array, " num"]:
    """0 … num − 1 in an order drawn from all with equal chances.

    Words of random bits above the bits of a place are sorted, which costs a third of sorting pairs of words,
    as `jax.random.permutation` does. Of two places with equal random bits, one pair in 2^(32 − log2 num), the
    lower comes first; so the order is that of a second draw, whose places are those of the first.
    """
    place_bits = max(1, (num - 1).bit_length())
    if place_bits > _MOST_PLACE_BITS:
        return jr.permutation(key, num)
    place = jnp.uint32(2**place_bits - 1)
    drawn = jr.bits(key, (2, num), jnp.uint32)
    first, second = (lax.sort(drawn & ~place | jnp.arange(num, dtype=jnp.uint32)[None]) & place).astype(int)
    return first[second]
