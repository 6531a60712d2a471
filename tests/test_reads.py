"""Reads in blocks: equal to reads at once, of bounded memory, for patterns of any dtype."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import zoo
from jax import export

import energyam as eam
from energyam.memories import reads

K = 37
KEYS = jr.normal(jr.key(0), (K, 6))
VALUES = jr.normal(jr.key(1), (K, 4))
QUERIES = jr.normal(jr.key(2), (3, 6))


def read_all(separation, block, keys=KEYS, values=VALUES, queries=QUERIES):
    return eqx.filter_jit(jax.vmap(lambda q: reads.read_pairs(separation, keys, values, q, block)))(queries)


@pytest.mark.parametrize("block", [8, 100])
@pytest.mark.parametrize("name", zoo.SEPARATIONS)
def test_blocks_read_what_all_patterns_at_once_do(name, block):
    separation = zoo.SEPARATIONS[name]
    potentials, reads = read_all(separation, block)
    similarities = QUERIES @ KEYS.T
    np.testing.assert_allclose(potentials, jax.vmap(separation.potential)(similarities), rtol=2e-5)
    whole = jax.vmap(separation.weights)(similarities) @ VALUES
    np.testing.assert_allclose(reads, whole, rtol=1e-3, atol=1e-5 * np.abs(whole).max())


def test_a_separation_without_blocks_is_read_at_once():
    class Cubic(eam.AbstractSeparation):
        def potential(self, similarities):
            return jnp.sum(similarities**4) / 4

    _, reads = read_all(Cubic(), 8)
    np.testing.assert_allclose(reads, (QUERIES @ KEYS.T) ** 3 @ VALUES, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("separation", [eam.LogSumExp(50.0), eam.LogSumExp(1e-3), eam.Polynomial(30)])
def test_blocks_of_very_different_size_neither_overflow_nor_vanish(separation):
    scale = jnp.logspace(-4, 3, K)[:, None]
    potentials, reads = read_all(separation, 5, keys=scale * KEYS)
    assert jnp.isfinite(potentials).all() and jnp.isfinite(reads).all()
    np.testing.assert_allclose(reads, read_all(separation, K, keys=scale * KEYS)[1], rtol=1e-4)


def test_a_block_without_positive_overlap_does_not_drown_the_small_ones():
    keys = jnp.array([[-1.0], [-2.0], [1e-3], [2e-3]])
    _, (read,) = read_all(eam.Polynomial(6), 2, keys=keys, values=keys, queries=jnp.ones((1, 1)))
    np.testing.assert_allclose(read, [2e-3**6 + 1e-3**6], rtol=1e-5)


@pytest.mark.parametrize("k", [1, 12, 100])
def test_nearest_finds_the_largest_with_the_first_of_equals_first(k):
    keys = jnp.round(KEYS)  # many equal similarities
    values, indices = jax.jit(jax.vmap(lambda q: reads.nearest(lambda keys: keys @ q, (keys,), k, 8)))(
        jnp.round(QUERIES)
    )
    similarities = np.asarray(jnp.round(QUERIES) @ keys.T)
    expected = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(similarities, expected, axis=1))


@pytest.mark.parametrize("k", [0, -1])
def test_nearest_needs_a_number_of_keys(k):
    with pytest.raises(ValueError, match="k must be an integer of at least 1"):
        reads.nearest(lambda keys: keys @ QUERIES[0], (KEYS,), k)


def test_gradients_through_blocks_are_those_of_the_whole():
    def loss(block):
        def of(beta, keys, query):
            potential, read = reads.read_pairs(eam.LogSumExp(beta), keys, VALUES, query, block)
            return potential + read.sum()

        return jax.jit(jax.grad(of, argnums=(0, 1, 2)))(jnp.float32(0.7), KEYS, QUERIES[0])

    for blocked, whole in zip(loss(8), loss(K), strict=True):
        np.testing.assert_allclose(blocked, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("as_users_do")
def test_working_memory_does_not_grow_with_the_patterns():
    def needed(num_patterns):
        shape = jax.ShapeDtypeStruct((num_patterns, 8), jnp.int8)
        queries = jax.ShapeDtypeStruct((16, 8), jnp.float32)

        def read(keys, queries):
            return jax.vmap(lambda q: reads.read_pairs(eam.LogSumExp(1.0), keys, keys, q)[1])(queries)

        return jax.jit(read).lower(shape, queries).compile().memory_analysis().temp_size_in_bytes

    similarities = 4 * 16 * 4096  # bytes of a block's similarities
    assert needed(2**20) <= needed(2**14) < 4 * similarities


@pytest.mark.parametrize("make", [eam.CHN, lambda X: eam.ExponentialDenseAM(X, 0.3)])
@pytest.mark.parametrize("dtype", [jnp.int8, jnp.bfloat16])
def test_small_dtypes_recall_as_float32_does(make, dtype):
    patterns = zoo.patterns(3, 300, 64)
    queries = patterns[:4] * jnp.where(jnp.arange(64) < 9, -1, 1).astype(jnp.int8)[None]
    small, large = make(patterns.astype(dtype)), make(patterns.astype(jnp.float32))
    assert (
        small.patterns.dtype == dtype
        and small.patterns.nbytes * (4 // dtype(0).nbytes) == large.patterns.nbytes
    )
    for update in (eam.Synchronous(), eam.Asynchronous("sequential")):
        states = [eam.recall(m, queries.astype(jnp.float32), update, 3).state for m in (small, large)]
        np.testing.assert_array_equal(*states)


def test_bfloat16_keys_and_values_are_summed_in_float32():
    keys, values = KEYS.astype(jnp.bfloat16), VALUES.astype(jnp.bfloat16)
    memory = eam.KeyValueMemory(keys, values, eam.LogSumExp(1.0))
    exact = jax.nn.softmax(keys.astype(float) @ QUERIES[0]) @ values.astype(float)
    assert memory(QUERIES[0]).dtype == jnp.float32
    np.testing.assert_allclose(memory(QUERIES[0]), exact, rtol=1e-5)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("separation", [eam.LogSumExp(1.0), eam.TopK(eam.LogSumExp(1.0), 3)])
def test_blocks_lower_for_accelerators(separation, platform):
    def read(keys, queries):
        return jax.vmap(lambda q: reads.read_pairs(separation, keys, keys, q, 8))(queries)

    exported = export.export(jax.jit(read), platforms=[platform])(KEYS, QUERIES)
    assert exported.platforms == (platform,)


@pytest.mark.parametrize("k", [1, 7])
@pytest.mark.parametrize("values", ["real", "few", "equal"])
def test_nearest_by_groups_equals_a_whole_sort(k, values, getkey):
    """2,000 rows are 62 groups and a rest; equals lie in the same and in several groups, and in the rest."""
    found = {
        "real": lambda: jr.normal(getkey(), (20, 2000)),
        "few": lambda: jr.randint(getkey(), (20, 2000), 0, 150).astype(float),
        "equal": lambda: jnp.zeros((20, 2000)),
    }[values]()
    one = lambda row: reads.nearest(lambda rows: rows[:, 0], (row[:, None],), k)  # noqa: E731
    for got, wanted in zip(jax.vmap(one)(found), jax.lax.top_k(found, k), strict=True):
        np.testing.assert_array_equal(got, wanted)
