"""The look-up: which token-heads read the memory, what they find, and the values that replace theirs.

A token-head (h, t) is one head at one context position. Where the newest token attends to it strongly
enough, its value is replaced by a *memory vector*, an average over the k stored values whose keys lie
nearest to its own key, weighted by its own query. The attention weights stay as they are.
"""

import dataclasses
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from energyam import checks
from energyam.linalg import dot
from energyam.lm.layers import precise
from energyam.memories.separations import LogSumExp

Real = Float[Array | float, ""]
Row = Float[Array, " d"]
Rows = Float[Array, "M d"]


class Neighbours(NamedTuple):
    """The k memories nearest to a key, the nearest first; distance is ∞ where the store holds fewer."""

    indices: Int[Array, "*B k"]
    distances: Float[Array, "*B k"]  # squared
    keys: Float[Array, "*B k d"]
    values: Float[Array, "*B k d"]


class Lookup(eqx.Module):
    """How a model reads its memory.

        chosen:  a_ht >= 1 / (mem_frac T), and for the first token also a_h0 > bookkeeping_frac       (eq. 4)
        found:   the k keys K_j nearest to k_ht
        weights: p = softmax(softmax_scale q_ht·K_j / √d), the pair (k_ht, v_ht) among them if include_own
        value:   (1 − residual_frac) Σ_j p_j V_j + residual_frac v_ht   instead of v_ht

    a is the newest token's attention over the T tokens of the context. With `mem_frac` 0 only the first token
    reads, the "bookkeeping token" to which heads attend when no other token matters; `bookkeeping_frac` 0
    removes its threshold, and 1 excludes it. All but k and the three switches are array leaves, so that a
    sweep compiles once.

    **Arguments:** `k`: how many memories a token-head reads; `mem_frac` M_F ≥ 0; `bookkeeping_frac` B_F in 0
    … 1; `softmax_scale` T_S > 0; `include_own` and `residual_frac` r in 0 … 1: the paper's type 1 is (True,
    0), type 2 (False, r), type 3 (True, r). `causal`: whether every row of the context decides for itself
    what it reads. In the published method the newest token decides for all rows, so that earlier rows change
    as the text grows; only the causal form can be decoded with a cache. `approximate`: search with
    `jax.lax.approx_max_k`, which is faster on TPUs and misses some neighbours.

    Raises `ValueError` for numbers outside these ranges.

    Source: "Towards medium-term memory recall in transformer models", the write-up of a GPT-2 with a
    persistent memory; types 1 to 3 are its names.

        >>> lookup = eam.lm.Lookup.type2(k=2, mem_frac=1.0, bookkeeping_frac=0.5, softmax_scale=1.0)
        >>> lookup.include_own, float(lookup.residual_frac)
        (False, 0.10000000149011612)
    """

    k: int = eqx.field(static=True, converter=partial(checks.count, "k"))
    mem_frac: Real = eqx.field(converter=partial(checks.not_negative, "mem_frac", dims=""))
    bookkeeping_frac: Real = eqx.field(converter=partial(checks.fraction, "bookkeeping_frac", dims=""))
    softmax_scale: Real = eqx.field(converter=partial(checks.positive_float, "softmax_scale"))
    include_own: bool = eqx.field(static=True, converter=partial(checks.flag, "include_own"))
    residual_frac: Real = eqx.field(converter=partial(checks.fraction, "residual_frac", dims=""))
    _: dataclasses.KW_ONLY
    causal: bool = eqx.field(static=True, default=False, converter=partial(checks.flag, "causal"))
    approximate: bool = eqx.field(static=True, default=False, converter=partial(checks.flag, "approximate"))

    @classmethod
    def type1(
        cls, k: int, mem_frac: Real, bookkeeping_frac: Real, softmax_scale: Real, **switches: bool
    ) -> "Lookup":
        """Type 1: the token's own key and value are among the memories, and its value is not added again."""
        return cls(k, mem_frac, bookkeeping_frac, softmax_scale, True, 0.0, **switches)

    @classmethod
    def type2(
        cls,
        k: int,
        mem_frac: Real,
        bookkeeping_frac: Real,
        softmax_scale: Real,
        residual_frac: Real = 0.1,
        **switches: bool,
    ) -> "Lookup":
        """Type 2: only the memories are read, and a fraction of the token's own value is added."""
        return cls(k, mem_frac, bookkeeping_frac, softmax_scale, False, residual_frac, **switches)

    @classmethod
    def type3(
        cls,
        k: int,
        mem_frac: Real,
        bookkeeping_frac: Real,
        softmax_scale: Real,
        residual_frac: Real = 0.33,
        **switches: bool,
    ) -> "Lookup":
        """Type 3: both; the own key and value are among the memories, and a fraction of the own value is
        added."""
        return cls(k, mem_frac, bookkeeping_frac, softmax_scale, True, residual_frac, **switches)

    def chosen(self, attention: Float[Array, "H R T"], context: Int[Array, " R"]) -> Bool[Array, "H R T"]:
        """The token-heads (h, t) that row r reads the memory for, by its attention over `context` tokens."""
        first = (jnp.arange(attention.shape[-1]) == 0)[None, None]
        spread = self.mem_frac > 0
        share = 1 / (jnp.where(spread, self.mem_frac, 1) * context.astype(attention.dtype))
        enough = jnp.where(spread, attention >= share[None, :, None], first)
        bookkeeping = (self.bookkeeping_frac == 0) | (attention > self.bookkeeping_frac)
        return enough & (bookkeeping | ~first) & (attention > 0)

    def nearest(self, key: Row, keys: Rows, values: Rows, filled: Bool[Array, " M"]) -> Neighbours:
        """The k filled rows of `keys` nearest to one key, by squared distance."""
        lengths = jnp.sum(keys.astype(precise(keys.dtype)) ** 2, axis=-1)
        nearness = dot(keys, key) - 0.5 * lengths  # ½ ‖key‖² − ½ distance
        nearness = jnp.where(filled, nearness, -jnp.inf)
        search = lax.approx_max_k if self.approximate else lax.top_k
        largest, indices = search(nearness, min(self.k, keys.shape[0]))
        own_length = jnp.sum(key.astype(precise(key.dtype)) ** 2)
        distances = jnp.maximum(own_length - 2 * largest, 0)
        return Neighbours(indices, distances, keys[indices], values[indices])

    def weights(self, query: Row, key: Row, found: Neighbours) -> Float[Array, " k_or_k1"]:
        """How much each neighbour is read (eq. 5); the own pair comes first if `include_own`."""
        scores = jnp.where(jnp.isfinite(found.distances), dot(found.keys, query), -jnp.inf)
        if self.include_own:
            scores = jnp.concatenate([dot(key, query)[None], scores])
        return LogSumExp(self.softmax_scale).weights(scores / key.size**0.5)

    def replacement(self, query: Row, key: Row, value: Row, found: Neighbours) -> Row:
        """The value of one token-head after reading its neighbours."""
        values = jnp.concatenate([value[None], found.values]) if self.include_own else found.values
        memory = dot(self.weights(query, key, found), values)
        mixed = (1 - self.residual_frac) * memory + self.residual_frac * value
        return mixed.astype(value.dtype)  # the numbers above may be float64 where the model is not
