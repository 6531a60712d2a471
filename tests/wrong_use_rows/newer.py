"""Rows of rows on disk, Boltzmann machines and problems."""

import math

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


ROWS = [
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
