"""Rows of patterns, or of keys and values: which stay when some are taken out, and more of the same kind."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Int, Num

from energyam import checks
from energyam.wording import in_words

Indices = ArrayLike | Sequence[int]


def kept_rows(indices: Indices, num_rows: int) -> Int[np.ndarray, " K"]:
    """The rows of 0 … num_rows − 1 that stay when `indices`, one or several, are taken out.

    Raises `ValueError` for indices that are not known whole numbers in that range, and if no row stays.
    """
    if not checks.is_known(indices):
        raise ValueError("indices must be known, as they say how many patterns are left; got traced ones")
    gone = np.atleast_1d(as_whole("indices", indices))
    if gone.ndim != 1:
        raise ValueError(f"indices must be whole numbers, one or a list of them; got shape {gone.shape}")
    outside = gone[(gone < 0) | (gone >= num_rows)]
    if outside.size:
        raise ValueError(f"indices must be from 0 to {num_rows - 1}; got {outside[0]}")
    kept = np.setdiff1d(np.arange(num_rows), gone)
    if not kept.size:
        raise ValueError(f"indices must leave something in the memory; got all {num_rows} of them")
    return kept


def as_whole(name: str, numbers: Indices) -> Int[np.ndarray, "..."]:
    """Whole numbers as an array on the host; raises `ValueError` for anything else."""
    try:
        array = np.asarray(numbers)
    except (TypeError, ValueError):  # ragged, or random keys
        raise ValueError(f"{name} must be whole numbers; got {in_words(numbers)}") from None
    array = array.astype(int) if array.size == 0 and isinstance(numbers, list | tuple) else array
    if array.dtype.kind not in "iu":
        hint = " (np.flatnonzero makes indices of a mask)" if array.dtype == bool else ""
        raise ValueError(f"{name} must be whole numbers; got dtype {array.dtype}{hint}")
    return array


def as_wide(name: str, rows: Num[Array, "n D"], width: int, dtype: jnp.dtype) -> Num[Array, "n D"]:
    """`rows` in another dtype, still finite; raises `ValueError` unless they have `width` columns."""
    if rows.shape[1] != width:
        raise ValueError(f"{name} must be (n, {width}), as those in the memory; got shape {rows.shape}")
    rows = rows.astype(dtype)
    return checks.as_floats(name, rows, "K D") if jnp.issubdtype(dtype, jnp.floating) else rows
