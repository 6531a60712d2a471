"""Products with many patterns, in full precision and a block at a time."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Num, Shaped

# Patterns in a block: the similarities of a batch stay in a core's cache, the matrix products stay large.
BLOCK = 2048
_WIDENED = 2**20  # entries of a block of patterns turned to floats: fewer cost launches, more leave the cache


def float_dtype(*dtypes: DTypeLike, least: DTypeLike = float) -> Any:
    """The dtype in which numbers of these dtypes meet: the widest of their floats, at least jax's default.

    `jnp.promote_types` says the same, and refuses it under strict promotion.
    """
    floats = (dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating))
    return max((jnp.result_type(least), *floats), key=lambda dtype: jnp.dtype(dtype).itemsize)


def is_narrow(dtype: DTypeLike) -> bool:
    """Whether numbers of this dtype are floats of 16 bits."""
    return jnp.issubdtype(dtype, jnp.floating) and jnp.dtype(dtype).itemsize == 2


def dot(a: Shaped[Array, "..."], b: Shaped[Array, "..."]) -> Float[Array, "..."]:
    """a @ b in full precision on every platform (accelerators round the factors unless asked not to).

    Factors that are both bfloat16, or both float16, stay what they are: float32 holds their products exactly,
    and the sums are in float32. Integers (int8 patterns), and 16-bit floats beside other numbers, are read as
    floats of jax's default width or wider.
    """
    dtype = float_dtype(a.dtype, b.dtype)
    if a.dtype == b.dtype and is_narrow(a.dtype):
        return jnp.matmul(a, b, preferred_element_type=jnp.float32).astype(dtype)
    return jnp.matmul(a.astype(dtype), b.astype(dtype), precision="highest")


def power_of_two(*arrays: Shaped[Array, "..."]) -> Float[Array, ""]:
    """A power of two near the largest of all entries, and 1 if all are 0: divided by it, numbers of any unit
    have squares that floats can hold, and no digit changes."""
    sizes = jnp.stack([jnp.max(jnp.abs(array), initial=0).astype(float) for array in arrays])
    largest = jnp.max(sizes)
    power = jnp.ldexp(jnp.ones_like(largest), jnp.frexp(largest)[1] - 1)
    return jnp.where(largest > 0, power, jnp.ones_like(power))


def unit(vectors: Float[Array, "*batch D"]) -> Float[Array, "*batch D"]:
    """v / √(‖v‖² + 10⁻¹²): unit vectors, smooth at 0, so that no gradient is NaN there."""
    return vectors / jnp.sqrt(jnp.sum(vectors**2, axis=-1, keepdims=True) + 1e-12)


def saturated(value: Float[Array, "..."]) -> Float[Array, "..."]:
    """`value` within the range of floats."""
    largest = jnp.finfo(value.dtype).max
    return jnp.clip(value, -largest, largest)


def overlaps(patterns: Num[Array, "K D"], state: Float[Array, " D"]) -> Float[Array, " K"]:
    """Ξx in full precision. Patterns of a narrow dtype are widened block by block, never all at once."""
    if patterns.dtype == state.dtype:
        return dot(patterns, state)

    def of_lane(_, arrays):
        (rows,) = arrays
        K = rows.shape[0]
        blocks = -(-K // max(64, _WIDENED // rows.shape[1]))
        block = -(-K // blocks)

        def with_block(j, found):
            start = jnp.minimum(j * block, K - block)  # the last may take some anew
            part = dot(lax.dynamic_slice_in_dim(rows, start, block), state)
            return lax.dynamic_update_slice_in_dim(found, part, start, 0)

        return lax.fori_loop(0, blocks, with_block, jnp.zeros(K, state.dtype))

    return by_lane(of_lane, (patterns,)).reshape(-1)


def weighted_sum(
    patterns: Num[Array, "..."], weights: Float[Array, " K"], axis: int = 0
) -> Float[Array, " t"]:
    """Σ_μ w_μ ξ_μ of patterns or of some of their neurons, a block of patterns at a time.

    `axis` is that of the patterns: 0 for (K, t), 1 for (t, K). For patterns of ±1 the rounding is at most
    (BLOCK + K / BLOCK) eps Σ |w|, in whatever order a block is summed.
    """

    def of_lane(_, arrays):
        patterns, weights = arrays[0] if axis == 0 else arrays[0].T, arrays[1][:, 0]
        block = min(BLOCK, weights.shape[0])

        def part_at(start, size):
            part = lax.dynamic_slice_in_dim(patterns, start, size, axis)
            w = lax.dynamic_slice_in_dim(weights, start, size)
            return dot(w, part) if axis == 0 else dot(part, w)

        blocks, rest = divmod(weights.shape[0], block)
        total = part_at(0, block)
        if blocks > 1:
            total = lax.fori_loop(1, blocks, lambda j, sums: sums + part_at(j * block, block), total)
        return total + part_at(blocks * block, rest) if rest else total

    return by_lane(of_lane, (patterns if axis == 0 else patterns.T, weights[:, None])).sum(axis=0)


def by_lane(of_lane: Callable[..., Any], arrays: tuple[Num[Array, "K _"], ...]) -> Any:
    """`of_lane(first, rows)` of equal lanes of rows, stacked: no lane reads the rows of two devices."""
    K = arrays[0].shape[0]
    lanes = math.gcd(K, jax.device_count())
    if lanes == 1:
        return jax.tree.map(functools.partial(jnp.expand_dims, axis=0), of_lane(0, arrays))
    in_lanes = tuple(rows.reshape(lanes, K // lanes, -1) for rows in arrays)
    return jax.vmap(of_lane)(jnp.arange(lanes) * (K // lanes), in_lanes)
