"""The description of a module as JSON and named arrays, and the module made from it again."""

import dataclasses
import inspect
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from energyam import checks
from energyam.sending import as_jax
from energyam.tensor_files import can_hold

_WRITABLE = "an array, a number, a string, None, a module, or a list, tuple or dictionary of these"


class Description(NamedTuple):
    """A module in two parts: `tree` is JSON, and names the arrays, which are in `tensors`."""

    tree: Any
    tensors: dict[str, np.ndarray]


def describe(module: eqx.Module, ours: Mapping[str, type]) -> Description:
    """A module, its parts and their fields; classes that are not among `ours` are marked as the user's.

    Raises `ValueError` naming the field for functions, two classes of one name, and whatever else a file
    can't hold.
    """
    writer = _Writer({cls: name for name, cls in ours.items()}, {}, {})
    return Description(writer.describe(module, ""), writer.tensors)


def rebuild(
    description: Description, ours: Mapping[str, type], users: Mapping[str, type], exact: bool = True
) -> Any:
    """The module that was described, after the checks of its classes; the user's classes are looked up first.

    Descriptions that are not `exact`, of formats before 3, don't say which arrays are NumPy's: there, what
    JAX can't hold stays an array of NumPy's.

    Raises `ValueError` for a class that is not known, fields that are not those of the class, what the
    checks of the classes refuse, and arrays of 64 bits where JAX is not set to hold them.
    """
    return _Reader(ours, users, description.tensors, exact).rebuild(description.tree)


class _Writer(NamedTuple):
    names: Mapping[type, str]  # of our classes
    classes: dict[str, type]  # those met so far, by name
    tensors: dict[str, np.ndarray]

    def describe(self, node: Any, where: str) -> Any:
        """The description of `node` as JSON; its arrays go into `tensors` under their path."""
        if isinstance(node, eqx.Module):
            names = [field.name for field in dataclasses.fields(node)]  # type: ignore[arg-type]
            return self._parts("class", node, names, where)
        if isinstance(node, tuple) and hasattr(node, "_fields"):
            return self._parts("named tuple", node, node._fields, where)
        if isinstance(node, jax.Array) or type(node) is np.ndarray:
            return self._array(node, where)
        if type(node) is dict:
            return {"dict": self._items(node, where)}
        if type(node) in (list, tuple):
            items = [self.describe(item, _join(where, str(i))) for i, item in enumerate(node)]
            return {type(node).__name__: items}
        if isinstance(node, np.generic):
            node = node.item()
        if node is None or type(node) in (bool, int, float, str):
            return {"value": node}
        raise ValueError(f"{where} must be {_WRITABLE}; got {_shown(node)}")

    def _parts(self, kind: str, node: Any, names: Any, where: str) -> Any:
        cls = type(node)
        called = self.names.get(cls, cls.__name__)
        if self.classes.setdefault(called, cls) is not cls:
            where = where or "memory"
            raise ValueError(f"{where} must not have parts of two classes that are called {called}")
        fields = {name: self.describe(getattr(node, name), _join(where, name)) for name in names}
        return {kind: called, "fields": fields} | ({} if cls in self.names else {"own": True})

    def _items(self, node: dict, where: str) -> dict[str, Any]:
        for key in node:
            if type(key) is not str:
                raise ValueError(f"{where} must be a dictionary with strings as keys; got the key {key!r}")
        return {key: self.describe(item, f"{where}[{json.dumps(key)}]") for key, item in node.items()}

    def _array(self, node: Any, where: str) -> Any:
        if not checks.is_known(node):
            raise ValueError(f"{where} must be an array with values; got one inside jit, vmap or grad")
        if jnp.issubdtype(node.dtype, jax.dtypes.prng_key):
            self.tensors[where] = np.asarray(jr.key_data(node))
            return {"key": where, "implementation": str(jr.key_impl(node))}
        if not getattr(node, "is_fully_addressable", True):
            got = "one spread over several (use energyam.sharding.save_shards)"
            raise ValueError(f"{where} must be an array that this process holds; got {got}")
        array, kind = np.asarray(node), "array" if isinstance(node, jax.Array) else "numpy"
        if array.dtype.name in ("complex64", "complex128"):
            array, kind = np.stack([array.real, array.imag], axis=-1), f"complex {kind}"
        if not can_hold(array.dtype):
            raise ValueError(f"{where} must be an array of numbers that files can hold; got {array.dtype}")
        self.tensors[where] = array
        return {kind: where}


