"""Capacity formulas: their numbers, their limits, and the noise they stand on, measured."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo

import energyam as eam
from energyam import theory


def test_hopfield_numbers():
    """D/(2 ln D) at 100 neurons is 10.9; half a per cent of wrong bits allow .15 D."""
    assert theory.hopfield_capacity(100) == pytest.approx(100 / (2 * math.log(100)))
    assert theory.hopfield_capacity(1000, error=0.005) == pytest.approx(150.7, abs=0.1)
    assert theory.replica_capacity(1000) == pytest.approx(138)
    assert theory.storkey_capacity(100) == pytest.approx(32.95, abs=0.01)
    assert theory.pseudo_inverse_capacity(100) == 100


@pytest.mark.parametrize("n, odd", [(2, 1), (3, 3), (4, 15), (5, 105)])
def test_polynomial_orders(n, odd):
    assert theory.polynomial_capacity(100, n) == pytest.approx(100 ** (n - 1) / (2 * odd * math.log(100)))


def test_error_and_capacity_are_inverse():
    for n in (2, 3, 6):
        K = theory.polynomial_capacity(500, n, error=0.01)
        assert theory.bit_error(500, K, n) == pytest.approx(0.01, rel=1e-6)


def test_exponential_numbers():
    assert theory.log_exponential_capacity(100) == pytest.approx(50 * math.log(2))
    noisy = [theory.log_exponential_capacity(100, noise) for noise in (0.0, 0.1, 0.25, 0.45, 0.499)]
    assert noisy == sorted(noisy, reverse=True) and 0 < noisy[-1] < 1e-3


def test_nothing_overflows():
    assert theory.polynomial_capacity(10**6, 100) == math.inf
    assert 0 <= theory.polynomial_capacity(2, 200) < 1e-300
    assert theory.bit_error(10**6, 10, 30) == 0
    assert theory.log_exponential_capacity(10**9) < math.inf


@jax.jit
def unstable_bits(memory, states):
    increments = memory.increments()
    neurons = jnp.arange(memory.num_neurons)

    def gains(x):
        return jax.vmap(lambda i: increments.gain(increments.currents(x), x, i))(neurons)

    return jnp.mean(jax.vmap(gains)(states) > 0)


@pytest.mark.parametrize("n, K, rectified", [(2, 20, False), (3, 300, False), (3, 600, True)])
def test_bit_error_is_what_a_memory_shows(n, K, rectified):
    """Within a quarter of the formula, which is asymptotic; rectified powers hold twice as many."""
    measured = []
    for seed in range(12):
        patterns = zoo.patterns(seed, K, 60) * 1.0
        memory = eam.PolynomialDenseAM(patterns, n, rectified)
        measured.append(unstable_bits(memory, patterns[:20]))
    assert np.mean(measured) == pytest.approx(theory.bit_error(60, K / (1 + rectified), n), rel=0.25)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: theory.hopfield_capacity(1), "num_neurons must be an integer of at least 2"),
        (lambda: theory.hopfield_capacity(10.5), "num_neurons"),
        (lambda: theory.polynomial_capacity(100, 1), "n must be an integer of at least 2"),
        (lambda: theory.polynomial_capacity(100, 3, error=0.5), "error must lie between 0 and .5"),
        (lambda: theory.log_exponential_capacity(100, 0.5), "noise must be from 0 to below .5"),
        (lambda: theory.bit_error(100, 0), "num_patterns must be positive"),
    ],
)
def test_bad_numbers_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
