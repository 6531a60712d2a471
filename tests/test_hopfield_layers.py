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
    keys = jr.split(jr.key(0), 3)
    return jr.normal(keys[0], (5, 8)), jr.normal(keys[1], (7, 8)), jr.normal(keys[2], (7, 8))


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
    np.testing.assert_allclose(layer(queries, stored), recalled.state, atol=1e-6)


@pytest.mark.parametrize("num_heads", [1, 2])
def test_one_step_is_attention(sets, num_heads):
    queries, stored, values = sets
    layer = HopfieldAttention(8, num_heads=num_heads)
    expected = attention(queries, stored, values, num_heads)
    np.testing.assert_allclose(layer(queries, stored, values), expected, atol=1e-6)


def test_every_head_has_its_own_beta(sets):
    queries, stored, _ = sets
    both = HopfieldAttention(8, num_heads=2, beta=[0.5, 3.0])(queries, stored)
    for head, beta in enumerate((0.5, 3.0)):
        part = slice(4 * head, 4 * head + 4)
        alone = HopfieldAttention(4, beta=beta)(queries[:, part], stored[:, part])
        np.testing.assert_allclose(both[:, part], alone, atol=1e-6)


def test_linear_maps_and_norms_are_those_of_attention_layers(sets, getkey):
    queries, stored, _ = sets
    sizes = {"hidden_size": 12, "value_size": 6, "out_size": 5, "num_heads": 3}
    layer = HopfieldAttention(8, **sizes, normalize=True, key=getkey())
    x, s = jax.vmap(layer.query_norm)(queries), jax.vmap(layer.stored_norm)(stored)
    mapped = x @ layer.to_query.weight.T, s @ layer.to_key.weight.T, s @ layer.to_value.weight.T
    split = [rows.reshape(len(rows), 3, -1) for rows in mapped]
    weights = jax.nn.softmax(jnp.einsum("qhd,khd->hqk", split[0], split[1]) / 2.0, axis=-1)
    read = jnp.einsum("hqk,khd->qhd", weights, split[2]).reshape(5, 6)
    np.testing.assert_allclose(layer(queries, stored), read @ layer.to_out.weight.T, atol=1e-5)


def test_a_masked_set_is_the_set_without_the_masked(sets):
    queries, stored, values = sets
    mask = jnp.arange(7) < 4
    layer = HopfieldAttention(8, num_steps=3, beta=1.0)
    masked, cut = layer(queries, stored, values, mask), layer(queries, stored[:4], values[:4])
    np.testing.assert_allclose(masked, cut, atol=1e-6)
    assert not layer(queries, stored, mask=jnp.zeros(7, bool)).any()


@pytest.mark.parametrize("separation", zoo.SEPARATIONS.values(), ids=zoo.SEPARATIONS)
def test_a_masked_separation_is_that_of_the_others_alone(separation):
    similarities = jnp.array([2.0, -4.0, 6.0, 1.0, 3.0])
    mask = jnp.array([True, True, False, True, True])
    masked = Masked(separation, mask)
    left = similarities[mask]
    np.testing.assert_allclose(masked.weights(similarities)[mask], separation.weights(left), rtol=1e-5)
    assert masked.weights(similarities)[2] == 0
    assert masked.potential(similarities) == pytest.approx(float(separation.potential(left)), rel=1e-5)
    gradient = jax.grad(masked.potential)(similarities)
    np.testing.assert_allclose(masked.weights(similarities), gradient, rtol=1e-5, atol=1e-6)
    none = Masked(separation, mask & False)
    assert not none.weights(similarities).any()
    assert np.isfinite(jax.grad(none.potential)(similarities)).all()


def test_steps_with_a_tolerance_end_at_the_fixed_point(sets):
    queries, stored, _ = sets
    layer = HopfieldAttention(8, beta=0.3, num_steps=200, tol=1e-5)
    once_more = HopfieldAttention(8, beta=0.3)
    fixed = layer(queries, stored)
    np.testing.assert_allclose(once_more(fixed, stored), fixed, atol=1e-4)


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
        return eqx.filter_grad(lambda layer: jnp.sum(layer(queries, stored) ** 2))(layer)

    fixed, learned = gradient(), gradient(learn_beta=True)
    assert fixed.log_growth is None and not fixed.first_beta.any()
    assert learned.log_growth.any()


