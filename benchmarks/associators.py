"""Kohonen's linear associator and three other reads: cosine and distance over n and d, against float64."""

import math
import time

import jax
import jax.numpy as jnp
import numpy as np

import energyam as eam

READS = {"relu": eam.ReLU(), "softmax": eam.LogSumExp(1.0), "dot product": eam.Linear()}


def scores(values, read):
    """Mean cosine and mean distance between stored and recovered values, in float64."""
    values, read = np.asarray(values, np.float64), np.asarray(read, np.float64)
    norms = np.linalg.norm(values, axis=1) * np.linalg.norm(read, axis=1)
    cosine = np.mean(np.sum(values * read, axis=1) / np.maximum(norms, 1e-300))
    return float(cosine), float(np.mean(np.linalg.norm(values - read, axis=1)))


@jax.jit
def associate(keys, values):
    return jnp.matmul(keys, eam.optimal_linear_associator(keys, values).T, precision="highest")


@jax.jit
def read_all(memory, queries):
    """Every query read, 256 at a time, so that no K×K array is made."""
    return jax.lax.map(memory, queries, batch_size=256)


def reference(method, keys, values):
    """The same reads by NumPy in float64: a solve of its own, and blocks of plain formulas."""
    keys, values = keys.astype(np.float64), values.astype(np.float64)
    if method == "pseudo-inverse":
        if len(keys) <= keys.shape[1]:
            return keys @ np.linalg.lstsq(keys, values, rcond=None)[0]
        return keys @ np.linalg.solve(keys.T @ keys, keys.T @ values)
    weigh = {"relu": lambda s: np.maximum(s, 0), "softmax": softmax, "dot product": lambda s: s}[method]
    blocks = np.array_split(keys, max(1, len(keys) // 512))
    return np.concatenate([weigh(block @ keys.T) @ values for block in blocks])


def softmax(s):
    weights = np.exp(s - s.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def one_point(method, d, n, seed, check=True):
    """One row: what is read back from n random pairs of d numbers."""
    rng = np.random.default_rng([seed, d, n])
    keys, values = rng.standard_normal((2, n, d), np.float32)
    start = time.perf_counter()
    if method == "pseudo-inverse":
        read = associate(keys, values)
    else:
        read = read_all(eam.KeyValueMemory(keys, values, READS[method]), jnp.asarray(keys))
    read.block_until_ready()
    seconds = time.perf_counter() - start
    cosine, distance = scores(values, read)
    row = {"method": method, "d": d, "n": n, "cosine": cosine, "distance": distance, "seconds": seconds}
    if method == "pseudo-inverse":
        row["sqrt(d/n)"] = min(1.0, math.sqrt(d / n))
    if check:
        exact_cosine, exact_distance = scores(values, reference(method, keys, values))
        row |= {"cosine error": abs(cosine - exact_cosine), "distance error": abs(distance - exact_distance)}
    return row


def run(quick: bool) -> list[dict]:
    """The three sweeps of the seed: d = 32; d = 16 … 1024; four reads at d = 64."""
    largest = 9 if quick else 15
    depths = [16, 32, 64] if quick else [2**e for e in range(4, 11)]
    pinv = [("pseudo-inverse", d, 2**e) for d in depths for e in range(2, largest + 1)]
    reads = [(method, 64, 2**e) for method in READS for e in range(2, largest)]
    rows = [one_point(method, d, n, seed=0) for method, d, n in pinv + reads]
    summarise(rows)
    return rows


def summarise(rows):
    """Time of the reads alone, the largest errors, and how far √(d/n) is off for n > d."""
    errors = {name: max(row[f"{name} error"] for row in rows) for name in ("cosine", "distance")}
    print(f"all reads {sum(row['seconds'] for row in rows):.1f} s, errors", errors)
    for d in sorted({row["d"] for row in rows}):
        law = [
            row["cosine"] / row["sqrt(d/n)"] - 1
            for row in rows
            if row["d"] == d < row["n"] and "sqrt(d/n)" in row
        ]
        print(f"d = {d}: cosine / √(d/n) - 1 between {min(law):+.3f} and {max(law):+.3f} for n > d")


def figure(rows):
    """Cosine and distance against n: the pseudo-inverse over d with √(d/n), and the four reads at d = 64."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 2, figsize=(11, 7), sharex=True, layout="constrained")
    depths = sorted({row["d"] for row in rows})
    for i, d in enumerate(depths):
        line = [row for row in rows if row["d"] == d and row["method"] == "pseudo-inverse"]
        colour = plt.cm.viridis(i / len(depths))
        draw(axes[:, 0], line, f"d = {d}", color=colour)
        n = np.array([row["n"] for row in line])
        axes[0, 0].plot(n, np.minimum(1, np.sqrt(d / n)), "k:", lw=1, label="√(d/n)" if i == 0 else None)
    for method in ["pseudo-inverse", *READS]:
        draw(axes[:, 1], [row for row in rows if row["d"] == 64 and row["method"] == method], method)
    axes[0, 0].set(title="Pseudo-inverse", ylabel="mean cosine", xscale="log")
    axes[0, 1].set(title="Four reads, d = 64", xscale="log")
    axes[1, 0].set(ylabel="mean distance", xlabel="pairs n")
    axes[1, 1].set(xlabel="pairs n", yscale="log", ylim=(1e-6, None))
    for ax in axes[0]:
        ax.legend(fontsize=8)
    return fig


def draw(axes, line, label, **style):
    for ax, score in zip(axes, ("cosine", "distance"), strict=True):
        ax.plot([r["n"] for r in line], [r[score] for r in line], "o-", ms=3, label=label, **style)
