"""Checks of what users pass in: every failure is a `ValueError` that names the argument and the fix.

Shapes and dtypes are checked whenever a function is traced. Values (±1, finite, positive) are checked
only when they are known: inside `jit` an array has no values yet, and the check is skipped.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from energyam.on_disk import AnyArray, OnDisk
from energyam.sending import as_jax, sent as sent, strong
from energyam.wording import advice, in_words

Whole = int | np.integer
Number = int | float | np.number


def is_known(value: Any) -> bool:
    """True where `value` has numbers in it, False for an abstract value inside `jit`, `vmap` or `grad`."""
    return not isinstance(value, jax.core.Tracer)


def now(function: Callable, *values: Any) -> Any:
    """`function(*values)`, computed at once, even inside `jit`, if the values are known there."""
    if not all(map(is_known, values)):
        return function(*values)
    with jax.ensure_compile_time_eval():
        return function(*values)


def has_method(value: Any, name: str) -> bool:
    """Whether `value` has a method, or a function, of that name. Of a class's own methods none is bound."""
    return callable(getattr(type(value), name, None)) or callable(getattr(value, name, None))


def passes(test: Callable, *values: Any) -> bool:
    """Whether `test(*values)` holds; values that are not known pass.

    A `test`, compiled or not, must be written in what arrays of NumPy understand too: it is asked of them
    where the values are few and lie on the host.
    """
    if not all(map(is_known, values)):
        return True
    here = [_on_host(value) for value in values]
    if all(value is not None for value in here):
        with np.errstate(all="ignore"):
            return bool(getattr(test, "__wrapped__", test)(*here))
    return bool(jax.device_get(now(test, *values)))


def _on_host(value: Any) -> np.ndarray | None:
    """The numbers of a small array, where they lie on the host: to look at them there compiles nothing."""
    if isinstance(value, jax.Array):
        small = value.size <= 2**14 and value.dtype.kind in "biuf" and value.is_fully_addressable
        return np.asarray(value) if small and next(iter(value.devices())).platform == "cpu" else None
    return np.asarray(value) if isinstance(value, np.ndarray | np.generic | bool | int | float) else None


def as_array(name: str, value: Any, dims: str) -> Shaped[AnyArray, "..."]:
    """`value` as a numeric JAX array with the dimensions `dims`, say `"K D"`, `"K 37"` or `"... D"`.

    Raises `ValueError` for ragged, complex or non-numeric input, a bool for a number (`""`), another rank, or
    an axis of length 0.
    """
    shown = ", ".join(dims.split())  # FloatingPointError: NaN under jax_debug_nans
    try:
        with jax.ensure_compile_time_eval():  # what is known is an array at once, even inside `jit`
            if isinstance(value, AnyArray):
                array = strong(value) if isinstance(value, jax.Array) else value
            else:
                array = as_jax(value)
    except (TypeError, ValueError, OverflowError, FloatingPointError) as error:
        raise ValueError(f"{name} must be a numeric array of shape ({shown}); {error}") from None
    if not jnp.issubdtype(array.dtype, jnp.number) and (array.dtype != bool or not dims):
        raise ValueError(f"{name} must be a numeric array of shape ({shown}); got dtype {array.dtype}")
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ValueError(f"{name} must be real; got dtype {array.dtype}")
    wanted = dims.split()
    leading = wanted[:1] == ["..."]
    fits = array.ndim >= len(wanted) - 1 if leading else array.ndim == len(wanted)
    own = array.shape[array.ndim - len(wanted) + leading :] if fits else ()
    for n, size in zip(wanted[leading:], own, strict=False):
        fits = fits and not (n.isdigit() and int(n) != size)
    if not fits:
        raise ValueError(f"{name} must be ({shown}); got shape {array.shape}")
    if 0 in own:
        raise ValueError(f"{name} must not be empty; got shape {array.shape}")
    return array


def as_floats(name: str, value: Any, dims: str) -> Shaped[AnyArray, "..."]:
    """Like `as_array`, with integers and bools turned into floats; raises `ValueError` on NaN or infinity."""
    array = as_array(name, value, dims)
    if not jnp.issubdtype(array.dtype, jnp.floating) and not isinstance(array, OnDisk):
        array = now(lambda a: a.astype(float), array)
    if not _all("finite", array):
        raise ValueError(f"{name} must be finite; got NaN or infinity")
    return array


