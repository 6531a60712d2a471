"""Memories as the judge wants them: patterns and queries in, states and what they are sure of out."""

import jax.random as jr
import numpy as np

import energyam as eam


def chn(patterns, queries):
    """Hopfield's network, Hebb's rule."""
    return _recalled(eam.CHN(_bits(patterns)), patterns, queries)


def polynomial(patterns, queries):
    """A dense memory of order 4."""
    return _recalled(eam.PolynomialDenseAM(_bits(patterns), 4), patterns, queries)


def exponential(patterns, queries):
    """An exponential memory at β = 1."""
    return _recalled(eam.ExponentialDenseAM(_bits(patterns), 1.0), patterns, queries)


def pseudo_inverse(patterns, queries):
    """A network with the weights of the projection rule."""
    return _recalled(eam.HopfieldNetwork(eam.pseudo_inverse(_bits(patterns))), patterns, queries)


def plain_numpy(patterns, queries):
    """Hopfield's network as one writes it in four lines of numpy: synchronous, and sure of nothing."""
    weights = patterns.T @ patterns / patterns.shape[1]
    np.fill_diagonal(weights, 0)
    for _ in range(30):
        queries = np.where(queries @ weights >= 0, 1.0, -1.0)
    return queries


def _bits(patterns):
    return np.asarray(patterns, np.int8)


def _recalled(memory, patterns, queries):
    """Recall by flips; sure of an answer that is at rest and is a stored pattern."""
    found = eam.recall(memory, _bits(queries), max_steps=100, record=False, key=jr.key(0))
    states = np.asarray(found.state, float)
    stored = np.abs(states @ patterns.T).max(axis=1) == patterns.shape[1]
    upright = (states @ patterns.T).max(axis=1) == patterns.shape[1]
    return states, np.asarray(found.converged) & stored & upright
