"""The nearest patterns: those of a whole sort, by every memory's own similarity; approximately on TPUs."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import zoo
from jax import export

import energyam as eam

K, D = 300, 16
REALS = jr.normal(jr.key(0), (K, D))
SIGNS = zoo.patterns(1, K, D)
VALUES = jr.normal(jr.key(2), (K, 3))
QUERIES = jr.normal(jr.key(3), (2, 3, D))
SOFT = eam.LogSumExp(1.0)
distance = lambda rows, q: -0.5 * ((rows - q) ** 2).sum(axis=1)  # noqa: E731
cosine = lambda rows, q: rows @ q / np.linalg.norm(rows, axis=1) / np.linalg.norm(q)  # noqa: E731
overlap = lambda rows, q: rows @ q  # noqa: E731
MEMORIES = {
    "chn": (eam.CHN(SIGNS), SIGNS, overlap),
    "modern": (eam.ModernHopfield(REALS, 1.0), REALS, overlap),
    "gaussian": (eam.GaussianDenseAM(REALS, 1.0), REALS, distance),
    "cosine": (eam.DenseAM(REALS, SOFT, eam.Continuous(), eam.Cosine()), REALS, cosine),
    "entmax": (eam.DenseAM(REALS, eam.Entmax(1.0), eam.Continuous()), REALS, overlap),
    "pairs": (eam.KeyValueMemory(REALS, VALUES, SOFT), REALS, overlap),
    "pairs_by_distance": (eam.KeyValueMemory(REALS, VALUES, SOFT, eam.NegativeDistance()), REALS, distance),
    "padded": (eam.KeyValueMemory(REALS, VALUES, SOFT, capacity=1), REALS, overlap),
    "sequence": (eam.DenseSequence(SIGNS, SOFT), SIGNS, overlap),
}


@pytest.mark.parametrize("name", MEMORIES)
def test_the_nearest_are_those_of_a_whole_sort(name):
    memory, rows, similar = MEMORIES[name]
    found = eam.nearest(memory, QUERIES, 7)
    rows = np.asarray(rows, np.float64)
    for at in np.ndindex(2, 3):
        similarities = similar(rows, np.asarray(QUERIES[at], np.float64))
        np.testing.assert_array_equal(found.indices[at], np.argsort(-similarities, kind="stable")[:7])
        np.testing.assert_allclose(found.scores[at], np.sort(similarities)[::-1][:7], rtol=1e-4, atol=1e-5)
    values = {"sequence": jnp.roll(SIGNS, -1, axis=0)}.get(name, VALUES)
    if name in ("pairs", "pairs_by_distance", "padded", "sequence"):
        np.testing.assert_array_equal(found.values, values[found.indices])
    else:
        assert found.values is None


def test_top_k_reads_what_the_search_finds():
    memory = eam.KeyValueMemory(REALS, VALUES, eam.TopK(SOFT, 5))
    found = eam.nearest(memory, QUERIES[0, 0], 5)
    assert found.indices.shape == (5,)
    weights = memory.separation.separation.weights(found.scores)
    np.testing.assert_allclose(memory(QUERIES[0, 0]), weights @ found.values, rtol=1e-5, atol=1e-6)
    assert jnp.abs(weights @ VALUES[found.indices + 1] - memory(QUERIES[0, 0])).max() > 0.1


def test_a_product_answers_with_an_index_into_each_table():
    parts = [eam.ModernHopfield(REALS[:20], 1.0), eam.ModernHopfield(REALS[20:50], 1.0)]
    product, queries = eam.ProductDenseAM(parts), jr.normal(jr.key(4), (2, 2 * D))
    found = eam.nearest(product, queries, 40)
    for i, query in enumerate(queries):
        ranked = product.ranked(query, 40)
        np.testing.assert_array_equal(found.indices[i], ranked.indices)
        sums = np.add.outer(REALS[:20] @ query[:D], REALS[20:50] @ query[D:])
        np.testing.assert_allclose(found.scores[i], np.sort(sums.reshape(-1))[::-1][:40], rtol=1e-5)
        np.testing.assert_allclose(found.scores[i], sums[tuple(found.indices[i].T)], rtol=1e-5)
    with pytest.raises(ValueError, match="k must be at most 600; got 601"):
        eam.nearest(product, queries, 601)


def test_padding_is_never_found():
    padded = eam.KeyValueMemory(-jnp.abs(REALS[:5]), VALUES[:5], SOFT, capacity=64)
    found = eam.nearest(padded, jnp.ones(D), 5)
    assert sorted(found.indices.tolist()) == [0, 1, 2, 3, 4] and jnp.isfinite(found.scores).all()
    with pytest.raises(ValueError, match="k must be at most 5; got 6"):
        eam.nearest(padded, jnp.ones(D), 6)


def test_inside_jit_and_of_narrow_patterns_and_queries():
    memory = eam.ModernHopfield(REALS.astype(jnp.bfloat16), 1.0)
    queries = QUERIES.astype(jnp.bfloat16)
    with jax.numpy_dtype_promotion("strict"):
        found = jax.jit(lambda memory, queries: eam.nearest(memory, queries, 3))(memory, queries)
    assert found.scores.dtype == jnp.float32 and found.indices.shape == (2, 3, 3)
    wide = eam.nearest(eam.ModernHopfield(memory.patterns.astype(float), 1.0), queries.astype(float), 3)
    np.testing.assert_array_equal(found.indices, wide.indices)


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_tpus_alone_search_approximately_and_with_the_recall_that_is_asked_for(platform):
    def search(rows, queries, approximate):
        memory = eam.KeyValueMemory(rows, rows, SOFT)
        return eam.nearest(memory, queries, 5, approximate=approximate, recall_target=0.875)

    for approximate in (True, False):
        exported = export.export(
            jax.jit(search, static_argnums=2),
            platforms=[platform],
            disabled_checks=[export.DisabledSafetyCheck.custom_call("ApproxTopK")],
        )(REALS, QUERIES, approximate)
        program = str(exported.mlir_module())
        wanted = approximate and platform == "tpu"
        assert ("ApproxTopK" in program) == wanted
        assert ("recall_target = 8.750000e-01" in program) == wanted


def test_an_approximate_search_finds_all_on_this_platform():
    many = eam.ModernHopfield(jr.normal(jr.key(5), (2000, D)), 1.0)  # so many are searched by groups
    for memory in (MEMORIES["pairs"][0], many):
        one, other = (eam.nearest(memory, QUERIES, 5, approximate=a) for a in (True, False))
        np.testing.assert_array_equal(one.indices, other.indices)


def test_a_memory_of_ones_own_is_searched_by_its_tables():
    class Mine:
        def tables(self):
            return (eam.Table(REALS, eam.NegativeDistance(), number=100),)

    found = eam.nearest(Mine(), REALS[:2], 1)
    np.testing.assert_array_equal(found.indices, [[0], [1]])
    assert eam.nearest(Mine(), REALS[200], 1).indices[0] < 100


def test_how_an_answer_reads():
    text = repr(eam.nearest(MEMORIES["pairs"][0], QUERIES, 2))
    assert text.startswith("Nearest") and "scores" in text and "(2, 3, 2, 3)" in text
