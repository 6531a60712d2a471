"""Numbers of Python and NumPy as arrays of JAX."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

_PLAIN = bool, int, float


def strong(array: Array) -> Array:
    """An array in a dtype of its own: one of weak type takes that of others, and compiles what it enters anew
    once a step of an optimizer has made it strong."""
    return array.astype(array.dtype) if getattr(array, "weak_type", False) else array  # keys have none


def sent(value: int | float | bool) -> Array:
    """A Python number as a strong scalar, sent to the device on purpose: a transfer guard lets it pass."""
    kind = next(kind for kind in _PLAIN if isinstance(value, kind))  # NumPy's float64 is a float
    with np.errstate(over="ignore"):
        return jax.device_put(np.asarray(value, jnp.result_type(kind)))


def as_jax(value: Any) -> Array:
    """`value` as a JAX array; whole numbers too large for its integers become floats and don't wrap."""
    if isinstance(value, str):
        raise TypeError(f"got the text {value[:40]!r}")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError("got masked entries (a query of recall may have some)")
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**31):
        return sent(value)
    listed = isinstance(value, list | tuple) and all(type(x) in _PLAIN for x in jax.tree.leaves(value))
    array = np.asarray(value) if listed else value
    if isinstance(array, np.ndarray | np.generic) and array.dtype.kind in "biuf":
        return _sent(array)
    try:
        return strong(jnp.asarray(value))
    except OverflowError:  # of whole numbers that no array holds, which NumPy has as objects
        return _sent(np.asarray(value, dtype=np.float64))


def _sent(value: np.ndarray | np.generic) -> Array:
    """A copy of numbers of NumPy, sent to the device; unlike `jax.numpy.asarray`, this compiles nothing."""
    with np.errstate(over="ignore"):  # what no float32 holds becomes infinite, and is refused as such
        array = np.array(value, jax.dtypes.canonicalize_dtype(value.dtype))
        if value.dtype.kind in "iu" and array.dtype != value.dtype and not np.array_equal(array, value):
            array = np.array(value, jnp.result_type(float))
    return jax.device_put(array)
