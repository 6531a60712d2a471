"""Figures: patterns in a grid, a recall beside its energy, and the curve of an animation."""

import functools
import io
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import ArrayLike, Float, Int, UInt8

from energyam.dynamics.traces import Recall, frame_updates
from energyam.log_scale import log_sizes
from energyam.plotting.pixels import GREYS, SHADES, Shape, as_grid, as_pictures, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Names = Sequence[str] | None
Given = ArrayLike | None

ACCENT = "#b5442e"
_FAINT = "#d9d9d9"


def show_patterns(
    patterns: ArrayLike, shape: Shape = None, title: str = "", columns: int | Names = None, rows: Names = None
) -> "Figure":
    """Patterns as a grid of pictures: +1 white, −1 black, other numbers in shades of grey beside a bar.

    **Arguments:** `patterns` (..., D), or (..., H, W) with `shape` (H, W); `shape`: square by default;
    `title`; `columns` of the grid, their number or their names, about square by default; `rows`: the names
    of the rows. The first 1,024 are drawn.

    Raises `ValueError` for NaN, patterns that are not pictures of that shape, and more names than rows or
    fewer.

        >>> figure = eam.plotting.show_patterns(eam.datasets.glyphs()[:8].reshape(8, -1), columns=4)
        >>> figure.savefig("glyphs.png")
    """
    if not isinstance(title, str):
        raise ValueError(f"title must be a text; got {title!r}")
    pictures = as_pictures("patterns", patterns, shape)
    pictures = pictures.reshape(-1, *pictures.shape[-2:])[:1024]
    named = columns is not None and not isinstance(columns, int | np.integer)
    names = checked_names("columns", columns) if named else None
    grid = _grid(pictures, 1024, len(names) if names else columns)  # type: ignore[arg-type]
    across = (grid.shape[1] - 1) // (pictures.shape[2] + 1)
    down = (grid.shape[0] - 1) // (pictures.shape[1] + 1)
    names = None if names is None else checked_names("columns", names, across)
    rows = None if rows is None else checked_names("rows", rows, down)
    height, width = (min(6.4, 2 + max(grid.shape) / 100) * side / max(grid.shape) for side in grid.shape)
    most = float(np.abs(pictures).max())
    bar = None if (np.abs(pictures) == most).all() else most
    room = 0.3 + 0.075 * max(len(line) for row in rows for line in row.splitlines()) if rows else 0.0
    fig = new_figure(width + room + 0.7 * (bar is not None), height + 0.3 * bool(title) + 0.3 * bool(names))
    ax = fig.subplots()
    _draw_grid(ax, grid, title)
    _name_ticks(ax, names, pictures.shape[2] + 1, rows, pictures.shape[1] + 1)
    if bar is not None:
        _draw_bar(fig, ax, bar)
    return fig


def show_recall(
    result: Recall | ArrayLike, shape: Shape = None, original: Given = None, query: Given = None
) -> "Figure":
    """A recall's query, its answer and, where given, the original, beside the curve of its energy.

    **Arguments:** `result`: a `Recall`, or the recalled states (*batch, D) together with their `query`
    (*batch, D); `shape`: (H, W) of a picture, square by default; `original` (*batch, D). Of a batch the first
    100 are drawn, as grids.

    Raises `ValueError` for a recall without a record where no query is given, and wrong shapes.

        >>> memory = eam.CHN(jnp.array([[1, 1, 1, -1], [1, -1, -1, 1]]))
        >>> result = eam.recall(memory, jnp.array([1, 1, -1, -1]), key=jr.key(0))
        >>> eam.plotting.show_recall(result, (2, 2)).savefig("recall.png")
    """
    recalled = result.state if isinstance(result, Recall) else result
    if query is None and isinstance(result, Recall):
        query = result.frames(max(1, num_updates(result)))[..., 0, :]
    if query is None:
        raise ValueError("query must be given where result is an array of states; got None")
    as_pictures("result", recalled, shape)  # a wrong one is named as it is given
    states = {"query": query, "recalled": recalled} | ({} if original is None else {"original": original})
    grids = {name: _grid(as_pictures(name, given, shape), 100) for name, given in states.items()}
    updates, energies = energy_curve(result, 1) if isinstance(result, Recall) else ([], None)
    curve = energies is not None
    side = 2.2 if max(grids["query"].shape) < 100 else 3.4
    fig = new_figure(side * (len(grids) + 1.3 * curve), side)
    ratios = [1] * len(grids) + [1.3] * curve
    axes = fig.subplots(1, len(ratios), squeeze=False, width_ratios=ratios)[0]
    for ax, (name, grid) in zip(axes, grids.items(), strict=False):
        _draw_grid(ax, grid, name)
    if energies is not None:
        _draw_curve(axes[-1], updates, energies, ACCENT)
    return fig


