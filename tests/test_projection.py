"""The learned projection: what it reads, and that training helps held-out queries with held-out keys."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

import energyam as eam


def pictures(key, K, D=40, rank=6):
    """Vectors that vary along few directions, far from zero mean: like pictures, hard for plain cosines."""
    return 2.0 + jr.normal(key, (K, rank)) @ jr.normal(jr.key(99), (rank, D))


def cosine_to(targets, reads):
    norms = jnp.linalg.norm(targets, axis=1) * jnp.linalg.norm(reads, axis=1)
    return float(jnp.mean(jnp.sum(targets * reads, axis=1) / norms))


WEIGHTINGS = {
    "circle": lambda: eam.CircleIntersection(16, 2, cosines=True),
    "cap": lambda: eam.CapIntersection(16, 2),
    "softmax": lambda: eam.LogSumExp(eam.theory.fit_beta(16, 2).beta),
}


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_training_brings_held_out_queries_to_held_out_keys(name):
    stored, held_out = pictures(jr.key(0), 60), pictures(jr.key(1), 60)
    model = eam.nn.ProjectedMemory(40, WEIGHTINGS[name](), latent_size=16, key=jr.key(2))
    loss = eam.nn.ReconstructionLoss(stored, batch_size=32, low=0.7)
    trained = eam.nn.train(model, optax.adam(0.02), loss, 60, every=60, progress=False, key=jr.key(3))
    assert trained.losses[-10:].mean() < trained.losses[:10].mean()
    queries = eam.nn.perturb(held_out, 0.8, key=jr.key(4))
    before, after = (jax.vmap(m, (0, None))(queries, held_out) for m in (model, trained.model))
    assert cosine_to(held_out, after) > max(cosine_to(held_out, before), cosine_to(held_out, queries))


@pytest.mark.parametrize("train_separation", [False, True])
def test_beta_is_trained_on_request(train_separation):
    stored = pictures(jr.key(5), 20)
    model = eam.nn.ProjectedMemory(40, eam.LogSumExp(5.0), 16, train_separation, key=jr.key(6))
    loss = eam.nn.ReconstructionLoss(stored, batch_size=8)
    trained = eam.nn.train(model, optax.adam(0.1), loss, 3, progress=False, key=jr.key(7)).model
    assert (trained.separation.beta != 5.0) == train_separation


def test_reads_are_weighted_means_and_no_weight_reads_the_query():
    stored = jnp.eye(4) + 0.1
    model = eam.nn.ProjectedMemory(4, eam.LogSumExp(3.0), 8, key=jr.key(8))
    cosines = model.project(stored) @ model.project(stored[1])
    np.testing.assert_allclose(model(stored[1], stored), jax.nn.softmax(3 * cosines) @ stored, rtol=1e-5)
    narrow = eam.nn.ProjectedMemory(4, eam.CapIntersection(8, 0.01), 8, key=jr.key(9))
    np.testing.assert_allclose(narrow(-stored[0], stored), -stored[0])


def test_perturbations_keep_norms_and_have_the_cosine():
    vectors, cosines = 3 * jr.normal(jr.key(10), (5, 30)), jnp.linspace(-1, 1, 5)
    turned = eam.nn.perturb(vectors, cosines, key=jr.key(11))
    norms = jnp.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(jnp.linalg.norm(turned, axis=1), norms, rtol=1e-5)
    np.testing.assert_allclose(jnp.sum(turned * vectors, 1) / norms**2, cosines, atol=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: eam.nn.ProjectedMemory(0, eam.ReLU(), key=jr.key(0)),
        lambda: eam.nn.ProjectedMemory(4, eam.ReLU(), 0, key=jr.key(0)),
        lambda: eam.nn.ProjectedMemory(4, eam.ReLU(), key=jr.key(0))(jnp.ones(5), jnp.ones((2, 4))),
        lambda: eam.nn.ProjectedMemory(4, eam.ReLU(), key=jr.key(0))(jnp.ones(4), jnp.ones((2, 5))),
        lambda: eam.nn.ReconstructionLoss(jnp.ones(4)),
        lambda: eam.nn.ReconstructionLoss(jnp.ones((2, 4)), low=2.0),
        lambda: eam.nn.perturb(jnp.ones(4), 1.5, key=jr.key(0)),
        lambda: eam.nn.perturb(jnp.ones((3, 1)), 0.5, key=jr.key(0)),
    ],
)
def test_wrong_use(call):
    with pytest.raises(ValueError, match="must"):
        call()
