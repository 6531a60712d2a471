"""Claims about how many patterns fit, at Hebb's rule and beyond."""

import functools
import math
from statistics import NormalDist

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks.atlas.claim import claim, mean_of, share_of

FIELD = "capacity"
AGS = "Amit, Gutfreund & Sompolinsky, Phys. Rev. Lett. 55 (1985)"
HERTZ = "Hertz, Krogh & Palmer, Introduction to the Theory of Neural Computation (1991), table 2.1"
KROTOV = "Krotov & Hopfield, NeurIPS 2016"


def load_of(y):
    """α at which erf(y) is the overlap, by the replica equations at T = 0: √2α = erf(y)/y − 2/√π exp(−y²)."""
    return 0.5 * (math.erf(y) / y - 2 / math.sqrt(math.pi) * math.exp(-(y**2))) ** 2


@functools.cache
def critical_y():
    grid = np.linspace(0.5, 4, 35001)
    return float(grid[np.argmax([load_of(y) for y in grid])])


@claim(
    FIELD,
    "Retrieval states of Hebb's rule exist up to K = 0.138 D",
    AGS,
    "α_c = max_y ½ (erf(y)/y − 2/√π · exp(−y²))²",
    0.138,
    0.0005,
)
def replica_load(quick):
    return load_of(critical_y())


@claim(
    FIELD,
    "At α = 0.138 the overlap with the pattern is still 0.967",
    AGS,
    "m = erf(y) at the largest α",
    0.967,
    0.0005,
)
def replica_overlap(quick):
    return math.erf(critical_y())


def overlap_at(load):
    low, high = critical_y(), 6.0  # α falls with y from here on
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if load_of(middle) > load else (low, middle)
    return math.erf(low)


