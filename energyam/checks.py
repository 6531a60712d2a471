"""Checks of what users pass in: every failure is a `ValueError` that names the argument and the fix.

Shapes and dtypes are checked whenever a function is traced. Values (±1, finite, positive) are checked
only when they are known: inside `jit` an array has no values yet, and the check is passed over.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

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


def passes(test: Callable, *values: Any) -> bool:
    """Whether `test(*values)` holds; values that are not known pass."""
    return not all(map(is_known, values)) or bool(now(test, *values))


def as_array(name: str, value: Any, dims: str) -> Shaped[Array, "..."]:
    """`value` as a numeric JAX array with the dimensions `dims`, say `"K D"` or `"... D"`.

    Raises `ValueError` for ragged or non-numeric input, another rank, or an axis of length 0.
    """
    try:
        array = now(_as_jax, value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a numeric array of shape ({_shown(dims)}); {error}") from None
    wanted = dims.split()
    leading = wanted[:1] == ["..."]
    fits = array.ndim >= len(wanted) - 1 if leading else array.ndim == len(wanted)
    if not fits:
        raise ValueError(f"{name} must be ({_shown(dims)}); got shape {array.shape}")
    if 0 in array.shape[array.ndim - len(wanted) + leading :]:
        raise ValueError(f"{name} must not be empty; got shape {array.shape}")
    return array


def as_floats(name: str, value: Any, dims: str) -> Shaped[Array, "..."]:
    """Like `as_array`, with integers and bools turned into floats; raises `ValueError` on NaN or infinity."""
    array = as_array(name, value, dims)
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ValueError(f"{name} must be real; got dtype {array.dtype}")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        array = now(lambda a: a.astype(float), array)
    if not passes(lambda a: jnp.isfinite(a).all(), array):
        raise ValueError(f"{name} must be finite; got NaN or infinity")
    return array


def as_binary(name: str, value: Any, dims: str) -> Shaped[Array, "..."]:
    """Like `as_array`, for entries ±1: integers become int8 and floats stay as they are.

    Raises `ValueError` for any other entry (0/1 pictures: pass `2 * x - 1`) and for bools.
    """
    array = as_array(name, value, dims)
    if array.dtype == bool or jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ValueError(f"{name} must be ({_shown(dims)}) with entries ±1; got dtype {array.dtype}")
    if not passes(lambda a: (jnp.abs(a) == 1).all(), array):
        got = np.unique(np.asarray(array, dtype=np.float64))
        shown = ", ".join(f"{v:g}" for v in got[:4]) + (", …" if got.size > 4 else "")
        raise ValueError(
            f"{name} must be ({_shown(dims)}) with entries ±1; got entries {shown} "
            "(0/1 data becomes ±1 by 2 * x - 1)"
        )
    return array.astype(jnp.int8) if jnp.issubdtype(array.dtype, jnp.integer) else array


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


def as_pairs(keys: Any, values: Any) -> tuple[Shaped[Array, "K Dk"], Shaped[Array, "K Dv"]]:
    """Keys and values as float matrices, one pair a row; raises `ValueError` unless they agree in K."""
    keys, values = as_floats("keys", keys, "K Dk"), as_floats("values", values, "K Dv")
    if keys.shape[0] != values.shape[0]:
        raise ValueError(
            f"keys (K, Dk) and values (K, Dv) must agree in K; got shapes {keys.shape} and {values.shape}"
        )
    return keys, values


def positive(name: str, value: Any) -> None:
    """Raise `ValueError` unless every entry of `value` is a finite number above 0."""
    if is_known(value) and not bool(np.all(np.isfinite(_numbers(name, value)) & (_numbers(name, value) > 0))):
        raise ValueError(f"{name} must be positive and finite; got {value}")


def not_negative(name: str, value: Any) -> None:
    """Raise `ValueError` unless every entry of `value` is a finite number of at least 0."""
    numbers = _numbers(name, value) if is_known(value) else np.zeros(())
    if not bool(np.all(np.isfinite(numbers) & (numbers >= 0))):
        raise ValueError(f"{name} must be finite and not negative; got {value}")


def count(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """`value` as a Python integer of at least `least` and at most `most`; raises `ValueError` for others."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}; got {_short(value)}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most:,}; got {_short(value)}")
    return int(value)


def number(name: str, value: Any, low: Number = -math.inf, high: Number = math.inf) -> float:
    """`value` as one finite Python float from `low` to `high`; raises `ValueError` for anything else."""
    numbers = np.asarray(math.nan) if isinstance(value, bool) else _numbers(name, value)
    if numbers.ndim or not np.isfinite(numbers) or not low <= numbers <= high:
        least = f" of at least {low:g}" if low > -math.inf else ""
        most = f" of at most {high:g}" if high < math.inf else ""
        raise ValueError(f"{name} must be one finite number{least}{most}; got {_short(value)}")
    return float(numbers)


def within(name: str, value: Any, low: Number, high: Number) -> None:
    """Raise `ValueError` unless every entry of `value` is a real number from `low` to `high`."""
    numbers = _numbers(name, value) if is_known(value) else np.asarray(low)
    if not bool(np.all((numbers >= low) & (numbers <= high))):
        raise ValueError(f"{name} must lie within {low:g}..{high:g}; got {_short(value)}")


def flag(name: str, value: Any) -> bool:
    """`value` as a bool; raises `ValueError` for anything but True and False."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False; got {_short(value)}")
    return bool(value)


def picture_shape(shape: Any) -> tuple[int, int]:
    """`shape` as the height and width of a picture; raises `ValueError` unless both are whole and above 0."""
    if not isinstance(shape, tuple | list) or len(shape) != 2:
        raise ValueError(f"shape must be (H, W), the height and width of a picture; got {shape!r}")
    return count("shape[0]", shape[0]), count("shape[1]", shape[1])


def fraction(name: str, value: Any) -> None:
    """Raise `ValueError` unless 0 ≤ value ≤ 1."""
    if is_known(value) and not bool(np.all((_numbers(name, value) >= 0) & (_numbers(name, value) <= 1))):
        raise ValueError(f"{name} must lie between 0 and 1; got {value}")


def _numbers(name: str, value: Any) -> np.ndarray:
    try:
        if np.asarray(value).dtype.kind not in "biufO" and not jnp.issubdtype(value.dtype, jnp.floating):
            raise TypeError  # text, dates and complex numbers, which NumPy would turn into floats
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, AttributeError):
        raise ValueError(f"{name} must be a number; got {_short(value)}") from None


def _short(value: Any) -> str:
    """`repr(value)`, cut: Python refuses to print whole numbers of more than 4,300 digits."""
    try:
        shown = repr(value)
    except ValueError:
        return f"a whole number of {value.bit_length()} bits"
    return shown if len(shown) <= 80 else shown[:40] + "…"


def _as_jax(value: Any) -> Array:
    """`value` as a JAX array; whole numbers too large for its integers become floats and don't wrap."""
    try:
        array = jnp.asarray(value)
    except OverflowError:
        return jnp.asarray(np.asarray(value, dtype=np.float64))
    whole = isinstance(value, np.ndarray | np.integer) and np.issubdtype(value.dtype, np.integer)
    wraps = whole and array.dtype.itemsize < value.dtype.itemsize and not np.array_equal(array, value)
    return jnp.asarray(np.asarray(value, dtype=np.float64)) if wraps else array


def _shown(dims: str) -> str:
    return ", ".join(dims.split())
