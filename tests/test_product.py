"""Products of memories: energy, read, ranking and recall are those of all pairs written out."""

import itertools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from single_moves import change, flip, flips_of
from zoo import all_states, patterns

import energyam as eam

SIZES = [(20, 7), (30, 9)]  # K and D of each table


def written_out(tables):
    """All combinations of rows, the last table's fastest."""
    return jnp.asarray(
        np.stack([np.concatenate(rows) for rows in itertools.product(*map(np.asarray, tables))])
    )


def binary(sizes=SIZES, beta=0.4):
    tables = [patterns(seed, K, D) for seed, (K, D) in enumerate(sizes)]
    product = eam.ProductDenseAM([eam.ExponentialDenseAM(table, beta) for table in tables])
    return product, eam.ExponentialDenseAM(written_out(tables), beta)


def real(sizes=SIZES, beta=1.5):
    tables = [jr.normal(jr.key(seed), (K, D)) / D**0.5 for seed, (K, D) in enumerate(sizes)]
    product = eam.ProductDenseAM([eam.ModernHopfield(table, beta) for table in tables])
    return product, eam.ModernHopfield(written_out(tables), beta)


BOTH = {"binary": binary, "real": real, "three": lambda: binary([(3, 5), (4, 6), (5, 4)])}


@pytest.mark.parametrize("name", BOTH)
def test_energy_and_field_are_those_of_all_pairs(name):
    product, plain = BOTH[name]()
    assert product.num_patterns == len(plain.patterns) and product.num_neurons == plain.num_neurons
    for x in jr.rademacher(jr.key(5), (4, product.num_neurons), dtype=float):
        np.testing.assert_allclose(product.energy(x), plain.energy(x), rtol=1e-5)
        np.testing.assert_allclose(product.field(x), plain.field(x), rtol=1e-4, atol=1e-5)


def test_ten_thousand_pairs_of_two_tables_of_a_hundred():
    product, plain = real([(100, 8), (100, 8)])
    x = jr.normal(jr.key(3), (16,))
    np.testing.assert_allclose(product.energy(x), plain.energy(x), rtol=1e-5)
    np.testing.assert_allclose(product.field(x), plain.field(x), rtol=1e-4, atol=1e-5)
    ranked = product.ranked(x, 40)
    similarities, indices = jax.lax.top_k(plain.patterns @ x, 40)
    np.testing.assert_allclose(ranked.similarities, similarities, rtol=1e-5)
    np.testing.assert_array_equal(ranked.indices @ jnp.array([100, 1]), indices)
    weights = jax.nn.softmax(plain.separation.beta * plain.patterns @ x)[indices]
    np.testing.assert_allclose(ranked.weights, weights, rtol=1e-4)


@pytest.mark.parametrize("k", [1, 7, 59, 700])
def test_rankings_agree_with_enumeration_among_ties(k):
    product, plain = binary()
    x = jr.rademacher(jr.key(k), (product.num_neurons,), dtype=float)
    ranked, similarities = product.ranked(x, k), np.asarray(plain.patterns, float) @ np.asarray(x)
    k = min(k, product.num_patterns)
    best = np.sort(similarities)[::-1][:k]
    flat = np.asarray(ranked.indices) @ [30, 1]
    np.testing.assert_array_equal(ranked.similarities, best)
    np.testing.assert_array_equal(similarities[flat], best)
    assert len(set(flat.tolist())) == k
    weights = np.exp(0.4 * best) / np.exp(0.4 * similarities).sum()
    np.testing.assert_allclose(ranked.weights, weights, rtol=1e-4)


def test_three_tables_are_ranked_and_their_patterns_made():
    product, plain = BOTH["three"]()
    ranked = product.ranked(jnp.ones(15), 80)
    assert ranked.indices.shape == (60, 3)
    assert (
        product.pattern(ranked.indices[0]) == plain.patterns[ranked.indices[0] @ jnp.array([20, 5, 1])]
    ).all()
    assert ranked.similarities[0] == product.pattern(ranked.indices[0]).astype(float).sum()


def test_flips_change_the_energy_by_what_enumeration_says():
    product, plain = binary([(3, 4), (4, 5)])
    flips = flips_of(product)

    def changes(x):
        kept = flips.start(x)
        low, high = flips.enclosure(kept, -2 * x)
        exact = jax.vmap(lambda i: change(flips, kept, x, i).value)(jnp.arange(9))
        after = jax.vmap(lambda i: flips.energy(flip(flips, kept, x, i), x))(jnp.arange(9))
        flipped = jax.vmap(lambda i: plain.energy(x.at[i].multiply(-1)))(jnp.arange(9))
        return low, exact, high, after, flipped, plain.energy(x)

    low, exact, high, after, flipped, energy = jax.jit(jax.vmap(changes))(all_states(9))
    np.testing.assert_allclose(exact, energy[:, None] - flipped, atol=2e-5)
    np.testing.assert_allclose(after, flipped, atol=1e-5)
    assert (low <= exact + 1e-5).all() and (exact <= high + 1e-5).all()


def test_asynchronous_recall_takes_the_same_flips():
    product, plain = binary()
    queries = jr.rademacher(jr.key(7), (12, product.num_neurons), dtype="int8")
    results = [eam.recall(memory, queries, key=jr.key(1)) for memory in (product, plain)]
    assert results[0].converged.all() and eam.is_local_minimum(product, results[0].state).all()
    np.testing.assert_array_equal(results[0].state, results[1].state)
    np.testing.assert_array_equal(results[0].record.indices, results[1].record.indices)
    np.testing.assert_allclose(results[0].energies, results[1].energies, rtol=1e-4)


@pytest.mark.parametrize("make", [binary, real])
def test_synchronous_recall_takes_the_same_steps(make):
    product, plain = make()
    queries = jr.rademacher(jr.key(8), (5, product.num_neurons), dtype=float)
    results = [eam.recall(memory, queries, eam.Synchronous(1e-4)) for memory in (product, plain)]
    np.testing.assert_allclose(results[0].state, results[1].state, rtol=1e-3, atol=1e-4)


def test_a_stored_pair_is_recalled_from_both_halves_damaged():
    product, _ = binary([(50, 40), (60, 50)], beta=0.8)
    pattern = product.pattern((31, 17))
    query = pattern.at[jnp.array([0, 5, 11, 44, 60, 71])].multiply(-1)
    result = eam.recall(product, query, key=jr.key(0))
    assert (result.state == pattern).all() and result.converged
    best = product.ranked(result.state, 2)
    assert best.indices[0].tolist() == [31, 17] and best.weights[0] > 0.99 > 0.01 > best.weights[1]


def test_products_are_saved_read_inside_jit_and_take_narrow_queries(tmp_path):
    product, plain = real([(4, 3), (5, 2)])
    eam.save(tmp_path / "m.safetensors", product)
    loaded = eam.load(tmp_path / "m.safetensors")
    x = jr.normal(jr.key(0), (5,))
    np.testing.assert_allclose(jax.jit(lambda x: loaded.energy(x))(x), plain.energy(x), rtol=1e-5)
    narrow = x.astype(jnp.bfloat16)
    np.testing.assert_allclose(loaded.energy(narrow), plain.energy(narrow), rtol=1e-5)
    assert eam.recall(loaded, narrow).state.dtype == jnp.bfloat16
    slopes = jax.vmap(jax.grad(product.energy))(x[None])
    np.testing.assert_allclose(slopes[0], jax.grad(plain.energy)(x), rtol=1e-4, atol=1e-5)
