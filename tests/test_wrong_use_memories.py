"""Wrong use of adding, products, random features, dense sequences and evaluation: errors that say the fix."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import patterns

import energyam as eam
from energyam import evaluation
from energyam.datasets import random_patterns

X = np.array(patterns(0, 4, 8))
REAL = X * 1.0
PAIRS = np.ones((3, 5)), np.ones((3, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: eam.CHN(X).with_patterns(X[:, :5]), r"patterns must be \(n, 8\), .*; got shape \(4, 5\)"),
        (lambda: eam.CHN(X).with_patterns(X[0]), r"patterns must be \(K, D\); got shape \(8,\)"),
        (lambda: eam.CHN(X).with_patterns(0 * X), "patterns must be .* entries ±1; got entries 0"),
        (lambda: eam.CHN(REAL).with_patterns(0.5 * X), "patterns must be .* entries ±1"),
        (lambda: eam.DenseAM(X, eam.ReLU(), eam.Binary()).with_patterns(0.5 * X), "entries ±1"),
        (lambda: eam.ModernHopfield(X, 1.0).with_patterns(np.nan * X), "patterns must be finite"),
        (
            lambda: eam.ModernHopfield(X.astype(jnp.float16), 1.0).with_patterns(1e6 * X),
            "patterns must be finite",
        ),
        (lambda: eam.CHN(X).without(4), "indices must be from 0 to 3; got 4"),
        (lambda: eam.CHN(X).without([-1]), "indices must be from 0 to 3; got -1"),
        (lambda: eam.CHN(X).without([0, 1, 2, 3]), "indices must leave something in the memory; got all 4"),
        (lambda: eam.CHN(X).without(1.0), "indices must be whole numbers.*got dtype float"),
        (lambda: eam.CHN(X).without(np.ones(4, bool)), "indices must be .*np.flatnonzero"),
        (lambda: eam.CHN(X).without([[0]]), r"indices must be .*shape \(1, 1\)"),
        (lambda: jax.jit(lambda i: eam.CHN(X).without(i).patterns)(1), "indices must be known"),
    ],
)
def test_adding_and_taking_out_patterns(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("capacity", [None, 3])
def test_adding_and_taking_out_pairs(capacity):
    memory = eam.KeyValueMemory(*PAIRS, eam.LogSumExp(1.0), capacity=capacity)
    with pytest.raises(ValueError, match=r"keys must be \(n, 5\), .*; got shape \(1, 4\)"):
        memory.with_pairs(np.ones((1, 4)), np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"values must be \(n, 2\)"):
        memory.with_pairs(np.ones((1, 5)), np.ones((1, 3)))
    with pytest.raises(ValueError, match="must agree in K"):
        memory.with_pairs(np.ones((2, 5)), np.ones((1, 2)))
    with pytest.raises(ValueError, match="indices must be from 0 to 2; got 3"):
        memory.without(3)
    with pytest.raises(ValueError, match="indices must leave something"):
        memory.without([0, 1, 2])


def test_padded_memories():
    with pytest.raises(ValueError, match=r"separation must take its patterns in blocks.*Entmax"):
        eam.KeyValueMemory(*PAIRS, eam.Entmax(1.0), capacity=1)
    with pytest.raises(ValueError, match="capacity must be an integer of at least 1; got 0"):
        eam.KeyValueMemory(*PAIRS, eam.ReLU(), capacity=0)
    memory = eam.KeyValueMemory(*PAIRS, eam.ReLU(), capacity=1)
    with pytest.raises(ValueError, match="num_pairs must be known"):
        jax.jit(lambda m: m.with_pairs(*PAIRS).keys)(memory)


@pytest.mark.parametrize(
    ("memories", "message"),
    [
        (
            [eam.ModernHopfield(X, 1.0), eam.ModernHopfield(X, 2.0)],
            "memories must have one beta; got 1 and 2",
        ),
        ([eam.ModernHopfield(X, 1.0)], "memories must be two or more; got 1"),
        (eam.ModernHopfield(X, 1.0), "memories must be a list of memories; got ModernHopfield"),
        ([eam.CHN(X), eam.CHN(X)], "memories must be .* LogSumExp.*got CHN with Quadratic"),
        ([eam.ModernHopfield(X, 1.0), eam.ExponentialDenseAM(X, 1.0)], "memories must be of one kind"),
        ([eam.DenseAM(X / 8**0.5, eam.LogSumExp(1.0), eam.Spherical())] * 2, "independent of one another"),
        ([np.ones((3, 3))] * 2, "memories must be dense memories.*got ndarray"),
    ],
)
def test_products(memories, message):
    with pytest.raises(ValueError, match=message):
        eam.ProductDenseAM(memories)


def test_uses_of_products():
    product = eam.ProductDenseAM([eam.ModernHopfield(X, 1.0), eam.ModernHopfield(X[:2], 1.0)])
    with pytest.raises(ValueError, match=r"state must be \(16,\)"):
        product.ranked(np.ones(8), 2)
    with pytest.raises(ValueError, match="k must be an integer of at least 1; got 0"):
        product.ranked(np.ones(16), 0)
    with pytest.raises(ValueError, match=r"indices must lie within 0\.\.1; got 2"):
        product.pattern((1, 2))
    with pytest.raises(ValueError, match="indices must be 2 whole numbers"):
        product.pattern((1, 1, 1))


def test_random_features():
    make = eam.DistributedDenseAM.random
    for options, message in [
        ({"dim": 0}, "dim must be an integer of at least 1"),
        ({"num_features": -3}, "num_features must be an integer of at least 1; got -3"),
        ({"beta": 0.0}, "beta must be positive"),
        ({"key": 3}, "key must be a jax random key"),
    ]:
        with pytest.raises(ValueError, match=message):
            make(**{"dim": 3, "num_features": 8, "beta": 1.0, "key": jr.key(0)} | options)
    memory = make(3, 8, 1.0, key=jr.key(0))
    for call in (memory.write, memory.forget, lambda rows: memory.error(np.ones(3), rows)):
        with pytest.raises(ValueError, match=r"patterns must be \(n, 3\), .*; got shape \(2, 4\)"):
            call(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"state must be \(3,\)"):
        memory.energy(np.ones(4))
    with pytest.raises(ValueError, match=r"written must be \(16,\)"):
        eam.DistributedDenseAM(np.ones((8, 3)), 1.0, np.ones(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"transitions": np.eye(3)}, r"transitions must be \(K, K\) with K = 4; got shape \(3, 3\)"),
        ({"transitions": np.full((4, 4), np.nan)}, "transitions must be finite"),
        ({"stay": -1}, "stay must be finite and not negative; got -1"),
        ({"delay": -1}, "delay must be an integer of at least 0"),
        ({"separation": eam.Quadratic}, "separation must be an instance"),
        ({"patterns": 0 * X}, "patterns must be .* entries ±1"),
    ],
)
def test_dense_sequences(options, message):
    with pytest.raises(ValueError, match=message):
        eam.DenseSequence(**{"patterns": X, "separation": eam.Quadratic()} | options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": []}, "sizes must not be empty"),
        ({"sizes": 5}, r"sizes must be a list of numbers of patterns; got 5 \(say \[5\]\)"),
        ({"sizes": [0]}, "sizes must be an integer of at least 1"),
        ({"repeats": 0}, "repeats"),
        ({"noise": []}, "noise must not be empty"),
        ({"noise": [np.nan]}, "noise must be finite"),
        ({"noise": [1.5]}, r"noise must lie between 0 and 1; got \[1.5\]"),
        ({"noise": 0.1}, r"noise must be \(N\); got shape \(\)"),
    ],
)
def test_success_curves(arguments, message):
    arguments = {"sizes": [3], **arguments}
    with pytest.raises(ValueError, match=message):
        evaluation.success_curve(
            eam.CHN, lambda key, K: random_patterns(K, 10, key=key), **arguments, key=jr.key(0)
        )


def test_outcomes_and_what_was_retrieved():
    with pytest.raises(ValueError, match="state must be"):
        evaluation.outcome(X, np.ones(7), 0)
    with pytest.raises(ValueError, match="tolerance"):
        evaluation.outcome(X, X[0], 0, tolerance=2)
    for target in (99, -1):
        with pytest.raises(ValueError, match=rf"target must lie within 0\.\.3; got {target}"):
            evaluation.outcome(X, X[0], target)
    with pytest.raises(ValueError, match="target must be a whole number"):
        evaluation.outcome(X, X[0], 1.0)
    with pytest.raises(ValueError, match=r"memory must be a dense memory.*got HopfieldNetwork"):
        evaluation.retrieved(eam.HopfieldNetwork(np.eye(8)), X[0])
    with pytest.raises(ValueError, match=r"state must be \(N\); got shape \(3, 8\)"):
        evaluation.retrieved(eam.CHN(X), X[:3])
    with pytest.raises(ValueError, match="tolerance must lie between 0 and 1"):
        evaluation.retrieved(eam.CHN(X), X[0], tolerance=-1)


SEARCHED = eam.KeyValueMemory(*PAIRS, eam.LogSumExp(1.0))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: eam.nearest(SEARCHED, np.ones(5), 4), "k must be at most 3; got 4"),
        (lambda: eam.nearest(SEARCHED, np.ones(5), 0), "k must be an integer of at least 1; got 0"),
        (lambda: eam.nearest(SEARCHED, np.ones(4), 1), r"queries must be \(..., 5\); got shape \(4,\)"),
        (lambda: eam.nearest(SEARCHED, np.full(5, np.nan), 1), "queries must be finite"),
        (
            lambda: eam.nearest(SEARCHED, np.ones(5), 1, recall_target=1.5),
            "recall_target must be one finite number",
        ),
        (
            lambda: eam.nearest(SEARCHED, np.ones(5), 1, recall_target=0),
            "recall_target must be above 0; got 0",
        ),
        (lambda: eam.nearest(SEARCHED, np.ones(5), 1, approximate=1), "approximate must be True or False"),
        (
            lambda: eam.nearest(eam.HopfieldNetwork(np.eye(4)), np.ones(4), 1),
            "memory must hold patterns or keys.*got HopfieldNetwork.*KeyValueMemory",
        ),
        (
            lambda: eam.nearest(np.ones((3, 5)), np.ones(5), 1),
            "memory must hold patterns or keys.*got ndarray",
        ),
        (lambda: eam.KeyValueMemory(*PAIRS, eam.ReLU(), eam.Cosine), "similarity must be an instance"),
    ],
)
def test_searching_for_the_nearest(call, message):
    with pytest.raises(ValueError, match=message):
        call()
