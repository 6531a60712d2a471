"""Claims that an equation of statistical mechanics answers: solved here by bisection and quadrature."""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import erf, log_ndtr

import energyam as eam
from benchmarks.atlas.capacity import critical_y, load_of
from benchmarks.atlas.claim import claim
from benchmarks.atlas.physics import AGS_FEW, AGS_FULL, AMARI, DERRIDA, GARDNER, KRAUTH, SHERRINGTON
from benchmarks.atlas.sources import WILLSHAW

FIELD = "statistical mechanics"
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
WEIGHTS = WEIGHTS / WEIGHTS.sum()  # means over a standard normal number


def normal_mean(function):
    """∫ Dz function(z)."""
    return float(WEIGHTS @ function(NODES))


@claim(
    FIELD,
    "Couplings of any kind store up to 2 N random patterns without an error",
    GARDNER,
    "α_c(κ) = 1/∫_{−κ}^∞ Dt (t + κ)² at κ = 0",
    2.0,
    0.005,
)
def gardner_load(quick):
    return eam.theory.gardner_capacity(0.0)


@claim(
    FIELD,
    "Couplings of ±1 store up to .83 N random patterns",
    KRAUTH,
    "the load at which the replica-symmetric entropy −½ q̂(1 − q) + ∫ln 2cosh √q̂z + α ∫ln H vanishes",
    0.833,
    0.0005,
)
def binary_couplings(quick):
    return brentq(_binary_entropy, 0.7, 0.95)


def _binary_entropy(load):
    q = 0.5
    for _ in range(3000):
        x = math.sqrt(q / (1 - q)) * NODES
        ratio = np.exp(-0.5 * x**2 - 0.5 * math.log(2 * math.pi) - log_ndtr(-x))
        hat = load / (1 - q) * float(WEIGHTS @ ratio**2)
        q += 0.2 * (normal_mean(lambda z, hat=hat: np.tanh(math.sqrt(hat) * z) ** 2) - q)
    x = math.sqrt(q / (1 - q)) * NODES
    spread = normal_mean(lambda z: np.logaddexp(math.sqrt(hat) * z, -math.sqrt(hat) * z))
    return -0.5 * hat * (1 - q) + spread + load * float(WEIGHTS @ log_ndtr(-x))


@claim(
    FIELD,
    "Retrieval states are the lowest of all only up to K = 0.051 D",
    AGS_FULL,
    "½ (α − m² − αr) of the retrieval state meets −1/π − √(2α/π) of the spin glass, T = 0",
    0.051,
    0.0005,
    correction="The replica-symmetric equations of the paper give .05185, by bisection and by iteration; its "
    "number is what is left of that if the digits are cut off, not rounded.",
)
def global_minima(quick):
    def gap(y):
        load, m = load_of(y), math.erf(y)
        r = m**2 / (2 * load * y**2)  # y = m/√(2αr)
        return 0.5 * (load - m**2 - load * r) + 1 / math.pi + math.sqrt(2 * load / math.pi)

    return load_of(brentq(gap, critical_y() + 1e-6, 5.0))


@claim(
    FIELD,
    "Mixtures of three patterns are stable below T = 0.46",
    AGS_FEW,
    "m = ¼ (tanh 3βm + tanh βm); 1 − β(1 − q) − β⟨ξ₁ξ₂ tanh²⟩ > 0",
    0.46,
    0.005,
    where="abstract",
    note="The border is where 1 − tanh²βm = T. A third digit that is found elsewhere, .461, is not theirs.",
)
def mixture_temperature(quick):
    def stability(temperature):
        m, beta = 0.5, 1 / temperature
        for _ in range(2000):
            m = 0.25 * (math.tanh(3 * beta * m) + math.tanh(beta * m))
        three, one = math.tanh(3 * beta * m) ** 2, math.tanh(beta * m) ** 2
        return 1 - beta * (1 - (three + 3 * one) / 4) - beta * (three - one) / 4

    return brentq(stability, 0.3, 0.6)


@claim(
    FIELD,
    "A diluted asymmetric network recalls up to 2/π patterns per connection",
    DERRIDA,
    "the largest α with m = erf(m/√(2α)) > 0",
    0.637,
    0.0005,
)
def diluted(quick):
    def overlap(load):
        m = 1.0
        for _ in range(200_000):
            m = float(erf(m / math.sqrt(2 * load)))
        return m

    low, high = 0.5, 0.8
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if overlap(middle) > 1e-2 else (low, middle)
    return low


@claim(
    FIELD,
    "Synchronous recall from a stored pattern fails beyond K = 0.16 D, by the noise of Amari and Maginu",
    AMARI,
    "m' = erf(m/√2σ), σ'² = α + 4p(m/σ)² + 4α m m' p(m/σ)/σ, p the normal density",
    0.16,
    0.005,
)
def amari_load(quick):
    def overlap(load):
        m, variance = 1.0, load
        for _ in range(2000):
            s = math.sqrt(variance)
            density = math.exp(-0.5 * (m / s) ** 2) / math.sqrt(2 * math.pi)
            after = math.erf(m / (s * math.sqrt(2)))
            m, variance = after, load + 4 * density**2 + 4 * load * m * after * density / s
        return m

    low, high = 0.1, 0.3
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (middle, high) if overlap(middle) > 0.5 else (low, middle)
    return low


@claim(
    FIELD,
    "A matrix of binary synapses holds at most .69 bits in each",
    WILLSHAW,
    "the largest log₂ p · ln(1 − p) over the share p of synapses that are on",
    0.69,
    0.005,
)
def willshaw_information(quick):
    p = np.linspace(0.001, 0.999, 99_801)
    information = np.log2(p) * np.log(1 - p)
    return float(information.max())


@claim(
    FIELD,
    "Replica symmetry has −.798 per neuron as the lowest energy of a spin glass",
    SHERRINGTON,
    "the limit T → 0 of −β(1 − q²)/2, q = ∫Dz tanh² β√q z",
    -0.798,
    0.0005,
    note="−√(2/π); it is too low: the replica-symmetric solution is unstable.",
)
def symmetric_glass(quick):
    energies = []
    temperatures = (0.04, 0.02)
    for temperature in temperatures:
        # ∫Dz sech²(βz√q), smooth in t = βz√q: at low T the nodes of a Gaussian miss it.
        q = 1.0
        t = np.linspace(-40, 40, 80_001)
        for _ in range(100):
            width = math.sqrt(q) / temperature
            kernel = np.exp(-0.5 * (t / width) ** 2) / (width * math.sqrt(2 * math.pi))
            q = 1 - float(np.sum(kernel / np.cosh(t) ** 2) * (t[1] - t[0]))
        energies.append(-(1 - q**2) / (2 * temperature))
    return 2 * energies[1] - energies[0]
