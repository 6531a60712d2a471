"""Your own pictures as ±1 patterns: cropped, scaled, and cut into ink and paper."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int8, UInt8
from PIL import Image, ImageOps

from energyam import checks


class Images(NamedTuple):
    """Pictures (K, H, W), ±1 int8, and the file name of each."""

    patterns: Int8[np.ndarray, "K H W"]
    names: list[str]


def load_images(folder: str | Path, shape: Any = (48, 48)) -> Images:
    """All pictures in a folder, in order of their file names, as ±1 patterns of one shape (H, W).

    Sub-folders, hidden files and files without a picture's ending are passed over.

    Raises `ValueError` for a folder that is not there or holds no picture, and as `load_image` does.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"folder must be a folder of pictures; got {str(folder)!r}, which is none")
    endings = Image.registered_extensions()
    files = sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and file.suffix.lower() in endings and not file.name.startswith(".")
    )
    if not files:
        raise ValueError(f"folder must hold pictures (.png, .jpg, .gif, …); got {str(folder)!r} without any")
    return Images(np.stack([load_image(file, shape) for file in files]), [file.name for file in files])


def load_image(file: str | Path, shape: Any = (48, 48)) -> Int8[np.ndarray, "H W"]:
    """One picture as a ±1 pattern (H, W): dark −1, light +1.

    The middle is cropped to the shape's proportions and scaled; transparent parts are paper. The threshold
    is each picture's own: the grey that parts its pixels best into two groups.

    Raises `ValueError`, naming the file, where it cannot be read or is all of one shade.

    N. Otsu, "A threshold selection method from gray-level histograms", 1979.
    """
    H, W = checks.picture_shape(shape)
    try:
        with Image.open(file) as image:
            grey = _as_grey(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"file must be a picture that Pillow can read; got {str(file)!r}: {error}") from None
    pixels = np.asarray(ImageOps.fit(grey, (W, H), Image.Resampling.BOX))
    if pixels.min() == pixels.max():
        raise ValueError(f"file must show light and dark; got {str(file)!r}, which is all of one shade")
    return np.where(pixels <= _otsu_threshold(pixels), -1, 1).astype(np.int8)


def _as_grey(image: Image.Image) -> Image.Image:
    if image.mode[0] in "IF":  # 16 or 32 bits a pixel, of which a plain conversion keeps the lowest 8
        values = np.asarray(image, np.float64)
        return Image.fromarray(_stretched(values))
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers)
    return image.convert("L")


def _stretched(values: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    span = np.ptp(values) or 1
    return (255 * (values - values.min()) / span).astype(np.uint8)


def _otsu_threshold(pixels: UInt8[np.ndarray, "H W"]) -> int:
    """The grey t with the largest variance between the pixels up to t and those above."""
    counts = np.bincount(pixels.ravel(), minlength=256)[:256]
    below, sums = counts.cumsum(), (counts * np.arange(256)).cumsum()
    above = below[-1] - below
    gap = sums[-1] * below - sums * below[-1]
    return int(np.argmax(gap.astype(float) ** 2 / np.maximum(below * above, 1)))
