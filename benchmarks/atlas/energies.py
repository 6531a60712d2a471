"""Claims about other energies, temperature, and lowest states."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks.atlas.claim import claim
from benchmarks.atlas.physics import BOETTCHER, GLAUBER, HAMZE
from benchmarks.atlas.sources import CARREIRA, HOOVER_2024, HOOVER_2025, PHAM, ROBERTS
from benchmarks.intervals import Ours, mean_of

FIELD = "energies and temperature"


@claim(
    FIELD,
    "Mean shift between two points ±1 at β = 2 rests at x = tanh(2x)",
    CARREIRA,
    "largest fixed point of x = a tanh(βax)",
    0.9575040240772688,
    1e-5,
    nature="identity",
)
def mean_shift(quick):
    memory = eam.GaussianDenseAM(jnp.array([[1.0], [-1.0]]), 2.0)
    return float(eam.recall(memory, jnp.array([1.0]), eam.Synchronous(), 200).state[0])


@claim(
    FIELD,
    "Two Gaussians merge into one well where βa² ≤ 1",
    CARREIRA,
    "fixed point from x = 1 at β = .9",
    0.0,
    1e-3,
    nature="identity",
)
def one_well(quick):
    memory = eam.GaussianDenseAM(jnp.array([[1.0], [-1.0]]), 0.9)
    return float(eam.recall(memory, jnp.array([1.0]), eam.Synchronous(), 1000).state[0])


@claim(
    FIELD,
    "An Epanechnikov energy has minima that nobody stored, beside the stored ones",
    HOOVER_2025,
    "patterns ±1, support radius 1.5: where a recall from .1 ends",
    0.0,
    1e-6,
    nature="own check",
    where="emergent memories",
)
def emergent(quick):
    memory = eam.EpanechnikovDenseAM(jnp.array([[1.0], [-1.0]]), 2 / 1.5**2)
    return float(eam.recall(memory, jnp.array([0.1]), eam.Synchronous(), 20).state[0])


@claim(
    FIELD,
    "The same energy keeps each stored pattern exactly",
    HOOVER_2025,
    "where a recall from .9 ends",
    1.0,
    1e-6,
    nature="own check",
)
def exact_memory(quick):
    memory = eam.EpanechnikovDenseAM(jnp.array([[1.0], [-1.0]]), 2 / 1.5**2)
    return float(eam.recall(memory, jnp.array([0.9]), eam.Synchronous(), 20).state[0])


@claim(
    FIELD,
    "K points on a circle become a flat ring: modulation 2 I_K(2β)/I₀(2β)",
    PHAM,
    "half the range of density over its mean, kernel exp(−β‖x − ξ‖²), β = 20, K = 15",
    0.1199,
    0.0005,
    nature="own check",
)
def ring_modulation(quick):
    angles = np.linspace(0, 2 * np.pi, 15, endpoint=False)
    memory = eam.GaussianDenseAM(np.stack([np.cos(angles), np.sin(angles)], axis=1), 40.0)
    around = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    density = np.exp(
        -40.0 * np.asarray(jax.vmap(memory.energy)(jnp.stack([jnp.cos(around), jnp.sin(around)], axis=1)))
    )
    return float((density.max() - density.min()) / 2 / density.mean())


@claim(
    FIELD,
    "Heat bath visits states as often as exp(−E/T) says",
    GLAUBER,
    "mean energy of chains less the exact mean, D = 10",
    0.0,
    0.01,
    nature="identity",
)
def heat_bath(quick):
    memory = eam.ExponentialDenseAM(eam.datasets.random_patterns(3, 10, key=jr.key(1)), 0.3)
    start = eam.datasets.random_patterns(40 if quick else 200, 10, key=jr.key(2))
    samples = eam.sample(memory, start, eam.HeatBath(1.0), 50 if quick else 400, discard=30, key=jr.key(3))
    exact = eam.evaluation.expectation(memory, memory.energy, 1.0)
    return mean_of(np.asarray(samples.energies).mean(axis=1) - float(exact))


def _variance(adjusted, quick):
    start = jr.normal(jr.key(4), (100 if quick else 1000, 1))
    memory = eam.DenseAM(jnp.zeros((1, 1)), eam.LogSumExp(1.0), eam.Continuous())  # ½ x², and a constant
    samples = eam.sample(memory, start, eam.Langevin(0.5, adjusted=adjusted), 200, discard=20, key=jr.key(5))
    return mean_of((np.asarray(samples.states)[..., 0] ** 2).mean(axis=1))


@claim(
    FIELD,
    "Unadjusted Langevin steps of η = ½ have the variance 1/(1 − η/2) in place of 1",
    ROBERTS,
    "T/(1 − η/2), E = ½x²",
    4 / 3,
    0.02,
    nature="identity",
)
def unadjusted(quick):
    return _variance(False, quick)


@claim(FIELD, "Adjusted ones have the right variance", ROBERTS, "T", 1.0, 0.02, nature="identity")
def adjusted(quick):
    return _variance(True, quick)


@claim(
    FIELD,
    "The Sherrington–Kirkpatrick ground state has −.7632 + .7 D^(−2/3) per neuron",
    BOETTCHER,
    "lowest of 64 chains, D = 100",
    -0.7632 + 0.7 * 100 ** (-2 / 3),
    0.01,
    nature="own check",
)
def spin_glass(quick):
    def one(key):
        of_couplings, of_chains = jr.split(key)
        memory = eam.ising.sherrington_kirkpatrick(100, key=of_couplings)
        chains, sweeps = (16, 50) if quick else (64, 200)
        return float(eam.ising.minimize(memory, chains, sweeps, key=of_chains).energy) / 100

    return mean_of([one(key) for key in jr.split(jr.key(6), 2 if quick else 30)])


@claim(
    FIELD,
    "The planted state of a Wishart instance is its lowest",
    HAMZE,
    "min E over all 2¹⁶ states, less the planted energy; 16 neurons, 12 columns",
    0.0,
    1e-4,
    nature="identity",
)
def planted(quick):
    instance = eam.ising.planted(16, 12, key=jr.key(7))
    states = 1.0 - 2.0 * ((np.arange(2**16)[:, None] >> np.arange(16)) & 1)
    weights = np.asarray(instance.memory.weights, float)
    return float((-0.5 * np.sum(states @ weights * states, axis=1)).min() - float(instance.energy))


@claim(
    FIELD,
    "The error of a memory in random features falls as one over the root of their number",
    HOOVER_2024,
    "slope of log error on log Y, Y = 100 and 6,400",
    -0.5,
    0.05,
)
def random_features(quick):
    X = jr.normal(jr.key(8), (5, 4)) * 0.5
    exact = jax.vmap(lambda x: jnp.sum(jnp.exp(-0.5 * jnp.sum((X - x[None]) ** 2, axis=1))))(X)

    def error(features, key):
        memory = eam.DistributedDenseAM.random(4, features, 1.0, key=key).write(X)
        return jnp.mean((jnp.exp(-jax.vmap(memory.energy)(X)) - exact) ** 2)

    keys = jr.split(jr.key(9), 20 if quick else 200)
    sizes = [100, 6400]
    errors = np.array([[error(size, key) for key in keys] for size in sizes])
    picks = np.random.default_rng(0).integers(0, len(keys), (1000, len(keys)))  # bootstrap over features
    slope = lambda means: 0.5 * np.diff(np.log(means), axis=0)[0] / math.log(sizes[1] / sizes[0])  # noqa: E731
    drawn = slope(np.stack([of_size[picks].mean(axis=1) for of_size in errors]))
    return Ours(float(slope(errors.mean(axis=1))), *np.quantile(drawn, [0.025, 0.975]).tolist())
