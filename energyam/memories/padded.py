"""Keys and values that grow: padded to a capacity, so that a write does not compile a new read."""

from functools import partial

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Int

from energyam import checks
from energyam.linalg import dot
from energyam.memories.associator import more_pairs
from energyam.memories.reads import read
from energyam.memories.rows import Indices, kept_rows
from energyam.memories.search import Table, nearest_in
from energyam.memories.separation import AbstractSeparation
from energyam.memories.similarity import Dot
from energyam.shown import shown


@shown()
class PaddedKeyValueMemory(eqx.Module):
    """A `KeyValueMemory` with room for more: reads compile once per capacity, not once per number of pairs.

        read(q) = Vᵀ · separation.weights(K q), over the first `num_pairs` rows

    The capacity is a power of two, and doubles when it is full; so 1,000 writes compile ten reads, and each
    read costs what one of `capacity` pairs does. The rows behind the pairs repeat the first one and count
    0 times, so that a read is what a memory of the pairs alone would read.

    **Arguments:** `keys` (K, Dk), `values` (K, Dv), `separation`: as for `KeyValueMemory`; `capacity`: room
    for at least so many pairs. Raises `ValueError` for others, and for a separation that does not take its
    patterns in blocks (`blocks`, or `TopK` of one), as the rows can't be told apart in its potential.

    Only reads are padded: a recall of a dense memory compiles for each number of patterns.
    """

    keys: Float[Array, "C Dk"]
    values: Float[Array, "C Dv"]
    separation: AbstractSeparation
    num_pairs: Int[Array, ""]

    def __init__(self, keys: ArrayLike, values: ArrayLike, separation: AbstractSeparation, capacity: int = 1):
        keys, values = checks.as_pairs(keys, values)
        rows = _power_of_two(max(len(keys), checks.count("capacity", capacity)))
        self.keys, self.values = _padded(keys, rows), _padded(values, rows)
        self.separation = checks.instance("separation", separation, AbstractSeparation)
        self.num_pairs = jnp.asarray(len(keys), jnp.int32)

    def __check_init__(self):
        checks.as_pairs(self.keys, self.values)
        if _within(self.separation)[1].blocks() is None:
            wanted = "its patterns in blocks (eam.LogSumExp(beta), or eam.TopK of one) to be padded"
            got = f"{type(self.separation).__name__} (use eam.KeyValueMemory)"
            raise ValueError(f"separation must take {wanted}; got {got}")

    @property
    def capacity(self) -> int:
        """How many pairs there is room for."""
        return self.keys.shape[0]

    def __call__(self, query: ArrayLike) -> Float[Array, " Dv"]:
        """The value (Dv,) read for one query (Dk,); raises `ValueError` for another shape."""
        return _read(self, checks.as_vector("query", query, self.keys.shape[1]))

    def with_pairs(self, keys: ArrayLike, values: ArrayLike) -> "PaddedKeyValueMemory":
        """The same memory with more pairs, keys (n, Dk) and values (n, Dv), after those there.

        Raises `ValueError` as `KeyValueMemory.with_pairs` does, and inside `jit`, where it is not known
        whether there is room.
        """
        used = self._known_number()
        more = more_pairs(self, keys, values)
        capacity = max(self.capacity, _power_of_two(used + len(more[0])))
        old = (_padded(rows, capacity) for rows in (self.keys, self.values))
        write = partial(lax.dynamic_update_slice_in_dim, start_index=self.num_pairs, axis=0)
        keys, values = map(write, old, more)
        return self._replaced(keys, values, used + len(more[0]))

    def without(self, indices: Indices) -> "PaddedKeyValueMemory":
        """The same memory, of the same capacity, without some pairs, by index from 0 to `num_pairs` − 1.

        Raises `ValueError` for others, if no pair is left, and inside `jit`.
        """
        kept = kept_rows(indices, self._known_number())
        rows = np.concatenate([kept, np.full(self.capacity - len(kept), kept[0])])
        return self._replaced(self.keys[rows], self.values[rows], len(kept))

    def tables(self) -> tuple[Table, ...]:
        """The pairs that are there, for `energyam.nearest`."""
        return (Table(self.keys, Dot(), self.values, self.num_pairs),)

    def _known_number(self):
        if not checks.is_known(self.num_pairs):
            raise ValueError("num_pairs must be known to write or forget; got a traced one (don't jit this)")
        return int(self.num_pairs)

    def _replaced(self, keys, values, num_pairs):
        number = jnp.asarray(num_pairs, jnp.int32)
        return eqx.tree_at(lambda m: (m.keys, m.values, m.num_pairs), self, (keys, values, number))


def _within(separation):
    """How many of the largest similarities count alone (None: all do), and how they are weighed."""
    return separation.among_largest() or (None, separation)


def _power_of_two(number):
    return 1 << (number - 1).bit_length()


def _padded(rows, capacity):
    """`rows` with repeats of the first behind them."""
    missing = capacity - rows.shape[0]
    return jnp.concatenate([rows, jnp.broadcast_to(rows[:1], (missing, rows.shape[1]))]) if missing else rows


@eqx.filter_jit
def _read(memory, query):
    present = (jnp.arange(memory.capacity) < memory.num_pairs).astype(query.dtype)
    rows = memory.keys, memory.values, present[:, None]
    similar = lambda keys, values, present: dot(query, keys.T)  # noqa: E731
    k, separation = _within(memory.separation)
    if k is not None:
        found, indices, _ = nearest_in(memory.tables(), query, k)
        taken = found > -jnp.inf  # the others repeat the nearest
        indices = jnp.where(taken, indices, indices[0])
        rows = memory.keys[indices], memory.values[indices], taken.astype(query.dtype)[:, None]
    gather = lambda weights, keys, values, present: dot(weights, values)  # noqa: E731
    return read(separation, similar, gather, rows, counts=lambda keys, values, present: present[:, 0])[1]
