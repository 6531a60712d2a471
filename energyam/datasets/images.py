"""Your own pictures as patterns: cropped, scaled, and grey, or cut into ink and paper."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int8, UInt8
from PIL import Image, ImageFile, ImageOps

from energyam import checks
from energyam.files import as_path
from energyam.shown import shown
from energyam.wording import in_one_line, in_words

_NO_PICTURES = {"PDF", "PALM", "BUFR", "GRIB", "HDF5", "MPEG"}  # which Pillow writes or names, and can't read
_ORIENTATION = 0x0112
_TURNS = {  # what brings a picture upright, by its orientation in EXIF
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


Picture = Int8[np.ndarray, "H W"] | Float32[np.ndarray, "H W"]


@shown()
class Images(NamedTuple):
    """Pictures (K, H, W), ±1 int8 or grey float32, and the file name of each.

    >>> pictures = eam.datasets.Images(np.ones((1, 2, 2), np.float32), ["paper.png"])
    >>> pictures.patterns.reshape(1, -1), pictures.names
    (array([[1., 1., 1., 1.]], dtype=float32), ['paper.png'])
    """

    patterns: Int8[np.ndarray, "K H W"] | Float32[np.ndarray, "K H W"]
    names: list[str]


def picture_shape(shape: Sequence[int]) -> tuple[int, int]:
    """`shape` as the height and width of a picture; raises `ValueError` unless both are whole and above 0."""
    if not isinstance(shape, tuple | list) or len(shape) != 2:
        raise ValueError(f"shape must be (H, W), the height and width of a picture; got {in_words(shape)}")
    return checks.count("shape[0]", shape[0]), checks.count("shape[1]", shape[1])


def load_images(folder: str | Path, shape: Sequence[int] = (48, 48), binary: bool = False) -> Images:
    """All pictures in a folder, in order of their file names, in one shape (H, W) and grey, from −1 to 1.

    −1 is black and 1 white. With `binary=True` they are cut into ±1 patterns, which suits stencils and text.

    Sub-folders and hidden files are skipped. Files without a picture's ending, such as `notes.txt`, and
    pictures that `load_image` can't read or that have only one shade are skipped with a warning that names
    them.

    Raises `ValueError` for a folder that does not exist or has no readable picture, and for a `shape` that is
    none.

        >>> import pathlib
        >>> from PIL import Image
        >>> pathlib.Path("pictures").mkdir()
        >>> Image.fromarray(255 * np.eye(8, dtype=np.uint8)).save("pictures/line.png")
        >>> pictures = eam.datasets.load_images("pictures", (8, 8))
        >>> pictures.names, pictures.patterns[0, 0, :2]
        (['line.png'], array([ 1., -1.], dtype=float32))
    """
    picture_shape(shape)
    binary = checks.flag("binary", binary)
    folder = as_path(folder, "folder")
    if not folder.is_dir():
        raise ValueError(f"folder must be a folder of pictures; got {str(folder)!r}, which is no folder")
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    endings = {end for end, form in Image.registered_extensions().items() if form not in _NO_PICTURES}
    pictures = [file for file in files if file.suffix.lower() in endings]
    if not pictures:
        got = f"{str(folder)!r} without any (sub-folders are not looked into)"
        raise ValueError(f"folder must hold pictures (.png, .jpg, .gif, …); got {got}")
    if len(pictures) < len(files):
        others = _listed([file.name for file in files if file not in pictures])
        warnings.warn(f"skipped in {str(folder)!r}, not pictures by their endings: {others}", stacklevel=2)
    loaded: dict[str, Picture] = {}
    errors: list[str] = []
    for file in pictures:
        try:
            loaded[file.name] = load_image(file, shape, binary)
        except ValueError as error:
            errors.append(f"{file.name} ({str(error).partition('; ')[2] or error})")
    if not loaded:
        raise ValueError(f"folder must hold pictures that can be read; got {_listed(errors)}")
    if errors:
        count = f"{len(errors)} of {len(pictures)} pictures"
        warnings.warn(f"skipped {count} in {str(folder)!r}: {_listed(errors)}", stacklevel=2)
    return Images(np.stack(list(loaded.values())), list(loaded))


def _listed(names: list[str]) -> str:
    """The first five, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def load_image(file: str | Path, shape: Sequence[int] = (48, 48), binary: bool = False) -> Picture:
    """One picture (H, W) in grey, from −1 (black) to 1; with `binary=True` as ±1: dark −1, light +1.

    The middle is cropped to the shape's proportions and scaled; transparent parts are paper. Each picture has
    its own threshold, the grey that divides its pixels best into two groups. The lightest and the darkest
    thousandth of the pixels are ignored, so that a camera's hot pixels don't determine it.

    Raises `ValueError`, naming the file, if it cannot be read, contains NaN or infinity, or has only one
    shade.

    N. Otsu, "A threshold selection method from gray-level histograms", 1979.

        >>> from PIL import Image
        >>> Image.fromarray(np.full((8, 8), 255, np.uint8) * np.eye(8, dtype=np.uint8)).save("line.png")
        >>> eam.datasets.load_image("line.png", (8, 8), binary=True)[0]
        array([ 1, -1, -1, -1, -1, -1, -1, -1], dtype=int8)
    """
    H, W = picture_shape(shape)
    binary = checks.flag("binary", binary)
    path = as_path(file, "file")
    try:
        with Image.open(path) as image:
            _match_transparency(image)
            image.load()
            grey, turn = _grey(image), _TURNS.get(_orientation(image))
    except Exception as error:  # each of Pillow's readers has errors of its own
        said = in_one_line(error)
        raise ValueError(f"file must be a picture that Pillow can read; got {str(path)!r}: {said}") from None
    if not np.isfinite(grey).all():
        raise ValueError(f"file must have finite grey values; got {str(path)!r}, with NaN or infinity in it")
    picture = Image.fromarray(_stretched(grey))
    picture = picture if turn is None else picture.transpose(turn)
    pixels = np.asarray(ImageOps.fit(picture, (W, H), Image.Resampling.BOX)).round().astype(np.uint8)
    if pixels.min() == pixels.max():
        raise ValueError(f"file must show light and dark; got {str(path)!r}, which is all of one shade")
    if not binary:
        return (pixels / 127.5 - 1).astype(np.float32)
    return np.where(pixels <= _otsu_threshold(pixels), -1, 1).astype(np.int8)


