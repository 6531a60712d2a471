"""Sparse distributed memory by its neurons: a million hard locations of 1,000 bits, written and read."""

import importlib.util

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam
from benchmarks.harness import time_all
from energyam.hypercube import radius_for_fraction

D, ACTIVE = 1000, 1e-3  # bits, and the share of locations that an address activates
SIZES = [10**4, 10**5, 10**6]
LIMIT = 127  # counters of one byte


def run(quick: bool) -> list[dict]:
    return [row for N in ([2000] if quick else SIZES) for row in rows_of(N, 2)]


def rows_of(N, repeats) -> list[dict]:
    """Write 64 words and read 64 noisy addresses; the naive twin multiplies unpacked addresses, up to 10⁵."""
    radius = radius_for_fraction(D, ACTIVE)
    memory = eam.NeuronSDM.random(N, D, radius, counter_limit=LIMIT, key=jr.key(0))
    words = jr.rademacher(jr.key(1), (64, D), dtype="int8")
    noisy = jnp.where(jr.bernoulli(jr.key(2), 0.05, words.shape), -words, words)
    written = memory.write(words)
    read = jax.jit(jax.vmap(lambda address, memory: memory.read(address), in_axes=(0, None)))
    ways = {"write": lambda: memory.write(words).counters, "read": lambda: read(noisy, written)}
    if N <= 10**5:
        ways |= naive_ways(N, radius, words, noisy)
    right = float((read(noisy, written) == words).mean())
    timings = time_all(ways, repeats)
    held = (memory.addresses.nbytes + memory.counters.nbytes) / 1e6
    return [
        {
            "locations": N,
            "way": name,
            "ms a word": 1e3 * timing.median / 64,
            "ns a location": 1e9 * timing.median / 64 / N,
            "memory MB": held if "naive" not in name and "torchhd" not in name else N * D * 8 / 1e6,
            "bits right": right if name == "read" else "",
        }
        for name, timing in timings.items()
    ]


def naive_ways(N, radius, words, noisy) -> dict:
    """Addresses and counters as float32, all locations at once; and torchhd's memory, if installed."""
    addresses = jr.rademacher(jr.key(3), (N, D), dtype="float32")
    counters = jnp.zeros((N, D))

    @jax.jit
    def write(addresses, counters, words):
        active = addresses @ words.T >= D - 2 * radius
        return counters + active.astype(float) @ words

    @jax.jit
    def read(addresses, counters, noisy):
        active = addresses @ noisy.T >= D - 2 * radius
        return jnp.sign(active.T.astype(float) @ counters)

    words, noisy = words.astype(float), noisy.astype(float)
    ways = {
        "write (naive)": lambda: write(addresses, counters, words),
        "read (naive)": lambda: read(addresses, counters, noisy),
    }
    return ways | torchhd_ways(N, words, noisy)


def torchhd_ways(N, words, noisy) -> dict:
    if importlib.util.find_spec("torchhd") is None:
        return {}
    import torch
    import torchhd

    memory = torchhd.memory.SparseDistributed(N, D, D, p=ACTIVE)
    words, noisy = (torchhd.MAPTensor(torch.tensor(np.asarray(a))) for a in (words, noisy))

    def write():
        memory.write(words, words)

    return {"write (torchhd)": write, "read (torchhd)": lambda: np.asarray(memory.read(noisy))[0, 0]}
