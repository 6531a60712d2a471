"""Rows that stay in files: memories read them block by block, the next block on its way meanwhile."""

import json
import math
import os
import re
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Int, Num

_BLOCK_BYTES = 2**22  # of rows that are read at a time: large enough for a call, small enough for a cache
_BLOCK = 2048  # such a block is a multiple of so many rows
_CODES = {"BOOL": "bool", "BF16": "bfloat16"} | {f"F{8 * n}": f"float{8 * n}" for n in (2, 4, 8)}
_CODES |= {f"{a}{8 * n}": f"{b}int{8 * n}" for a, b in (("I", ""), ("U", "u")) for n in (1, 2, 4, 8)}
_TESTS: dict[str, tuple[Callable, str]] = {
    "ones": (lambda rows: np.abs(rows) == 1, "rows of ±1"),
    "finite": (np.isfinite, "finite numbers"),
}


class OnDisk(eqx.Module):
    """Rows (K, D) that stay on disk, in place of an array of patterns, or of keys and values.

        eam.ExponentialDenseAM(eam.OnDisk("patterns.npy"), beta=0.5)

    Reads, `energyam.nearest`, `evaluation.retrieved` and recall by rules that follow the field
    (`Synchronous`, `Relaxation`, `GradientDescent`) then take a block of some 4 MB at a time from the file,
    for all queries at once, while the next block is being read. They give what the same memory gives from
    an array, to rounding.
    What tries single neurons (`Asynchronous` recall, `HeatBath`) needs the patterns in memory, and so do
    `save` and the sharding of patterns: `np.load(path)` gives them where they fit.

    What a file must hold (±1, or finite numbers) is checked as a memory is made, in one pass over the file
    for each `OnDisk`. The file stays open, and must not be changed as long as it is read. A file that becomes
    shorter ends a read with an error that says so: a `ValueError`, or what JAX makes of it in a compiled
    program, a `jax.errors.JaxRuntimeError` with the same words. Programs are compiled anew for each `OnDisk`.

    **Arguments:** `source`: an `np.memmap`, or the path of a `.npy` file, of a safetensors file, or of a
    folder that `sharding.save_shards` wrote; `name`: of the tensor in a safetensors file or folder,
    `"patterns"` unless given. Raises `FileNotFoundError` for a missing file, and `ValueError` for what is
    none of these, does not hold rows one after another, is shorter than it says, or has a dtype that JAX does
    not hold (numbers whose highest byte comes first; 64 bits without `jax_enable_x64`). The checksums of
    safetensors files are not looked at.
    """

    file: Any = eqx.field(static=True, repr=False)
    shape: tuple[int, int] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, source: np.memmap | str | os.PathLike, name: str = "patterns"):
        parts = _parts_of(source, name)
        self.dtype, width = parts[0].dtype, parts[0].shape[-1]
        _check_dtype(parts[0])
        for part in parts:
            if len(part.shape) != 2 or 0 in part.shape:
                raise ValueError(f"{part.path} must hold rows (K, D); got shape {part.shape}")
            if (part.dtype, part.shape[1]) != (self.dtype, width):
                got = f"{part.dtype} of {part.shape[1]} columns in {part.path}"
                raise ValueError(f"shards must be alike; got {self.dtype} of {width} columns and {got}")
            if os.path.getsize(part.path) < part.offset + math.prod(part.shape) * self.dtype.itemsize:
                raise ValueError(f"{part.path} is truncated: it is shorter than its {part.shape[0]} rows")
        self.shape = sum(part.shape[0] for part in parts), width
        self.file = RowsInFiles(parts, width, self.dtype)

    @property
    def ndim(self) -> int:
        """2: rows and columns."""
        return 2

    @property
    def size(self) -> int:
        """The number of entries, K · D."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: ArrayLike) -> Num[Array, "*k D"]:
        """The rows (*k, D) of some indices, an array of whole numbers from 0 to K − 1."""
        if not isinstance(indices, jax.Array | np.ndarray | np.integer | int):
            self.astype(None)
        indices = jnp.asarray(indices)
        form = jax.ShapeDtypeStruct((*indices.shape, self.shape[1]), self.dtype)
        return jax.pure_callback(self.file.rows_at, form, indices, vmap_method="expand_dims")

    def block(self, start: Int[ArrayLike, ""], size: int) -> Num[Array, "size D"]:
        """The `size` rows from `start` on; those behind them are fetched meanwhile."""
        form = jax.ShapeDtypeStruct((size, self.shape[1]), self.dtype)

        def read(start):
            return self.file.block(int(start), size)

        return jax.pure_callback(read, form, jnp.asarray(start), vmap_method="sequential")

    @property
    def block_size(self) -> int:
        """How many rows are read at a time."""
        size = _BLOCK_BYTES // (self.shape[1] * self.dtype.itemsize)
        return min(max(_BLOCK, size - size % _BLOCK), self.shape[0])

    def must_hold(self, what: str) -> bool:
        """Raise `ValueError` unless all entries are "ones", ±1, or "finite"; the file is read for it once."""
        test, wanted = _TESTS[what]
        for start in range(0, len(self), self.block_size) if what not in self.file.passed else ():
            rows = self.file.block(start, min(self.block_size, len(self) - start))
            wrong = ~test(rows).all(axis=1)
            if wrong.any():
                row = start + int(wrong.argmax())
                raise ValueError(f"{self.file} must hold {wanted}; got {rows[row - start]} in row {row}")
        self.file.passed.add(what)
        return True

    def astype(self, dtype: DTypeLike | None) -> Any:
        """Refused, as everything that would need all rows in memory: raises `ValueError`."""
        what = f"rows on disk ({self.file}) can't be used by this call, which needs all of them in memory"
        hint = "use eam.Synchronous(), eam.nearest or a read, or make the memory of an array (np.load(path))"
        raise ValueError(f"{what}; {hint}")

    def reshape(self, *shape: Any) -> Any:
        """Refused as `astype` is: raises `ValueError`."""
        return self.astype(None)

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return self.astype(None)

    def __jax_array__(self) -> Array:
        return self.astype(None)


RowsLike = ArrayLike | OnDisk
# Type checkers see an array: most code takes either, and what can't says so when it is run.
if TYPE_CHECKING:
    AnyArray = Array
else:
    AnyArray = Array | OnDisk


class _Part(NamedTuple):
    """Rows in one file, from a byte on."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class RowsInFiles:
    """The files, and one block that was asked for before it is needed. Equal only to itself."""

    def __init__(self, parts: Sequence[_Part], width: int, dtype: np.dtype):
        self.parts, self.width, self.dtype = parts, width, dtype
        self.firsts = np.cumsum([0, *(part.shape[0] for part in parts)])
        self.files = [part.path.open("rb", buffering=0) for part in parts]
        for file in self.files:
            weakref.finalize(self, file.close)
        self.locks = [threading.Lock() for _ in parts]
        self.passed: set[str] = set()
        self.helper: ThreadPoolExecutor | None = None
        self.ahead: tuple[tuple[int, int], Future] | None = None

    def __repr__(self) -> str:
        return str(self.parts[0].path)

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
        rows = np.empty((size, self.width), self.dtype)
        self.read_into(rows, start)
        return rows

    def read_into(self, rows: np.ndarray, start: int) -> None:
        filled = 0
        while filled < len(rows):
            i = int(np.searchsorted(self.firsts, start + filled, side="right")) - 1
            within = start + filled - int(self.firsts[i])
            count = min(len(rows) - filled, self.parts[i].shape[0] - within)
            self._read_part(i, within, rows[filled : filled + count])
            filled += count

    def _read_part(self, i, first, rows):
        target = memoryview(rows.reshape(-1).view(np.uint8))
        with self.locks[i]:
            self.files[i].seek(self.parts[i].offset + first * self.width * self.dtype.itemsize)
            while target:
                count = self.files[i].readinto(target)
                if not count:
                    path = self.parts[i].path
                    raise ValueError(f"{path} has become shorter while it was read: row {first} is missing")
                target = target[count:]


