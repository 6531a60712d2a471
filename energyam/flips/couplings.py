"""Flips of networks of couplings: E(x) = −½ xᵀWx − bᵀx."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from energyam.flips.capabilities import AbstractCouplings
from energyam.linalg import dot

_ROUNDINGS = 8  # units of rounding of a field, relative to Σ |W_ij|


class CouplingFlips(AbstractCouplings):
    """Flips of a network: what is kept is the field Wx + b.

    The error of a field is a few units of rounding of the numbers that it sums; they are summed in jax's
    default float or a wider one, whatever the dtype of the couplings.
    """

    weights: Float[Array, "N D"]  # of the neurons that flip, to all
    neurons: Int[Array, " N"] | None  # which they are; None for all
    bias: Float[Array, " D"]
    errors: Float[Array, " D"]

    def start(self, state: Float[Array, " D"]) -> Float[Array, " D"]:
        return dot(state, self.weights) + self.bias

    def energy(self, kept: Float[Array, " D"], state: Float[Array, " D"]) -> Float[Array, ""]:
        return -0.5 * dot(state, kept + self.bias)

    def fields(self, kept: Float[Array, " D"]) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
        if self.neurons is None:
            return kept, self.errors
        return kept[self.neurons], self.errors[self.neurons]

    def couplings(self) -> Float[Array, "N N"]:
        within = self.weights if self.neurons is None else self.weights[:, self.neurons]
        return within.astype(self.bias.dtype)

    def own_couplings(self) -> Float[Array, " N"]:
        return jnp.diagonal(self.couplings())

    def moved(self, kept: Float[Array, " D"], steps: Float[Array, " N"]) -> Float[Array, " D"]:
        return kept + dot(steps, self.weights)

    def laid_out(self) -> "CouplingFlips":
        return self

    def seen_from(self, neurons: Int[Array, " b"]) -> "CouplingFlips":
        return CouplingFlips(self.weights[neurons], neurons, self.bias, self.errors)


def coupling_flips(weights: Float[Array, "D D"], bias: Float[Array, " D"] | None) -> CouplingFlips:
    """The flips of a network of couplings `weights` and fields `bias`."""
    dtype = jnp.promote_types(weights.dtype, jnp.result_type(float))
    bias = jnp.zeros(weights.shape[0], dtype) if bias is None else bias.astype(dtype)
    sizes = jnp.sum(jnp.abs(weights), axis=1, dtype=dtype) + jnp.abs(bias)
    return CouplingFlips(weights, None, bias, _ROUNDINGS * jnp.finfo(dtype).eps * sizes)
