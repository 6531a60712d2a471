"""Hopfield layers: retrieval from a modern Hopfield memory, as parts of a network.

    HopfieldAttention    queries and stored patterns are both given: they are associated with each other
    HopfieldPooling      the queries are learned: a set of patterns is summed up in a few vectors
    HopfieldLookup       the stored patterns are learned: a trainable memory

Nothing is projected or normalised unless asked for: with all options off the association *is* the recall of
`ModernHopfield`. Ramsauer et al., "Hopfield networks is all you need", ICLR 2021.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from energyam import checks
from energyam.dynamics.recall import recall
from energyam.dynamics.synchronous import Synchronous
from energyam.flips.capabilities import AbstractWeights
from energyam.memories.associator import KeyValueMemory
from energyam.memories.dense import DenseAM
from energyam.memories.neurons import Continuous
from energyam.memories.separation import AbstractSeparation, LogSumExp


class HopfieldAttention(eqx.Module):
    """Association of two sets: every query recalls from the stored patterns.

        x ← Kᵀ softmax(β K x), num_steps − 1 times;    out = Vᵀ softmax(β K x)

    K are the stored patterns and V the values, by default K itself; x starts at the query. One step is
    attention. Several heads do this on slices of K, V and x of equal size.

    **Arguments:** `size`: D, of a query. `stored_size`: of a stored pattern, by default D. `hidden_size`:
    if given, queries and stored patterns are both mapped linearly to this size. `value_size`: if given, what
    is read are linear maps of the stored patterns (or of `values`) to this size. `out_size`: if given, what
    was read is mapped linearly to this size. `normalize`: a layer norm on queries and on stored patterns,
    before all else. `num_heads`. `beta`: β, a number or one a head; by default 1/√(size of a head).
    `learn_beta`: whether β is trained. `num_steps`: retrieval steps, at least 1. `tol`: a query that moves by
    less than tol · max(1, max|x|) stays where it is; 0 for all steps. `key`: for the linear maps; needed only
    with them.

    Raises `ValueError` for sizes below 1, sizes that the heads do not divide, queries and stored patterns of
    different size without `hidden_size`, β ≤ 0, and linear maps without a key.
    """

    to_query: eqx.nn.Linear | None
    to_key: eqx.nn.Linear | None
    to_value: eqx.nn.Linear | None
    to_out: eqx.nn.Linear | None
    query_norm: eqx.nn.LayerNorm | None
    stored_norm: eqx.nn.LayerNorm | None
    first_beta: Float[Array, " H"]
    log_growth: Float[Array, " H"] | None  # log(β / first β), where β is learned
    tol: Float[Array, ""]
    size: int = eqx.field(static=True)
    stored_size: int = eqx.field(static=True)
    num_heads: int = eqx.field(static=True)
    num_steps: int = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        *,
        stored_size: int | None = None,
        hidden_size: int | None = None,
        value_size: int | None = None,
        out_size: int | None = None,
        normalize: bool = False,
        num_heads: int = 1,
        beta: Any = None,
        learn_beta: bool = False,
        num_steps: int = 1,
        tol: Any = 0.0,
        key: PRNGKeyArray | None = None,
    ):
        self.size = checks.count("size", size)
        self.stored_size = _size_or("stored_size", stored_size, size)
        self.num_heads = checks.count("num_heads", num_heads)
        self.num_steps = checks.count("num_steps", num_steps)
        state_size = _size_or("hidden_size", hidden_size, size)
        read_size = _size_or("value_size", value_size, state_size)
        if hidden_size is None and self.stored_size != size:
            raise ValueError(f"stored_size must be {size}, as the queries are, or hidden_size be given")
        for name, number in (("hidden_size", state_size), ("value_size", read_size)):
            if number % num_heads:
                raise ValueError(f"num_heads must divide {name}; got {num_heads} for a size of {number}")
        keys = [None] * 4 if key is None else jr.split(key, 4)
        self.to_query = _linear(size, hidden_size, keys[0])
        self.to_key = _linear(self.stored_size, hidden_size, keys[1])
        self.to_value = _linear(self.stored_size, value_size, keys[2])
        self.to_out = _linear(read_size, out_size, keys[3])
        self.query_norm = eqx.nn.LayerNorm(size) if normalize else None
        self.stored_norm = eqx.nn.LayerNorm(self.stored_size) if normalize else None
        beta = (state_size // num_heads) ** -0.5 if beta is None else beta
        self.first_beta = _per_head(beta, num_heads)
        self.log_growth = jnp.zeros_like(self.first_beta) if learn_beta else None
        self.tol = Synchronous(tol).tol

    @property
    def beta(self) -> Float[Array, " H"]:
        """β of every head (H,)."""
        first = lax.stop_gradient(self.first_beta)
        return first if self.log_growth is None else first * jnp.exp(self.log_growth)

    def __call__(
        self,
        queries: Shaped[ArrayLike, "..."],
        stored: Shaped[ArrayLike, "..."],
        values: Shaped[ArrayLike, "..."] | None = None,
        mask: Shaped[ArrayLike, "..."] | None = None,
    ) -> Float[Array, "T Dout"]:
        """What the queries (T, D) read from the stored patterns (K, Ds): (T, Dout).

        `values` (K, Dv) are read in place of the stored patterns; `mask` (K,) bool says which of these take
        part (a query that none is left for reads 0). Computed in float32 at least, returned in the dtype of
        the queries. Raises `ValueError` for other shapes.
        """
        x, patterns, given = self._checked(queries, stored, values, mask)
        patterns = _map(self.stored_norm, patterns)
        starts = _map(self.to_query, _map(self.query_norm, _at_least_single(x)))
        keys = _map(self.to_key, patterns)
        if self.to_value is not None:
            given = _map(self.to_value, patterns if given is None else given)
        q, k, v = (_split(rows, self.num_heads) for rows in (starts, keys, keys if given is None else given))
        read = jax.vmap(self._associate, in_axes=(0, 0, 0, 0, None))(q, k, v, self.beta, mask)
        return _map(self.to_out, jnp.concatenate(read, axis=-1)).astype(x.dtype)

    def _associate(self, queries, keys, values, beta, mask):
        """One head: all retrieval steps but the last by `recall`, the last as a read of the values."""
        separation = LogSumExp(beta) if mask is None else Masked(LogSumExp(beta), mask)
        if self.num_steps > 1:
            memory = DenseAM(keys, separation, Continuous())  # ModernHopfield, but for the mask
            steps = self.num_steps - 1
            queries = recall(memory, queries, Synchronous(self.tol), steps, record=False).state
        return jax.vmap(KeyValueMemory(keys, values, separation))(queries)

    def _checked(self, queries, stored, values, mask):
        """The arguments as floats; stored patterns and values in float32 at least."""
        queries = checks.as_floats("queries", queries, "T D")
        stored = _at_least_single(checks.as_floats("stored", stored, "K Ds"))
        K = stored.shape[0]
        if queries.shape[1] != self.size or stored.shape[1] != self.stored_size:
            raise ValueError(
                f"queries and stored must be (T, {self.size}) and (K, {self.stored_size}); "
                f"got shapes {queries.shape} and {stored.shape}"
            )
        if mask is not None and (jnp.shape(mask) != (K,) or jnp.asarray(mask).dtype != bool):
            raise ValueError(f"mask must be ({K},) bool; got shape {jnp.shape(mask)}")
        return queries, stored, None if values is None else self._checked_values(values, K)

    def _checked_values(self, values, K):
        values = _at_least_single(checks.as_floats("values", values, "K Dv"))
        size = values.shape[1] if self.to_value is None else self.stored_size
        if values.shape != (K, size) or (self.to_value is None and size % self.num_heads):
            raise ValueError(
                f"values must be ({K}, Dv), one for each stored pattern, with Dv = {self.stored_size} if the "
                f"layer maps them, else divisible by its {self.num_heads} heads; got shape {values.shape}"
            )
        return values


class HopfieldPooling(eqx.Module):
    """A set summed up by learned queries: each recalls from the set, whatever its size.

    **Arguments:** `attention`: how queries and set are associated; `num_queries`: how many vectors come out;
    `key`: draws the first queries, normal with variance 1. Raises `ValueError` for num_queries below 1.

    Ramsauer et al. 2021 (`HopfieldPooling`); as pooling for multiple-instance learning, Widrich et al. 2020.
    """

    queries: Float[Array, "T D"]
    attention: HopfieldAttention

    def __init__(self, attention: HopfieldAttention, num_queries: int = 1, *, key: PRNGKeyArray):
        self.attention = attention
        self.queries = jr.normal(key, (checks.count("num_queries", num_queries), attention.size))

    def __call__(
        self, stored: Shaped[ArrayLike, "..."], mask: Shaped[ArrayLike, "..."] | None = None
    ) -> Float[Array, "T Dout"]:
        """The set `stored` (K, Ds) as (T, Dout); `mask` (K,) bool says which of the set take part."""
        return self.attention(self.queries.astype(jnp.asarray(stored).dtype), stored, mask=mask)


class HopfieldLookup(eqx.Module):
    """A memory with learned stored patterns, and learned values if they have a size of their own.

    **Arguments:** `attention`: how queries and stored patterns are associated; `num_patterns`: K;
    `value_size`: if given, values (K, value_size) are learned as well and read in place of the stored
    patterns; `key`: draws the first of both, normal with variance 1. Raises `ValueError` for counts below 1.

    Ramsauer et al. 2021 (`HopfieldLayer`).
    """

    stored: Float[Array, "K Ds"]
    values: Float[Array, "K Dv"] | None
    attention: HopfieldAttention

    def __init__(
        self,
        attention: HopfieldAttention,
        num_patterns: int,
        value_size: int | None = None,
        *,
        key: PRNGKeyArray,
    ):
        stored_key, value_key = jr.split(key)
        K = checks.count("num_patterns", num_patterns)
        self.attention = attention
        self.stored = jr.normal(stored_key, (K, attention.stored_size))
        self.values = None
        if value_size is not None:
            self.values = jr.normal(value_key, (K, checks.count("value_size", value_size)))

    def __call__(self, queries: Shaped[ArrayLike, "..."]) -> Float[Array, "T Dout"]:
        """What the queries (T, D) read: (T, Dout)."""
        return self.attention(queries, self.stored, self.values)


class Masked(AbstractSeparation, AbstractWeights):
    """Another separation over some of the patterns; the others, and all if none is left, weigh 0."""

    separation: AbstractSeparation
    mask: Bool[Array, " K"]

    def __init__(self, separation: AbstractSeparation, mask: Shaped[ArrayLike, "..."]):
        self.separation = separation
        self.mask = jnp.asarray(mask)

    def potential(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        return self.separation.potential(self._lowered(similarities))

    def weights(self, similarities: Float[Array, " K"]) -> Float[Array, " K"]:
        return jnp.where(self.mask, weights_of(self.separation, self._lowered(similarities)), 0)

    def _lowered(self, similarities):
        # A finite low value: −inf would make NaN of a set that is masked wholly.
        return jnp.where(self.mask, similarities, jnp.finfo(similarities.dtype).min / 4)


def _per_head(beta: Any, num_heads: int) -> Float[Array, " H"]:
    checks.positive("beta", beta)
    betas = jnp.asarray(beta, float)
    if betas.shape not in ((), (num_heads,)):
        raise ValueError(f"beta must be a number or ({num_heads},), one a head; got shape {betas.shape}")
    return jnp.broadcast_to(betas, (num_heads,))


def _size_or(name: str, size: int | None, default: int) -> int:
    return default if size is None else checks.count(name, size)


def _linear(in_size: int, out_size: int | None, key: PRNGKeyArray | None) -> eqx.nn.Linear | None:
    if out_size is None:
        return None
    if key is None:
        raise ValueError("key must be given for a layer with linear maps; got None")
    return eqx.nn.Linear(in_size, out_size, use_bias=False, key=key)


def _map(function: Any, rows: Float[Array, "T Din"]) -> Float[Array, "T Dout"]:
    """A layer over the rows of a matrix, or the matrix where there is no layer."""
    return rows if function is None else jax.vmap(function)(rows)


def _split(rows: Float[Array, "T D"], num_heads: int) -> Float[Array, "H T d"]:
    return jnp.stack(jnp.split(rows, num_heads, axis=1))


def _at_least_single(array: Float[Array, "..."]) -> Float[Array, "..."]:
    return array.astype(jnp.promote_types(array.dtype, jnp.float32))
