"""Claims about pictures that a network of ±1 neurons holds: the demonstrations of a well-known notebook."""

import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks.atlas.claim import claim
from benchmarks.atlas.sources import AMTUTORIAL
from benchmarks.intervals import share_of

FIELD = "pictures"
NOTE = "There one set of sprites; here {} sets of glyphs. The tolerance is one set in twenty."


def _sets(K, count):
    """So many sets of K different glyphs each, (count, K, 1024) of ±1."""
    glyphs, random = eam.datasets.glyphs().reshape(1024, -1), np.random.default_rng(K)
    return [glyphs[random.choice(1024, K, replace=False)] for _ in range(count)]


def _recalled(memory, patterns, noise, key, sign=1):
    queries = eam.datasets.flip_bits(patterns, noise, key=key)
    ends = eam.recall(memory, queries, key=jr.key(8), record=False).state
    return (np.asarray(ends) == sign * np.asarray(patterns)).all(axis=1)


def _all_of_each(K, noise, count, sign=1):
    """Whether all K pictures of a set come back, set after set."""
    keys = jr.split(jr.key(7), count)
    return share_of(
        [
            _recalled(eam.CHN(X), X, noise, key, sign).all()
            for X, key in zip(_sets(K, count), keys, strict=True)
        ]
    )


@claim(
    FIELD,
    "A classical network holds two pictures: 20 % flipped, both come back",
    AMTUTORIAL,
    "E = −½ Σ (ξ·x)²; share of pairs",
    1.0,
    0.05,
    note=NOTE.format(500),
)
def two_pictures(quick):
    found = _all_of_each(2, 0.2, 10 if quick else 500)
    return found._replace(control=f"at 60 % flipped: {_all_of_each(2, 0.6, 10).value:.2f}")


@claim(
    FIELD,
    "Of two pictures with 60 % flipped, the inverse comes back",
    AMTUTORIAL,
    "E(x) = E(−x); share of pairs",
    1.0,
    0.05,
    note=NOTE.format(500),
)
def inverted_picture(quick):
    found = _all_of_each(2, 0.6, 10 if quick else 500, sign=-1)
    return found._replace(control=f"at 20 % flipped: {_all_of_each(2, 0.2, 10, sign=-1).value:.2f}")


@claim(
    FIELD,
    "A classical network fails at six pictures",
    AMTUTORIAL,
    "share of sets of six that all come back",
    0.0,
    0.05,
    note=NOTE.format("1,000"),
)
def six_pictures(quick):
    found = _all_of_each(6, 0.2, 10 if quick else 1000)
    return found._replace(control=f"sets of two: {_all_of_each(2, 0.2, 10).value:.2f}")


@claim(
    FIELD,
    "Order 6 recalls one of 100 pictures",
    AMTUTORIAL,
    "E = −Σ max(ξ·x, 0)⁶/6; share of all pictures of 20 sets of 100",
    1.0,
    0.05,
    note="There one picture of one set is asked for, here all. The tolerance is one in twenty.",
)
def hundred_pictures(quick):
    sets = _sets(100, 1 if quick else 20)
    keys = jr.split(jr.key(7), len(sets))
    found = share_of(
        [_recalled(eam.PolynomialDenseAM(X, 6), X, 0.2, key) for X, key in zip(sets, keys, strict=True)]
    )
    order_two = _recalled(eam.CHN(sets[0]), sets[0], 0.2, keys[0])
    return found._replace(control=f"order 2: {order_two.mean():.2f}")


@claim(
    FIELD,
    "Exponential, β = 50: of 1,024 pictures with 25 % flipped a batch of 100 is recalled",
    AMTUTORIAL,
    "E = −log Σ exp(β ξ·x); share of all 1,024",
    1.0,
    0.05,
    note="There one batch of 100; here every picture. The tolerance is one in twenty.",
)
def all_pictures(quick):
    X = eam.datasets.glyphs().reshape(1024, -1)
    asked = X[:20] if quick else X
    found = share_of(_recalled(eam.ExponentialDenseAM(X, 50.0), asked, 0.25, jr.key(7)))
    order_two = _recalled(eam.CHN(X), X[:20], 0.25, jr.key(7))
    return found._replace(control=f"order 2: {order_two.mean():.2f}")
