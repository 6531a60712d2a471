"""Rows of recall, its update rules, and files."""

import math
import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import energyam as eam
from wrong_use_rows.values import (
    INSTANCE,
    KEY,
    KEY_LIKE,
    KEYS,
    NAME,
    ONE_POSITIVE,
    PATH,
    REAL,
    TOLERANCE,
    WHOLE,
    X,
    without,
)

CHN, MODERN = eam.CHN(X), eam.ModernHopfield(REAL, 1.0)
MEMORY = [None, "text", 3, eam.CHN, X, eam.Quadratic(), KEY]
QUERY = [None, "text", [[1, -1], [1]], X * 1j, KEYS, eam.Binary, X[0, :5], 1.0, np.eye(8), X > 0, np.zeros(8)]
CLAMP = ["text", np.ones(8), np.ones(5, bool), np.ones((3, 8), bool), 0, {"layer": True}, eam.Binary, KEY]
SETTLED = eam.recall(CHN, X[0], key=KEY, max_steps=2)
TAKEN = eam.recall(CHN, X[0], key=KEY, max_steps=2, record=False)
FOLDER = Path(tempfile.gettempdir())
MISSING = FOLDER / "no such folder of energyam" / "memory.safetensors"

ROWS = [
    (lambda v: eam.recall(v, X[0], key=KEY), "memory", MEMORY),
    (lambda v: eam.recall(CHN, v, key=KEY), "query", QUERY),
    (lambda v: eam.recall(MODERN, v), "query", [[math.nan] * 8, np.full(8, math.inf), *QUERY[:8]]),
    (lambda v: eam.recall(CHN, X[0], v, key=KEY),
     "update", [eam.Asynchronous, eam.Synchronous, CHN, *INSTANCE]),
    (lambda v: eam.recall(CHN, X[0], None, v, key=KEY), "max_steps", [None, *without(WHOLE, 0)]),
    (lambda v: eam.recall(CHN, X[0], key=v), "key", KEY_LIKE),
    (lambda v: eam.recall(CHN, X[0], key=KEY, clamp=v), "clamp", CLAMP),
    (lambda v: eam.recall(CHN, X[0], key=KEY, stop=v), "stop", ["text", 3, X, True]),
    (lambda v: eam.recall(CHN, X[0], key=KEY, record=v), "record", ["yes", 1, None, bool]),
    (lambda v: eam.recall(CHN, X[0], key=KEY, progress=v), "progress", ["yes", 1, None, bool]),
    (lambda v: eam.is_local_minimum(v, X[0]), "memory", [MODERN, *MEMORY]),
    (lambda v: eam.is_local_minimum(CHN, v), "state", QUERY),
    (lambda v: eam.is_local_minimum(CHN, X[0], v), "clamp", CLAMP),
    (SETTLED.frames, "every", WHOLE),
    (lambda v: v.frames(), "record", [TAKEN]),
    (eam.Asynchronous, "order", NAME),
    (eam.Synchronous, "tol", TOLERANCE),
    (eam.GradientDescent, "step_size", ONE_POSITIVE),
    (lambda v: eam.GradientDescent(0.1, v), "tol", TOLERANCE),
    (lambda v: eam.recall(CHN, X[0], v), "GradientDescent", [eam.GradientDescent(0.1)]),
    (lambda v: eam.Tick(jnp.zeros((), int), v, v).shared, "key", [None]),
    (lambda v: eam.Tick(jnp.zeros((), int), v, v).own, "key", [None]),
    (lambda v: eam.save(v, CHN), "path", [FOLDER, MISSING, *PATH]),
    (lambda v: eam.save(MISSING.name, v), "memory", [None, "text", 3, eam.CHN, X, KEY]),
    (eam.load, "path", PATH),
    (eam.load, "memory.safetensors", [MISSING]),
    (lambda v: eam.load(MISSING, v), "classes", [None, 3, "text", [3], ["CHN"], [CHN], eam.CHN, [int]]),
]  # fmt: skip
