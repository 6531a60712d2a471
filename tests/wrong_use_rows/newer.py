"""Rows of rows on disk, Boltzmann machines, problems, scaffolds and layers that learn while they read."""

import math
import tempfile

import jax.numpy as jnp
import numpy as np

import energyam as eam
from wrong_use_rows.values import INSTANCE, KEY, KEY_LIKE, ONE_POSITIVE, WHOLE, X, without

MEMORY = eam.CHN(X)
PROBLEM = eam.ising.from_qubo({("a", "b"): -1.0, ("a", "a"): 0.5})
CHAINS = [np.zeros((2, 1)), np.full((2, 9), math.nan), "text", None, [[1.0], [1.0, 2.0]]]


def problem(**changed):
    """The problem made again with some of its parts changed."""
    parts = {"given": PROBLEM.given, "labels": PROBLEM.labels, "vartype": PROBLEM.vartype}
    return eam.ising.Problem(**{**parts, **changed})


def scaffold(patterns=X[:, :5], periods=(2, 3), num_hidden=4, key=KEY, **changed):
    return eam.Scaffold(patterns, periods, num_hidden, key=key, **changed)


def layer(size=4, key=KEY, **changed):
    return eam.nn.FastWeightLayer(size, key=key, **changed)


def appended(rows, **changed):
    """What `append` of a fresh store answers."""
    with tempfile.TemporaryDirectory() as folder:
        return eam.Store(folder).append(rows, **changed)


ROWS = [
    (lambda v: scaffold(v), "patterns", [None, "text", np.zeros((2, 5)), np.ones((7, 5)), X[0]]),
    (lambda v: scaffold(periods=v), "periods", [(), (2, 4), (1, 3), 5, None, "text", (2.5, 3)]),
    (lambda v: scaffold(num_hidden=v), "num_hidden", WHOLE),
    (lambda v: scaffold(neurons=v), "neurons", [eam.Binary, *without(INSTANCE, None)]),
    (lambda v: scaffold(key=v), "key", KEY_LIKE),
    (layer, "size", WHOLE),
    (lambda v: layer(num_heads=v), "num_heads", [3, *WHOLE]),
    (lambda v: layer(rule=v), "rule", ["titans", None, 3]),
    (lambda v: layer(gated=v), "gated", ["yes", 1, None]),
    (lambda v: layer(chunk=v), "chunk", without(WHOLE, None)),
    (lambda v: layer(key=v), "key", KEY_LIKE),
    (eam.Store, "folder", [None, 3, __file__]),
    (lambda v: eam.Store("no such folder", v), "similarity", [eam.Dot, *INSTANCE]),
    (appended, "patterns", [None, "text", X[0], X * math.nan]),
    (lambda v: appended(X, payloads=v), "payloads", [["one"], "text", 3]),
    (eam.OnDisk, "source", [None, 3, X, jnp.asarray(X), ["a.npy"]]),
    (eam.datasets.bars_and_stripes, "side", WHOLE),
    (lambda v: eam.evaluation.annealed_log_partition(MEMORY, v, key=KEY), "temperature", ONE_POSITIVE[1:]),
    (lambda v: eam.evaluation.annealed_log_partition(MEMORY, 1.0, v, key=KEY), "num_chains", WHOLE),
    (lambda v: eam.evaluation.annealed_log_partition(MEMORY, 1.0, 2, v, key=KEY), "num_steps", WHOLE),
    (
        lambda v: eam.evaluation.annealed_log_partition(MEMORY, 1.0, 2, 2, v, key=KEY),
        "update",
        [eam.HeatBath, *INSTANCE],
    ),
    (lambda v: eam.evaluation.annealed_log_partition(MEMORY, 1.0, 2, 2, key=v), "key", KEY_LIKE),
    (lambda v: problem(vartype=v), "vartype", ["bits", None, 3]),
    (lambda v: problem(neurons=v), "neurons", [eam.Continuous(), *without(INSTANCE)]),
    (lambda v: problem(labels=v), "labels", [["a"], ["a", "a"], None]),
    (eam.plotting.chains, "samples", CHAINS),
]
