"""The Hopfield network of weights: E(x) = −½ xᵀWx."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from energyam import checks
from energyam.memories.base import AbstractIncrements, AbstractMemory, dot
from energyam.memories.neurons import Binary


class HopfieldNetwork(AbstractMemory):
    """A network of ±1 neurons with symmetric weights: E(x) = −½ xᵀWx.

    The diagonal adds the constant −½ tr W and no decision depends on it; learning rules leave it 0.

    **Arguments:** `weights` (D, D): symmetric. Raises `ValueError` for another shape, NaN, or weights that
    are not symmetric (those of a sequence have no energy).

    Hopfield, PNAS 79 (1982).
    """

    weights: Float[Array, "D D"]
    neurons: Binary

    def __init__(self, weights: ArrayLike):
        weights = checks.as_square("weights", weights)
        if not checks.passes(lambda w: jnp.abs(w - w.T).max() <= 1e-4 * jnp.abs(w).max(), weights):
            gap = np.abs(np.asarray(weights) - np.asarray(weights).T).max()
            raise ValueError(f"weights must be symmetric; got |W − Wᵀ| up to {gap:.3g}")
        self.weights = 0.5 * (weights + weights.T)
        self.neurons = Binary()

    @property
    def num_neurons(self) -> int:
        return self.weights.shape[0]

    def currents(self, state: Float[Array, " D"]) -> Float[Array, " D"]:
        return dot(self.weights, state)

    def potential(self, currents: Float[Array, " D"], state: Float[Array, " D"]) -> Float[Array, ""]:
        return 0.5 * dot(state, currents)

    def field(self, currents: Float[Array, " D"]) -> Float[Array, " D"]:
        return currents

    def increments(self) -> "HopfieldIncrements":
        return HopfieldIncrements(self.weights)


class HopfieldIncrements(AbstractIncrements):
    """The currents are Wx, and beside them how far rounding may have moved each of them."""

    weights: Float[Array, "D D"]

    def currents(self, state: Float[Array, " D"]) -> tuple[Float[Array, " D"], Float[Array, " D"]]:
        eps = jnp.finfo(self.weights.dtype).eps
        return dot(self.weights, state), 4 * eps * jnp.abs(self.weights).sum(axis=1)

    def energy(
        self, currents: tuple[Float[Array, " D"], Float[Array, " D"]], state: Float[Array, " D"]
    ) -> Float[Array, ""]:
        return -0.5 * dot(state, currents[0])

    def signs(
        self,
        currents: tuple[Float[Array, " D"], Float[Array, " D"]],
        state: Float[Array, " D"],
        neurons: Int[Array, " t"] | None = None,
    ) -> Int[Array, " t"]:
        neurons = jnp.arange(state.shape[0]) if neurons is None else neurons
        gains = jax.vmap(lambda i: self.gain(currents, state, i))(neurons)
        return jnp.where(gains > 0, 1, -1)

    def gain(
        self,
        currents: tuple[Float[Array, " D"], Float[Array, " D"]],
        state: Float[Array, " D"],
        i: Int[Array, ""],
    ) -> Float[Array, ""]:
        field, rounding = currents
        fall = self.weights[i, i] - state[i] * field[i]
        return jnp.where(fall > rounding[i], 2 * fall, jnp.minimum(fall, 0))

    def flip(
        self,
        currents: tuple[Float[Array, " D"], Float[Array, " D"]],
        state: Float[Array, " D"],
        i: Int[Array, ""],
    ) -> tuple[Float[Array, " D"], Float[Array, " D"]]:
        field, rounding = currents
        return field - 2 * state[i] * self.weights[i], rounding
