"""Capacity formulas: their numbers, their limits, and the noise they stand on, measured."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from single_moves import change

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
    assert theory.hopfield_capacity(2**900) > 1e200
    assert theory.polynomial_capacity(100, 10**15) == 0


@jax.jit
def unstable_bits(memory, states):
    flips = memory.flips()

    def gains(x):
        return jax.vmap(lambda i: change(flips, flips.start(x), x, i).value)(jnp.arange(memory.num_neurons))

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


def test_the_load_of_the_exponential_memory():
    assert theory.exponential_load(20, 0.5) == pytest.approx(1993.6, abs=0.05)
    assert theory.exponential_load(20, 0) == 1 and theory.exponential_load(10, 50.0) == pytest.approx(1024)
    assert theory.exponential_load(5000, 1.0) == math.inf
    assert theory.log_exponential_load(5000, 1.0) == pytest.approx(5000 * math.log(2 / (1 + math.exp(-2))))


@pytest.mark.parametrize("share, weight", [(0.25, 0.805), (1, 0.501), (4, 0.210)])
def test_own_weight_at_a_share_of_the_load(share, weight):
    """A stored pattern's softmax weight among K random others, N = 20, β = .5."""
    K, rng = round(share * theory.exponential_load(20, 0.5)), np.random.default_rng(0)
    overlaps = 20 - 2 * rng.binomial(20, 0.5, (1000, K))
    others = np.exp(0.5 * overlaps).sum(1)
    measured = np.mean(math.exp(10) / (math.exp(10) + others))
    assert measured == pytest.approx(weight, abs=0.01)
    assert measured == pytest.approx(1 / (1 + share), abs=0.02)


def test_capacities_of_dense_sequences():
    b = math.exp(2) / math.cosh(2)
    for d, odd in [(1, 1), (2, 3), (3, 15)]:
        capacity = theory.dense_transition_capacity(100, d)
        assert capacity == pytest.approx(100**d / (2 * odd * math.log(100)))
    transitions = math.exp(theory.log_exponential_transition_capacity(30))
    assert transitions == pytest.approx(b**29 / (2 * math.log(30)))
    assert math.exp(theory.log_exponential_sequence_capacity(30)) == pytest.approx(b**30 / (60 * math.log(b)))


@pytest.mark.parametrize("D, power, share", [(200, 1, 2.0), (60, 2, 0.7), (60, 2, 2.0)])
def test_transitions_err_as_often_as_the_capacity_says(D, power, share):
    """At the capacity the field is √(2 ln D) standard deviations of the noise that the others make."""
    K, rng = round(share * theory.dense_transition_capacity(D, power)), np.random.default_rng(1)
    wrong = []
    for _ in range(40):
        X = rng.choice([-1.0, 1.0], (K + 1, D))
        fields = (X[:-1] @ X[:-1].T) ** power @ X[1:]
        wrong.append(np.mean(fields * X[1:] < 0))
    deviations = math.sqrt(2 * math.log(D) * theory.dense_transition_capacity(D, power) / (K - 1))
    assert np.mean(wrong) == pytest.approx(math.erfc(deviations / math.sqrt(2)) / 2, rel=0.3)
