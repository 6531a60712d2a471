"""The atlas of claims: published statements about associative memories, computed again.

`python -m benchmarks --only claims --json` runs all; `python -m benchmarks.claims NAME …` runs some.
"""

import argparse
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import energyam as eam
from benchmarks import harness
from benchmarks.atlas import CLAIMS
from benchmarks.atlas.learned import kept
from benchmarks.atlas.sdm import shared


class Curve(NamedTuple):
    """Rows that are points of one published curve: a pattern of their names, whose group is the abscissa."""

    names: str
    title: str
    axes: tuple[str, str]
    ours: Callable[[], tuple]  # the whole curve: abscissas and ordinates


def _noise(model):
    rows = [r for r in kept("fast_weights")["noise"] if (r["model"], r["length"]) == (model, 8)]
    return [r["std"] for r in rows], [r["accuracy"] for r in rows]


def _hertz():
    errors = np.linspace(0.0005, 0.12, 100)
    return errors, [eam.theory.hopfield_capacity(1000, error) / 1000 for error in errors]


NOISE = ("noise on the query", "accuracy")
CURVES = (
    Curve(r"hebb-error-([\d.]+)", "Hertz, table 2.1", ("share of unstable bits", "K/D"), _hertz),
    Curve(
        r"shared-locations-(\d+)",
        "Kanerva, appendix B",
        ("bits apart", "shared of a million locations"),
        lambda: (range(501), [shared(bits) for bits in range(501)]),
    ),
    Curve(
        r"beta-circle-(\d+)",
        "Bricken & Pehlevan",
        ("radius, 64 dimensions", "β of attention"),
        lambda: (range(4, 17), [eam.theory.fit_beta(64, radius).beta for radius in range(4, 17)]),
    ),
    Curve(
        r"fast-weights-noise-([\d.]+)", "fast weights, other set-up", NOISE, lambda: _noise("fast weights")
    ),
    Curve(r"lstm-noise-([\d.]+)", "LSTM, other set-up", NOISE, lambda: _noise("LSTM")),
)


def run(quick: bool) -> list[dict]:
    """Every row of the atlas."""
    return [claim.row(quick) for claim in CLAIMS.values()]


def figure(rows: list[dict]):
    """Where several rows are points of one published curve: our curve, and the published points."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(10, 6), layout="constrained")
    for axis, curve in zip(axes.flat, CURVES, strict=False):
        axis.plot(*curve.ours(), label="ours")
        points = [(match, row) for row in rows if (match := re.fullmatch(curve.names, row["name"]))]
        axis.plot(
            [float(match[1]) for match, _ in points],
            [row["published"] for _, row in points],
            "kx",
            markersize=9,
            label="published",
        )
        axis.set(title=curve.title, xlabel=curve.axes[0], ylabel=curve.axes[1])
        axis.legend()
    axes.flat[1].set_yscale("log")
    axes.flat[-1].remove()
    return figure


def main(arguments: list[str] | None = None) -> None:
    """Print some rows of the atlas, by their names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", choices=list(CLAIMS))
    parser.add_argument("--quick", action="store_true", help="small sizes")
    chosen = parser.parse_args(arguments)
    for name in chosen.names:
        print(
            "\n".join(
                f"{key:>10}: {harness.shown(value)}" for key, value in CLAIMS[name].row(chosen.quick).items()
            )
        )


if __name__ == "__main__":
    main()
