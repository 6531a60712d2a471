"""The files that examples in docstrings read: tiny models, and small stand-ins of what is fetched."""

import contextlib
import gzip
import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
from lm_files import MERGES, VOCABULARY
from lm_models import FOLDERS
from PIL import Image

from energyam.datasets import downloads


def models(folder: Path):
    """The folders tiny_gpt2, with a tokenizer, and tiny_llama."""
    for name, source in FOLDERS.items():
        shutil.copytree(source, folder / f"tiny_{name}")
    place = folder / "tiny_gpt2"
    (place / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(VOCABULARY)}))
    (place / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES))


def fetched(cache: Path) -> dict[str, downloads.RemoteFile]:
    """What is in the cache folder after everything has been fetched, of few pictures; their checksums."""
    cache.mkdir()
    content = {
        "pokesprites_pixels.npy": _saved(np.tile(np.array([0, 255], np.uint8), 1152).reshape(1, 48, 48)),
        "pokesprites_names.txt": b"eevee.png",
        "t10k-images-idx3-ubyte.gz": gzip.compress(bytes(16 + 784)),
        "t10k-labels-idx1-ubyte.gz": gzip.compress(bytes(8) + b"\x07"),
        "images_background_small1.zip": _characters(),
    }
    content |= {name.replace("t10k", "train"): data for name, data in content.items()}
    for name, data in content.items():
        (cache / name).write_bytes(data)
    checksums = {name: f"md5:{hashlib.md5(data).hexdigest()}" for name, data in content.items()}
    return {
        name: downloads.RemoteFile("https://example.org", checksum) for name, checksum in checksums.items()
    }


def _saved(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _characters():
    """A zip of one character as twenty people drew it."""
    file, picture = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.eye(105, dtype=np.uint8) * 255).convert("1").save(picture, "PNG")
    with contextlib.closing(zipfile.ZipFile(file, "w")) as archive:
        for drawer in range(20):
            archive.writestr(f"small/Greek/character01/0001_{drawer:02}.png", picture.getvalue())
    return file.getvalue()