def energy_curve(result: Recall, every: int) -> tuple[Int[np.ndarray, " F"], Float[np.ndarray, "B F"] | None]:
    """The number of updates before each frame, and the energies of the first 100 of a batch, or None."""
    T = num_updates(result)
    updates = np.asarray(frame_updates(T, every))
    if result.energies is None or result.initial_energy is None:
        return updates, None
    energies = np.concatenate([result.initial_energy[..., None], result.energies], axis=-1)
    energies = energies.reshape(-1, T + 1)[:100, updates]
    return updates, energies if T and np.isfinite(energies).all() else None


def num_updates(result: Recall) -> int:
    """T, by the record where the memory has no energy."""
    if result.energies is not None or result.record is None:
        return 0 if result.energies is None else result.energies.shape[-1]
    axes = result.status.ndim
    return math.prod(jax.tree.leaves(result.record)[0].shape[axes : axes + 2])


def energy_panels(
    updates: Int[np.ndarray, " F"], energies: Float[np.ndarray, "B F"], height: int
) -> tuple[UInt8[np.ndarray, "y x 3"], UInt8[np.ndarray, "y x 3"], Int[np.ndarray, " F"]]:
    """The energy curve ahead (faint) and behind (in colour), and the pixel column that each frame reaches."""
    dpi = 100
    panels = []
    for colour in (_FAINT, ACCENT):
        fig = new_figure(max(240, 0.7 * height) / dpi, height / dpi, dpi)
        ax = fig.subplots()
        _draw_curve(ax, updates, energies, colour)
        panels.append(rendered(fig))
    reached = ax.transData.transform([(update, 0) for update in updates])[:, 0]
    return panels[0], panels[1], reached.round().astype(int)


def new_figure(width: int | float, height: int | float, dpi: int = 100) -> "Figure":
    """An empty figure of this size in inches, without a window, that a notebook shows by itself."""
    return _figure_class()(figsize=(width, height), dpi=dpi, layout="constrained")


@functools.cache
def _figure_class() -> Any:
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        """A figure that shows itself in a notebook, whatever the backend."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

    return ShownFigure


def rendered(fig: "Figure") -> UInt8[np.ndarray, "y x 3"]:
    """The pixels of a figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _grid(pictures: Float[np.ndarray, "*batch H W"], most: int, columns: int | None = None):
    return as_grid(shades(pictures.reshape(-1, *pictures.shape[-2:])[:most]), columns)


def _draw_grid(ax: "Axes", grid: UInt8[np.ndarray, "Y X"], title: str) -> None:
    ax.imshow(GREYS[grid], interpolation="nearest" if max(grid.shape) < 300 else "antialiased")
    ax.set_axis_off()
    if title:
        ax.set_title(title, fontsize=10)


def _drawn(
    energies: Float[np.ndarray, "B F"],
) -> tuple[Float[np.ndarray, "B F"], Callable[[float], str] | None]:
    """Heights to draw, and the label of a tick at a height; None stands for the number itself.

    Where energies differ by more than three decades the heights are logarithms: of −E if all are negative,
    so that the first flips are seen beside the last ones, else of 1 + |E| with the sign of E.
    """
    logs = log_sizes(energies) / math.log(10)
    signed = np.sign(energies) * np.logaddexp(0, logs * math.log(10)) / math.log(10)
    if np.all(energies < 0) and np.ptp(logs, axis=1).max() > 3:
        return -logs, lambda height: f"$-10^{{{-height:g}}}$"
    if np.ptp(signed, axis=1).max() > 3 and (np.all(energies <= 0) or np.abs(signed).max() > 30):
        return signed, lambda height: f"${'-' * (height < 0)}10^{{{abs(height):g}}}$" if height else "0"
    return energies, None


