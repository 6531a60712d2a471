"""Reads of any number of patterns in one pass, a block at a time: working memory does not grow with K."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from equinox.internal import unvmap_any
from jax import lax
from jaxtyping import Array, Float, Int, Num

from energyam import checks
from energyam.linalg import BLOCK, by_lane, dot, float_dtype, is_narrow, power_of_two
from energyam.memories.separation import AbstractSeparation
from energyam.memories.similarity import AbstractSimilarity, Dot
from energyam.on_disk import AnyArray, OnDisk

_SCREEN = 64  # similarities that a sparse separation looks at first

Rows = tuple[Num[AnyArray, "K _"], ...]
_NEAREST_BLOCK = 8192  # rows of which the nearest are found at a time
_BLOCK_FLOATS = 2**18  # of a block of rows that is read: 1 MB stays in a core's cache
_GROUP = 32  # rows that stand for one another in the search for the nearest


def read(
    separation: AbstractSeparation,
    similarities: Callable[..., Float[Array, " K"]],
    gather: Callable[..., Any],
    rows: Rows,
    block: int | None = None,
    counts: Callable[..., Float[Array, " K"]] | None = None,
) -> tuple[Float[Array, ""], Any]:
    """The potential of `similarities(*rows)`, and `gather(weights, *rows)`, in one pass over the rows.

    `gather` gives sums over the rows that are linear in the weights, say Vᵀw: any pytree of them. Blocks
    join as in an online log-sum-exp: exactly, up to the rounding of the sums. `TopK` keeps the k nearest
    rows seen so far. A separation that has neither blocks nor such a k is read at once; where it weighs by a
    threshold, from the largest similarities alone if these prove to be all that count.

    `counts(*rows)`, for separations with blocks alone, is how often each row counts: Q(Σ_μ n_μ F(s_μ)); a row
    with n = 0 does not. Its similarity must be that of a row that does.

    The rows are first cut into equal lanes, as many as the devices where K allows. Sharded rows are then
    read where they lie, and only the lanes' sums travel.

    Narrow rows (int8, float16, bfloat16) are widened to floats a block at a time, save that XLA for CPUs
    widens bfloat16 all at once.

    Milakov & Gimelshein, "Online normalizer calculation for softmax" (2018).
    """
    among, blocks = separation.among_largest(), separation.blocks()
    if among is not None:
        k, within = among
        largest, indices = nearest(similarities, rows, k, block)
        return within.potential(largest), gather(within.weights(largest), *(array[indices] for array in rows))
    if blocks is None:
        return _read_at_once(separation, of_rows(similarities, rows), gather, rows)

    def part_of(first, *rows):
        found = similarities(*rows)
        scale = lax.stop_gradient(blocks.scale(found))
        terms, weights = blocks.relative(found, scale)
        if counts is not None:
            terms, weights = counts(*rows) * terms, counts(*rows) * weights
        return scale, jnp.sum(terms), gather(weights, *rows)

    def join(parts, add=_sum_of_lanes):
        scales, totals, sums = parts
        scale = scales.max()
        terms, weights = blocks.relative(scales, scale)
        return scale, add(terms * totals), jax.tree.map(lambda s: add(_times(weights, s)), sums)

    scale, total, sums = join(_fold(rows, block or _rows_together(rows), part_of, join))
    potential, unit = blocks.total(scale, total)
    return potential, jax.tree.map(lambda s: unit * s, sums)


def read_pairs(
    separation: AbstractSeparation,
    keys: Num[AnyArray, "K Dk"],
    values: Num[AnyArray, "K Dv"],
    query: Float[Array, " Dk"],
    block: int | None = None,
    similarity: AbstractSimilarity = Dot(),  # noqa: B008
) -> tuple[Float[Array, ""], Float[Array, " Dv"]]:
    """The potential of K q, and the values read, Vᵀ weights(K q): `read` of keys and values.

    With a `similarity`, its values take the place of K q. Overlaps of a query and keys of one
    16-bit dtype are products in this dtype with sums in float32, and so are the values that are read, where
    they have it too; what lies between is in float32. All other numbers meet as floats of 32 bits or more.
    """
    if not (similarity.overlaps and query.dtype == keys.dtype):
        query = query.astype(float_dtype(query.dtype))
    similar = lambda keys, values: similarity.of_all(keys, query)  # noqa: E731

    def gather(weights, keys, values):
        if not is_narrow(query.dtype) or values.dtype != query.dtype:
            return dot(weights, values)
        scale = power_of_two(weights)  # float16 would not hold large weights
        return scale * dot((weights / scale).astype(values.dtype), values)

    return read(separation, similar, gather, (keys, values), block)


def nearest(
    similarities: Callable[..., Float[Array, " K"]],
    rows: Rows,
    k: int,
    block: int | None = None,
    recall: float | None = None,
) -> tuple[Float[Array, " k"], Int[Array, " k"]]:
    """The k largest of `similarities(*rows)`, falling, and the indices of their rows, equals in their order.

    All K of them where there are fewer than k. With a `recall`, TPUs need find no more than that share of
    the k, on average. Raises `ValueError` for k below 1.
    """
    k = min(checks.count("k", k), rows[0].shape[0])
    largest = _top_k_by_groups if jax.device_count() == 1 else _top_k
    if recall is not None:
        largest = partial(_approximately, largest, recall, rows[0].shape[0])

    def part_of(first, *rows):
        found, indices = largest(similarities(*rows), min(k, rows[0].shape[0]))
        missing = (0, k - indices.shape[0])
        indices = jnp.asarray(first + indices, int)
        return jnp.pad(found, missing, constant_values=-jnp.inf), jnp.pad(indices, missing)

    def join(parts, add=None, largest=largest):
        found, indices = (part.reshape(-1) for part in parts)
        best, places = largest(found, k)
        return best, indices[places]

    return join(_fold(rows, block or _NEAREST_BLOCK, part_of, join), largest=lax.top_k)


def of_rows(function: Callable[..., Num[Array, " K"]], rows: Rows) -> Num[Array, " K"]:
    """`function(*rows)`, a number for each row; of rows on disk block by block."""
    if not any(isinstance(one, OnDisk) for one in rows):
        return function(*rows)
    K = rows[0].shape[0]
    like = jax.eval_shape(function, *(jax.ShapeDtypeStruct(one.shape, one.dtype) for one in rows))

    def part_of(first, *rows):
        return lax.dynamic_update_slice_in_dim(jnp.zeros(K, like.dtype), function(*rows), first, 0)

    return _fold(rows, K, part_of, lambda parts, add=_sum_of_lanes: add(parts))[0]


def _rows_together(rows: Rows) -> int:
    """The number of rows in a block, from 2048 to 4096: more where rows are short.

    The best number also depends on how many queries there are, which `vmap` hides: a few would gain from
    longer blocks, and hundreds from shorter ones.
    """
    return min(max(BLOCK, _BLOCK_FLOATS // rows[0].shape[1]), 2 * BLOCK)


def _gathered(gather, weights, rows):
    """`gather(weights, *rows)`; of rows on disk block by block."""
    if not any(isinstance(one, OnDisk) for one in rows):
        return gather(weights, *rows)
    join = lambda parts, add=_sum_of_lanes: jax.tree.map(add, parts)  # noqa: E731
    found = _fold(
        (weights[:, None], *rows), _rows_together(rows), lambda first, w, *rows: gather(w[:, 0], *rows), join
    )
    return jax.tree.map(lambda leaf: leaf[0], found)


def _read_at_once(separation, found, gather, rows):
    def read_all():
        return separation.potential(found), _gathered(gather, separation.weights(found), rows)

    # Of sharded values XLA gathers all for a top_k.
    if separation.fewest is None or jax.device_count() > 1:
        return read_all()
    size = max(_SCREEN, 2 * separation.fewest)
    if 4 * size > min(found.size, 16 * _SCREEN + found.size // 64):
        return read_all()
    return _read_screened(separation, found, gather, rows, size, read_all)


def _read_screened(separation, found, gather, rows, size, otherwise):
    """From the largest similarities where the last of them weighs nothing, for all queries."""
    largest, indices = _top_k_by_groups(found, size)
    weights = separation.weights(largest)
    missed = unvmap_any(lax.stop_gradient(weights[-1]) > 0)

    def read_largest():
        return separation.potential(largest), gather(weights, *(array[indices] for array in rows))

    return lax.cond(missed, otherwise, read_largest)


def _times(weights, sums):
    return weights.reshape(weights.shape + (1,) * (sums.ndim - 1)) * sums


def _sum_of_lanes(parts):
    return jnp.sum(parts, axis=0)


def _top_k_by_groups(values, k):
    """`lax.top_k` of many values, which lie in the k groups of the largest maxima: these alone are ranked."""
    n = values.shape[0]
    whole = n - n % _GROUP
    if whole < 4 * k * _GROUP:
        return lax.top_k(values, k)
    groups = lax.top_k(values[:whole].reshape(-1, _GROUP).max(axis=1), k)[1]
    places = jnp.sort(groups)[:, None] * _GROUP + jnp.arange(_GROUP)[None]  # equals stay in their order
    places = jnp.concatenate([places.reshape(-1), jnp.arange(whole, n)])
    found, at = lax.top_k(values[places], k)
    return found, places[at]


def _approximately(exactly, recall, num_rows, values, k):
    """Most of the k largest on TPUs, and all on other platforms, where XLA sorts for it.

    The recall that is asked for is that of a search through all rows, of which `values` are a block.
    """

    def most(values):
        found = lax.approx_max_k(values, k, recall_target=recall, reduction_input_size_override=num_rows)
        return tuple(found)

    return lax.platform_dependent(values, tpu=most, default=lambda values: tuple(exactly(values, k)))


def _top_k(values, k):
    """`lax.top_k` as k maxima in turn: of sharded values XLA gathers all for a top_k, and none for this."""

    def take(left, _):
        place = jnp.argmax(left)
        return jnp.where(jnp.arange(left.shape[0]) == place, -jnp.inf, left), (left.max(), place)

    return lax.scan(take, values, length=k)[1]


def _fold(arrays, block, part_of, join):
    """`part_of(first, *rows)` of each block of rows, joined lane by lane: parts stacked along a first axis.

    `join` makes one part of such a stack, with the sum over it that it is given. Rows on disk are in one
    lane: they come in blocks of their own size, each of which is then read in blocks of `block`.
    """
    on_disk = [rows.block_size for rows in arrays if isinstance(rows, OnDisk)]
    if on_disk:
        inner = lambda first, *rows: _fold_lane(first, rows, block, part_of, join)  # noqa: E731
        part = _fold_lane(0, arrays, min(on_disk), inner, join)
        return jax.tree.map(partial(jnp.expand_dims, axis=0), part)
    return by_lane(lambda first, rows: _fold_lane(first, rows, block, part_of, join), arrays)


def _block_of(rows, start, size):
    """Some of the rows, wherever they lie; all of them are not copied."""
    if isinstance(rows, OnDisk):
        return rows.block(start, size)
    return rows if size == rows.shape[0] else lax.dynamic_slice_in_dim(rows, start, size)


def _fold_lane(first, arrays, block, part_of, join):
    K = arrays[0].shape[0]
    block = min(block, K)

    def part_at(start, size):
        return part_of(first + start, *(_block_of(rows, start, size) for rows in arrays))

    def with_next(part, start, size):
        both = jax.tree.map(lambda *two: jnp.stack(two), part, part_at(start, size))
        return join(both, lambda two: two[0] + two[1])  # faster than a sum: XLA drops the stack

    if block == K:
        return part_at(0, K)
    # Gradients make the blocks anew, rather than keep the similarities of all of them.
    step = jax.checkpoint(lambda j, part: with_next(part, j * block, block))
    part = lax.fori_loop(1, K // block, step, part_at(0, block))
    return with_next(part, K - K % block, K % block) if K % block else part
