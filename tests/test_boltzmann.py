"""A plain heat bath, written with the public rule contract, samples exp(−E/T) of every binary memory."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.scipy.special import logit
from jaxtyping import Array
from zoo import BINARY, OWN_BINARY, all_states, patterns

import energyam as eam

D, K = 8, 3
MEMORIES = BINARY | OWN_BINARY
CHAINS, SWEEPS, BURN_IN = 4096, 30, 10
BOUND = 0.034  # on the total variation distance: chance alone makes .02, a temperature off by 15% over .05


class HeatBath(eam.AbstractFlipping):
    """Every neuron in turn: it flips where its change of energy lies above T · logit(u)."""

    temperature: Array

    def prepare(self, memory):
        return eam.flips_of(memory)

    def init(self, prepared, state, tick):
        return ()

    def step(self, prepared, state, carry, tick, clamp):
        thresholds = self.temperature * logit(jr.uniform(tick.own, state.shape))

        def visit(at, tried):
            state, kept = at
            i, threshold = tried
            flips = prepared.change(kept, state, i).value > threshold
            kept = jax.tree.map(lambda a, b: jnp.where(flips, a, b), prepared.flip(kept, state, i), kept)
            return (state.at[i].multiply(jnp.where(flips, -1, 1)), kept), None

        (new, kept), _ = jax.lax.scan(
            visit, (state, prepared.start(state)), (jnp.arange(state.size), thresholds)
        )
        energy = prepared.energy(kept, new)
        return eam.Step(new, carry, energy[None], eam.States(new[None]), jnp.zeros((), bool))


def boltzmann(energies, temperature):
    """exp(−E/T)/Z of all states."""
    weights = np.exp(-(energies - energies.min()) / temperature)
    return weights / weights.sum()


def spread(energies, temperature):
    """The standard deviation of E/T: what a wrong temperature shows by."""
    p = boltzmann(energies, temperature)
    return np.sqrt(p @ energies**2 - (p @ energies) ** 2) / temperature


def total_variation(counts, p):
    return 0.5 * np.abs(counts / counts.sum() - p).sum()


def temperature_for(energies):
    """A temperature that is low enough to show, and high enough for short chains to mix."""
    grid = np.ptp(energies) * np.geomspace(1, 0.02, 60)
    return grid[np.argmax([spread(energies, T) > 1.0 for T in grid])]


@pytest.mark.parametrize("name", MEMORIES)
def test_a_heat_bath_samples_the_boltzmann_distribution(name, getkey):
    memory, states = MEMORIES[name](patterns(33, K, D)), all_states(D)
    energies = np.asarray(jax.vmap(memory.energy)(states), np.float64)
    T = temperature_for(energies)
    start = jr.rademacher(getkey(), (CHAINS, D), dtype="int8")
    result = eam.recall(memory, start, HeatBath(jnp.asarray(T)), SWEEPS, key=getkey())
    samples = np.asarray(result.record.states)[:, BURN_IN:].reshape(-1, D)
    counts = np.bincount((samples < 0) @ 2 ** np.arange(D), minlength=2**D)
    right, colder, hotter = (
        total_variation(counts, boltzmann(energies, factor * T)) for factor in (1, 1 / 1.15, 1.15)
    )
    assert right < BOUND < min(colder, hotter)
