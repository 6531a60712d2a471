"""Sparse distributed memory and its attention twins: what perturbed queries converge to."""

import math
import time

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

import energyam as eam

BINARY = "neurons", "patterns", "patterns, drawn", "attention", "Hopfield"
CONTINUOUS = "caps", "circles of cosines", "attention, circle β", "attention, cap β"


def memory_of(algorithm, patterns, radius, neurons, key):
    """One memory of the comparison over ±1 patterns (or unit vectors), or None where it can't be had."""
    n = patterns.shape[1]
    kind = "cap" if algorithm.endswith("cap β") else "circle"
    beta = eam.theory.fit_beta(n, radius, kind).beta if "attention" in algorithm else 1.0
    makers = {
        "neurons": lambda: eam.NeuronSDM.random(neurons, n, radius, key=key).write(patterns),
        "patterns": lambda: eam.PatternSDM(patterns, radius),
        "patterns, drawn": lambda: eam.PatternSDM(patterns, radius, neurons, key=key),
        "attention": lambda: eam.ExponentialDenseAM(patterns, beta / n),
        "Hopfield": lambda: eam.CHN(patterns),
        "caps": lambda: eam.ContinuousSDM(patterns, radius),
        "circles of cosines": lambda: eam.ContinuousSDM(patterns, radius, "circle"),
        "attention, circle β": lambda: eam.DenseAM(patterns, eam.LogSumExp(beta), eam.Spherical()),
        "attention, cap β": lambda: eam.DenseAM(patterns, eam.LogSumExp(beta), eam.Spherical()),
    }
    return makers[algorithm]()


def unit(vectors):
    return vectors / jnp.linalg.norm(vectors, axis=-1, keepdims=True)


def queries_of(targets, perturbations, key):
    """Targets with each number of bits flipped; unit vectors turned, evenly, to the same cosine."""
    n = targets.shape[1]
    keys = jr.split(key, len(perturbations))
    if jnp.issubdtype(targets.dtype, jnp.integer):
        flipped = [
            eam.datasets.flip_bits(targets, h / n, key=k) for k, h in zip(keys, perturbations, strict=True)
        ]
        return jnp.stack(flipped)
    turned = [
        eam.nn.perturb(targets, eam.hypercube.hamming_to_cosine(h, n), key=k)
        for k, h in zip(keys, perturbations, strict=True)
    ]
    return jnp.stack(turned)


def converge(data, patterns, radii, perturbations, algorithms, neurons, queries, seed):
    """Rows: the mean cosine of recalled states to their targets, by algorithm, radius and perturbation."""
    rows, n = [], patterns.shape[1]
    targets = patterns[:queries]
    draw_key, noise_key = jr.split(jr.key(seed))
    starts = queries_of(targets, perturbations, noise_key)
    for algorithm in algorithms:
        for radius in radii[:1] if algorithm == "Hopfield" else radii:
            memory = memory_of(algorithm, patterns, radius, neurons, draw_key)
            result = eam.recall(memory, starts, eam.Synchronous(), max_steps=10, record=False)
            cosines = jnp.mean(jnp.sum(unit(1.0 * result.state) * unit(1.0 * targets)[None], -1), 1)
            for h, cosine in zip(perturbations, cosines.tolist(), strict=True):
                row = {
                    "data": data,
                    "n": n,
                    "patterns": len(patterns),
                    "neurons": neurons,
                    "algorithm": algorithm,
                }
                row |= {"radius": None if algorithm == "Hopfield" else radius, "perturbation": h}
                rows.append(row | {"cosine": cosine, "query": 1 - 2 * h / n})
    return rows


def random_data(n, num_patterns, seed):
    """Uniform vectors, as the paper's, of length 1; and their signs."""
    vectors = jr.uniform(jr.key(seed), (num_patterns, n), minval=-1)
    return jnp.where(vectors > 0, 1, -1).astype(jnp.int8), unit(vectors)


def critical(n, radius, num_patterns, neurons, queries, seed):
    """Rows: how many perturbed patterns are recalled whole, beside the critical distances predicted."""
    patterns = eam.datasets.random_patterns(num_patterns, n, key=jr.key(seed))
    perturbations = [round(n * share) for share in np.linspace(0.1, 0.46, 10)]
    starts = queries_of(patterns[:queries], perturbations, jr.key(seed + 1))
    memory = eam.PatternSDM(patterns, radius, neurons)
    result = eam.recall(memory, starts, eam.Synchronous(), record=False)
    whole = (result.state == patterns[:queries]).all(-1).mean(1)
    predicted = {
        f"critical distance, {noise}": eam.theory.critical_distance(n, radius, num_patterns, neurons, noise)
        for noise in ("paper", "averaged")
    }
    row = {
        "data": "critical distance",
        "n": n,
        "patterns": num_patterns,
        "neurons": neurons,
        "radius": radius,
    }
    return [
        row | {"algorithm": "patterns", "perturbation": h, "recalled": share} | predicted
        for h, share in zip(perturbations, whole.tolist(), strict=True)
    ]


