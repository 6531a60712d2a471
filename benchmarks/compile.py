"""What a first call costs: tracing, compilation and the call itself, memory by memory."""

import time

import jax
import jax.numpy as jnp
import jax.random as jr

import energyam as eam
from benchmarks import harness


def memories(patterns):
    """One memory of each way to recall."""
    D = patterns.shape[1]
    return {
        "CHN": eam.CHN(patterns),
        "polynomial 30": eam.PolynomialDenseAM(patterns, 30),
        "exponential 50": eam.ExponentialDenseAM(patterns, 50.0),
        "PatternSDM": eam.PatternSDM(patterns, D // 2 - D // 20),
        "HopfieldNetwork": eam.HopfieldNetwork(jnp.zeros((D, D)).at[0, 1].set(1).at[1, 0].set(1)),
        "ModernHopfield": eam.ModernHopfield(patterns.astype(float), 0.1),
    }


def first_and_second(case, call):
    """The first call of a process's fresh caches, and the second."""
    jax.clear_caches()
    first, second = harness.seconds_of(call), harness.seconds_of(call)
    return {"case": case, "first call s": first, "second call s": second}


def stages(name, memory, query, key):
    """Tracing and compilation of a recall apart."""
    run = lambda memory, query, key: eam.recall(memory, query, key=key)  # noqa: E731
    start = time.perf_counter()
    lowered = jax.jit(run).lower(memory, query, key)
    traced = time.perf_counter()
    lowered.compile()
    row = {"case": name, "tracing s": traced - start, "compilation s": time.perf_counter() - traced}
    return row | {"lines of StableHLO": len(lowered.as_text().splitlines())}


def run(quick: bool = False) -> list[dict]:
    """Recalls of one query and of ten, K = 1024 and D = 2304; a success curve; small calls."""
    K, D = (32, 128) if quick else (1024, 2304)
    key = jr.key(0)
    patterns = jr.rademacher(key, (K, D), "int8")
    rows = []
    for name, memory in memories(patterns).items():
        for queries in (patterns[0], patterns[:10]):
            label = f"recall, {name}, {queries.size // D} queries"
            queries = queries.astype(float) if name == "ModernHopfield" else queries
            row = first_and_second(label, lambda m=memory, q=queries: eam.recall(m, q, key=key))
            rows.append(row | stages(label, memory, queries, key))
    draw = lambda key, K: eam.datasets.random_patterns(K, 64, key=key)  # noqa: E731
    curve = lambda: eam.evaluation.success_curve(eam.CHN, draw, (4, 8), (0.0, 0.2), 10, key=key).exact.rate  # noqa: E731
    rows.append(first_and_second("success_curve, CHN, two sizes", curve))
    return rows + [small_call(name, call) for name, call in small_calls(key).items()]


def small_calls(key):
    """Calls whose work is nothing beside what a call costs."""
    patterns = jr.rademacher(key, (50, 1000), "int8")
    memory, state = eam.ExponentialDenseAM(patterns, 0.5), patterns[0]
    keys = jr.normal(key, (50, 100))
    read, separation, similarities = (
        eam.KeyValueMemory(keys, keys, eam.LogSumExp(1.0)),
        eam.LogSumExp(1.0),
        keys[0],
    )
    sdm = eam.NeuronSDM.random(1000, 100, 45, key=key).write(patterns[:, :100])
    address = patterns[0, :100]
    bare = jax.jit(jnp.tanh)
    return {
        "a jitted tanh": lambda: bare(similarities),
        "memory.energy(x)": lambda: memory.energy(state),
        "KeyValueMemory(q)": lambda: read(similarities),
        "separation.weights(s)": lambda: separation.weights(similarities),
        "NeuronSDM.read": lambda: sdm.read(address),
        "is_local_minimum": lambda: eam.is_local_minimum(memory, state),
        "recall at rest, D = 1000": lambda: eam.recall(memory, state, key=key).state,
    }


def small_call(name, call, repeats=200):
    """The best time of a small call, after the first."""
    jax.block_until_ready(call())
    return {"case": name, "ms a call": 1e3 * min(harness.seconds_of(call) for _ in range(repeats))}
