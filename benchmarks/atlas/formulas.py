"""Published formulas, each at one point that we chose: own checks, and identities."""

import math

import jax.random as jr
import numpy as np
from scipy.special import erf, ndtr

import energyam as eam
from benchmarks.atlas.claim import claim
from benchmarks.atlas.physics import GARDNER_FIRST
from benchmarks.atlas.sources import ANDERSON_1977, BARRA, FRADY, HOPFIELD_1984, KOHONEN_1972, KOHONEN_1977
from benchmarks.intervals import Ours, mean_of, share_of

FIELD = "formulas"


@claim(
    FIELD,
    "The optimal linear mapping leaves √(K/D) of the noise of a key",
    KOHONEN_1977,
    "mean ‖Wn‖/‖n‖ of the projection onto K = 64 keys, D = 256",
    0.5,
    0.01,
    nature="own check",
)
def attenuated_noise(quick):
    def one(key):
        of_keys, of_noise = jr.split(key)
        keys, noise = jr.normal(of_keys, (64, 256)), np.asarray(jr.normal(of_noise, (100, 256)))
        through = noise @ np.asarray(eam.optimal_linear_associator(keys, keys)).T
        return (np.linalg.norm(through, axis=1) / np.linalg.norm(noise, axis=1)).mean()

    return mean_of([one(key) for key in jr.split(jr.key(1), 3 if quick else 20)])


@claim(
    FIELD,
    "The crosstalk of a correlation matrix has the power K/D of what is read",
    KOHONEN_1972,
    "mean ‖read − value‖²/‖value‖², unit keys, K = 64, D = 256",
    63 / 256,
    0.01,
    nature="own check",
)
def crosstalk(quick):
    def one(key):
        keys, values = (np.asarray(x) for x in jr.normal(key, (2, 64, 256)))
        keys = keys / np.linalg.norm(keys, axis=1, keepdims=True)
        read = keys @ np.asarray(eam.learning.correlation_matrix_memory(keys, values)).T
        return (((read - values) ** 2).sum(axis=1) / (values**2).sum(axis=1)).mean()

    return mean_of([one(key) for key in jr.split(jr.key(2), 3 if quick else 40)])


@claim(
    FIELD,
    "The first synchronous step of Hebb's rule takes the overlap m to erf(m/√(2α))",
    GARDNER_FIRST,
    "m = 0.6, K = 200, D = 2000",
    float(erf(0.6 / math.sqrt(0.2))),
    0.002,
    nature="own check",
)
def first_step(quick):
    D = 500 if quick else 2000

    def one(seed):
        random = np.random.default_rng(seed)
        X = random.choice([-1.0, 1.0], (D // 10, D))
        state = np.where(np.arange(D)[None] < 0.2 * D, -X, X)
        after = np.sign(state @ X.T @ X / D - 0.1 * state)
        return (after * X).mean()

    return mean_of([one(seed) for seed in range(3 if quick else 30)])


def read_right(s, K):
    """∫ φ(h) Φ(h + s)^{K−1} dh."""
    h = np.linspace(-8, 8, 4001)
    return float(
        np.sum(np.exp(-0.5 * h**2) * ndtr(h + s) ** (K - 1)) * (h[1] - h[0]) / math.sqrt(2 * math.pi)
    )


@claim(
    FIELD,
    "A bundle of M of K random vectors is read with the accuracy ∫ φ(h) Φ(h + s)^{K−1} dh, s = √(N/M)",
    FRADY,
    "share of right readings of a sequence of M = 50 of K = 27 symbols, N = 500",
    read_right(math.sqrt(500 / 50), 27),
    0.02,
    nature="own check",
)
def bundle(quick):
    random, right = np.random.default_rng(3), []
    for _ in range(5 if quick else 100):
        symbols, places = random.choice([-1.0, 1.0], (27, 500)), random.choice([-1.0, 1.0], (50, 500))
        sequence = random.integers(0, 27, 50)
        memory = (places * symbols[sequence]).sum(axis=0)
        right.append((((memory * places) @ symbols.T).argmax(axis=1) == sequence).mean())
    return mean_of(right)


@claim(
    FIELD,
    "A Hopfield network is a Boltzmann machine whose hidden layer is Gaussian",
    BARRA,
    "largest difference of the probabilities of all 2⁸ states, the hidden layer integrated numerically",
    0.0,
    1e-6,
    nature="identity",
)
def gaussian_hidden(quick):
    X = np.random.default_rng(4).choice([-1.0, 1.0], (2, 8))
    states = 1.0 - 2.0 * ((np.arange(2**8)[:, None] >> np.arange(8)) & 1)
    fields, beta = states @ X.T / math.sqrt(8), 0.7
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)  # ∫ Dz exp(√β field z) for each hidden unit
    machine = np.prod(np.exp(math.sqrt(beta) * fields[..., None] * nodes) @ weights, axis=1)
    network = np.exp(0.5 * beta * (fields**2).sum(axis=1))
    return float(np.abs(machine / machine.sum() - network / network.sum()).max())


@claim(
    FIELD,
    "Brain-state-in-a-box ends in a corner of the box",
    ANDERSON_1977,
    "share of 1,000 random starts, x ← clip(x + ½Wx, −1, 1), five patterns of 50 bits",
    1.0,
    0.01,
    nature="own check",
)
def corners(quick):
    random = np.random.default_rng(5)
    X = random.choice([-1.0, 1.0], (5, 50))
    weights = X.T @ X / 50
    x = random.uniform(-0.2, 0.2, (50 if quick else 1000, 50))
    for _ in range(2000):
        x = np.clip(x + 0.5 * x @ weights, -1, 1)
    return share_of((np.abs(x) == 1).all(axis=1))


@claim(
    FIELD,
    "At high gain the minima of graded neurons are corners",
    HOPFIELD_1984,
    "largest 1 − |x|, x = tanh(10 Wx) from .1 ξ, Hebb's rule, three patterns of 50 neurons",
    0.0,
    0.001,
    nature="own check",
    note="A finite gain leaves 1 − tanh(10 h) at a neuron with the field h.",
)
def graded_corners(quick):
    X = eam.datasets.random_patterns(3, 50, key=jr.key(6))

    def off(gain):
        memory = eam.HopfieldNetwork(eam.hebbian(X), neurons=eam.Tanh(gain))
        return float((1 - np.abs(np.asarray(eam.recall(memory, 0.1 * X, max_steps=500).state))).max())

    return Ours(off(10.0), control=f"at a gain of 2: {off(2.0):.2f}")
