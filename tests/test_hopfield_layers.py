"""Hopfield layers: with all options off they are `ModernHopfield` retrieval, with one step attention."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import zoo

import energyam as eam
from energyam.nn import HopfieldAttention, HopfieldLookup, HopfieldPooling
from energyam.nn.masked import Masked


@pytest.fixture(scope="module")
def sets():
    """Queries (5, 8), stored patterns (7, 8) and values (7, 8)."""
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=(rows, 8)).astype(np.float32) for rows in (5, 7, 7))


# In one program, where many small ones would be compiled, one for each operation.
read = eqx.filter_jit(lambda layer, *given: layer(*given))
associate = eqx.filter_jit(lambda layer, *given: layer.associate(*given))


@eqx.filter_jit
def attention(queries, stored, values, num_heads=1, **options):
    """`jax.nn.dot_product_attention` of one batch, heads split and joined."""
    split = [rows.reshape(1, len(rows), num_heads, -1) for rows in (queries, stored, values)]
    return jax.nn.dot_product_attention(*split, **options).reshape(len(queries), -1)


@pytest.mark.parametrize("num_steps", [1, 2, 5])
@pytest.mark.parametrize("beta", [0.3, 4.0])
def test_without_options_it_is_modern_hopfield_recall(sets, beta, num_steps):
    queries, stored, _ = sets
    recalled = eam.recall(eam.ModernHopfield(stored, beta), queries, eam.Synchronous(0.0), num_steps)
    layer = HopfieldAttention(8, beta=beta, num_steps=num_steps)
    assert not eqx.filter([layer.to_query, layer.to_key, layer.query_norm], eqx.is_array)[0]
    np.testing.assert_allclose(read(layer, queries, stored), recalled.state, atol=1e-6)


@pytest.mark.parametrize("num_heads", [1, 2])
def test_one_step_is_attention(sets, num_heads):
    queries, stored, values = sets
    layer = HopfieldAttention(8, num_heads=num_heads)
    expected = attention(queries, stored, values, num_heads)
    np.testing.assert_allclose(read(layer, queries, stored, values), expected, atol=1e-6)


def test_every_head_has_its_own_beta(sets):
    queries, stored, _ = sets
    both = read(HopfieldAttention(8, num_heads=2, beta=[0.5, 3.0]), queries, stored)
    for head, beta in enumerate((0.5, 3.0)):
        part = slice(4 * head, 4 * head + 4)
        alone = read(HopfieldAttention(4, beta=beta), queries[:, part], stored[:, part])
        np.testing.assert_allclose(both[:, part], alone, atol=1e-6)


def test_linear_maps_and_norms_are_those_of_attention_layers(sets, getkey):
    queries, stored, _ = sets
    sizes = {"hidden_size": 12, "value_size": 6, "out_size": 5, "num_heads": 3}
    layer = HopfieldAttention(8, **sizes, normalize=True, key=getkey())

    @eqx.filter_jit
    def expected(layer):
        x, s = jax.vmap(layer.query_norm)(queries), jax.vmap(layer.stored_norm)(stored)
        mapped = x @ layer.to_query.weight.T, s @ layer.to_key.weight.T, s @ layer.to_value.weight.T
        split = [rows.reshape(len(rows), 3, -1) for rows in mapped]
        weights = jax.nn.softmax(jnp.einsum("qhd,khd->hqk", split[0], split[1]) / 2.0, axis=-1)
        return jnp.einsum("hqk,khd->qhd", weights, split[2]).reshape(5, 6) @ layer.to_out.weight.T

    np.testing.assert_allclose(read(layer, queries, stored), expected(layer), atol=1e-5)


def test_a_masked_set_is_the_set_without_the_masked(sets):
    queries, stored, values = sets
    mask = np.arange(7) < 4
    layer = HopfieldAttention(8, num_steps=3, beta=1.0)
    masked, cut = read(layer, queries, stored, values, mask), read(layer, queries, stored[:4], values[:4])
    np.testing.assert_allclose(masked, cut, atol=1e-6)
    assert not read(layer, queries, stored, None, np.zeros(7, bool)).any()


@pytest.mark.parametrize("separation", zoo.SEPARATIONS.values(), ids=zoo.SEPARATIONS)
def test_a_masked_separation_is_that_of_the_others_alone(separation):
    similarities = np.array([2.0, -4.0, 6.0, 1.0, 3.0], np.float32)
    mask = np.array([True, True, False, True, True])
    left = similarities[mask]
    weights_of = eqx.filter_jit(lambda separation, *given: separation.weights(*given))
    potential_of = eqx.filter_jit(lambda separation, *given: separation.potential(*given))
    slope_of = eqx.filter_jit(lambda separation, *given: jax.grad(separation.potential)(*given))
    masked, none = Masked(separation, jnp.asarray(mask)), Masked(separation, jnp.zeros(5, bool))
    weights = np.asarray(weights_of(masked, similarities))
    np.testing.assert_allclose(weights[mask], weights_of(separation, left), rtol=1e-5)
    assert weights[2] == 0
    potential = float(potential_of(separation, left))
    assert float(potential_of(masked, similarities)) == pytest.approx(potential, rel=1e-5)
    np.testing.assert_allclose(weights, slope_of(masked, similarities), rtol=1e-5, atol=1e-6)
    assert not np.asarray(weights_of(none, similarities)).any()
    assert np.isfinite(slope_of(none, similarities)).all()


@pytest.mark.parametrize("k", [2, 64, 65, 90])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_a_masked_subset_is_that_of_the_others_alone(k, shift, getkey):
    similarities = 5 * jr.normal(getkey(), (200,)) + shift
    mask = jr.bernoulli(getkey(), 0.6, (200,))
    separation = eam.KSubsets(0.3, k)
    weights = np.asarray(Masked(separation, mask).weights(similarities))
    assert (
        weights[np.asarray(mask)].sum() == pytest.approx(k, rel=1e-4) and not weights[~np.asarray(mask)].any()
    )
    alone = separation.weights(similarities[mask])
    np.testing.assert_allclose(weights[np.asarray(mask)], alone, atol=1e-6 * (1 + shift))


def test_steps_with_a_tolerance_end_at_the_fixed_point(sets):
    queries, stored, _ = sets
    layer = HopfieldAttention(8, beta=0.3, num_steps=200, tol=1e-5)
    once_more = HopfieldAttention(8, beta=0.3)
    fixed = read(layer, queries, stored)
    np.testing.assert_allclose(read(once_more, fixed, stored), fixed, atol=1e-4)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gradients_are_finite_over_four_decades_of_beta(sets, dtype):
    queries, stored, _ = (array.astype(dtype) for array in sets)

    @jax.jit
    def gradients(beta):
        def loss(inputs):
            return jnp.sum(HopfieldAttention(8, beta=inputs[0], num_steps=4)(*inputs[1:]).astype(jnp.float32))

        def unrolled(inputs):
            memory = eam.ModernHopfield(inputs[2].astype(jnp.float32), beta)
            return jnp.sum(eam.recall(memory, inputs[1].astype(jnp.float32), max_steps=4).state ** 2)

        return jax.grad(loss)((beta, queries, stored)), jax.grad(unrolled)((beta, queries, stored))

    for beta in (0.01, 0.1, 1.0, 10.0, 100.0):
        for leaf in jax.tree.leaves(gradients(beta)):
            assert jnp.isfinite(leaf).all(), beta
    assert HopfieldAttention(8)(queries, stored).dtype == dtype


def test_only_a_learned_beta_has_a_gradient(sets):
    queries, stored, _ = sets

    def gradient(**options):
        layer = HopfieldAttention(8, beta=2.0, **options)
        return eqx.filter_jit(eqx.filter_grad(lambda layer: jnp.sum(layer(queries, stored) ** 2)))(layer)

    fixed, learned = gradient(), gradient(learn_beta=True)
    assert fixed.log_growth is None and not fixed.first_beta.any()
    assert learned.log_growth.any()


def test_pooling_sums_up_a_set_in_any_order(sets, getkey):
    _, stored, _ = sets
    pool = HopfieldPooling(HopfieldAttention(8), num_queries=2, key=getkey())
    np.testing.assert_allclose(read(pool, stored), read(pool, stored[::-1]), atol=1e-6)
    padded = np.concatenate([stored, 9 * np.ones((3, 8), np.float32)])
    np.testing.assert_allclose(read(pool, padded, np.arange(10) < 7), read(pool, stored), atol=1e-6)


def test_lookup_reads_what_it_has_learned(sets, getkey):
    queries, _, _ = sets
    lookup = HopfieldLookup(HopfieldAttention(8), 9, key=getkey())
    np.testing.assert_allclose(
        read(lookup, queries), read(lookup.attention, queries, lookup.stored), atol=1e-6
    )
    pairs = HopfieldLookup(HopfieldAttention(8), 9, value_size=3, key=getkey())
    assert read(pairs, queries).shape == (5, 3)
    gradient = eqx.filter_jit(eqx.filter_grad(lambda lookup: jnp.sum(lookup(queries) ** 2)))(pairs)
    assert gradient.stored.any() and gradient.values.any()


@pytest.mark.parametrize("num_steps", [1, 3])
def test_a_mask_for_each_query_is_each_query_with_its_mask(sets, num_steps):
    queries, stored, values = sets
    mask = np.array(jr.bernoulli(jr.key(1), 0.6, (5, 7)))
    mask[2] = False
    for options in ({"beta": 2.0}, {"separation": eam.Entmax(2.0)}):
        layer = HopfieldAttention(8, num_heads=2, num_steps=num_steps, **options)
        expected = [read(layer, queries[t : t + 1], stored, values, mask[t])[0] for t in range(5)]
        found = read(layer, queries, stored, values, mask)
        np.testing.assert_allclose(found, np.stack(expected), atol=1e-6)
        assert not found[2].any()


@pytest.mark.parametrize("masked", [False, True])
def test_weights_and_energies_are_those_of_the_read(sets, masked):
    queries, stored, values = sets
    mask = np.array(jr.bernoulli(jr.key(2), 0.7, (5, 7))) if masked else None
    if masked:
        mask[:, 0] = True
    layer = HopfieldAttention(8, num_heads=2, beta=[0.5, 2.0], num_steps=2)
    found = associate(layer, queries, stored, values, mask)
    np.testing.assert_allclose(found.out, read(layer, queries, stored, values, mask), atol=1e-6)
    weights = np.asarray(found.weights)
    out = np.concatenate([weights[h] @ values[:, 4 * h : 4 * h + 4] for h in (0, 1)], axis=1)
    np.testing.assert_allclose(found.out, out, atol=1e-5)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    if masked:
        assert not weights[0][~mask].any()
    else:
        memory = eam.ModernHopfield(stored[:, 4:], 2.0)
        states = eam.recall(memory, queries[:, 4:], max_steps=1).state
        np.testing.assert_allclose(found.energies[1], jax.vmap(memory.energy)(states), rtol=1e-4)


def test_sparse_attention_is_one_argument(sets, getkey):
    queries, stored, _ = sets
    sparse = HopfieldAttention(8, separation=eam.Entmax(1.0, 2.0))
    weights = np.asarray(associate(sparse, queries, stored).weights)
    assert (weights == 0).any() and (weights.sum(-1) > 0.999).all()
    np.testing.assert_allclose(
        weights[0, 0], eqx.filter_jit(eam.Entmax(1.0, 2.0).weights)(stored @ queries[0]), atol=1e-6
    )

    def slopes(**options):
        layer = HopfieldAttention(8, separation=eam.Entmax(1.0, 1.5), **options)
        return eqx.filter_jit(eqx.filter_grad(lambda layer: jnp.sum(layer(queries, stored) ** 2)))(
            layer
        ).separation

    assert slopes(learn_beta=True).beta != 0 and slopes(learn_beta=True).alpha != 0
    assert slopes().beta == 0
    pool = HopfieldPooling(sparse, 3, key=getkey())
    assert associate(pool, stored).weights.shape == (1, 3, 7)
    lookup = HopfieldLookup(sparse, 4, key=getkey())
    assert associate(lookup, queries, np.ones((5, 4), bool)).weights.shape == (1, 5, 4)


def test_sets_of_whole_numbers_train_the_queries(getkey):
    pictures = jr.rademacher(getkey(), (7, 8), dtype="int8")
    pool = HopfieldPooling(HopfieldAttention(8), 2, key=getkey())
    np.testing.assert_allclose(read(pool, pictures), read(pool, pictures.astype(float)), atol=1e-6)
    assert read(pool, pictures).dtype == jnp.float32
    assert read(pool, pictures.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    slopes = eqx.filter_jit(eqx.filter_grad(lambda pool: jnp.sum(pool(pictures) ** 2)))(pool)
    assert (slopes.queries != 0).all()


BAD_LAYERS = {
    "size": dict(size=0),
    "num_heads": dict(size=8, num_heads=3),
    "beta": dict(size=8, beta=0.0),
    "one a head": dict(size=8, num_heads=2, beta=[1.0, 2.0, 3.0]),
    "hidden_size": dict(size=8, stored_size=4),
    "key": dict(size=8, out_size=4),
    "num_steps": dict(size=8, num_steps=0),
    "tol": dict(size=8, tol=-1.0),
    "beta must not be given beside": dict(size=8, beta=1.0, separation=eam.Entmax(1.0)),
    "separation must be an instance": dict(size=8, separation=eam.Entmax),
}


@pytest.mark.parametrize("named", BAD_LAYERS)
def test_bad_layers_are_named(named):
    with pytest.raises(ValueError, match=named):
        HopfieldAttention(**BAD_LAYERS[named])


BAD_CALLS = {
    "queries": (jnp.ones((5, 7)), jnp.ones((7, 8)), None, None),
    "stored": (jnp.ones((5, 8)), jnp.ones((0, 8)), None, None),
    "finite": (jnp.ones((5, 8)), jnp.full((7, 8), jnp.nan), None, None),
    "values": (jnp.ones((5, 8)), jnp.ones((7, 8)), jnp.ones((6, 3)), None),
    "mask": (jnp.ones((5, 8)), jnp.ones((7, 8)), None, jnp.ones(7)),
}


@pytest.mark.parametrize("named", BAD_CALLS)
def test_bad_calls_are_named(named):
    with pytest.raises(ValueError, match=named):
        HopfieldAttention(8)(*BAD_CALLS[named])
