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
    assert jnp.isnan(result.energies).all() and not result.converged and result.num_steps == 7
    with pytest.raises(ValueError, match="SequenceNetwork has none"):
        eam.recall(network, patterns[0], eam.Asynchronous("sequential"))
    with pytest.raises(ValueError, match="must be symmetric"):
        eam.HopfieldNetwork(network.weights)


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
