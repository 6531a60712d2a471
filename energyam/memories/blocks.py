"""Reads of any number of pairs in one pass, a block at a time: the working memory does not grow with K."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Num

from energyam import checks
from energyam.memories.base import dot
from energyam.memories.products import BLOCK, by_lane
from energyam.memories.separation import AbstractBlockwise, AbstractSeparation, TopK


def read(
    separation: AbstractSeparation,
    keys: Num[Array, "K Dk"],
    values: Num[Array, "K Dv"],
    query: Float[Array, " Dk"],
    block: int = BLOCK,
) -> tuple[Float[Array, ""], Float[Array, " Dv"]]:
    """The potential of the similarities K q, and the values read, Vᵀ weights(K q), in one pass over pairs.

    Blocks join as in an online log-sum-exp: exactly, up to the rounding of the sums. `TopK` keeps the k
    nearest pairs seen so far. A separation that is neither this nor `AbstractBlockwise` is read at once.

    The pairs are first cut into equal lanes, as many as the devices where K allows. Sharded pairs are
    then read where they lie, and only the lanes' parts, Dv + 2 numbers a query, travel.

    Narrow pairs (int8, float16, bfloat16) are widened to floats a block at a time, save that XLA for CPUs
    widens bfloat16 all at once.

    Milakov & Gimelshein, "Online normalizer calculation for softmax" (2018).
    """
    if isinstance(separation, TopK):
        similarities, indices = nearest(keys, query, separation.k, block)
        inner = separation.separation
        return inner.potential(similarities), dot(inner.weights(similarities), values[indices])
    if not isinstance(separation, AbstractBlockwise):
        similarities = dot(query, keys.T)
        return separation.potential(similarities), dot(separation.weights(similarities), values)

    def part_of(first, keys, values):
        similarities = dot(query, keys.T)  # in this order: under vmap those of one query lie together
        scale = lax.stop_gradient(separation.scale(similarities))
        terms, weights = separation.relative(similarities, scale)
        return scale, jnp.sum(terms), dot(weights, values)

    def join(parts, add=_sum_of_lanes):
        scales, totals, sums = parts
        scale = scales.max()
        terms, weights = separation.relative(scales, scale)
        return scale, add(terms * totals), add(weights[:, None] * sums)

    scale, total, sums = join(_fold((keys, values), block, part_of, join))
    potential, unit = separation.whole(scale, total)
    return potential, unit * sums


def nearest(
    keys: Num[Array, "K Dk"], query: Float[Array, " Dk"], k: int, block: int = BLOCK
) -> tuple[Float[Array, " k"], Int[Array, " k"]]:
    """The k largest similarities K q, falling, and the indices of their keys, the first of equals first.

    All K of them where there are fewer than k. Raises `ValueError` for k below 1.
    """
    k = min(checks.count("k", k), keys.shape[0])
    largest = lax.top_k if jax.device_count() == 1 else _top_k

    def part_of(first, keys):
        similarities, indices = largest(dot(query, keys.T), min(k, keys.shape[0]))
        missing = (0, k - indices.shape[0])
        indices = jnp.asarray(first + indices, int)
        return jnp.pad(similarities, missing, constant_values=-jnp.inf), jnp.pad(indices, missing)

    def join(parts, add=None, largest=largest):
        similarities, indices = (found.reshape(-1) for found in parts)
        best, places = largest(similarities, k)
        return best, indices[places]

    return join(_fold((keys,), block, part_of, join), largest=lax.top_k)


def _sum_of_lanes(parts):
    return jnp.sum(parts, axis=0)


def _top_k(values, k):
    """`lax.top_k` as k maxima in turn: of sharded values XLA gathers all for a top_k, and none for this."""

    def take(left, _):
        place = jnp.argmax(left)
        return jnp.where(jnp.arange(left.shape[0]) == place, -jnp.inf, left), (left.max(), place)

    return lax.scan(take, values, length=k)[1]


def _fold(arrays, block, part_of, join):
    """`part_of(first, *rows)` of each block of rows, joined lane by lane: parts stacked along a first axis.

    `join` makes one part of such a stack, with the sum over it that it is given.
    """
    return by_lane(lambda first, rows: _fold_lane(first, rows, block, part_of, join), arrays)


def _fold_lane(first, arrays, block, part_of, join):
    K = arrays[0].shape[0]
    block = min(block, K)

    def part_at(start, size):
        return part_of(first + start, *(lax.dynamic_slice_in_dim(rows, start, size) for rows in arrays))

    def with_next(part, start, size):
        both = jax.tree.map(lambda *two: jnp.stack(two), part, part_at(start, size))
        return join(both, lambda two: two[0] + two[1])  # faster than a sum: XLA drops the stack

    # Gradients make the blocks anew, rather than keep the similarities of all of them.
    step = jax.checkpoint(lambda j, part: with_next(part, j * block, block))
    part = lax.fori_loop(1, K // block, step, part_at(0, block))
    return with_next(part, K - K % block, K % block) if K % block else part
