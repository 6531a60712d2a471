"""Attention as retrieval from a modern Hopfield memory, as a part of a network.

`energyam.nn.hopfield_sets` has the layers that learn their queries, or their stored patterns. By default
nothing is projected or normalised, and the association is the recall of `ModernHopfield`. Ramsauer et al.,
"Hopfield networks is all you need", ICLR 2021.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from energyam import checks
from energyam.dynamics.fields import as_tol
from energyam.dynamics.recall import recall
from energyam.dynamics.synchronous import Synchronous
from energyam.linalg import dot, float_dtype, is_narrow
from energyam.memories.associator import KeyValueMemory
from energyam.memories.continuous import Continuous
from energyam.memories.dense import DenseAM
from energyam.memories.separation import AbstractSeparation
from energyam.memories.separations import LogSumExp
from energyam.nn.masked import Masked

_CHUNK = 512  # queries that read together; gradients then make their similarities anew

Given = ArrayLike | None
Size = int | None


class Association(NamedTuple):
    """The reads of queries, `out` (T, Dout), and the weights and energies of each head.

    `weights` (H, T, K) of the stored patterns in the last read, and `energies` (H, T) of the states that it
    starts from: ½‖x‖² less the potential.

        >>> attention = eam.nn.HopfieldAttention(2, beta=1.0, key=jr.key(0))
        >>> found = attention.associate(jnp.array([[0.1, 0.9]]), jnp.eye(2))
        >>> np.asarray(found.weights).round(2)  # softmax(0.1, 0.9), for one head and one query
        array([[[0.31, 0.69]]], dtype=float32)
    """

    out: Float[Array, "T Dout"]
    weights: Float[Array, "H T K"]
    energies: Float[Array, "H T"]


def _as_separation(separation):
    """A separation, or None."""
    return separation if separation is None else checks.instance("separation", separation, AbstractSeparation)


class HopfieldAttention(eqx.Module):
    """Association of two sets: every query recalls from the stored patterns.

        x ← Kᵀ softmax(β K x), num_steps − 1 times;    out = Vᵀ softmax(β K x)

    K are the stored patterns and V the values, by default K itself; x starts at the query. One step is
    attention. Several heads do this on equal slices of K, V and x. With another `separation`, its weights
    replace the softmax: with `Entmax(beta)`, a query attends to few patterns.

    **Arguments:** `size`: D, of a query. `stored_size`: of a stored pattern, by default D. `hidden_size`: if
    given, queries and stored patterns are both mapped linearly to this size. `value_size`: if given, the
    values are linear maps of the stored patterns (or of `values`) to this size. `out_size`: if given, the
    read is mapped linearly to this size. `normalize`: a layer norm on queries and on stored patterns, before
    all else. `num_heads`. `beta`: β, one number or one for each head; by default 1/√(size of a head).
    `separation`: how similarities become weights in all heads, instead of `LogSumExp(beta)`.
    `learn_beta`: whether β, or the numbers of the separation, are trained. `num_steps`: retrieval steps, at
    least 1. `tol`: a query that moves by less than tol · max(1, max|x|) stays where it is; 0 for all steps.
    `key`: for the linear maps; needed only with them.

    Raises `ValueError` for sizes below 1, sizes that the heads do not divide, queries and stored patterns of
    different size without `hidden_size`, β ≤ 0, both β and a separation, and linear maps without a key.

        >>> attention = eam.nn.HopfieldAttention(2, beta=20.0, key=jr.key(0))
        >>> np.asarray(attention(jnp.array([[0.1, 0.9]]), jnp.eye(2))).round(2)  # the nearest
        array([[0., 1.]], dtype=float32)
    """

    to_query: eqx.nn.Linear | None
    to_key: eqx.nn.Linear | None
    to_value: eqx.nn.Linear | None
    to_out: eqx.nn.Linear | None
    query_norm: eqx.nn.LayerNorm | None
    stored_norm: eqx.nn.LayerNorm | None
    first_beta: Float[Array, " H"]
    log_growth: Float[Array, " H"] | None  # log(β / first β), where β is learned
    tol: Float[Array, ""] = eqx.field(converter=as_tol)
    size: int = eqx.field(static=True, converter=partial(checks.count, "size"))
    stored_size: int = eqx.field(static=True, converter=partial(checks.count, "stored_size"))
    num_heads: int = eqx.field(static=True, converter=partial(checks.count, "num_heads"))
    num_steps: int = eqx.field(static=True, converter=partial(checks.count, "num_steps"))
    separation: AbstractSeparation | None = eqx.field(default=None, converter=_as_separation)

    def __init__(
        self,
        size: int,
        *,
        stored_size: Size = None,
        hidden_size: Size = None,
        value_size: Size = None,
        out_size: Size = None,
        normalize: bool = False,
        num_heads: int = 1,
        beta: ArrayLike | Sequence[float] | None = None,
        separation: AbstractSeparation | None = None,
        learn_beta: bool = False,
        num_steps: int = 1,
        tol: ArrayLike = 0.0,
        key: PRNGKeyArray | None = None,
    ):
        self.size = checks.count("size", size)
        self.stored_size = _size_or("stored_size", stored_size, size)
        self.num_heads = checks.count("num_heads", num_heads)
        self.num_steps = checks.count("num_steps", num_steps)
        normalize, learn_beta = checks.flag("normalize", normalize), checks.flag("learn_beta", learn_beta)
        state_size = _size_or("hidden_size", hidden_size, size)
        read_size = _size_or("value_size", value_size, state_size)
        out_size = None if out_size is None else checks.count("out_size", out_size)
        if key is not None:
            checks.key("key", key)
        if hidden_size is None and self.stored_size != size:
            raise ValueError(f"stored_size must be {size}, as the queries are, or hidden_size be given")
        for name, number in (("hidden_size", state_size), ("value_size", read_size)):
            if number % num_heads:
                raise ValueError(f"num_heads must divide {name}; got {num_heads} for a size of {number}")
        keys = [None] * 4 if key is None else jax.random.split(key, 4)
        self.to_query = _linear(size, hidden_size, keys[0])
        self.to_key = _linear(self.stored_size, hidden_size, keys[1])
        self.to_value = _linear(self.stored_size, value_size, keys[2])
        self.to_out = _linear(read_size, out_size, keys[3])
        self.query_norm = eqx.nn.LayerNorm(size) if normalize else None
        self.stored_norm = eqx.nn.LayerNorm(self.stored_size) if normalize else None
        if separation is not None and beta is not None:
            raise ValueError(f"beta must not be given beside a separation, which has its own; got {beta}")
        self.separation = _as_separation(separation)
        beta = (state_size // num_heads) ** -0.5 if beta is None else beta
        checks.positive("beta", beta)
        betas = jnp.asarray(beta, float)
        if betas.shape not in ((), (num_heads,)):
            raise ValueError(f"beta must be a number or ({num_heads},), one a head; got shape {betas.shape}")
        self.first_beta = jnp.broadcast_to(betas, (num_heads,))
        self.log_growth = jnp.zeros_like(self.first_beta) if learn_beta else None
        self.tol = as_tol(tol)

    @property
    def beta(self) -> Float[Array, " H"]:
        """β of every head (H,)."""
        first = jax.lax.stop_gradient(self.first_beta)
        return first if self.log_growth is None else first * jnp.exp(self.log_growth)

    def __call__(
        self, queries: ArrayLike, stored: ArrayLike, values: Given = None, mask: Given = None
    ) -> Float[Array, "T Dout"]:
        """The reads (T, Dout) of queries (T, D) from stored patterns (K, Ds).

        `values` (K, Dv) are read in place of the stored patterns; `mask` bool, (K,) or (T, K) with one for
        each query, says which of these take part (a query for which none is left reads 0). The result has the
        dtype of the queries. Where queries, stored patterns and values are all bfloat16, or all float16, the
        products have factors of that dtype and sums in float32; everything else, including retrieval steps
        before the last, is in float32 or wider. More than 512 queries are taken 512 at a time, in gradients
        too, so that no array has an entry for each query and stored pattern. Raises `ValueError` for other
        shapes.
        """
        heads, mask = self._heads(queries, stored, values, mask)
        return self._joined(self._read(heads, mask)[1], queries)

    def associate(
        self, queries: ArrayLike, stored: ArrayLike, values: Given = None, mask: Given = None
    ) -> Association:
        """The same as a call, with the weights of the stored patterns and the energies, head by head."""
        heads, mask = self._heads(queries, stored, values, mask)
        states, read = self._read(heads, mask)
        similarities = jax.vmap(lambda x, keys: dot(x, keys.T))(states, heads[1])

        def of_one(similarities, beta, mask):
            separation = self._separation(beta, mask)
            return separation.weights(similarities), separation.potential(similarities)

        masks = None if mask is None else jnp.broadcast_to(mask, similarities.shape[1:])
        of_head = jax.vmap(of_one, in_axes=(0, None, None if mask is None else 0))
        weights, potentials = jax.vmap(of_head, in_axes=(0, 0, None))(similarities, self.beta, masks)
        energies = 0.5 * jnp.sum(states.astype(potentials.dtype) ** 2, axis=-1) - potentials
        return Association(self._joined(read, queries), weights, energies)

    def _heads(self, queries, stored, values, mask):
        """Queries, keys and values of every head, (H, ., .), and the mask."""
        x, patterns, given, mask = self._checked(queries, stored, values, mask)
        patterns = _map(self.stored_norm, patterns)
        starts = _map(self.to_query, _map(self.query_norm, x))
        keys = _map(self.to_key, patterns)
        if self.to_value is not None:
            given = _map(self.to_value, patterns if given is None else given)
        values = keys if given is None else given
        split = lambda rows: jnp.stack(jnp.split(rows, self.num_heads, axis=1))  # noqa: E731
        return tuple(map(split, (starts, keys, values))), mask

    def _read(self, heads, mask):
        """Where the queries of every head end up before the last read, and what this reads."""

        def of_head(queries, keys, values, beta):
            if queries.shape[0] <= _CHUNK and (mask is None or mask.ndim == 1):
                return self._associate(queries, keys, values, self._separation(beta, mask))

            def of_one(x, own=mask):
                found = self._associate(x[None], keys, values, self._separation(beta, own))
                return jax.tree.map(lambda rows: rows[0], found)

            rows = (queries,) if mask is None or mask.ndim == 1 else (queries, mask)
            if queries.shape[0] <= _CHUNK:
                return jax.vmap(of_one)(*rows)
            again = jax.checkpoint(of_one, prevent_cse=False)
            return jax.lax.map(lambda rows: again(*rows), rows, batch_size=_CHUNK)

        queries, keys, values = heads
        return jax.vmap(of_head)(queries, keys, values, self.beta)

    def _associate(self, queries, keys, values, separation):
        """One head: all retrieval steps but the last by `recall`, the last as a read of the values."""
        if self.num_steps > 1:
            memory = DenseAM(keys, separation, Continuous())  # ModernHopfield, but for mask and separation
            steps = self.num_steps - 1
            queries = recall(memory, queries, Synchronous(self.tol), steps, record=False).state
        return queries, jax.vmap(KeyValueMemory(keys, values, separation))(queries)

    def _separation(self, beta, mask):
        separation = LogSumExp(beta) if self.separation is None else self.separation
        if self.separation is not None and self.log_growth is None:
            separation = jax.tree.map(jax.lax.stop_gradient, separation)
        return separation if mask is None else Masked(separation, mask)

    def _joined(self, read, queries):
        """The reads of all heads, mapped, in the dtype of the queries."""
        return in_dtype_of(queries, _map(self.to_out, jnp.concatenate(read, axis=-1)))

    def _checked(self, queries, stored, values, mask):
        """The arguments as floats: of one 16-bit dtype, or all in float32 at least."""
        queries = checks.as_floats("queries", queries, f"T {self.size}")
        stored = checks.as_floats("stored", stored, f"K {self.stored_size}")
        K = stored.shape[0]
        values = None if values is None else self._checked_values(values, K)
        given = [array.dtype for array in (queries, stored, values) if array is not None]
        if not (is_narrow(given[0]) and len(set(given)) == 1):
            queries, stored = _at_least_single(queries), _at_least_single(stored)
            values = None if values is None else _at_least_single(values)
        if mask is not None:
            mask, T = checks.as_array("mask", mask, "..."), queries.shape[0]
            if mask.shape not in ((K,), (T, K)) or mask.dtype != bool:
                got = f"shape {mask.shape}, dtype {mask.dtype}"
                raise ValueError(
                    f"mask must be ({K},) bool, or ({T}, {K}) with one for each query; got {got}"
                )
        return queries, stored, values, mask

    def _checked_values(self, values, K):
        values = checks.as_floats("values", values, "K Dv")
        size = values.shape[1] if self.to_value is None else self.stored_size
        if values.shape != (K, size) or (self.to_value is None and size % self.num_heads):
            raise ValueError(
                f"values must be ({K}, Dv), one for each stored pattern, with Dv = {self.stored_size} if the "
                f"layer maps them, else divisible by its {self.num_heads} heads; got shape {values.shape}"
            )
        return values


def in_dtype_of(given: ArrayLike, found: Float[Array, "T Dout"]) -> Float[Array, "T Dout"]:
    """The result, in the dtype of the argument if that is a float dtype."""
    dtype = jnp.asarray(given).dtype
    return found.astype(dtype) if jnp.issubdtype(dtype, jnp.floating) else found


def _size_or(name: str, size: int | None, default: int) -> int:
    return default if size is None else checks.count(name, size)


def _linear(in_size: int, out_size: int | None, key: PRNGKeyArray | None) -> eqx.nn.Linear | None:
    if out_size is None:
        return None
    if key is None:
        raise ValueError("key must be given for a layer with linear maps; got None")
    return eqx.nn.Linear(in_size, out_size, use_bias=False, key=key)


def _map(function: Callable | None, rows: Float[Array, "T Din"]) -> Float[Array, "T Dout"]:
    """A layer over the rows of a matrix, in their dtype, or the matrix where there is no layer."""
    if function is None:
        return rows
    if is_narrow(rows.dtype) and isinstance(function, eqx.nn.Linear):
        return dot(rows, function.weight.T.astype(rows.dtype)).astype(rows.dtype)
    return jax.vmap(function)(rows)


def _at_least_single(array: Float[Array, "..."]) -> Float[Array, "..."]:
    return array.astype(float_dtype(array.dtype, least=jnp.float32))
