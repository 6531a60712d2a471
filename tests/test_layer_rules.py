"""Rules over layers: blockwise recall, relaxation and line search, and what they guarantee."""

import importlib

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import energyam as eam

# jax 0.7 has it in `experimental` alone, newer ones warn of it there.
enable_x64 = (jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")).enable_x64


def network(scale=1.0, seed=0):
    """Layer norm, tanh and softmax, all coupled; a memory and a batch of three states."""
    keys = jr.split(jr.key(seed), 6)
    neurons = {
        "norm": eam.LayerNorm(1.3, eps=0.1, shape=(6,)),
        "tanh": eam.Tanh(2.0, shape=(5,)),
        "name": eam.Softmax(1.5, shape=(4,)),
    }
    couple = lambda key, a, b: (  # noqa: E731
        eam.synapses.Dense(scale * jr.normal(key, neurons[a].shape + neurons[b].shape)),
        (a, b),
    )
    synapses = [
        couple(keys[0], "norm", "tanh"),
        couple(keys[1], "tanh", "name"),
        couple(keys[2], "name", "norm"),
    ]
    inputs = {
        name: jr.normal(key, (3, *neurons[name].shape)) for name, key in zip(neurons, keys[3:], strict=True)
    }
    states = {name: jax.vmap(layer.respond)(inputs[name], inputs[name]) for name, layer in neurons.items()}
    return eam.HierarchicalMemory(neurons, synapses), states


def tokens(own=False, opposed=True):
    """Attention among five tokens on spheres, with some patterns."""
    Wq, X, g = jr.normal(jr.key(0), (2, 3, 6)), jr.normal(jr.key(1), (7, 6)), jr.normal(jr.key(2), (3, 5, 6))
    Wk = -Wq if opposed else jr.normal(jr.key(3), (2, 3, 6))
    synapses = [
        (eam.synapses.Attention(Wq, Wk, own=own), ("tokens",)),
        (eam.synapses.Patterns(X / 10, eam.Polynomial(2)), ("tokens",)),
    ]
    memory = eam.HierarchicalMemory({"tokens": eam.LayerNorm(shape=(5, 6))}, synapses)
    return memory, {"tokens": jax.vmap(memory.neurons["tokens"].respond)(g, g)}


def energies_of(result):
    return np.concatenate([result.initial_energy[:, None], result.energies], axis=1)


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_a_visit_changes_the_energy_by_just_the_bregman_divergences(rate):
    with enable_x64(True):
        memory, states = network(0.4)
        result = eam.recall(memory, states, eam.Blockwise(rate, tol=0), 8)
        energies, frames = energies_of(result), result.frames(every=1)
        np.testing.assert_allclose(energies, jax.vmap(jax.vmap(memory.energy))(frames), rtol=1e-9)
        assert (np.diff(energies, axis=1) <= 1e-12).all()
        for at, name in enumerate(memory.order):
            layer = memory.neurons[name]
            of_layer = frames[name].reshape(-1, frames[name].shape[-1])
            costs = np.array(jax.vmap(layer.energy)(of_layer)).reshape(3, -1)
            slopes = np.array(jax.vmap(jax.grad(layer.energy))(of_layer)).reshape(frames[name].shape)
            old, new = (np.arange(first, 25 + first - 1, 3) for first in (at, at + 1))
            moved = np.array(frames[name][:, new] - frames[name][:, old])
            ahead = costs[:, new] - costs[:, old] - (slopes[:, old] * moved).sum(-1)
            back = costs[:, old] - costs[:, new] + (slopes[:, new] * moved).sum(-1)
            change = energies[:, new] - energies[:, old]
            np.testing.assert_allclose(change, (1 - 1 / rate) * ahead - back / rate, rtol=1e-5, atol=1e-9)


def test_a_visit_at_rate_one_goes_to_the_lowest_point_of_the_layer():
    memory, states = network()
    state = jax.tree.map(lambda leaf: leaf[0], states)
    clamp = {"norm": True, "name": True}
    after = eam.recall(memory, state, eam.Blockwise(), 1, clamp=clamp).state
    field = memory.field(state)["tanh"]
    np.testing.assert_allclose(after["tanh"], jnp.tanh(2.0 * field), rtol=1e-5)
    for name in ("norm", "name"):
        np.testing.assert_array_equal(after[name], state[name])
    others = jnp.clip(after["tanh"][None] + 0.1 * jr.normal(jr.key(5), (100, 5)), -0.999, 0.999)
    energies = jax.vmap(lambda tanh: memory.energy({**after, "tanh": tanh}))(others)
    assert (energies >= memory.energy(after)).all()


def test_a_joint_step_may_rise_where_blockwise_recall_never_does():
    memory, states = network(2.0)
    joint = energies_of(eam.recall(memory, states, eam.Relaxation(1.0), 60))
    blocks = energies_of(eam.recall(memory, states, max_steps=60))
    assert (np.diff(joint, axis=1) > 0.01).any()
    assert (np.diff(blocks, axis=1) <= 1e-5 * np.abs(blocks).max()).all()


def test_relaxation_falls_below_the_rate_of_the_couplings():
    memory, states = network(0.6)
    sizes = [6, 5, 4]
    starts = dict(zip(memory.order, np.cumsum([0, *sizes]), strict=False))
    W = np.zeros((15, 15))
    for synapse, (a, b) in zip(memory.synapses, memory.connections, strict=True):
        part = np.array(synapse.weights)
        W[starts[a] : starts[a] + part.shape[0], starts[b] : starts[b] + part.shape[1]] = part
    # λ of layer norm is γ/√ε, of tanh β, of softmax β/2.
    steepest = max(1.3 / 0.1**0.5, 2.0, 1.5 / 2)
    rate = 1 / (1 + steepest * np.linalg.norm(W + W.T, 2))
    energies = energies_of(eam.recall(memory, states, eam.Relaxation(rate), 100))
    assert (np.diff(energies, axis=1) <= 1e-5).all() and (energies[:, -1] < energies[:, 0] - 0.1).all()


def test_relaxation_at_rate_one_is_synchronous_recall():
    memory, states = network(0.3)
    relaxed = eam.recall(memory, states, eam.Relaxation(1.0), 5)
    at_once = eam.recall(memory, states, eam.Synchronous(), 5)
    for name in states:
        np.testing.assert_allclose(relaxed.state[name], at_once.state[name], atol=1e-5)
    np.testing.assert_allclose(relaxed.energies, at_once.energies, rtol=1e-5)


def test_relaxation_of_one_layer_of_patterns_converges_to_attention_at_rest(getkey):
    memory = eam.ModernHopfield(jr.normal(getkey(), (4, 6)), 2.0)
    start = jr.normal(getkey(), (3, 6))
    slow = eam.recall(memory, start, eam.Relaxation(0.3), 300)
    fast = eam.recall(memory, start, eam.Synchronous(), 300)
    assert slow.converged.all()
    np.testing.assert_allclose(slow.state, fast.state, atol=1e-4)


@pytest.mark.parametrize(
    "make", [lambda: network(2.0), lambda: tokens(own=True)], ids=["layers", "attention"]
)
def test_a_line_search_never_rises_on_any_potential(make):
    memory, states = make()
    result = eam.recall(memory, states, eam.LineSearch(), 200)
    energies = energies_of(result)
    assert (np.diff(energies, axis=1) <= 0).all() and result.converged.all()
    # Where it ends, every layer answers its field, as far as the rounding of the energy tells.
    fields = jax.vmap(memory.field)(result.state)
    for name, layer in memory.neurons.items():
        aim = jax.vmap(layer.respond)(fields[name], result.state[name])
        assert jnp.abs(aim - result.state[name]).max() < 0.03


@pytest.mark.parametrize("rate", [0.1, 1000.0])
def test_tokens_one_after_another_never_rise_without_decay_at_any_rate(rate):
    memory, states = tokens()
    update = eam.Blockwise(rate, tokens=("tokens",), decay=False)
    result = eam.recall(memory, states, update, 12)
    frames = result.frames(every=1)
    potentials = jax.vmap(jax.vmap(memory.potential))(frames)
    assert (np.diff(potentials, axis=1) >= -1e-5 * np.abs(potentials).max()).all()


def test_tokens_one_after_another_feel_those_before_them():
    memory, states = tokens(opposed=False)
    state = jax.tree.map(lambda leaf: leaf[0], states)
    after = eam.recall(memory, state, max_steps=1).state["tokens"]
    g, layer = state["tokens"], memory.neurons["tokens"]
    for i in range(5):
        field = memory.field({"tokens": g})["tokens"][i]
        g = g.at[i].set(layer.respond(field, g[i]))
    np.testing.assert_allclose(after, g, atol=1e-5)


def test_queries_of_a_batch_recall_as_they_do_alone():
    memory, states = network()
    together = eam.recall(memory, states, max_steps=20)
    for i in range(3):
        alone = eam.recall(memory, jax.tree.map(lambda leaf, i=i: leaf[i], states), max_steps=20)
        for name in states:
            np.testing.assert_allclose(together.state[name][i], alone.state[name], atol=1e-5)


@pytest.mark.parametrize("update", [eam.Blockwise(0.8), eam.LineSearch()], ids=["block", "line"])
def test_recall_over_layers_is_differentiable_in_reverse(update):
    with enable_x64(True):
        memory, states = network(0.5)

        def end(scale):
            scaled = tuple(eam.synapses.Dense(scale * s.weights) for s in memory.synapses)
            pairs = list(zip(scaled, memory.connections, strict=True))
            moved = eam.HierarchicalMemory({n: memory.neurons[n] for n in memory.order}, pairs)
            result = eam.recall(moved, states, update, 2, record=False)
            return sum(jnp.sum(leaf**3) for leaf in jax.tree.leaves(result.state))

        slope, h, end = jax.grad(end)(1.0), 1e-5, jax.jit(end)
        np.testing.assert_allclose(slope, (end(1.0 + h) - end(1.0 - h)) / (2 * h), rtol=1e-5)
