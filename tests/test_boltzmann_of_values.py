"""Samples of neurons 0/1, of units of three values, and of layers of several kinds, against all their
states."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from boltzmann import boltzmann, p_value, variance
from enumerated import of_bits, of_layers, of_units

import energyam as eam

CHAINS = 2048


def telling_temperature(energies):
    """A temperature low enough that one wrong by 15 % shows, and no lower, so that short chains mix."""
    grid = np.ptp(energies) * np.geomspace(1, 0.02, 60)
    tells = np.array([variance(energies, T) > 1 for T in grid])
    assert tells.any(), "no temperature tells"
    return float(grid[np.argmax(tells)])


def starts(known, key):
    """Random states, one for each chain."""
    chosen = jr.randint(key, (CHAINS,), 0, len(known.energies))
    return jax.tree.map(lambda leaf: leaf[chosen], known.states)


def check(known, rule, T, key, clamp=None, discard=16, off=1.15):
    """The samples are those of exp(−E/T), and the same test rejects T wrong by 15 %."""
    of_start, of_chains = jr.split(key)
    start = starts(known, of_start)
    if clamp is not None:  # all from one state
        start = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[5], leaf.shape), start)
    found = eam.sample(known.memory, start, rule, 3, key=of_chains, every=8, discard=discard, clamp=clamp)
    counts = known.counts(found.states)
    assert p_value(counts, boltzmann(known.energies, T), known.energies) > 1e-4
    for wrong in (off * T, T / off):
        assert p_value(counts, boltzmann(known.energies, wrong), known.energies) < 1e-6


KNOWN = {
    "polynomial of zeros": lambda: of_bits("polynomial_3", "zeros"),
    "exponential": lambda: of_bits("exponential", "signs"),
    "energy alone": lambda: of_bits("energy_alone", "bits"),
    "hopfield of units": lambda: of_units("potts_hopfield", units=4),
    "exponential of units": lambda: of_units("potts_exponential", units=4),
    "units, energy alone": lambda: of_units("potts_energy_alone"),
    "layers": of_layers,
}


@pytest.mark.parametrize("rule", [eam.HeatBath, eam.Metropolis])
@pytest.mark.parametrize("name", KNOWN)
def test_heat_bath_and_metropolis_sample_all_values(name, rule, getkey):
    known = KNOWN[name]()
    T = telling_temperature(known.energies)
    check(known, rule(T), T, getkey())


RULES = {
    "uniform heat bath of units": (
        lambda: of_units("potts_hopfield", units=4),
        lambda T: eam.HeatBath(T, "uniform"),
    ),
    "tempering of bits": (lambda: of_bits("sdm"), lambda T: eam.Tempering([T, 2 * T], eam.HeatBath(1.0))),
    "tempering of layers": (of_layers, lambda T: eam.Tempering([T, 2 * T], eam.Metropolis(1.0))),
    "discrete Langevin": (lambda: of_bits("hopfield_biased"), lambda T: eam.DiscreteLangevin(0.4, T)),
    "discrete Langevin, powers": (lambda: of_bits("exponential"), lambda T: eam.DiscreteLangevin(0.5, T)),
}


@pytest.mark.parametrize(("make", "rule"), RULES.values(), ids=RULES)
def test_other_rules_sample_all_values(make, rule, getkey):
    known = make()
    T = telling_temperature(known.energies)
    check(known, rule(T), T, getkey(), discard=60)


@pytest.mark.parametrize("copies", [1, 2])
def test_block_gibbs_draws_bits_and_units(copies, getkey):
    for known in (of_bits("exponential"), of_units("potts_exponential", units=4)):
        T = 1 / copies
        check(known, eam.BlockGibbs(T), T, getkey(), discard=40, off=1.4)


@pytest.mark.parametrize("layer", ["units", "bits", "signs"])
def test_the_same_test_rejects_a_sampler_that_never_moves_a_layer(layer, getkey):
    known = of_layers()
    T = telling_temperature(known.energies)
    with pytest.raises(AssertionError):
        check(known, eam.HeatBath(T), T, getkey(), clamp={layer: True})


def test_a_clamped_layer_leaves_the_rest_conditional(getkey):
    """With the units held the others come as often as they do in all states that have these units."""
    known = of_layers()
    T = telling_temperature(known.energies)
    same = (np.asarray(known.states["units"]) == np.asarray(known.states["units"][5])).all(axis=(1, 2))
    start = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[5], (CHAINS, *leaf.shape[1:])), known.states)
    rule = eam.HeatBath(T)
    found = eam.sample(known.memory, start, rule, 3, key=getkey(), every=8, discard=16, clamp={"units": True})
    counts = known.counts(found.states)
    assert counts[~same].sum() == 0
    energies = known.energies[same]
    assert p_value(counts[same], boltzmann(energies, T), energies) > 1e-4


def test_annealing_ends_in_minima(getkey):
    """A schedule that falls to 0 proves a minimum, of bits, of units and of layers."""
    for known in (of_bits("polynomial_3"), of_units("potts_exponential", units=4), of_layers()):
        T = telling_temperature(known.energies)
        rule = eam.HeatBath(lambda step, T=T: T * jnp.maximum(0, 1 - step / 10))
        result = eam.recall(known.memory, starts(known, getkey()), rule, 60, key=getkey())
        assert result.converged.all()
        assert known.minima[known.places(result.state)].all()
        assert not known.minima.all()
