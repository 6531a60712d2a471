"""Ising machines: problems in and out, and the search for the lowest state, against enumeration."""

import gzip

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from single_moves import moving, visited
from zoo import BINARY, all_states, patterns

import energyam as eam
from energyam.dynamics import heat_bath
from energyam.flips import plan
from energyam.flips.sweep import visit


def whole_network(D, key, size=3):
    """A network of whole-number couplings and fields."""
    of_pairs, of_bias = jr.split(key)
    upper = jnp.triu(jr.randint(of_pairs, (D, D), -size, size + 1), 1)
    return eam.HopfieldNetwork((upper + upper.T) * 1.0, jr.randint(of_bias, (D,), -2, 3) * 1.0)


def energies_of(memory, states):
    return jax.vmap(memory.energy)(states)


@pytest.mark.parametrize("form", ["upper", "symmetric", "any"])
def test_a_qubo_has_the_energies_of_its_network_and_an_offset(form, getkey):
    Q = jr.randint(getkey(), (8, 8), -5, 6) * 1.0
    Q = {"upper": jnp.triu(Q), "symmetric": Q + Q.T, "any": Q}[form]
    memory, offset = eam.ising.from_qubo(Q)
    x = all_states(8)
    z = (1 + np.asarray(x)) / 2
    np.testing.assert_array_equal(np.sum(z @ np.asarray(Q) * z, axis=1), energies_of(memory, x) + offset)


def test_a_cut_is_counted_edge_by_edge_and_follows_from_the_energy(getkey):
    upper = np.triu(np.asarray(jr.randint(getkey(), (9, 9), -2, 4)), 1)
    weights, x = upper + upper.T, all_states(9)
    counted = [sum(upper[i, j] for i in range(9) for j in range(9) if s[i] != s[j]) for s in np.asarray(x)]
    cuts = jax.vmap(lambda s: eam.ising.cut_value(weights, s))(x)
    np.testing.assert_array_equal(cuts, counted)
    problem = eam.ising.max_cut(weights + np.diag(np.arange(9)))
    np.testing.assert_array_equal(cuts, -energies_of(problem, x))
    np.testing.assert_array_equal(cuts, -(energies_of(problem.memory, x) + problem.offset))


def test_the_best_cut_of_a_small_graph_is_found(getkey):
    weights = -whole_network(12, getkey()).weights
    cuts = jax.vmap(lambda s: eam.ising.cut_value(weights, s))(all_states(12))
    found = eam.ising.minimize(eam.ising.max_cut(weights), 16, 60, key=getkey())
    assert eam.ising.cut_value(weights, found.state) == cuts.max()
    assert found.is_minimum and found.energies.shape == (16,)
    assert found.energy == found.energies.min()


@pytest.mark.parametrize("name", ["graph.txt", "graph.txt.gz"])
def test_a_graph_file_is_read_as_it_is_written(name, tmp_path):
    text = "4 3\n1 2 5\n\n4 2 -1\n1 2 2.5\n"
    opened = gzip.open if name.endswith(".gz") else open
    with opened(tmp_path / name, "wt") as file:
        file.write(text)
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 7.5
    expected[1, 3] = expected[3, 1] = -1
    np.testing.assert_array_equal(eam.ising.read_gset(tmp_path / name), expected)


