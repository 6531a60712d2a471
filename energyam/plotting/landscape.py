"""Energy landscapes of two continuous neurons, with the paths of recalls."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float
from PIL import Image, ImageDraw

from energyam import checks
from energyam.dynamics.traces import Recall
from energyam.dynamics.update import AbstractUpdate
from energyam.memories.neurons import AbstractNeurons, is_movable
from energyam.plotting.animation import Animation
from energyam.plotting.figures import ACCENT, new_figure, rendered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Paths = Recall | ArrayLike
Limits = Sequence[ArrayLike]

_FRAMES = 60


def show_landscape(
    memory: Any, paths: Paths | None = None, limits: Limits = (-2.0, 2.0), resolution: int = 128
) -> "Figure":
    """The energy of two continuous neurons as a map, darker where lower, with paths of descent.

    **Arguments:** `memory`: a continuous memory of D = 2 neurons, any object with an `energy(x)`, or the
    energy itself; its patterns are drawn as crosses. `paths`: a `Recall`, or states (F, 2) or (B, F, 2).
    `limits`: the lowest and highest value of both neurons; `resolution`: points along each side.

    Raises `ValueError` for ±1 neurons, another D, limits that don't rise, or paths of another shape.

        >>> memory = eam.ModernHopfield(jnp.eye(2), beta=4.0)
        >>> path = eam.recall(memory, jnp.array([0.9, 0.3]), eam.GradientDescent(0.3), max_steps=4)
        >>> eam.plotting.show_landscape(memory, path, resolution=20).savefig("landscape.png")
    """
    fig, ax = _map(memory, limits, resolution)
    for path in _as_paths(paths):
        ax.plot(*path.T, color=ACCENT, linewidth=1.4, marker=".", markersize=4)
        ax.plot(*path[-1], color=ACCENT, marker="o", markersize=7)
    return fig


def animate_landscape(
    memory: Any, paths: Paths, limits: Limits = (-2.0, 2.0), resolution: int = 128, fps: int = 12
) -> Animation:
    """States that move down the energy of two continuous neurons, each a ball with its path behind it.

    **Arguments:** those of `show_landscape`, where `paths` must be given; `fps`: frames per second. About 60
    frames are drawn, up to the last that moves.

    Raises `ValueError` as `show_landscape` does.

        >>> memory = eam.ModernHopfield(jnp.eye(2), beta=4.0)
        >>> path = eam.recall(memory, jnp.array([0.9, 0.3]), eam.GradientDescent(0.3), max_steps=4)
        >>> eam.plotting.animate_landscape(memory, path, resolution=20).save("ball.gif")
    """
    fps = checks.count("fps", fps)
    ways = _as_paths(paths)
    if len(ways) == 0:
        raise ValueError("paths must be a Recall or states; got None")
    moved = np.flatnonzero((ways[:, 1:] != ways[:, :-1]).any(axis=(0, 2)))
    last = int(moved.max(initial=-1)) + 1
    shown = np.unique(np.linspace(0, last, min(last + 1, _FRAMES)).round().astype(int))
    fig, ax = _map(memory, limits, resolution)
    ground = Image.fromarray(np.ascontiguousarray(rendered(fig)))
    places = ax.transData.transform(ways.reshape(-1, 2)).reshape(ways.shape)
    places[..., 1] = ground.height - places[..., 1]
    frames = [_rolled(ground, places[:, : at + 1]) for at in shown]
    palette = frames[-1].quantize(128)
    colours = np.asarray(palette.getpalette(), np.uint8).reshape(-1, 3)
    numbers = [np.asarray(frame.quantize(palette=palette, dither=Image.Dither.NONE)) for frame in frames]
    return Animation(np.stack(numbers), colours, fps)


def _rolled(ground: Image.Image, places: Float[np.ndarray, "B f 2"]) -> Image.Image:
    """The map with the ways so far and a ball at the end of each, drawn twice as large and then scaled."""
    picture = ground.resize((2 * ground.width, 2 * ground.height))
    pen = ImageDraw.Draw(picture)
    for way in 2 * places:
        points = [tuple(point) for point in way.tolist()]
        if len(points) > 1:
            pen.line(points, fill=ACCENT, width=4)
        x, y = points[-1]
        pen.ellipse((x - 10, y - 10, x + 10, y + 10), fill=ACCENT, outline="white", width=2)
    return picture.resize(ground.size, Image.Resampling.BOX)


def _map(memory: Any, limits: Limits, resolution: int) -> tuple["Figure", "Axes"]:
    """The energy as a map, with the memory's patterns as crosses."""
    from matplotlib.ticker import MaxNLocator

    energy = _energy_of_two(memory)
    low, high = np.asarray(checks.as_vector("limits", limits, 2)).tolist()
    if low >= high:
        raise ValueError(f"limits must be (low, high) with low < high; got {tuple(limits)}")
    side = jnp.linspace(low, high, checks.count("resolution", resolution, least=2))
    states = jnp.stack(jnp.meshgrid(side, side), axis=-1)
    # Compiled, a function of the user's would go on with the globals and attributes that it once had.
    heights_of = _jitted_heights if isinstance(memory, eqx.Module) else _heights
    heights = np.asarray(heights_of(energy, states))
    fig = new_figure(4.6, 3.9)
    ax = fig.subplots()
    filled = ax.contourf(side, side, heights, levels=24, cmap="Greys_r", alpha=0.85)
    ax.contour(side, side, heights, levels=24, colors="white", linewidths=0.4, linestyles="solid")
    fig.colorbar(filled, label="energy", ticks=MaxNLocator(6))
    if hasattr(memory, "patterns"):
        ax.plot(*np.asarray(memory.patterns).T, "x", color="#1f5f8b", markersize=9, markeredgewidth=2)
    ax.set(xlim=(low, high), ylim=(low, high), xlabel="neuron 1", ylabel="neuron 2", aspect="equal")
    return fig, ax


def _energy_of_two(memory: Any) -> Any:
    shape = getattr(memory, "state_shape", (2,))
    if shape != (2,):
        raise ValueError(f"memory must have D = 2 neurons to draw a map; got states of shape {shape}")
    neurons = getattr(memory, "neurons", None)
    if isinstance(neurons, AbstractNeurons) and is_movable(neurons):
        raise ValueError(f"memory must have continuous neurons; those of {type(memory).__name__} are ±1")
    energy = getattr(memory, "energy", memory)
    if isinstance(memory, type | AbstractUpdate) or not callable(energy):
        raise ValueError(f"memory must be an energy or have an energy(x) method; got {type(memory).__name__}")
    return energy


def _heights(energy, states):
    of_one = lambda state: checks.as_array("memory(state)", energy(state), "")  # noqa: E731
    return jax.vmap(jax.vmap(of_one))(states)


_jitted_heights = eqx.filter_jit(_heights)


def _as_paths(paths: Paths | None) -> Float[np.ndarray, "B F 2"]:
    if paths is None:
        return np.zeros((0, 1, 2))
    paths = paths.frames(1) if isinstance(paths, Recall) else paths
    states = np.asarray(checks.as_floats("paths", paths, "... F 2"))
    return states.reshape(-1, *states.shape[-2:])