def checked_names(name: str, given: int | Names, wanted: int | None = None) -> list[str]:
    """A list of texts, `wanted` of them if given; raises `ValueError` for anything else."""
    listed = isinstance(given, Sequence) and not isinstance(given, str)
    texts: Any = given if listed else [None]
    if not all(isinstance(text, str) for text in texts):
        other = " or a number" * (name == "columns")
        raise ValueError(f"{name} must be a list of names{other}; got {given!r}")
    if wanted is not None and len(texts) != wanted:
        raise ValueError(f"{name} must be {wanted} name{'s' * (wanted != 1)}, one for each; got {len(texts)}")
    return list(texts)


def names_above(names: Sequence[str], width: int) -> UInt8[np.ndarray, "y x"]:
    """Colour numbers of a strip with a name above each of the columns that share a width of so many pixels.

    All are as small as the widest needs to fit its column, but of 4 points at least.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    dpi, lines = 100, max(name.count("\n") + 1 for name in names)
    fig = _figure_class()(figsize=(width / dpi, (4 + 14 * lines) / dpi), dpi=dpi)
    renderer, column = FigureCanvasAgg(fig).get_renderer(), width / len(names)
    places, centre = (np.arange(len(names)) + 0.5) / len(names), dict(ha="center", va="center")
    texts = [fig.text(x, 0.5, name, **centre) for x, name in zip(places, names, strict=True)]
    for size in (8, 7, 6, 5, 4):  # widths are whole pixels a letter, so they don't follow the size evenly
        for text in texts:
            text.set_fontsize(size)
        if max(text.get_window_extent(renderer).width for text in texts) < column - 4:
            break
    return (rendered(fig)[..., 0] / 255 * (SHADES - 1)).round().astype(np.uint8)


def _name_ticks(ax: "Axes", columns: Any, width: int, rows: Any, height: int) -> None:
    """Names above the columns and left of the rows of a grid of so many pixels each."""
    if columns is None and rows is None:
        return
    ax.set_axis_on()
    ax.spines[:].set_visible(False)
    columns, rows = columns or [], rows or []
    ax.set_xticks([(i + 0.5) * width for i in range(len(columns))], columns, fontsize=8)
    ax.set_yticks([(i + 0.5) * height for i in range(len(rows))], rows, fontsize=8)
    ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)


def _draw_bar(fig: "Figure", ax: "Axes", limit: float) -> None:
    """A bar that says which number each grey is."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    greys = ListedColormap(GREYS[:SHADES] / 255)
    bar = fig.colorbar(ScalarMappable(Normalize(-limit, limit), greys), ax=ax, fraction=0.05)
    bar.ax.tick_params(labelsize=7)


def _draw_curve(ax: "Axes", updates: Any, energies: Float[np.ndarray, "B F"], colour: str) -> None:
    thin = len(energies) > 5
    energies, label_of = _drawn(energies)
    ax.plot(updates, energies.T, color=colour, linewidth=0.6 if thin else 1.6, alpha=0.5 if thin else 1)
    ax.set_title("energy" if label_of is None else "energy (log axis)", fontsize=10)
    ax.set_xlabel("updates", fontsize=8)
    ax.tick_params(labelsize=7)
    ax.locator_params(axis="x", nbins=4, integer=True)
    if label_of is not None:
        ax.locator_params(axis="y", nbins=6, integer=True)
        ax.yaxis.set_major_formatter(lambda height, place: label_of(height))
    if len(updates) == 1:
        ax.plot(updates, energies.T, "o", color=colour, markersize=4)
        ax.set_xticks(updates)
    ax.margins(x=0.03)
    ax.spines[["top", "right"]].set_visible(False)
