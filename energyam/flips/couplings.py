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

    weights: Float[Array, "D D"]
    bias: Float[Array, " D"]
    errors: Float[Array, " D"]

    def __init__(self, weights: Float[Array, "D D"], bias: Float[Array, " D"] | None):
        dtype = jnp.promote_types(weights.dtype, jnp.result_type(float))
        self.weights = weights
        self.bias = jnp.zeros(weights.shape[0], dtype) if bias is None else bias.astype(dtype)
        sizes = jnp.sum(jnp.abs(weights), axis=1, dtype=dtype) + jnp.abs(self.bias)
        self.errors = _ROUNDINGS * jnp.finfo(dtype).eps * sizes

    def start(self, state: Float[Array, " D"]) -> Float[Array, " D"]:
        return dot(state, self.weights) + self.bias

    def energy(self, kept: Float[Array, " D"], state: Float[Array, " D"]) -> Float[Array, ""]:
        return -0.5 * dot(state, kept + self.bias)

    def fields(
        self, kept: Float[Array, " D"], neurons: Int[Array, " t"] | None
    ) -> tuple[Float[Array, " t"], Float[Array, " t"]]:
        if neurons is None:
            return kept, self.errors
        return kept[neurons], self.errors[neurons]

    def couplings(self, neurons: Int[Array, " t"]) -> Float[Array, "t t"]:
        return self.weights[neurons][:, neurons].astype(self.bias.dtype)

    def moved(
        self, kept: Float[Array, " D"], neurons: Int[Array, " t"], steps: Float[Array, " t"]
    ) -> Float[Array, " D"]:
        return kept + dot(steps, self.weights[neurons])

    def own_couplings(self) -> Float[Array, " D"]:
        return jnp.diagonal(self.weights).astype(self.bias.dtype)

    def laid_out(self) -> "CouplingFlips":
        return self
