"""Boltzmann machines against enumeration: free energies, learning from visible data, partition functions."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

import energyam as eam
from energyam.evaluation import annealed_log_partition, log_partition
from energyam.partition.annealed import estimate

S = eam.synapses
ROWS = {
    "±1": (eam.Binary, lambda n: np.array(list(itertools.product([-1.0, 1], repeat=n)))),
    "0/1": (eam.ZeroOne, lambda n: np.array(list(itertools.product([0.0, 1], repeat=n)))),
}


def machine(kind, V=4, H=3, size=0.8, seed=0):
    keys = jr.split(jr.key(seed), 3)
    weights, a, b = size * jr.normal(keys[0], (V, H)), jr.normal(keys[1], (V,)), jr.normal(keys[2], (H,))
    pairs = [(S.Dense(weights), ("seen", "hidden")), (S.Bias(a), ("seen",)), (S.Bias(b), ("hidden",))]
    return eam.HierarchicalMemory({"seen": kind(shape=(V,)), "hidden": kind(shape=(H,))}, pairs)


def energies(memory, seen, hidden):
    """E of all pairs of rows (V states, H states)."""
    weights, a, b = memory.synapses[0].weights, memory.synapses[1].bias, memory.synapses[2].bias
    return -(seen @ weights @ hidden.T) - (seen @ a)[:, None] - (hidden @ b)[None]


def free_energies(memory, seen, T):
    return np.asarray(jax.vmap(lambda v: memory.free_energy({"seen": v}, T))(jnp.asarray(seen, float)))


@pytest.mark.parametrize("name", ROWS)
def test_free_energies_sum_over_the_hidden_layer(name):
    kind, rows = ROWS[name]
    memory, T = machine(kind), 0.7
    seen, hidden = rows(4), rows(3)
    exact = -T * np.logaddexp.reduce(-np.asarray(energies(memory, seen, hidden)) / T, axis=1)
    np.testing.assert_allclose(free_energies(memory, seen, T), exact, atol=1e-4)
    assert np.abs(free_energies(memory, seen, 1.1 * T) - exact).max() > 1e-2
    # Its slope is that of the energy, averaged over the hidden layer.
    by_sum = lambda m: -T * jax.nn.logsumexp(-energies(m, jnp.asarray(seen), hidden) / T, axis=1).sum()  # noqa: E731
    by_form = lambda m: jax.vmap(lambda v: m.free_energy({"seen": v}, T))(jnp.asarray(seen, float)).sum()  # noqa: E731
    slopes = (jax.tree.leaves(eqx.filter_grad(f)(memory)) for f in (by_sum, by_form))
    for got, wanted in zip(*slopes, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4)


def test_units_and_real_neurons_are_summed_and_integrated():
    weights, T = 0.6 * jr.normal(jr.key(0), (3, 2, 3)), 0.8
    neurons = {"seen": eam.Continuous(shape=(3,)), "words": eam.Categorical(3, shape=(2, 3))}
    memory = eam.HierarchicalMemory(neurons, [(S.Dense(weights), ("seen", "words"))])
    x, eye = np.array([0.3, -1.0, 0.8]), np.eye(3)
    terms = [memory.energy({"seen": x, "words": eye[[i, j]]}) for i in range(3) for j in range(3)]
    by_words = -T * np.logaddexp.reduce(-np.asarray(terms) / T)
    np.testing.assert_allclose(memory.free_energy({"seen": x}, T), by_words, atol=1e-4)
    # The other way round the real layer is integrated: E = ½‖x‖² − field · x is −½‖field‖² and a Gaussian.
    words = eye[[2, 0]]
    field = np.einsum("inq,nq->i", np.asarray(weights), words)
    integral = -0.5 * field @ field - 1.5 * T * np.log(2 * np.pi * T)
    np.testing.assert_allclose(memory.free_energy({"words": words}, T), integral, atol=1e-4)
    # Together they give log Z by sums over nine states of words.
    pairs = itertools.product(range(3), repeat=2)
    each = [-memory.free_energy({"words": eye[list(pair)]}, T) / T for pair in pairs]
    np.testing.assert_allclose(log_partition(memory, T), np.logaddexp.reduce(each), atol=1e-4)


def deep():
    neurons = {name: eam.Binary(shape=(3,)) for name in ("seen", "first", "second")}
    couplings = [S.Dense(jr.normal(jr.key(i), (3, 3))) for i in range(2)]
    return eam.HierarchicalMemory(
        neurons, [(couplings[0], ("seen", "first")), (couplings[1], ("first", "second"))]
    )


def test_layers_that_are_joined_are_not_summed_over():
    memory = deep()
    assert memory.sums_out("first") and memory.sums_out("seen", "second") and memory.sums_out()
    assert not memory.sums_out("first", "second")
    ones = np.ones(3)
    with pytest.raises(
        ValueError, match=r"visible must hold the layers that \['first', 'second'\] depend on"
    ):
        memory.free_energy({"seen": ones})
    whole = {"seen": ones, "first": -ones, "second": ones}
    np.testing.assert_allclose(memory.free_energy(whole), memory.energy(whole), rtol=1e-6)
    quadratic = [(S.Patterns(np.eye(3), eam.Quadratic()), ("seen",))]
    assert not eam.HierarchicalMemory(memory.neurons, quadratic).sums_out("seen")
    graded = eam.HierarchicalMemory({"seen": eam.Tanh(1.0, shape=(3,))}, [(S.Bias(ones), ("seen",))])
    assert not graded.sums_out("seen")
    for wrong in ({}, {"other": ones}, ones):
        with pytest.raises(ValueError, match="visible must be a dictionary of some of the layers"):
            memory.free_energy(wrong)
    with pytest.raises(ValueError, match="temperature must be positive"):
        memory.free_energy(whole, 0.0)


def test_log_partition_sums_in_closed_form_over_the_layers_that_leave_the_fewest_states():
    V, H, T = 784, 8, 1.3
    memory = machine(eam.ZeroOne, V, H, 0.05)
    hidden = np.asarray(ROWS["0/1"][1](H))
    weights, a, b = (np.asarray(leaf, float) for leaf in jax.tree.leaves(memory.synapses))
    exact = np.logaddexp.reduce(np.logaddexp(0, (hidden @ weights.T + a) / T).sum(axis=1) + hidden @ b / T)
    assert abs(log_partition(memory, T) - exact) < 1e-2
    assert abs(log_partition(memory, 1.01 * T) - exact) > 0.5
    found = annealed_log_partition(memory, T, 50, 300, key=jr.key(0))
    assert abs(found.value - exact) < 0.2 and found.high - found.low < 0.3 and found.effective > 25
    memory, every = deep(), ROWS["±1"][1](9)
    states = {name: jnp.asarray(every[:, 3 * i : 3 * i + 3]) for i, name in enumerate(memory.order)}
    exact = np.logaddexp.reduce(-np.asarray(jax.vmap(memory.energy)(states)) / T)
    np.testing.assert_allclose(log_partition(memory, T), exact, atol=1e-4)


@pytest.mark.parametrize("name", ["network", "layers", "units"])
def test_intervals_of_annealed_partition_functions_hold_the_exact_one(name):
    T, groups = 0.8, 60
    weights = jr.normal(jr.key(0), (6, 6))
    memory = {
        "network": lambda: eam.HopfieldNetwork(0.4 * (weights + weights.T), jnp.linspace(-1, 1, 6)),
        "layers": lambda: machine(eam.ZeroOne),
        "units": lambda: eam.HopfieldNetwork(weights + weights.T, neurons=eam.Categorical(3)),
    }[name]()
    exact = log_partition(memory, T)
    logs = annealed_log_partition(memory, T, 40 * groups, 25, key=jr.key(1)).log_weights
    found = [estimate(part) for part in logs.reshape(groups, 40)]
    held = np.mean([one.low <= exact <= one.high for one in found])
    assert 0.8 < held <= 1, held
    missed = np.mean([one.low <= exact + 0.5 <= one.high for one in found])
    assert missed < 0.5, missed
    assert abs(estimate(logs).value - exact) < 0.05


def test_wrong_use_of_annealed_partition_functions():
    memory, key = machine(eam.Binary), jr.key(0)
    modern = eam.ModernHopfield(np.eye(3), 1.0)
    calls = [
        (lambda: annealed_log_partition(modern, key=key), "memory must have ±1 neurons, or others of few"),
        (lambda: annealed_log_partition(memory, -1.0, key=key), "temperature must be positive"),
        (
            lambda: annealed_log_partition(memory, num_chains=1, key=key),
            "num_chains must be an integer of at",
        ),
        (lambda: annealed_log_partition(memory, num_steps=0, key=key), "num_steps must be an integer"),
        (
            lambda: annealed_log_partition(memory, update=eam.Asynchronous(), key=key),
            "Asynchronous has no `at`",
        ),
        (lambda: annealed_log_partition(memory, key=0), "key must be a jax random key"),
        (lambda: estimate(np.array([0.0, np.nan])), "memory must have finite energies"),
    ]
    for call, message in calls:
        with pytest.raises(ValueError, match=message):
            call()


def log_likelihood(memory, seen, hidden, data):
    logs = jax.nn.logsumexp(-energies(memory, jnp.asarray(seen), hidden), axis=1)
    return (data @ logs).mean() - jax.nn.logsumexp(logs)


@pytest.mark.parametrize("rule", [eam.BlockGibbs(), eam.HeatBath(1.0)])
def test_divergence_of_visible_data_follows_their_likelihood(rule):
    memory, (_, rows) = machine(eam.Binary, size=0.5), ROWS["±1"]
    seen, hidden = rows(4), rows(3)
    chosen = np.array([1, 6, 12])
    exact = eqx.filter_grad(lambda m: -log_likelihood(m, seen, hidden, np.eye(16)[chosen].mean(axis=0)))(
        memory
    )
    data = {"seen": jnp.asarray(np.tile(seen[chosen], (3000, 1)), float)}

    @eqx.filter_jit
    def slope(num_steps, key):
        loss = lambda m: eam.nn.contrastive_divergence(m, data, rule, num_steps, key=key)  # noqa: E731
        return eqx.filter_grad(loss, has_aux=True)(memory)

    gaps = []
    for num_steps in (1, 40):
        found, ends = slope(num_steps, jr.key(2))
        assert {name: leaf.shape for name, leaf in ends.items()} == {"seen": (9000, 4), "hidden": (9000, 3)}
        pairs = zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True)
        gaps.append(max(float(jnp.abs(got - wanted).max()) for got, wanted in pairs))
    assert gaps[1] < 0.05 < 0.08 < gaps[0], gaps
    again, _ = eam.nn.contrastive_divergence(memory, data, rule, 1, key=jr.key(3), start=ends)
    apart = {"seen": data["seen"][:5]}
    found, ends = eam.nn.contrastive_divergence(memory, data, rule, 1, key=jr.key(3), start=apart)
    assert again.shape == found.shape == () and ends["hidden"].shape == (5, 3)
    with pytest.raises(
        ValueError, match=r"states must hold layers of the memory, \['hidden', 'seen'\]; got 'seem'"
    ):
        eam.nn.contrastive_divergence(memory, {"seem": data["seen"]}, rule, 1, key=jr.key(3))


def test_bars_and_stripes_are_learned_from_what_is_seen():
    pictures = eam.datasets.bars_and_stripes(3)
    assert pictures.shape == (14, 3, 3) and len(np.unique(pictures.reshape(14, 9), axis=0)) == 14
    alike = lambda axis: (pictures == pictures.take([0], axis)).all(axis=(1, 2))  # noqa: E731
    assert (alike(1) | alike(2)).all()
    with pytest.raises(ValueError, match="side must be at most 12"):
        eam.datasets.bars_and_stripes(13)
    X = jnp.asarray(eam.datasets.bars_and_stripes(2).reshape(6, 4) > 0, float)
    memory = machine(eam.ZeroOne, 4, 6, 0.1)
    memory = eqx.tree_at(lambda m: m.synapses[1:], memory, tuple(map(S.Bias, (jnp.zeros(4), jnp.zeros(6)))))
    train, batch, steps = optax.adam(optax.cosine_decay_schedule(0.04, 1500)), jnp.tile(X, (40, 1)), 1500

    @eqx.filter_jit
    def fit(memory):
        params, rest = eqx.partition(memory, eqx.is_inexact_array)

        def loss(params, chains, key):
            memory, rule = eqx.combine(params, rest), eam.BlockGibbs()
            return eam.nn.contrastive_divergence(memory, {"seen": batch}, rule, 2, key=key, start=chains)

        def step(at, key):
            params, moments, chains = at
            slope, chains = jax.grad(loss, has_aux=True)(params, chains, key)
            move, moments = train.update(slope, moments)
            return (optax.apply_updates(params, move), moments, chains), None

        chains = {"seen": batch, "hidden": jnp.zeros((240, 6))}
        (params, *_), _ = jax.lax.scan(step, (params, train.init(params), chains), jr.split(jr.key(4), steps))
        return eqx.combine(params, rest)

    def likelihood(memory):
        return float(-free_energies(memory, X, 1.0).mean() - log_partition(memory, 1.0))

    known = -np.log(6)
    assert likelihood(memory) < known - 0.8
    assert known - 0.15 < likelihood(fit(memory)) < known + 1e-3
