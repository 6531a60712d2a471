"""Omniglot: 1,623 handwritten characters of 50 alphabets, each drawn by 20 people."""

import io
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from energyam import checks
from energyam.datasets.downloads import FILES, fetch
from energyam.files import as_path
from energyam.shown import shown


@shown()
class Characters(NamedTuple):
    """Pictures (classes, drawers, H, W), ink 1 on paper 0, and a name `alphabet/character` of each class.

    >>> characters = eam.datasets.Characters(np.zeros((1, 20, 28, 28), np.float32), ["Greek/alpha"])
    >>> characters.images.shape[1], characters.names  # twenty people drew it
    (20, ['Greek/alpha'])
    """

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

    **Arguments:** `source`: a zip on this machine in Omniglot's layout, folder/alphabet/character/picture, or
    a folder with alphabet/character/picture in it, which is what such a zip unpacks to; or the name of one of
    Omniglot's own files, which is downloaded at the first use: `images_background.zip` (964 classes),
    `images_evaluation.zip` (659), `images_background_small1.zip` and `…_small2.zip` (5 alphabets each).
    `size`: in pixels; the originals have 105.

    Raises `ValueError`, naming the file, for a damaged zip or picture or another layout, and as
    `energyam.datasets.fetch` does.

    Lake, Salakhutdinov & Tenenbaum, "Human-level concept learning through probabilistic program induction",
    Science 2015.

        >>> characters = eam.datasets.omniglot("images_background_small1.zip")
        >>> characters.images.shape[1:]  # twenty people drew each character
        (20, 28, 28)
    """
    size = checks.count("size", size)
    path = as_path(source, "source")
    if not path.exists():
        if str(source) not in FILES:
            known = ", ".join(name for name in FILES if name.endswith(".zip"))
            wanted = f"a zip or a folder on this machine or one of {known}"
            raise ValueError(f"source must be {wanted}; got {str(path)!r}")
        path = fetch(str(source))
    try:
        with _opened(path) as (names, read):
            classes = _classes(names, path)
            images = [[_picture(read, path, name, size) for name in files] for files in classes.values()]
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"source must be a whole zip, or a folder; got {str(path)!r}: {error}") from None
    return Characters(np.asarray(images, np.float32), list(classes))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """The names of the files in a folder or a zip, and what reads one of them."""
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in path.rglob("*")]
        yield names, lambda name: (path / name).read_bytes()
    else:
        with zipfile.ZipFile(path) as archive:
            yield archive.namelist(), archive.read


def _classes(names: list[str], path: Path) -> dict[str, list[str]]:
    """The pictures of each `alphabet/character`, in order; raises `ValueError` unless equally many."""
    classes = defaultdict(list)
    for name in sorted(names):
        parts = PurePosixPath(name).parts
        hidden = any(part == "__MACOSX" or part.startswith(".") for part in parts)
        if len(parts) >= 3 and parts[-1].lower().endswith(".png") and not hidden:
            classes["/".join(parts[-3:-1])].append(name)
    counts = {len(files) for files in classes.values()}
    if len(counts) != 1:
        got = f"classes of {sorted(counts)} pictures" if counts else "no pictures"
        wanted = "alphabet/character/picture.png, equally many of each"
        raise ValueError(f"source must hold {wanted}; {path} has {got}")
    return dict(classes)


def _picture(read, path: Path, name: str, size: int) -> Float[np.ndarray, "size size"]:
    try:
        with Image.open(io.BytesIO(read(name))) as image:
            scaled = image.convert("L").resize((size, size), Image.Resampling.BOX)
    except Exception as error:  # zip, zlib and Pillow's readers have errors of their own
        raise ValueError(f"source must hold whole pictures; got {str(path)!r} with {name}: {error}") from None
    return 1 - np.asarray(scaled, np.float32) / 255