def as_binary(name: str, value: Any, dims: str) -> Shaped[AnyArray, "..."]:
    """Like `as_array`, for entries ±1: integers become int8 and floats stay as they are.

    Raises `ValueError` for any other entry and for bools, with what makes ±1 of such data.
    """
    array = as_array(name, value, dims)
    if array.dtype == bool or not _all("ones", array):
        wanted = f"{name} must be ({', '.join(dims.split())}) with entries ±1"
        if array.dtype == bool:
            raise ValueError(f"{wanted}; got dtype bool (x becomes ±1 by 2 * x.astype(int) - 1)")
        got = np.unique(np.asarray(array, dtype=np.float64))
        shown = ", ".join(f"{v:g}" for v in got[:4]) + (", …" if got.size > 4 else "")
        raise ValueError(f"{wanted}; got entries {shown}{advice(got, array.dtype)}")
    wide = jnp.issubdtype(array.dtype, jnp.integer) and array.dtype != jnp.int8
    return array.astype(jnp.int8) if wide and isinstance(array, jax.Array) else array


_TESTS = {
    "finite": jax.jit(lambda x: (abs(x) < np.inf).all()),
    "ones": jax.jit(lambda x: (abs(x) == 1).all()),
}


def _all(name: str, array: AnyArray) -> bool:
    """Whether all entries are "finite" or "ones", ±1."""
    return array.must_hold(name) if isinstance(array, OnDisk) else passes(_TESTS[name], array)


def in_memory(rows: AnyArray | np.ndarray) -> Any:
    """`rows`, where they are an array; raises `ValueError` where they are on disk."""
    return rows.astype(None) if isinstance(rows, OnDisk) else rows


def as_vector(name: str, value: Any, length: int) -> Shaped[Array, " N"]:
    """Like `as_floats`, for one vector of `length` entries; raises `ValueError` for another shape."""
    array = as_floats(name, value, "N")
    if array.shape != (length,):
        raise ValueError(f"{name} must be ({length},); got shape {array.shape} (use jax.vmap for a batch)")
    return array


def as_square(name: str, value: Any) -> Shaped[Array, "D D"]:
    """Like `as_floats`, for a square matrix; raises `ValueError` for another shape."""
    matrix = as_floats(name, value, "D D")
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must be square, (D, D); got shape {matrix.shape}")
    return matrix


def as_pairs(keys: Any, values: Any) -> tuple[Shaped[AnyArray, "K Dk"], Shaped[AnyArray, "K Dv"]]:
    """Keys and values as float matrices, one pair in each row; raises `ValueError` unless they agree in K."""
    keys, values = as_floats("keys", keys, "K Dk"), as_floats("values", values, "K Dv")
    if keys.shape[0] != values.shape[0]:
        got = f"shapes {keys.shape} and {values.shape}"
        raise ValueError(f"keys (K, Dk) and values (K, Dv) must agree in K; got {got}")
    return keys, values


def positive(name: str, value: Any) -> None:
    """Raise `ValueError` unless every entry of `value` is a finite number above 0."""
    _must(name, value, lambda x: np.isfinite(x) & (x > 0), "be positive and finite")


def positive_float(name: str, value: Any) -> Array:
    """`value` as a float above 0; raises `ValueError` for others, also for numbers that round to 0."""
    positive(name, value)
    number = as_floats(name, value, "")
    if is_known(number) and not jax.device_get(number) > 0:
        least = jnp.finfo(number.dtype).tiny
        raise ValueError(f"{name} must be at least {least:.3g} as a float; got {value}")
    return number


def instance(name: str, value: Any, cls: type, such: str = "") -> Any:
    """`value`, if it is an instance of `cls`; raises `ValueError`, with `such` a one, for anything else."""
    if isinstance(value, cls):
        return value
    hint = f" (call it: {value.__name__}())" if isinstance(value, type) and issubclass(value, cls) else such
    got = f"the class {value.__name__}" if isinstance(value, type) else in_words(value)
    raise ValueError(f"{name} must be an instance of {cls.__name__}; got {got}{hint}")


