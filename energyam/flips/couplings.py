"""Flips of networks of couplings: E(x) = −½ xᵀWx − bᵀx."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from energyam.flips.abstract import AbstractFlips, Change, Entries, Vector
from energyam.flips.overlaps import changes_of_pairs
from energyam.linalg import dot, float_dtype, power_of_two

_ROUNDINGS = 8  # units of rounding of a field, relative to Σ |W_ij|


class CouplingFlips(AbstractFlips):
    """Flips of a network: what is kept is the field Wx + b.

    The error of a field is a few units of rounding of the numbers that it sums; they are summed in jax's
    default float or a wider one, whatever the dtype of the couplings.
    """

    weights: Float[Array, "D D"]
    neurons: Int[Array, " N"] | None  # which they are; None for all
    bias: Float[Array, " D"]
    own: Float[Array, " D"]
    errors: Float[Array, " D"]
    constant: Float[Array, ""]  # which every energy has beside the rest

    def start(self, state: Float[Array, " D"]) -> Float[Array, " D"]:
        return dot(state, self.weights) + self.bias

    def energy(self, kept: Float[Array, " D"], state: Float[Array, " D"]) -> Float[Array, ""]:
        return self.constant - 0.5 * dot(state, kept + self.bias)

    def change(self, kept: Float[Array, " D"], state: Vector, i: Entries, step: Vector) -> Change:
        at = self._at(i)
        own = dot(self.weights[at[:, None], at], step) if i.size > 1 else self.own[at] * step
        return Change(dot(step, kept[at] + 0.5 * own), dot(jnp.abs(step), self.errors[at]))

    def move(self, kept: Float[Array, " D"], state: Vector, i: Entries, step: Vector) -> Any:
        return kept + dot(step, self.weights[self._at(i)])

    def block(self, neurons: Int[Array, " b"]) -> "CouplingFlips":
        return CouplingFlips(self.weights, neurons, self.bias, self.own, self.errors, self.constant)

    def changes(self, kept: Float[Array, " D"]) -> Callable[[Array, Array | None], Change]:
        at = slice(None) if self.neurons is None else self.neurons
        pulls = self.weights if self.neurons is None else self.weights[self.neurons[:, None], self.neurons]
        return changes_of_pairs(kept[at], self.errors[at], self.own[at], pulls.astype(self.bias.dtype))

    def move_all(self, kept: Float[Array, " D"], moved: Float[Array, " N"]) -> Float[Array, " D"]:
        if self.neurons is None:
            return kept + dot(moved, self.weights)
        return _with_rows(kept, moved, self.weights, self.neurons)

    def own_couplings(self) -> Float[Array, " N"]:
        return self.own

    def typical_field(self) -> Float[Array, ""]:
        pairs = jnp.fill_diagonal(self.weights, 0, inplace=False)
        scale = power_of_two(pairs, self.bias).astype(self.bias.dtype)
        pairs, bias = pairs.astype(self.bias.dtype) / scale, self.bias / scale
        return scale * jnp.sqrt(jnp.mean(jnp.sum(pairs**2, axis=1) + bias**2))

    def _at(self, i):
        return i if self.neurons is None else self.neurons[i]


def coupling_flips(weights: Float[Array, "D D"], bias: Float[Array, " D"] | None) -> CouplingFlips:
    """The flips of a network of couplings `weights` and fields `bias`."""
    dtype = float_dtype(weights.dtype)
    bias = jnp.zeros(weights.shape[0], dtype) if bias is None else bias.astype(dtype)
    sizes = jnp.sum(jnp.abs(weights), axis=1, dtype=dtype) + jnp.abs(bias)
    each = jnp.arange(weights.shape[0])
    own = weights[each, each].astype(dtype)
    errors = _ROUNDINGS * jnp.finfo(dtype).eps * sizes
    return CouplingFlips(weights, None, bias, own, errors, jnp.zeros((), dtype))


@jax.custom_batching.custom_vmap
def _with_rows(fields, steps, weights, neurons):
    """fields + Σ_b steps_b W_b over the rows of `neurons`.

    For one state few steps are not 0, and the rows of the others are not read; for a batch it is one product.
    """

    def add_next(at):
        fields, steps = at
        b = jnp.argmax(steps != 0)
        row = weights[neurons[b]].astype(fields.dtype)
        return fields + steps[b] * row, steps.at[b].set(0)

    return lax.while_loop(lambda at: (at[1] != 0).any(), add_next, (fields, steps))[0]


@_with_rows.def_vmap
def _with_rows_of_all(_, batched, fields, steps, weights, neurons):
    add = lambda fields, steps, weights, neurons: fields + dot(steps, weights[neurons])  # noqa: E731
    added = jax.vmap(add, in_axes=[0 if one else None for one in batched])
    return added(fields, steps, weights, neurons), True
