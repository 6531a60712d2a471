"""Claims about pictures that a network of ±1 neurons holds: the demonstrations of a well-known notebook."""

import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks.atlas.claim import claim, share_of

FIELD = "pictures"
TUTORIAL = "the notebook on binary dense storage of amtutorial, there on sprites, here on glyphs"


def _glyphs(K, quick):
    return eam.datasets.glyphs().reshape(1024, -1)[: min(K, 100) if quick else K]


def _recalled(patterns, memory, noise, count, sign=1):
    queries = eam.datasets.flip_bits(patterns[:count], noise, key=jr.key(7))
    ends = eam.recall(memory, queries, key=jr.key(8), record=False).state
    return share_of((np.asarray(ends) == sign * patterns[:count]).all(axis=1))


@claim(
    FIELD,
    "A classical network holds two pictures: 20 % flipped, both come back",
    TUTORIAL,
    "E = −½ Σ (ξ·x)²",
    1.0,
    0.001,
)
def two_pictures(quick):
    X = _glyphs(2, quick)
    return _recalled(X, eam.CHN(X), 0.2, 2)


@claim(
    FIELD, "Of two pictures with 60 % flipped, the inverse comes back", TUTORIAL, "E(x) = E(−x)", 1.0, 0.001
)
def inverted_picture(quick):
    X = _glyphs(2, quick)
    return _recalled(X, eam.CHN(X), 0.6, 2, sign=-1)


@claim(FIELD, "A classical network fails at six pictures", TUTORIAL, "share of pictures recalled", 0.0, 0.001)
def six_pictures(quick):
    X = _glyphs(6, quick)
    return _recalled(X, eam.CHN(X), 0.2, 6)


@claim(
    FIELD,
    "Order 6 recalls one of 100 pictures",
    TUTORIAL,
    "E = −Σ max(ξ·x, 0)⁶/6; share of all 100",
    1.0,
    0.02,
    note="There one picture is asked for, here all 100.",
)
def hundred_pictures(quick):
    X = _glyphs(100, quick)
    return _recalled(X, eam.PolynomialDenseAM(X, 6), 0.2, 10 if quick else 100)


@claim(
    FIELD,
    "Exponential, β = 50: of 1,024 pictures with 25 % flipped a batch of 100 is recalled",
    TUTORIAL,
    "E = −log Σ exp(β ξ·x)",
    1.0,
    0.001,
)
def all_pictures(quick):
    X = _glyphs(1024, quick)
    return _recalled(X, eam.ExponentialDenseAM(X, 50.0), 0.25, 10 if quick else 100)
