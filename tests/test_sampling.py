"""Sampling ±1 neurons: detailed balance without noise, and how chains are run, clamped, cooled, exchanged."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from boltzmann import boltzmann, counted, energies_of, p_value
from single_moves import flips_of, visited
from zoo import BINARY, all_states, patterns

import energyam as eam


class Counted(eqx.Module):
    """A user's own memory: nothing but an energy."""

    patterns: jax.Array

    def energy(self, x):
        return -jnp.sum(jnp.abs(self.patterns @ x) ** 1.5)


class Bipartite(eqx.Module):
    """Two layers of ±1 neurons."""

    weights: jax.Array
    state_shape = {"seen": (2, 2), "hidden": (3,)}  # noqa: RUF012
    neurons = eam.Binary()

    def energy(self, state):
        return -state["seen"].reshape(-1) @ self.weights @ state["hidden"] - 0.3 * state["hidden"].sum()


MEMORIES = BINARY | {"energy_alone": lambda X: Counted(X.astype(float))}


@pytest.mark.parametrize("name", MEMORIES)
def test_one_try_is_in_detailed_balance(name):
    # A try flips where the change lies above T · threshold(u). That it does for thresholds a little below
    # E(x) − E(x′), and does not a little above, pins down for which u it flips, without noise.
    D, memory = 5, MEMORIES[name](patterns(1, 3, 5))
    energies, flips = energies_of(memory, D), flips_of(memory)
    other = np.arange(2**D)[:, None] ^ 2 ** np.arange(D)
    T, change = energies.std(), energies[:, None] - energies[other]
    near = 1e-5 * np.abs(energies).max()
    thresholds = (change + near * np.array([-1, 1])[:, None, None]).reshape(2, -1)

    @jax.jit
    def flipped(x, i, threshold):
        try_one = lambda x, i, t: visited(flips, x, i[None], jnp.ones(D, bool), t[None]).flips[0] >= 0  # noqa: E731
        return jax.vmap(try_one)(x, i, threshold)

    x, i = (jnp.repeat(all_states(D), D, axis=0), jnp.tile(jnp.arange(D), 2**D))
    found = flipped(*(jnp.concatenate([a, a]) for a in (x, i)), jnp.asarray(thresholds.reshape(-1), float))
    found = np.asarray(found).reshape(2, -1)
    near_0 = np.abs(thresholds) < 2 * near  # where a tie of descent allows for rounding
    assert (found[0] | near_0[0]).all() and not (found[1] & ~near_0[1]).any()
    for rule in (eam.HeatBath(1.0), eam.Metropolis(1.0)):
        u = share_of_u(rule, change / T)
        flow = boltzmann(energies, T)[:, None] * u
        np.testing.assert_allclose(flow, flow[other, np.arange(D)], atol=1e-6)
        wrong = boltzmann(energies, 1.1 * T)[:, None] * u
        assert np.abs(wrong - wrong[other, np.arange(D)]).max() > 1e-4


def share_of_u(rule, change):
    """How many of all u have a threshold below each change, by bisection: thresholds grow with u."""
    low, high = np.zeros(change.shape), np.ones(change.shape)
    for _ in range(24):
        middle = (low + high) / 2
        below = np.asarray(rule.threshold(jnp.asarray(middle, float))) < change
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


def test_chains_are_the_same_however_they_are_run(getkey):
    key, X = getkey(), patterns(3, 4, 12)
    memory, rule = eam.CHN(X), eam.HeatBath(12.0)
    start = jr.rademacher(getkey(), (3, 2, 12), dtype="int8")
    all_steps = eam.sample(memory, start, rule, 25, key=key)
    assert all_steps.states.shape == (3, 2, 25, 12) and all_steps.states.dtype == jnp.int8
    assert all_steps.energies.shape == (3, 2, 25) and all_steps.acceptance.shape == (3, 2)
    assert len({bytes(chain) for chain in np.asarray(all_steps.states).reshape(6, -1)}) == 6
    np.testing.assert_allclose(
        all_steps.energies, jax.vmap(jax.vmap(jax.vmap(memory.energy)))(all_steps.states), atol=1e-5
    )
    some = eam.sample(memory, start, rule, 7, key=key, every=3, discard=4)
    np.testing.assert_array_equal(some.states, all_steps.states[:, :, 6::3])
    alone = eam.sample(memory, start[0, 0], rule, 7, key=key, every=3, discard=4)
    np.testing.assert_array_equal(alone.states, some.states[0, 0])
    np.testing.assert_allclose(alone.acceptance, some.acceptance[0, 0], rtol=1e-6)
    shown = eam.sample(memory, start, rule, 7, key=key, every=3, discard=4, progress=True)
    assert eqx.tree_equal(shown, some)
    inside = eqx.filter_jit(eam.sample)(memory, start, rule, 7, key=key, every=3, discard=4)
    np.testing.assert_array_equal(inside.states, some.states)


