"""Wrong calls of every public name, made by program: each parameter in turn takes each of some 60 bad values.

`surely_wrong` says from the type of a parameter whether it must refuse a value. With other values a call may
do what it likes, so long as an error that it raises is ours, and clear.
"""

import collections.abc
import inspect
import math
import pathlib
import re
import traceback
import typing
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import right_calls
from right_calls import KEY, X

import energyam as eam


class Holder(typing.NamedTuple):
    """A named tuple that no function of energyam takes."""

    content: int


BAD = {
    "None": None,
    "True": True,
    "False": False,
    "0": 0,
    "-1": -1,
    "2**31": 2**31,
    "2**40": 2**40,
    "10**400": 10**400,
    "2.5": 2.5,
    "-0.5": -0.5,
    "1e-50": 1e-50,
    "1e39": 1e39,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "1j": 1j,
    "''": "",
    "'text'": "text",
    "'3'": "3",
    "b'x'": b"x",
    "object()": object(),
    "...": ...,
    "int": int,
    "Binary": eam.Binary,
    "Asynchronous": eam.Asynchronous,
    "math": math,
    "[]": [],
    "()": (),
    "{}": {},
    "set": {1, 2},
    "range(0)": range(0),
    "generator": iter(()),
    "[None]": [None],
    "['a']": ["a"],
    "[[1], [1, 2]]": [[1], [1, 2]],
    "[[[1]]]": [[[1.0]]],
    "dict": {"layer": 1},
    "{3: 4}": {3: 4},
    "named tuple": Holder(1),
    "slice": slice(2),
    "nothing": lambda *args, **named: None,
    "text of it": lambda *args, **named: "text",
    "no argument": lambda: 1.0,
    "fails": lambda *args: [][1],
    "np.float64(nan)": np.float64("nan"),
    "np.str_": np.str_("text"),
    "date": np.datetime64("2026-01-01"),
    "nans": np.full((3, 8), np.nan),
    "infs": np.full(8, np.inf),
    "complex": np.ones((3, 8), complex),
    "words": np.array(["a", "b"]),
    "objects": np.array([object(), None]),
    "no rows": np.zeros((0, 8)),
    "five": np.ones(5),
    "matrix": np.ones((2, 5)),
    "four axes": np.ones((1, 1, 1, 2)),
    "0/1": np.eye(8)[:3],
    "bools": X > 0,
    "grey": np.full((3, 8), 200, np.uint8),
    "jax nans": jnp.full(8, jnp.nan),
    "key": KEY,
    "keys": jr.split(KEY, 3),
    "raw key": np.zeros(2, np.uint32),
    "Path": pathlib.Path("no such folder/file"),
    "memory": eam.CHN(X),
    "rule": eam.Synchronous(),
    "separation": eam.Quadratic(),
}


def spoiled(right):
    """A right array, also within a dictionary or a list, with something wrong in it: label → value."""
    if isinstance(right, Mapping) and right:
        (name, first), *_ = right.items()
        parts = {"None": None, "text": "text", **spoiled(first)}
        less = {other: value for other, value in right.items() if other != name}
        with_more = {"one more": {**right, "one more": first}, "one less": less}
        return {f"its {label}": {**right, name: part} for label, part in parts.items()} | with_more
    array = _numbers(right)
    if array is None:
        return {}
    real, first = array.astype(float), (0,) * array.ndim
    holes, infinite, objects = real.copy(), real.copy(), array.astype(object)
    holes[first], infinite[first], objects[first] = math.nan, math.inf, None
    return {
        "with NaN": holes,
        "with infinity": infinite,
        "with None": objects,
        "complex of it": array.astype(complex),
        "words of it": array.astype(str),
        "bools of it": array > 0,
        "half of it": 0.5 * real,
        "one axis more": array[None],
        "none of it": array[:0],
        "one less": array[1:],
        "one row twice": np.concatenate([array[:1], array]),
    }


def _numbers(right):
    """A right value as an array of real numbers on the host, if it is one with axes."""
    if right is KEY or not isinstance(right, np.ndarray | jax.Array | list | tuple):
        return None
    try:
        array = np.asarray(right)
    except (TypeError, ValueError):
        return None
    return array if array.ndim and array.size and array.dtype.kind in "biuf" else None


def bad_values(right):
    """All bad values of a parameter with this right one."""
    return BAD | spoiled(right)


