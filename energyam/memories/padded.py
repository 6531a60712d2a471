"""Room for more rows than there are: a memory that grows compiles one read for each size of the room."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from energyam.linalg import dot, float_dtype
from energyam.memories.reads import read
from energyam.memories.search import nearest_in
from energyam.memories.separation import AbstractSeparation
from energyam.on_disk import AnyArray, OnDisk


def room_for(number: int) -> int:
    """The next power of two: of 1,000 writes, ten make the room larger."""
    return 1 << (number - 1).bit_length()


def padded(rows: Num[AnyArray, "K D"], num_rows: int) -> Num[AnyArray, "R D"]:
    """`rows` with repeats of the first behind them."""
    missing = num_rows - rows.shape[0]
    if isinstance(rows, OnDisk):
        return rows.padded(num_rows)
    return jnp.concatenate([rows, jnp.broadcast_to(rows[:1], (missing, rows.shape[1]))]) if missing else rows


def moved_up(rows: Num[Array, "R D"], kept: np.ndarray) -> Num[Array, "R D"]:
    """The remaining rows, followed by repeats of the first of them."""
    return rows[np.concatenate([kept, np.full(rows.shape[0] - len(kept), kept[0])])]


def check_reads_padded(separation: AbstractSeparation) -> None:
    """Raise `ValueError` for a separation that can't leave out rows that count 0 times."""
    if _within(separation)[1].blocks() is None:
        wanted = "its patterns in blocks (eam.LogSumExp(beta), or eam.TopK of one) where there is a capacity"
        raise ValueError(f"separation must take {wanted}; got {type(separation).__name__}")


def read_padded(memory: Any, query: Float[Array, " Dk"]) -> Float[Array, " Dv"]:
    """The read of a `KeyValueMemory` that has room for more pairs: the rows behind its pairs count 0
    times."""
    query = query.astype(float_dtype(query.dtype))
    similar = lambda keys, values, present: memory.similarity.of_all(keys, query)  # noqa: E731
    gather = lambda weights, keys, values, present: dot(weights, values)  # noqa: E731
    k, separation = _within(memory.separation)
    if k is None:
        present = (jnp.arange(memory.keys.shape[0]) < memory.num_pairs).astype(query.dtype)
        rows = memory.keys, memory.values, present[:, None]
    else:
        found, indices, _ = nearest_in(memory.tables(), query, k)
        taken = found > -jnp.inf  # the others repeat the nearest
        indices = jnp.where(taken, indices, indices[0])
        rows = memory.keys[indices], memory.values[indices], taken.astype(query.dtype)[:, None]
    return read(separation, similar, gather, rows, counts=lambda keys, values, present: present[:, 0])[1]


def _within(separation):
    """How many of the largest similarities count alone (None: all do), and how they are weighed."""
    return separation.among_largest() or (None, separation)
