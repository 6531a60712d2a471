"""Animations: the states of a recall beside their falling energy, as GIF or, with ffmpeg, as video."""

import base64
import dataclasses
import io
import math
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import ArrayLike, UInt8
from PIL import Image

from energyam import checks
from energyam.dynamics.traces import Recall
from energyam.dynamics.update import Flips
from energyam.files import as_path, replacing
from energyam.plotting.figures import checked_names, energy_curve, energy_panels, names_above, num_updates
from energyam.plotting.pixels import GAP, GREYS, as_grid, as_pictures, enlarged, shades

_MOST_FRAMES, _FRAMES = 100, 60  # the most frames, and about how many by default
_MOST_PICTURES = 100
_PIXELS = 250  # of the longer side of what is drawn for the states
_VIDEO_SUFFIXES = (".mp4", ".webm")


class Animation:
    """Frames and a palette; a notebook shows it by itself, `save` writes it.

    `frames` (F, Y, X) hold numbers of colours in `palette` (C, 3); `fps` is the number of frames per second.

        >>> black, white = np.zeros((1, 4, 4), np.uint8), np.ones((1, 4, 4), np.uint8)
        >>> palette = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
        >>> film = eam.plotting.Animation(np.concatenate([black, white]), palette, fps=2)
        >>> film.save("blinks.gif")
    """

    def __init__(self, frames: UInt8[np.ndarray, "F Y X"], palette: UInt8[np.ndarray, "C 3"], fps: int):
        self.frames = frames
        self.palette = palette
        self.fps = fps

    def gif(self) -> bytes:
        """The animation as a GIF that repeats, with a rest on its first and last frame."""
        first, *others = pictures = [Image.fromarray(frame) for frame in self.frames]
        for picture in pictures:
            picture.putpalette(self.palette.tobytes())
        durations = [max(20, 1000 // self.fps)] * len(pictures)
        durations[0] = 600
        durations[-1] = 1800
        buffer = io.BytesIO()
        options = dict(save_all=True, append_images=others, duration=durations, loop=0, optimize=True)
        first.save(buffer, "GIF", **options)
        return buffer.getvalue()

    def video(self, suffix: str = ".mp4") -> bytes:
        """The animation as ".mp4" or ".webm", for which ffmpeg must be installed.

        Raises `ValueError` for another suffix and `RuntimeError` without ffmpeg, or if it fails.
        """
        checks.one_of("suffix", suffix, _VIDEO_SUFFIXES)
        program = shutil.which("ffmpeg")
        if program is None:
            raise RuntimeError(f"{suffix} needs ffmpeg, which is not installed; a .gif needs nothing")
        rest = np.repeat(self.frames[-1:], self.fps, axis=0)
        frames = np.concatenate([self.frames, rest])
        even = [(0, side % 2) for side in frames.shape[1:]]  # which the common pixel format demands
        frames = self.palette[np.pad(frames, [(0, 0), *even], constant_values=GAP)]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"animation{suffix}"
            size = f"{frames.shape[2]}x{frames.shape[1]}"
            command = [program, "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size]
            command += ["-r", str(self.fps), "-i", "-", "-pix_fmt", "yuv420p", str(path)]
            done = subprocess.run(command, input=frames.tobytes(), capture_output=True)
            if done.returncode != 0:
                raise RuntimeError(f"ffmpeg failed: {done.stderr.decode(errors='replace').strip()}")
            return path.read_bytes()

    def html5(self) -> str:
        """An HTML5 video with its bytes embedded; raises `RuntimeError` without ffmpeg."""
        data = base64.b64encode(self.video()).decode()
        return f'<video autoplay loop muted controls src="data:video/mp4;base64,{data}"></video>'

    def save(self, path: str | Path) -> None:
        """Write a .gif, or with ffmpeg a .mp4 or .webm; `ValueError` for other endings, else `OSError`."""
        path = as_path(path)
        if path.suffix not in (".gif", *_VIDEO_SUFFIXES):
            raise ValueError(f"path must end in .gif, .mp4 or .webm; got {str(path)!r}")
        with replacing(path) as file:
            file.write(self.gif() if path.suffix == ".gif" else self.video(path.suffix))

    def _repr_html_(self) -> str:
        return f'<img src="data:image/gif;base64,{base64.b64encode(self.gif()).decode()}">'


def animate(
    result: Recall | ArrayLike,
    shape: Sequence[int] | None = None,
    every: int | None = None,
    energies: ArrayLike | None = None,
    columns: int | None = None,
    fps: int = 12,
    beside: ArrayLike | None = None,
    labels: Sequence[str] | None = None,
) -> Animation:
    """The states of a recall, or of a batch of them as a grid, beside their falling energy.

    **Arguments:**

    - `result`: a `Recall`, or states along the way, (F, D) or (B, F, D).
    - `shape`: (H, W) of a picture; square by default. +1 is drawn white, −1 black.
    - `every`: how many updates (neurons tried, or steps of all) lie between frames; by default as many as
      make about 60 frames, and more where there would be over 100. The last frame is that of the last change.
    - `energies` (F,) or (B, F): to be drawn beside states given as an array.
    - `columns`: of the grid; about square by default. Of a batch, the first 100 are drawn.
    - `fps`: frames per second.
    - `beside`: pictures (..., D) that follow the others in the grid and stay the same, such as the stored
    patterns.
    - `labels`: a text above each column of the grid, made smaller if it is too wide.

    Raises `ValueError` for a recall without a record, states that are not pictures of that shape, and more
    labels than columns or fewer.

        >>> memory = eam.CHN(jnp.array([[1, 1, 1, -1], [1, -1, -1, 1]]))
        >>> result = eam.recall(memory, jnp.array([1, 1, -1, -1]), key=jr.key(0))
        >>> eam.plotting.animate(result, (2, 2), every=1).save("recall.gif")
    """
    fps = checks.count("fps", fps)
    of: Any = _of_recall if isinstance(result, Recall) else _of_arrays
    every = None if every is None else checks.count("every", every)
    updates, pictures, curve = of(result, shape, every, energies)
    moved = (pictures[:, 1:] != pictures[:, :-1]).any(axis=(0, 2, 3))
    end = 1 + int(np.flatnonzero(moved).max(initial=-1)) + 1
    updates, pictures, curve = updates[:end], pictures[:, :end], None if curve is None else curve[:, :end]
    if beside is not None:
        still = as_pictures("beside", beside, pictures.shape[-2:])
        still = still.reshape(-1, 1, *still.shape[-2:]).repeat(pictures.shape[1], axis=1)
        pictures = np.concatenate([pictures, still])
    grid = as_grid(shades(pictures).swapaxes(0, 1), columns)
    across = (grid.shape[-1] - 1) // (pictures.shape[-1] + 1)
    grid = enlarged(grid, _PIXELS)
    if labels is not None:
        above = names_above(checked_names("labels", labels, across), grid.shape[-1])
        grid = np.concatenate([np.broadcast_to(above, (len(grid), *above.shape)), grid], axis=1)
    return Animation(grid, GREYS, fps) if curve is None else _with_curve(grid, updates, curve, fps)


def _of_recall(result: Recall, shape: Any, every: int | None, energies: Any):
    """Updates behind each frame (F,), pictures (B, F, H, W) and energies (B, F) of the first of a batch."""
    if energies is not None:
        raise ValueError("energies must be left out beside a Recall, which has its own")
    B, axes = result.converged.size, result.converged.ndim
    first = jax.tree.map(lambda leaf: leaf.reshape(B, *leaf.shape[axes:])[:_MOST_PICTURES], result)
    first, changes = _until_the_last_change(first)
    least = math.ceil(num_updates(first) / (_MOST_FRAMES - 1))
    every = max(1, math.ceil(changes / _FRAMES) if every is None else every, least)
    updates, energies = energy_curve(first, every)
    return updates, as_pictures("result", first.frames(every), shape), energies


def _until_the_last_change(result: Recall) -> tuple[Recall, int]:
    """A batch (B,) of recalls without the steps after the last that moved a state, and its updates."""
    T = num_updates(result)
    if result.record is None or T == 0:
        return result, T
    steps = jax.tree.leaves(result.record)[0].shape[1]
    size, last = T // steps, int(result.num_steps.max()) * (T // steps)
    if isinstance(result.record, Flips):
        flips = np.asarray(result.record.indices).reshape(-1, T) >= 0
        taken = np.arange(T)[None] // size < np.asarray(result.num_steps)[:, None]
        last = 1 + int(np.flatnonzero((flips & taken).any(axis=0)).max(initial=-1))
    kept = max(1, -(-last // size))
    record = jax.tree.map(lambda leaf: leaf[:, :kept], result.record)
    energies = None if result.energies is None else result.energies[:, : kept * size]
    return dataclasses.replace(result, energies=energies, record=record), last


def _of_arrays(states: Any, shape: Any, every: int | None, energies: Any):
    """The same of states given as an array (F, D) or (B, F, D), evenly thinned to the most frames drawn."""
    pictures = as_pictures("result", states, shape)
    *batch, F, H, W = (1, 1, *pictures.shape) if pictures.ndim < 3 else pictures.shape
    if pictures.ndim < 3 or len(batch) > 1:
        raise ValueError(f"result must be (F, D) or (B, F, D); got shape {np.shape(states)}")
    kept = np.unique(np.linspace(0, F - 1, min(F, _MOST_FRAMES)).round().astype(int))
    if energies is not None:
        like_states = " ".join(map(str, (*batch, F)))
        energies = np.asarray(checks.as_floats("energies", energies, like_states))
        energies = energies.reshape(-1, F)[:_MOST_PICTURES, kept]
    return kept, pictures.reshape(-1, F, H, W)[:_MOST_PICTURES, kept], energies


def _with_curve(grid, updates, energies, fps: int) -> Animation:
    """The grid (F, y, x) beside a curve, drawn twice, ahead and behind, and uncovered column by column."""
    height = grid.shape[1]
    tall = max(height, _PIXELS * 2 // 3)
    ahead, behind, reached = energy_panels(updates, energies, tall)
    both = Image.fromarray(np.concatenate([ahead, behind])).quantize(64)
    ahead, behind = np.split(np.asarray(both) + np.uint8(len(GREYS)), 2)
    colours = np.asarray(both.getpalette(), np.uint8).reshape(-1, 3)
    passed = np.arange(ahead.shape[1]) <= reached[:, None]
    passed[-1] = True
    panels = np.where(passed[:, None], behind, ahead)
    margin, white = (tall - height) // 2, len(GREYS) + int(colours.sum(axis=1).argmax())
    grid = np.pad(grid, [(0, 0), (margin, tall - height - margin), (0, 0)], constant_values=white)
    return Animation(np.concatenate([grid, panels], axis=2), np.concatenate([GREYS, colours]), fps)
