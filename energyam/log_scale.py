"""Energies too large for floats, in their order: beyond a limit they grow on as their logarithm does."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float


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


def _limit(dtype):
    return 2.0 ** (jnp.finfo(dtype).maxexp - 18)
