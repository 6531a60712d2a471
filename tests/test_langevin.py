"""Langevin dynamics against Gaussians, mixtures, a sphere and a boundary whose moments are known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.special import iv
from scipy.stats import ks_2samp

import energyam as eam
from energyam import checks


class Bowl(eqx.Module):
    """E = ½ Σ a x² of two layers."""

    stiffness: jax.Array
    state_shape = {"a": (2,), "b": (1, 2)}  # noqa: RUF012

    def energy(self, state):
        return 0.5 * jnp.sum(self.stiffness[:2] * state["a"] ** 2) + 0.5 * jnp.sum(
            self.stiffness[2:] * state["b"][0] ** 2
        )


class Positive(eam.AbstractNeurons):
    """Real neurons of at least 0 with R = Σ x: exponentially distributed."""

    shape: tuple[int, ...] | None = eqx.field(static=True, default=None)

    def check(self, name, states, dims):
        return checks.as_floats(name, states, dims)

    def energy(self, state):
        return state.sum()

    def respond(self, field, state, curvature=0.0):
        return state

    def retract(self, state):
        return jnp.maximum(state, 0)


class Decay(eqx.Module):
    neurons: Positive

    def energy(self, x):
        return self.neurons.energy(x)


def deviates(values, expected, axis=0):
    """By how many standard errors a mean of independent values misses what is expected, at most."""
    values = np.asarray(values, float)
    errors = values.std(axis=axis) / np.sqrt(values.shape[axis])
    return np.abs((values.mean(axis=axis) - expected) / errors).max()


@pytest.mark.parametrize("adjusted", [True, False])
def test_variances_of_gaussians(adjusted, getkey):
    # Unadjusted, the variance is T/a (1 − η a / 2)⁻¹: the bias equals its formula, and is seen.
    a, T, eta = np.array([0.5, 1.0, 1.5, 2.0]), 0.7, 0.5
    memory, rule = Bowl(jnp.asarray(a, float)), eam.Langevin(eta, T, adjusted)
    start = {"a": jnp.zeros((20_000, 2)), "b": jnp.zeros((20_000, 1, 2))}
    result = eam.sample(memory, start, rule, 1, key=getkey(), discard=60)
    x = np.concatenate([result.states["a"][:, 0], result.states["b"][:, 0, 0]], axis=1)
    exact, biased = T / a, T / a / (1 - eta * a / 2)
    right, wrong = (exact, biased) if adjusted else (biased, exact)
    assert deviates(x, 0) < 4 and deviates(x**2, right) < 4
    assert deviates(x**2, wrong) > 10 and deviates(x**2, 1.1 * right) > 8
    energies = jax.vmap(memory.energy)(jax.tree.map(lambda leaf: leaf[:, 0], result.states))
    np.testing.assert_allclose(result.energies[:, 0], energies, rtol=1e-4)
    assert (result.acceptance < 1).any() == adjusted


def test_a_modern_hopfield_network_is_sampled_as_its_mixture_of_gaussians(getkey):
    patterns, beta = np.array([[1.0, 0, 0], [0, 1.2, 0], [-0.5, 0, 0.4], [0, 0, -1]]), 2.0
    memory = eam.ModernHopfield(patterns, beta)
    weights = np.exp(beta * (patterns**2).sum(axis=1) / 2)
    weights /= weights.sum()
    rule = eam.Langevin(0.2, 1 / beta)
    result = eam.sample(memory, jnp.zeros((20_000, 3)), rule, 1, key=getkey(), discard=80)
    x = np.asarray(result.states[:, 0])
    assert deviates(x, weights @ patterns) < 4
    second = np.einsum("k,ki,kj->ij", weights, patterns, patterns) + np.eye(3) / beta
    products = x[:, :, None] * x[:, None]
    assert deviates(products, second) < 4.5 and deviates(products, second + 0.1 * np.eye(3) / beta) > 6
    assert 0.6 < result.acceptance.mean() < 0.999
    # Beside independent samples of the same mixture: as like as two samples of one distribution.
    exact, colder = (
        jax.vmap(memory.energy)(eam.evaluation.sample_exactly(memory, 20_000, T, key=getkey()))
        for T in (1 / beta, 1 / beta / 2)
    )
    assert ks_2samp(result.energies[:, 0], exact).pvalue > 1e-4
    assert ks_2samp(result.energies[:, 0], colder).pvalue < 1e-6


def test_unit_vectors_are_sampled_along_great_circles(getkey):
    N, T = 6, 0.5
    memory = eam.DenseAM(jnp.eye(N)[:1], eam.LogSumExp(1.0), eam.Spherical())  # E = −x_0
    start = jnp.tile(jnp.eye(N)[1], (10_000, 1))
    result = eam.sample(memory, start, eam.Langevin(0.3, T), 1, key=getkey(), discard=60)
    expected = iv(N / 2, 1 / T) / iv(N / 2 - 1, 1 / T)
    assert deviates(result.states[:, 0, 0], expected) < 4
    assert deviates(result.states[:, 0, 0], 1.06 * expected) > 4
    np.testing.assert_allclose(jnp.linalg.norm(result.states, axis=-1), 1, atol=1e-5)


def test_neurons_that_end_at_0_refuse_to_leave_or_are_taken_back(getkey):
    memory, start = Decay(Positive()), jnp.ones((10_000, 2))
    result = eam.sample(memory, start, eam.Langevin(0.5, 2.0), 1, key=getkey(), discard=150)
    assert (result.states >= 0).all()
    assert deviates(result.states[:, 0], 2.0) < 4 and deviates(result.states[:, 0] ** 2, 8.0) < 4
    loose = eam.sample(memory, start, eam.Langevin(0.5, 2.0, adjusted=False), 1, key=getkey(), discard=50)
    assert (loose.states >= 0).all() and (loose.states == 0).any()


def test_clamped_layers_stay_and_the_others_are_sampled_given_them(getkey):
    W = jnp.array([[1.0, 0.6], [0.6, 1.0]])

    class Pair(eqx.Module):
        def energy(self, x):
            return 0.5 * x @ W @ x

    start = jnp.tile(jnp.array([1.5, 0.0]), (10_000, 1))
    clamp = jnp.array([True, False])
    result = eam.sample(Pair(), start, eam.Langevin(0.5), 1, key=getkey(), discard=40, clamp=clamp)
    x = result.states[:, 0]
    assert (x[:, 0] == 1.5).all()
    assert deviates(x[:, 1], -0.9) < 4 and deviates((x[:, 1] + 0.9) ** 2, 1.0) < 4


def test_at_temperature_0_an_adjusted_step_never_raises_the_energy(getkey):
    memory = eam.ModernHopfield(jr.normal(getkey(), (5, 8)), 4.0)
    schedule = lambda step: jnp.maximum(1.0 - 0.1 * step, 0)  # noqa: E731
    start = jr.normal(getkey(), (10, 8))
    result = eam.recall(memory, start, eam.Langevin(0.2, schedule), 60, key=getkey())
    assert (jnp.diff(result.energies[:, 11:], axis=1) <= 0).all()
    assert result.frames(every=20).shape == (10, 4, 8)
    tempered = eam.Tempering([0.25, 1.0], eam.Langevin(0.1))
    assert eam.sample(memory, start, tempered, 2, key=getkey()).states.shape == (10, 2, 8)


class Wells(eqx.Module):
    """Two wells, in which chains from the tails never arrive by steps of .1."""

    def energy(self, x):
        return jnp.sum(2 * (x**2 - 1) ** 2 + 0.3 * x)


def test_chains_that_are_stuck_in_the_tails_show_by_rhat_and_not_by_acceptance():
    start, rule = jr.normal(jr.key(0), (500, 1)), eam.Langevin(0.1, 0.3)
    plain = eam.sample(Wells(), start, rule, 60, discard=60, key=jr.key(1))
    assert 0.5 < plain.acceptance.mean() < 0.65 and plain.energies.mean() > 0.8
    assert plain.rhat == eam.evaluation.split_rhat(plain.energies) > 1.5 and "rhat" in repr(plain)
    low = eam.recall(Wells(), start, eam.GradientDescent(0.01), 100, record=False).state
    tempered = eam.Tempering([0.3, 0.6, 1.2], rule)
    found = eam.sample(Wells(), low, tempered, 60, discard=100, every=3, key=jr.key(1))
    grid = np.linspace(-4, 4, 20_001)
    energy = 2 * (grid**2 - 1) ** 2 + 0.3 * grid
    weights = np.exp(-energy / 0.3)
    assert abs(found.energies.mean() - weights @ energy / weights.sum()) < 0.02 and found.rhat < 1.06
    lost = eqx.tree_at(lambda s: s.energies, found, found.energies.at[0, 3].set(jnp.nan))
    assert lost.rhat == np.inf
    short = eam.sample(Wells(), low, rule, 3, key=jr.key(1))
    assert short.rhat is None and "rhat" not in repr(short)
    assert eqx.filter_jit(lambda s: s.rhat is None)(found)
