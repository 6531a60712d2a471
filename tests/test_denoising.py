"""In-context denoising: the Bayes answer for patterns on a sphere is one step of softmax recall."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from numpy.testing import assert_allclose

import energyam as eam


def test_the_posterior_mean_is_one_step_at_beta_of_one_over_the_variance():
    """x = ξ + σ z: E[ξ | x] weighs patterns by exp(−‖x − ξ‖²/2σ²). (Smart, Bietti & Sengupta 2025.)"""
    random, sigma = np.random.default_rng(0), 0.7
    X = random.normal(size=(12, 6))
    X = 2 * X / np.linalg.norm(X, axis=1, keepdims=True)
    clean = X[random.integers(0, 12, 400)]
    noisy = clean + sigma * random.normal(size=(400, 6))
    squares = ((noisy[:, None] - X[None]) ** 2).sum(-1) / (2 * sigma**2)
    p = np.exp(-squares + squares.min(axis=1, keepdims=True))
    expected = p @ X / p.sum(axis=1, keepdims=True)

    def step(beta):
        memory = eam.ModernHopfield(jnp.asarray(X, float), beta)
        queries = jnp.asarray(noisy, float)
        return eam.recall(memory, queries, eam.Synchronous(), 1, key=jr.key(0)).state

    assert_allclose(step(1 / sigma**2), expected, atol=1e-5)
    error = lambda answer: np.mean((np.asarray(answer) - clean) ** 2)  # noqa: E731
    assert all(error(expected) < error(step(beta)) for beta in (0.5 / sigma**2, 2 / sigma**2))
