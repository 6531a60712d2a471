"""The memories and separations that table-driven tests run over."""

import jax.numpy as jnp
import jax.random as jr

import energyam as eam

BINARY = {
    "chn": lambda X: eam.CHN(X),
    "polynomial_3": lambda X: eam.PolynomialDenseAM(X, 3),
    "polynomial_4_plain": lambda X: eam.PolynomialDenseAM(X, 4, rectified=False),
    "polynomial_2.5": lambda X: eam.PolynomialDenseAM(X, 2.5),
    "exponential": lambda X: eam.ExponentialDenseAM(X, 0.7),
    "relu": lambda X: eam.DenseAM(X, eam.ReLU(), eam.Binary()),
    "topk": lambda X: eam.DenseAM(X, eam.TopK(eam.LogSumExp(0.5), 2), eam.Binary()),
    "product": lambda X: eam.ProductDenseAM(
        [eam.ExponentialDenseAM(X[:, :5], 0.7), eam.ExponentialDenseAM(X[:, 5:], 0.7)]
    ),
    "hopfield": lambda X: eam.HopfieldNetwork(eam.hebbian(X)),
}

CONTINUOUS = {
    "modern": lambda X: eam.ModernHopfield(X * 1.0, 0.8),
    "topk_modern": lambda X: eam.DenseAM(X * 1.0, eam.TopK(eam.LogSumExp(0.8), 3), eam.Continuous()),
    "sphere": lambda X: eam.DenseAM(X / X.shape[1] ** 0.5, eam.LogSumExp(3.0), eam.Spherical()),
}

SEPARATIONS = {
    "quadratic": eam.Quadratic(),
    "relu": eam.ReLU(),
    "polynomial_1": eam.Polynomial(1),
    "polynomial_3": eam.Polynomial(3),
    "polynomial_3_plain": eam.Polynomial(3, rectified=False),
    "polynomial_6_plain": eam.Polynomial(6, rectified=False),
    "polynomial_2.5": eam.Polynomial(2.5),
    "logsumexp": eam.LogSumExp(0.3),
    "logsumexp_nats": eam.LogSumExp(0.3, divided=False),
    "topk": eam.TopK(eam.LogSumExp(0.3), 3),
    "topk_plain": eam.TopK(eam.Polynomial(3, rectified=False), 3),
}


def patterns(seed, K, D):
    """K random ±1 patterns of D neurons, int8."""
    return jr.rademacher(jr.key(seed), (K, D), dtype="int8")


def all_states(D):
    """All 2^D states of D neurons ±1, as floats (2^D, D)."""
    return 1.0 - 2.0 * ((jnp.arange(2**D)[:, None] >> jnp.arange(D)[None]) & 1)
