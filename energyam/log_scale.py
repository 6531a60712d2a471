"""Numbers too large for floats: energies compressed in their order, and mantissas beside powers of 2."""

import math

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from energyam.sending import as_jax

ZERO_EXPONENT = -(2**20)  # of 0, among powers of 2


def is_beyond(log_size: Float[Array, "..."]) -> Bool[Array, "..."]:
    """Whether e^log_size lies beyond the limit L: 2^110 for 32-bit floats, 2^1006 for 64-bit ones."""
    return log_size > math.log(_limit(log_size.dtype))


def compressed(sign: Float[Array, "..."], log_size: Float[Array, "..."]) -> Float[Array, "..."]:
    """sign · L (1 + log(v / L)) of a size v = e^log_size beyond the limit L, and sign · L of any below.

    At the limit this is v itself. It is finite and grows with v, so states keep the order of their energies.
    """
    limit = _limit(log_size.dtype)
    return sign * limit * (1 + jnp.maximum(log_size - math.log(limit), 0))


def log_sizes(energies: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """log |E| of energies, those beyond the limit expanded; −∞ for 0. In float64."""
    limit, sizes = _limit(energies.dtype), np.abs(np.asarray(energies, np.float64))
    with np.errstate(divide="ignore"):
        return np.where(sizes > limit, math.log(limit) + sizes / limit - 1, np.log(sizes))


def wide_floats(logs: Float[np.ndarray, "..."]) -> tuple[Float[Array, "..."], Int[Array, "..."]]:
    """Numbers given by their natural logarithms, as mantissas in [1, 2) and whole powers of 2."""
    some = np.isfinite(logs)
    powers = np.where(some, logs, 0) / math.log(2)
    exponents = np.floor(powers)
    mantissas = np.where(some, np.exp2(powers - exponents), 0)
    exponents = np.where(some, exponents, ZERO_EXPONENT)
    return as_jax(mantissas), as_jax(exponents.astype(np.int32))


def two_to(exponent: Int[Array, "..."], dtype: DTypeLike) -> Float[Array, "..."]:
    """2^exponent, exactly; 0 below the smallest normal float. The exponent must not exceed the largest."""
    info = jnp.finfo(dtype)
    bits = jnp.maximum(exponent + info.maxexp - 1, 0).astype(jnp.dtype(f"int{info.bits}"))
    return lax.bitcast_convert_type(bits << info.nmant, jnp.dtype(dtype))


def largest_exponent(dtype: DTypeLike) -> int:
    """An exponent that leaves room for the sum of many patterns."""
    return int(jnp.finfo(dtype).maxexp) - 28


def _limit(dtype):
    return 2.0 ** (jnp.finfo(dtype).maxexp - 18)
