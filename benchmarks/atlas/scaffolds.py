"""Claims about memories whose features hang on a scaffold of places."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks.atlas.claim import claim
from benchmarks.atlas.sources import CHANDRA, SHARMA
from benchmarks.intervals import mean_of

FIELD = "scaffolds"
PERIODS = (3, 4, 5, 7)  # 19 grid cells name 420 places


def stable_places(num_hidden, key):
    """The share of all places that grid cells come back to through so many hidden cells."""
    memory = eam.Scaffold(jnp.ones((1, 2)), PERIODS, num_hidden, key=key)
    places = jnp.arange(memory.num_places)
    back = jax.vmap(lambda place: memory.nearest_place(memory.hidden(place)))(places)
    return float((back == places[:, None] % jnp.array(PERIODS)[None]).all(axis=1).mean())


@claim(
    FIELD,
    "Modules of grid cells and enough hidden cells make every combination of phases a fixed point",
    CHANDRA,
    "share of the Π λ = 420 places of periods 3, 4, 5 and 7 that are fixed points, 400 hidden cells",
    1.0,
    0.005,
)
def scaffold_places(quick):
    keys = jr.split(jr.key(0), 3 if quick else 20)
    few = np.mean([stable_places(20, key) for key in keys[:3]])
    return mean_of([stable_places(400, key) for key in keys])._replace(control=f"20 hidden cells: {few:.2f}")


@claim(
    FIELD,
    "Beyond as many patterns as hidden cells, what comes back of each fades without a cliff",
    SHARMA,
    "mean overlap erf √(ρ/2(1 − ρ)), ρ = H/K; K = 400 patterns of 200 features, H = 200 hidden cells",
    round(math.erf(math.sqrt(0.5)), 4),
    0.01,
    nature="own check",
    note="The formula is ours, for random features and hidden cells of full rank.",
)
def scaffold_fades(quick):
    K, D = 400, 50 if quick else 200

    def one(key):
        of_patterns, of_memory = jr.split(key)
        X = eam.datasets.random_patterns(K, D, key=of_patterns)
        memory = eam.Scaffold(X, PERIODS, 200, key=of_memory)
        return float(jnp.mean(jax.vmap(memory.at)(jnp.arange(K)) * X))

    X = eam.datasets.random_patterns(400, 200, key=jr.key(2))
    ends = eam.recall(eam.HopfieldNetwork(eam.hebbian(X)), X[:50], key=jr.key(3), record=False).state
    cliff = float(jnp.mean(ends * X[:50]))
    found = mean_of([one(key) for key in jr.split(jr.key(1), 3 if quick else 10)])
    return found._replace(control=f"Hebb's rule, as many patterns of 200 neurons: {cliff:.2f}")
