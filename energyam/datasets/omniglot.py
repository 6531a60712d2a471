"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people."""

import io
import zipfile
import zlib
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from energyam import checks
from energyam.datasets.downloads import FILES, fetch


class Characters(NamedTuple):
    """Pictures (classes, drawers, H, W), ink 1 on paper 0, and a name `alphabet/character` of each class."""

    images: Float[np.ndarray, "classes drawers H W"]
    names: list[str]

    def alphabets(self) -> dict[str, list[int]]:
        """The classes of each alphabet."""
        found = defaultdict(list)
        for number, name in enumerate(self.names):
            found[name.split("/")[0]].append(number)
        return dict(found)


def omniglot(source: str | Path = "images_background.zip", size: int = 28) -> Characters:
    """Omniglot's characters, scaled to (size, size).

    **Arguments:** `source`: a zip on this machine in Omniglot's layout, folder/alphabet/character/picture;
    or the name of one of Omniglot's own, which is fetched on first use: `images_background.zip` (964
    classes), `images_evaluation.zip` (659), `images_background_small1.zip` and `…_small2.zip` (5 alphabets
    each). `size`: in pixels; the originals have 105.

    Raises `ValueError`, naming the file, for a damaged zip or one with another layout, and as
    `energyam.datasets.fetch` does.

    Lake, Salakhutdinov & Tenenbaum, "Human-level concept learning through probabilistic program induction",
    Science 2015.
    """
    size = checks.count("size", size)
    path = Path(source)
    if not path.is_file():
        path = fetch(str(source)) if str(source) in FILES else _missing(path)
    try:
        with zipfile.ZipFile(path) as archive:
            classes = _members(archive, path)
            images = [[_read_picture(archive, file, size) for file in files] for files in classes.values()]
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, SyntaxError, RuntimeError) as error:
        raise ValueError(f"source must be a whole zip of pictures; got {str(path)!r}: {error}") from None
    return Characters(np.asarray(images, np.float32), list(classes))


def _missing(path: Path) -> Path:
    known = ", ".join(name for name in FILES if name.endswith(".zip"))
    raise ValueError(f"source must be a zip on this machine or one of {known}; got {str(path)!r}")


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, list[str]]:
    """The pictures of each `alphabet/character`, in order; raises `ValueError` unless equally many."""
    classes = defaultdict(list)
    for name in sorted(archive.namelist()):
        parts = PurePosixPath(name).parts
        if len(parts) >= 3 and parts[-1].endswith(".png") and parts[0] != "__MACOSX":
            classes["/".join(parts[-3:-1])].append(name)
    counts = {len(files) for files in classes.values()}
    if len(counts) != 1:
        got = f"classes of {sorted(counts)} pictures" if counts else "no pictures"
        raise ValueError(
            f"source must hold alphabet/character/picture.png, equally many of each; {path} has {got}"
        )
    return dict(classes)


def _read_picture(archive: zipfile.ZipFile, name: str, size: int) -> Float[np.ndarray, "size size"]:
    with Image.open(io.BytesIO(archive.read(name))) as image:
        scaled = image.convert("L").resize((size, size), Image.Resampling.BOX)
    return 1 - np.asarray(scaled, np.float32) / 255
