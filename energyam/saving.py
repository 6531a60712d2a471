"""Save and load a module, energyam's or your own: one safetensors file with its arrays and its structure."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax

from energyam.files import as_path, check_target
from energyam.flips.colouring import Colouring
from energyam.structure import Description, describe, rebuild
from energyam.tensor_files import TensorFile, opened_tensors, write_tensors

FORMAT = 3  # 1 had no checksums and no classes of users, 2 did not say which arrays are NumPy's
_KEY = "energyam"


def save(path: str | os.PathLike, memory: eqx.Module) -> None:
    """Write a memory, or any other `eqx.Module`, to `path`, completely or not at all.

    The file is safetensors: arrays under the path of their field, and in the metadata the format version,
    the class of every part, its other fields, and checksums. Symbolic links are followed.

    `load` restores it: JAX arrays as JAX arrays, NumPy arrays as NumPy arrays, and Python numbers as Python
    numbers.

    Raises `ValueError` if it is no module, and for a field that a file can't hold, such as a function, a
    schedule, or an array spread over several processes (see `energyam.sharding`); `OSError` if the folder is
    missing or can't be written to, or the disk is full. An old file then stays.

        >>> eam.save("memory.safetensors", eam.CHN(jnp.array([[1, 1, -1, -1]])))
        >>> eam.load("memory.safetensors")
        CHN(patterns=[[1, 1, -1, -1]], separation=Quadratic(), neurons=Binary())
    """
    check_target(path)
    if not isinstance(memory, eqx.Module):
        got = f"the class {memory.__name__}" if isinstance(memory, type) else type(memory).__name__
        raise ValueError(f"memory must be a module, an eqx.Module; got {got}")
    tree, tensors = describe(memory, _own_classes())
    write_tensors(path, tensors, {_KEY: json.dumps({"format": FORMAT, "module": tree})})


def load(path: str | os.PathLike, classes: Sequence[type] = ()) -> Any:
    """Read a module that `save` wrote, and make the same checks as its construction.

    **Arguments:** `classes`: your own classes (modules or named tuples) that the file contains; they are
    looked up by name, before energyam's. Fields that were added to a class after the file was written take
    their defaults.

    Raises `FileNotFoundError` for a missing file, and `ValueError` for one that is damaged, was not written
    by `save`, is of a newer format, has a class that is not known or a field without a default, has JAX's
    arrays of 64 bits where JAX is not set to hold them, or is refused by a converter or the `__check_init__`
    of one of its classes.

        >>> eam.save("network.safetensors", eam.HopfieldNetwork(jnp.ones((2, 2)) - jnp.eye(2)))
        >>> eam.load("network.safetensors").weights
        Array([[0., 1.],
               [1., 0.]], dtype=float32)
    """
    path, users = as_path(path), _by_name(classes)
    with opened_tensors(path) as file:
        if _KEY not in file.metadata:
            raise ValueError(f"{path}: a safetensors file, but not one that energyam.save wrote")
        try:
            return _read(file, users)
        except (MemoryError, OSError):
            raise
        except ValueError as error:
            if str(path) in str(error):
                raise
            raise ValueError(f"{path}: {error}") from error
        except Exception as error:  # of any kind: from damaged metadata, or the checks of a user's class
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"{path}: damaged metadata, or refused by its class ({reason})") from error


def _read(file: TensorFile, users: Mapping[str, type]) -> Any:
    content = json.loads(file.metadata[_KEY])
    version = content["format"]
    if version > FORMAT:
        raise ValueError(f"format {version} is newer than this energyam's {FORMAT}; upgrade energyam")
    if version > 1:
        file.want_checksums()
    description = Description(content["module"], file.tensors())
    with jax.transfer_guard("allow"):  # reading a file is meant to bring arrays to the device
        return rebuild(description, _own_classes(version), users, exact=version > 2)


def _by_name(classes: Any) -> dict[str, type]:
    """The user's classes by name; raises `ValueError` for what is not a class, and two of one name."""
    if isinstance(classes, type | str | bytes) or not isinstance(classes, Sequence | set | frozenset):
        got = getattr(classes, "__name__", type(classes).__name__)
        raise ValueError(f"classes must be a tuple of classes, such as (MyMemory,); got {got}")
    found: dict[str, type] = {}
    for cls in classes:
        if not _can_be_saved(cls):
            raise ValueError(f"classes must be subclasses of eqx.Module, or named tuples; got {cls!r}")
        if found.setdefault(cls.__name__, cls) is not cls:
            raise ValueError(f"classes must have different names; got two that are called {cls.__name__}")
    return found


def _own_classes(version: int = FORMAT) -> Mapping[str, type]:
    """Energyam's own public classes by the names that files give them, and Equinox's layers.

    Format 1 had the layers without the `eqx.nn.`, when no class of energyam's was called as they are.
    """
    import energyam

    # Classes of their own through 0.2, which are written by their newer names.
    ours: dict[str, type] = {"Linear": energyam.Linear, "PaddedKeyValueMemory": energyam.KeyValueMemory}
    ours["Colouring"] = Colouring
    for name in ("synapses", "learning", "ising"):
        ours |= _classes_in(getattr(energyam, name), f"{name}.")
    ours |= _classes_in(energyam.nn) | _classes_in(energyam)
    return ours | _classes_in(eqx.nn, "" if version == 1 else "eqx.nn.")


def _classes_in(space: Any, prefix: str = "") -> dict[str, type]:
    found = [value for value in vars(space).values() if isinstance(value, type)]
    return {prefix + cls.__name__: cls for cls in found if _can_be_saved(cls)}


def _can_be_saved(cls: Any) -> bool:
    """Whether `cls` is a class of modules, or of named tuples."""
    named_tuple = isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")
    return named_tuple or (isinstance(cls, type) and issubclass(cls, eqx.Module))
