"""Sparse reads from a screen of the largest similarities: certified, or from all; narrow queries; memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import CONTINUOUS, patterns

import energyam as eam
from energyam.memories import reads

K, D = 4200, 12
KEYS = jr.normal(jr.key(0), (K, D))
QUERIES = KEYS[:5] + 0.3 * jr.normal(jr.key(1), (5, D))
SEPARATIONS = {
    "narrow": eam.Entmax(3.0, 1.5),
    "sparsemax": eam.Entmax(3.0, 2.0),
    "wide": eam.Entmax(0.02, 1.5),
    "middle": eam.Entmax(0.1, 1.5),
    "subsets": eam.KSubsets(3.0, 6),
    "subsets_wide": eam.KSubsets(3.0, 200),
}


@eqx.filter_jit
def ask(separation, keys, queries):
    """Potentials and what is read, with the derivatives of a number made of them."""

    def of_one(separation, keys, query):
        potential, found = reads.read_pairs(separation, keys, keys, query)
        return potential + jnp.sum(found * jnp.arange(D)), (potential, found)

    slopes, answers = jax.vmap(jax.grad(of_one, argnums=(0, 1, 2), has_aux=True), in_axes=(None, None, 0))(
        separation, keys, queries
    )
    return answers, slopes


def plainly(separation, keys, queries):
    """The same from all similarities."""

    def of_one(separation, keys, query):
        s = keys @ query
        potential, found = separation.potential(s), separation.weights(s) @ keys
        return potential + jnp.sum(found * jnp.arange(D)), (potential, found)

    return jax.jit(jax.vmap(jax.grad(of_one, argnums=(0, 1, 2), has_aux=True), in_axes=(None, None, 0)))(
        separation, keys, queries
    )[::-1]


@pytest.mark.parametrize("name", SEPARATIONS)
def test_screened_reads_and_their_derivatives_are_those_of_all_patterns(name):
    separation = SEPARATIONS[name]
    support = np.asarray(jax.vmap(lambda q: (separation.weights(KEYS @ q) > 0).sum())(QUERIES))
    assert (support > 64).any() == ("wide" in name or name == "middle")
    assert (support > 1024).any() == (name == "wide")
    for got, expected in zip(
        *map(jax.tree.leaves, (ask(separation, KEYS, QUERIES), plainly(separation, KEYS, QUERIES))),
        strict=True,
    ):
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-5 * float(jnp.abs(expected).max()))


def test_one_query_of_wide_support_in_a_batch_is_read_from_all():
    separation, short = SEPARATIONS["narrow"], jnp.concatenate([QUERIES[:2], 0.01 * QUERIES[2:3]])
    support = jax.vmap(lambda q: (separation.weights(KEYS @ q) > 0).sum())(short)
    assert support[0] < 64 < support[2]
    (_, found), _ = ask(separation, KEYS, short)
    np.testing.assert_allclose(found, plainly(separation, KEYS, short)[0][1], rtol=1e-3, atol=1e-5)
    largest, at = jax.lax.top_k(KEYS @ short[2], 64)
    assert (
        jnp.abs(separation.weights(largest) @ KEYS[at] - found[2]).max() > 1e-3
    )  # the screen alone is wrong


@pytest.mark.usefixtures("as_users_do")
def test_a_read_makes_no_copy_of_the_patterns():
    many, batch = 50_000, 4
    keys = jax.ShapeDtypeStruct((many, 64), jnp.float32)
    queries = jax.ShapeDtypeStruct((batch, 64), jnp.float32)

    def needed(read):
        analysis = jax.jit(read).lower(keys, queries).compile().memory_analysis()
        return analysis.temp_size_in_bytes / (4 * many * batch)

    def read(keys, queries):
        return jax.vmap(lambda q: reads.read_pairs(eam.Entmax(1.0), keys, keys, q))(queries)

    def by_differences(keys, queries):  # what must not be: (batch, K, D) differences
        return jax.vmap(lambda q: jnp.sort(keys - q[None], axis=0)[:3])(queries)

    assert needed(read) < 8 < 60 < needed(by_differences)  # arrays of one number for each pattern and query


@pytest.mark.parametrize("name", ["entmax", "subsets", "gaussian", "epanechnikov", "hopfield_1984"])
def test_bfloat16_queries_are_read_in_float32(name):
    memory = CONTINUOUS[name](patterns(1, 5, 16))
    narrow = (0.6 * patterns(1, 5, 16)[:3]).astype(jnp.bfloat16)
    wide = narrow.astype(jnp.float32)
    ends = [eam.recall(memory, queries, max_steps=3) for queries in (narrow, wide)]
    assert ends[0].state.dtype == jnp.bfloat16
    np.testing.assert_array_equal(ends[0].state, ends[1].state.astype(jnp.bfloat16))
    np.testing.assert_array_equal(memory.energy(narrow[0]), memory.energy(wide[0]))
