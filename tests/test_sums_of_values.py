"""Sums over states, losses and minima of neurons 0/1, of units, and of layers, against enumeration in
numpy."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from enumerated import of_bits, of_layers, of_units

import energyam as eam
from energyam.partition.enumeration import enumerated

KNOWN = {
    "bits": lambda: of_bits("polynomial_3", "zeros"),
    "steep bits": lambda: of_bits("steep", "bits"),
    "bits of a network": lambda: of_bits("hopfield_biased"),
    "bits, energy alone": lambda: of_bits("energy_alone"),
    "units": lambda: of_units("potts_hopfield"),
    "units of patterns": lambda: of_units("potts_polynomial"),
    "units, energy alone": lambda: of_units("potts_energy_alone"),
    "layers": of_layers,
}
T = 0.8


@pytest.fixture(params=KNOWN)
def known(request):
    return KNOWN[request.param]()


def log_sum(energies, T):
    return np.logaddexp.reduce(-energies / T)


def test_partition_functions_and_expectations(known):
    found = eam.evaluation.log_partition(known.memory, T)
    np.testing.assert_allclose(found, log_sum(known.energies, T), rtol=1e-5)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(found, log_sum(known.energies, 1.15 * T), rtol=1e-5)
    p = np.exp(-known.energies / T - log_sum(known.energies, T))
    mean = eam.evaluation.expectation(known.memory, lambda state: state, T)
    expected = jax.tree.map(lambda leaf: np.tensordot(p, np.asarray(leaf), 1), known.states)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), mean, expected)


def test_partition_functions_by_kinds_and_by_mixtures_are_those_of_enumeration():
    for kind in ("signs", "bits", "zeros"):
        known = of_bits("exponential", kind)  # few patterns, so by kinds of neurons at most temperatures
        for temperature in (0.9, 1.0, 0.5):  # and a mixture at 1 and a half
            found = eam.evaluation.log_partition(known.memory, temperature)
            np.testing.assert_allclose(found, log_sum(known.energies, temperature), rtol=1e-5)
            by_states = np.logaddexp.reduce(enumerated(known.memory, lambda state: (), temperature)[0])
            np.testing.assert_allclose(found, by_states, rtol=1e-5)
    known = of_units("potts_exponential")
    for temperature in (1.0, 0.5):
        found = eam.evaluation.log_partition(known.memory, temperature)
        np.testing.assert_allclose(found, log_sum(known.energies, temperature), rtol=1e-5)


def some_of(known, count=12):
    chosen = np.random.default_rng(1).choice(len(known.energies), count, replace=False)
    return chosen, jax.tree.map(lambda leaf: leaf[chosen], known.states)


def plain_losses(known, chosen, T):
    """Pseudo-likelihood and probability flow of some states, and both with half the changes."""
    changes, present = known.changes[chosen] / T, known.neighbours[chosen] >= 0
    ways = np.where(present, np.exp(changes), 0)
    return np.log(1 + ways.sum(axis=2)).sum(axis=1).mean(), np.sqrt(ways).sum(axis=(1, 2)).mean()


def test_pseudo_likelihoods_and_probability_flows(known):
    chosen, states = some_of(known)
    found = [
        loss(known.memory, states, 2 * T) for loss in (eam.nn.pseudo_likelihood, eam.nn.probability_flow)
    ]
    np.testing.assert_allclose(found, plain_losses(known, chosen, 2 * T), rtol=1e-4)
    for wrong in (4 * T, 2 * T * 1.15):
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(found, plain_losses(known, chosen, wrong), rtol=1e-4)


def test_gradients_of_pseudo_likelihoods_of_networks():
    """Of couplings of bits and of units, against differences, in a direction that is symmetric."""
    for known in (of_bits("hopfield_biased"), of_units("potts_hopfield")):
        _, states = some_of(known)
        memory, rng = known.memory, np.random.default_rng(0)
        way = rng.normal(size=memory.weights.shape)
        way = jnp.asarray(way + way.T, float)

        def loss(t, memory=memory, way=way, states=states):
            moved = eam.HopfieldNetwork(memory.weights + t * way, memory.bias, memory.neurons)
            return eam.nn.pseudo_likelihood(moved, states, 2.0)

        slope, h = jax.grad(loss)(0.0), 1e-2
        np.testing.assert_allclose(slope, (loss(h) - loss(-h)) / (2 * h), rtol=2e-2)


def test_local_minima_are_those_of_enumeration(known):
    found = np.asarray(eam.is_local_minimum(known.memory, known.states))
    np.testing.assert_array_equal(found, known.minima)
    assert found.any() and not found.all()


def test_a_state_that_one_bit_lowers_is_no_minimum():
    """No move of a ±1 neuron or of a unit lowers it: the bit alone does."""
    known = of_layers()
    lower = known.changes.max(axis=2) > 1e-3
    bit_alone = lower[:, :2].any(axis=1) & ~lower[:, 2:].any(axis=1)
    assert bit_alone.any()
    state = jax.tree.map(lambda leaf: leaf[np.argmax(bit_alone)], known.states)
    assert not eam.is_local_minimum(known.memory, state)
    assert eam.is_local_minimum(known.memory, state, clamp={"bits": True})
    memory = eam.HopfieldNetwork(np.array([[0.0, -3], [-3, 0]]), np.array([1.0, 1]), eam.ZeroOne())
    found = eam.is_local_minimum(memory, np.array([[0, 0], [1, 0], [0, 1], [1, 1]]))
    np.testing.assert_array_equal(found, [False, True, True, False])


def test_annealing_finds_the_lowest_state(known):
    found = eam.ising.minimize(known.memory, 32, 60, key=jr.key(0))
    lowest = known.energies.min()
    np.testing.assert_allclose(found.energy, lowest, rtol=1e-5, atol=1e-5)
    state = jax.tree.map(lambda leaf: leaf[None], found.state)
    np.testing.assert_allclose(known.energies[known.places(state)], lowest, rtol=1e-6, atol=1e-6)
    assert found.is_minimum


def paths(known, update, starts):
    """A recall, and the states that its frames say it went through."""
    result = eam.recall(known.memory, starts, update, 30, key=jr.key(2))
    return result, result.frames(every=1)


@pytest.mark.parametrize("order", ["permutation", "uniform"])
def test_frames_are_the_states_that_the_recall_went_through(known, order):
    _, starts = some_of(known, 8)
    result, frames = paths(known, eam.Asynchronous(order), starts)
    assert (np.asarray(result.record.indices) >= 0).any()
    energies = known.energies[known.places(frames)].reshape(8, -1)
    np.testing.assert_allclose(energies[:, 1:], result.energies, rtol=1e-4, atol=1e-4)
    ends = jax.tree.map(lambda leaf: leaf[:, -1], frames)
    jax.tree.map(np.testing.assert_array_equal, ends, result.state)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[:, 0], b), frames, starts)
    assert (np.diff(energies, axis=1) <= 1e-5).all() and known.minima[known.places(ends)].all()
    hot, frames = paths(known, eam.HeatBath(3.0, order), starts)
    energies = known.energies[known.places(frames)].reshape(8, -1)
    np.testing.assert_allclose(energies[:, 1:], hot.energies, rtol=1e-4, atol=1e-4)
