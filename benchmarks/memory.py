"""Peak memory of a read beyond its patterns, as Linux sees it, each in a fresh process."""

import subprocess
import sys

PROGRAM = """
import jax, jax.numpy as jnp, jax.random as jr, energyam as eam

def held(what):
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(what)))

K, D, B = {K}, {D}, {B}
make = jax.jit(lambda key: jr.bits(key, (K, D), "uint8").astype("int8").clip(0, 1).astype("{dtype}") * 2 - 1)
patterns = jax.block_until_ready(make(jr.key(0)))
queries = patterns[:B].astype(float)
memory = eam.{memory}
read = jax.jit(jax.vmap(lambda query, memory: memory.field(query), in_axes=(0, None)))
compiled = read.lower(queries, memory).compile()
open("/proc/self/clear_refs", "w").write("5")  # the peak so far is forgotten
before = held("VmRSS")
jax.block_until_ready(compiled(queries, memory))
print(held("VmHWM") - before, patterns.nbytes, compiled.memory_analysis().temp_size_in_bytes)
"""
WAYS = {
    "modern Hopfield": "ModernHopfield(patterns, 0.1)",
    "exponential": "ExponentialDenseAM(patterns, 0.1)",
    "top-10": "DenseAM(patterns, eam.TopK(eam.LogSumExp(0.1), 10), eam.Binary())",
}


def run(quick: bool) -> list[dict]:
    sizes = [5000] if quick else [10**4, 10**5, 10**6]
    rows = [row_of(name, K, "float32") for name in WAYS for K in sizes]
    return rows + [row_of("exponential", sizes[-1], dtype) for dtype in ("bfloat16", "int8")]


def row_of(name, K, dtype) -> dict:
    program = PROGRAM.format(K=K, D=64, B=64, dtype=dtype, memory=WAYS[name])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    peak, patterns, planned = (int(number) / 1e6 for number in done.stdout.split())
    row = {"memory": name, "dtype": dtype, "B, K, D": f"64, {K}, 64", "patterns MB": patterns}
    return row | {"peak beyond MB": peak, "planned MB": planned}
