"""Memories spread over many devices or hosts: the same recalls and reads, and files written in shards.

Patterns lie in rows over one axis of a mesh, queries over another. Nothing else changes: `recall` and the
reads are compiled for the mesh of their arguments. Only the sums over each device's patterns travel between
devices, D + 2 numbers for each query and step.
"""

import os
import re
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, ArrayLike, Shaped

from energyam import checks
from energyam.files import as_path
from energyam.names import public_names
from energyam.saving import load, save
from energyam.tensor_files import opened_tensors


def shard_patterns(memory: Any, mesh: Mesh, axis: str) -> Any:
    """The same memory with its patterns, keys and values, or couplings in equal parts over a mesh axis.

    Everything except these rows is copied to every device. In a program of several processes, each of them
    calls this with the same memory; with `load_shards` no process needs to hold all of it.

    **Arguments:** `memory`: any dense memory, a `KeyValueMemory`, or a `HopfieldNetwork`, whose couplings
    lie in rows (D, D); `mesh`: of any devices; `axis`: one of its axis names. Raises `ValueError` for another
    memory, an axis that the mesh does not have, or a number of rows that is not a multiple of the devices
    along it.

        >>> mesh = jax.make_mesh((1,), ("rows",))  # as many devices as there are
        >>> memory = eam.sharding.shard_patterns(eam.CHN(jnp.array([[1, 1, -1, -1]])), mesh, "rows")
        >>> memory.patterns.sharding.spec[0]
        'rows'
    """
    K = getattr(memory, _row_fields(memory)[0]).shape[0]
    by_rows = _sharding("patterns", K, mesh, axis)
    return _map_leaves(memory, lambda name, rows: _placed(rows, by_rows), _copied_over(by_rows.mesh))


def shard_queries(queries: ArrayLike, mesh: Mesh, axis: str) -> Shaped[Array, "*batch D"]:
    """Queries (B, …, D) with their first axis spread in equal parts over a mesh axis.

    Raises `ValueError` for a single query, an axis that the mesh does not have, or B not a multiple of the
    devices along it.

        >>> mesh = jax.make_mesh((1,), ("rows",))
        >>> eam.sharding.shard_queries(jnp.ones((2, 4)), mesh, "rows").sharding.spec[0]
        'rows'
    """
    queries = checks.as_array("queries", queries, "... B D")
    return _placed(queries, _sharding("queries", queries.shape[0], mesh, axis))


def save_shards(folder: str | os.PathLike, memory: Any) -> None:
    """Write a sharded memory to a folder, one file for each shard; each process writes the shards that it
    holds.

    Each file is what `eam.save` writes for the memory with only that shard's patterns. No file is
    overwritten, so that the parts of two memories can't be mixed.

    Raises `ValueError` for a memory without patterns to shard, for a network (a part of its couplings is no
    network), and if such a file already exists.

        >>> mesh = jax.make_mesh((1,), ("rows",))
        >>> memory = eam.sharding.shard_patterns(eam.CHN(jnp.array([[1, 1, -1, -1]])), mesh, "rows")
        >>> eam.sharding.save_shards("shards", memory)
    """
    if _row_fields(memory) == ("weights",):
        raise ValueError(
            "memory must have patterns, or keys and values; couplings are saved whole, by eam.save"
        )
    folder = as_path(folder, "folder")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"folder must be a folder; got {str(folder)!r}, which is a file")
    shards = {name: _own_shards(getattr(memory, name)) for name in _row_fields(memory)}
    folder.mkdir(parents=True, exist_ok=True)
    for index, count in next(iter(shards.values())):
        path = folder / _file_name(index, count)
        if path.exists():
            raise ValueError(f"{path} is already there; save to a new folder")
        part = _map_leaves(memory, lambda name, _, at=(index, count): shards[name][at], np.asarray)
        save(path, part)


