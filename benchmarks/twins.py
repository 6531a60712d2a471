"""Recall against the ten lines that a user who cares about speed would write, cell by cell.

Beside them the naive way, which evaluates the whole energy twice per flip (timed over a few tries and scaled
to all), and a floor: one product of all states with the patterns, or couplings, for each sweep.
"""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

import energyam as eam
from benchmarks import harness


def overlap_twin(potential, patterns, states, sweeps, key):
    """Sweeps of a batch: the overlaps are carried, the potential is taken of the changed ones, and the flip
    is taken by `where`. The queries share the order. This is the twin, and all of it."""

    def try_one(carry, i):
        x, s = carry
        changed = s - 2 * x[:, i, None] * patterns[None, :, i]
        flips = potential(changed) > potential(s)
        x = x.at[:, i].multiply(jnp.where(flips, -1, 1))
        return (x, jnp.where(flips[:, None], changed, s)), None

    orders = jnp.concatenate([jr.permutation(k, states.shape[1]) for k in jr.split(key, sweeps)])
    return jax.lax.scan(try_one, (states, states @ patterns.T), orders)[0][0]


def field_twin(weights, states, sweeps, key):
    """The same for a network of weights: the fields are carried."""

    def try_one(carry, i):
        x, h = carry
        flips = x[:, i] * h[:, i] < 0
        step = jnp.where(flips, -2 * x[:, i], 0)
        return (x.at[:, i].add(step), h + step[:, None] * weights[i]), None

    orders = jnp.concatenate([jr.permutation(k, states.shape[1]) for k in jr.split(key, sweeps)])
    return jax.lax.scan(try_one, (states, states @ weights), orders)[0][0]


def naive_way(energy, states, order):
    """The whole energy of each state and of its flip, one neuron after another."""

    def try_one(x, i):
        flipped = x.at[i].multiply(-1)
        return jnp.where(energy(flipped) < energy(x), flipped, x), None

    return jax.vmap(lambda x: jax.lax.scan(try_one, x, order)[0])(states)


class Quartic(eam.AbstractSeparation):
    """A user's own potential, with nothing declared."""

    size: Float[Array, ""]

    def potential(self, similarities):
        return jnp.sum((similarities / self.size) ** 4)


def memories(X):
    """The memories of the table, and the potential that a twin's author would write for each."""
    D = X.shape[1]
    circle = eam.CircleIntersection(D, D // 2 - D // 20)
    return {
        "CHN": (eam.CHN(X), lambda s: 0.5 * jnp.sum(s**2, axis=-1)),
        "polynomial 3": (eam.PolynomialDenseAM(X, 3), lambda s: jnp.sum(jnp.maximum(s / D, 0) ** 3, axis=-1)),
        "polynomial 30": (
            eam.PolynomialDenseAM(X, 30),
            lambda s: jnp.sum(jnp.maximum(s / D, 0) ** 30, axis=-1),
        ),
        "exponential 50": (
            eam.ExponentialDenseAM(X, 50.0),
            lambda s: jax.nn.logsumexp(50.0 * s, axis=-1),
        ),
        "exponential .05": (
            eam.ExponentialDenseAM(X, 0.05),
            lambda s: jax.nn.logsumexp(0.05 * s, axis=-1),
        ),
        "PatternSDM": (eam.PatternSDM(X, D // 2 - D // 20), jax.vmap(circle.potential)),
        "own potential": (
            eam.DenseAM(X, Quartic(jnp.asarray(float(D))), eam.Binary()),
            lambda s: jnp.sum((s / D) ** 4, axis=-1),
        ),
    }


def cell(name, kind, memory, twin, energy, matrix, queries, repeats):
    """One cell of the table: the same number of sweeps by all, to rest by energyam's count."""
    key = jr.key(1)
    sweeps = int(eam.recall(memory, queries, key=key, max_steps=30, record=False).num_steps.max())
    states = queries.astype(float)
    twin_run = jax.jit(lambda states, key: twin(states, sweeps, key))
    tries = states.shape[1] * sweeps
    some = min(tries, max(4, 100 // len(states)))
    naive = jax.jit(lambda states: naive_way(energy, states, jnp.arange(some)))
    product = jax.jit(lambda matrix, states: states @ matrix.T)
    ways = {
        "energyam": lambda: eam.recall(memory, queries, key=key, max_steps=30),
        "twin": lambda: twin_run(states, key),
        "naive": lambda: naive(states),
        "floor": lambda: product(matrix, states),
    }
    timings = harness.time_all(ways, repeats)
    ours, theirs = timings["energyam"], timings["twin"]
    return {
        "memory": name,
        "patterns": kind,
        "queries": len(queries),
        "sweeps": sweeps,
        "energyam ms": ours.best * 1e3,
        "twin ms": theirs.best * 1e3,
        "twin / energyam": theirs.best / ours.best,
        "naive ms": timings["naive"].best * tries / some * 1e3,
        "floor ms": timings["floor"].best * sweeps * 1e3,
        "first call s": ours.first,
        "first call of the twin s": theirs.first,
    }


def patterns_of(kind, K, D):
    """Glyphs, or random patterns: K = 1024 are above the capacity of all but the steepest memories."""
    if kind == "glyphs":
        return jnp.asarray(eam.datasets.glyphs()[:K].reshape(K, -1)[:, :D])
    return jr.rademacher(jr.key(3), (K, D), dtype="int8")


def cases_of(X):
    """By name what `cell` needs of a memory: itself, its twin, its energy, and a floor's matrix."""
    floats, weights = X.astype(float), eam.hebbian(X)
    cases = {
        name: (
            memory,
            lambda x, n, key, p=potential: overlap_twin(p, floats, x, n, key),
            lambda x, p=potential: -jnp.squeeze(p((floats @ x)[None])),
            floats,
        )
        for name, (memory, potential) in memories(X).items()
    }
    network = eam.HopfieldNetwork(weights)
    twin = lambda x, n, key: field_twin(weights, x, n, key)  # noqa: E731
    return cases | {"HopfieldNetwork": (network, twin, lambda x: -0.5 * x @ weights @ x, weights)}


def noisy(X, count):
    """The first patterns with a quarter of their bits flipped."""
    flips = jr.uniform(jr.key(2), (count, X.shape[1])) < 0.25
    return jnp.where(flips, -X[:count], X[:count])


def run(quick: bool = False) -> list[dict]:
    """{memories} × {1, 10, 100 queries} × {glyphs, random} at K = 1024, D = 2304 and 25 % noise."""
    K, D, sizes, repeats = (32, 128, (1, 3), 1) if quick else (1024, 2304, (1, 10, 100), 3)
    rows = []
    for kind in ("glyphs", "random"):
        X = patterns_of(kind, K, D)
        queries = noisy(X, max(sizes))
        for name, case in cases_of(X).items():
            # A hundred queries take a twin up to a minute, and vary little.
            for B in sizes:
                rows.append(cell(name, kind, *case, queries[:B], 1 if B == 100 else repeats))
                print(f"{name}, {kind}, {B}: {rows[-1]['twin / energyam']:.2f}", flush=True)
    return rows
