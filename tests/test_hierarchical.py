"""Hierarchical memories: energies, synapses, closed forms of known networks, files and platforms."""

import importlib

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax import export
from zoo import all_states

import energyam as eam

# jax 0.7 has it in `experimental` alone, newer ones warn of it there.
enable_x64 = (jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")).enable_x64


def network(seed=0, clamped=False):
    """Three layers of graded neurons, with biases; a memory and a batch of two states."""
    keys = jr.split(jr.key(seed), 6)
    neurons = {
        "picture": eam.Sigmoid(2.0, shape=(6,)),
        "hidden": eam.Rectified(shape=(5,)),
        "name": eam.Softmax(1.5, shape=(3,)),
    }
    synapses = [
        (eam.synapses.Dense(jr.normal(keys[0], (6, 5)) / 4), ("picture", "hidden")),
        (eam.synapses.Dense(jr.normal(keys[1], (5, 3)) / 4), ("hidden", "name")),
        (eam.synapses.Bias(jr.normal(keys[2], (6,))), ("picture",)),
    ]
    states = {
        "picture": jr.uniform(keys[3], (2, 6)),
        "hidden": jr.uniform(keys[4], (2, 5)),
        "name": jax.nn.softmax(jr.normal(keys[5], (2, 3))),
    }
    return eam.HierarchicalMemory(neurons, synapses), states


def one(states, i=0):
    return jax.tree.map(lambda leaf: leaf[i], states)


def test_the_energy_is_the_costs_of_the_layers_less_the_potentials_of_the_synapses():
    memory, states = network()
    state = one(states)
    W, V, b = (np.array(getattr(s, "weights", getattr(s, "bias", None)), float) for s in memory.synapses)
    g, h, n = (np.array(state[name], float) for name in ("picture", "hidden", "name"))
    cost = (g * np.log(g) + (1 - g) * np.log(1 - g)).sum() / 2 + h @ h / 2 + (n * np.log(n)).sum() / 1.5
    potential = g @ W @ h + h @ V @ n + b @ g
    np.testing.assert_allclose(memory.energy(state), cost - potential, rtol=1e-5)
    np.testing.assert_allclose(memory.potential(state), potential, rtol=1e-5)
    field = memory.field(state)
    np.testing.assert_allclose(field["hidden"], g @ W + V @ n, rtol=1e-5)
    np.testing.assert_allclose(field["picture"], W @ h + b, rtol=1e-5)


def test_the_energy_is_that_of_the_lagrangians():
    memory, _ = network(1)
    inputs = {"picture": jnp.linspace(-2, 2, 6), "hidden": jnp.linspace(-1, 3, 5), "name": jnp.arange(3.0)}
    state = {name: layer.respond(inputs[name], inputs[name]) for name, layer in memory.neurons.items()}
    dual = sum(
        jnp.vdot(inputs[name], state[name]) - layer.lagrangian(inputs[name])
        for name, layer in memory.neurons.items()
    )
    np.testing.assert_allclose(memory.energy(state), dual - memory.potential(state), rtol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_a_convolution_is_the_sum_over_its_windows(stride, padding):
    first, kernel = jr.normal(jr.key(0), (2, 6, 7)), jr.normal(jr.key(1), (3, 2, 3, 3))
    synapse = eam.synapses.Convolution(kernel, stride, padding)
    found = synapse.features(first)
    pads = [(0, 0), (0, 0)]
    if padding == "SAME":
        sizes = [(-(-n // stride) - 1) * stride + 3 - n for n in (6, 7)]
        pads = [(max(s, 0) // 2, max(s, 0) - max(s, 0) // 2) for s in sizes]
    padded, k = np.pad(np.array(first), [(0, 0), *pads]), np.array(kernel)
    rows, columns = found.shape[1:]
    wanted = np.array(
        [
            [
                [
                    (padded[:, i * stride : i * stride + 3, j * stride : j * stride + 3] * k[f]).sum()
                    for j in range(columns)
                ]
                for i in range(rows)
            ]
            for f in range(3)
        ]
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    second = jr.normal(jr.key(2), found.shape)
    np.testing.assert_allclose(synapse(first, second), (wanted * np.array(second)).sum(), rtol=1e-4)


def attention_by_loops(Wq, Wk, beta, g, seen):
    total = 0.0
    for q, k in zip(Wq, Wk, strict=True):
        for C in range(len(g)):
            terms = [np.exp(beta * (k @ g[B]) @ (q @ g[C])) for B in range(len(g)) if seen[C, B]]
            total += np.log(sum(terms)) / beta if terms else 0.0
    return total


@pytest.mark.parametrize("kind", ["others", "all", "graph", "alone"])
def test_the_potential_of_attention_equals_the_published_sum(kind):
    Wq, Wk = jr.normal(jr.key(0), (2, 3, 4)), jr.normal(jr.key(1), (2, 3, 4))
    g = jr.normal(jr.key(2), (5, 4))
    graph = jr.bernoulli(jr.key(3), 0.4, (5, 5)) & ~jnp.eye(5, dtype=bool)
    graph = graph.at[2].set(False) if kind == "alone" else graph.at[:, 0].set(True)
    options = {"others": {}, "all": {"own": True}}.get(kind, {"adjacency": graph})
    seen = {"others": ~np.eye(5, dtype=bool), "all": np.ones((5, 5), bool)}.get(kind, np.array(graph))
    synapse = eam.synapses.Attention(Wq, Wk, **options)
    arrays = (np.array(a, float) for a in (Wq, Wk))
    wanted = attention_by_loops(*arrays, 3**-0.5, np.array(g, float), seen)
    np.testing.assert_allclose(synapse(g), wanted, rtol=1e-5)
    assert jnp.isfinite(jax.grad(synapse)(g)).all()
    weights = synapse.weights(g)
    np.testing.assert_allclose(weights.sum(-1), np.tile(seen.any(1) * 1.0, (2, 1)), rtol=1e-5)
    assert not np.array(weights)[:, ~seen].any()


def test_patterns_over_tokens_are_the_energy_transformers_hopfield_part():
    X, g = jr.normal(jr.key(0), (7, 4)), jr.normal(jr.key(1), (5, 4))
    synapse = eam.synapses.Patterns(X, eam.Polynomial(2))
    wanted = 0.5 * (np.maximum(np.array(X) @ np.array(g).T, 0) ** 2).sum()
    np.testing.assert_allclose(synapse(g), wanted, rtol=1e-5)
    np.testing.assert_allclose(jax.grad(synapse)(g), np.maximum(g @ X.T, 0) @ X, rtol=1e-4, atol=1e-5)


def boltzmann_machine(seed=0):
    W, b, c = jr.normal(jr.key(seed), (5, 4)), jr.normal(jr.key(1), (5,)), jr.normal(jr.key(2), (4,))
    neurons = {"seen": eam.Binary(shape=(5,)), "hidden": eam.Binary(shape=(4,))}
    synapses = [
        (eam.synapses.Dense(W), ("seen", "hidden")),
        (eam.synapses.Bias(b), ("seen",)),
        (eam.synapses.Bias(c), ("hidden",)),
    ]
    return eam.HierarchicalMemory(neurons, synapses), (W, b, c)


def test_a_restricted_boltzmann_machine_has_its_free_energy():
    memory, (W, b, c) = boltzmann_machine()
    seen, hidden = all_states(5), all_states(4)
    energy_of = jax.vmap(jax.vmap(lambda v, h: memory.energy({"seen": v, "hidden": h}), (None, 0)), (0, None))
    by_enumeration = -jax.nn.logsumexp(-energy_of(seen, hidden), axis=1)
    free = -seen @ b - jnp.log(2 * jnp.cosh(c[None] + seen @ W)).sum(axis=1)
    np.testing.assert_allclose(by_enumeration, free, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        energy_of(seen, hidden)[3, 5], -(seen[3] @ (W @ hidden[5]) + b @ seen[3] + c @ hidden[5]), rtol=1e-5
    )


def test_a_restricted_boltzmann_machine_recalls_to_a_minimum_and_by_blocks():
    memory, (W, _, c) = boltzmann_machine()
    query = {"seen": all_states(5)[:6], "hidden": all_states(4)[:6]}
    result = eam.recall(memory, query, key=jr.key(0))
    assert result.converged.all() and eam.is_local_minimum(memory, result.state).all()
    once = eam.recall(memory, query, eam.Blockwise(), 1, clamp={"seen": True})
    np.testing.assert_array_equal(once.state["hidden"], jnp.sign(query["seen"] @ W + c[None]))
    np.testing.assert_array_equal(once.state["seen"], query["seen"])


@pytest.mark.parametrize("beta", [0.7, 4.0])
def test_a_modern_hopfield_network_is_two_layers_and_one_round_is_attention(beta):
    X, x = jr.normal(jr.key(0), (6, 4)), jr.normal(jr.key(1), (3, 4))
    neurons = {"hidden": eam.Softmax(beta, shape=(6,)), "state": eam.Continuous(shape=(4,))}
    memory = eam.HierarchicalMemory(neurons, [(eam.synapses.Dense(X.T), ("state", "hidden"))])
    start = {"state": x, "hidden": jnp.full((3, 6), 1 / 6)}
    result = eam.recall(memory, start, max_steps=1)
    np.testing.assert_allclose(result.state["state"], jax.nn.softmax(beta * x @ X.T) @ X, rtol=1e-5)
    # The hidden layer at its minimum leaves the energy of the modern Hopfield network.
    alone = eam.ModernHopfield(X, beta)
    best = {"state": x, "hidden": jax.nn.softmax(beta * x @ X.T)}
    np.testing.assert_allclose(jax.vmap(memory.energy)(best), jax.vmap(alone.energy)(x), rtol=1e-4, atol=1e-5)


def test_the_models_of_krotov_and_hopfield_are_a_hidden_layer_each():
    X, x = jr.normal(jr.key(0), (6, 4)), jr.normal(jr.key(1), (4,))

    def reduced(seen, hidden):
        memory = eam.HierarchicalMemory(
            {"seen": seen, "hidden": hidden}, [(eam.synapses.Dense(X.T), ("seen", "hidden"))]
        )
        g = seen.respond(x, x)
        return memory.energy({"seen": g, "hidden": hidden.respond(X @ g, X @ g)}), g

    # Model A: F = ½ max(s, 0)², a dense associative memory of order 2 over tanh neurons.
    energy, g = reduced(eam.Tanh(1.0, shape=(4,)), eam.Rectified(shape=(6,)))
    np.testing.assert_allclose(
        energy, eam.Tanh(1.0).energy(g) - eam.Polynomial(2).potential(X @ g), rtol=1e-4, atol=1e-5
    )
    # Model B: softmax over the hidden layer; model C: a spherical normalisation of the visible one.
    energy, g = reduced(eam.LayerNorm(shape=(4,)), eam.Softmax(1.0, shape=(6,)))
    np.testing.assert_allclose(
        energy, eam.LayerNorm().energy(g) - eam.LogSumExp(1.0).potential(X @ g), rtol=1e-4, atol=1e-5
    )
    energy, g = reduced(eam.Spherical(shape=(4,)), eam.Softmax(2.0, shape=(6,)))
    np.testing.assert_allclose(energy, -eam.LogSumExp(2.0).potential(X @ g), rtol=1e-4)


def test_hoovers_network_of_a_convolution_and_a_dense_layer_recalls_downhill():
    keys = jr.split(jr.key(4), 4)
    neurons = {
        "picture": eam.Tanh(1.0, shape=(1, 6, 6)),
        "features": eam.Rectified(shape=(3, 3, 3)),
        "name": eam.Softmax(2.0, shape=(4,)),
    }
    synapses = [
        (eam.synapses.Convolution(jr.normal(keys[0], (3, 1, 3, 3)) / 3, 2), ("picture", "features")),
        (eam.synapses.Dense(jr.normal(keys[1], (3, 3, 3, 4)) / 5), ("features", "name")),
    ]
    memory = eam.HierarchicalMemory(neurons, synapses)
    start = {
        "picture": 0.5 * jr.normal(keys[2], (2, 1, 6, 6)).clip(-1, 1),
        "features": jnp.zeros((2, 3, 3, 3)),
        "name": jnp.full((2, 4), 0.25),
    }
    result = eam.recall(memory, start, max_steps=100)
    energies = np.concatenate([result.initial_energy[:, None], result.energies], axis=1)
    assert (np.diff(energies, axis=1) <= 1e-5).all() and result.converged.all()


def test_any_function_is_a_synapse():
    product = lambda a, b, c: jnp.sum(a * b * c)  # noqa: E731
    neurons = {name: eam.Tanh(1.0, shape=(3,)) for name in "abc"}
    memory = eam.HierarchicalMemory(neurons, [(product, ("a", "b", "c"))])
    state = {name: jnp.full(3, value) for name, value in zip("abc", (0.5, -0.5, 0.2), strict=True)}
    np.testing.assert_allclose(memory.potential(state), 3 * 0.5 * -0.5 * 0.2, rtol=1e-5)
    result = eam.recall(memory, state, max_steps=50)
    assert (np.diff(result.energies) <= 1e-6).all()


def test_a_memory_saves_and_loads(tmp_path):
    memory, states = network()
    eam.save(tmp_path / "memory.safetensors", memory)
    again = eam.load(tmp_path / "memory.safetensors")
    assert jax.tree.structure(again) == jax.tree.structure(memory) and again.order == memory.order
    np.testing.assert_array_equal(again.energy(one(states)), memory.energy(one(states)))


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_recall_over_layers_lowers_for_accelerators(platform):
    memory, states = network()

    @jax.jit
    def run(states):
        result = eam.recall(memory, states, eam.Blockwise(0.5), 3, clamp={"picture": True})
        return result.state, result.energies

    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), states)
    assert export.export(run, platforms=[platform])(shapes).platforms == (platform,)


def test_double_precision_and_jit_recall_the_same():
    memory, states = network()
    single = eam.recall(memory, states, max_steps=5)
    inside = eqx.filter_jit(lambda m, s: eam.recall(m, s, max_steps=5))(memory, states)
    with enable_x64(True):
        double = eam.recall(*network_in_double(memory, states), max_steps=5)
    assert double.energies.dtype == jnp.float64
    for name in states:
        np.testing.assert_allclose(single.state[name], np.asarray(double.state[name]), atol=1e-5)
        np.testing.assert_allclose(single.state[name], inside.state[name], atol=1e-6)


def network_in_double(memory, states):
    widen = lambda leaf: jnp.asarray(np.asarray(leaf), float) if eqx.is_inexact_array(leaf) else leaf  # noqa: E731
    return jax.tree.map(widen, memory), jax.tree.map(widen, states)


def test_eight_bit_and_half_queries_are_recalled():
    memory, states = network()
    whole = {
        "picture": jnp.ones((2, 6), jnp.int8),
        "hidden": states["hidden"].astype(jnp.float16),
        "name": states["name"].astype(jnp.bfloat16),
    }
    result = eam.recall(memory, whole, max_steps=3, clamp={"picture": True})
    assert result.state["hidden"].dtype == jnp.float16 and jnp.isfinite(result.energies).all()
