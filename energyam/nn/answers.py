"""The answers of models that users hand to a loss."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def answer_of(found: object, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """What a model returned, if it is an array of this shape; raises `ValueError` for anything else."""
    if not isinstance(found, jax.Array | np.ndarray) or found.shape != shape:
        got = f"{found!r:.80}" if not hasattr(found, "shape") else f"shape {found.shape}"
        raise ValueError(f"model must return an array of shape {shape}; got {got}")
    return jnp.asarray(found)
