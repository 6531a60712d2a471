"""Names of 0.2 that stay for one version, with a warning."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from energyam import checks
from energyam.dynamics.moves import ready, view_of
from energyam.flips.abstract import AbstractFlips
from energyam.memories.associator import KeyValueMemory
from energyam.memories.separation import AbstractSeparation


def weights_of(separation: Any, similarities: Float[Array, " K"]) -> Float[Array, " K"]:
    """`separation.weights(similarities)`. Raises `ValueError` for an object that is no separation."""
    warnings.warn("weights_of is now a method: separation.weights(similarities)", DeprecationWarning, 2)
    if isinstance(separation, type) or not checks.has_method(separation, "weights"):
        raise ValueError(f"separation must have a potential(similarities); got {separation!r:.80}")
    return separation.weights(checks.as_array("similarities", similarities, "K"))


def flips_of(memory: Any) -> AbstractFlips:
    """How single moves change a memory's energy. Raises `ValueError` for an object without an energy."""
    warnings.warn("flips_of is now a method: memory.flips()", DeprecationWarning, 2)
    if isinstance(memory, type) or not checks.has_method(memory, "energy"):
        raise ValueError(f"memory must have an energy(state); got {memory!r:.80}")
    shape = getattr(memory, "state_shape", (1,))
    state = jax.tree.map(jnp.zeros, shape, is_leaf=lambda node: isinstance(node, tuple))
    return view_of(ready(memory), state).flips


def PaddedKeyValueMemory(  # noqa: N802
    keys: ArrayLike, values: ArrayLike, separation: AbstractSeparation, capacity: int = 1
) -> KeyValueMemory:
    """`KeyValueMemory(keys, values, separation, capacity=capacity)`."""
    new = "KeyValueMemory(keys, values, separation, capacity=…)"
    warnings.warn(f"PaddedKeyValueMemory is now {new}", DeprecationWarning, 2)
    return KeyValueMemory(keys, values, separation, capacity=capacity)
