"""The β that patterns need: measured reads, not much more than needed, and what is refused."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import energyam as eam
from energyam.theory import suggest_beta

BINARY = jr.rademacher(jr.key(0), (400, 128), dtype="int8")
UNIT = jr.normal(jr.key(1), (400, 64))
UNIT = UNIT / jnp.linalg.norm(UNIT, axis=1, keepdims=True)


def weights_read(X, queries, beta):
    """The weight of each pattern in the read of its copy."""
    return np.asarray(jnp.diagonal(jax.nn.softmax(beta * queries.astype(float) @ X.T.astype(float))))


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("kind", ["binary", "unit"])
def test_copies_read_their_patterns_at_the_suggested_beta_and_not_at_half_of_it(kind, noise):
    X = BINARY if kind == "binary" else UNIT
    beta = suggest_beta(X, noise)
    if kind == "binary":
        queries = eam.datasets.flip_bits(X, noise, key=jr.key(2))
    else:
        queries = X + noise / 8 * jr.normal(jr.key(2), X.shape)
    assert (weights_read(X, queries, beta) >= 0.9899).mean() >= 0.95
    assert (weights_read(X, queries, 0.5 * beta) >= 0.9899).mean() < 0.3


def test_without_noise_it_is_exact():
    beta = suggest_beta(UNIT, weight=0.9, share=1.0)
    assert weights_read(UNIT, UNIT, beta).min() == pytest.approx(0.9, abs=1e-3)


def test_modern_hopfield_recalls_where_a_usual_beta_gives_a_mean():
    queries = UNIT[:20] + 0.2 / 8 * jr.normal(jr.key(3), (20, 64))

    def kinds(beta):
        memory = eam.ModernHopfield(UNIT, beta)
        ends = eam.recall(memory, queries).state
        found = jax.vmap(lambda x: eam.evaluation.retrieved(memory, x))(ends)
        right = (found.index == jnp.arange(20)) & (found.kind == 0)
        return float(right.mean()), float(jnp.linalg.norm(ends, axis=1).max())

    assert kinds(1.0)[0] == 0 and kinds(1.0)[1] < 0.1  # the mean of all, which is called converged
    assert kinds(suggest_beta(UNIT, 0.2))[0] == 1


def test_it_asks_for_less_than_the_published_bound():
    """Theorem 4 of Ramsauer et al.: a separation of at least 2/(βK) + log(2(K−1)KβM²)/β suffices."""
    K, M = len(UNIT), 1.0
    products = np.asarray(UNIT @ UNIT.T) - 9 * np.eye(K)
    least = 1 - products.max()
    for beta in np.geomspace(1, 1000, 400):
        if least >= 2 / (beta * K) + np.log(2 * (K - 1) * K * beta * M**2) / beta:
            break
    assert suggest_beta(UNIT) < beta < 1000
    assert suggest_beta(UNIT, share=1.0) < beta


def test_more_noise_more_patterns_and_shorter_ones_ask_for_more():
    betas = [suggest_beta(BINARY, noise) for noise in (0, 0.05, 0.1, 0.2)]
    assert betas == sorted(betas) and betas[0] < 0.6 * betas[-1]
    assert suggest_beta(BINARY[:50]) < suggest_beta(BINARY)
    assert suggest_beta(0.5 * UNIT, 0.3) == pytest.approx(4 * suggest_beta(UNIT, 0.3), rel=1e-5)


def test_equal_patterns_count_as_one():
    twice = np.concatenate([UNIT, UNIT[:7]])
    assert suggest_beta(twice) == pytest.approx(suggest_beta(UNIT), rel=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: suggest_beta(UNIT[0]), r"patterns must be \(K, D\)"),
        (lambda: suggest_beta(UNIT[:1]), "patterns must be two or more that differ; got 1"),
        (lambda: suggest_beta(UNIT * np.nan), "patterns must be finite"),
        (lambda: suggest_beta(BINARY, 0.5), "noise must be at least 0, and below .5 for ±1; got 0.5"),
        (lambda: suggest_beta(UNIT, -0.1), "noise must be at least 0; got -0.1"),
        (lambda: suggest_beta(UNIT, "much"), "noise must be"),
        (lambda: suggest_beta(UNIT, weight=1.0), "weight must lie between 0 and 1; got 1.0"),
        (lambda: suggest_beta(UNIT, share=0.0), "share must lie between 0 and 1; got 0.0"),
        (lambda: suggest_beta(BINARY, 0.45), r"noise must be less for these patterns; got 0.45, with which"),
    ],
)
def test_wrong_use_of_it_is_told(call, message, no_hook):
    with pytest.raises(ValueError, match=message):
        call()
