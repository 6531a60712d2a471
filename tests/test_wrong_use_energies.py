"""Wrong use of separations, distances and graded neurons: every message names the argument and the fix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import energyam as eam

X = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])


def with_neurons(neurons, query):
    return eam.recall(eam.DenseAM(X, eam.LogSumExp(1.0), neurons), query)


WRONG = {
    "alpha_1": (lambda: eam.Entmax(1.0, 1.0), r"alpha must be above 1 and at most 3; got 1.*LogSumExp"),
    "alpha_4": (lambda: eam.Entmax(1.0, 4.0), r"alpha must be above 1 and at most 3; got 4"),
    "alpha_nan": (lambda: eam.Entmax(1.0, float("nan")), "alpha must be finite"),
    "alphas": (lambda: eam.Entmax(1.0, [1.5, 2.0]), r"alpha must be \(\)"),
    "beta": (lambda: eam.Entmax(0.0), "beta must be positive"),
    "k": (lambda: eam.KSubsets(1.0, 0), "k must be an integer of at least 1"),
    "k_real": (lambda: eam.KSubsets(1.0, 1.5), "k must be an integer"),
    "k_of_K": (lambda: eam.KSubsets(1.0, 4).weights(jnp.ones(3)), "k must be at most K = 3, .*; got 4"),
    "k_of_K_jit": (
        lambda: jax.jit(lambda s: eam.KSubsets(1.0, 4).potential(s))(jnp.ones(3)),
        "k must be at most K = 3",
    ),
    "k_of_memory": (
        lambda: eam.DenseAM(X, eam.KSubsets(1.0, 4), eam.Continuous()).energy(X[0]),
        "k must be at most K = 2",
    ),
    "relu_beta": (lambda: eam.LogSumReLU(-1.0), "beta must be positive"),
    "gaussian_beta": (lambda: eam.GaussianDenseAM(X, 0.0), "beta must be positive"),
    "epanechnikov_beta": (lambda: eam.EpanechnikovDenseAM(X, np.inf), "beta must be positive"),
    "epanechnikov_patterns": (lambda: eam.EpanechnikovDenseAM(X[0], 1.0), r"patterns must be \(K, D\)"),
    "gaussian_nan": (lambda: eam.GaussianDenseAM(X * np.nan, 1.0), "patterns must be finite"),
    "in_reach": (lambda: eam.EpanechnikovDenseAM(X, 1.0).in_reach(X), r"state must be \(3,\).*jax.vmap"),
    "tanh": (lambda: eam.Tanh(0.0), "beta must be positive"),
    "sigmoid": (lambda: eam.Sigmoid(-1.0), "beta must be positive"),
    "softmax": (lambda: eam.Softmax("hot"), "beta must be a number"),
    "gain": (lambda: eam.LayerNorm(gain=0.0), "gain must be positive"),
    "eps": (lambda: eam.LayerNorm(eps=-1e-5), "eps must be positive"),
    "offset": (lambda: eam.LayerNorm(offset=np.zeros((2, 3))), r"offset must be \(D\)"),
    "offset_size": (lambda: with_neurons(eam.LayerNorm(offset=np.zeros(4)), X[0]), "as offset is"),
    "range_tanh": (lambda: with_neurons(eam.Tanh(1.0), X[0] * 3), r"query must be from -1 to 1.*retract"),
    "range_sigmoid": (
        lambda: with_neurons(eam.Sigmoid(1.0), -X[0]),
        "query must be from 0 to 1; got entries from -0.5",
    ),
    "range_rectified": (lambda: with_neurons(eam.Rectified(), -X[0]), "query must be of at least 0"),
    "range_softmax": (
        lambda: with_neurons(eam.Softmax(1.0), X[0] / 2),
        "query must sum to 1 along the last axis",
    ),
    "range_layer_norm": (lambda: with_neurons(eam.LayerNorm(), X[0]), "must have mean 0 and length"),
    "range_layer_norm_long": (
        lambda: with_neurons(eam.LayerNorm(), np.array([3.0, -3, 0])),
        "length at most",
    ),
    "coupled_clamp": (
        lambda: eam.recall(
            eam.DenseAM(X, eam.LogSumExp(1.0), eam.Softmax(1.0)), X[0], clamp=np.array([True, False, False])
        ),
        "clamp must hold all neurons of a state or none",
    ),
    "asynchronous": (
        lambda: eam.recall(eam.GaussianDenseAM(X, 1.0), X[0], eam.Asynchronous(), key=jax.random.key(0)),
        "memory must have ±1 neurons for Asynchronous, .* those of GaussianDenseAM are Free",
    ),
    "layer_mask": (
        lambda: eam.nn.HopfieldAttention(3)(X, X, mask=np.ones((3, 2), bool)),
        r"mask must be \(2,\) bool, or \(2, 2\) with one for each query; got shape \(3, 2\)",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_is_told(name):
    make, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        make()


def test_a_radius_without_any_pattern_is_told_in_the_answer():
    memory = eam.EpanechnikovDenseAM(X, 200.0)
    result = eam.recall(memory, np.array([[5.0, 5.0, 5.0], X[0]]))
    assert [eam.STATUSES[int(s)] for s in result.status] == ["not finite", "settled"]
    np.testing.assert_array_equal(result.state[0], [5.0, 5.0, 5.0])
    assert not memory.in_reach(result.state[0]).any() and result.energies[0, -1] == np.inf


def test_a_damaged_file_is_refused(tmp_path):
    import equinox as eqx

    memory = eam.DenseAM(X, eam.Entmax(1.0, 1.5), eam.Continuous())
    wrong = eqx.tree_at(lambda memory: memory.separation.alpha, memory, jnp.asarray(7.0))
    eam.save(tmp_path / "memory", wrong)
    with pytest.raises(ValueError, match="alpha must be above 1"):
        eam.load(tmp_path / "memory")
