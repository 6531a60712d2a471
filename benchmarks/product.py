"""Products of two memories: 10¹² patterns held in two tables, a read beside the tables' bare products."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr

import energyam as eam
from benchmarks import harness
from energyam.linalg import dot

BEST = 10  # pairs that are ranked


def ways(memory, queries):
    """A softmax read (energy and field) and a ranking, beside the bare matrix products with both tables."""
    tables = tuple(part.patterns for part in memory.memories)
    ends = tuple(table.shape[1] for table in tables)

    @jax.jit
    def bare(tables, queries):
        """Ξx of each table, and Ξᵀ of the result: all that a read must do."""
        parts = jnp.split(queries, [ends[0]], axis=1)
        return [dot(dot(part, table.T), table) for part, table in zip(parts, tables, strict=True)]

    read = jax.jit(jax.vmap(lambda memory, x: memory.pull(x)[:2], in_axes=(None, 0)))
    ranked = jax.jit(jax.vmap(lambda memory, x: memory.ranked(x, BEST), in_axes=(None, 0)))
    return {
        "bare products": lambda: bare(tables, queries),
        "read": lambda: read(memory, queries),
        f"best {BEST}": lambda: ranked(memory, queries),
    }


def run(quick: bool) -> list[dict]:
    """Two tables of 10⁶ rows of 32 real numbers (quick: 10³), for one query and for eight."""
    K, D = (10**3 if quick else 10**6), 32
    keys = jr.split(jr.key(0), 3)
    tables = [jr.normal(key, (K, D)) / D**0.5 for key in keys[:2]]
    memory = eam.ProductDenseAM([eam.ModernHopfield(table, 8.0) for table in tables])
    rows = []
    for batch in (1, 8):
        timings = harness.time_all(
            ways(memory, jr.normal(keys[2], (batch, 2 * D)) / D**0.5), repeats=2 if quick else 7
        )
        for name, timing in timings.items():
            rows.append(
                {
                    "way": name,
                    "queries": batch,
                    "log10 patterns": round(math.log10(memory.num_patterns), 2),
                    "ms": 1e3 * timing.best,
                    "times the products": timing.best / timings["bare products"].best,
                }
            )
    return rows
