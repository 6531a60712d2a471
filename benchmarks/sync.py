"""Synchronous recall of binary memories: a step over K patterns, by dtype, against two bare products."""

import jax
import jax.numpy as jnp
import jax.random as jr

import energyam as eam
from benchmarks.harness import extra_bytes, time_all
from benchmarks.reads import bare_products, jitted

SIZES = [(100, 1024, 2304), (64, 10**5, 256), (16, 10**6, 64)]  # B, K, D
MEMORIES = {
    "exponential": lambda patterns: eam.ExponentialDenseAM(patterns, 0.5),
    "polynomial 10": lambda patterns: eam.PolynomialDenseAM(patterns, 10),
}


def run(quick: bool) -> list[dict]:
    sizes = [(4, 3000, 16)] if quick else SIZES
    return [row for size in sizes for row in rows_of(*size, repeats=3 if quick else 7)]


def rows_of(B, K, D, repeats) -> list[dict]:
    """One step from 10 % noise: time, share of the floor's speed, memory, and whether all dtypes agree."""
    patterns = jr.rademacher(jr.key(0), (K, D), dtype="int8")
    flips = jr.bernoulli(jr.key(1), 0.1, (B, D))
    queries = jnp.where(flips, -patterns[:B], patterns[:B]).astype(float)
    bare = bare_products(patterns.astype(float), queries)
    functions = {(name, "float32"): call for name, call in bare.items()}
    for name, make in MEMORIES.items():
        for dtype in ("float32", "bfloat16", "int8"):
            functions[name, dtype] = (one_step, make(patterns.astype(dtype)), queries)
    timings = time_all({name: jitted(*call) for name, call in functions.items()}, repeats)
    floor, exact = min(timings[name, "float32"].best for name in bare), patterns[:B].astype(float)
    return [
        {
            "B, K, D": f"{B}, {K}, {D}",
            "memory": name,
            "dtype": dtype,
            "ms": 1e3 * timing.median,
            "speed of floor": floor / timing.best,
            "patterns MB": K * D * jnp.dtype(dtype).itemsize / 1e6,
            "extra MB": extra_bytes(*functions[name, dtype]) / 1e6,
            "recalled": "" if name not in MEMORIES else recalled(functions[name, dtype], exact),
        }
        for (name, dtype), timing in timings.items()
    ]


def one_step(memory, queries):
    """The neurons' answer to the field at each query."""

    def step(query):
        return memory.neurons.respond(memory.field(query), query)

    return jax.vmap(step)(queries)


def recalled(call, exact):
    function, memory, queries = call
    return float((jax.jit(function)(memory, queries) == exact).all(axis=1).mean())