def _parts_of(source, name):
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
        return [_part_of_safetensors(shard, name) for shard in shards]
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with path.open("rb") as file:
        is_npy = file.read(6) == b"\x93NUMPY"
    if is_npy:
        try:
            return [_part_of_memmap(np.load(path, mmap_mode="r"))]
        except ValueError as error:
            raise ValueError(f"{path} is not a whole .npy file of rows ({error})") from None
    return [_part_of_safetensors(path, name)]


def _part_of_memmap(array):
    root = array
    while isinstance(root.base, np.memmap):
        root = root.base
    if array.filename is None or not array.flags.c_contiguous:
        raise ValueError("source must lie in a file, rows one after another; got a view that does not")
    offset = root.offset + array.ctypes.data - root.ctypes.data
    return _Part(Path(array.filename), offset, array.shape, array.dtype)


def _part_of_safetensors(path, name):
    size = os.path.getsize(path)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            if length > size:
                raise ValueError
            header = json.loads(file.read(length))
            entries = {key: value for key, value in header.items() if key != "__metadata__"}
        except (ValueError, AttributeError):
            wanted = "a .npy file, a safetensors file or a folder of shards"
            raise ValueError(f"{path} must be {wanted}; got another or a truncated one") from None
    if name not in entries:
        raise ValueError(
            f"name must be one of {', '.join(sorted(entries))}, the tensors of {path}; got {name!r}"
        )
    entry = entries[name]
    dtype = jnp.dtype(_CODES.get(entry["dtype"], "V1"))
    return _Part(path, 8 + length + entry["data_offsets"][0], tuple(entry["shape"]), dtype)


def _check_dtype(part):
    dtype, hint = part.dtype, ""
    known = jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)
    if known and not dtype.isnative:
        hint = f' (write it anew as "{dtype.newbyteorder("=").name}", its lowest byte first)'
    elif known and jax.dtypes.canonicalize_dtype(dtype) != dtype:
        narrow = jax.dtypes.canonicalize_dtype(dtype).name
        hint = f" (write it anew as {narrow}, or switch on jax_enable_x64)"
    if hint or not known:
        wanted = "whole numbers or floats that JAX holds as they lie there"
        raise ValueError(f"{part.path} must have {wanted}; got dtype {dtype}{hint}")
