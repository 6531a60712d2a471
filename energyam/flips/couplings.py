"""Flips of networks of couplings: E(x) = −½ xᵀWx − bᵀx."""

import jax
import jax.numpy as jnp
from jax import lax
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
    neurons: Int[Array, " N"] | None  # which they are; None for all
    bias: Float[Array, " D"]
    own: Float[Array, " D"]
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
        at = self.neurons
        within = self.weights if at is None else self.weights[at[:, None], at]
        return within.astype(self.bias.dtype)

    def own_couplings(self) -> Float[Array, " N"]:
        return self.own if self.neurons is None else self.own[self.neurons]

    def moved(self, kept: Float[Array, " D"], steps: Float[Array, " N"]) -> Float[Array, " D"]:
        if self.neurons is None:
            return kept + dot(steps, self.weights)
        return _with_rows(kept, steps, self.weights, self.neurons)

    def laid_out(self) -> "CouplingFlips":
        return self

    def seen_from(self, neurons: Int[Array, " b"]) -> "CouplingFlips":
        return CouplingFlips(self.weights, neurons, self.bias, self.own, self.errors)


def coupling_flips(weights: Float[Array, "D D"], bias: Float[Array, " D"] | None) -> CouplingFlips:
    """The flips of a network of couplings `weights` and fields `bias`."""
    dtype = jnp.promote_types(weights.dtype, jnp.result_type(float))
    bias = jnp.zeros(weights.shape[0], dtype) if bias is None else bias.astype(dtype)
    sizes = jnp.sum(jnp.abs(weights), axis=1, dtype=dtype) + jnp.abs(bias)
    own = jnp.diagonal(weights).astype(dtype)
    return CouplingFlips(weights, None, bias, own, _ROUNDINGS * jnp.finfo(dtype).eps * sizes)


@jax.custom_batching.custom_vmap
def _with_rows(fields, steps, weights, neurons):
    """fields + Σ_b steps_b W_b over the rows of `neurons`.

    For one state few steps are not 0, and the rows of the others are not read; for a batch it is one product.
    """

    def add_next(at):
        fields, steps = at
        b = jnp.argmax(steps != 0)
        return fields + steps[b] * weights[neurons[b]], steps.at[b].set(0)

    return lax.while_loop(lambda at: (at[1] != 0).any(), add_next, (fields, steps))[0]


@_with_rows.def_vmap
def _with_rows_of_all(_, batched, fields, steps, weights, neurons):
    add = lambda fields, steps, weights, neurons: fields + dot(steps, weights[neurons])  # noqa: E731
    added = jax.vmap(add, in_axes=[0 if one else None for one in batched])
    return added(fields, steps, weights, neurons), True
