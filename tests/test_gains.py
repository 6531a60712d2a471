"""Gains and bounds of separations as whole similarities move by steps of 1 or 2, against exact numbers."""

from fractions import Fraction

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from plain_energies import sdm_energy
from zoo import SEPARATIONS

import energyam as eam

D, K, STEPS = 9, 6, (1, 2)
ALL = SEPARATIONS | {"circles": eam.CircleIntersection(D, 3), "steep": eam.LogSumExp(30.0, divided=False)}


def powers(n, plain=False):
    """Σ sⁿ / n, of rectified s unless plain."""
    return lambda s: sum(Fraction(v if plain else max(v, 0)) ** n for v in s) / n


# Potentials as fractions of whole similarities: their changes have exact signs.
EXACT = {
    "quadratic": powers(2, plain=True),
    "relu": powers(2),
    "polynomial_1": powers(1),
    "polynomial_3": powers(3),
    "polynomial_3_plain": powers(3, plain=True),
    "polynomial_6_plain": powers(6, plain=True),
    "topk_plain": lambda s: powers(3, plain=True)(sorted(s)[-3:]),
}
# And as floats: a change within rounding is a tie.
FLOATS = {
    "polynomial_2.5": lambda s: (np.maximum(s, 0.0) ** 2.5).sum() / 2.5,
    "logsumexp": lambda s: np.logaddexp.reduce(0.3 * np.array(s)) / 0.3,
    "logsumexp_nats": lambda s: np.logaddexp.reduce(0.3 * np.array(s)),
    "steep": lambda s: np.logaddexp.reduce(30.0 * np.array(s)),
    "topk": lambda s: np.logaddexp.reduce(0.3 * np.sort(s)[-3:]) / 0.3,
    "circles": lambda s: (
        -float(sdm_energy(np.array([[v, *[0] * (D - 1)] for v in s]), np.eye(D)[:1].T).sum())
    ),
}


def moves(step, count=150, whole=True):
    """Similarities (n, K) and directions (n, K) that leave them within ±D, ties among them; `whole`: no
    0s."""
    rng = np.random.default_rng(step)
    s = rng.integers(step - D, D - step + 1, (count, K))
    d = rng.choice([-1, 1], (count, K)) if whole else rng.integers(-1, 2, (count, K))
    if whole:  # overlaps with patterns ±1 are of one parity, under steps of 2
        s = s + (s + D) % 2
        s = np.clip(s, step - D, D - step)
    # Two similarities change places: the potential stays.
    half = np.arange(count) < count // 3
    s[half], d[half] = s[half, :1], 0 if not whole else d[half]
    s[half, 1], d[half, 0], d[half, 1] = s[half, 0] + step, 1, -1
    inside = (np.abs(s) <= D).all(1) & (np.abs(s + step * d) <= D).all(1)
    return s[inside], d[inside]


@eqx.filter_jit
def gains_and_bounds(separation, s, d, step):
    """Gains (n,), and the edges of what bounds say of them, by those for any move and for moves without
    0s."""

    def of_one(s, d):
        gain, bounds = separation.gain(s, d, step), separation.bounds(s, step)
        edges = []
        if bounds is not None:
            product = jnp.sum(d * bounds.weights)
            edges.append(bounds.enclose(product[None]))
            if bounds.still is not None:
                still = bounds._replace(low=bounds.still.low, high=bounds.still.high)
                edges.append(still.enclose((product + jnp.sum(jnp.abs(d) * bounds.still.bend))[None]))
        return gain, edges

    return eqx.filter_vmap(of_one)(s, d)


def true_gains(name, s, d, step):
    """The changes of a potential, fractions where it is one of whole numbers."""
    potential = EXACT.get(name) or FLOATS[name]
    whole = [(row.tolist(), after.tolist()) for row, after in zip(s, s + step * d, strict=True)]
    return [potential(after) - potential(before) for before, after in whole]


