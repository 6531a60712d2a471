"""Success against the number of patterns and the noise: learning rules, and all memories."""

import jax.random as jr
import numpy as np

import energyam as eam
from energyam import theory
from energyam.datasets import random_patterns
from energyam.evaluation import OUTCOMES, success_curve
from energyam.theory import optimal_radius

RULES = {
    "hebbian": lambda X: eam.HopfieldNetwork(eam.hebbian(X)),
    "storkey": lambda X: eam.HopfieldNetwork(eam.storkey(X)),
    "pseudo-inverse": lambda X: eam.HopfieldNetwork(eam.pseudo_inverse(X)),
}
MEMORIES = RULES | {
    "CHN": eam.CHN,
    "polynomial n=3": lambda X: eam.PolynomialDenseAM(X, 3),
    "polynomial n=4": lambda X: eam.PolynomialDenseAM(X, 4),
    "exponential β=1": lambda X: eam.ExponentialDenseAM(X, 1.0),
    # The radius that reaches farthest for these sizes among a million neurons.
    "SDM": lambda X: eam.PatternSDM(X, optimal_radius(X.shape[1], len(X), 10**6, "critical_distance")),
}


def rows_of(experiment, name, bias, curve):
    """One flat row a point of a curve."""
    rows = []
    for i, j in np.ndindex(curve.nearest.rate.shape):
        row = {"experiment": experiment, "memory": name, "P(+1)": bias, "noise": float(curve.noise[j])}
        row["K"] = int(curve.sizes[i])
        for measure in ("nearest", "exact"):
            share = getattr(curve, measure)
            ends = {f"{measure} low": share.low[i, j], f"{measure} high": share.high[i, j]}
            row |= {measure: share.rate[i, j], **ends}
        rows.append(row | dict(zip(OUTCOMES, curve.outcomes[i, j], strict=True)))
    return rows


def learning_rules(D, sizes, repeats):
    """Seed 003: synchronous updates, 30 steps, starting at the stored patterns; two biases."""
    rows = []
    for bias in (0.5, 0.4):
        for name, build in RULES.items():
            draw = lambda key, K, mean=2 * bias - 1: random_patterns(K, D, mean, key=key)  # noqa: E731
            curve = success_curve(
                build, draw, sizes, repeats=repeats, update=eam.Synchronous(), max_steps=30, key=jr.key(0)
            )
            rows += rows_of("rules", name, bias, curve)
    return rows


def over_size(D, sizes, repeats):
    """All memories, asynchronous recall from a tenth of the bits flipped."""
    rows = []
    for name, build in MEMORIES.items():
        own = [K for K in sizes if K <= 2 * D or name not in ("storkey", "pseudo-inverse")]
        draw = lambda key, K: random_patterns(K, D, key=key)  # noqa: E731
        curve = success_curve(build, draw, own, noise=[0.1], repeats=repeats, max_steps=20, key=jr.key(1))
        rows += rows_of("size", name, 0.5, curve)
    return rows


def over_noise(D, K, levels, repeats):
    """All memories, asynchronous recall of K patterns from more and more noise."""
    rows = []
    for name, build in MEMORIES.items():
        draw = lambda key, K: random_patterns(K, D, key=key)  # noqa: E731
        curve = success_curve(build, draw, [K], noise=levels, repeats=repeats, max_steps=20, key=jr.key(2))
        rows += rows_of("noise", name, 0.5, curve)
    return rows


def run(quick: bool) -> list[dict]:
    """Three experiments: learning rules at the seed's own sizes, all memories over K, and over noise."""
    if quick:
        return learning_rules(40, [4, 20], 3) + over_size(32, [2, 16], 2) + over_noise(32, 3, [0.1, 0.4], 2)
    rows = learning_rules(100, list(range(5, 100, 5)), 20)
    rows += over_size(64, [2**e for e in range(1, 10)], 4)
    return rows + over_noise(100, 8, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], 10)


def figure(rows):
    """Left: the rules, nearest pattern (solid) and bit-exact (dashed). Right: all memories."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 2, figsize=(12, 7.5), sharey=True, layout="constrained")
    for ax, bias in zip(axes[0], (0.5, 0.4), strict=True):
        for i, name in enumerate(RULES):
            line = [r for r in rows if (r["experiment"], r["memory"], r["P(+1)"]) == ("rules", name, bias)]
            band(ax, line, "K", "nearest", color=f"C{i}")
            band(ax, line, "K", "exact", color=f"C{i}", ls="--")
        ax.axvline(theory.replica_capacity(100), color="grey", lw=1, ls=":")
        ax.set(title=f"100 neurons, P(+1) = {bias}, from the patterns", xlabel="patterns K")
    for ax, experiment, x in [(axes[1, 0], "size", "K"), (axes[1, 1], "noise", "noise")]:
        for i, name in enumerate(MEMORIES):
            line = [r for r in rows if (r["experiment"], r["memory"]) == (experiment, name)]
            band(ax, line, x, "exact", label=name, color=f"C{i}")
    axes[1, 0].set(title="64 neurons, a tenth flipped", xlabel="patterns K", xscale="log")
    axes[1, 1].set(title="100 neurons, 8 patterns", xlabel="share of neurons flipped")
    axes[0, 0].set_ylabel("nearest (solid), exact (dashed)")
    axes[1, 0].set_ylabel("exact")
    fig.legend(*axes[1, 1].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return fig


def band(ax, line, x, measure, **style):
    """A curve with its 95 % interval."""
    xs = [row[x] for row in line]
    ax.plot(xs, [row[measure] for row in line], **style)
    low, high = ([row[f"{measure} {end}"] for row in line] for end in ("low", "high"))
    ax.fill_between(xs, low, high, color=style["color"], alpha=0.15, lw=0)
