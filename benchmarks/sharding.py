"""What travels between devices: bytes by the cost model and by the compiled programs, on 8 virtual ones."""

import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks.harness import time_all
from energyam import sharding
from energyam.flips import plan

DEVICES = 8
SIZES = [(64, 2**14, 64), (256, 2**12, 256), (16, 2**15, 64)]  # B, K, D
NEAREST = 10
BLOCK = plan.SIZES["bounds"][0]  # neurons that are bounded together
BYTES = {"f32": 4, "s32": 4, "s8": 1, "pred": 1}


def run(quick: bool) -> list[dict]:
    """Measured in a process of its own, as the number of virtual devices is fixed when JAX starts."""
    flags = f"--xla_force_host_platform_device_count={DEVICES}"
    command = [sys.executable, "-m", "benchmarks.sharding", "quick" if quick else "full"]
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(quick: bool) -> list[dict]:
    return [row for size in ([(8, 1024, 16)] if quick else SIZES) for row in rows_of(*size)]


def rows_of(B, K, D) -> list[dict]:
    """Reads, a chunk of flips looked at and one made, with their bytes by the model and by the program."""
    mesh = jax.make_mesh((DEVICES,), ("patterns",))
    patterns = jr.rademacher(jr.key(0), (K, D), dtype="int8")
    queries = patterns[:B].astype(float)
    alone = eam.ExponentialDenseAM(patterns, 0.5)
    nearest = eam.DenseAM(patterns, eam.TopK(eam.LogSumExp(0.5), NEAREST), eam.Binary())
    dense, nearest = (sharding.shard_patterns(memory, mesh, "patterns") for memory in (alone, nearest))
    found = B * NEAREST  # a similarity of each device's, an index and a row of int8 that are right
    kept = jax.jit(_kept)(dense, queries[0])
    programs = {
        "softmax read": (read, (dense, queries), 4 * B * (D + 2)),
        "top-10 read": (read, (nearest, queries), found * (4 * DEVICES + 4 + D)),
        "neurons looked at": (looks, (dense, queries[0], kept), 4 * BLOCK),
        "flip made": (flip, (dense, queries[0], kept), 4 * 3),  # the largest and two sums
    }
    compiled = {name: jax.jit(f).lower(*given).compile() for name, (f, given, _) in programs.items()}
    ways = {name: lambda name=name: compiled[name](*programs[name][1]) for name in programs}
    single = jax.jit(read)
    timings = time_all(ways | {"softmax read, not sharded": lambda: single(alone, queries)}, 5)
    rows = [
        {
            "what": name,
            "B, K, D": f"{B}, {K}, {D}",
            "patterns a device MB": K * D / DEVICES / 1e6,
            "model bytes": programs[name][2],
            "program bytes": traffic(compiled[name].as_text())[0],
            "collectives": traffic(compiled[name].as_text())[1],
            "ms": 1e3 * timings[name].median,
        }
        for name in programs
    ]
    last = "softmax read, not sharded"
    return [*rows, {"what": last, "B, K, D": f"{B}, {K}, {D}", "ms": 1e3 * timings[last].median}]


def read(memory, queries):
    return jax.vmap(lambda query: memory.field(query))(queries)


def looks(memory, state, kept):
    """The bounds of the changes of a block of neurons, by what is kept, which lies with the patterns."""
    return memory.flips().block(jnp.arange(BLOCK)).enclosure(kept, -2 * state[:BLOCK])


def flip(memory, state, kept):
    """The overlaps and their bounds after a flip of neuron 0, and the energy."""
    flips = memory.flips()
    kept = flips.move(kept, state, jnp.arange(1), -2 * state[:1])
    return kept, flips.energy(kept, state)


def _kept(memory, state):
    similarities = memory.patterns[:, 1].astype(state.dtype)
    return similarities, memory.separation.bounds(similarities, 2)._replace(still=None)


def traffic(program: str) -> tuple[int, int]:
    """The bytes that the collectives of a compiled program result in on a device, and their number."""
    pattern = r"= (.*?) (?:all-\w+|reduce-scatter|collective-permute)(?:-start)?\("
    found = re.findall(pattern, program)
    sizes = [
        BYTES[dtype] * int(np.prod([int(n) for n in dims.split(",") if n]))
        for shapes in found
        for dtype, dims in re.findall(r"(\w+)\[(.*?)\]", shapes)
    ]
    return sum(sizes), len(found)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1] == "quick")))
