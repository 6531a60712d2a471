"""Wrong use of samplers, partition functions and losses: each a ValueError that names the argument."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import patterns

import energyam as eam

X = np.array(patterns(0, 3, 8))
CHN, MODERN, KEY = eam.CHN(X), eam.ModernHopfield(X * 1.0, 1.0), jr.key(0)
WEIGHTS = eam.HopfieldNetwork(np.zeros((60, 60)))


class Alone(eqx.Module):
    def energy(self, x):
        return -x.sum()


@pytest.mark.parametrize("rule", [eam.HeatBath, eam.Metropolis, lambda T: eam.Langevin(0.1, T)])
@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.inf, "hot", [1.0, 2.0]])
def test_temperatures(rule, temperature):
    with pytest.raises(ValueError, match="temperature must be"):
        rule(temperature)


@pytest.mark.parametrize("rule", [eam.HeatBath, eam.Metropolis])
def test_schedules_that_fall_below_0(rule):
    with pytest.raises(ValueError, match="temperature must be finite and not below 0; got -1"):
        rule(lambda step: -1.0)
    with pytest.raises(ValueError, match="got nan"):
        rule(lambda step: jnp.nan)
    falling = rule(lambda step: 1 - 0.1 * step)
    with pytest.raises(ValueError, match=r"got -0\.1 from its schedule at step 11"):
        eam.sample(CHN, X, falling, 20, key=KEY)
    with pytest.raises(ValueError, match="at step 11"):
        eam.recall(CHN, X, falling, 20, key=KEY)


CALLS = [
    (lambda: eam.sample(CHN, X * 0, eam.HeatBath(1.0), 1, key=KEY), "start must be .* entries ±1"),
    (lambda: eam.sample(CHN, X[:, :5], eam.HeatBath(1.0), 1, key=KEY), r"start must be \(..., 8\)"),
    (lambda: eam.sample(Alone(), X * 0.5, eam.HeatBath(1.0), 1, key=KEY), "start must be .* entries ±1"),
    (
        lambda: eam.sample(Alone(), X * 0.5, eam.Tempering([1.0, 2.0], eam.HeatBath(1.0)), 1, key=KEY),
        "start must be .* entries ±1",
    ),
    (lambda: eam.sample(MODERN, X, eam.HeatBath(1.0), 1, key=KEY), "memory must have ±1 neurons"),
    (lambda: eam.sample(MODERN, X, eam.DiscreteLangevin(1.0), 1, key=KEY), "memory must have ±1 neurons"),
    (lambda: eam.sample(CHN, X, eam.Langevin(0.1), 1, key=KEY), "Langevin needs continuous neurons"),
    (lambda: eam.sample(CHN, X, eam.HeatBath(1.0), 0, key=KEY), "num_samples must be an integer of at least"),
    (lambda: eam.sample(CHN, X, eam.HeatBath(1.0), 1, key=KEY, every=0), "every must be an integer"),
    (lambda: eam.sample(CHN, X, eam.HeatBath(1.0), 1, key=KEY, discard=-1), "discard must be an integer"),
    (lambda: eam.sample(CHN, X, eam.HeatBath(1.0), 2**20, key=KEY, every=2**12), "every must be at most"),
    (lambda: eam.sample(CHN, X, eam.HeatBath, 1, key=KEY), r"call it: HeatBath\(\)"),
    (lambda: eam.sample(CHN, X, eam.HeatBath(1.0), 1, key=0), "key must be a jax random key"),
    (lambda: eam.sample(eam.CHN, X, eam.HeatBath(1.0), 1, key=KEY), "an object, not the class CHN"),
    (lambda: eam.sample(CHN, X, eam.HeatBath(1.0), 1, key=KEY, clamp=np.ones(5, bool)), "clamp must be"),
    (lambda: eam.recall(CHN, X, eam.HeatBath(1.0)), "key must be given"),
    (lambda: eam.HeatBath(1.0, "backwards"), "order must be"),
    (lambda: eam.Langevin(0.0), "step_size must be positive"),
    (lambda: eam.Langevin(0.1, adjusted=1), "adjusted must be True or False"),
    (lambda: eam.DiscreteLangevin(-1.0), "step_size must be positive"),
    (lambda: eam.Tempering([1.0], eam.HeatBath(1.0)), "temperatures must be at least 2"),
    (lambda: eam.Tempering([1.0, 0.0], eam.HeatBath(1.0)), "temperatures must be positive"),
    (lambda: eam.Tempering([1.0, 2.0], eam.Asynchronous()), "update must be .*; Asynchronous has no `at`"),
    (lambda: eam.evaluation.log_partition(CHN, 0.0), "temperature must be positive"),
    (lambda: eam.evaluation.log_partition(WEIGHTS, 1.0), "at most 24 neurons of two values.* has 60"),
    (lambda: eam.evaluation.log_partition(MODERN, 0.7), r"a mixture \(ModernHopfield: T = 1/β\)"),
    (lambda: eam.evaluation.log_partition(Alone(), 1.0), "memory must say state_shape"),
    (lambda: eam.evaluation.expectation(WEIGHTS, jnp.sum, 1.0), "at most 24 neurons"),
    (lambda: eam.evaluation.expectation(CHN, jnp.sum, -1.0), "temperature must be positive"),
    (lambda: eam.evaluation.split_rhat(np.ones((4, 3))), "values must hold at least 8 samples"),
    (lambda: eam.evaluation.effective_sample_size(np.full((2, 9), np.nan)), "values must be finite"),
    (lambda: eam.nn.pseudo_likelihood(CHN, X, 0.0), "temperature must be positive"),
    (lambda: eam.nn.probability_flow(MODERN, X), "memory must have ±1 neurons"),
    (lambda: eam.nn.pseudo_likelihood(CHN, X[:, :3]), r"states must be \(..., 8\)"),
    (lambda: eam.nn.denoising_score_matching(CHN, X, 0.1, key=KEY), "needs continuous neurons"),
    (lambda: eam.nn.denoising_score_matching(MODERN, X, 0.0, key=KEY), "noise must be positive"),
    (
        lambda: eam.nn.contrastive_divergence(CHN, X, eam.HeatBath(1.0), 0, key=KEY),
        "num_steps must be an integer",
    ),
]


@pytest.mark.parametrize(("call", "message"), CALLS)
def test_wrong_use_of_samplers_names_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_progress_inside_jit():
    with pytest.raises(ValueError, match="progress must be False inside jit"):
        jax.jit(lambda x: eam.sample(CHN, x, eam.HeatBath(1.0), 2, key=KEY, progress=True).states)(X)
