"""Safetensors files: written whole or not at all, with checksums, and opened with errors that name the path.

Every file has a checksum for each tensor, and one for the rest of its metadata, so that damage is found
where it is read. Tensors are streamed to the file one after another, without a second copy of all of them.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from energyam.files import as_path, replacing


class Streamed(NamedTuple):
    """A tensor that is not in memory: `blocks()` gives its parts along the first axis, as often as asked."""

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[], Iterable[np.ndarray]]

    @property
    def nbytes(self) -> int:
        """The number of its bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


Tensors = Mapping[str, np.ndarray | Streamed]

_CHECKSUM, _CHECKSUMS = "energyam.checksum", "energyam.checksums"  # of the other metadata; of each tensor
_CODES = {"bool": "BOOL", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64"}
_CODES |= {f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)}
_CODES |= {f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)}


def can_hold(dtype: np.dtype) -> bool:
    """Whether tensors of this dtype can be written."""
    return dtype.name in _CODES


def write_tensors(path: str | os.PathLike, tensors: Tensors, metadata: Mapping[str, str]) -> None:
    """Replace the file at `path` by one of these tensors and this metadata, whole or not at all.

    Raises `ValueError` for a dtype that such files can't hold, and as `energyam.files.replacing` does.
    """
    for name, tensor in tensors.items():
        if not can_hold(tensor.dtype):
            raise ValueError(f"{name} must have a dtype among {', '.join(_CODES)}; got {tensor.dtype}")
    # The widest first, so that each begins at a multiple of its own width.
    ordered = {n: tensors[n] for n in sorted(tensors, key=lambda n: (-tensors[n].dtype.itemsize, n))}
    header = _header(ordered, metadata)
    with replacing(path) as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for tensor in ordered.values():
            for block in _blocks(tensor):
                file.write(_content(block))


class TensorFile(NamedTuple):
    """A safetensors file that is open: its metadata, the names of its tensors, and `tensor(name)`."""

    path: Path
    metadata: dict[str, str]
    names: frozenset[str]
    checksums: dict[str, str] | None  # of each tensor; None for a file without
    opened: Any

    def tensor(self, name: str) -> np.ndarray:
        """One tensor; raises `ValueError` if it is missing or not as it was written."""
        if name not in self.names:
            raise ValueError(f"{self.path} has no tensor {name!r}")
        try:
            tensor = self.opened.get_tensor(name)
        except AttributeError as error:  # what safetensors looks up in NumPy and does not find
            raise ValueError(f"{self.path}: {name} has a dtype that can't be read ({error})") from None
        self.check(name, tensor)
        return tensor

    def check(self, name: str, tensor: np.ndarray) -> None:
        """Raise `ValueError` if this, which was read as the tensor of that name, is not as it was written."""
        if self.checksums is not None and self.checksums.get(name) != _checksum(tensor):
            raise ValueError(f"{self.path} is damaged: {name} is not what was written")

    def kind(self, name: str) -> str:
        """The dtype of a tensor as the file names it, say "BF16"; raises `ValueError` if it is missing."""
        if name not in self.names:
            raise ValueError(f"{self.path} has no tensor {name!r}")
        return self.opened.get_slice(name).get_dtype()

    def tensors(self) -> dict[str, np.ndarray]:
        """All tensors by name; raises `ValueError` if one is not as it was written."""
        return {name: self.tensor(name) for name in sorted(self.names)}

    def version_of(self, kind: str) -> int:
        """The number behind the kind in the file's format, such as "energyam training checkpoint 2".

        Files of version 1 had no checksums. Raises `ValueError` for another kind, an unknown version, and
        checksums that are missing.
        """
        found = self.metadata.get("format", "none")
        if found not in (f"energyam {kind} 1", f"energyam {kind} 2"):
            raise ValueError(f"{self.path} is not a {kind}; its format is {found}")
        version = int(found[-1])
        if version > 1:
            self.want_checksums()
        return version

    def want_checksums(self) -> None:
        """Raise `ValueError` for a file without checksums, where one of its format must have them."""
        if self.checksums is None:
            raise ValueError(f"{self.path} is damaged: its checksums are missing")


@contextmanager
def opened_tensors(path: str | os.PathLike) -> Iterator[TensorFile]:
    """A safetensors file, open for the length of the block, in which errors of reading name its path.

    Raises `FileNotFoundError` for a missing file, `OSError` for one that can't be read, and `ValueError` for
    one that is truncated, is not a safetensors file, or whose metadata is not what was written.
    """
    from safetensors import SafetensorError, safe_open

    path = as_path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        path.open("rb").close()  # the system's own errors, of permissions and the like, name the path
        with safe_open(path, framework="numpy") as opened:
            metadata, names = opened.metadata() or {}, frozenset(opened.keys())
            yield TensorFile(path, metadata, names, _read_checksums(path, metadata, names), opened)
    except SafetensorError as error:
        reason = f"it is truncated, or something else ({error})"
        raise ValueError(f"{path} is not a whole safetensors file: {reason}") from None


def _header(tensors: Tensors, metadata: Mapping[str, str]) -> bytes:
    checksums = {name: _checksum(tensor) for name, tensor in tensors.items()}
    metadata = {**metadata, _CHECKSUMS: json.dumps(checksums)}
    entries: dict[str, Any] = {"__metadata__": {**metadata, _CHECKSUM: _checksum_of_metadata(metadata)}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        code = _CODES[tensor.dtype.name]
        entries[name] = {"dtype": code, "shape": tensor.shape, "data_offsets": [start, end]}
    header = json.dumps(entries).encode()
    return header.ljust(8 * math.ceil(len(header) / 8))


def _read_checksums(path: Path, metadata: Mapping[str, str], names: frozenset[str]) -> dict[str, str] | None:
    if not {_CHECKSUM, _CHECKSUMS} & metadata.keys():
        return None
    others = {name: text for name, text in metadata.items() if name != _CHECKSUM}
    if metadata.get(_CHECKSUM) != _checksum_of_metadata(others):
        raise ValueError(f"{path} is damaged: its metadata are not what was written")
    checksums = json.loads(metadata[_CHECKSUMS])
    if checksums.keys() != names:
        raise ValueError(f"{path} is damaged: its tensors are not those that were written")
    return checksums


def _blocks(tensor: np.ndarray | Streamed) -> Iterator[np.ndarray]:
    return map(_plain, tensor.blocks() if isinstance(tensor, Streamed) else (tensor,))


def _plain(tensor: np.ndarray) -> np.ndarray:
    """The tensor in one piece, rows first, the lowest byte of each number first."""
    return np.asarray(tensor, tensor.dtype.newbyteorder("<"), order="C")


def _content(tensor: np.ndarray) -> Any:
    """The bytes of a tensor, not copied; by way of uint8, as NumPy lends out no bfloat16."""
    return tensor.reshape(-1).view(np.uint8)


def _checksum(tensor: np.ndarray | Streamed) -> str:
    digest = hashlib.sha256(f"{tensor.dtype.name} {tensor.shape}".encode())
    for block in _blocks(tensor):
        digest.update(_content(block))
    return digest.hexdigest()


def _checksum_of_metadata(metadata: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(metadata.items())).encode()).hexdigest()