def not_negative(name: str, value: Any, dims: str = "...") -> Array:
    """`value` as floats; raises `ValueError` unless every entry is finite and at least 0."""
    _must(name, value, lambda x: np.isfinite(x) & (x >= 0), "be finite and not negative")
    return as_floats(name, value, dims)


def count(name: str, value: Any, least: int = 1, most: int | None = 2**31 - 1) -> int:
    """`value` as a Python integer of at least `least`; raises `ValueError` for anything else.

    So does a number above `most`, by default the longest axis and the longest loop that JAX counts.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}; got {in_words(value)}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most:,}; got {in_words(value)}")
    return int(value)


def number(name: str, value: Any, low: Number = -math.inf, high: Number = math.inf) -> float:
    """`value` as one finite Python float from `low` to `high`; raises `ValueError` for anything else."""
    numbers = np.asarray(math.nan) if isinstance(value, bool) else _numbers(name, value)
    if numbers.ndim or not np.isfinite(numbers) or not low <= numbers <= high:
        least = f" of at least {low:g}" if low > -math.inf else ""
        most = f" of at most {high:g}" if high < math.inf else ""
        raise ValueError(f"{name} must be one finite number{least}{most}; got {in_words(value)}")
    return float(numbers)


def within(name: str, value: Any, low: Number, high: Number) -> None:
    """Raise `ValueError` unless every entry of `value` is a real number from `low` to `high`."""
    numbers = _numbers(name, value) if is_known(value) else np.asarray(low)
    if not bool(np.all((numbers >= low) & (numbers <= high))):
        raise ValueError(f"{name} must lie within {low:g}..{high:g}; got {in_words(value)}")


def flag(name: str, value: Any) -> bool:
    """`value` as a bool; raises `ValueError` for anything but True and False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False; got {in_words(value)}")
    return bool(value)


def function(name: str, value: Any) -> Any:
    """`value`, if it can be called and is no class; raises `ValueError` for anything else."""
    if isinstance(value, type) or not callable(value):
        raise ValueError(f"{name} must be a function; got {in_words(value)}")
    return value


def one_of(name: str, value: Any, choices: Iterable[str]) -> str:
    """`value`, if it is one of the words in `choices`; raises `ValueError` for anything else."""
    choices = tuple(choices)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {in_words(value)}")
    return value


def is_key(value: Any) -> bool:
    """True for one JAX random key: a typed one, or the uint32 numbers, (2,) or (4,), of a raw one."""
    if isinstance(value, jax.Array | np.ndarray) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return value.shape == ()
    raw = isinstance(value, jax.Array | np.ndarray) and value.dtype == np.uint32
    return raw and value.shape in ((2,), (4,))


def key(name: str, value: Any) -> None:
    """Raise `ValueError` unless `value` is one JAX random key, which may be traced."""
    if is_key(value):
        return
    if jnp.issubdtype(getattr(value, "dtype", bool), jax.dtypes.prng_key):
        raise ValueError(f"{name} must be one jax random key; got keys of shape {value.shape} (use jax.vmap)")
    raise ValueError(f"{name} must be a jax random key, e.g. jax.random.key(0); got {in_words(value)}")


def fraction(name: str, value: Any, dims: str = "...") -> Array:
    """`value` as floats; raises `ValueError` unless every entry is from 0 to 1, and as `as_floats` does."""
    _must(name, value, lambda x: (x >= 0) & (x <= 1), "lie between 0 and 1")
    return as_floats(name, value, dims)


def _must(name: str, value: Any, test: Callable, wanted: str) -> None:
    if is_known(value) and not bool(np.all(test(_numbers(name, value)))):
        raise ValueError(f"{name} must {wanted}; got {in_words(value)}")


def _numbers(name: str, value: Any) -> np.ndarray:
    try:
        if np.asarray(value).dtype.kind not in "biufO" and not jnp.issubdtype(value.dtype, jnp.floating):
            raise TypeError  # text, dates and complex numbers, which NumPy would turn into floats
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, AttributeError):
        raise ValueError(f"{name} must be a number that a float can hold; got {in_words(value)}") from None
