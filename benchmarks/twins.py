"""Recall against the ten lines that a user who cares about speed would write, cell by cell.

Beside them the naive way, which evaluates the whole energy twice per flip (timed over a few tries and scaled
to all), and a floor: one product of all states with the patterns, or couplings, for each sweep.

All cells take some twenty minutes. For some of them, with any of these choices left out:

    python -m benchmarks.twins --kinds alike --memories "polynomial 5" "own cosh" --sizes 1 10 100
"""

import argparse
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import jax.random as jr

import energyam as eam
from benchmarks import harness
from benchmarks.ten_lines import naive_way
from benchmarks.twin_cells import Case, cases_of, patterns_of, queries_of

KINDS = ("glyphs", "random", "alike", "bits")
SIZES = (1, 10, 100)
REPEATS = 3


def cell(name: str, kind: str, case: Case, queries: jax.Array, repeats: int) -> dict:
    """One cell of the table: all ways do the same number of sweeps, those that energyam's recall takes."""
    key = jr.key(1)
    sweeps = int(eam.recall(case.memory, queries, key=key, max_steps=30, record=False).num_steps.max())
    states = queries.astype(float)
    twin_run = jax.jit(lambda states, key: case.twin(states, sweeps, key))
    tries = states.shape[1] * sweeps
    some = min(tries, max(4, 100 // len(states)))
    naive = jax.jit(lambda states: naive_way(case.energy, case.step, states, jnp.arange(some)))
    product = jax.jit(lambda matrix, states: states @ matrix.T)
    ways = {
        "energyam": lambda: eam.recall(case.memory, queries, key=key, max_steps=30),
        "twin": lambda: twin_run(states, key),
        "naive": lambda: naive(states),
        "floor": lambda: product(case.matrix, states),
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


def size_of(kind: str, quick: bool) -> tuple[int, int]:
    """The number of patterns and of neurons."""
    if quick:
        return 32, 128
    return (600 if kind == "alike" else 1024), 2304


def run(
    quick: bool = False,
    kinds: Sequence[str] = KINDS,
    memories: Sequence[str] | None = None,
    sizes: Sequence[int] | None = None,
) -> list[dict]:
    """{memories} × {1, 10, 100 queries} × {kinds of patterns} at D = 2304 and 25 % noise, or some of them."""
    sizes = sizes or ((1, 3) if quick else SIZES)
    rows = []
    for kind in kinds:
        X = patterns_of(kind, *size_of(kind, quick))
        queries = queries_of(kind, X, max(sizes))
        for name, case in cases_of(kind, X).items():
            if memories is not None and name not in memories:
                continue
            for B in sizes:
                # A hundred queries take a twin up to a minute, and vary little.
                repeats = 1 if quick or B >= 100 else REPEATS
                rows.append(cell(name, kind, case, queries[:B], repeats))
                print(f"{name}, {kind}, {B}: {rows[-1]['twin / energyam']:.2f}", flush=True)
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Print the cells that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.twins", description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of patterns")
    parser.add_argument("--memories", nargs="+", metavar="NAME", help='as in the table, say "polynomial 5"')
    parser.add_argument("--sizes", nargs="+", type=int, metavar="B", help="numbers of queries")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
    chosen = parser.parse_args(arguments)
    print(harness.table(run(chosen.quick, chosen.kinds, chosen.memories, chosen.sizes)))


if __name__ == "__main__":
    main()
