"""Pixels: states as pictures in shades of grey, and many pictures as one grid."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import ArrayLike, Float, UInt8

from energyam import checks
from energyam.datasets.images import picture_shape

Shape = Sequence[int] | None  # (H, W)
Pixels = UInt8[np.ndarray, "*batch Y X"]  # colour numbers

SHADES = 32
GAP = SHADES  # the colour number of what lies between pictures
GREYS = np.repeat(np.append(np.linspace(0, 255, SHADES).round(), 205).astype(np.uint8)[:, None], 3, axis=1)


def as_pictures(name: str, states: ArrayLike, shape: Shape = None) -> Float[np.ndarray, "*batch H W"]:
    """States (*batch, D), or (*batch, H, W) where `shape` is (H, W), as pictures; square by default.

    Raises `ValueError` for NaN, or where D pixels don't make a picture of that shape.
    """
    states = np.asarray(checks.as_floats(name, states, "... D"))
    if states.size == 0:
        raise ValueError(f"{name} must not be empty; got shape {states.shape}")
    D = states.shape[-1]
    if shape is None:
        side = math.isqrt(D)
        if side * side != D:
            raise ValueError(f"shape must be given as (H, W), as {D} pixels make no square; got None")
        shape = (side, side)
    H, W = picture_shape(shape)
    if states.shape[-2:] != (H, W) and D != H * W:
        raise ValueError(f"{name} must be (..., {H * W}) for pictures of shape {(H, W)}; got {states.shape}")
    return states if states.shape[-2:] == (H, W) else states.reshape(*states.shape[:-1], H, W)


def shades(pictures: Float[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Colour numbers 0 (the most negative) to SHADES − 1, with 0 in the middle; ±1 is black and white."""
    limit = np.abs(pictures).max() or 1
    return ((pictures / limit + 1) * (SHADES - 1) / 2).round().astype(np.uint8)


def as_grid(pictures: UInt8[np.ndarray, "*batch N H W"], columns: int | None = None) -> Pixels:
    """N pictures of colour numbers as one, row by row, a line between and around; about square by default."""
    *batch, N, H, W = pictures.shape
    if columns is None:
        columns = math.ceil(math.sqrt(N * (H + 1) / (W + 1)))
    columns = min(checks.count("columns", columns), N)
    rows = -(-N // columns)
    cells = np.full((*batch, rows * columns, H + 1, W + 1), GAP, np.uint8)
    cells[..., :N, :H, :W] = pictures
    cells = cells.reshape(*batch, rows, columns, H + 1, W + 1)
    whole = np.moveaxis(cells, -2, -3).reshape(*batch, rows * (H + 1), columns * (W + 1))
    return np.pad(whole, [(0, 0)] * len(batch) + [(1, 0)] * 2, constant_values=GAP)


def enlarged(grid: Pixels, size: int) -> UInt8[np.ndarray, "*batch y x"]:
    """Each pixel repeated a whole number of times, so that the longer side comes near `size`."""
    times = max(1, round(size / max(grid.shape[-2:])))
    return grid.repeat(times, axis=-2).repeat(times, axis=-1)
