"""Numbers as arrays of a dtype of their own: strong ones, as JAX says, that take the dtype of no other."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


def strong(array: Array) -> Array:
    """An array in a dtype of its own: one of weak type takes that of others, and compiles what it enters anew
    once a step of an optimizer has made it strong.
    """
    return array.astype(array.dtype) if getattr(array, "weak_type", False) else array  # keys have none


def sent(value: int | float | bool) -> Array:
    """A Python number as a strong scalar, sent to the device on purpose: a transfer guard lets it pass."""
    return jax.device_put(np.asarray(value, jnp.result_type(type(value))))


def as_jax(value: Any) -> Array:
    """`value` as a JAX array; whole numbers too large for its integers become floats and don't wrap."""
    if isinstance(value, str):
        raise TypeError(f"got the text {value[:40]!r}")
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**31):
        with np.errstate(over="ignore"):
            return sent(value)
    with np.errstate(over="ignore"):  # what no float32 holds becomes infinite, and is refused as such
        try:
            array = jnp.asarray(value)
        except OverflowError:
            return jnp.asarray(np.asarray(value, dtype=np.float64))
        array = strong(array)
        whole = isinstance(value, np.ndarray | np.integer) and np.issubdtype(value.dtype, np.integer)
        wraps = whole and array.dtype.itemsize < value.dtype.itemsize and not np.array_equal(array, value)
        return jnp.asarray(np.asarray(value, dtype=np.float64)) if wraps else array
