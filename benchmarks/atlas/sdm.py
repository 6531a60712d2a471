"""Claims about Sparse Distributed Memory and the attention that approximates it."""

import math

import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks.atlas.claim import claim
from benchmarks.atlas.sources import BRICKEN, KANERVA, KANERVA_1993, KROTOV_2021
from benchmarks.intervals import Ours, mean_of, share_of

FIELD = "sparse distributed memory"
CONTINUOUS = "The book has a continuous approximation, 7 % low here; ours is the count."
INFLATED = "A covariance over N − 1 was divided by a variance over N: each β is N/(N − 1) times too large."


@claim(
    FIELD,
    "A circle of radius 451 holds a thousandth of {0, 1}^1000",
    KANERVA,
    "Σ_{k ≤ d} C(n, k)/2ⁿ",
    0.001,
    0.0001,
)
def circle_fraction(quick):
    return eam.hypercube.fraction_for_radius(1000, 451)


def shared(distance):
    log_share = eam.hypercube.log_circle_intersection(1000, 451)[distance] - 1000 * math.log(2)
    return 1e6 * math.exp(log_share)


def _common(distance, published):
    @claim(
        FIELD,
        f"Two addresses {distance} bits apart share {published} of a million locations",
        KANERVA,
        "r I(h)/2ⁿ; n = 1000, d = 451",
        published,
        0.5,
        where="appendix B, in whole locations, ± ½",
        correction=CONTINUOUS,
        name=f"shared-locations-{distance}",
    )
    def common(quick):
        return shared(distance)


for pair in ((0, 1000), (10, 743), (100, 267), (200, 97), (500, 1)):
    _common(*pair)


@claim(
    FIELD,
    "Random hard locations share as many as the count says (n = 64, d = 24, 8 bits apart)",
    KANERVA,
    "r I(8)/2⁶⁴, r = 100,000",
    math.exp(eam.hypercube.log_circle_intersection(64, 24)[8] - 64 * math.log(2)) * 1e5,
    25.0,
    nature="own check",
)
def random_locations(quick):
    x = eam.datasets.random_patterns(1, 64, key=jr.key(0))[0].astype(float)
    y = np.asarray(x) * np.where(np.arange(64) < 8, -1, 1)

    def one(key):
        locations = np.asarray(eam.datasets.random_patterns(10_000, 64, key=key), np.float32)
        near = [(64 - locations @ np.asarray(z, np.float32)) / 2 <= 24 for z in (x, y)]
        return 10.0 * np.sum(near[0] & near[1])

    return mean_of([one(key) for key in jr.split(jr.key(1), 10 if quick else 200)])


@claim(
    FIELD,
    "The critical distance of a million locations and 10,000 patterns is 209 bits",
    KANERVA,
    "next(x) = x; n = 1000, d = 451",
    209,
    0.5,
    where="chapter 7",
    correction="Two errors cancel in part: the book's normal approximation (208.0) takes the noise of the "
    "others to be 103, where it is 162.5, and leaves out the pull of patterns near the query, +128.6. One "
    "read lands nearer up to 228 (simulated with locations: 229 ± 1). Many reads, and the book's definition "
    "by how likely divergence is, were not simulated.",
)
def critical_distance_book(quick):
    return eam.theory.critical_distance(1000, 451, 10_000, 1e6)


@claim(
    FIELD,
    "The critical distance of the same memory, by the newer noise, is 164",
    BRICKEN,
    "next(x) = x without the pull of other patterns",
    164,
    0.5,
    nature="own check",
    where="appendix B; 164 is what its formula gives at these sizes, by our own sum",
    correction="It takes all other patterns to be at n/2, and leaves out their pull towards the query.",
)
def critical_distance_paper(quick):
    return eam.theory.critical_distance(1000, 451, 10_000, 1e6)


@claim(
    FIELD,
    "A million locations and 10,000 patterns are read best if each activates .000368 of the locations",
    KANERVA_1993,
    "(2MT)^{−1/3}; the p of the largest pM/(1 + pT(1 + p²M))",
    0.000368,
    5e-7,
)
def best_activation(quick):
    p = np.exp(np.linspace(math.log(1e-5), math.log(1e-2), 200_001))
    return float(p[np.argmax(p * 1e6 / (1 + p * 1e4 * (1 + p**2 * 1e6)))])


def _fit(radius, published, digits, kind="circle"):
    @claim(
        FIELD,
        f"The β of attention that fits a {kind} of radius {radius} at n = 64 is {published}",
        BRICKEN,
        "slope of ln I(h) on cos = 1 − 2h/n, h < d",
        published,
        0.5 * 10**-digits,
        correction=INFLATED,
        name=f"beta-{kind}-{radius}",
    )
    def beta(quick):
        return eam.theory.fit_beta(64, radius, kind).beta


for case in ((5, 35.48, 2), (11, 15.85, 2), (15, 10.11, 2), (11, 21.54, 2, "cap")):
    _fit(*case)


@claim(
    FIELD,
    "That program's β of radius 11, computed as it computes it",
    BRICKEN,
    "slope · N/(N − 1)",
    15.85,
    0.005,
    nature="own check",
    where="its notebook",
)
def beta_as_published(quick):
    return eam.theory.fit_beta(64, 11).published_beta


