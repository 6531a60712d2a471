"""Sparse reads beside the softmax read, and steps of the distance memories beside `ModernHopfield`'s."""

import jax
import jax.numpy as jnp
import jax.random as jr

import energyam as eam
from benchmarks.harness import extra_bytes, time_all

NOISE = 0.3  # of the queries, which are stored keys with so much noise added


def run(quick: bool) -> list[dict]:
    """K unit vectors of D numbers (quick: 2,000), read by one query and by 64."""
    K, D, repeats = (2000, 16, 2) if quick else (10**5, 64, 11)
    keys = jr.normal(jr.key(0), (K, D)) / D**0.5
    rows = []
    for batch in (1, 64):
        noise = NOISE * jr.normal(jr.key(1), (batch, D)) / D**0.5
        queries = keys[:batch] + noise
        rows += compared("read", reads(keys), queries, repeats)
        rows += compared("step", steps(keys), queries, 4 * repeats)  # short ones
    return rows


def reads(keys) -> dict:
    """Key-value memories over the same pairs; the first is what the others are compared with."""
    separations = {
        "softmax": eam.LogSumExp(20.0),
        "entmax 1.5": eam.Entmax(20.0, 1.5),
        "sparsemax": eam.Entmax(20.0, 2.0),
        "entmax 1.5, middle support": eam.Entmax(1.6, 1.5),
        "entmax 1.5, wide support": eam.Entmax(0.8, 1.5),
        "4-subsets": eam.KSubsets(20.0, 4),
        "log-sum-ReLU": eam.LogSumReLU(20.0),
        "10 nearest": eam.TopK(eam.LogSumExp(20.0), 10),
    }
    return {name: eam.KeyValueMemory(keys, keys, separation) for name, separation in separations.items()}


def steps(keys) -> dict:
    """Continuous memories of the same patterns; one step is one pull."""
    return {
        "ModernHopfield": eam.ModernHopfield(keys, 20.0),
        "GaussianDenseAM": eam.GaussianDenseAM(keys, 20.0),
        "EpanechnikovDenseAM": eam.EpanechnikovDenseAM(keys, 1.4),
    }


def compared(what, memories, queries, repeats) -> list[dict]:
    """Times of all memories in one run, each also as a multiple of the first's."""

    def ask(memory, queries):
        return jax.vmap(memory if what == "read" else lambda x: memory.pull(x)[:2])(queries)

    compiled = jax.jit(ask)
    ways = {name: (lambda memory=memory: compiled(memory, queries)) for name, memory in memories.items()}
    timings = time_all(ways, repeats)
    first = timings[next(iter(timings))]
    return [
        {
            "way": f"{what}, {name}",
            "queries": len(queries),
            "ms": 1e3 * timing.best,
            "times the first": timing.best / first.best,
            "by medians": timing.median / first.median,
            "extra MB": extra_bytes(ask, memories[name], queries) / 1e6,
            "weights above 0": support(memories[name], queries[0]),
        }
        for name, timing in timings.items()
    ]


def support(memory, query) -> int:
    """How many patterns weigh anything for a query."""
    rows = memory.keys if isinstance(memory, eam.KeyValueMemory) else memory.patterns
    similarity = getattr(memory, "similarity", eam.Dot())
    return int(jnp.sum(memory.separation.weights(similarity.of_all(rows, query)) > 0))