@pytest.mark.parametrize("name", ["graph.GZ", "packed.txt"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_graph_file_is_read_whatever_its_ending_and_encoding(name, encoding, tmp_path):
    """Its first bytes say what it is."""
    text = "2 1\r\n1 2 5\r\n".encode(encoding)
    for content in (text, gzip.compress(text)):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(eam.ising.read_gset(tmp_path / name), [[0, 5], [5, 0]])


def test_couplings_that_rounding_parts_are_symmetric(getkey):
    """A product B diag(d) Bᵀ in float32 differs from its transpose by some units of its largest entry."""
    B, d = np.asarray(jr.normal(getkey(), (500, 500))), np.asarray(jr.normal(getkey(), (500,)))
    W = np.asarray((B * d) @ B.T)
    weights = eam.HopfieldNetwork(W).weights
    np.testing.assert_array_equal(weights, weights.T)
    np.testing.assert_allclose(weights, W, atol=4 * np.finfo(np.float32).eps * np.abs(W).max())


def test_a_network_becomes_a_model_of_dimod(getkey):
    network = whole_network(6, getkey())
    network = eam.HopfieldNetwork(network.weights + jnp.diag(jnp.arange(6.0)), network.bias)
    back = eam.ising.to_bqm(network, offset=2.0)
    states = all_states(6)
    np.testing.assert_array_equal(back.energies(np.asarray(states)), energies_of(network, states) + 2)


def test_planted_states_are_the_only_two_lowest():
    instance = eam.ising.planted(20, 8, key=jr.key(1))
    W, t = np.asarray(instance.memory.weights, np.float64), np.asarray(instance.state)
    x = np.asarray(all_states(20)[::2], np.float64)  # the first neuron up: one of each pair ±x
    energies = -0.5 * np.sum(x @ W * x, axis=1)
    lowest, next_ = np.argsort(energies)[:2]
    assert abs(x[lowest] @ t) == 20 and energies[next_] > energies[lowest] + 1e-3
    np.testing.assert_allclose(energies[lowest], float(instance.energy), atol=1e-5)


def test_a_planted_state_is_found(getkey):
    instance = eam.ising.planted(48, 96, key=getkey())
    found = eam.ising.minimize(instance.memory, 8, 200, key=getkey())
    assert abs(found.state @ instance.state) == 48 and found.is_minimum
    np.testing.assert_allclose(found.energy, instance.energy, rtol=1e-5)


def test_a_spin_glass_has_couplings_of_variance_one_over_its_neurons(getkey):
    weights = np.asarray(eam.ising.sherrington_kirkpatrick(200, key=getkey()).weights)
    assert (weights == weights.T).all() and (np.diag(weights) == 0).all()
    off = weights[np.triu_indices(200, 1)] * 200**0.5
    assert abs(off.var() - 1) < 0.05 and abs(off.mean()) < 0.03  # within four deviations


def one_by_one(memory, state, order, thresholds):
    """The chain that takes every decision by itself, in whole numbers."""
    W, b, x = (np.asarray(a, np.float64) for a in (memory.weights, memory.bias, state))
    flips = []
    for i, threshold in zip(np.asarray(order), np.asarray(thresholds), strict=True):
        change = 2 * (W[i, i] - x[i] * (W[i] @ x + b[i]))
        flips.append(i if change > threshold else -1)
        x[i] *= -1 if change > threshold else 1
    return x, flips


@pytest.mark.parametrize("block", [1, 8, 32, 48])
def test_blocks_take_the_flips_of_one_by_one(block, monkeypatch, getkey):
    monkeypatch.setattr(plan, "COUPLED", dict.fromkeys(plan.COUPLED, block))
    D, chains = 48, 5
    memory = whole_network(D, getkey())
    states = jr.rademacher(getkey(), (chains, D), dtype="float32")
    twice = jr.randint(getkey(), (20,), 0, D)  # neurons may come again, in the same block too
    order = jnp.concatenate([jr.permutation(getkey(), D), twice])
    thresholds = 8 * jr.logistic(getkey(), (chains, D + 20))
    flips, free = memory.flips(), jnp.ones(D, bool)
    run = jax.jit(lambda x, t: visited(flips, x, order, free, t))
    swept = jax.vmap(run)(states, thresholds)
    for chain in range(chains):
        state, flipped = one_by_one(memory, states[chain], order, thresholds[chain])
        np.testing.assert_array_equal(swept.flips[chain], flipped)
        np.testing.assert_array_equal(swept.state[chain], state)
        assert swept.energy[chain] == swept.energies[chain, -1] == memory.energy(state)
        assert 5 < (swept.flips[chain] >= 0).sum() < D + 10


@pytest.mark.parametrize("block", [1, 32, 64])
def test_blocks_that_are_decided_at_once_take_the_flips_of_one_by_one(block, monkeypatch, getkey):
    monkeypatch.setattr(plan, "COUPLED", dict.fromkeys(plan.COUPLED, block))
    D, chains = 48, 6
    memory = whole_network(D, getkey(), size=6)
    states = jr.rademacher(getkey(), (chains, D), dtype="float32")
    order, free = jr.permutation(getkey(), D), jnp.arange(D) % 7 != 3
    hot = 8 * jr.logistic(getkey(), (chains, D))
    thresholds = hot.at[1].set(0).at[2].set(-1000)  # descent, and a chain in which every try flips
    flips = memory.flips()
    run = jax.jit(lambda x, t: visit(flips, flips.start(x), moving(x, free), order, t, once=True))
    swept, kept = jax.vmap(run)(states, thresholds)
    held = jnp.where(free[order], thresholds, jnp.inf)
    for chain in range(chains):
        state, flipped = one_by_one(memory, states[chain], order, held[chain])
        np.testing.assert_array_equal(swept.flips[chain], flipped)
        np.testing.assert_array_equal(swept.state[chain], state)
        np.testing.assert_array_equal(kept[chain], flips.start(jnp.asarray(state, float)))
        assert swept.energy[chain] == swept.energies[chain, -1] == memory.energy(state)
    assert ((swept.flips[2] >= 0) == free[order]).all()


@pytest.mark.parametrize("name", ["network", "polynomial_3"])
def test_neither_blocks_nor_what_is_carried_between_sweeps_changes_a_heat_bath(name, monkeypatch, getkey):
    D, key = 20, getkey()
    memory = whole_network(D, getkey()) if name == "network" else BINARY[name](patterns(1, 3, D))
    start, clamp = jr.rademacher(getkey(), (D,), dtype=float), jnp.arange(D) == 4
    T = 6.0 if name == "network" else 300.0

    def chain(rule):
        prepared = rule.prepare(memory)

        def step(at, index):
            tick = eam.Tick(index, jr.fold_in(key, 2 * index), jr.fold_in(key, 2 * index + 1))
            step = rule.step(prepared, *at, tick, clamp)
            return (step.state, step.carry), step.record.indices

        first = rule.init(prepared, start, eam.Tick(jnp.zeros((), int), key, key))
        (end, _), flips = jax.lax.scan(step, (start, first), jnp.arange(30))
        return end, flips

    def run(afresh, block):
        monkeypatch.setattr(heat_bath, "AFRESH", afresh)
        monkeypatch.setattr(plan, "COUPLED", dict.fromkeys(plan.COUPLED, block))
        return jax.jit(lambda: chain(eam.HeatBath(T)))()

    (end, flips), (again, same) = run(1000, 64), run(1, 3)
    np.testing.assert_array_equal(flips, same)
    np.testing.assert_array_equal(end, again)
    assert 0.1 < (flips >= 0).mean() < 0.6 and end[4] == start[4]


def test_what_is_kept_goes_on_where_it_was(getkey):
    memory = whole_network(20, getkey())
    flips, free, state = memory.flips(), jnp.ones(20, bool), jnp.ones(20)
    order, thresholds = jr.permutation(getkey(), 20), 5 * jr.logistic(getkey(), (2, 20))
    first, kept = visit(flips, flips.start(state), moving(state, free), order, thresholds[0], once=False)
    np.testing.assert_array_equal(kept, flips.start(first.state))
    both = visited(flips, state, jnp.tile(order, 2), free, thresholds.reshape(-1))
    second = visit(flips, kept, moving(first.state, free), order, thresholds[1], once=False)[0]
    np.testing.assert_array_equal(both.flips, jnp.concatenate([first.flips, second.flips]))


def test_the_first_chains_do_not_depend_on_how_many_there_are(getkey):
    memory, key = whole_network(40, getkey()), getkey()
    few, many = (eam.ising.minimize(memory, n, 3, key=key).states for n in (3, 9))
    few, many = ([tuple(row) for row in np.asarray(states).tolist()] for states in (few, many))
    assert all(many.count(state) >= few.count(state) for state in few) and len(set(many)) > 3


def test_chains_at_a_constant_temperature_visit_states_by_their_weights():
    # 20,000 chains of 30 sweeps, then compared with exp(−E/T); colder or hotter by 15 % is rejected.
    from energyam.ising.annealing import _annealed

    memory, T = whole_network(4, jr.key(3), size=1), 2.0
    states = jnp.ones((20000, 4))
    ends = _annealed(memory, states, jnp.full(30, T), jr.key(0))
    index = ((1 - np.asarray(ends)) / 2).astype(int) @ (2 ** np.arange(4))
    counts = np.bincount(index, minlength=16)

    def misfit(T):
        weights = np.exp(-np.asarray(energies_of(memory, all_states(4)), np.float64) / T)
        expected = 20000 * weights / weights.sum()
        return np.sum((counts - expected) ** 2 / expected)

    assert misfit(T) < 37.7 < min(misfit(1.15 * T), misfit(T / 1.15))  # χ² of 15: one in a thousand


def test_a_schedule_of_optax_cools_and_a_hot_one_is_ended_by_descent(getkey):
    memory = whole_network(30, getkey())
    key = getkey()
    cooled = eam.ising.minimize(memory, 8, 100, optax.exponential_decay(20.0, 100, 1e-2), key=key)
    hot = eam.ising.minimize(memory, 8, 20, lambda sweep: 1e4, key=key)
    assert cooled.is_minimum and hot.is_minimum
    assert cooled.energies.mean() < hot.energies.mean()


def test_a_ramp_that_ends_at_0_ends_in_proven_minima(getkey):
    """Compiled, 5 (1 − 10/10) is not 0 but −6e-7 here, at which no sweep would prove a minimum."""
    memory, starts = eam.CHN(patterns(3, 4, 24)), jr.rademacher(getkey(), (6, 24), "int8")
    ramp = eam.HeatBath(optax.linear_schedule(5.0, 0.0, 10))
    result = eam.recall(memory, starts, ramp, max_steps=30, key=getkey())
    assert result.converged.all() and eam.is_local_minimum(memory, result.state).all()
    warm = eam.HeatBath(optax.linear_schedule(5.0, 1e-4, 10))  # a small temperature is one
    assert not eam.recall(memory, starts, warm, max_steps=30, key=getkey()).converged.any()


@pytest.mark.parametrize("name", ["polynomial_3", "exponential", "chn"])
def test_the_lowest_state_of_a_dense_memory_is_found(name, getkey):
    memory = BINARY[name](patterns(1, 3, 10))
    found = eam.ising.minimize(memory, 8, 30, key=getkey())
    lowest = energies_of(memory, all_states(10)).min()
    np.testing.assert_allclose(found.energy, lowest, rtol=1e-5)
    assert found.is_minimum


def test_an_energy_alone_with_a_shape_will_do(getkey):
    class Pairs(eqx.Module):
        state_shape = (6,)

        def energy(self, state):
            return jnp.sum(state[:-1] * state[1:])

    found = eam.ising.minimize(Pairs(), 4, 20, key=getkey())
    assert found.energy == -5 and found.is_minimum


@pytest.mark.parametrize("discrete", [True, False])
def test_bifurcation_finds_planted_states(discrete, getkey):
    instance = eam.ising.planted(20, 40, key=getkey())
    rule = eam.ising.SimulatedBifurcation(200, discrete=discrete)
    result = eam.recall(instance.memory, jnp.ones((16, 20)), rule, 200, key=getkey())
    assert (jnp.abs(result.state @ instance.state) == 20).mean() > 0.8
    np.testing.assert_allclose(result.energies[:, -1], energies_of(instance.memory, result.state), rtol=1e-5)


def test_bifurcation_holds_what_is_clamped(getkey):
    memory = whole_network(12, getkey())
    clamp = jnp.arange(12) < 5
    query = jr.rademacher(getkey(), (4, 12), dtype="float32")
    rule = eam.ising.SimulatedBifurcation(30)
    result = eam.recall(memory, query, rule, 30, key=getkey(), clamp=clamp)
    np.testing.assert_array_equal(result.state[:, :5], query[:, :5])
    assert len(np.unique(np.asarray(result.state), axis=0)) > 1
