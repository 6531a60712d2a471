"""Chains of samples at a glance: their energies, their autocorrelation, and whether they agree."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import ArrayLike, Float

from energyam import checks
from energyam.diagnostics import autocorrelations, effective_sample_size, split_rhat
from energyam.dynamics.sampling import Samples
from energyam.plotting.figures import ACCENT, new_figure
from energyam.shown import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_CHAINS = 100  # that are drawn; all are counted
_LENGTHS = 16  # of the beginnings whose R̂ is taken
_AGREED = 1.01  # R̂ that is usually asked for


def chains(samples: Samples | ArrayLike, name: str = "energy") -> "Figure":
    """Three panels: a number along each chain, its autocorrelation, and R̂ of longer and longer beginnings.

    Chains that have forgotten their starts overlap in the first panel, fall to 0 in the second long before
    its end, and lie below the dashed line at 1.01 in the third. Chains of the largest and the smallest mean
    are drawn in colour.

    **Arguments:** `samples`: the answer of `sample`, whose energies are drawn, or another number for each
    sample (chains, S), S at least 8; `name`: the name of that number. Of more than 100 chains some are drawn
    and all are counted. Raises `ValueError` for other shapes, and values that are not finite.

    Vehtari, Gelman, Simpson, Carpenter & Bürkner, Bayesian Analysis 16 (2021).

        >>> energies = np.random.default_rng(0).normal(size=(4, 100))  # or what `sample` answers
        >>> eam.plotting.chains(energies).savefig("chains.png")
    """
    values = samples.energies if isinstance(samples, Samples) else samples
    array = np.asarray(checks.as_floats("samples", values, "... S"), np.float64)
    array = array.reshape(-1, array.shape[-1])
    if array.shape[1] < 8:
        raise ValueError(f"samples must hold at least 8 samples of each chain; got shape {np.shape(values)}")
    if not isinstance(name, str):
        raise ValueError(f"name must be a text; got {name!r}")
    fig = new_figure(9.6, 2.7)
    along, memory, agreement = fig.subplots(1, 3, width_ratios=(1.5, 1, 1))
    _draw_along(along, array, name)
    _draw_memory(memory, array)
    _draw_agreement(agreement, array)
    for ax in (along, memory, agreement):
        ax.tick_params(labelsize=7)
        ax.spines[["top", "right"]].set_visible(False)
    return fig


def _draw_along(ax: "Axes", array: Float[np.ndarray, "M S"], name: str) -> None:
    order = np.argsort(array.mean(axis=1))
    shown = np.unique(np.linspace(0, len(order) - 1, min(len(order), _MOST_CHAINS)).round().astype(int))
    numbers = np.arange(1, array.shape[1] + 1)
    for rank in shown:
        extreme = rank in (0, len(order) - 1)
        style: dict[str, Any] = dict(color="0.55", linewidth=0.5, alpha=0.5)
        if extreme:
            style = dict(color=ACCENT, linewidth=0.9, alpha=0.9, zorder=3)
        ax.plot(numbers, array[order[rank]], **style)
    ax.set_title(f"{name} of {counted(len(order), 'chain')}", fontsize=10)
    ax.set_xlabel("sample", fontsize=8)
    ax.margins(x=0.02)


def _draw_memory(ax: "Axes", array: Float[np.ndarray, "M S"]) -> None:
    correlation, worth = autocorrelations(array), effective_sample_size(array)
    gone = np.flatnonzero(correlation < 0.05)
    last = min(len(correlation), max(10, 3 * int(gone[0]) + 1)) if gone.size else len(correlation)
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.plot(np.arange(last), correlation[:last], color=ACCENT, marker="." if last <= 40 else "")
    ax.set_title("autocorrelation", fontsize=10)
    ax.set_xlabel("samples apart", fontsize=8)
    ax.set_ylim(min(-0.1, float(np.nanmin(correlation[:last], initial=0)) - 0.05), 1.05)
    if np.isfinite(worth):
        text = f"worth {worth:,.0f} of {array.size:,}\nindependent samples"
        ax.text(0.97, 0.85, text, transform=ax.transAxes, ha="right", va="top", fontsize=8)


def _draw_agreement(ax: "Axes", array: Float[np.ndarray, "M S"]) -> None:
    S = array.shape[1]
    lengths = np.unique(np.geomspace(8, S, _LENGTHS).round().astype(int))
    rhats = np.asarray([split_rhat(array[:, :length]) for length in lengths])
    ax.axhline(_AGREED, color="0.6", linewidth=0.8, linestyle="dashed")
    ax.plot(lengths, rhats, color=ACCENT, marker=".")
    ax.set_title(f"split-R̂: {rhats[-1]:.3f} in the end", fontsize=10)
    ax.set_xlabel("samples so far", fontsize=8)
    top = float(np.max(rhats, where=np.isfinite(rhats), initial=1.02))
    ax.set_ylim(0.99, top + 0.05 * (top - 0.99))
    ax.locator_params(axis="x", nbins=4, integer=True)
