"""Samples of every binary memory against all 2^10 states: by heat bath, Metropolis, and a plain own rule."""

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest
from boltzmann import boltzmann, counted, energies_of, p_value, telling_temperature
from jax.scipy.special import logit
from jaxtyping import Array
from single_moves import change, flip, flips_of
from zoo import BINARY, OWN_BINARY, patterns

import energyam as eam
from energyam.dynamics.heat_bath import AbstractFlipsAtRandom

D, K, CHAINS = 10, 3, 2048
MEMORIES = BINARY | OWN_BINARY


class Either(AbstractFlipsAtRandom):
    """Heat bath or Metropolis by a number of the rule's own, so that one compilation serves for both."""

    temperature: Array
    metropolis: Array
    order = "permutation"

    def threshold(self, u):
        both = eam.Metropolis(1.0).threshold(u), eam.HeatBath(1.0).threshold(u)
        return jnp.where(self.metropolis, *both)

    def noise(self, counts, most, *, key):
        raise NotImplementedError


class Plain(eam.AbstractUpdate):
    """A heat bath written with the public rule contract: every neuron in turn."""

    temperature: Array
    moves_neurons = True

    def prepare(self, memory):
        return flips_of(memory)

    def step(self, prepared, state, carry, tick, clamp):
        thresholds = self.temperature * logit(jr.uniform(tick.own, state.shape))

        def visit(at, tried):
            state, kept = at
            i, threshold = tried
            flips = change(prepared, kept, state, i).value > threshold
            kept = jax.tree.map(lambda a, b: jnp.where(flips, a, b), flip(prepared, kept, state, i), kept)
            return (state.at[i].multiply(jnp.where(flips, -1, 1)), kept), None

        (new, kept), _ = jax.lax.scan(
            visit, (state, prepared.start(state)), (jnp.arange(state.size), thresholds)
        )
        energy = prepared.energy(kept, new)
        return eam.Step(new, carry, energy[None], eam.States(new[None]), jnp.zeros((), bool))


class Parallel(eam.AbstractUpdate):
    """All neurons at once by the odds of a heat bath: not a sampler of exp(−E/T)."""

    temperature: Array

    def prepare(self, memory):
        return memory

    def init(self, prepared, state, tick):
        return ()

    def step(self, prepared, state, carry, tick, clamp):
        energies = jax.vmap(prepared.energy)(state[None] * (1 - 2 * jnp.eye(state.size)))
        odds = (prepared.energy(state) - energies) / self.temperature
        new = jnp.where(jr.uniform(tick.own, state.shape) < jax.nn.sigmoid(odds), -state, state)
        return eam.Step(new, (), prepared.energy(new)[None], eam.States(new[None]), jnp.zeros((), bool))


def samples(memory, rule, key, every=8, discard=16):
    """How often each state comes, three samples of each chain."""
    of_start, of_chains = jr.split(key)
    start = jr.rademacher(of_start, (CHAINS, D), dtype="int8")
    return counted(eam.sample(memory, start, rule, 3, key=of_chains, every=every, discard=discard).states)


def check(counts, energies, T):
    """The samples are those of exp(−E/T), and the same test rejects T wrong by a tenth."""
    assert p_value(counts, boltzmann(energies, T), energies) > 1e-4
    for wrong in (1.1 * T, T / 1.1):
        assert p_value(counts, boltzmann(energies, wrong), energies) < 1e-6


@pytest.mark.parametrize("name", MEMORIES)
def test_heat_bath_and_metropolis_sample_every_binary_memory(name, getkey):
    memory = MEMORIES[name](patterns(33, K, D))
    energies = energies_of(memory, D)
    T = telling_temperature(energies)
    for metropolis in (False, True):
        rule = Either(jnp.asarray(T), jnp.asarray(metropolis))
        check(samples(memory, rule, getkey()), energies, T)


RULES = {
    "heat_bath": ("chn", lambda T: eam.HeatBath(T)),
    "uniform_metropolis": ("exponential", lambda T: eam.Metropolis(T, "uniform")),
    "discrete_langevin": ("exponential", lambda T: eam.DiscreteLangevin(1.5, T)),
    "discrete_langevin_of_a_network": ("hopfield_biased", lambda T: eam.DiscreteLangevin(0.8, T)),
    "tempering": ("chn", lambda T: eam.Tempering([T, 2 * T, 4 * T], eam.HeatBath(1.0))),
    "block_gibbs": ("chn", lambda T: eam.BlockGibbs(T)),
    "own_rule": ("energy_alone", lambda T: Plain(jnp.asarray(T))),
}


@pytest.mark.parametrize(("name", "make"), RULES.values(), ids=RULES)
def test_every_rule_samples_all_states_as_often_as_it_should(name, make, getkey):
    memory = MEMORIES[name](patterns(33, K, D))
    energies = energies_of(memory, D)
    T = telling_temperature(energies)
    check(samples(memory, make(T), getkey(), discard=40), energies, T)


@pytest.mark.parametrize("copies", [1, 2])
def test_block_gibbs_samples_a_log_sum_exp_where_it_is_a_mixture(copies, getkey):
    memory = eam.ExponentialDenseAM(patterns(33, K, D), 0.8)
    energies, T = energies_of(memory, D), 1 / copies
    check(samples(memory, eam.BlockGibbs(T), getkey(), discard=60), energies, T)
    exact = eam.evaluation.sample_exactly(memory, 3 * CHAINS, T, key=getkey())
    check(counted(exact), energies, T)


def test_the_same_test_rejects_parallel_flips(getkey):
    memory = eam.CHN(patterns(33, K, D))
    energies = energies_of(memory, D)
    T = telling_temperature(energies)
    counts = samples(memory, Parallel(jnp.asarray(T)), getkey())
    assert p_value(counts, boltzmann(energies, T), energies) < 1e-6
