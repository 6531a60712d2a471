"""Hopfield layers that learn one side of the association.

    HopfieldPooling      the queries are learned: a set of patterns is summed up in a few vectors
    HopfieldLookup       the stored patterns are learned: a trainable memory

Ramsauer et al., "Hopfield networks is all you need", ICLR 2021.
"""

from functools import partial

import equinox as eqx
import jax.random as jr
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from energyam import checks
from energyam.nn.hopfield_layers import Association, Given, HopfieldAttention, Size, in_dtype_of


class HopfieldPooling(eqx.Module):
    """A set summarised by learned queries, each of which recalls from the set, whatever its size.

    **Arguments:** `attention`: how queries and set are associated; `num_queries`: the number of output
    vectors; `key`: draws the first queries, normal with variance 1. Raises `ValueError` for num_queries below
    1.

    Ramsauer et al. 2021 (`HopfieldPooling`); as pooling for multiple-instance learning, Widrich et al. 2020.

        >>> attention = eam.nn.HopfieldAttention(2, key=jr.key(0))
        >>> pool = eam.nn.HopfieldPooling(attention, key=jr.key(1))
        >>> members = jr.normal(jr.key(2), (7, 2))
        >>> bool(jnp.allclose(pool(members), pool(members[::-1]), atol=1e-5))  # whatever the order of the set
        True
    """

    queries: Float[Array, "T D"]
    attention: HopfieldAttention = eqx.field(
        converter=partial(checks.instance, "attention", cls=HopfieldAttention)
    )

    def __init__(self, attention: HopfieldAttention, num_queries: int = 1, *, key: PRNGKeyArray):
        self.attention = checks.instance("attention", attention, HopfieldAttention)
        checks.key("key", key)
        self.queries = jr.normal(key, (checks.count("num_queries", num_queries), attention.size))

    def __call__(self, stored: ArrayLike, mask: Given = None) -> Float[Array, "T Dout"]:
        """The set `stored` (K, Ds) as (T, Dout); `mask` (K,) or (T, K) bool says which of it take part.

        In the dtype of the set if that is one of floats, else in that of the queries.
        """
        return in_dtype_of(stored, self.attention(self.queries, stored, mask=mask))

    def associate(self, stored: ArrayLike, mask: Given = None) -> Association:
        """The same as a call, with the weights of the set and the energies, head by head."""
        found = self.attention.associate(self.queries, stored, mask=mask)
        return found._replace(out=in_dtype_of(stored, found.out))


class HopfieldLookup(eqx.Module):
    """A memory with learned stored patterns, and learned values if `value_size` is given.

    **Arguments:** `attention`: how queries and stored patterns are associated; `num_patterns`: K;
    `value_size`: if given, values (K, value_size) are learned as well and read in place of the stored
    patterns; `key`: draws the first of both, normal with variance 1. Raises `ValueError` for counts below 1.

    Ramsauer et al. 2021 (`HopfieldLayer`).

        >>> attention = eam.nn.HopfieldAttention(2, key=jr.key(0))
        >>> lookup = eam.nn.HopfieldLookup(attention, num_patterns=8, value_size=3, key=jr.key(1))
        >>> lookup(jnp.ones((5, 2))).shape  # five queries, values of size 3
        (5, 3)
    """

    stored: Float[Array, "K Ds"]
    values: Float[Array, "K Dv"] | None
    attention: HopfieldAttention = eqx.field(
        converter=partial(checks.instance, "attention", cls=HopfieldAttention)
    )

    def __init__(
        self, attention: HopfieldAttention, num_patterns: int, value_size: Size = None, *, key: PRNGKeyArray
    ):
        self.attention = checks.instance("attention", attention, HopfieldAttention)
        K = checks.count("num_patterns", num_patterns)
        checks.key("key", key)
        stored_key, value_key = jr.split(key)
        self.stored = jr.normal(stored_key, (K, attention.stored_size))
        shape = None if value_size is None else (K, checks.count("value_size", value_size))
        self.values = None if shape is None else jr.normal(value_key, shape)

    def __call__(self, queries: ArrayLike, mask: Given = None) -> Float[Array, "T Dout"]:
        """The reads (T, Dout) of queries (T, D); `mask` (K,) or (T, K) bool says which patterns take part."""
        return self.attention(queries, self.stored, self.values, mask)

    def associate(self, queries: ArrayLike, mask: Given = None) -> Association:
        """The same as a call, with the weights of the learned patterns and the energies, head by head."""
        return self.attention.associate(queries, self.stored, self.values, mask)