def alternatives(kind):
    """The types that a type allows, without those that jaxtyping wraps around arrays."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, type(int | str)):
        return [one for part in typing.get_args(kind) for one in alternatives(part)]
    return [kind]


def surely_wrong(value, kind, right):
    """Whether a parameter of this type must refuse the value, whatever it does with right ones.

    `right` is a right value of it, or its default.
    """
    kinds = alternatives(kind)
    if isinstance(value, Mapping) and isinstance(right, Mapping):
        return not value.keys() >= right.keys() or any(map(_no_layer, value.values()))
    return value is not right and bool(kinds) and not any(_may_be(value, one, right) for one in kinds)


def _no_layer(value):
    """Whether a part of a state is surely none."""
    if not isinstance(value, np.ndarray):
        return value is None or isinstance(value, str)
    return value.dtype.kind not in "biuf" or bool(np.isnan(value).any())


def _may_be(value, kind, right):
    origin = typing.get_origin(kind)
    if kind in (typing.Any, inspect.Parameter.empty) or isinstance(kind, typing.TypeVar):
        return True
    if kind in (None, type(None)):
        return value is None or value is right
    if origin is typing.Literal:
        return isinstance(value, str) and value in typing.get_args(kind)
    if kind is bool:
        return isinstance(value, bool | np.bool_)
    if kind in (int, np.integer):
        return isinstance(value, int | np.integer) and not isinstance(value, bool) and abs(value) < 2**62
    if kind in (float, np.number):
        return isinstance(value, int | float | np.number) and not isinstance(value, bool) and value == value
    if kind is str:
        return isinstance(value, str)
    if "PyTree" in getattr(kind, "__name__", ""):
        return not isinstance(value, str | bytes | type) and value is not None
    if getattr(kind, "array_type", None) is not None or kind in (jax.Array, np.ndarray, np.bool_, complex):
        return _may_be_array(value, kind, right)
    if origin is collections.abc.Callable or kind in (typing.Callable, collections.abc.Callable):
        return callable(value) and not isinstance(value, type)
    if origin in (collections.abc.Sequence, tuple, list, collections.abc.Iterable, collections.abc.Mapping):
        return (isinstance(value, origin) and not isinstance(value, str | bytes)) or isinstance(
            value, np.ndarray
        )
    if kind is pathlib.Path or getattr(kind, "__name__", "") == "PathLike":
        return isinstance(value, str | pathlib.Path)
    return isinstance(value, kind) if isinstance(kind, type) else True


def _may_be_array(value, kind, right):
    """Whether a value may be taken for an array: of numbers without NaN, or for a random key."""
    if "key" in str(kind).lower() or "UInt32" in str(kind):
        return value is KEY or (isinstance(value, np.ndarray) and value.dtype == np.uint32)
    if kind in (np.bool_, complex) or "PyTree" in str(kind):
        return False
    if isinstance(value, bool):  # no number
        return isinstance(right, bool | np.bool_)
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return False
    try:
        array = np.asarray(value)
        return array.dtype.kind in "biuf" and not bool(np.isnan(array.astype(float)).any())
    except (TypeError, ValueError, OverflowError):
        return False


# Where a value that the type speaks against is taken, and why.
TAKEN = {
    ("evaluation.log_energies", "energies"): "energies of a recall that ended in NaN can be drawn too",
    ("datasets.sample_episode", "images"): "looked at as far as they are drawn",
    ("nn.contrastive_hebbian", "inputs"): "nothing need be held in both recalls",
    ("sharding.shard_queries", "queries"): "looked at by what they are given to, not while they are spread",
    **{
        (method, "name"): "only how an error calls the argument"
        for method in ("ising.Problem.row", "ising.Problem.value", "lm.LanguageModel.checked")
    },
}


class Outcome(typing.NamedTuple):
    """How a call ended: "clear", "unnamed" (ours, without the argument), "cryptic", "silent", or "own" (an
    error of the function that was passed in)."""

    kind: str
    text: str


def outcome(called, given, parameter, value):
    """What becomes of a call with one wrong argument."""
    try:
        result = called(**(given | {parameter: value}))
        if inspect.isgenerator(result):
            next(result)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        named = re.search(rf"(?<!\w){re.escape(parameter)}(?!\w)", str(error))
        if named and isinstance(error, ValueError | TypeError | OSError | ImportError) and len(text) < 900:
            return Outcome("clear", text)
        frames = traceback.extract_tb(error.__traceback__)
        passed_in = any(f.filename in PASSED_IN and f.name != "outcome" for f in frames)
        if passed_in or "<lambda>() takes" in text or "<lambda>() got an unexpected" in text:
            return Outcome("own", text)
        ours = "/energyam/" in frames[-1].filename and isinstance(error, ValueError)
        return Outcome("unnamed" if ours or isinstance(error, OSError) else "cryptic", text)
    return Outcome("silent", repr(result)[:80])


PASSED_IN = (__file__, right_calls.__file__)


def verdict(call, given, parameter, kind, default, label):
    """The outcome of one wrong call; "silent" only where the value must be refused, else "taken"."""
    name, called = call
    value = bad_values((given or {}).get(parameter, default))[label]
    found = outcome(called, given or {}, parameter, value)
    right = (given or {}).get(parameter, default)
    if found.kind == "silent" and ((name, parameter) in TAKEN or not surely_wrong(value, kind, right)):
        return Outcome("taken", found.text)
    if given is None and found.kind == "cryptic" and "missing" in found.text:
        return Outcome("taken", found.text)  # Python's own word for an argument that was not given
    return found
