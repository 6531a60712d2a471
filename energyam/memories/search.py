"""The stored patterns nearest to a query, for any memory with patterns, by its own similarity, block by
block."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Num

from energyam import checks
from energyam.abilities import ask
from energyam.flips.joined import split
from energyam.linalg import float_dtype
from energyam.memories.reads import nearest as nearest_rows
from energyam.memories.similarity import AbstractSimilarity
from energyam.on_disk import AnyArray
from energyam.shown import shown


class Table(NamedTuple):
    """Patterns (K, D) with which queries are compared, and the similarity that compares them.

    `similarity`: how a query is compared with them; `values` (K, Dv): what belongs to each, or None;
    `number`: how many rows count, from the first one on; None if all do.

        >>> class Shelf(eqx.Module):  # a memory of your own, which `nearest` then searches
        ...     rows: jax.Array
        ...     def tables(self):
        ...         return (eam.Table(self.rows, eam.Cosine()),)
        ...
        >>> eam.nearest(Shelf(jnp.eye(3)), jnp.array([0.1, 2.0, 0.0]), 1).indices
        Array([1], dtype=int32)
    """

    patterns: Num[AnyArray, "K D"]
    similarity: AbstractSimilarity
    values: Num[AnyArray, "K Dv"] | None = None
    number: Int[ArrayLike, ""] | None = None

    @property
    def num_rows(self) -> Any:
        """How many rows count: a number that is traced inside `jit` where `number` is."""
        return self.patterns.shape[0] if self.number is None else self.number


@shown("indices scores values", indices="patterns")
class Nearest(NamedTuple):
    """The k patterns nearest to each query, best first.

    `scores` (*batch, k): the memory's own similarities; `indices` (*batch, k): of the patterns, and
    (*batch, k, L) for a product of L memories, an index into each; `values` (*batch, k, Dv): those of the
    keys that were found, None for a memory without values.

        >>> memory = eam.CHN(jnp.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1]]))
        >>> found = eam.nearest(memory, jnp.array([[1, 1, 1, -1], [1, 1, -1, -1]]), 1)
        >>> found.indices, found.scores
        (Array([[0],
               [1]], dtype=int32), Array([[2.],
               [4.]], dtype=float32))
    """

    scores: Float[Array, "*batch k"]
    indices: Int[Array, "*batch k"] | Int[Array, "*batch k L"]
    values: Num[Array, "*batch k Dv"] | None = None


def nearest(
    memory: Any, queries: ArrayLike, k: int, *, approximate: bool = False, recall_target: float = 0.95
) -> Nearest:
    """The k patterns of a memory that are most similar to each query (*batch, D), best first.

    The scores are the similarities of the memory itself: overlaps, cosines, or −½ of the squared distances.
    Equal scores are in the order of their patterns. The search takes one pass over the patterns for all
    queries together, a block at a time, so that its working memory is one block of similarities (8,192 for
    each query), whatever K is. A read with `TopK` finds its patterns by the same search. For a
    `ProductDenseAM` it finds the best combinations; the method `ranked` also gives their weights.

    **Arguments:** `memory`: a dense memory, a key-value memory, a product of memories, or your own with a
    method `tables`; `queries` (*batch, D); `k`: from 1 to the number of patterns; `approximate`: whether
    some of the k may be missed where the platform is faster for it: TPUs then search by
    `jax.lax.approx_max_k`, while CPUs and GPUs, which gain nothing by it, still find all; `recall_target`:
    the share of the k that is found on average at least, above 0 and at most 1. Raises `ValueError` for
    others.

    Chern et al., "TPU-KNN: k nearest neighbor search at peak FLOP/s", NeurIPS 2022, for the approximate one.

        >>> memory = eam.CHN(jnp.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1]]))
        >>> eam.nearest(memory, jnp.array([1, 1, 1, -1]), 2)
        Nearest(patterns=[0, 1], scores=[2, 2])
    """
    tables = ask(memory, "tables")
    if not tables:
        got = f"{type(memory).__name__}, which has none (store them in an eam.KeyValueMemory)"
        raise ValueError(f"memory must hold patterns or keys, or have a method tables(); got {got}")
    width = sum(table.patterns.shape[1] for table in tables)
    queries = checks.as_floats("queries", queries, f"... {width}")
    k = checks.count("k", k)
    numbers = [table.num_rows for table in tables]
    if all(map(checks.is_known, numbers)):
        checks.count("k", k, most=math.prod(map(int, numbers)))
    elif k > math.prod(table.patterns.shape[0] for table in tables):
        raise ValueError(f"k must be at most the number of patterns; got {k}")
    target = checks.number("recall_target", recall_target, 0, 1)
    if target == 0:
        raise ValueError(f"recall_target must be above 0; got {recall_target}")
    return _nearest(tables, queries, k, target if checks.flag("approximate", approximate) else None)


def nearest_in(
    tables: Sequence[Table], query: Float[Array, " D"], k: int, recall: float | None = None
) -> Nearest:
    """`nearest` of one query, without its checks: all of the patterns where there are fewer than k.

    A combination among the k best has each of its rows among the k best of its table. So the k·k sums of two
    lists are ranked, and then those with the next list.
    """
    found, indices = jnp.zeros(1, query.dtype), jnp.zeros((1, 0), int)
    parts = split(query, tuple(table.patterns.shape[1] for table in tables))
    for table, part in zip(tables, parts, strict=True):
        best, rows = _best_of(table, part, k, recall)
        sums = (found[:, None] + best[None]).reshape(-1)
        found, places = lax.top_k(sums, min(k, sums.size))
        earlier, last = indices[places // best.size], rows[places % best.size]
        indices = jnp.concatenate([earlier, last[:, None]], axis=1)
    if len(tables) > 1:
        return Nearest(found, indices)
    values, indices = tables[0].values, indices[:, 0]
    return Nearest(found, indices, None if values is None else values[indices])


def _best_of(table, query, k, recall):
    if table.number is None:
        similar = lambda patterns: table.similarity.of_all(patterns, query)  # noqa: E731
        return nearest_rows(similar, (table.patterns,), k, recall=recall)

    def similar_if_present(patterns, present):
        return jnp.where(present[:, 0] > 0, table.similarity.of_all(patterns, query), -jnp.inf)

    present = (jnp.arange(table.patterns.shape[0]) < table.number).astype(jnp.int8)
    return nearest_rows(similar_if_present, (table.patterns, present[:, None]), k, recall=recall)


@eqx.filter_jit
def _nearest(tables, queries, k, recall):
    flat = queries.reshape(-1, queries.shape[-1])
    flat = flat.astype(float_dtype(flat.dtype))
    found = jax.vmap(lambda query: nearest_in(tables, query, k, recall))(flat)
    return jax.tree.map(lambda rows: rows.reshape(*queries.shape[:-1], *rows.shape[1:]), found)