def _orientation(image: Image.Image) -> int:
    """How the picture lies, by EXIF; 1, upright, where EXIF can't be read.

    The other tags are left alone: a picture is sound whatever its EXIF says about its resolution.
    """
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1


def _match_transparency(image: ImageFile.ImageFile) -> None:
    """Put a PNG's transparent grey or colour on the scale of 8 bits, where Pillow puts its pixels alone."""
    clear, packing = image.info.get("transparency"), image.tile[0][3] if image.tile else None
    if isinstance(clear, int) and packing in ("L;2", "L;4"):
        image.info["transparency"] = clear * (85 if packing == "L;2" else 17)
    if isinstance(clear, tuple) and packing == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in clear)


def _grey(image: Image.Image) -> Float[np.ndarray, "h w"]:
    """The grey values of a loaded picture, on the scale of its own; what is transparent is white."""
    clear = image.info.get("transparency")
    if image.mode[0] in "IF":  # 16 or 32 bits a pixel, of which a plain conversion keeps the lowest 8
        values = np.array(image, np.float64)
        return values if clear is None else np.where(values == clear, 65535.0, values)
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers)
    return np.asarray(image.convert("L"), np.float64)


def _stretched(values: Float[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Values from 0 to 255, of which all but the outermost thousandth on either side use the full range."""
    ordered = np.sort(values, axis=None)
    few = max(1, ordered.size // 1000)
    low, high = ordered[min(few, ordered.size - 1)], ordered[max(0, ordered.size - 1 - few)]
    if low >= high:  # so little ink that nothing else differs
        low, high = ordered[0], ordered[-1]
    return (255 * (np.clip(values, low, high) - low) / (high - low or 1)).astype(np.float32)


def _otsu_threshold(pixels: UInt8[np.ndarray, "H W"]) -> int:
    """The grey t with the largest variance between the pixels up to t and those above."""
    counts = np.bincount(pixels.ravel(), minlength=256)[:256]
    below, sums = counts.cumsum(), (counts * np.arange(256)).cumsum()
    above = below[-1] - below
    gap = sums[-1] * below - sums * below[-1]
    return int(np.argmax(gap.astype(float) ** 2 / np.maximum(below * above, 1)))
