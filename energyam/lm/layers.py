"""The layers that the language models share: affine maps and the two norms."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from energyam.linalg import float_dtype


class Affine(eqx.Module):
    """x W + b, with W (in, out); without a bias b is None."""

    weight: Float[Array, "*L I O"]
    bias: Float[Array, "*L O"] | None = None

    def __call__(self, x: Float[Array, "T I"]) -> Float[Array, "T O"]:
        product = x @ self.weight
        return product if self.bias is None else product + self.bias[None]


class LayerNorm(eqx.Module):
    """(x − mean) / √(variance + ε) · scale + bias, computed in float32 at least.

    Ba, Kiros & Hinton, "Layer normalization", 2016.
    """

    scale: Float[Array, "*L D"]
    bias: Float[Array, "*L D"]
    eps: int | float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "T D"]) -> Float[Array, "T D"]:
        wide = x.astype(precise(x.dtype))
        centred = wide - wide.mean(axis=-1, keepdims=True)
        variance = jnp.mean(centred**2, axis=-1, keepdims=True)
        normed = centred * jax.lax.rsqrt(variance + self.eps) * self.scale[None] + self.bias[None]
        return normed.astype(x.dtype)


class RMSNorm(eqx.Module):
    """x / √(mean x² + ε) · scale, computed in float32 at least.

    Zhang & Sennrich, "Root mean square layer normalization", NeurIPS 2019.
    """

    scale: Float[Array, "*L D"]
    eps: int | float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "T D"]) -> Float[Array, "T D"]:
        wide = x.astype(precise(x.dtype))
        size = jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + self.eps)
        return (wide * size * self.scale[None]).astype(x.dtype)


def precise(dtype: DTypeLike) -> Any:
    """The dtype for sums, squares and angles: float32, or `dtype` if that is wider.

    Squares of numbers above 256 are too large for float16, and positions above 256 don't fit bfloat16.
    """
    return float_dtype(dtype, least=jnp.float32)
