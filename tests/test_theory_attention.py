"""β fits, bounds, critical distances and optimal radii against the published and the exact numbers."""

import math

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import optimize

import energyam as eam

theory, hc = eam.theory, eam.hypercube
R64 = 2**64


@pytest.mark.parametrize(
    ("n", "radius", "beta", "published", "r_squared"),
    [
        (64, 5, 28.3878093947745, 35.4847617434682, 0.88730946),
        (64, 7, 22.2352219992637, 25.9410923324743, 0.93730899),
        (64, 11, 14.411604760369, 15.8527652364059, 0.97223441),
        (64, 15, 9.43639112807962, 10.1104190657996, 0.98367223),
        (784, 331, 10.0357437346343, 10.0661550792847, 0.99111291),
        (1000, 451, 5.95321119829984, 5.96644055651828, 0.99229829),
    ],
)
def test_circle_betas(n, radius, beta, published, r_squared):
    fit = theory.fit_beta(n, radius)
    assert math.isclose(fit.beta, beta, rel_tol=1e-9)
    assert math.isclose(fit.published_beta, published, rel_tol=1e-9)
    assert abs(fit.r_squared - r_squared) < 1e-8


def test_the_published_betas_of_the_paper_and_the_intercept():
    published = [round(theory.fit_beta(64, d).published_beta, 2) for d in (5, 11, 15)]
    assert published == [35.48, 15.85, 10.11]
    assert math.isclose(theory.fit_beta(64, 11).intercept, 12.81829596997, rel_tol=1e-10)


@pytest.mark.parametrize(
    ("radius", "beta"), [(5, 57.3673687960366), (11, 19.5815870156452), (27, 1.96829940523674)]
)
def test_cap_betas(radius, beta):
    assert math.isclose(theory.fit_beta(64, radius, kind="cap").beta, beta, rel_tol=1e-9)


def test_fit_at_chosen_distances():
    fit = theory.fit_beta(64, 11, distances=[0, 2])
    exact = hc.circle_intersection(64, 11)
    assert math.isclose(fit.beta, math.log(exact[0] / exact[2]) / (4 / 64), rel_tol=1e-10)
    assert math.isclose(fit.published_beta, 2 * fit.beta) and math.isclose(fit.r_squared, 1)


@pytest.mark.parametrize("kind", ["circle", "cap"])
def test_softmax_beta_minimises_the_squared_error(kind):
    x = 1 - 2 * np.arange(65) / 64
    logs = hc.log_circle_intersection(64, 11) if kind == "circle" else hc.log_cap_intersection(64, 11, x)
    target = np.exp(logs - logs.max())
    target /= target.sum()

    def loss(beta):
        weights = np.exp(beta * (x - 1))
        return np.sum((weights / weights.sum() - target) ** 2)

    best = optimize.minimize_scalar(loss, bounds=(1, 60), method="bounded", options={"xatol": 1e-7}).x
    assert math.isclose(theory.fit_softmax_beta(64, 11, kind), best, rel_tol=1e-4)


@pytest.mark.parametrize(("n", "radius"), [(64, 11), (64, 27), (30, 15), (31, 28), (100, 44)])
def test_bounds_hold_and_the_published_approximation_is_none(n, radius):
    exact = hc.log_circle_intersection(n, radius) - n * math.log(2)
    some = np.isfinite(exact)
    low, high = theory.log_lower_bound(n, radius), theory.log_upper_bound(n, radius)
    assert (low[some] <= exact[some] + 1e-9).all() and (exact[some] <= high[some] + 1e-9).all()
    assert (low[~some] == -math.inf).all()
    published = theory.log_normal_approximation(64, 11)
    above = published[1:23] > hc.log_circle_intersection(64, 11)[1:23] - 64 * math.log(2)
    assert above.all()


def test_published_exponents():
    betas = [theory.exponent_beta(1000, d) for d in (384, 418, 441, 463)]
    np.testing.assert_allclose(betas, [13.456, 6.724, 3.481, 1.369])
    taylor = theory.log_normal_approximation(1000, 451, taylor=True)
    slope = (taylor[400] - taylor[200]) + 0.5 * math.log(400 * 600 / (200 * 800))
    assert math.isclose(slope, -2 * theory.exponent_beta(1000, 451) * 200 / 1000)


def test_critical_distances_of_the_figures():
    found = {d: theory.critical_distance(64, d, 128, R64, "paper") for d in range(9, 26)}
    expected = [19, 21, 23, 25, 27, 29, 31, 32, 32, 32, 32, 32, 32, 32, 24, 10, 0]
    assert list(found.values()) == expected
    sizes = (100, 1000, 10_000, 40_000)
    found = [theory.critical_distance(1000, 451, m, 10**6, "paper") for m in sizes]
    assert found == [500, 332, 164, 36]


