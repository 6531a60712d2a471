"""Learning while reading: a stream of pairs is written, and a query is read after each of them.

    W_t = step(W_{t-1}, k_t, v_t, rate_t, decay_t),    o_t = W_t q_t

One after another, this takes T small steps. In chunks of C pairs it takes T/C large ones: within a chunk,
what each pair writes depends on those before it through a triangular matrix of overlaps of keys, which is
solved for all chunks at once, and only the weights go from chunk to chunk.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from energyam import checks
from energyam.learning.networks import GradientMemory, gradient_at, gradient_step
from energyam.learning.steps import Step, delta_step, hebbian_step, oja_step
from energyam.learning.writing import as_stream, is_lost, per_pair, scan_memory, still_finite
from energyam.least_squares import dot
from energyam.linalg import float_dtype


class Stream(NamedTuple):
    """The memory after a stream of T pairs, and the reads of its queries, (T, Dv).

    >>> keys, values = jnp.eye(2), jnp.array([[3.0], [5.0]])
    >>> eam.learning.stream(jnp.zeros((1, 2)), keys, values, keys).memory
    Array([[3., 5.]], dtype=float32)
    """

    memory: Any
    reads: Float[Array, "T Dv"]


def stream(
    memory: Any,
    keys: ArrayLike,
    values: ArrayLike,
    queries: ArrayLike,
    step: Step = delta_step,
    *,
    chunk: int | None = None,
    **options: Any,
) -> Stream:
    """Write pairs of keys (T, Dk) and values (T, Dv) one after another, and read a query after each.

        memory <- step(memory, key_t, value_t, **options_t);    read_t = memory(query_t)    for t = 1 … T

    With a `chunk`, C pairs are computed at once, with the same result up to rounding: by inverting a
    triangular matrix for `delta_step` and `oja_step` (the WY form of Yang et al. 2024, "Parallelizing
    linear transformers with the delta rule over sequence length"), by sums with cumulative decays for
    `hebbian_step`. The gradients of `gradient_step` are all taken at the weights that a chunk starts
    from, so that there the chunk is part of the rule, and a chunk of 1 is the same as none. The chunk
    need not divide T.

    **Arguments:** `memory`: a matrix (Dv, Dk), which reads W q, or a memory that is called with a query;
    `queries` (T, Dq): real numbers; `step`: as for `write`; `options`: keyword arguments of the step (`rate`,
    `decay`, `momentum`), each one number, or (T,) with one for each pair. A pair of rate 0 and decay 1 writes
    nothing.

    Raises `ValueError` for keys, values and queries of different T, for a chunk below 1, or one with a step
    of your own, where a finite memory, or what it reads, does not stay finite, and as the step does.

        >>> keys, values = jnp.eye(2), jnp.array([[3.0], [5.0]])
        >>> eam.learning.stream(jnp.zeros((1, 2)), keys, values, keys[::-1]).reads.T  # key 1 is not yet there
        Array([[0., 3.]], dtype=float32)
    """
    memory, k, v = as_stream(memory, keys, values)
    is_matrix = isinstance(memory, jax.Array)
    q = checks.as_floats("queries", queries, f"{len(k)} {k.shape[1] if is_matrix else 'Dq'}")
    q = q.astype(memory.dtype) if is_matrix else q
    if v is None:
        raise ValueError("values must be given, one for each key; got None")
    options = per_pair(options, k, v, checks.function("step", step))
    if chunk is None:
        return still_finite(*_one_by_one(memory, (k, v, q, options), step))
    if step not in _IN_CHUNKS:
        known = ", ".join(sorted(step.__name__ for step in _IN_CHUNKS))
        raise ValueError(f"chunk must be None for a step without a form in chunks (those have: {known})")
    size = min(checks.count("chunk", chunk), len(k))
    return still_finite(*_by_chunks(memory, (k, v, q), options, step, size))


@eqx.filter_jit
def _one_by_one(memory, rows, step):
    def one(memory, row):
        key, value, query, options = row
        memory = step(memory, key, value, **options)
        if not isinstance(memory, jax.Array) and not callable(memory):
            raise ValueError(f"step must return a memory that reads a query; got {memory!r:.80}")
        return memory, dot(memory, query) if isinstance(memory, jax.Array) else memory(query)

    found = Stream(*scan_memory(one, memory, rows))
    return found, is_lost(memory, found)


@eqx.filter_jit
def _by_chunks(memory, rows, options, step, size):
    """All whole chunks at once, and then what is left; 16-bit weights in 32 bits."""
    T, form, reads = len(rows[0]), _IN_CHUNKS[step], []
    wide = partial(jax.tree.map, lambda leaf: leaf.astype(float_dtype(leaf.dtype, least=jnp.float32)))
    dtype, rows = (memory.dtype if isinstance(memory, jax.Array) else None), wide(rows)
    given, memory = memory, memory if dtype is None else wide(memory)
    options = {
        name: None if value is None else value.astype(rows[0].dtype) for name, value in options.items()
    }
    whole = T - T % size
    for first, last, length in ((0, whole, size), (whole, T, T - whole)):
        if length:
            cut = partial(_chunks_of, first=first, last=last, length=length)
            part, of_part = jax.tree.map(cut, (rows, options))
            memory, read = form(memory, *part, **of_part)
            reads.append(read.reshape(-1, read.shape[-1]))
    found = Stream(memory, jnp.concatenate(reads))
    found = found if dtype is None else jax.tree.map(lambda leaf: leaf.astype(dtype), found)
    return found, is_lost(given, found)


def _chunks_of(row, first, last, length):
    return row[first:last].reshape(-1, length, *row.shape[1:])


def _hebbian(weights, keys, values, queries, rate=None, decay=None):
    rate = jnp.full(keys.shape[:2], 1 / keys.shape[2], keys.dtype) if rate is None else rate
    kept, since = _decays(decay, keys)
    written = rate[..., None] * values
    weights, starts, _ = _across_chunks(weights, keys, written, None, kept, since)
    return weights, _reads(starts, keys, written, queries, kept, since)


def _delta(weights, keys, values, queries, rate=None, decay=None):
    kept, since = _decays(decay, keys)
    of_values, of_keys = _solved(keys, values, rate, kept, since)
    weights, starts, written = _across_chunks(weights, keys, of_values, of_keys, kept, since)
    return weights, _reads(starts, keys, written, queries, kept, since)


def _oja(weights, keys, values, queries, rate=None, decay=None):
    """The delta rule of Wᵀ, whose keys are the values; what is read is a row of it and not a column."""
    kept, since = _decays(decay, keys)
    of_keys, of_values = _solved(values, keys, rate, kept, since)
    turned, starts, written = _across_chunks(weights.T, values, of_keys, of_values, kept, since)
    inside = dot(since * dot(queries, written.mT), values)
    return turned.T, kept[..., None] * dot(queries, starts) + inside


def _decays(decay, like):
    """For chunks (N, C), the share kept of the weights before them, and of the write of pair i at pair t.

        kept_t = Π_{j ≤ t} α_j,    since_ti = Π_{i < j ≤ t} α_j    for i ≤ t, and 0 for i > t

    Products as sums of logarithms, each summed for itself by one matrix product, so that none is a
    difference of large numbers. A decay of 0 counts as the least number above it.
    """
    decay = jnp.ones(like.shape[:2], like.dtype) if decay is None else decay
    logs = jnp.log(jnp.maximum(decay, jnp.finfo(decay.dtype).tiny))
    lower = jnp.tril(jnp.ones((like.shape[1], like.shape[1]), like.dtype))[None]
    since = jnp.exp(dot(lower, jnp.tril(jnp.broadcast_to(logs[..., None], (*logs.shape, logs.shape[1])), -1)))
    return jnp.exp(dot(logs, lower[0].T)), lower * since


def _solved(keys, values, rate, kept, since):
    """The writes of the delta rule for each key: u = A − B Wᵀ, for the weights W before the chunk.

    u_t = β_t (v_t − kept_t W k_t − Σ_{i<t} since_ti (k_i·k_t) u_i), a triangular system for the u of a chunk.
    """
    if rate is None:
        squares = jnp.sum(keys**2, axis=-1)
        rate = jnp.where(squares > 0, 1 / jnp.where(squares > 0, squares, 1), 0)
    system = rate[..., None] * jnp.tril(since * dot(keys, keys.mT), -1)
    targets = rate[..., None] * jnp.concatenate([values, kept[..., None] * keys], axis=-1)
    return jnp.split(dot(_inverse_of_unit_and(system), targets), [values.shape[-1]], axis=-1)


def _inverse_of_unit_and(lower):
    """(I + L)⁻¹ for strictly lower triangular L (N, C, C), by log₂ C rounds of products.

    Two inverses next to each other on the diagonal, A⁻¹ and C⁻¹, and what lies below them, B, make the
    inverse of twice their size: its lower left is −C⁻¹ B A⁻¹. (Products are used because a CPU takes far
    longer for many small triangular solves, and accelerators prefer products, too.)
    """
    N, size, width = len(lower), lower.shape[-1], 1
    padded = 2 ** (size - 1).bit_length()
    lower = jnp.pad(lower, [(0, 0), (0, padded - size), (0, padded - size)])
    inverse = jnp.ones((N, padded, 1, 1), lower.dtype)  # of each block on the diagonal
    while width < padded:
        pairs = padded // (2 * width)
        blocks = lower.reshape(N, pairs, 2 * width, pairs, 2 * width)
        below = jnp.moveaxis(jnp.diagonal(blocks[:, :, width:, :, :width], axis1=1, axis2=3), -1, 1)
        first, second = inverse[:, ::2], inverse[:, 1::2]
        corner = -dot(second, dot(below, first))
        top = jnp.concatenate([first, jnp.zeros_like(first)], axis=-1)
        inverse = jnp.concatenate([top, jnp.concatenate([corner, second], axis=-1)], axis=-2)
        width *= 2
    return inverse[:, 0, :size, :size]


def _across_chunks(weights, keys, of_values, of_keys, kept, since):
    """The weights at the end and before each chunk, and what is written for each key."""

    def turn(weights, chunk):
        keys, written, of_keys, kept, last = chunk
        written = written if of_keys is None else written - dot(of_keys, weights.T)
        after = kept * weights + dot((last[:, None] * written).T, keys)
        return after, (weights, written)

    chunks = keys, of_values, of_keys, kept[:, -1], since[:, -1]
    weights, (starts, written) = jax.lax.scan(turn, weights, chunks)
    return weights, starts, written


def _reads(starts, keys, written, queries, kept, since):
    return kept[..., None] * dot(queries, starts.mT) + dot(since * dot(queries, keys.mT), written)


def _gradient(memory: GradientMemory, keys, values, queries, rate, decay=None, momentum=None):
    """Every pair's gradient at the weights before its chunk; the rest is linear in them."""
    kept, since = _decays(decay, keys)
    momentum = jnp.zeros(keys.shape[:2], keys.dtype) if momentum is None else momentum
    going, moved = _decays(momentum, keys)
    velocities = moved * rate[:, None, :]  # the gradients of which each velocity is made
    weighed = dot(since, velocities), dot(since, going[..., None])[..., 0]

    def turn(memory, chunk):
        keys, values, queries, kept, by_gradient, by_velocity, going, last = chunk
        gradients = jax.vmap(gradient_at, (None, 0, 0))(memory.network, keys, values)
        weights, fixed = eqx.partition(memory.network, eqx.is_inexact_array)

        def after(w, speed, gradient):
            of_start, of_speed, of_gradients = (x.astype(w.dtype) for x in (kept, by_velocity, by_gradient))
            start = jnp.multiply.outer(of_start, w) + jnp.multiply.outer(of_speed, speed)
            return start - jnp.tensordot(of_gradients, gradient, 1, precision="highest")

        def at_the_end(speed, gradient):
            of_gradients = last.astype(speed.dtype)
            return going.astype(speed.dtype) * speed - jnp.tensordot(
                of_gradients, gradient, 1, precision="highest"
            )

        every = jax.tree.map(after, weights, memory.velocity, gradients)
        velocity = jax.tree.map(at_the_end, memory.velocity, gradients)
        read = jax.vmap(lambda weights, query: eqx.combine(weights, fixed)(query))(every, queries)
        ended = eqx.combine(jax.tree.map(lambda w: w[-1], every), fixed)
        return eqx.tree_at(lambda m: (m.network, m.velocity), memory, (ended, velocity)), read

    rows = keys, values, queries, kept, *weighed, going[:, -1], velocities[:, -1]
    return scan_memory(turn, memory, rows)


_IN_CHUNKS: dict[Step, Callable[..., Any]] = {
    hebbian_step: _hebbian,
    delta_step: _delta,
    oja_step: _oja,
    gradient_step: _gradient,
}
