"""The files in which rows lie: where each begins, and reading of some of them."""

import json
import os
import re
import sys
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, SupportsInt

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from energyam.wording import in_one_line

_GAP = 8  # rows that are read along where those between two that count do not
_CODES = {"BOOL": "bool", "BF16": "bfloat16"} | {f"F{8 * n}": f"float{8 * n}" for n in (2, 4, 8)}
_CODES |= {f"{a}{8 * n}": f"{b}int{8 * n}" for a, b in (("I", ""), ("U", "u")) for n in (1, 2, 4, 8)}


def _holders(rows, i):
    return sys.getrefcount(rows[i])


_UNHELD = _holders([np.empty(0)], 0)  # of what a list alone holds


class Part(NamedTuple):
    """Rows in one file, from a byte on; `kept`: which of them count, None where all do."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    kept: np.ndarray | None = None

    @property
    def num_rows(self) -> int:
        """How many rows count."""
        return self.shape[0] if self.kept is None else len(self.kept)

    def mapped(self) -> np.ndarray:
        """All that lies there, as an array that is read from the file where it is looked at."""
        if 0 in self.shape:
            return np.empty(self.shape, self.dtype)
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


class RowsInFiles:
    """The files, and one block that was asked for before it is needed. Equal only to itself.

    Behind the last row the first one is repeated, as often as somebody asks.
    """

    def __init__(self, parts: Sequence[Part], width: int, dtype: np.dtype):
        self.parts, self.width, self.dtype = parts, width, dtype
        self.firsts = np.cumsum([0, *(part.num_rows for part in parts)])
        self.files = [part.path.open("rb", buffering=0) for part in parts]
        for file in self.files:
            weakref.finalize(self, file.close)
        self.locks = [threading.Lock() for _ in parts]
        self.passed: set[str] = set()
        self.helper: ThreadPoolExecutor | None = None
        self.ahead: tuple[tuple[int, int], Future] | None = None
        self.room: list[np.ndarray] = []
        self.room_lock = threading.Lock()

    def __repr__(self) -> str:
        return str(self.parts[0].path)

    def at(self) -> "RowsInFiles":
        """Itself: these files don't change. `Versions` answers with one of its states."""
        return self

    def block(self, start: int, size: int) -> np.ndarray:
        """Rows from `start` on, and a look ahead at those behind them."""
        ahead, self.ahead = self.ahead, None
        rows = ahead[1].result() if ahead and ahead[0] == (start, size) else self.read(start, size)
        following = start + size, min(size, int(self.firsts[-1]) - start - size)
        if following[1] > 0:
            self.helper = self.helper or ThreadPoolExecutor(1, "energyam-rows")
            self.ahead = following, self.helper.submit(self.read, *following)
        return rows

    def rows_at(self, indices: ArrayLike) -> np.ndarray:
        """Rows of these indices, (*k, D)."""
        indices = np.asarray(indices)
        found = np.empty((indices.size, self.width), self.dtype)
        for at, index in enumerate(indices.reshape(-1)):
            self.read_into(found[at : at + 1], int(index))
        return found.reshape(*indices.shape, self.width)

    def read(self, start: int, size: int) -> np.ndarray:
        rows = self._room_for(size)
        self.read_into(rows, start)
        return rows

    def _room_for(self, size):
        """Memory that nobody holds any more, or new: its first use would take as long as the read."""
        with self.room_lock:
            for i in range(len(self.room)):
                if len(self.room[i]) == size and _holders(self.room, i) == _UNHELD:
                    return self.room[i]
            self.room = [*self.room[-2:], np.empty((size, self.width), self.dtype)]
            return self.room[-1]

    def read_into(self, rows: np.ndarray, start: int) -> None:
        filled = 0
        while filled < len(rows):
            if start + filled >= self.firsts[-1]:
                rows[filled:] = self.read(0, 1)
                return
            i = int(np.searchsorted(self.firsts, start + filled, side="right")) - 1
            within = start + filled - int(self.firsts[i])
            count = min(len(rows) - filled, self.parts[i].num_rows - within)
            self._read_part(i, within, rows[filled : filled + count])
            filled += count

    def _read_part(self, i, first, rows):
        kept = self.parts[i].kept
        if kept is None:
            return self._read_run(i, first, rows)
        places = kept[first : first + len(rows)]
        for a, b in pairwise([0, *(np.flatnonzero(np.diff(places) > _GAP) + 1), len(places)]):
            run = np.empty((places[b - 1] - places[a] + 1, self.width), self.dtype)
            self._read_run(i, int(places[a]), run)
            rows[a:b] = run[places[a:b] - places[a]]

    def _read_run(self, i, first, rows):
        target = memoryview(rows.reshape(-1).view(np.uint8))
        with self.locks[i]:
            self.files[i].seek(self.parts[i].offset + first * self.width * self.dtype.itemsize)
            while target:
                count = self.files[i].readinto(target)
                if not count:
                    path = self.parts[i].path
                    raise ValueError(f"{path} has become shorter while it was read: row {first} is missing")
                target = target[count:]


