"""Rows that stay in files: memories read them block by block, and the next block is read ahead."""

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Int, Num

from energyam.row_files import RowsInFiles, Versions, check_dtype, parts_of

_BLOCK_BYTES = 2**22  # of rows that are read at a time: large enough for a call, small enough for a cache
_BLOCK = 2048  # such a block is a multiple of so many rows
_TESTS: dict[str, tuple[Callable, str]] = {
    "ones": (lambda rows: np.abs(rows) == 1, "rows of ±1"),
    "finite": (np.isfinite, "finite numbers"),
}


class Opened(NamedTuple):
    """The data of an `OnDisk`: files, how many of their rows, and which state of files that change."""

    file: RowsInFiles | Versions
    shape: tuple[int, int]
    dtype: np.dtype
    version: Int[Array, ""] | None = None


class OnDisk(eqx.Module):
    """Rows (K, D) that stay on disk, in place of an array of patterns, or of keys and values.

        eam.ExponentialDenseAM(eam.OnDisk("patterns.npy"), beta=0.5)

    Reads, `energyam.nearest`, `evaluation.retrieved` and recall by rules that follow the field
    (`Synchronous`, `Relaxation`, `GradientDescent`) then take a block of some 4 MB at a time from the file,
    for all queries at once, while the next block is being read. The results equal those of the same memory
    with an array, up to rounding. Rules that try single neurons (`Asynchronous`, `HeatBath`) need the
    patterns in memory, and so do `save` and the sharding of patterns; use `np.load(path)` if they fit.

    The entries (±1, or finite numbers) are checked when a memory is made, in one pass over the file for each
    `OnDisk`. The file stays open, and must not be changed as long as it is read. A file that becomes shorter
    ends a read with an error that says so: a `ValueError`, or what JAX makes of it in a compiled program, a
    `jax.errors.JaxRuntimeError` with the same words. Programs are compiled anew for each `OnDisk`.

    **Arguments:** `source`: an `np.memmap`, or the path of a `.npy` file, of a safetensors file, or of a
    folder that `sharding.save_shards` wrote; `name`: of the tensor in a safetensors file or folder,
    `"patterns"` unless given. Raises `FileNotFoundError` for a missing file, and `ValueError` for other
    sources, for rows that don't lie one after another, for a truncated file, and for a dtype that JAX does
    not hold (big-endian numbers; 64 bits without `jax_enable_x64`). The checksums of safetensors files are
    not checked.

        >>> np.save("patterns.npy", np.eye(4, dtype=np.float32))
        >>> memory = eam.ModernHopfield(eam.OnDisk("patterns.npy"), beta=20.0)  # read block by block
        >>> np.asarray(eam.recall(memory, jnp.array([0.1, 0.8, 0.2, 0.0])).state).round(2)
        array([0., 1., 0., 0.], dtype=float32)
    """

    file: Any = eqx.field(static=True, repr=False)
    shape: tuple[int, int] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)
    version: Int[Array, ""] | None = eqx.field(repr=False)

    def __init__(self, source: np.memmap | str | os.PathLike | Opened, name: str = "patterns"):
        opened = source if isinstance(source, Opened) else _opened(source, name)
        self.file, self.shape, self.dtype, self.version = opened

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
        form, file = jax.ShapeDtypeStruct((*indices.shape, self.shape[1]), self.dtype), self.file

        def read(indices, *version):  # without self, whose version may be traced
            return file.at(*(v.reshape(-1)[0] for v in version)).rows_at(indices)

        return jax.pure_callback(read, form, indices, *self._version, vmap_method="expand_dims")

    def block(self, start: Int[ArrayLike, ""], size: int) -> Num[Array, "size D"]:
        """The `size` rows from `start` on; those behind them are fetched meanwhile."""
        form, file = jax.ShapeDtypeStruct((size, self.shape[1]), self.dtype), self.file

        def read(start, *version):
            return file.at(*version).block(int(start), size)

        return jax.pure_callback(read, form, jnp.asarray(start), *self._version, vmap_method="sequential")

    def padded(self, num_rows: int) -> "OnDisk":
        """These rows, and as many repeats of the first one behind them as make `num_rows`."""
        return OnDisk(Opened(self.file, (num_rows, self.shape[1]), self.dtype, self.version))

    @property
    def _version(self):
        return () if self.version is None else (self.version,)

    @property
    def block_size(self) -> int:
        """How many rows are read at a time."""
        size = _BLOCK_BYTES // (self.shape[1] * self.dtype.itemsize)
        return min(max(_BLOCK, size - size % _BLOCK), self.shape[0])

    def must_hold(self, what: str) -> bool:
        """Raise `ValueError` unless all entries are "ones", ±1, or "finite"; the file is read for it once."""
        test, wanted = _TESTS[what]
        file = self.file.at(*self._version)
        for start in range(0, len(self), self.block_size) if what not in file.passed else ():
            rows = file.block(start, min(self.block_size, len(self) - start))
            wrong = ~test(rows).all(axis=1)
            if wrong.any():
                row = start + int(wrong.argmax())
                raise ValueError(f"{file} must hold {wanted}; got {rows[row - start]} in row {row}")
        file.passed.add(what)
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


def _opened(source, name):
    if not isinstance(name, str):
        raise ValueError(f"name must be that of a tensor, a text; got {name!r:.80}")
    parts = parts_of(source, name)
    dtype, width = parts[0].dtype, parts[0].shape[-1]
    check_dtype(str(parts[0].path), dtype)
    for part in parts:
        if len(part.shape) != 2 or 0 in part.shape:
            raise ValueError(f"{part.path} must hold rows (K, D); got shape {part.shape}")
        if (part.dtype, part.shape[1]) != (dtype, width):
            got = f"{part.dtype} of {part.shape[1]} columns in {part.path}"
            raise ValueError(f"shards must be alike; got {dtype} of {width} columns and {got}")
        if os.path.getsize(part.path) < part.offset + math.prod(part.shape) * dtype.itemsize:
            raise ValueError(f"{part.path} is truncated: it is shorter than its {part.shape[0]} rows")
    num_rows = sum(part.shape[0] for part in parts)
    return Opened(RowsInFiles(parts, width, dtype), (num_rows, width), dtype)
