"""Block Gibbs and independent samples: against enumeration, closed forms, and each other."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from boltzmann import boltzmann, counted, energies_of, p_value
from zoo import OWN_BINARY, all_states, patterns

import energyam as eam
from energyam.evaluation import sample_exactly

D = 5
MEMORIES = {
    "quadratic": (eam.CHN(patterns(1, 3, D)), 4.0),
    "real_patterns": (OWN_BINARY["float_quadratic"](patterns(1, 3, D)), 4.0),
    "log_sum_exp": (eam.ExponentialDenseAM(patterns(1, 3, D), 0.7), 1.0),
    "distances": (OWN_BINARY["distances"](patterns(1, 3, D)), 1 / 1.4),  # two copies
}


@pytest.mark.parametrize("name", MEMORIES)
def test_one_step_keeps_the_distribution_and_is_reversible(name, getkey):
    # Each state starts as often as exp(−E/T) says, so after one step it must come as often, and go to every
    # other as often as it comes from there.
    memory, T = MEMORIES[name]
    energies = energies_of(memory, D)
    p = boltzmann(energies, T)
    index = np.repeat(np.arange(2**D), np.round(p * 2**17).astype(int))
    start = all_states(D)[index]
    after = np.asarray(eam.sample(memory, start, eam.BlockGibbs(T), 1, key=getkey()).states[:, 0])
    counts = counted(after)
    assert p_value(counts, p, energies) > 1e-4
    assert p_value(counts, boltzmann(energies, 1.1 * T), energies) < 1e-6
    flow = np.zeros((2**D, 2**D))
    np.add.at(flow, (index, (after < 0) @ 2 ** np.arange(D)), 1)
    upper = np.triu_indices(2**D, 1)
    there, back = flow[upper], flow.T[upper]
    enough = there + back > 20
    z = (there - back)[enough] / np.sqrt((there + back)[enough])
    assert enough.sum() > 100 and 0.6 < (z**2).mean() < 1.4
    assert (index != (after < 0) @ 2 ** np.arange(D)).mean() > 0.3


def boltzmann_machine(seed):
    """A restricted Boltzmann machine of 4 and 3 neurons, and its energies."""
    W = 0.8 * jr.normal(jr.key(seed), (2, 2, 3))
    synapses = eam.synapses.Dense(W), eam.synapses.Bias(jnp.array([0.3, -0.5, 0.1]))
    neurons = {"seen": eam.Binary((2, 2)), "hidden": eam.Binary((3,))}
    pairs = [(synapses[0], ("seen", "hidden")), (synapses[1], ("hidden",))]
    memory = eam.HierarchicalMemory(neurons, pairs)
    states = np.asarray(all_states(7))
    return memory, np.asarray(jax.vmap(memory.energy)(layers(states)), float), states


def layers(flat):
    return {"seen": jnp.asarray(flat[..., :4]).reshape(*flat.shape[:-1], 2, 2), "hidden": flat[..., 4:]}


def test_a_restricted_boltzmann_machine_is_sampled_layer_by_layer(getkey):
    (memory, energies, states), T = boltzmann_machine(3), 1.3
    start = layers(jr.rademacher(getkey(), (4096, 7)))
    rule = eam.BlockGibbs(T)
    result = eam.sample(memory, start, rule, 2, key=getkey(), every=10, discard=20)
    flat = jnp.concatenate([result.states["seen"].reshape(4096, 2, 4), result.states["hidden"]], axis=-1)
    assert p_value(counted(flat), boltzmann(energies, T), energies) > 1e-4
    assert p_value(counted(flat), boltzmann(energies, 1.1 * T), energies) < 1e-6
    clamp = {"seen": jnp.array([[True, True], [False, False]]), "hidden": False}
    start["seen"] = start["seen"].at[:, 0].set(jnp.array([1, -1]))
    result = eam.sample(memory, start, rule, 2, key=getkey(), every=10, discard=20, clamp=clamp)
    flat = jnp.concatenate([result.states["seen"].reshape(4096, 2, 4), result.states["hidden"]], axis=-1)
    p = np.where((states[:, :2] == [1, -1]).all(axis=1), boltzmann(energies, T), 0)
    assert p_value(counted(flat), p / p.sum(), energies) > 1e-4


def test_layers_of_gaussian_and_binary_neurons(getkey):
    W = 0.7 * jr.normal(getkey(), (2, 3))
    neurons = {"seen": eam.Continuous((2,)), "hidden": eam.Binary((3,))}
    memory = eam.HierarchicalMemory(neurons, [(eam.synapses.Dense(W), ("seen", "hidden"))])
    T = 0.8
    start = {"seen": jnp.zeros((20_000, 2)), "hidden": jr.rademacher(getkey(), (20_000, 3), dtype=float)}
    found = eam.sample(memory, start, eam.BlockGibbs(T), 1, key=getkey(), discard=40).states
    hidden = np.asarray(all_states(3), float)
    means = hidden @ np.asarray(W).T  # of the seen neurons, whose variance is T
    p = boltzmann(-0.5 * (means**2).sum(axis=1), T)
    expected = np.einsum("h,hi,hj->ij", p, means, means) + T * np.eye(2)
    assert deviates(products(found["seen"][:, 0]), expected) < 4.5
    assert deviates(products(found["seen"][:, 0]), 1.1 * expected) > 6


def products(x):
    x = np.asarray(x, float)
    return x[:, :, None] * x[:, None]


def deviates(values, expected):
    """By how many standard errors means of independent values miss what is expected, at most."""
    values = np.asarray(values, float)
    errors = values.std(axis=0) / np.sqrt(len(values))
    return np.abs((values.mean(axis=0) - expected) / np.where(errors > 0, errors, 1)).max()


X = np.array([[1.0, 0, 0], [0, 1.2, 0], [-0.5, 0, 0.4], [0, 0, -1]])
REAL = {
    "modern": (eam.ModernHopfield(X, 2.0), np.exp((X**2).sum(axis=1))),
    "gaussian": (eam.DenseAM(X, eam.LogSumExp(2.0), eam.Free(), eam.NegativeDistance()), np.ones(4)),
}


@pytest.mark.parametrize("name", REAL)
def test_real_neurons_are_drawn_from_their_mixture_of_gaussians(name, getkey):
    (memory, weights), T = REAL[name], 0.5
    weights = weights / weights.sum()
    second = np.einsum("k,ki,kj->ij", weights, X, X) + np.eye(3) * T
    exact = sample_exactly(memory, 20_000, T, key=getkey())
    chains = eam.sample(memory, jnp.zeros((20_000, 3)), eam.BlockGibbs(T), 1, key=getkey(), discard=30)
    for x in (exact, chains.states[:, 0]):
        assert deviates(x, weights @ X) < 4 and deviates(products(x), second) < 4.5
        assert deviates(products(x), second + 0.1 * T * np.eye(3)) > 6
    halved = sample_exactly(memory, 20_000, T / 2, key=getkey())  # pairs of patterns
    mala = eam.sample(memory, halved, eam.Langevin(0.1, T / 2), 1, key=getkey(), discard=20).states[:, 0]
    assert deviates(products(mala), products(halved).mean(axis=0)) < 6  # both are noisy
    assert deviates(products(halved), products(exact).mean(axis=0)) > 20


def test_moments_of_many_neurons_are_those_of_the_closed_form(getkey):
    N, K, beta = 2304, 3, 0.7
    memory = eam.ExponentialDenseAM(patterns(1, K, N), beta)
    overlaps = np.asarray(memory.patterns, float) @ np.asarray(memory.patterns, float).T
    x = sample_exactly(memory, 3000, 1.0, key=getkey())
    found = np.asarray(x) @ np.asarray(memory.patterns, float).T
    expected = np.tanh(beta) * overlaps.mean(axis=1)
    assert deviates(found, expected) < 4
    own = found.max(axis=1)  # random patterns lie far apart
    assert deviates(own, np.tanh(beta) * N) < 4 and deviates(own, np.tanh(beta / 1.1) * N) > 20
    assert abs(own.var() / (N * (1 - np.tanh(beta) ** 2)) - 1) < 0.12
    start = jnp.tile(memory.patterns[:1], (64, 1))
    warm = eam.sample(memory, start, eam.HeatBath(1.0), 1, key=getkey(), discard=8).states[:, 0]
    own = np.asarray(warm, float) @ np.asarray(memory.patterns[0], float)
    assert deviates(own, np.tanh(beta) * N) < 4 and deviates(own, np.tanh(beta / 1.1) * N) > 8


def test_a_network_without_hidden_units_and_a_temperature_without_a_mixture():
    start, key = patterns(2, 3, 8), jr.key(0)
    memory = eam.ExponentialDenseAM(patterns(1, 3, 8), 0.7)
    calls = [
        (eam.HopfieldNetwork(jnp.eye(8)), 1.0, "memory must have hidden units .* got HopfieldNetwork"),
        (eam.PolynomialDenseAM(patterns(1, 3, 8), 3), 1.0, "memory must have hidden units"),
        (memory, 0.7, r"temperature must be 1 divided by 1, 2, 3, …, .*; got 0\.7"),
        (memory, 2.0, "got 2"),
        (memory, lambda step: 1.0 - 0.1 * step, r"got 0\.9"),
    ]
    for wrong, T, message in calls:
        with pytest.raises(ValueError, match=message):
            eam.sample(wrong, start, eam.BlockGibbs(T), 2, key=key)
    with pytest.raises(ValueError, match="got 2"):
        eam.sample(memory, start, eam.Tempering([1.0, 2.0], eam.BlockGibbs(1.0)), 2, key=key)
    for wrong, T in ((memory, 0.7), (eam.CHN(patterns(1, 3, 8)), 1.0)):
        with pytest.raises(ValueError, match="memory must be a mixture in closed form at temperature"):
            sample_exactly(wrong, 5, T, key=key)
    inside = jax.jit(lambda T: eam.sample(memory, start, eam.BlockGibbs(T), 2, key=key).energies)
    assert jnp.isfinite(inside(0.5)).all() and jnp.isnan(inside(0.7)).all()  # jit can't raise
