"""Rows of memories and their parts."""

import math

import numpy as np

import energyam as eam
from wrong_use_rows.values import (
    FLAG,
    FLOATS,
    HUGE,
    INSTANCE,
    KEY,
    KEYS,
    NAME,
    ONE_POSITIVE,
    PATTERNS,
    RADIUS,
    RAGGED,
    REAL,
    STATE,
    TEXT,
    VECTOR,
    WHOLE,
    X,
    key_rows,
    without,
)

BINARY, DOT, QUADRATIC = eam.Binary(), eam.Dot(), eam.Quadratic()
SQUARE = [None, "text", [[1, 2], [1]], np.eye(3) * 1j, np.ones((2, 3)), np.ones(4), [[math.nan]], eam.Dot]
SHAPE = [3, "ab", [3], (0,), (-1,), (2.5,), (2**40,), (True,), tuple]
EDGES = [
    None,
    TEXT,
    RAGGED,
    np.ones((2, 3), int),
    np.ones((2, 2)),
    [[0, 1], [2, 2]],
    [[0, 1], [-1, 2]],
    eam.Dot,
]
CIRCLES = eam.CircleIntersection(6, 2)
CAPS = eam.CapIntersection(8, 2)
UNIT = np.eye(8)[:3]
NOT_ROWS = [
    "text",
    [[1, -1], [1]],
    X * 1j,
    KEYS,
    HUGE,
    eam.Binary,
    np.ones(5),
    np.eye(8),
    np.ones((3, 8), bool),
]
SDM = eam.NeuronSDM(X, 3)
PAIRS = eam.KeyValueMemory(REAL, X * 1.0, eam.LogSumExp(1.0))
ONLINE = eam.OnlineAssociator(8, 2)
NOT_CALLED = [
    eam.CHN(X),
    SDM,
    eam.DenseSequence(X, QUADRATIC),
    eam.SequenceNetwork(np.eye(8)),
    eam.DistributedDenseAM.random(8, 4, 1.0, key=KEY),
    eam.HierarchicalMemory({"seen": eam.Binary((8,))}, []),
]

MEMORIES = [
    (eam.CHN, "patterns", PATTERNS),
    (lambda v: eam.PolynomialDenseAM(v, 3), "patterns", PATTERNS),
    (lambda v: eam.PolynomialDenseAM(X, v), "n", [0.5, 1001, 10**10, *ONE_POSITIVE]),
    (lambda v: eam.PolynomialDenseAM(X, 2.5, v), "n", [False]),
    (lambda v: eam.PolynomialDenseAM(X, 3, v), "rectified", FLAG),
    (lambda v: eam.ExponentialDenseAM(v, 1.0), "patterns", PATTERNS),
    (lambda v: eam.ExponentialDenseAM(X, v), "beta", ONE_POSITIVE),
    (lambda v: eam.ModernHopfield(v), "beta", [REAL]),
    (lambda v: eam.ModernHopfield(v, 1.0), "patterns", FLOATS),
    (lambda v: eam.ModernHopfield(REAL, v), "beta", ONE_POSITIVE),
    (lambda v: eam.DenseAM(v, QUADRATIC, BINARY), "patterns", FLOATS),
    (lambda v: eam.DenseAM(v, QUADRATIC, eam.Spherical()), "patterns", [np.ones((2, 8)), X, *FLOATS]),
    (lambda v: eam.DenseAM(X, v, BINARY), "separation", [eam.Quadratic, eam.LogSumExp, BINARY, *INSTANCE]),
    (lambda v: eam.DenseAM(X, QUADRATIC, v), "neurons", [eam.Binary, QUADRATIC, None, *INSTANCE]),
    (lambda v: eam.DenseAM(X, QUADRATIC, BINARY, v), "similarity", [eam.Dot, QUADRATIC, *INSTANCE]),
    (lambda v: eam.DenseAM(X, v, BINARY), "separation", [CIRCLES, CAPS]),
    (lambda v: eam.DenseAM(X, eam.TopK(v, 2), BINARY), "separation", [CIRCLES, CAPS]),
    (lambda v: eam.DenseAM(UNIT, v, eam.Spherical()), "separation", [CIRCLES]),
    (eam.HopfieldNetwork, "weights", [*SQUARE, [[0, 1.0], [-1, 0]], X]),
    (lambda v: eam.HopfieldNetwork(v), "hebbian", [X]),
    (lambda v: eam.HopfieldNetwork(np.eye(8), v), "bias", without(VECTOR, None)),
    (lambda v: eam.SparseNetwork(v, np.ones(2)), "edges", EDGES),
    (lambda v: eam.SparseNetwork([[0, 1], [1, 2]], v), "weights", [np.ones(3), *FLOATS]),
    (lambda v: eam.SparseNetwork([[0, 1], [1, 7]], np.ones(2), v), "bias", without(VECTOR, None)),
    (lambda v: eam.SparseNetwork([[0, 1], [1, 7]], np.ones(2), dim=v), "dim", without(WHOLE, None)),
    (lambda v: eam.SparseNetwork([[0, 8]], np.ones(1), dim=v), "edges", [8, 3]),
    (eam.SequenceNetwork, "weights", SQUARE),
    (lambda v: eam.SequenceNetwork(np.eye(8), v), "delayed_weights", [np.eye(3), *SQUARE[1:]]),
    (lambda v: eam.SequenceNetwork(np.eye(8), np.eye(8), v), "delay", without(WHOLE, 0)),
    (lambda v: eam.SequenceNetwork(np.eye(8), delay=v), "delayed_weights", [1]),
    (lambda v: eam.NeuronSDM(v, 3), "addresses", PATTERNS),
    (lambda v: eam.NeuronSDM(X, v), "radius", RADIUS),
    (lambda v: eam.NeuronSDM(X, 3, v), "word_dim", WHOLE),
    (lambda v: eam.NeuronSDM(X, 3, None, v), "counter_limit", WHOLE),
    (lambda v: eam.NeuronSDM.random(v, 8, 3, key=KEY), "num_locations", WHOLE),
    (lambda v: eam.NeuronSDM.random(9, v, 3, key=KEY), "dim", WHOLE),
    (lambda v: eam.NeuronSDM.random(9, 8, v, key=KEY), "radius", RADIUS),
    *key_rows(lambda v: eam.NeuronSDM.random(9, 8, 3, key=v)),
    (lambda v: SDM.write(v), "addresses", NOT_ROWS),
    (lambda v: SDM.write(X, v), "words", [X[:2], *NOT_ROWS]),
    (SDM.read, "address", VECTOR),
    (SDM.active, "address", VECTOR),
    (lambda v: eam.PatternSDM(v, 3), "patterns", PATTERNS),
    (lambda v: eam.PatternSDM(X, v), "radius", RADIUS),
    (lambda v: eam.PatternSDM(X, 3, v), "num_neurons", [0, 0.5, -1, math.nan, math.inf, 1j, "3", [3], int]),
    *key_rows(lambda v: eam.PatternSDM(X, 3, 100, key=v) if v is not None else eam.PatternSDM(X, 3, key=KEY)),
    (lambda v: eam.ContinuousSDM(v, 3.0), "patterns", [np.ones((2, 8)), *FLOATS]),
    (lambda v: eam.ContinuousSDM(UNIT, v), "radius", [0, *[v for v in RADIUS if v != 2.5]]),
    (lambda v: eam.ContinuousSDM(UNIT, v, "circle"), "radius", RADIUS),
    (lambda v: eam.ContinuousSDM(UNIT, 3, v), "weighting", NAME),
    (lambda v: eam.KeyValueMemory(v, X, QUADRATIC), "keys", [np.ones((2, 8)), *FLOATS]),
    (lambda v: eam.KeyValueMemory(X, v, QUADRATIC), "values", [np.ones((2, 8)), *FLOATS]),
    (lambda v: eam.KeyValueMemory(X, X, v), "separation", [eam.Linear, eam.TopK, *INSTANCE]),
    (PAIRS, "query", VECTOR),
    (lambda v: eam.OnlineAssociator(v, 2), "key_dim", WHOLE),
    (lambda v: eam.OnlineAssociator(8, v), "value_dim", WHOLE),
    (ONLINE, "query", VECTOR),
    (lambda v: ONLINE.write(v, [1.0, 2.0]), "key", VECTOR),
    (lambda v: ONLINE.write(REAL[0], v), "value", VECTOR),
    *[
        (getattr(memory, name), "state", STATE)
        for memory in (eam.CHN(X), eam.ModernHopfield(REAL, 1.0), eam.HopfieldNetwork(np.eye(8)))
        for name in ("energy", "potential", "field")
    ],
]  # fmt: skip

