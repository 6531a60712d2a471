"""Save and load any energyam module as one safetensors file: arrays as tensors, the rest as metadata."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

FORMAT = 1
_KEY = "energyam"


def save(path: str | os.PathLike, memory: eqx.Module) -> None:
    """Write a memory (or any other module of energyam) to `path`, whole or not at all.

    The file is safetensors: arrays under the path of their field, and in the metadata the format version,
    the class of every part and its static fields. It is written beside `path` and moved there at the end.

    Raises `ValueError` for objects that are not modules of energyam (your own classes: save their arrays
    yourself), and `OSError` where the folder can't be written to.
    """
    from safetensors.numpy import save_file

    tensors: dict[str, np.ndarray] = {}
    tree = _describe(memory, "", tensors)
    metadata = {_KEY: json.dumps({"format": FORMAT, "module": tree})}
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load(path: str | os.PathLike) -> Any:
    """Read what `save` wrote, as the module it was.

    Raises `FileNotFoundError` for a missing file, and `ValueError` for one that is truncated, is not a
    safetensors file, was not written by energyam, or is of a newer format.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            header = (file.metadata() or {}).get(_KEY)
            tensors = {} if header is None else {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path}: truncated, or not a safetensors file ({error})") from None
    if header is None:
        raise ValueError(f"{path}: a safetensors file, but not one that energyam.save wrote")
    try:
        content = json.loads(header)
        version = content["format"]
        if version > FORMAT:
            raise ValueError(
                f"{path}: format {version} is newer than this energyam's {FORMAT}; upgrade energyam"
            )
        return _rebuild(content["module"], tensors)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: damaged metadata ({type(error).__name__}: {error})") from None


def _describe(node: Any, where: str, tensors: dict[str, np.ndarray]) -> Any:
    """What `node` is, as JSON; its arrays go into `tensors` under their path."""
    if isinstance(node, eqx.Module):
        if type(node) is not _classes().get(type(node).__name__):
            raise ValueError(
                f"{where or 'memory'} must be made of energyam's own classes; got {type(node).__name__} "
                "(save its arrays with safetensors and build it anew)"
            )
        names = node.__dataclass_fields__
        fields = {name: _describe(getattr(node, name), _join(where, name), tensors) for name in names}
        return {"class": type(node).__name__, "fields": fields}
    if isinstance(node, (jax.Array, np.ndarray)):
        tensors[where] = np.array(node, order="C")
        return {"array": where}
    if isinstance(node, (list, tuple)):
        items = [_describe(item, _join(where, str(i)), tensors) for i, item in enumerate(node)]
        return {type(node).__name__: items}
    if node is None or isinstance(node, (bool, int, float, str)):
        return {"value": node}
    got = type(node).__name__
    raise ValueError(f"{where or 'memory'} must be arrays, numbers, strings or modules; got {got}")


def _rebuild(tree: dict[str, Any], tensors: dict[str, np.ndarray]) -> Any:
    ((kind, content),) = ((k, v) for k, v in tree.items() if k != "fields")
    if kind == "class":
        if content not in _classes():
            raise ValueError(f"class {content!r} is not part of this energyam; upgrade energyam")
        cls: Any = _classes()[content]
        if set(tree["fields"]) != set(cls.__dataclass_fields__):
            raise ValueError(f"fields of {content} do not match this energyam; got {sorted(tree['fields'])}")
        module: Any = object.__new__(cls)
        for name, child in tree["fields"].items():
            object.__setattr__(module, name, _rebuild(child, tensors))
        return module
    if kind == "array":
        return jnp.asarray(tensors[content])
    if kind == "value":
        return content
    items = [_rebuild(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items


def _classes() -> dict[str, type]:
    """Energyam's own public modules by name, and Equinox's layers, which they are made of."""
    import energyam

    spaces = (eqx.nn, energyam, energyam.nn)
    found = [value for space in spaces for value in vars(space).values()]
    return {c.__name__: c for c in found if isinstance(c, type) and issubclass(c, eqx.Module)}


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
