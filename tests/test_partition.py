"""Partition functions and diagnostics against brute force, quadrature and closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm, rankdata
from zoo import BINARY, all_states, patterns

import energyam as eam
from energyam.evaluation import effective_sample_size, expectation, log_partition, split_rhat


def brute_force(memory, states, T):
    return np.logaddexp.reduce(-np.asarray(jax.vmap(memory.energy)(states), float) / T)


class Bipartite(eqx.Module):
    """Two layers of ±1 neurons."""

    weights: jax.Array
    state_shape = {"seen": (2, 2), "hidden": (3,)}  # noqa: RUF012

    def energy(self, state):
        return -state["seen"].reshape(-1) @ self.weights @ state["hidden"]


class Plain(eam.AbstractSeparation):
    """A potential alone."""

    other: eam.LogSumExp

    def potential(self, similarities):
        return self.other.potential(similarities)


@pytest.mark.parametrize("name", BINARY)
def test_log_partition_of_binary_memories_equals_brute_force(name):
    memory, states = BINARY[name](patterns(6, 3, 9)), all_states(9)
    for T in (0.5, 1.0, 7.0):
        assert abs(log_partition(memory, T) - brute_force(memory, states, T)) < 1e-4
    assert abs(log_partition(memory, 7.0) - brute_force(memory, states, 7.7)) > 1e-3


@pytest.mark.parametrize("divided", [True, False])
def test_log_partition_of_real_patterns_under_a_log_sum_exp(divided):
    X = np.random.default_rng(0).normal(size=(4, 7))
    for similarity in (eam.Dot(), eam.NegativeDistance()):
        memory = eam.DenseAM(X, eam.LogSumExp(0.5, divided), eam.Binary(), similarity)
        for T in (2.0, 1.0, 0.5, 0.9):
            assert abs(log_partition(memory, T) - brute_force(memory, all_states(7), T)) < 1e-4


def test_log_partition_of_real_neurons_equals_quadrature():
    X = np.array([[1.0, 0.5], [-0.3, 1.0], [0.2, -1.0]])
    line = np.linspace(-12, 12, 400)
    grid = jnp.asarray(np.stack(np.meshgrid(line, line), -1).reshape(-1, 2), float)
    area = 2 * np.log(line[1] - line[0])
    for memory in (
        eam.ModernHopfield(X, 0.8),
        eam.DenseAM(X, eam.LogSumExp(0.8), eam.Free(), eam.NegativeDistance()),
    ):
        for T in (1 / 0.8, 1 / 1.6):
            assert abs(log_partition(memory, T) - brute_force(memory, grid, T) - area) < 1e-4


def test_log_partition_of_many_neurons_has_closed_forms():
    beta, K, D = 0.7, 6, 2304
    memory = eam.ExponentialDenseAM(patterns(1, K, D), beta)
    assert abs(log_partition(memory, 1.0) - np.log(K) - D * np.log(2 * np.cosh(beta))) < 1e-4
    # T = ½: Z = Σ_μν Π_i 2 cosh(β(ξ_μi + ξ_νi)); and the same by kinds of neurons.
    X = np.asarray(patterns(1, 2, D))
    alike = int((X[0] == X[1]).sum())
    same = D * np.log(2 * np.cosh(2 * beta))
    cross = alike * np.log(2 * np.cosh(2 * beta)) + (D - alike) * np.log(2)
    by_terms = np.log(2) + np.logaddexp(same, cross)
    memory = eam.ExponentialDenseAM(X, beta)
    assert abs(log_partition(memory, 0.5) - by_terms) < 1e-4
    plain = eam.DenseAM(X, Plain(memory.separation), eam.Binary())  # a separation that nothing is known of
    assert abs(log_partition(plain, 0.5) - by_terms) < 2e-3  # energies of thousands, in floats
    # A Gaussian field per pattern makes a quadratic energy of one pattern a mixture: Hubbard & Stratonovich.
    D, T = 200, 150.0
    z = np.linspace(-40, 40, 200_001)
    integrand = -(z**2) / 2 + D * np.log(2 * np.cosh(z / np.sqrt(T)))
    exact = np.logaddexp.reduce(integrand) + np.log((z[1] - z[0]) / np.sqrt(2 * np.pi))
    assert abs(log_partition(eam.CHN(patterns(1, 1, D)), T) - exact) < 1e-4


def test_states_of_several_layers_are_enumerated():
    W = np.random.default_rng(1).normal(size=(4, 3))
    memory, T = Bipartite(jnp.asarray(W, float)), 0.8
    states = np.asarray(all_states(4), float)
    exact = np.logaddexp.reduce(np.log(2 * np.cosh(states @ W / T)).sum(axis=1))
    assert abs(log_partition(memory, T) - exact) < 1e-4
    means = expectation(memory, lambda s: {"pair": s["seen"].reshape(-1)[:, None] * s["hidden"][None]}, T)
    weights = np.exp(np.log(2 * np.cosh(states @ W / T)).sum(axis=1) - exact)
    np.testing.assert_allclose(
        means["pair"], np.einsum("n,ni,nj->ij", weights, states, np.tanh(states @ W / T)), atol=1e-5
    )


def rhat_by_ranks(chains):
    """Split-R̂ of normal scores and of folded ones, by scipy."""

    def scored(values):
        ranks = rankdata(values).reshape(values.shape)
        z = norm.ppf((ranks - 0.375) / (values.size + 0.25))
        S = z.shape[1]
        return np.sqrt((S - 1) / S + z.mean(axis=1).var(ddof=1) / z.var(axis=1, ddof=1).mean())

    half = chains.shape[1] // 2
    halves = np.concatenate([chains[:, :half], chains[:, -half:]])
    return max(scored(halves), scored(np.abs(halves - np.median(halves))))


def test_rhat_is_that_of_ranks_and_sees_what_means_do_not():
    rng = np.random.default_rng(1)
    whole = rng.integers(-3, 4, (3, 101)) * 1.0  # with ties, and a sample in the middle
    for x in (autoregressive(0.5, 4, 200, 1), whole):
        np.testing.assert_allclose(split_rhat(x), rhat_by_ranks(x), rtol=1e-5)
    wider = rng.normal(size=(4, 1000)) * np.array([1, 1, 1, 3])[:, None]  # the means agree
    wild = rng.standard_cauchy((4, 1000)) + np.array([0, 0, 0, 3])[:, None]  # variance is infinite
    assert split_rhat(wider) > 1.1 and split_rhat(wild) > 1.05
    assert split_rhat(rng.standard_cauchy((4, 1000))) < 1.01


def autoregressive(phi, chains, S, seed):
    rng, x = np.random.default_rng(seed), np.zeros((chains, S))
    x[:, 0] = rng.normal(size=chains) / np.sqrt(1 - phi**2)
    for t in range(1, S):
        x[:, t] = phi * x[:, t - 1] + rng.normal(size=chains)
    return x


def test_effective_sample_size_and_rhat_of_chains_that_are_known():
    for phi in (0.0, 0.5, 0.9, -0.5):
        x = autoregressive(phi, 8, 8000, 3)
        expected = x.size * (1 - phi) / (1 + phi)
        assert 0.85 < effective_sample_size(x) / expected < 1.15
        assert split_rhat(x) < 1.01
    apart = autoregressive(0.5, 4, 1000, 4) + np.arange(4)[:, None]
    assert split_rhat(apart) > 1.2 and effective_sample_size(apart) < 50
    drifting = autoregressive(0.5, 1, 1000, 5) + np.linspace(0, 3, 1000)
    assert split_rhat(drifting) > 1.1
    halves = np.concatenate([apart[:, :500], apart[:, 500:]])
    W, B = halves.var(axis=1, ddof=1).mean(), halves.mean(axis=1).var(ddof=1)
    assert split_rhat(apart) > 0.8 * np.sqrt(499 / 500 + B / W)
    assert np.isnan(split_rhat(np.ones((2, 20)))) and np.isnan(effective_sample_size(np.ones((2, 20))))
