"""Claims about rules that learn a matrix: Hebb, Storkey, pseudo-inverse, sequences, linear associators."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks.atlas.claim import claim, mean_of, share_of
from benchmarks.atlas.learned import kept

FIELD = "learning rules"
STORKEY = "Storkey, ICANN 1997; Storkey & Valabregue, Neural Networks 12 (1999)"
KOHONEN = "Kohonen & Ruohonen, IEEE Trans. Comput. 22 (1973)"
ATTRACTORS = "a published set of attractor simulations (100 units, random vectors)"
CAPACITY = "python -m benchmarks --only capacity --json"


@claim(
    FIELD,
    "Storkey's rule holds D/√(2 ln D) patterns without an error: 33 of 100 neurons",
    STORKEY,
    "share of patterns that are fixed points",
    1.0,
    0.03,
)
def storkey_capacity(quick):
    K = int(eam.theory.storkey_capacity(100))
    sets = [eam.datasets.random_patterns(K, 100, key=key) for key in jr.split(jr.key(0), 2 if quick else 20)]
    return share_of([np.asarray(eam.is_local_minimum(eam.HopfieldNetwork(eam.storkey(X)), X)) for X in sets])


@claim(
    FIELD,
    "Any D − 1 independent patterns are fixed points of the pseudo-inverse rule",
    "Personnaz, Guyon & Dreyfus, Phys. Rev. A 34 (1986)",
    "W ξ = ξ; largest |Wξ − ξ|, D = 64",
    0.0,
    1e-3,
)
def pseudo_inverse(quick):
    X = eam.datasets.random_patterns(63, 64, key=jr.key(1)).astype(float)
    weights = eam.optimal_linear_associator(X, X)  # X⁺ X, its diagonal included
    return float(jnp.abs(X @ weights.T - X).max())


@claim(
    FIELD,
    "The outer-product rule has an accuracy drop after 0.14 N",
    ATTRACTORS,
    "largest K/N with the nearest pattern right in 95 %, of K = 5, 10, …",
    0.14,
    0.05,
    command=CAPACITY,
)
def hebb_drop(quick):
    rows = [r for r in kept("capacity") if r["experiment"] == "rules" and r["memory"] == "hebbian"]
    good = [r["K"] for r in rows if r["P(+1)"] == 0.5 and r["nearest"] >= 0.95]
    return max(good) / 100


@claim(
    FIELD,
    "On correlated patterns Storkey's rule does much better than the outer product (K = 30 of 100)",
    ATTRACTORS,
    "difference of the shares recalled as the nearest pattern, P(+1) = 0.4",
    0.5,
    0.0,
    kind="at least",
    command=CAPACITY,
)
def storkey_correlated(quick):
    rows = [r for r in kept("capacity") if r["experiment"] == "rules" and r["P(+1)"] == 0.4 and r["K"] == 30]
    rates = {r["memory"]: r["nearest"] for r in rows}
    return rates["storkey"] - rates["hebbian"]


@claim(
    FIELD,
    "Cross-terms of strength 3 make a network of 100 units visit five states in a ring",
    ATTRACTORS + "; Amit, Modeling Brain Function (1989), section 5.2",
    "share of 40 steps that end in the next state",
    1.0,
    0.0,
)
def ring(quick):
    X = eam.datasets.random_patterns(5, 100, key=jr.key(2))
    network = eam.SequenceNetwork(eam.sequence_weights(X, jnp.roll(jnp.eye(5), 1, axis=1), 3.0))
    frames = np.asarray(eam.recall(network, X[0], eam.Synchronous(), 40).frames(1))
    nearest = np.argmax(frames.astype(float) @ np.asarray(X, float).T, axis=1)
    return share_of(nearest == np.arange(len(nearest)) % 5)


@claim(
    FIELD,
    "Of five memories in 100 units, those with 30 % of their bits flipped come back",
    ATTRACTORS,
    "share recalled within 5 bits",
    1.0,
    0.05,
)
def lookup(quick):
    def one(key):
        of_patterns, noise = jr.split(key)
        X = eam.datasets.random_patterns(5, 100, key=of_patterns)
        memory = eam.HopfieldNetwork(eam.hebbian(X))
        queries = eam.datasets.flip_bits(X, 0.3, key=noise)
        ends = eam.recall(memory, queries, eam.Asynchronous("sequential"), 50, record=False).state
        return np.asarray((ends != X).sum(axis=1) <= 5)

    return share_of([one(key) for key in jr.split(jr.key(3), 2 if quick else 20)])


@claim(
    FIELD,
    "The optimal linear mapping is exact for as many pairs as there are dimensions",
    KOHONEN,
    "W = V K⁺; mean cosine, d = n = 32",
    1.0,
    1e-3,
)
def associator_exact(quick):
    return _associated(32, 2 if quick else 10)


@claim(
    FIELD,
    "Beyond, its answers are projections: the cosine falls as √(d/n)",
    KOHONEN,
    "mean cosine, d = 32, n = 128",
    0.5,
    0.01,
)
def associator_overloaded(quick):
    return _associated(128, 2 if quick else 20)


def _associated(n, repeats):
    def one(key):
        keys, values = jr.normal(key, (2, n, 32))
        read = keys @ eam.optimal_linear_associator(keys, values).T
        sizes = jnp.linalg.norm(read, axis=1) * jnp.linalg.norm(values, axis=1)
        return jnp.mean(jnp.sum(read * values, axis=1) / sizes)

    values = [one(key) for key in jr.split(jr.key(4), repeats)]
    return mean_of(values)
