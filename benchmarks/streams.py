"""Patterns that stay on disk: reads, searches and recall, against reading the bytes, and against an array."""

import json
import pathlib
import subprocess
import sys
import tempfile

import jax
import numpy as np

from benchmarks.harness import time_all

D, BETA, NEAREST = 64, 0.1, 10
BATCHES = 1, 16
LIMIT = 2**30  # bytes of data that the process with the memory on disk may have

PROGRAM = """
import json, resource, sys
import equinox as eqx, jax, jax.numpy as jnp, jax.random as jr, numpy as np
import energyam as eam
from benchmarks.harness import time_all
from benchmarks.peak import peak_mb
from benchmarks.streams import BATCHES, BETA, LIMIT, NEAREST

path, way, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3])
if way == "on disk":
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    patterns = eam.OnDisk(path)
else:
    patterns = jnp.asarray(np.load(path))
kind = eam.ExponentialDenseAM if patterns.dtype == "int8" else eam.ModernHopfield
memory = kind(patterns, BETA)
read = eqx.filter_jit(lambda memory, queries: jax.vmap(memory.field)(queries))
retrieved = eqx.filter_jit(lambda memory, x: jax.vmap(lambda x: eam.evaluation.retrieved(memory, x).index)(x))
ways = {}
for B in BATCHES:
    queries = jr.normal(jr.key(0), (B, patterns.shape[1]))
    ways[f"softmax read, B = {B}"] = lambda queries=queries: [read(memory, queries)]
    ways[f"nearest {NEAREST}, B = {B}"] = lambda q=queries: eam.nearest(memory, q, NEAREST)[:2]
ways["retrieved, B = 1"] = lambda: [retrieved(memory, queries[:1])]
answers = {name: [np.asarray(leaf, float).tolist() for leaf in way()] for name, way in ways.items()}
timings = {name: timing.best for name, timing in time_all(ways, repeats).items()}
print(json.dumps([timings, answers, peak_mb() * 1e6]))
"""


def run(quick: bool) -> list[dict]:
    K, repeats = (20_000, 2) if quick else (10**7, 3)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("int8", "float32"):
            path = pathlib.Path(folder) / f"{dtype}.npy"
            write(path, K, dtype)
            rows += rows_of(path, K, dtype, repeats)
            path.unlink()
    return rows


def write(path, K, dtype):
    """Patterns of ±1, or normal ones, in a file that is then in the page cache."""
    random = np.random.default_rng(0)
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(K, D))
    for start in range(0, K, 10**5):
        size = (min(10**5, K - start), D)
        real = random.standard_normal(size, np.float32)
        rows[start : start + size[0]] = np.where(real > 0, 1, -1) if dtype == "int8" else real
    rows.flush()


def rows_of(path, K, dtype, repeats) -> list[dict]:
    """Each way on disk and in memory, in a fresh process, beside the time that the bytes alone take."""
    floors = {"bytes": lambda: read_bytes(path), "blocks": blocks_from_the_host(path)}
    bare, blocks = (timing.best for timing in time_all(floors, repeats).values())
    found = {way: in_a_process(path, way, repeats) for way in ("on disk", "in memory")}
    answers = [answers for _, answers, _ in found.values()]
    rows = []
    for way, (timings, _, peak) in found.items():
        for name, seconds in timings.items():
            pairs = zip(*(answer[name] for answer in answers), strict=True)
            rows.append(
                {
                    "K, D": f"{K}, {D}",
                    "dtype": dtype,
                    "way": name,
                    "patterns": way,
                    "MB": path.stat().st_size / 1e6,
                    "best ms": 1e3 * seconds,
                    "ms of bytes": 1e3 * bare,
                    "ms of blocks from the host": 1e3 * blocks,
                    "time of bytes": seconds / bare,
                    "time of blocks from the host": seconds / blocks,
                    "time of array": seconds / found["in memory"][0][name],
                    "peak resident MB": peak / 1e6,
                    "largest difference": max(np.abs(np.subtract(a, b)).max() for a, b in pairs),
                }
            )
    return rows


def read_bytes(path):
    """All bytes of a file, a block of 4 MB at a time into the same place."""
    block = bytearray(2**22)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(block):
            pass


def blocks_from_the_host(path):
    """What JAX takes to be given as many blocks by a function of the host, the same one each time.

    Nothing is read from a file, and one number of each block is looked at.
    """
    block = np.zeros((2**22 // (4 * D), D), np.float32)  # of 4 MB, as `OnDisk` reads them
    form, count = jax.ShapeDtypeStruct(block.shape, block.dtype), -(-path.stat().st_size // block.nbytes)

    def add(j, total):
        return total + jax.pure_callback(lambda j: block, form, j)[0, 0]

    loop = jax.jit(lambda: jax.lax.fori_loop(0, count, add, 0.0))
    return lambda: jax.block_until_ready(loop())


def in_a_process(path, way, repeats):
    command = [sys.executable, "-c", PROGRAM, str(path), way, str(repeats)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