def _radius(criterion, published, **more):
    @claim(
        FIELD,
        f"The best radius at n = 64 by {criterion.replace('_', ' ')} is {published}",
        BRICKEN,
        "1,024 patterns, 2⁶⁴ neurons",
        published,
        0,
        name=f"radius-{criterion.replace('_', '-')}",
        **more,
    )
    def radius(quick):
        noise = "paper" if criterion == "critical_distance" else None
        return eam.theory.optimal_radius(64, 1024, 2**64, criterion, noise)


_radius("snr", 11)
_radius("capacity", 5)
_radius("critical_distance", 15)


@claim(
    FIELD,
    "The best radius by signal to noise at n = 64 is 11",
    BRICKEN,
    "exact geometry in place of p² r",
    11,
    0,
    nature="own check",
    correction="11 takes the neurons of two patterns for independent; at distance n/2 they are not.",
)
def radius_snr_exact(quick):
    return eam.theory.optimal_radius(64, 1024, 2**64, "snr", "paper")


@claim(
    FIELD,
    "Circles of radius 11 at n = 64 meet in 3.11949984e11 points, one bit apart",
    BRICKEN,
    "I(1) = Σ_k C(2k, k) C(n − 2k − 1, d − k)",
    3.11949984e11,
    500,
    where="its notebook",
)
def intersection_count(quick):
    return eam.hypercube.circle_intersection(64, 11)[1]


@claim(
    FIELD,
    "The exponential of appendix B is a lower bound of the intersection (n = 64, d = 11)",
    BRICKEN,
    "share of distances 1 … 22 where it is below",
    1.0,
    0.0,
    where="appendix B",
    correction="It is the normal approximation of the largest term, and lies above everywhere.",
)
def lower_bound(quick):
    exact = eam.hypercube.log_circle_intersection(64, 11)[1:23] - 64 * math.log(2)
    return float((eam.theory.log_normal_approximation(64, 11)[1:23] <= exact).mean())


@claim(
    FIELD,
    "A point has one of a million locations within 410 bits with probability .00625",
    BRICKEN,
    "1 − (1 − F(d))^r",
    0.00625,
    0.000005,
    where="its notebook",
    correction="That is 1 − exp(−rΦ), with a normal distribution for the binomial, and without its half bit.",
)
def nearest_location(quick):
    return eam.theory.neuron_distance_distribution(1000, 1e6)[410]


@claim(
    FIELD,
    "The signal at the pattern is 3.85 deviations of the noise (simulated; n = 100, d = 35, r = 10⁴)",
    BRICKEN,
    "N(0)/σ(0), 100 patterns; the deviation counts what varies of the signal itself",
    3.85,
    0.27,
    where="its notebook",
    note="The tolerance is the standard error of a deviation that was taken from 100 patterns, 7 %.",
)
def signal_to_noise(quick):
    return eam.theory.signal_to_noise(100, 35, 100, 1e4, "paper")[0]


@claim(
    FIELD,
    "By the book's formula the signal is 9.94 times the noise of the others (n = 100, d = 35, r = 10⁴)",
    KANERVA,
    "p r/√((1 + h² r/(4p²n)) p² r m), 100 patterns",
    eam.theory.signal_to_noise(100, 35, 100, 1e4, "book")[0],
    0.05,
    nature="own check",
    where="appendix C; the sum is ours",
    correction="The formula lets the shared locations depend on the distance to first order; summed over all "
    "distances the noise has 5 % more variance.",
)
def signal_to_noise_book(quick):
    share = np.exp(eam.hypercube.log_circle_intersection(100, 35) - 100 * math.log(2))
    often = np.array([math.comb(100, h) for h in range(101)]) / 2.0**100
    exact = 1e4 * share[0] / math.sqrt(99 * often @ (1e4 * share + (1e4 * share) ** 2))
    signals, variances = zip(*[_read_of_others(k) for k in range(5 if quick else 30)], strict=True)
    simulated = np.mean(signals) / math.sqrt(np.mean(variances))
    return Ours(exact, control=f"simulated with 10,000 locations: {simulated:.2f}")


def _read_of_others(number):
    """The signal at 100 patterns, and the variance of what a read there gets of all others."""
    random = np.random.default_rng(number)
    locations, X = (random.choice(np.float32([-1, 1]), (size, 100)) for size in (10_000, 100))
    active = ((100 - locations @ X.T) / 2 <= 35).astype(np.float32)
    common = active.T @ active
    others = (common - np.diag(np.diag(common))) @ X
    return np.diag(common).mean(), others.var()


@claim(
    FIELD,
    "A read of circle intersections never raises an energy",
    KROTOV_2021,
    "E = −Σ C(ξ, x); share of synchronous steps that do not raise it",
    1.0,
    0.01,
    nature="identity",
    where="for convex potentials; here that of a read by circles",
)
def sdm_descends(quick):
    X = eam.datasets.random_patterns(200, 64, key=jr.key(2))
    queries = eam.datasets.flip_bits(X, 0.3, key=jr.key(3))
    energies = np.asarray(eam.recall(eam.PatternSDM(X, 19), queries, eam.Synchronous(), 10).energies)
    steps = np.diff(energies, axis=1)
    return share_of(~(steps > 1e-5 * np.abs(energies[:, :-1]))[np.isfinite(steps)])
