"""Heteroassociative memories: a query reads the values of the keys that it resembles, in one step."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int, Num

from energyam import checks
from energyam.linalg import dot, float_dtype, is_narrow
from energyam.memories.padded import check_reads_padded, moved_up, padded, read_padded, room_for
from energyam.memories.reads import read_pairs
from energyam.memories.rows import Indices, as_wide, kept_rows
from energyam.memories.search import Table
from energyam.memories.separation import AbstractSeparation
from energyam.memories.similarity import AbstractSimilarity, Dot
from energyam.on_disk import AnyArray, RowsLike
from energyam.shown import shown


@shown()
class KeyValueMemory(eqx.Module):
    """Pairs of keys and values; a query reads the values by how similar their keys are.

        read(q) = Vᵀ · separation.weights(S(K, q))

    S is the overlap K q unless another similarity is given. The separation decides which memory this is: with
    `Linear()` it is the correlation matrix and with `LogSumExp(beta)` attention (softmax); `ReLU()` drops
    negative similarities, and `TopK(separation, k)` reads only the k nearest keys, which are those that
    `energyam.nearest` finds.

    **Arguments:** `keys` (K, Dk) and `values` (K, Dv): real numbers, one pair in each row; `separation`: how
    similarities become weights; `similarity`: how a query is compared with the keys, `Dot()` unless given,
    `Cosine()` or `NegativeDistance()`; `capacity`: room for at least this many pairs. Raises `ValueError` if
    keys and values differ in K, are empty, or are not finite.

    Without a capacity, each number of pairs compiles its own read. With a capacity, a read is compiled again
    only when the room doubles: its number of rows is a power of two, and `num_pairs` (None without a
    capacity) says how many of them are pairs. The other rows repeat the first one and count 0 times. A read
    gives the same values as without a capacity, and takes as long as a read of all rows. The separation must
    then take its patterns in blocks (`blocks`, or `TopK` of one); `ValueError` otherwise.

    Kohonen & Ruohonen 1973; Vaswani et al. 2017 for the softmax.

        >>> keys, values = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[10.0], [20.0]])
        >>> memory = eam.KeyValueMemory(keys, values, eam.LogSumExp(20.0))
        >>> memory(jnp.array([0.1, 0.9]))
        Array([20.], dtype=float32)
    """

    keys: Num[AnyArray, "K Dk"]
    values: Num[AnyArray, "K Dv"]
    separation: AbstractSeparation
    similarity: AbstractSimilarity = Dot()
    num_pairs: Int[Array, ""] | None = None
    oldest: Int[Array, ""] | None = None  # None without a capacity: jax.grad refuses integers

    def __init__(
        self,
        keys: RowsLike,
        values: RowsLike,
        separation: AbstractSeparation,
        similarity: AbstractSimilarity = Dot(),  # noqa: B008
        capacity: int | None = None,
    ):
        self.keys, self.values = checks.as_pairs(keys, values)
        self.separation, self.similarity, self.num_pairs, self.oldest = separation, similarity, None, None
        if capacity is not None:
            K = self.keys.shape[0]
            rows = room_for(max(K, checks.count("capacity", capacity)))
            self.keys, self.values = padded(self.keys, rows), padded(self.values, rows)
            self.num_pairs, self.oldest = jnp.asarray(K, jnp.int32), jnp.zeros((), jnp.int32)

    def __check_init__(self):
        checks.as_pairs(self.keys, self.values)
        hint = " (say eam.LogSumExp(beta))"
        checks.instance("separation", self.separation, AbstractSeparation, hint)
        checks.instance("similarity", self.similarity, AbstractSimilarity)
        if self.num_pairs is not None:
            check_reads_padded(self.separation)
            if checks.is_known(self.num_pairs):
                checks.count("num_pairs", int(self.num_pairs), most=self.capacity)
        if self.oldest is not None and checks.is_known(self.oldest):
            checks.count("oldest", int(self.oldest), least=0, most=self.capacity - 1)

    @property
    def capacity(self) -> int:
        """How many pairs there is room for; without a capacity, how many pairs there are."""
        return self.keys.shape[0]

    def __call__(self, query: ArrayLike) -> Float[Array, " Dv"]:
        """The value (Dv,) read for one query (Dk,); raises `ValueError` for another shape.

        The value has the dtype of the query if that has 16 bits. Products with keys and values of the same
        dtype then have factors of 16 bits and sums in float32; weights are always computed in float32.
        """
        query = checks.as_vector("query", query, self.keys.shape[1])
        return _read(self, query)

    def tables(self) -> tuple[Table, ...]:
        """The keys and values, for `energyam.nearest`."""
        return (Table(self.keys, self.similarity, self.values, self.num_pairs),)

    def with_pairs(self, keys: ArrayLike, values: ArrayLike) -> "KeyValueMemory":
        """The same memory with more pairs, keys (n, Dk) and values (n, Dv), behind those that it has.

        A capacity that is too small is doubled. Raises `ValueError` for pairs that the construction refuses,
        for another Dk or Dv, and inside `jit` if the memory has a capacity, because it is not known there
        whether there is room; use `write` there.
        """
        more = more_pairs(self, keys, values)
        if self.num_pairs is None:
            both = [jnp.concatenate(rows) for rows in zip((self.keys, self.values), more, strict=True)]
            return eqx.tree_at(lambda m: (m.keys, m.values), self, both)
        number = self._known_number() + len(more[0])
        room = max(self.capacity, room_for(number))
        old, start = (self.keys, self.values), self.num_pairs
        if int(self._oldest):
            old = jnp.roll(self.keys, -self._oldest, axis=0), jnp.roll(self.values, -self._oldest, axis=0)
        old = padded(old[0], room), padded(old[1], room)
        both = [lax.dynamic_update_slice_in_dim(a, b, start, 0) for a, b in zip(old, more, strict=True)]
        return self._replaced(both, number)

    def write(self, keys: ArrayLike, values: ArrayLike) -> "KeyValueMemory":
        """The memory with one more pair, key (Dk,) and value (Dv,), or several, keys (n, Dk), values (n, Dv).

        This is `with_pairs`, but a memory with a capacity can be written inside `jit`, `scan` and `vmap` too,
        and by `learning.write` and `learning.stream` with `step=eam.KeyValueMemory.write`. Its room can't
        grow there, so in a full memory the new pairs take the rows of the oldest ones, from row `oldest` on.
        A write then costs the same whatever the capacity.

            >>> zeros, rows = jnp.zeros((1, 2)), jnp.eye(2)
            >>> empty = eam.KeyValueMemory(zeros, zeros, eam.LogSumExp(9.0), capacity=2)
            >>> memory = eam.learning.write(empty, rows, rows, step=eam.KeyValueMemory.write)
            >>> int(memory.num_pairs), memory.keys.tolist()  # the last pair took the row of the zeros
            (2, [[0.0, 1.0], [1.0, 0.0]])
        """
        pairs = [checks.as_array(name, x, "... D") for name, x in (("keys", keys), ("values", values))]
        pairs = [x[None] if x.ndim == 1 else x for x in pairs]
        if self.num_pairs is None or checks.is_known(self.num_pairs):
            return self.with_pairs(*pairs)
        room = self.capacity
        more = [rows[-room:] for rows in more_pairs(self, *pairs)]
        number = self.num_pairs + len(more[0])
        places = (self._oldest + self.num_pairs + jnp.arange(len(more[0]))) % room
        both = [old.at[places].set(new) for old, new in zip((self.keys, self.values), more, strict=True)]
        lost = jnp.maximum(number - room, 0)
        return self._replaced(both, number - lost, (self._oldest + lost) % room)

    def without(self, indices: Indices) -> "KeyValueMemory":
        """The same memory, of the same capacity, without the pairs of these indices (one or several, from 0
        to K − 1). Raises `ValueError` for other or traced indices, and if no pair would be left.
        """
        rows = checks.in_memory(self.keys), checks.in_memory(self.values)
        if self.num_pairs is None:
            kept = kept_rows(indices, self.keys.shape[0])
            return eqx.tree_at(lambda m: (m.keys, m.values), self, [array[kept] for array in rows])
        kept = kept_rows(indices, self._known_number())
        by_age = np.roll(kept, -np.searchsorted(kept, int(self._oldest)))
        return self._replaced([moved_up(array, by_age) for array in rows], len(kept))

    @property
    def _oldest(self):
        """The row of the oldest pair; files of 0.2 have none, and it is the first."""
        return jnp.zeros((), jnp.int32) if self.oldest is None else self.oldest

    def _known_number(self) -> int:
        if not checks.is_known(self.num_pairs):
            hint = "write pairs inside jit by write, and forget outside jit"
            raise ValueError(f"num_pairs must be known; got a traced number ({hint})")
        return int(self.num_pairs)  # type: ignore[arg-type]

    def _replaced(self, rows, num_pairs, oldest=0):
        new = *rows, jnp.asarray(num_pairs, jnp.int32), jnp.asarray(oldest, jnp.int32)
        where = lambda m: (m.keys, m.values, m.num_pairs, m.oldest)  # noqa: E731
        return eqx.tree_at(where, self, new, is_leaf=lambda leaf: leaf is None)


@shown()
class OnlineAssociator(eqx.Module):
    """The optimal linear associator, kept up to date one pair at a time.

        W <- W + (v - W k) gᵀ

    The gain g is c / ‖c‖² for a key with a part c outside the span of the earlier keys, and G k / (1 + kᵀ G
    k) for a key within that span, where G = (K Kᵀ)⁺. After any number of writes `weights` is
    `optimal_linear_associator` of all pairs, up to rounding; a write costs Dk² + Dk·Dv, however many pairs
    there are.

    **Arguments:** `key_dim` Dk and `value_dim` Dv, integers of at least 1 (`ValueError` otherwise).

    Greville 1960; Kohonen & Ruohonen 1973.

        >>> memory = eam.OnlineAssociator(2, 1).write(jnp.array([1.0, 1.0]), jnp.array([3.0]))
        >>> memory = memory.write(jnp.array([1.0, 0.0]), jnp.array([5.0]))
        >>> np.asarray(memory.weights @ jnp.array([[1.0, 1.0], [1.0, 0.0]]).T).round(3)
        array([[3., 5.]], dtype=float32)
    """

    weights: Float[Array, "Dv Dk"]
    complement: Float[Array, "Dk Dk"]  # projects onto what no key has reached yet
    inverse_gram: Float[Array, "Dk Dk"]  # G

    def __init__(self, key_dim: int, value_dim: int):
        key_dim, value_dim = checks.count("key_dim", key_dim), checks.count("value_dim", value_dim)
        self.weights = jnp.zeros((value_dim, key_dim))
        self.complement = jnp.eye(key_dim)
        self.inverse_gram = jnp.zeros((key_dim, key_dim))

    def __call__(self, query: ArrayLike) -> Float[Array, " Dv"]:
        """The value (Dv,) read for one query (Dk,); raises `ValueError` for another shape."""
        return dot(self.weights, checks.as_vector("query", query, self.weights.shape[1]))

    def write(self, key: ArrayLike, value: ArrayLike) -> "OnlineAssociator":
        """The memory with one more pair, key (Dk,) and value (Dv,); raises `ValueError` for other shapes."""
        key = checks.as_vector("key", key, self.weights.shape[1])
        value = checks.as_vector("value", value, self.weights.shape[0])
        new, old = dot(self.complement, key), dot(self.inverse_gram, key)
        size, spread = dot(new, new), 1 + dot(key, old)
        is_new = size > jnp.finfo(size.dtype).eps * dot(key, key)
        gain = jnp.where(is_new, new / jnp.where(is_new, size, 1), old / spread)
        cross = jnp.outer(old, gain)
        growth = jnp.where(is_new, spread * jnp.outer(gain, gain) - cross.T, 0)
        updated = (
            self.weights + jnp.outer(value - self(key), gain),
            self.complement - jnp.where(is_new, jnp.outer(new, gain), 0),
            self.inverse_gram - cross + growth,
        )
        return eqx.tree_at(lambda m: (m.weights, m.complement, m.inverse_gram), self, updated)


def more_pairs(memory: Any, keys: ArrayLike, values: ArrayLike) -> list[Float[Array, "n _"]]:
    """Keys and values as rows that fit those of a memory; raises `ValueError` if they don't."""
    old = {"keys": checks.in_memory(memory.keys), "values": checks.in_memory(memory.values)}
    new = zip(old.items(), checks.as_pairs(keys, values), strict=True)
    return [as_wide(name, rows, of.shape[1], of.dtype) for (name, of), rows in new]


@eqx.filter_jit
def _read(memory, query):
    if memory.num_pairs is not None:
        found = read_padded(memory, query.astype(float_dtype(query.dtype)))
    else:
        parts = memory.separation, memory.keys, memory.values, query
        found = read_pairs(*parts, similarity=memory.similarity)[1]
    return found.astype(query.dtype) if is_narrow(query.dtype) else found
