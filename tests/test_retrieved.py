"""Which pattern a state is: weights against softmax by hand, and the kind of end, ±1 and real."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import zoo

import energyam as eam
from energyam.evaluation import KINDS, retrieved

X = zoo.patterns(5, 9, 120)
MIXTURE = jnp.sign(X[0] - X[3] + X[6])
MEMORY = eam.ExponentialDenseAM(X, 0.05)


def kinds(found):
    return [KINDS[i] for i in np.atleast_1d(found.kind)]


def test_weights_are_the_softmax():
    states = jnp.stack([X[2], X[2].at[:40].multiply(-1), MIXTURE, X[7]]).astype(jnp.int8)
    found = jax.vmap(retrieved, (None, 0))(MEMORY, states)
    shares = jax.nn.softmax(0.05 * states.astype(float) @ X.T.astype(float), axis=1)
    weights, indices = jax.lax.top_k(shares, 2)
    np.testing.assert_array_equal(found.index, indices[:, 0])
    np.testing.assert_allclose(found.weight, weights[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found.runner_up_weight, weights[:, 1], rtol=1e-5)
    np.testing.assert_allclose(shares[jnp.arange(4), found.runner_up], weights[:, 1], rtol=1e-5)


def test_kinds_of_ends_of_binary_memories():
    states = jnp.stack([X[2], X[4].at[:6].multiply(-1), -X[1], MIXTURE, zoo.patterns(99, 1, 120)[0]])
    found = jax.vmap(retrieved, (None, 0))(eam.CHN(X), states)
    assert kinds(found) == ["pattern", "pattern", "inverse", "mixture", "spurious"]
    assert found.index[:3].tolist() == [2, 4, 1]
    overlaps = np.abs(np.asarray(X, float) @ np.asarray(X[2], float))
    np.testing.assert_allclose(found.weight[0], overlaps[2] / overlaps.sum(), rtol=1e-5)


def test_recall_of_real_memories_ends_in_patterns_or_in_mixtures():
    """Two patterns near each other, one far: separate at a large β, one metastable state at a small one."""
    patterns = jnp.array([[4.0, 0.5], [4.0, -0.5], [-4.0, 0.0]])

    def ends(beta):
        memory = eam.ModernHopfield(patterns, beta)
        states = eam.recall(memory, patterns + 0.1, max_steps=300).state
        return jax.vmap(retrieved, (None, 0))(memory, states)

    apart, together = ends(20.0), ends(1.0)
    assert kinds(apart) == ["pattern"] * 3 and apart.index.tolist() == [0, 1, 2]
    assert (apart.weight > 0.99).all()
    assert kinds(together) == ["mixture", "mixture", "pattern"]
    np.testing.assert_allclose(together.weight[:2] + together.runner_up_weight[:2], 1, atol=1e-4)
    moving = retrieved(eam.ModernHopfield(patterns, 1.0), np.array([1.0, 3.0]))
    assert kinds(moving) == ["spurious"]


def test_distances_spheres_and_sparse_weights():
    """Far from the origin too, where cosines say nothing; weights that are 0; no weights at all."""
    patterns = jr.normal(jr.key(0), (5, 3)) + 50
    gaussian = eam.DenseAM(patterns, eam.LogSumExp(40.0), eam.Free(), eam.NegativeDistance())
    assert kinds(retrieved(gaussian, patterns[3] + 0.01)) == ["pattern"]
    assert retrieved(gaussian, patterns[3] + 0.01).index == 3
    units = (patterns - 50) / jnp.linalg.norm(patterns - 50, axis=1, keepdims=True)
    sphere = eam.DenseAM(units, eam.TopK(eam.LogSumExp(30.0), 2), eam.Spherical())
    assert kinds(retrieved(sphere, units[1])) == ["pattern"] and retrieved(sphere, units[1]).index == 1
    silent = retrieved(eam.PatternSDM(X, 5), zoo.patterns(98, 1, 120)[0])
    assert silent.weight == 0 and kinds(silent) == ["spurious"]


def test_a_single_pattern_has_no_runner_up_and_ties_go_to_the_nearest():
    alone = retrieved(eam.ModernHopfield(np.ones((1, 4)), 1.0), np.ones(4))
    assert (int(alone.index), int(alone.runner_up), float(alone.runner_up_weight)) == (0, -1, 0)
    assert alone.weight == 1 and kinds(alone) == ["pattern"]
    sharp = retrieved(eam.ExponentialDenseAM(X, 50.0), X[2])  # the others' weights underflow
    overlaps = np.asarray(X, float) @ np.asarray(X[2], float)
    assert sharp.runner_up == np.argsort(overlaps)[-2] and sharp.runner_up_weight == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "int8"])
def test_narrow_states_inside_jit(dtype):
    found = jax.jit(lambda x: retrieved(MEMORY, x))(X[2].astype(dtype))
    assert found.index == 2 and found.kind == 0
