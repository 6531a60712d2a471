"""Learned projections under circle, cap and softmax weights: pictures read from held-out keys."""

import time

import jax
import jax.numpy as jnp
import jax.random as jr
import optax

import energyam as eam

LATENT, RADIUS = 64, 11


def weightings():
    """The separations over cosines, and whether training moves their numbers: β starts at 3 times the fit."""
    beta = eam.theory.fit_beta(LATENT, RADIUS).beta
    return {
        "circles": (eam.CircleIntersection(LATENT, RADIUS, cosines=True), False),
        "caps": (eam.CapIntersection(LATENT, RADIUS), False),
        "softmax, fitted β": (eam.LogSumExp(beta), False),
        "softmax, trained β": (eam.LogSumExp(3 * beta), True),
    }


def unit(vectors):
    return vectors / jnp.linalg.norm(vectors, axis=-1, keepdims=True)


def run(quick: bool) -> list[dict]:
    """Train on half the glyphs; read perturbed glyphs of either half, with that half as keys."""
    count, steps = (32, 3) if quick else (400, 100)
    pictures = unit(jnp.asarray(eam.datasets.glyphs().reshape(1024, -1)[: 2 * count], float))
    halves = {"trained on": pictures[::2], "held out": pictures[1::2]}
    loss = eam.nn.ReconstructionLoss(halves["trained on"], batch_size=32, low=0.7)
    rows = []
    for name, (separation, trains) in weightings().items():
        model = eam.nn.ProjectedMemory(pictures.shape[1], separation, LATENT, trains, key=jr.key(0))
        start = time.perf_counter()
        trained = eam.nn.train(
            model, optax.adam(0.005), loss, steps, every=steps, progress=False, key=jr.key(1)
        )
        seconds = time.perf_counter() - start
        for stage, learned in (("untrained", model), ("trained", trained.model)):
            row = {"weights": name, "model": stage, "seconds": seconds if stage == "trained" else ""}
            if name.endswith("trained β"):
                row["β"] = float(learned.separation.beta)
            rows += [row | measured for measured in cosines(learned, halves)]
    return rows


def cosines(model, halves):
    """Rows: the mean cosine of what is read to its target, by half and by the cosine of the query."""
    read = jax.jit(lambda model, queries, keys: jax.vmap(model, (0, None))(queries, keys))
    rows = []
    for half, keys in halves.items():
        for query in (1.0, 0.8, 0.6, 0.4, 0.2):
            targets = keys[:100]
            reads = read(model, eam.nn.perturb(targets, query, key=jr.key(2)), keys)
            rows.append(
                {"keys": half, "query": query, "cosine": float(jnp.mean(jnp.sum(unit(reads) * targets, 1)))}
            )
    return rows


def figure(rows):
    """Cosine read against cosine of the query: a panel for each half, dotted before training."""
    import matplotlib.pyplot as plt

    halves = list(dict.fromkeys(row["keys"] for row in rows))
    fig, panels = plt.subplots(1, len(halves), figsize=(10, 3.6), layout="constrained", sharey=True)
    for axes, half in zip(panels, halves, strict=True):
        for i, name in enumerate(weightings()):
            for model, style in (("untrained", ":"), ("trained", "-")):
                mine = [r for r in rows if (r["keys"], r["weights"], r["model"]) == (half, name, model)]
                points = [r["query"] for r in mine], [r["cosine"] for r in mine]
                axes.plot(*points, style, color=f"C{i}", label=name if model == "trained" else None)
        axes.plot([0.2, 1], [0.2, 1], color="0.7", lw=1)
        axes.set(title=f"keys and queries: {half}", xlabel="cosine of the query")
    panels[0].set_ylabel("cosine of what is read")
    panels[0].legend(frameon=False)
    return fig