@claim(
    FIELD,
    "At α = 0.1 a stored pattern settles with the overlap of the replica equations",
    AGS,
    "m = erf(y), α(y) = 0.1",
    overlap_at(0.1),
    0.002,
)
def replica_simulation(quick):
    D, repeats, count = (100, 2, 5) if quick else (1000, 10, 20)

    def one(key):
        patterns = eam.datasets.random_patterns(D // 10, D, key=key)
        memory = eam.HopfieldNetwork(eam.hebbian(patterns))
        ends = eam.recall(memory, patterns[:count], eam.Asynchronous("sequential"), 50, record=False).state
        return (ends.astype(float) * patterns[:count]).mean()

    return mean_of([one(key) for key in jr.split(jr.key(1), repeats)])


def _hertz(error, load, digits):
    @claim(
        FIELD,
        f"A share {error:g} of unstable bits allows K = {load:g} D",
        HERTZ,
        "K/D = 1/Φ⁻¹(P)²",
        load,
        0.5 * 10**-digits,
        name=f"hebb-error-{error:g}",
    )
    def hebb_error(quick):
        return eam.theory.hopfield_capacity(1000, error) / 1000


for case in ((0.001, 0.105, 3), (0.0036, 0.138, 3), (0.01, 0.185, 3), (0.05, 0.37, 2), (0.1, 0.61, 2)):
    _hertz(*case)


@claim(
    FIELD,
    "K = D/(2 ln D) patterns are fixed points of Hebb's rule, nearly all of them",
    "McEliece, Posner, Rodemich & Venkatesh, IEEE Trans. Inf. Theory 33 (1987)",
    "share → 1 for D → ∞",
    1.0,
    0.02,
    note="The limit is slow: D Φ(−√(2 ln D)) ≈ 1/√(4π ln D) bits per pattern are unstable, 0.1 at D = 1000.",
)
def mceliece(quick):
    D, repeats = (100, 2) if quick else (1000, 10)
    K = int(eam.theory.hopfield_capacity(D))

    def one(key):
        patterns = eam.datasets.random_patterns(K, D, key=key)
        memory = eam.HopfieldNetwork(eam.hebbian(patterns))
        return [bool(x) for x in eam.is_local_minimum(memory, patterns)]

    return share_of([one(key) for key in jr.split(jr.key(2), repeats)])


@claim(
    FIELD,
    "Order 2 holds 0.14 D patterns with 0.5 % of the bits wrong",
    KROTOV,
    "K = D / Φ⁻¹(0.005)²",
    0.14,
    0.005,
    correction="The paper's own formula gives 0.151 for 0.5 %; 0.14 is the load for 0.38 %.",
)
def order_two(quick):
    return eam.theory.polynomial_capacity(1000, 2, error=0.005) / 1000


@eqx.filter_jit
def _unstable(memory, states):
    """Which neurons of each state would lower the energy by flipping alone."""
    flips = memory.flips()

    def of_one(state):
        kept = flips.start(state)
        return jax.vmap(lambda i: flips.change(kept, state, i[None], -2 * state[i][None]).value > 0)(
            jnp.arange(state.size)
        )

    return jax.vmap(of_one)(states.astype(float))


def _order(n, D, small):
    @claim(
        FIELD,
        f"Order {n}: at K = D^{n - 1}/({math.prod(range(1, 2 * n - 2, 2))} Φ⁻¹(0.005)²) "
        "half a per cent of the bits is unstable",
        KROTOV,
        "P = Φ(−√(D^{n−1}/((2n−3)!! K)))",
        0.005,
        0.0015,
        name=f"unstable-bits-order-{n}",
        note="" if n == 2 else "Noise of a finite D is not normal: its tails are heavier.",
    )
    def unstable(quick):
        size, repeats = (small, 2) if quick else (D, 20)
        K = round(eam.theory.polynomial_capacity(size, n, error=0.005))

        def one(key):
            patterns = eam.datasets.random_patterns(K, size, key=key)
            memory = eam.PolynomialDenseAM(patterns, n, rectified=False)
            return float(_unstable(memory, patterns[:200]).mean())

        return mean_of([one(key) for key in jr.split(jr.key(3), repeats)])


for case in ((2, 500, 100), (3, 128, 24), (4, 40, 12)):
    _order(*case)


@claim(
    FIELD,
    "An exponential memory holds 2^{D/2} patterns",
    "Demircigil et al., J. Stat. Phys. 168 (2017)",
    "ln K = I(1)/2 · D = ½ D ln 2; shown: log₂ K / D",
    0.5,
    1e-9,
)
def exponential_capacity(quick):
    return eam.theory.log_exponential_capacity(1000) / (1000 * math.log(2))


@claim(
    FIELD,
    "Below 2^{D/2} every pattern of an exponential memory is a fixed point (D = 24, K = 512, β = 1)",
    "Demircigil et al., J. Stat. Phys. 168 (2017)",
    "share of fixed points → 1",
    1.0,
    0.001,
)
def exponential_fixed_points(quick):
    keys = jr.split(jr.key(4), 1 if quick else 10)
    sets = [eam.datasets.random_patterns(512, 24, key=key) for key in keys]
    return share_of([np.asarray(eam.is_local_minimum(eam.ExponentialDenseAM(X, 1.0), X)) for X in sets])


@claim(
    FIELD,
    "At K_c = (2/(1 + e^{−2β}))^D a stored pattern's own weight is one half (D = 20, β = ½)",
    "Lucibello & Mézard, Phys. Rev. Lett. 132 (2024), by their random-energy argument",
    "weight ≈ 1/(1 + K/K_c)",
    0.5,
    0.01,
)
def exponential_load(quick):
    K = round(eam.theory.exponential_load(20, 0.5))
    weights = jax.jit(jax.vmap(lambda X, x: jax.nn.softmax(0.5 * X @ x)[0]))
    keys = jr.split(jr.key(5), 20 if quick else 400)
    sets = [np.asarray(eam.datasets.random_patterns(K, 20, key=key), np.float32) for key in keys]
    return mean_of(weights(np.stack(sets), np.stack([X[0] for X in sets])))


@claim(
    FIELD,
    "A dense sequence of degree 2 errs as the normal noise says (D = 50, K at its capacity)",
    "Chaudhry, Zavatone-Veth, Krotov & Pehlevan, NeurIPS 2023",
    "P(bit) = Φ(−√(2 ln D))",
    NormalDist().cdf(-math.sqrt(2 * math.log(50))),
    0.001,
    note="The noise of a finite D has heavier tails than the normal.",
)
def sequence_transitions(quick):
    K = round(eam.theory.dense_transition_capacity(50, 2))

    def one(key):
        X = eam.datasets.random_patterns(K, 50, key=key)
        memory = eam.DenseSequence(X, eam.Polynomial(3, rectified=False))
        ends = eam.recall(memory, X, eam.Synchronous(), 1, record=False).state
        return float((ends != np.roll(X, -1, axis=0)).mean())

    return mean_of([one(key) for key in jr.split(jr.key(6), 3 if quick else 40)])


@claim(
    FIELD,
    "An exponential sequence memory grows by 1.964 per neuron",
    "Chaudhry et al., NeurIPS 2023",
    "b = e²/cosh 2",
    1.964,
    0.0005,
)
def sequence_base(quick):
    size = eam.theory.log_exponential_sequence_capacity
    return math.exp((size(2_000_000) - size(1_000_000)) / 1_000_000)
