"""Circle and cap intersections against enumeration, published forms and high precision."""

import math
from itertools import product

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import energyam as eam

hc = eam.hypercube


def enumerated(n, radius, h):
    """Points within `radius` of 0…0 and of 1…10…0 (h ones), counted one by one."""
    points = np.array(list(product((0, 1), repeat=n)))
    other = np.arange(n) < h
    return int(((points.sum(1) <= radius) & ((points != other).sum(1) <= radius)).sum())


def lune(n, radius, h):
    """Kanerva's form: a ball less the terms that the other circle cuts off."""

    def cut(j):
        k = radius - (j - 1) // 2
        return math.comb(j - 1, (j - 1) // 2) * math.comb(n - j, k) if k >= 0 else 0

    return sum(math.comb(n, k) for k in range(radius + 1)) - sum(cut(j) for j in range(1, h + 1, 2))


def double_sum(n, d, h):
    """Bricken and Pehlevan's form, by agreeing coordinates."""
    total = 0
    for a in range(max(n - d - h // 2, 0), n - h + 1):
        low, high = max(0, n - d - a), min(h, h - (n - d - a))
        total += math.comb(n - h, a) * sum(math.comb(h, b) for b in range(low, high + 1))
    return total


@pytest.mark.parametrize("n", [1, 2, 5, 8, 9])
def test_exact_counts_equal_enumeration(n):
    for radius in range(n + 1):
        assert hc.circle_intersection(n, radius) == [enumerated(n, radius, h) for h in range(n + 1)]


@pytest.mark.parametrize("form", [lune, double_sum])
def test_exact_counts_equal_the_published_forms(form):
    for n in range(1, 13):
        for radius in range(n + 1):
            assert hc.circle_intersection(n, radius) == [form(n, radius, h) for h in range(n + 1)]


@pytest.mark.parametrize(
    ("n", "radius", "h", "count"),
    [(16, 5, 6, 1462), (64, 5, 3, 231076), (64, 11, 0, 927740240713), (64, 11, 22, 705432), (64, 11, 23, 0)],
)
def test_exact_counts_of_the_reference_table(n, radius, h, count):
    assert hc.circle_intersection(n, radius)[h] == count


@pytest.mark.parametrize(
    ("n", "radius"), [(1, 0), (2, 1), (64, 27), (65, 32), (200, 130), (1000, 384), (1000, 451)]
)
def test_logs_equal_the_exact_integers(n, radius):
    exact = hc.circle_intersection(n, radius)
    logs = hc.log_circle_intersection(n, radius)
    assert logs.dtype == np.float64 and logs.shape == (n + 1,)
    for count, log in zip(exact, logs, strict=True):
        assert log == -math.inf if count == 0 else abs(log - math.log(count)) < 1e-9


def test_logs_at_ten_thousand_and_a_hundred_thousand_dimensions():
    logs = hc.log_circle_intersection(10_000, 4787)
    expected = {0: 6920.0227660468903263, 2500: 6915.4542798831530274, 9574: 6631.3818860309077685}
    for h, log in expected.items():
        assert abs(logs[h] - log) < 5e-9
    logs = hc.log_circle_intersection(100_000, 49_000)
    assert np.isfinite(logs[:98_001]).all() and (np.diff(logs[1:98_001:2]) < 0).all()


@pytest.mark.parametrize(
    ("weighting", "weight"), [("linear", lambda k: 1 - k / 9), ("exponential", lambda k: math.exp(-k / 100))]
)
def test_weighted_intersection_equals_enumeration(weighting, weight):
    for h in (0, 3, 9):
        points = [(sum(z), sum(b != (i < h) for i, b in enumerate(z))) for z in product((0, 1), repeat=9)]
        expected = sum(weight(x) * weight(y) for x, y in points if x <= 6 and y <= 6)
        assert math.isclose(math.exp(hc.log_weighted_circle_intersection(9, 6, h, weighting)), expected)
    assert hc.log_weighted_circle_intersection(9, 2, 9) == -math.inf


def test_kanerva_approximation_has_the_published_values():
    for continuity, expected in [
        (0.0, [970.7698925202, 713.0566757386, 0.9423941842]),
        (0.5, [1079.614775, 795.416930, 1.165568]),
    ]:
        neurons = 1e6 * np.exp(hc.kanerva_circle_intersection(1000, 451, continuity)[[0, 10, 500]])
        np.testing.assert_allclose(neurons, expected, rtol=1e-6)


def test_radii_and_fractions():
    assert [hc.radius_for_fraction(64, p) for p in (4e-13, 1e-9, 1e-8, 1e-5, 3.7e-4, 1e-3, 0.1)] == [
        5,
        9,
        11,
        15,
        19,
        20,
        27,
    ]
    assert [hc.radius_for_fraction(10_000, p) for p in (4e-13, 1e-5, 0.1)] == [4642, 4787, 4936]
    for n in (1, 2, 7, 64):
        for radius in range(n + 1):
            exact = sum(math.comb(n, k) for k in range(radius + 1)) / 2**n
            assert math.isclose(hc.fraction_for_radius(n, radius), exact, rel_tol=1e-12)
            assert hc.radius_for_fraction(n, exact) == radius or exact > 1 - 1e-12


def test_conversions_do_not_round():
    assert hc.hamming_to_cosine(11, 64) == 1 - 22 / 64
    np.testing.assert_allclose(hc.cosine_to_hamming(np.array([1.0, 0.01, -1.0]), 100), [0, 49.5, 100])


def precise_cap(n, radius, cosine):
    """F by 30-digit quadrature."""
    mpmath.mp.dps = 30
    theta, angle = mpmath.acos(1 - mpmath.mpf(2 * radius) / n), mpmath.acos(mpmath.mpf(cosine))
    if theta > mpmath.pi / 2:
        return 1 - 2 * precise_cap(n, n - radius, 1) + precise_cap(n, n - radius, cosine)
    if angle >= 2 * theta:
        return mpmath.mpf(0)
    points = [angle / 2 + (theta - angle / 2) * mpmath.mpf(i * i) / 400 for i in range(21)]
    integrand = lambda phi: abs(1 - (mpmath.cos(theta) / mpmath.cos(phi)) ** 2) ** (mpmath.mpf(n - 2) / 2)  # noqa: E731
    return mpmath.quad(integrand, points) / mpmath.pi


@pytest.mark.parametrize(
    ("n", "radius", "cosine"),
    [
        (2, 1, 0.3),
        (3, 1, 0.2),
        (5, 2, -0.3),
        (64, 5, 0.5),
        (64, 11, -0.1),
        (64, 40, -0.7),
        (784, 290, 0.5),
        (1000, 451, 1),
    ],
)
def test_caps_in_double_precision(n, radius, cosine):
    exact = precise_cap(n, radius, cosine)
    assert abs(mpmath.exp(mpmath.mpf(float(hc.log_cap_intersection(n, radius, cosine)))) / exact - 1) < 1e-10


def test_cap_integral_is_the_integral_of_the_intersection():
    for n, radius in [(3, 2), (64, 20), (64, 40)]:
        cosines = np.linspace(-1, 0.9, 200_001)
        integral = np.trapezoid(hc.cap_intersection(n, radius, cosines), cosines)
        assert math.isclose(math.exp(hc.log_cap_integral(n, radius, 0.9)), integral, rel_tol=1e-6)


def test_caps_that_do_not_meet_and_whole_spheres():
    assert hc.log_cap_intersection(64, 11, -1.0) == -math.inf
    assert hc.cap_intersection(64, 11, -0.9) == 0 and hc.cap_intersection(10, 10, -1.0) == 1
    assert hc.cap_intersection(10, 0, 1.0) == 0


def test_caps_under_jit_vmap_and_grad():
    cosines = jnp.linspace(-1, 1, 9)
    logs = jax.jit(lambda c, r: hc.log_cap_intersection(64, r, c))(cosines, 11.0)
    np.testing.assert_allclose(logs, hc.log_cap_intersection(64, 11, np.asarray(cosines)), atol=1e-4)
    slopes = jax.vmap(jax.grad(lambda c: hc.log_cap_intersection(64, 11, c)))(cosines)
    assert np.isfinite(slopes).all() and (slopes[5:] > 0).all()


def test_cap_slope_has_its_closed_form():
    angle, theta = math.acos(0.5), math.acos(1 - 22 / 64)
    slope = -((1 - (math.cos(theta) / math.cos(angle / 2)) ** 2) ** 31) / (2 * math.pi)
    log_slope = jax.grad(lambda t: hc.log_cap_intersection(64, 11, jnp.cos(t)))(angle)
    assert math.isclose(log_slope, slope / hc.cap_intersection(64, 11, 0.5), rel_tol=1e-4)
    by_radius = jax.grad(lambda r: hc.log_cap_intersection(64, r, jnp.array(0.5)))(11.0)
    step = hc.log_cap_intersection(64, 11.01, 0.5) - hc.log_cap_intersection(64, 10.99, 0.5)
    assert math.isclose(by_radius, step / 0.02, rel_tol=1e-3)