def check_gains(value, error, truth, exact):
    """Gains are the true ones to rounding, and of the same sign, 0 where that is exact."""
    value, error = np.asarray(value, float), np.asarray(error, float)
    plain = np.array([float(t) for t in truth])
    np.testing.assert_allclose(value, plain, rtol=1e-4, atol=1e-5 * max(1, np.abs(plain).max()))
    known = np.abs(value) > error
    signs = np.array([(t > 0) - (t < 0) for t in truth]) if exact else np.sign(plain)
    clear = known if exact else known & (np.abs(plain) > 1e-4)
    np.testing.assert_array_equal(np.sign(value)[clear], signs[clear])
    if exact:
        np.testing.assert_array_equal(value[signs == 0], 0)
    assert (plain > 0).any() and (plain < 0).any()


@pytest.mark.parametrize("whole", [True, False], ids=["no zeros", "zeros"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", [*EXACT, *FLOATS])
def test_gains_are_changes_of_the_potential(name, step, whole):
    s, d = moves(step, whole=whole)
    if name in ("circles", "topk", "topk_plain") and step == 2:
        s = s + (s + D) % 2  # of one parity, as overlaps of patterns and states ±1 are
    truth = true_gains(name, s, d, step)
    gain, edges = gains_and_bounds(ALL[name], jnp.asarray(s, float), jnp.asarray(d, float), step)
    check_gains(*gain, truth, name in EXACT)
    for wrong in (0.5, -1, 1.15):
        with pytest.raises(AssertionError):
            check_gains(wrong * np.asarray(gain.value), gain.error, truth, name in EXACT)
    for low, high in edges if whole else edges[1:]:
        check_edges(low[:, 0], high[:, 0], np.array([float(t) for t in truth]))


def check_edges(low, high, truth):
    slack = 1e-6 * np.abs(truth) + 1e-7 * np.abs(truth).max()
    low, high = np.asarray(low, float), np.asarray(high, float)
    assert (low <= truth + slack).all() and (truth <= high + slack).all()


BOUNDED = ("quadratic", "relu", "polynomial_3", "polynomial_6_plain", "logsumexp", "steep", "circles")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_of_both_steps_say_something(name, step):
    s, d = moves(step)
    _, edges = gains_and_bounds(ALL[name], jnp.asarray(s, float), jnp.asarray(d, float), step)
    truth = np.array([float(t) for t in true_gains(name, s, d, step)])
    assert len(edges) == 2
    low, high = (np.asarray(edge[:, 0]) for edge in edges[0])
    told = (low > 0) | (high < 0)
    assert told[truth != 0].mean() > 0.3
    if name != "steep":  # where only the sign is known
        with pytest.raises(AssertionError):
            check_edges(low + np.abs(truth).max(), high + np.abs(truth).max(), truth)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", ["quadratic", "relu", "polynomial_3", "polynomial_6_plain"])
def test_close_calls_of_large_similarities_have_the_right_sign(name, step):
    """Powers that floats can't hold, whose sum moves by little: by a half, of squares at a step of 1."""
    rng = np.random.default_rng(0)
    away = rng.integers(1000, 200_000, 100)
    near = away + rng.integers(-2 * step, step + 1, 100)
    s, d = np.stack([near, away, rng.integers(-5, 5, 100)], 1), np.tile([1, -1, 0], (100, 1))
    gain, edges = gains_and_bounds(ALL[name], jnp.asarray(s, float), jnp.asarray(d, float), step)
    signs = np.array([(t > 0) - (t < 0) for t in true_gains(name, s, d, step)])
    np.testing.assert_array_equal(np.sign(gain.value), signs)
    assert (gain.error == 0).all() and {-1, 0, 1} <= set(signs.tolist())
    low, high = (np.asarray(edge[:, 0]) for edge in edges[1])
    assert not ((low > 0) & (signs <= 0)).any() and not ((high < 0) & (signs >= 0)).any()


def test_a_quadratic_gain_at_a_step_of_1_has_halves():
    s, d = jnp.array([3.0, -2.0, 1.0]), jnp.array([1.0, -1.0, 0.0])
    assert eam.Quadratic().gain(s, d, 1).value == 3.5 + 2.5
    assert eam.Quadratic().gain(s[:1], d[:1], 1).value == 3.5
    assert eam.ReLU().gain(s[:1], -d[:1], 1).value == -2.5


def test_circles_serve_no_other_step():
    circles = eam.CircleIntersection(D, 3)
    assert circles.gain(jnp.ones(2), jnp.ones(2), 3) is None and circles.bounds(jnp.ones(2), 3) is None