def test_other_numbers_of_steps_and_temperatures_compile_nothing(getkey):
    traced = []

    class Own(Counted):
        def energy(self, x):
            traced.append(1)
            return -jnp.sum(jnp.abs(self.patterns @ x) ** 1.5)

    memory = Own(patterns(1, 3, 6).astype(float))
    start = jnp.ones((4, 6))
    eam.sample(memory, start, eam.HeatBath(1.0), 3, key=getkey(), every=2)
    before = len(traced)
    eam.sample(memory, start, eam.HeatBath(2.0), 3, key=getkey(), every=50, discard=1000)
    assert len(traced) == before


def test_acceptance_is_that_of_enumeration_and_none_where_a_rule_proposes_nothing(getkey):
    D, T = 6, 4.0
    memory = eam.CHN(patterns(2, 3, D))
    energies = energies_of(memory, D)
    change = energies[:, None] - energies[np.arange(2**D)[:, None] ^ 2 ** np.arange(D)]
    start = jr.rademacher(getkey(), (2000, D), dtype="int8")
    for rule, accept in [
        (eam.HeatBath(T), 1 / (1 + np.exp(-change / T))),
        (eam.Metropolis(T), np.exp(np.minimum(0, change / T))),
    ]:
        result = eam.sample(memory, start, rule, 10, key=getkey(), discard=20)
        expected = (boltzmann(energies, T) @ accept).mean()
        assert abs(result.acceptance.mean() - expected) < 0.01
    result = eam.sample(memory, start[:3], eam.BlockGibbs(T), 2, key=getkey())
    assert result.acceptance is None


def test_clamped_neurons_stay_and_the_others_are_sampled_given_them(getkey):
    D, chains = 7, 8192
    weights = jr.normal(getkey(), (D, D))
    memory = eam.HopfieldNetwork((weights + weights.T) / 3, jnp.linspace(-1, 1, D))
    clamp = jnp.arange(D) < 3
    start = jnp.where(clamp, jnp.array([1, -1, 1, 1, 1, 1, 1]), jr.rademacher(getkey(), (chains, D)))
    result = eam.sample(memory, start, eam.HeatBath(1.3), 1, key=getkey(), discard=40, clamp=clamp)
    np.testing.assert_array_equal(result.states[:, 0, :3], start[:, :3])
    states = np.asarray(all_states(D))
    given = (states[:, :3] == np.array([1, -1, 1])).all(axis=1)
    energies, counts = energies_of(memory, D), counted(result.states)
    p = np.where(given, boltzmann(energies, 1.3), 0)
    assert p_value(counts, p / p.sum(), energies) > 1e-4
    assert p_value(counts, boltzmann(energies, 1.3), energies) < 1e-6


def test_states_of_several_layers_are_sampled(getkey):
    memory = Bipartite(jr.normal(getkey(), (4, 3)))
    states = np.asarray(all_states(7))
    split = lambda x: {"seen": x[..., :4].reshape(*x.shape[:-1], 2, 2), "hidden": x[..., 4:]}  # noqa: E731
    energies = np.asarray(jax.vmap(memory.energy)(split(states)), float)
    start = split(jr.rademacher(getkey(), (8192, 7)))
    result = eam.sample(memory, start, eam.HeatBath(2.0), 1, key=getkey(), discard=30)
    assert result.states["seen"].shape == (8192, 1, 2, 2)
    seen = result.states["seen"].reshape(8192, 4)
    flat = np.concatenate([seen, result.states["hidden"][:, 0]], axis=1)
    assert p_value(counted(flat), boltzmann(energies, 2.0), energies) > 1e-4
    assert p_value(counted(flat), boltzmann(energies, 2.2), energies) < 1e-6


