"""Data sets that are downloaded once from a fixed address, checked against a checksum, and cached."""

import gzip
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int8, UInt8

from energyam import checks
from energyam.datasets.images import Images
from energyam.files import replacing
from energyam.shown import shown


class RemoteFile(NamedTuple):
    """The address of a file, and its checksum: `md5:…`, or `git:…`, the SHA-1 that git gives its content."""

    url: str
    checksum: str


_OMNIGLOT = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_SPRITES = "https://raw.githubusercontent.com/bhoov/amtutorial/main/data/"

FILES = {
    name: RemoteFile(address + name, checksum)
    for address, name, checksum in [
        (_OMNIGLOT, "images_background.zip", "git:71fd167eb6fdd312049395fbd247147a4b234231"),
        (_OMNIGLOT, "images_evaluation.zip", "git:8ccde0ed1565641f1fa8c57cdc6ff634e15fc5c1"),
        (_OMNIGLOT, "images_background_small1.zip", "git:9f7a8841ab7aa328da78606307b624eeec5ba0a1"),
        (_OMNIGLOT, "images_background_small2.zip", "git:8352587b51522d3881049c0c6452ccf865445341"),
        (_MNIST, "train-images-idx3-ubyte.gz", "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        (_MNIST, "train-labels-idx1-ubyte.gz", "md5:d53e105ee54ea40749a09fcbcd1e9432"),
        (_MNIST, "t10k-images-idx3-ubyte.gz", "md5:9fb629c4189551a2d022fa330f9573f3"),
        (_MNIST, "t10k-labels-idx1-ubyte.gz", "md5:ec29112dd5afa0611ce80d1b7f02629c"),
        (_SPRITES, "pokesprites_pixels.npy", "git:08d6dff52f19be0e1ee57fddfe982dd0cab41a20"),
        (_SPRITES, "pokesprites_names.txt", "git:b4cd72066f2abbb1a06d88739df48f32638bdbbb"),
    ]
}
"""The files that `fetch` can bring, with their addresses and checksums."""


def cache_folder() -> Path:
    """The folder of downloaded files: $ENERGYAM_CACHE, or `energyam` in the user's cache folder.

    >>> eam.datasets.cache_folder().name
    'energyam'
    """
    named = os.environ.get("ENERGYAM_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(home) / "energyam"


def fetch(name: str) -> Path:
    """The file `name` of `FILES`, from the cache folder or downloaded into it, with its checksum verified.

    Raises `ValueError` for another name or a file with another checksum. If the file can't be downloaded,
    raises `FileNotFoundError` with instructions for doing it by hand.

        >>> eam.datasets.fetch("pokesprites_names.txt").parent == eam.datasets.cache_folder()
        True
    """
    name = checks.one_of("name", name, FILES)
    path = cache_folder() / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            part = Path(file.name)
            _download(name, part)
            _check(part, FILES[name], f"what came from {FILES[name].url}", "It was not kept")
    _check(path, FILES[name], str(path), "Delete it to have it fetched anew")
    return path


def _check(path: Path, file: RemoteFile, named: str, advice: str) -> None:
    """Raise `ValueError` unless what lies at `path` has the checksum of `file`."""
    kind, expected = file.checksum.split(":")
    content = path.read_bytes()
    if kind == "git":
        content = b"blob %d\0" % len(content) + content
    got = hashlib.new("sha1" if kind == "git" else kind, content, usedforsecurity=False).hexdigest()
    if got != expected:
        wrong = f"got {got}: the file is damaged or another one. {advice}"
        raise ValueError(f"{named} must have the {kind} checksum {expected}; {wrong}")


def _download(name: str, part: Path) -> None:
    try:
        import pooch

        pooch.HTTPDownloader(progressbar=True)(FILES[name].url, str(part), None)
    except (ImportError, OSError, ValueError) as error:
        missing = f"{name} is not in {cache_folder()} and could not be fetched ({_in_short(error)})"
        hint = f"Fetch it elsewhere from {FILES[name].url} and put it there"
        raise FileNotFoundError(f"{missing}. {hint}") from None


def _in_short(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "pooch is not installed: pip install 'energyam[data]'"
    text = f"{type(error).__name__}: {error}"
    return text if len(text) < 120 else type(error).__name__


def sprites() -> Images:
    """About a thousand Pokémon sprites (K, 48, 48), int8, ink −1 on paper +1, and their names.

    They are those of the dense storage tutorial at github.com/bhoov/amtutorial, downloaded at the first use.
    Raises as `fetch` does.

        >>> sprites = eam.datasets.sprites()
        >>> sprites.patterns.shape[1:], sorted(set(sprites.patterns.ravel().tolist()))
        ((48, 48), [-1, 1])
    """
    lines = fetch("pokesprites_names.txt").read_text("utf-8").splitlines()
    names = [line.strip().removesuffix(".png") for line in lines]
    pixels = np.load(fetch("pokesprites_pixels.npy"))
    pictures = pixels.reshape(-1, 48, 48)
    return Images(np.where(pictures > pictures.max() / 2, 1, -1).astype(np.int8), names)


@shown()
class Digits(NamedTuple):
    """Pictures of digits (N, 28, 28), 0 for paper to 255 for ink, and which digit each one is (N,).

    >>> digits = eam.datasets.Digits(np.zeros((2, 28, 28), np.uint8), np.array([3, 7], np.uint8))
    >>> digits.binary().shape, digits.labels.tolist()
    ((2, 28, 28), [3, 7])
    """

    images: UInt8[np.ndarray, "N 28 28"]
    labels: UInt8[np.ndarray, " N"]

    def binary(self) -> Int8[np.ndarray, "N 28 28"]:
        """The pictures as ±1 patterns, cut at half grey: ink −1 on paper +1."""
        return np.where(self.images > 127, -1, 1).astype(np.int8)


def mnist(train: bool = True) -> Digits:
    """MNIST's 60,000 digits for training or 10,000 for testing, downloaded at the first use.

    Raises as `fetch` does. LeCun, Cortes & Burges, "The MNIST database of handwritten digits", 1998.

        >>> digits = eam.datasets.mnist(train=False)
        >>> digits.images.shape[1:], digits.binary().dtype
        ((28, 28), dtype('int8'))
    """
    prefix = "train" if checks.flag("train", train) else "t10k"
    images = _unpacked(fetch(f"{prefix}-images-idx3-ubyte.gz"), header=16)
    labels = _unpacked(fetch(f"{prefix}-labels-idx1-ubyte.gz"), header=8)
    return Digits(images.reshape(-1, 28, 28), labels)


def _unpacked(path: Path, header: int) -> UInt8[np.ndarray, " bytes"]:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)
