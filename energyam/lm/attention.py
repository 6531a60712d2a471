"""Softmax attention, from heads of queries to groups of keys and values."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float, Int

from energyam.lm.layers import precise


class Heads(NamedTuple):
    """The heads of a layer: queries (H, T, d), keys (G, T, d) and values (G, T, d); G divides H.

    Query head h reads the keys and values of group h // (H / G); without groups, G = H.

        >>> heads = eam.lm.Heads(jnp.ones((4, 3, 8)), jnp.ones((2, 3, 8)), jnp.ones((2, 3, 8)))
        >>> len(heads.queries) // len(heads.keys)  # two query heads share each key
        2
    """

    queries: Float[Array, "*L H T d"]
    keys: Float[Array, "*L G T d"]
    values: Float[Array, "*L G T d"]


def attention_weights(
    queries: Float[Array, "H R d"], keys: Float[Array, "G T d"], positions: Int[Array, " R"]
) -> Float[Array, "H R T"]:
    """softmax(Q Kᵀ / √d) over the keys at or before each query's position: eq. 1, causal.

    It is computed and given in float32 at least.

    **Arguments:** `queries` of R rows, `keys` of T positions from 0 on, `positions` of the rows.
    """
    grouped = by_group(queries, keys.shape[0])
    dtype = precise(keys.dtype)
    products = jnp.einsum("gnrd,gtd->gnrt", grouped, keys, preferred_element_type=dtype)
    scores = products / jnp.sqrt(float(keys.shape[-1])).astype(dtype)
    seen = jnp.arange(keys.shape[1])[None, :] <= positions[:, None]
    return rearrange(jax.nn.softmax(jnp.where(seen[None, None], scores, -jnp.inf)), "g n r t -> (g n) r t")


def mix(weights: Float[Array, "H R T"], values: Float[Array, "G T d"]) -> Float[Array, "R H*d"]:
    """Each row's average of the values, the heads side by side, in the dtype of the values: eq. 2."""
    mixed = jnp.einsum("gnrt,gtd->gnrd", by_group(weights, values.shape[0]), values)
    return rearrange(mixed, "g n r d -> r (g n d)").astype(values.dtype)


def by_group(heads: Float[Array, "H ..."], groups: int) -> Float[Array, "G n ..."]:
    """The H heads as G groups of n."""
    return rearrange(heads, "(g n) ... -> g n ...", g=groups)


def per_head(groups: Float[Array, "G ..."], heads: int) -> Float[Array, "H ..."]:
    """A copy of each group for each of its heads."""
    return jnp.repeat(groups, heads // groups.shape[0], axis=0)