PARTS = [
    *[
        (lambda v, kind=kind: kind(v), "shape", SHAPE)
        for kind in (eam.Binary, eam.ZeroOne, eam.Continuous, eam.Free, eam.Spherical)
    ],
    (lambda v: BINARY.check("layer", v, "K D"), "layer", PATTERNS),
    (lambda v: eam.Continuous().check("layer", v, "K D"), "layer", FLOATS),
    (lambda v: eam.Free().check("layer", v, "K D"), "layer", FLOATS),
    (lambda v: eam.CapIntersection(v, 2.0), "dim", [1, *WHOLE, [8]]),
    (lambda v: eam.CapIntersection(8, v), "radius", [0, 9.0, [1.0, 2.0], *[v for v in RADIUS if v != 2.5]]),
    (lambda v: eam.CircleIntersection(v, 2), "dim", [*WHOLE, [8]]),
    (lambda v: eam.CircleIntersection(8, v), "radius", RADIUS),
    (lambda v: eam.CircleIntersection(8, 2, v), "num_neurons", [0, 0.5, math.nan, math.inf, "3", [3]]),
    (lambda v: eam.CircleIntersection(8, 2, cosines=v), "cosines", FLAG),
    *key_rows(
        lambda v: eam.CircleIntersection(8, 2, 100, key=v) if v is not None else eam.PatternSDM(X, 3, key=KEY)
    ),
    (eam.Polynomial, "n", [0.5, 1001, 10**10, *ONE_POSITIVE]),
    (lambda v: eam.Polynomial(3, v), "rectified", FLAG),
    (lambda v: eam.Polynomial(v, rectified=False), "n", [2.5]),
    (eam.LogSumExp, "beta", ONE_POSITIVE),
    (lambda v: eam.LogSumExp(1.0, v), "divided", FLAG),
    (lambda v: eam.TopK(v, 2), "separation", [eam.Quadratic, eam.Binary, None, DOT, *INSTANCE]),
    (lambda v: eam.TopK(QUADRATIC, v), "k", WHOLE),
    (eam.Categorical, "q", WHOLE),
    (lambda v: eam.Categorical(2).check("layer", v, "K D"), "layer", [np.ones((2, 4)), np.zeros((2, 4)),
    np.eye(3), *FLOATS]), (lambda v: eam.ZeroOne().check("layer", v, "K D"), "layer", [X, np.full((2, 2),
    0.5), *FLOATS]),
]  # fmt: skip

ROWS = MEMORIES + PARTS