def activation(neurons, n, queries):
    """A row: seconds to find the active among many hard locations, and the bytes of their addresses."""
    memory = eam.NeuronSDM.random(neurons, n, eam.hypercube.radius_for_fraction(n, 1e-3), key=jr.key(0))
    addresses = eam.datasets.random_patterns(queries, n, key=jr.key(1))
    activate = jax.jit(jax.vmap(lambda memory, address: memory.active(address), (None, 0)))
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        activate(memory, addresses).block_until_ready()
        seconds.append(time.perf_counter() - start)
    row = {"data": "activation", "n": n, "neurons": neurons, "queries": queries, "seconds": min(seconds[1:])}
    return [row | {"address bytes": memory.addresses.nbytes, "float32 bytes": 4 * neurons * n}]


def run(quick: bool) -> list[dict]:
    """The data sets of the paper (pictures: the embedded glyphs), the critical distance, and activation."""
    small = {"radii": [11, 19], "queries": 8} if quick else {"radii": [5, 9, 11, 15, 19, 27], "queries": 40}
    rows = []
    signs, vectors = random_data(64, 64 if quick else 1024, seed=0)
    far = list(range(0, 17, 4)) if quick else list(range(0, 17, 2))
    for patterns, algorithms in ((signs, BINARY), (vectors, CONTINUOUS)):
        rows += converge(
            "random, n = 64", patterns, small["radii"], far, algorithms, 10**5, small["queries"], 1
        )
    if quick:
        return rows + critical(200, 75, 40, 10**6, 8, 0) + activation(1000, 1000, 10)
    signs, vectors = random_data(1000, 1024, seed=2)
    far, radii = [0, 75, 150, 225, 300, 375, 425], [384, 405, 411, 431, 447, 480]
    for patterns, algorithms in ((signs, BINARY[1:]), (vectors, CONTINUOUS)):
        rows += converge("random, n = 1000", patterns, radii, far, algorithms, 10**6, 20, 3)
    glyphs = jnp.asarray(eam.datasets.glyphs().reshape(1024, -1)[::4])
    n, fractions = glyphs.shape[1], (1e-13, 1e-9, 1e-8, 7e-6, 3.68e-4, 0.1)
    radii = [eam.hypercube.radius_for_fraction(n, p) for p in fractions]
    far = [round(n * share) for share in (0, 0.1, 0.2, 0.3, 0.35, 0.4, 0.45)]
    for patterns, algorithms in ((glyphs, BINARY[1:]), (unit(1.0 * glyphs), CONTINUOUS)):
        rows += converge("glyphs", patterns, radii, far, algorithms, 10**6, 20, 4)
    return rows + critical(1000, 451, 1000, 10**6, 50, 5) + activation(100_000, 1000, 100)


def figure(rows):
    """A row of panels for each data set, one a radius; below, the critical distance."""
    import matplotlib.pyplot as plt

    data = list(dict.fromkeys(row["data"] for row in rows if "cosine" in row))
    columns = max(len(radii_of(rows, name)) for name in data)
    fig = plt.figure(figsize=(3.2 * columns, 3 * (len(data) + 1)), layout="constrained")
    grid = fig.add_gridspec(len(data) + 1, columns)
    for i, name in enumerate(data):
        for j, radius in enumerate(radii_of(rows, name)):
            panel(fig.add_subplot(grid[i, j]), rows, name, radius)
    fig.legend(*fig.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False)
    critical_panel(fig.add_subplot(grid[-1, : math.ceil(columns / 2)]), rows)
    return fig


def radii_of(rows, data):
    return sorted({row["radius"] for row in rows if row["data"] == data and row["radius"]})


def panel(axes, rows, data, radius):
    chosen = [row for row in rows if row["data"] == data and row["radius"] in (radius, None)]
    for i, algorithm in enumerate(BINARY + CONTINUOUS):
        points = [(row["perturbation"], row["cosine"]) for row in chosen if row["algorithm"] == algorithm]
        if points or data.endswith("64"):
            style = "--" if "attention" in algorithm else ":" if algorithm == "Hopfield" else "-"
            places = zip(*points, strict=True) if points else ([], [])
            axes.plot(*places, style, color=f"C{i}", lw=1.4, label=algorithm)
    queries = sorted({(row["perturbation"], row["query"]) for row in chosen})
    axes.plot(*zip(*queries, strict=True), color="0.6", lw=1, label="query")
    axes.set(title=f"{data}, radius {radius}", ylim=(-0.1, 1.05), xlabel="bits", ylabel="cosine")


def critical_panel(axes, rows):
    chosen = [row for row in rows if row["data"] == "critical distance"]
    axes.plot(
        [r["perturbation"] for r in chosen], [r["recalled"] for r in chosen], "o-", label="recalled whole"
    )
    for noise, style in (("paper", "--"), ("averaged", ":")):
        distance = chosen[0][f"critical distance, {noise}"]
        axes.axvline(distance, ls=style, color="k", label=f"critical distance, {noise} noise: {distance}")
    sizes = "n = {n}, radius {radius}, {patterns} patterns, {neurons} neurons".format(**chosen[0])
    axes.set(title=sizes, xlabel="bits flipped", ylabel="share of queries")
    axes.legend(frameon=False, loc="lower left")