def load_shards(folder: str | os.PathLike, mesh: Mesh, axis: str) -> Any:
    """Read a memory that `save_shards` wrote, and spread it over a mesh axis of any length; each process
    reads its own rows.

    Raises `FileNotFoundError` if a file is missing, and `ValueError` for files of two memories, damaged
    ones, an axis that the mesh does not have, or K not a multiple of the devices along it.

        >>> mesh = jax.make_mesh((1,), ("rows",))
        >>> memory = eam.sharding.shard_patterns(eam.CHN(jnp.array([[1, 1, -1, -1]])), mesh, "rows")
        >>> eam.sharding.save_shards("parts", memory)
        >>> eam.sharding.load_shards("parts", mesh, "rows").patterns
        Array([[ 1,  1, -1, -1]], dtype=int8)
    """
    files = _shard_files(as_path(folder, "folder"))
    first = load(files[0])
    size = getattr(first, _row_fields(first)[0]).shape[0]
    by_rows = _sharding("patterns", size * len(files), mesh, axis)
    read_field = lru_cache(maxsize=1)(_read_field)  # devices next to each other often share a file

    def gather(name, rows):
        def read(index):
            start, stop, _ = index[0].indices(size * len(files))
            return _read_rows(files, name, start, stop, size, read_field).astype(rows.dtype)

        return jax.make_array_from_callback((size * len(files), *rows.shape[1:]), by_rows, read)

    return _map_leaves(first, gather, _copied_over(by_rows.mesh))


def _row_fields(memory):
    """The fields that are shared out: patterns, keys and values, or the couplings of a network."""
    for names in (("keys", "values"), ("patterns",), ("weights",)):
        rows: list[Any] = [getattr(memory, name, None) for name in names]
        if isinstance(memory, eqx.Module) and all(getattr(row, "ndim", 0) > 1 for row in rows):
            for row in rows:
                checks.in_memory(row)
            return names
    wanted = "patterns, keys and values, or couplings, in rows that can be shared out"
    raise ValueError(f"memory must have {wanted}; got {type(memory).__name__}")


def _map_leaves(memory, of_rows, of_others):
    """The memory with `of_rows(name, rows)` for its fields of rows and `of_others(leaf)` for other leaves."""
    names = _row_fields(memory)

    def change(path, leaf):
        return of_rows(path[0].name, leaf) if path[0].name in names else of_others(leaf)

    return jax.tree_util.tree_map_with_path(change, memory)


def _sharding(name, rows, mesh, axis):
    if not isinstance(mesh, Mesh):
        raise ValueError(f"mesh must be a jax.sharding.Mesh; got {type(mesh).__name__}")
    if not isinstance(axis, str) or axis not in mesh.axis_names:
        raise ValueError(f"axis must be one of the mesh's, {mesh.axis_names}; got {axis!r}")
    if rows % mesh.shape[axis]:
        devices = f"the {mesh.shape[axis]} devices along {axis!r}"
        raise ValueError(f"{name} must be a multiple of {devices}; got {rows} of them")
    # `jax.make_mesh` may ask for shardings to be written out in types; here the compiler finds them.
    return NamedSharding(Mesh(mesh.devices, mesh.axis_names), PartitionSpec(axis))


def _copied_over(mesh):
    return lambda leaf: _placed(leaf, NamedSharding(mesh, PartitionSpec()))


def _placed(leaf, sharding):
    leaf = jnp.asarray(leaf)
    if sharding.is_fully_addressable or not leaf.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _own_shards(rows):
    """The shards that this process is to write, by (which, of how many)."""
    own = [shard for shard in rows.addressable_shards if shard.replica_id == 0]
    count = rows.shape[0] // rows.sharding.shard_shape(rows.shape)[0]
    at = [(shard.index[0].start or 0) * count // rows.shape[0] for shard in own]
    return {(i, count): np.asarray(shard.data) for i, shard in zip(at, own, strict=True)}


def _file_name(index, count):
    return f"{index:05d}-of-{count:05d}.safetensors"


def _shard_files(folder):
    found = [re.fullmatch(r"\d{5}-of-(\d{5})\.safetensors", path.name) for path in sorted(folder.glob("*"))]
    counts = {int(match[1]) for match in found if match}
    if not counts:
        raise FileNotFoundError(f"{folder}: no shards here")
    if len(counts) > 1:
        raise ValueError(f"{folder}: shards of different memories, cut in {sorted(counts)}")
    (count,) = counts
    files = [folder / _file_name(index, count) for index in range(count)]
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file, one of {count} shards")
    return files


def _read_rows(files, name, start, stop, size, read):
    """Rows start to stop of a field that lies in files of `size` rows each."""
    pieces = []
    for i in range(start // size, -(-stop // size)):
        rows = read(files[i], name)
        if len(rows) != size:
            raise ValueError(f"{files[i]}: {len(rows)} rows, and {size} in the first shard")
        pieces.append(rows[max(start - i * size, 0) : min(stop - i * size, size)])
    return np.concatenate(pieces)


def _read_field(path, name):
    with opened_tensors(path) as file:
        return file.tensor(name)  # all of it, as its checksum is of all of it


__all__, __dir__ = public_names(__name__)