class Versions:
    """The states of rows that grow and shrink, by number. Equal only to itself, so that a program that reads
    them serves each state: it is given the number."""

    def __init__(self) -> None:
        self.states: dict[int, RowsInFiles] = {}

    def __repr__(self) -> str:
        return str(next(reversed(self.states.values()), "no rows"))

    def at(self, number: SupportsInt) -> RowsInFiles:
        """The files of one state; raises `ValueError` for one that is gone."""
        state = self.states.get(int(number))
        if state is None:
            raise ValueError("these rows of a store are gone: it has changed since; take store.patterns anew")
        return state


def parts_of(source: np.memmap | str | os.PathLike, name: str) -> list[Part]:
    """Where the rows of an `OnDisk` lie. Raises `FileNotFoundError` and `ValueError` as it does."""
    if isinstance(source, np.memmap):
        return [_part_of_memmap(source)]
    if not isinstance(source, str | os.PathLike):
        wanted = "an np.memmap, or the path of a .npy file, a safetensors file or a folder of shards"
        raise ValueError(f"source must be {wanted}; got {type(source).__name__}")
    path = Path(source)
    if path.is_dir():
        shards = sorted(p for p in path.iterdir() if re.fullmatch(r"\d{5}-of-\d{5}\.safetensors", p.name))
        if not shards or int(shards[0].name[9:14]) != len(shards):
            raise FileNotFoundError(f"{path}: {len(shards)} shards here, and not all of those of a memory")
        return [part_of_safetensors(shard, name) for shard in shards]
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open("rb") as file:
        is_npy = file.read(6) == b"\x93NUMPY"
    if is_npy:
        try:
            return [_part_of_memmap(np.load(path, mmap_mode="r"))]
        except Exception as error:  # of any kind: NumPy reads the header as Python
            raise ValueError(f"{path} is not a whole .npy file of rows ({in_one_line(error)})") from None
    return [part_of_safetensors(path, name)]


def _part_of_memmap(array):
    root = array
    while isinstance(root.base, np.memmap):
        root = root.base
    if array.filename is None or not array.flags.c_contiguous:
        raise ValueError("source must lie in a file, rows one after another; got a view that does not")
    offset = root.offset + array.ctypes.data - root.ctypes.data
    return Part(Path(array.filename), offset, array.shape, array.dtype)


def part_of_safetensors(path: Path, name: str) -> Part:
    """Where one tensor of a safetensors file lies. Raises `ValueError` for another file, or without it."""
    size = os.path.getsize(path)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            if length > size:
                raise ValueError
            header = json.loads(file.read(length))
            entries = {key: value for key, value in header.items() if key != "__metadata__"}
        except (ValueError, AttributeError, RecursionError):
            wanted = "a .npy file, a safetensors file or a folder of shards"
            raise ValueError(f"{path} must be {wanted}; got another or a truncated one") from None
    if name not in entries:
        raise ValueError(
            f"name must be one of {', '.join(sorted(entries))}, the tensors of {path}; got {name!r}"
        )
    try:
        entry = entries[name]
        dtype, shape, start = (
            jnp.dtype(_CODES.get(entry["dtype"], "V1")),
            entry["shape"],
            entry["data_offsets"][0],
        )
        if not all(type(number) is int and 0 <= number < 2**63 for number in (*shape, start)):
            raise ValueError
    except (ValueError, TypeError, KeyError, IndexError):
        raise ValueError(f"{path} is damaged: its header does not say where {name!r} lies") from None
    return Part(path, 8 + length + start, tuple(shape), dtype)


def check_dtype(name: str, dtype: np.dtype) -> None:
    """Raise `ValueError` unless JAX holds numbers of this dtype as they lie in a file."""
    hint = ""
    known = jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)
    if known and not dtype.isnative:
        hint = f' (write it anew as "{dtype.newbyteorder("=").name}", its lowest byte first)'
    elif known and jax.dtypes.canonicalize_dtype(dtype) != dtype:
        narrow = jax.dtypes.canonicalize_dtype(dtype).name
        hint = f" (write it anew as {narrow}, or switch on jax_enable_x64)"
    if hint or not known:
        wanted = "whole numbers or floats that JAX holds as they lie there"
        raise ValueError(f"{name} must have {wanted}; got dtype {dtype}{hint}")
