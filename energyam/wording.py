"""The words of errors for values that are refused."""

from typing import Any

import jax.numpy as jnp
import numpy as np


def in_words(value: Any) -> str:
    """`value` as a message shows it, in a line."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return f"an integer of {value.bit_length()} bits"
    shown = " ".join((repr(value) if isinstance(value, str) else str(value)).split())
    return shown if len(shown) < 80 else f"{shown[:60]} …"


def in_one_line(error: Exception) -> str:
    """The message of an error in one line, or what kind it is where it has none."""
    return " ".join(str(error).split())[:600] or type(error).__name__


def advice(got: np.ndarray, dtype: np.dtype) -> str:
    """The expression that turns an array x with the distinct entries `got` into ±1, without overflow in its
    dtype."""
    unsigned = jnp.issubdtype(dtype, jnp.unsignedinteger)
    if not np.isfinite(got).all():
        return ""
    if set(got) <= {0, 1}:
        fix = '2 * x.astype("int8") - 1' if unsigned else "2 * x - 1"
    elif unsigned and set(got) <= {1, np.iinfo(dtype).max}:  # −1 that has wrapped
        fix = f'x.astype("{str(dtype)[1:]}")'
    elif got[0] < 0:
        fix = "np.where(x > 0, 1, -1)"
    else:  # grey values, of eight bits if they look so
        fix = f"np.where(x > {127 if 127 < got[-1] < 256 else got[-1] / 2:g}, 1, -1)"
    return f" (x becomes ±1 by {fix})"
