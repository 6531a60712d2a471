"""Sequences: a ring of states is visited in order, at once or after dwelling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

import energyam as eam
from energyam import learning

RING = np.roll(np.eye(5), 1, axis=1)  # T_ij = 1 for j = i + 1, and from the last to the first


def names(patterns, states):
    """The index of the nearest pattern to each state."""
    return np.argmax(np.asarray(states) @ np.asarray(patterns, float).T, axis=-1)


@jax.jit
def ring_walk(patterns):
    """States visited in 40 steps from each of the five patterns, (5, 41, D)."""
    network = eam.SequenceNetwork(eam.sequence_weights(patterns, RING, 3.0))
    return eam.recall(network, patterns, eam.Synchronous(), max_steps=40).frames(1)


def test_the_ring_is_visited_in_order_from_any_state():
    """40 steps from each of five states, 100 neurons, for at least 95 of 100 random seeds."""
    expected = (np.arange(5)[:, None] + np.arange(41)[None]) % 5
    in_order = 0
    for seed in range(100):
        patterns = zoo.patterns(seed, 5, 100)
        in_order += np.array_equal(names(patterns, ring_walk(patterns)), expected)
    assert in_order >= 95


def test_weights_are_their_definition():
    patterns, transitions = zoo.patterns(0, 4, 30), np.random.default_rng(0).random((4, 4))
    x = np.asarray(patterns, float)
    cross = sum(transitions[i, j] * np.outer(x[j], x[i]) for i in range(4) for j in range(4))
    expected = (x.T @ x + 3 * cross) / 30
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(eam.sequence_weights(patterns, transitions, 3.0), expected, atol=1e-5)
    np.testing.assert_allclose(
        eam.sequence_weights(patterns, transitions, 0), eam.hebbian(patterns), atol=1e-6
    )


@pytest.mark.parametrize("delay", [3])
def test_states_dwell_before_they_hop(delay):
    patterns = zoo.patterns(3, 5, 200)
    network = eam.SequenceNetwork(
        eam.hebbian(patterns), 3.0 * learning.transition_weights(patterns, RING), delay
    )
    frames = eam.recall(network, network.window(patterns[0]), max_steps=30).frames(1)
    visited = names(patterns, frames[1:, :200])
    expected = (1 + np.arange(30) // (delay + 1)) % 5
    np.testing.assert_array_equal(visited, expected)


def test_a_network_without_energy_says_so():
    patterns = zoo.patterns(0, 5, 100)
    network = eam.SequenceNetwork(eam.sequence_weights(patterns, RING, 3.0))
    assert not hasattr(network, "energy")
    result = eam.recall(network, patterns[0], max_steps=7)
    assert result.energies is None and not result.converged and result.num_steps == 7
    one_by_one = eam.recall(network, patterns[0], eam.Asynchronous("sequential"), 3)  # a field is enough
    assert one_by_one.energies is None and (one_by_one.state != patterns[0]).any()
    with pytest.raises(ValueError, match="SequenceNetwork has none"):
        eam.recall(network, patterns[0], eam.HeatBath(1.0), key=jax.random.key(0))
    with pytest.raises(ValueError, match="must be symmetric"):
        eam.HopfieldNetwork(network.weights)


def share_of_hops(network, patterns):
    """How many of the first 300 patterns are followed by the next one, bit for bit."""
    step = jax.jit(jax.vmap(lambda x: network.neurons.respond(network.field(x), x)))
    nexts = step(patterns[:300].astype(float))
    return float(jnp.mean((nexts == jnp.roll(patterns, -1, axis=0)[:300]).all(axis=1)))


@pytest.mark.parametrize("degree", [1, 2])
def test_dense_sequences_hop_up_to_their_capacity_and_not_far_above(degree):
    D = 100
    capacity = eam.theory.dense_transition_capacity(D, degree)
    separation = eam.Polynomial(degree + 1, rectified=False)
    for load, low, high in ((0.5, 0.97, 1), (1, 0.5, 1), (8, 0, 0.02)):
        patterns = zoo.patterns(degree, int(load * capacity), D)
        assert low <= share_of_hops(eam.DenseSequence(patterns, separation), patterns) <= high


def test_an_exponential_sequence_holds_far_more_until_its_capacity():
    """D = 16: 4,500 transitions, where degree 2 holds 15."""
    D, capacity = 16, np.exp(eam.theory.log_exponential_transition_capacity(16))
    assert 4000 < capacity < 5000
    for load, low, high in ((0.3, 0.95, 1), (1, 0.9, 1), (10, 0.2, 0.55)):
        patterns = zoo.patterns(1, int(load * capacity), D)
        assert low <= share_of_hops(eam.DenseSequence(patterns, eam.LogSumExp(1.0)), patterns) <= high


def test_a_long_sequence_is_recalled_whole_from_a_damaged_start():
    patterns = zoo.patterns(4, 60, 80)
    network = eam.DenseSequence(patterns, eam.LogSumExp(0.5))
    result = eam.recall(network, patterns[0].at[:8].multiply(-1), max_steps=60)
    np.testing.assert_array_equal(result.frames(1)[1:], jnp.roll(patterns, -1, axis=0))
    assert result.energies is None and not result.converged


def test_a_dense_sequence_of_quadratics_is_the_network_of_weights():
    """Σ_ij T_ij ξ_j (ξ_i·x) + stay Σ_i ξ_i (ξ_i·x), by its definition in float64."""
    patterns, transitions = zoo.patterns(0, 4, 30), np.random.default_rng(0).random((4, 4))
    network = eam.DenseSequence(patterns, eam.Quadratic(), transitions, stay=0.7)
    x, xi = np.asarray(zoo.patterns(9, 1, 30)[0], float), np.asarray(patterns, float)
    field = sum(transitions[i, j] * xi[j] * (xi[i] @ x) for i in range(4) for j in range(4))
    field = field + 0.7 * xi.T @ (xi @ x)
    np.testing.assert_allclose(network.field(jnp.asarray(x, jnp.float32)), field, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("stay, expected", [(0.5, (1 + np.arange(20) // 3) % 5), (1.5, np.zeros(20))])
def test_a_pull_to_stay_dwells_and_may_hold_for_ever(stay, expected):
    patterns = zoo.patterns(3, 5, 100)
    network = eam.DenseSequence(patterns, eam.LogSumExp(0.3), stay=stay, delay=2)
    result = eam.recall(network, network.window(patterns[0]), max_steps=20)
    frames = result.frames(1)[1:]
    last = frames[jnp.minimum(jnp.arange(20), frames.shape[0] - 1)]  # it settles where it is held
    np.testing.assert_array_equal(names(patterns, last[:, :100]), expected)
    assert result.converged == (stay > 1)


def test_dense_sequences_are_saved(tmp_path):
    network = eam.DenseSequence(zoo.patterns(3, 5, 20), eam.LogSumExp(0.3), stay=0.5, delay=2)
    eam.save(tmp_path / "s.safetensors", network)
    loaded = eam.load(tmp_path / "s.safetensors")
    x = network.window(zoo.patterns(4, 1, 20)[0].astype(float))
    np.testing.assert_array_equal(loaded.field(x), network.field(x))


@pytest.mark.parametrize(
    "transitions, message",
    [
        (np.eye(4), r"transitions must be \(K, K\) with K = 5; got shape \(4, 4\)"),
        (np.ones((5, 4)), r"transitions must be \(K, K\)"),
        (np.ones(5), r"transitions must be"),
        (np.full((5, 5), np.nan), "transitions must be finite"),
    ],
)
def test_bad_transitions_are_refused(transitions, message):
    with pytest.raises(ValueError, match=message):
        eam.sequence_weights(zoo.patterns(0, 5, 20), transitions, 3.0)


def test_bad_networks_are_refused():
    with pytest.raises(ValueError, match="weights must be square"):
        eam.SequenceNetwork(np.ones((3, 4)))
    with pytest.raises(ValueError, match="delayed_weights must be given"):
        eam.SequenceNetwork(np.ones((3, 3)), delay=2)
    with pytest.raises(ValueError, match=r"delayed_weights must be \(3, 3\)"):
        eam.SequenceNetwork(np.ones((3, 3)), np.ones((4, 4)), 1)
    with pytest.raises(ValueError, match="strength"):
        eam.sequence_weights(zoo.patterns(0, 5, 20), RING, np.nan)
    with pytest.raises(ValueError, match="query must be"):
        eam.recall(eam.SequenceNetwork(np.ones((3, 3)), np.ones((3, 3)), 1), np.ones(3))