@pytest.mark.parametrize(("make", "order"), [(eam.HeatBath, "permutation"), (eam.Metropolis, "uniform")])
def test_annealing_ends_in_minima_and_is_settled_only_at_temperature_0(make, order, getkey):
    memory = eam.CHN(patterns(4, 6, 20))
    start = jr.rademacher(getkey(), (50, 20), dtype="int8")
    schedule = lambda step: jnp.maximum(60 - 5 * step, 0)  # noqa: E731
    result = eam.recall(memory, start, make(schedule, order), 200, key=getkey())
    assert result.converged.all() and (result.num_steps > 12).all()
    assert eam.is_local_minimum(memory, result.state).all()
    short = eam.recall(memory, start, make(schedule, order), 12, key=getkey())
    assert not short.converged.any()


def test_tempering_crosses_a_barrier_that_one_temperature_does_not(getkey):
    memory = eam.CHN(patterns(5, 1, 16))  # ± one pattern: E = −½ (ξ·x)², from −128 to 0
    start = jnp.tile(memory.patterns, (200, 1))
    cold = eam.sample(memory, start, eam.HeatBath(5.0), 1, key=getkey(), discard=200)
    rule = eam.Tempering([5.0, 9.0, 14.0, 20.0], eam.HeatBath(1.0))
    tempered = eam.sample(memory, start, rule, 1, key=getkey(), discard=200)
    overlap = lambda result: np.asarray(result.states[:, 0] @ memory.patterns[0]) / 16  # noqa: E731
    assert (overlap(cold) > 0).all()
    assert abs((overlap(tempered) > 0).mean() - 0.5) < 0.15
    assert 0.1 < tempered.acceptance.mean() < 0.9


def test_exchanges_are_in_detailed_balance():
    rule = eam.Tempering([3.0, 1.0, 2.0], eam.HeatBath(1.0))
    np.testing.assert_array_equal(rule.temperatures, [1.0, 2.0, 3.0])
    energies = jnp.array([-1.0, -2.0, -1.5])
    chance = np.exp((1 - 1 / 2) * (-1 + 2)), np.exp((1 / 2 - 1 / 3) * (-2 + 1.5))
    for u in (0.01, 0.5, chance[1] - 1e-3, chance[1] + 1e-3, 0.999):
        exchanged = rule.exchanges(energies, jnp.full(2, u))
        np.testing.assert_array_equal(exchanged, [u < chance[0], u < chance[1]])


def test_an_energy_that_is_not_finite_stays_visible(getkey):
    class Broken(eqx.Module):
        def energy(self, x):
            return jnp.where(x[0] > 0, jnp.nan, x.sum())

    result = eam.sample(Broken(), jnp.ones(4), eam.HeatBath(1.0, "sequential"), 3, key=getkey())
    assert jnp.isnan(result.energies).all()


def test_a_proposal_of_discrete_langevin_is_that_of_its_formula(getkey):
    memory, T, step_size = eam.ExponentialDenseAM(patterns(1, 3, 6), 0.4), 1.7, 0.8
    x = jr.rademacher(getkey(), (6,), dtype=float)
    slope = jax.grad(memory.energy)(x)
    rule = eam.DiscreteLangevin(step_size, T)
    log_q = [-0.5 * slope / T * move - move**2 / (2 * step_size) for move in (-2 * x, 0 * x)]
    np.testing.assert_allclose(rule.drive(-2 * x, slope, jnp.asarray(T)) / T, log_q[0] - log_q[1], rtol=1e-5)


def test_discrete_langevin_cools_and_never_climbs_at_temperature_0(getkey):
    memory = eam.ExponentialDenseAM(patterns(4, 4, 20), 0.3)
    start = jr.rademacher(getkey(), (20, 20), dtype="int8")
    rule = eam.DiscreteLangevin(0.8, lambda step: jnp.maximum(3 - 0.1 * step, 0))
    result = eam.recall(memory, start, rule, 60, key=getkey())
    assert jnp.isfinite(result.energies).all()
    assert (jnp.diff(result.energies[:, 31:], axis=1) <= 0).all()
    assert result.energies[:, -1].mean() < result.energies[:, 5].mean() - 1