class _Reader(NamedTuple):
    ours: Mapping[str, type]
    users: Mapping[str, type]
    tensors: Mapping[str, np.ndarray]
    exact: bool

    def rebuild(self, node: Any) -> Any:
        """The node that was described so."""
        if "fields" in node:
            return self._parts(node)
        ((kind, content),) = ((kind, content) for kind, content in node.items() if kind != "implementation")
        if kind == "value":
            return content
        if kind in ("array", "numpy"):
            return self._array(content, self.tensors[content], kind)
        if kind in ("complex", "complex array", "complex numpy"):  # the first of them before format 3
            parts = np.ascontiguousarray(self.tensors[content])
            found = parts.view(f"complex{16 * parts.itemsize}")[..., 0]
            return self._array(content, found, kind.split()[-1])
        if kind == "key":
            return jr.wrap_key_data(jnp.asarray(self.tensors[content]), impl=node["implementation"])
        if kind == "dict":
            return {key: self.rebuild(item) for key, item in content.items()}
        items = [self.rebuild(item) for item in content]
        return {"list": list, "tuple": tuple}[kind](items)

    def _array(self, name: str, found: np.ndarray, kind: str) -> Any:
        if kind == "numpy":
            return found
        array = as_jax(found)
        if array.dtype == found.dtype:
            return array
        if not self.exact:
            return found
        hint = "(say jax.config.update('jax_enable_x64', True) before loading)"
        raise ValueError(f"{name} has dtype {found.dtype}, for which JAX needs its 64 bits {hint}")

    def _parts(self, node: Any) -> Any:
        cls = self._class(node)
        fields = {name: self.rebuild(child) for name, child in node["fields"].items()}
        if "named tuple" in node:
            return cls(**fields)
        saved, fields = set(fields), _completed(cls, fields)
        module: Any = object.__new__(cls)
        for field in dataclasses.fields(cls):
            converted = field.metadata.get("converter", lambda value: value)(fields[field.name])
            # What a user's converter made is in the file: converted again it may be something else.
            keep = self.exact and cls in self.users.values() and field.name in saved
            object.__setattr__(module, field.name, fields[field.name] if keep else converted)
        for base in cls.__mro__:  # as Equinox does it at the end of every construction
            if "__check_init__" in base.__dict__:
                base.__dict__["__check_init__"](module)
        if cls in self.ours.values():
            _make_again(cls, module)
        return module

    def _class(self, node: Any) -> Any:
        kind = "named tuple" if "named tuple" in node else "class"
        name = node[kind]
        if name in self.users:
            found = self.users[name]
        elif node.get("own"):
            raise ValueError(f"the class {name} is a user's own: pass classes=({name},) to load it")
        elif name in self.ours:
            found = self.ours[name]
        else:
            hint = f"upgrade energyam, or pass classes=({name},) if it is yours"
            raise ValueError(f"the class {name!r} is not part of this energyam; {hint}")
        if issubclass(found, eqx.Module) is not (kind == "class"):
            raise ValueError(f"{name} was a {kind} when it was saved; got another kind of class")
        return found


def _make_again(cls: Any, module: Any) -> None:
    """Make one of our modules from its fields again, for the checks that its `__init__` makes.

    Not where a parameter is no field, or where `remade = False` says that a field of its name is something
    else: there converters and `__check_init__` make the checks.
    """
    known = {field.name for field in dataclasses.fields(cls)}
    wanted = list(inspect.signature(cls).parameters)
    ours = cls.__module__.startswith("energyam.") and getattr(cls, "remade", True)
    if ours and known.issuperset(wanted):
        cls(**{name: getattr(module, name) for name in wanted})


def _completed(cls: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a class in its order, with defaults for those that the file does not have."""
    known = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(fields.keys() - known.keys())
    if unknown:
        raise ValueError(f"the class {cls.__name__} has no field {', '.join(unknown)}, which the file has")
    return {name: fields[name] if name in fields else _default(cls, f) for name, f in known.items()}


def _default(cls: Any, field: Any) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    missing = f"the field {field.name} of {cls.__name__} is not in the file, and has no default"
    raise ValueError(f"{missing}: it must have been added to the class later")


def _shown(node: Any) -> str:
    if callable(node):
        name = getattr(node, "__name__", type(node).__name__)
        return f"{name}: functions and schedules can't be saved (make it a module)"
    return type(node).__name__


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
