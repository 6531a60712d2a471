"""One-step reads, softmax and top-k: against two bare matrix products, torch and faiss if installed."""

import importlib.util

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax

import energyam as eam
from benchmarks.harness import extra_bytes, time_all
from energyam.linalg import BLOCK

SIZES = [(256, 10**4, 256), (1024, 5 * 10**4, 64), (100, 1024, 2304), (64, 10**6, 64)]  # B, K, D
BETA, NEAREST = 0.1, 10
FLOORS = BLOCK // 4, BLOCK, 4 * BLOCK  # patterns in a block of bare products


def run(quick: bool) -> list[dict]:
    rows = []
    for B, K, D in [(8, 5000, 16)] if quick else SIZES:
        keys, queries = jr.normal(jr.key(0), (K, D)), jr.normal(jr.key(1), (B, D))
        rows += softmax_rows(keys, queries, 3 if quick else 11)
        rows += nearest_rows(keys, queries, 3 if quick else 11)
    return rows


def softmax_rows(keys, queries, repeats) -> list[dict]:
    """All ways to read softmax(β Q Kᵀ) K, each by its time and its share of the floor's speed."""
    memory = eam.KeyValueMemory(keys, keys, eam.LogSumExp(BETA))
    bare = bare_products(keys, queries)
    between = {f"exp between them, blocks of {size}": (with_exp(size), keys, queries) for size in FLOORS}
    functions = bare | between
    functions["energyam"] = lambda memory, q: jax.vmap(memory)(q), memory, queries
    functions["softmax at once (jax)"] = lambda k, q: jax.nn.softmax(BETA * (q @ k.T)) @ k, keys, queries
    ways = {name: jitted(*call) for name, call in functions.items()} | torch_ways(keys, queries)
    timings = time_all(ways, repeats)
    floor, floor_with_exp = (min(timings[name].best for name in part) for part in (bare, between))
    return [
        {
            "B, K, D": f"{queries.shape[0]}, {keys.shape[0]}, {keys.shape[1]}",
            "way": name,
            "ms": 1e3 * timing.median,
            "best ms": 1e3 * timing.best,
            "speed of floor": floor / timing.best,
            "speed of floor with exp": floor_with_exp / timing.best,
            "extra MB": extra_bytes(*functions[name]) / 1e6 if name in functions else "",
        }
        for name, timing in timings.items()
    ]


def nearest_rows(keys, queries, repeats) -> list[dict]:
    """The mean of the values of the ten nearest keys."""
    memory = eam.KeyValueMemory(keys, keys, eam.TopK(eam.LogSumExp(BETA), NEAREST))

    def at_once(keys, queries):
        similarities, indices = lax.top_k(queries @ keys.T, NEAREST)
        return jnp.einsum("bk,bkd->bd", jax.nn.softmax(BETA * similarities), keys[indices])

    functions = {
        "top-10 energyam": (lambda memory, q: jax.vmap(memory)(q), memory, queries),
        "nearest-10 energyam": (lambda memory, q: eam.nearest(memory, q, NEAREST)[:2], memory, queries),
        "nearest-10 at once (jax)": (lambda k, q: lax.top_k(q @ k.T, NEAREST), keys, queries),
        "top-10 at once (jax)": (at_once, keys, queries),
    }
    ways = {name: jitted(*call) for name, call in functions.items()} | faiss_ways(keys, queries)
    return [
        {
            "B, K, D": f"{queries.shape[0]}, {keys.shape[0]}, {keys.shape[1]}",
            "way": name,
            "ms": 1e3 * timing.median,
            "best ms": 1e3 * timing.best,
            "extra MB": extra_bytes(*functions[name]) / 1e6 if name in functions else "",
        }
        for name, timing in time_all(ways, repeats).items()
    ]


def jitted(function, *arguments):
    """A call of the compiled function."""
    compiled = jax.jit(function)
    return lambda: compiled(*arguments)


def bare_products(keys, queries) -> dict:
    """Ways to Q Kᵀ K with nothing between the products; the fastest is the floor of a read, or a step."""
    ways = {f"two products, blocks of {size}": (two_products(size), keys, queries) for size in FLOORS}
    return ways | {"two products at once": (lambda k, q: (q @ k.T) @ k, keys, queries)}


def two_products(most, between=lambda similarities: similarities):
    """`between(Q Kᵀ) K` in blocks of `most` patterns."""

    def read(keys, queries):
        K, block = keys.shape[0], min(most, keys.shape[0])

        def product(start, size):
            rows = lax.dynamic_slice_in_dim(keys, start, size)
            return between(queries @ rows.T) @ rows

        add = lambda j, sums: sums + product(j * block, block)  # noqa: E731
        total = lax.fori_loop(1, K // block, add, product(0, block))
        return total + product(K - K % block, K % block) if K % block else total

    return read


def with_exp(most):
    """The least that a softmax adds: an exponential of each similarity between the two products."""
    return two_products(most, lambda similarities: jnp.exp(BETA * similarities))


def torch_ways(keys, queries) -> dict:
    """torch's softmax form (that of Hopfield layers) and its fused attention."""
    if importlib.util.find_spec("torch") is None:
        return {}
    import torch

    k, q = torch.tensor(np.asarray(keys)), torch.tensor(np.asarray(queries))
    attend = torch.nn.functional.scaled_dot_product_attention
    return {
        "softmax (torch)": lambda: np.asarray(torch.softmax(BETA * (q @ k.T), dim=-1) @ k)[0, 0],
        "fused attention (torch)": lambda: np.asarray(attend(q[None], k[None], k[None], scale=BETA))[0, 0, 0],
    }


def faiss_ways(keys, queries) -> dict:
    """The flat index of faiss, and the same read-out of what it finds."""
    if importlib.util.find_spec("faiss") is None:
        return {}
    import faiss

    k, q = np.asarray(keys), np.asarray(queries)
    index = faiss.IndexFlatIP(k.shape[1])
    index.add(k)

    def read():
        similarities, indices = index.search(q, NEAREST)
        weights = np.exp(BETA * (similarities - similarities[:, :1]))
        weights /= weights.sum(axis=1, keepdims=True)
        return np.einsum("bk,bkd->bd", weights, k[indices])

    return {"top-10 (faiss flat)": read, "nearest-10 (faiss flat)": lambda: index.search(q, NEAREST)}


def figure(rows):
    """Time of every way, one group of bars a size."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    rows = [row for row in rows if "-10" not in row["way"]]
    sizes = list(dict.fromkeys(row["B, K, D"] for row in rows))
    names = list(dict.fromkeys(row["way"] for row in rows))
    picture = Figure(figsize=(10, 4), layout="constrained")
    axes = picture.add_subplot()
    axes.set_prop_cycle(color=colormaps["tab20"].colors)  # more ways than the usual ten colours
    for i, name in enumerate(names):
        times = [row["best ms"] for row in rows if row["way"] == name]
        axes.bar(np.arange(len(sizes)) + 0.8 * i / len(names), times, 0.8 / len(names), label=name)
    axes.set_xticks(np.arange(len(sizes)) + 0.4, sizes)
    axes.set(yscale="log", ylabel="ms (best)", xlabel="B, K, D", title="One-step softmax read")
    picture.legend(loc="outside right center", fontsize=8, frameon=False)
    return picture