def test_averaged_noise_is_larger_and_moves_the_critical_distance_to_what_simulations_give():
    assert 18 <= theory.critical_distance(64, 15, 128, R64, noise="averaged") <= 22
    shared = np.exp(hc.log_circle_intersection(64, 15) - 64 * math.log(2)) * 1e6
    shares = np.array([math.comb(64, h) for h in range(65)]) / 2.0**64
    sigma = math.sqrt(shared[4] + 99 * (shares @ (shared + shared**2)))
    ratio = theory.signal_to_noise(64, 15, 100, 10**6, noise="averaged")[4]
    assert math.isclose(ratio, shared[4] / sigma, rel_tol=1e-10)


def test_signal_to_noise_with_both_variances():
    at = [0, 2, 4, 8, 10, 20, 40, 50]
    jaeckel = [3.964080161307, 3.191877125774, 2.768739173573, 2.157679928064]
    jaeckel += [1.908988463832, 0.962890323972, 0.100270764668, 0.014262265318]
    book = [9.938222917667, 6.765430431610, 5.300360308179, 3.517221035544]
    book += [2.900674071583, 1.092382139592, 0.084952594538, 0.011730030680]
    np.testing.assert_allclose(theory.signal_to_noise(100, 35, 100, 10**4)[at], jaeckel, rtol=1e-10)
    np.testing.assert_allclose(
        theory.signal_to_noise(100, 35, 100, 10**4, noise="book")[at], book, rtol=1e-10
    )


def test_optimal_radii():
    criteria = ("snr", "capacity", "critical_distance")
    noises = (None, None, "paper")
    found = [
        theory.optimal_radius(64, 1024, R64, c, noise) for c, noise in zip(criteria, noises, strict=True)
    ]
    assert found == [11, 5, 15]
    assert [theory.optimal_radius(1000, m, 10**6, "snr") for m in (1024, 10_000)] == [450, 447]
    assert theory.optimal_radius(1000, 1024, 10**6, criterion="capacity") == 444
    assert theory.optimal_radius(64, 1024, R64, "snr", noise="paper") == 15


def test_the_best_capacity_is_at_the_published_radius():
    capacities = [theory.sdm_capacity(1000, d, 10**6) for d in range(430, 460)]
    assert abs(430 + int(np.argmax(capacities)) - 444) <= 1
    assert theory.sdm_capacity(1000, 100, 10**6) == 0


def test_astronomic_numbers_of_neurons_stay_finite():
    many = 2**1000
    assert theory.critical_distance(1000, 200, 1000, many) > 0
    assert np.isfinite(theory.signal_to_noise(1000, 400, 1000, many)).all()
    assert 0 < theory.optimal_radius(1000, 1000, many) < 500
    assert theory.optimal_radius(1000, 1000, 2**4000, "capacity") == 0
    assert math.isfinite(theory.sdm_capacity(1000, 400, many))


def test_nearest_neuron():
    exact, published = (theory.neuron_distance_distribution(1000, 10**6, published=p) for p in (False, True))
    np.testing.assert_allclose(
        exact[[410, 424, 435]], [0.00689873123454958, 0.576887388580137, 0.999999999739478]
    )
    np.testing.assert_allclose(published[[410, 424]], [0.00625468128209091, 0.535760866979559])
    sizes = [(64, 10**5), (64, 10**6), (784, 10**6), (1000, 10**5), (1000, 10**6)]
    medians = [int(np.argmax(theory.neuron_distance_distribution(n, r) >= 0.5)) for n, r in sizes]
    assert medians == [15, 13, 325, 431, 424]


def test_query_key_norm_table():
    betas = theory.query_key_norm_betas()
    assert betas.size == 90 and math.isclose(betas.mean(), 15.647536, rel_tol=1e-7)
    assert (betas.min(), betas.max()) == (10.3109, 24.8478)
    assert math.isclose(theory.query_key_norm_betas("gl-en").mean(), 12.2781, rel_tol=1e-5)
    assert math.isclose(theory.query_key_norm_betas("ar-en", "cross").mean(), 18.25, abs_tol=5e-3)


def test_effective_beta_in_both_senses():
    queries, keys = jr.normal(jr.key(0), (3, 16)), jr.normal(jr.key(1), (5, 16))
    betas = theory.effective_beta(queries, keys)
    np.testing.assert_allclose(betas.max_logit, (queries @ keys.T / 4).max(1), rtol=1e-5)
    norms = jnp.linalg.norm(queries, axis=1)[:, None] * jnp.linalg.norm(keys, axis=1)[None, :] / 4
    np.testing.assert_allclose(betas.norm_product, norms, rtol=1e-5)
    assert (betas.max_logit <= betas.norm_product.max(1)).all()