def test_pooling_sums_up_a_set_in_any_order(sets, getkey):
    _, stored, _ = sets
    pool = HopfieldPooling(HopfieldAttention(8), num_queries=2, key=getkey())
    np.testing.assert_allclose(pool(stored), pool(stored[::-1]), atol=1e-6)
    padded = jnp.concatenate([stored, 9 * jnp.ones((3, 8))])
    np.testing.assert_allclose(pool(padded, jnp.arange(10) < 7), pool(stored), atol=1e-6)


def test_lookup_reads_what_it_has_learned(sets, getkey):
    queries, _, _ = sets
    lookup = HopfieldLookup(HopfieldAttention(8), 9, key=getkey())
    np.testing.assert_allclose(lookup(queries), lookup.attention(queries, lookup.stored), atol=1e-6)
    pairs = HopfieldLookup(HopfieldAttention(8), 9, value_size=3, key=getkey())
    assert pairs(queries).shape == (5, 3)
    gradient = eqx.filter_grad(lambda lookup: jnp.sum(lookup(queries) ** 2))(pairs)
    assert gradient.stored.any() and gradient.values.any()


@pytest.mark.parametrize("num_steps", [1, 3])
def test_a_mask_for_each_query_is_each_query_with_its_mask(sets, num_steps):
    queries, stored, values = sets
    mask = jr.bernoulli(jr.key(1), 0.6, (5, 7)).at[2].set(False)
    for options in ({"beta": 2.0}, {"separation": eam.Entmax(2.0)}):
        layer = HopfieldAttention(8, num_heads=2, num_steps=num_steps, **options)
        expected = [layer(queries[t : t + 1], stored, values, mask[t])[0] for t in range(5)]
        np.testing.assert_allclose(layer(queries, stored, values, mask), jnp.stack(expected), atol=1e-6)
        assert not layer(queries, stored, values, mask)[2].any()


@pytest.mark.parametrize("masked", [False, True])
def test_weights_and_energies_are_those_of_the_read(sets, masked):
    queries, stored, values = sets
    mask = jr.bernoulli(jr.key(2), 0.7, (5, 7)).at[:, 0].set(True) if masked else None
    layer = HopfieldAttention(8, num_heads=2, beta=[0.5, 2.0], num_steps=2)
    found = layer.associate(queries, stored, values, mask)
    np.testing.assert_allclose(found.out, layer(queries, stored, values, mask), atol=1e-6)
    read = jnp.concatenate([found.weights[h] @ values[:, 4 * h : 4 * h + 4] for h in (0, 1)], axis=1)
    np.testing.assert_allclose(found.out, read, atol=1e-5)
    np.testing.assert_allclose(found.weights.sum(-1), 1, rtol=1e-5)
    if masked:
        assert not jnp.where(mask, 0, found.weights[0]).any()
    else:
        memory = eam.ModernHopfield(stored[:, 4:], 2.0)
        states = eam.recall(memory, queries[:, 4:], max_steps=1).state
        np.testing.assert_allclose(found.energies[1], jax.vmap(memory.energy)(states), rtol=1e-4)


def test_sparse_attention_is_one_argument(sets, getkey):
    queries, stored, _ = sets
    sparse = HopfieldAttention(8, separation=eam.Entmax(1.0, 2.0))
    found = sparse.associate(queries, stored)
    assert (found.weights == 0).any() and (found.weights.sum(-1) > 0.999).all()
    np.testing.assert_allclose(
        found.weights[0, 0], eam.Entmax(1.0, 2.0).weights(stored @ queries[0]), atol=1e-6
    )

    def slopes(**options):
        layer = HopfieldAttention(8, separation=eam.Entmax(1.0, 1.5), **options)
        return eqx.filter_grad(lambda layer: jnp.sum(layer(queries, stored) ** 2))(layer).separation

    assert slopes(learn_beta=True).beta != 0 and slopes(learn_beta=True).alpha != 0
    assert slopes().beta == 0
    pool = HopfieldPooling(sparse, 3, key=getkey())
    assert pool.associate(stored).weights.shape == (1, 3, 7)
    lookup = HopfieldLookup(sparse, 4, key=getkey())
    assert lookup.associate(queries, jnp.ones((5, 4), bool)).weights.shape == (1, 5, 4)


def test_sets_of_whole_numbers_train_the_queries(getkey):
    pictures = jr.rademacher(getkey(), (7, 8), dtype="int8")
    pool = HopfieldPooling(HopfieldAttention(8), 2, key=getkey())
    np.testing.assert_allclose(pool(pictures), pool(pictures.astype(float)), atol=1e-6)
    assert pool(pictures).dtype == jnp.float32 and pool(pictures.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    slopes = eqx.filter_grad(lambda pool: jnp.sum(pool(pictures) ** 2))(pool)
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
