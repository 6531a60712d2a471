"""Claims about how many patterns an exponential memory holds."""

import math

import jax
import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks.atlas.capacity import FIELD
from benchmarks.atlas.claim import claim
from benchmarks.atlas.physics import LUCIBELLO
from benchmarks.atlas.sources import DEMIRCIGIL
from benchmarks.intervals import Ours, mean_of, share_of


@claim(
    FIELD,
    "An exponential memory holds 2^{D/2} patterns",
    DEMIRCIGIL,
    "ln K = I(1)/2 · D = ½ D ln 2; shown: log₂ K / D",
    0.5,
    1e-9,
)
def exponential_capacity(quick):
    return eam.theory.log_exponential_capacity(1000) / (1000 * math.log(2))


@claim(
    FIELD,
    "With 2^{D/2} patterns each is a fixed point of an exponential memory (D = 24, K = 4,096, β = 1)",
    DEMIRCIGIL,
    "share of fixed points → 1",
    1.0,
    0.001,
    where="theorem 3",
    note="The limit D → ∞ is 1 if the share that is not fixed falls with D, here from D = 16 to 24. The "
    "tolerance is one pattern in a thousand.",
)
def exponential_fixed_points(quick):
    sizes = (12, 16) if quick else (16, 20, 24)
    found = [_exponential_share(D, 4 if quick else 40) for D in sizes]
    lost = [math.log(1 - one.value + 1e-9) for one in found]
    spread = [(one.high - one.low) / (2 * (1 - one.value + 1e-9)) for one in found]
    slope = (lost[-1] - lost[0]) / (sizes[-1] - sizes[0])
    half = math.hypot(spread[0], spread[-1]) / (sizes[-1] - sizes[0])
    limit = Ours(1.0, 1.0, 1.0) if slope + half < 0 else None
    falls = f"the share that is not fixed falls by exp({slope:.3f} ± {half:.3f}) per neuron"
    return found[-1]._replace(limit=limit, control=falls)


def _exponential_share(D, repeats):
    keys = jr.split(jr.key(4), repeats)
    sets = [eam.datasets.random_patterns(2 ** (D // 2), D, key=key) for key in keys]
    return share_of(
        [np.asarray(eam.is_local_minimum(eam.ExponentialDenseAM(X, 1.0), X[:1000])) for X in sets]
    )


@claim(
    FIELD,
    "An exponential memory with exp(.0654 D) patterns corrects a flip of every fourth bit in one step",
    DEMIRCIGIL,
    "K = exp(D I(1 − 2ρ)/2), ρ = ¼; share of patterns that come back whole, D = 100, K = 692",
    1.0,
    0.005,
    where="theorem 3",
)
def exponential_noise(quick):
    random = np.random.default_rng(7)

    def back(D, load, repeats):
        return np.concatenate([_corrected(D, round(math.exp(load * D)), random) for _ in range(repeats)])

    found = share_of(back(60 if quick else 100, 0.0654, 5 if quick else 100))
    return found._replace(control=f"at three times the load, D = 40: {back(40, 0.1962, 5).mean():.2f}")


def _corrected(D, K, random):
    """Which of 50 patterns with D/4 flips one synchronous step by the change of Σ exp(ξ·x) brings back."""
    X = random.choice([-1.0, 1.0], (K, D))
    own = X[:50]
    flipped = np.where(np.argsort(random.random(own.shape), axis=1) < D // 4, -own, own)
    overlaps = flipped @ X.T
    weights = np.exp(overlaps - overlaps.max(axis=1, keepdims=True))
    total = weights.sum(axis=1, keepdims=True)
    fields = math.cosh(1) * (weights @ X) - math.sinh(1) * flipped * total  # a neuron does not see itself
    return (np.sign(fields) == own).all(axis=1)


@claim(
    FIELD,
    "At K_c = (2/(1 + e^{−2β}))^D a stored pattern's own weight is one half (D = 20, β = ½)",
    LUCIBELLO,
    "weight ≈ 1/(1 + K/K_c)",
    0.5,
    0.01,
    nature="own check",
    note="At K_c the annealed sum over the others is as large as the own term; the paper refines it.",
)
def exponential_load(quick):
    K = round(eam.theory.exponential_load(20, 0.5))
    weights = jax.jit(jax.vmap(lambda X, x: jax.nn.softmax(0.5 * X @ x)[0]))
    keys = jr.split(jr.key(5), 20 if quick else 400)
    sets = [np.asarray(eam.datasets.random_patterns(K, 20, key=key), np.float32) for key in keys]
    return mean_of(weights(np.stack(sets), np.stack([X[0] for X in sets])))
