"""The energy transformer: its gradient, its descent, masked completion, and training."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from jax import export

import energyam as eam
from energyam import nn


def model(**options):
    made = nn.EnergyTransformer(
        4, 9, 8, num_heads=2, head_size=3, num_patterns=6, num_steps=5, **options, key=jr.key(0)
    )
    # Weights far from 0, so that the parts of the gradient count.
    spread = lambda W, seed: jr.normal(jr.key(seed), W.shape) / 2  # noqa: E731
    weights = lambda m: (m.query_weights, m.key_weights, m.patterns)  # noqa: E731
    return jax.tree.map(
        lambda x: x, _with(made, weights, [spread(W, i) for i, W in enumerate(weights(made))])
    )


def _with(module, where, new):
    return eqx.tree_at(where, module, tuple(new))


def published_force(model, g, seen):
    """−∂E/∂g as section 3 of the paper has it, by sums over heads and tokens; `seen[C, B]`."""
    Wq, Wk, X, g = (np.array(a, float) for a in (model.query_weights, model.key_weights, model.patterns, g))
    beta, N = Wq.shape[1] ** -0.5, len(g)
    force = np.maximum(g @ X.T, 0) @ X
    for q, k in zip(Wq, Wk, strict=True):
        K, Q = g @ k.T, g @ q.T
        weights = np.where(seen, np.exp(beta * Q @ K.T), 0)
        weights /= np.maximum(weights.sum(1, keepdims=True), 1e-300)
        for A in range(N):
            force[A] += q.T @ sum(weights[A, B] * K[B] for B in range(N))
            force[A] += k.T @ sum(weights[C, A] * Q[C] for C in range(N))
    return force


@pytest.mark.parametrize("kind", ["others", "all", "graph"])
def test_the_closed_form_of_the_gradient_equals_autodiff(kind):
    transformer = model(own=kind == "all")
    g = jr.normal(jr.key(5), (4, 8))
    ring = np.roll(np.eye(4, dtype=bool), 1, axis=1) | np.roll(np.eye(4, dtype=bool), 2, axis=1)
    adjacency = ring if kind == "graph" else None
    field = transformer.memory(4, adjacency).field({"tokens": g})["tokens"]
    seen = {"others": ~np.eye(4, dtype=bool), "all": np.ones((4, 4), bool), "graph": ring}[kind]
    np.testing.assert_allclose(field, published_force(transformer, g, seen), rtol=2e-4, atol=2e-5)


def test_a_step_is_the_published_one_and_small_steps_go_down():
    transformer = model(step_size=0.01)
    x = jr.normal(jr.key(6), (4, 8))
    g = transformer.norm.respond(x, x)
    once = transformer.descend(x, num_steps=1)
    wanted = np.array(x) + 0.01 * published_force(transformer, g, ~np.eye(4, dtype=bool))
    np.testing.assert_allclose(once.tokens, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(once.energies[0], -transformer.memory(4).potential({"tokens": g}), rtol=1e-5)
    assert (np.diff(transformer.descend(x, num_steps=30).energies) < 0).all()


def test_the_energy_never_rises_token_by_token():
    transformer = model()
    memory, x = transformer.memory(4), jr.normal(jr.key(7), (3, 4, 8))
    start = {"tokens": jax.vmap(transformer.norm.respond)(x, x)}
    result = eam.recall(memory, start, max_steps=12)
    energies = np.concatenate([result.initial_energy[:, None], result.energies], axis=1)
    assert (np.diff(energies, axis=1) <= 1e-5 * np.abs(energies).max()).all()


def test_hidden_patches_are_not_looked_at_and_nodes_see_their_neighbours_alone():
    transformer = model(positions=False)
    patches, hidden = jr.normal(jr.key(8), (4, 9)), jnp.array([False, True, False, False])
    changed = patches.at[1].add(1.0)
    np.testing.assert_array_equal(transformer(patches, hidden), transformer(changed, hidden))
    assert jnp.abs(transformer(patches) - transformer(changed)).max() > 1e-3
    pairs = jnp.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], bool)
    apart, moved = transformer(patches, None, pairs), transformer(changed, None, pairs)
    np.testing.assert_allclose(apart[2:], moved[2:], atol=1e-6)
    assert jnp.abs(apart[0] - moved[0]).max() > 1e-3


def test_checkpointed_gradients_equal_those_of_all_steps():
    patches, hidden = jr.normal(jr.key(9), (4, 9)), jnp.array([True, False, False, True])
    slopes = [
        jax.grad(
            lambda patterns, m=m: jnp.sum(_with(m, lambda m: (m.patterns,), [patterns])(patches, hidden) ** 2)
        )(m.patterns)
        for m in (model(), model(checkpointed=True))
    ]
    assert jnp.abs(slopes[0]).max() > 1e-3
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-4, atol=1e-6)


def test_patches_are_blocks_of_the_picture():
    pictures = np.arange(2 * 4 * 6.0).reshape(2, 4, 6)
    patches = nn.as_patches(pictures, 2)
    assert patches.shape == (2, 6, 4)
    np.testing.assert_array_equal(patches[1, 4], pictures[1, 2:4, 2:4].ravel())


def test_training_on_masked_pictures_lowers_the_loss(tmp_path):
    bars = jnp.stack([jnp.eye(6)[i][None] * jnp.ones((6, 1)) for i in range(6)])
    loss = nn.MaskedCompletion(nn.as_patches(jnp.concatenate([bars, bars.swapaxes(1, 2)]), 3), batch_size=8)
    start = nn.EnergyTransformer(
        4, 9, 8, num_heads=2, head_size=3, num_patterns=6, num_steps=3, key=jr.key(1)
    )
    path = tmp_path / "run.safetensors"
    trained = nn.train(
        start, optax.adam(1e-2), loss, 60, every=30, checkpoint=path, progress=False, key=jr.key(2)
    )
    assert trained.losses[-10:].mean() < 0.85 * trained.losses[:5].mean()
    again = nn.train(
        start, optax.adam(1e-2), loss, 60, every=30, checkpoint=path, progress=False, key=jr.key(2)
    )
    np.testing.assert_array_equal(again.losses, trained.losses)
    assert trained.model.step_size == start.step_size
    eam.save(tmp_path / "model.safetensors", trained.model)
    loaded = eam.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded(loss.patches[0]), trained.model(loss.patches[0]))


def test_known_tokens_are_clamped_and_the_others_go_down():
    transformer = model()
    x = jr.normal(jr.key(10), (3, 4, 8))
    start = {"tokens": jax.vmap(transformer.norm.respond)(x, x)}
    known = jnp.array([True, False, True, False])
    result = eam.recall(transformer.memory(4), start, max_steps=6, clamp={"tokens": known[:, None]})
    np.testing.assert_array_equal(result.state["tokens"][:, known], start["tokens"][:, known])
    assert jnp.abs(result.state["tokens"] - start["tokens"])[:, ~known].max() > 0.1
    assert (np.diff(result.energies, axis=1) <= 1e-5 * np.abs(result.energies).max()).all()
    # Half a token can't be held, as its neurons constrain one another.
    with pytest.raises(ValueError, match="must hold all neurons of a state or none along the last axis"):
        eam.recall(transformer.memory(4), start, clamp={"tokens": jnp.arange(8) < 4})


def test_double_precision_agrees_with_the_closed_form_to_rounding(x64):
    transformer = jax.tree.map(
        lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf, model()
    )
    g = jr.normal(jr.key(5), (4, 8))
    field = transformer.memory(4).field({"tokens": g})["tokens"]
    assert field.dtype == jnp.float64
    wanted = published_force(transformer, g, ~np.eye(4, dtype=bool))
    np.testing.assert_allclose(field, wanted, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_a_training_step_lowers_for_accelerators(platform):
    patches = jnp.arange(5 * 4 * 9.0).reshape(5, 4, 9)
    loss, params = nn.MaskedCompletion(patches, batch_size=2), eqx.filter(model(), eqx.is_array)
    rest = eqx.filter(model(), eqx.is_array, inverse=True)

    def slope(leaves, key_data):
        made = eqx.combine(jax.tree.unflatten(jax.tree.structure(params), leaves), rest)
        return jax.tree.leaves(jax.grad(loss)(made, jr.wrap_key_data(key_data)))

    shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(params)]
    exported = export.export(jax.jit(slope), platforms=[platform])(
        shapes, jax.ShapeDtypeStruct((2,), jnp.uint32)
    )
    assert exported.platforms == (platform,)


def test_a_loss_takes_any_function_that_completes_patches():
    patches = jr.normal(jr.key(0), (5, 4, 9))
    loss = nn.MaskedCompletion(patches, batch_size=8)
    blank = loss(lambda patches, hidden, adjacency: 0 * patches, jr.key(1))
    perfect = loss(lambda patches, hidden, adjacency: patches, jr.key(1))
    assert perfect == 0 and 0.3 < blank < 3
    with pytest.raises(ValueError, match="model must be a function; got 3"):
        loss(3, jr.key(1))
    with pytest.raises(ValueError, match=r"model must return an array of shape \(4, 9\); got None"):
        loss(lambda patches, hidden, adjacency: None, jr.key(1))
