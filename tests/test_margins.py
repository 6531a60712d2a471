"""Rules of margins and of sleep: against plain numpy, Gardner's formula, and what their papers prove."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.optimize import nnls

import energyam as eam
from energyam import learning, theory


def minover_of_numpy(X, steps, margin, symmetric):
    """Neuron by neuron, as the paper has it."""
    K, D = X.shape
    W = np.zeros((D, D))
    for _ in range(steps):
        change = np.zeros((D, D))
        for i in range(D):
            aligned = [X[k, i] * W[i] @ X[k] for k in range(K)]
            worst = int(np.argmin(aligned))
            if margin is None or aligned[worst] <= margin * np.linalg.norm(W[i]):
                change[i] = X[worst, i] * X[worst]
        W = W + (change + change.T if symmetric else change)
        np.fill_diagonal(W, 0)
    return W / np.sqrt((W**2).sum() / D)


def largest_margins(X):
    """The largest least stability of each neuron, by non-negative least squares."""
    found = []
    for i in range(X.shape[1]):
        points = X[:, i : i + 1] * np.delete(X, i, axis=1)
        wanted = np.append(np.zeros(points.shape[1]), 1.0)
        residual = (
            np.vstack([points.T, np.ones(len(points))])
            @ nnls(np.vstack([points.T, np.ones(len(points))]), wanted)[0]
            - wanted
        )
        found.append(1 / np.linalg.norm(residual[:-1] / residual[-1]))
    return np.array(found)


@pytest.mark.parametrize("margin", [None, 0.2])
@pytest.mark.parametrize("symmetric", [True, False])
def test_minover_is_the_loop_of_its_paper(margin, symmetric):
    X = np.asarray(zoo.patterns(0, 6, 12), float)
    found = learning.minover(X, 15, margin, symmetric)
    assert_allclose(found, minover_of_numpy(X, 15, margin, symmetric), atol=1e-5)
    assert_allclose(jnp.mean(jnp.sum(found**2, axis=1)), 1, rtol=1e-5)
    assert not jnp.diagonal(found).any() and (not symmetric or (found == found.T).all())


def test_minover_reaches_the_largest_margin_of_each_neuron_and_no_more():
    X = np.asarray(zoo.patterns(1, 20, 30), float)
    best, reached = (
        largest_margins(X),
        learning.stability(learning.minover(X, 5000, symmetric=False), X).min(0),
    )
    assert (reached <= best + 1e-5).all() and (reached > 0.97 * best).all()
    assert (learning.stability(eam.pseudo_inverse(X), X).min(0) < 0.97 * best).any()  # another rule is below


def test_a_margin_is_where_learning_ends():
    """What was wanted is reached, and little more."""
    X = zoo.patterns(2, 15, 40)
    for symmetric in (True, False):
        least = learning.stability(learning.minover(X, 3000, 0.5, symmetric), X).min(0)
        assert (least > 0.5).all() and least.min() < 0.6
    network = eam.HopfieldNetwork(learning.minover(X, margin=0.5))
    assert eam.is_local_minimum(network, X).all()
    assert not eam.is_local_minimum(eam.HopfieldNetwork(eam.hebbian(X)), X).all()


def test_stability_is_its_definition():
    X, W = np.asarray(zoo.patterns(3, 4, 7), float), np.random.default_rng(0).normal(size=(7, 7))
    W[2] = 0
    found, W0 = learning.stability(W, X), W * (1 - np.eye(7))
    for i in range(7):
        size = np.linalg.norm(W0[i])
        assert_allclose(found[:, i], X[:, i] * (X @ W0[i]) / (size or 1), rtol=1e-5, atol=1e-6)


def test_gardners_margin_is_the_integral_and_its_inverse():
    normal = lambda t: np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    for k in (0.0, 0.3, 1.0, 3.0):
        whole = quad(lambda t, k=k: (t + k) ** 2 * normal(t), -k, np.inf)[0]
        assert theory.gardner_capacity(k) == pytest.approx(1 / whole, rel=1e-9)
        assert theory.gardner_margin(theory.gardner_capacity(k)) == pytest.approx(k, abs=1e-7)
    assert theory.gardner_margin(2) == pytest.approx(0, abs=1e-9)
    # The pseudo-inverse rule has the margin √((1 − α)/α), which is below the largest.
    assert all(theory.gardner_margin(a) > np.sqrt((1 - a) / a) for a in (0.1, 0.5, 0.9))


def test_sleep_goes_from_hebb_to_the_projection():
    X = zoo.patterns(4, 12, 40)
    assert_allclose(learning.dreaming(X, 0.0), eam.hebbian(X), atol=1e-6)
    assert_allclose(learning.dreaming(X, 1e6), eam.pseudo_inverse(X), atol=1e-4)
    C, F = np.asarray(X @ X.T) / 40, np.asarray(X, float)
    inverse = np.linalg.inv(np.eye(12) + 2.5 * C)
    expected = F.T @ (3.5 * inverse) @ F / 40
    assert_allclose(learning.dreaming(X, 2.5), expected * (1 - np.eye(40)), atol=1e-6)
    assert_allclose(learning.dreaming(jnp.concatenate([X, -X, X]), 1e6), eam.pseudo_inverse(X), atol=1e-4)


def test_dreaming_obeys_the_equation_of_its_paper():
    """dW/dt = W (1 − W)/(1 + t), the diagonal included: what takes away the common part of patterns."""
    X, t = np.asarray(zoo.patterns(5, 6, 20), float), 0.7
    slope = jax.jacfwd(lambda t: learning.dreaming(X, t))(t)
    W = X.T @ np.linalg.solve(np.eye(6) + t * X @ X.T / 20, (1 + t) * X) / 20
    expected = (W - W @ W) / (1 + t)
    assert_allclose(slope, expected * (1 - np.eye(20)), atol=1e-5)


def test_sparse_patterns_are_written_about_their_activity():
    X = np.zeros((5, 30))
    for row in X:
        row[np.random.default_rng(int(row.size)).permutation(30)[:6]] = 1
    X = np.random.default_rng(1).permuted(X, axis=1)
    centred = X - 0.2
    expected = centred.T @ centred / (0.2 * 0.8 * 30) * (1 - np.eye(30))
    for dtype in (float, bool, np.int8, np.float16):
        assert_allclose(eam.hebbian(X.astype(dtype), activity=0.2), expected, atol=1e-6)
    alone = np.asarray(eam.hebbian(X[:1], activity=0.2)) @ X[0]
    assert_allclose(alone, X[0] - 0.2, atol=0.8 * 0.8 / 4.8 + 1e-6)  # 1 − a and −a, less the diagonal


def test_strengths_weigh_the_patterns():
    X = zoo.patterns(6, 3, 12)
    expected = sum(s * eam.hebbian(X[k : k + 1]) for k, s in enumerate((2.0, 0.5, -1.0)))
    assert_allclose(eam.hebbian(X, np.array([2.0, 0.5, -1.0])), expected, atol=1e-6)
    slope = jax.grad(lambda s: eam.hebbian(X, s)[0, 1])(jnp.ones(3))
    assert_allclose(slope, X[:, 0] * X[:, 1] / 12, atol=1e-6)


@pytest.mark.parametrize("rule", [lambda x: learning.minover(x, 9), lambda x: learning.dreaming(x, 1.5)])
def test_rules_in_batches_and_other_dtypes(rule):
    X = np.stack([zoo.patterns(seed, 4, 10) for seed in range(3)])
    each = jnp.stack([rule(one) for one in X])
    assert_allclose(jax.jit(jax.vmap(rule))(X), each, atol=1e-5)
    for dtype in (np.float16, jnp.bfloat16, np.int32):
        assert_allclose(rule(jnp.asarray(X[0], dtype)), each[0], atol=1e-5)
