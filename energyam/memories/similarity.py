"""Similarities: how a memory compares a state with a pattern, before a separation weighs the results."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from energyam.flips.capabilities import (
    AbstractFields,
    AbstractFieldsAt,
    AbstractManySimilarities,
    AbstractMovable,
)
from energyam.linalg import dot, overlaps


class AbstractSimilarity(eqx.Module):
    """How near a state is to a pattern: larger is nearer. `of`, for one pair, is all that must be written.

    What makes it fast is declared by further classes: `AbstractManySimilarities` (all patterns at once),
    `AbstractMovable` (what a flip does), `AbstractFields` (how weights of patterns pull at a state).
    """

    @abc.abstractmethod
    def of(self, pattern: Float[Array, " D"], state: Float[Array, " D"]) -> Float[Array, ""]:
        """The similarity of one pattern and one state."""


class Dot(AbstractSimilarity, AbstractManySimilarities, AbstractMovable, AbstractFields):
    """The overlap ξ · x."""

    def of(self, pattern: Float[Array, " D"], state: Float[Array, " D"]) -> Float[Array, ""]:
        return dot(pattern, state)

    def of_all(self, patterns: Num[Array, "K D"], state: Float[Array, " D"]) -> Float[Array, " K"]:
        return overlaps(patterns, state)

    def moved(
        self, patterns: Num[Array, "K D"], state: Float[Array, " D"], i: Int[Array, ""]
    ) -> Float[Array, " K"]:
        return -2 * state[i] * patterns[:, i].astype(state.dtype)

    def field(
        self, patterns: Num[Array, "K D"], weights: Float[Array, " K"]
    ) -> tuple[Float[Array, " D"], Float[Array, ""]]:
        return dot(weights, patterns), jnp.zeros((), weights.dtype)


class NegativeDistance(AbstractSimilarity, AbstractManySimilarities, AbstractMovable, AbstractFields):
    """Half the squared distance, its sign turned: −½ ‖x − ξ‖²."""

    def of(self, pattern: Float[Array, " D"], state: Float[Array, " D"]) -> Float[Array, ""]:
        return -0.5 * jnp.sum((state - pattern) ** 2)

    def of_all(self, patterns: Num[Array, "K D"], state: Float[Array, " D"]) -> Float[Array, " K"]:
        halves = 0.5 * _squares(patterns, state.dtype)
        # No distance is negative: where it is nearly 0, rounding may say so.
        return jnp.minimum(_side_by_side(patterns, state) - halves - 0.5 * dot(state, state), 0)

    def moved(
        self, patterns: Num[Array, "K D"], state: Float[Array, " D"], i: Int[Array, ""]
    ) -> Float[Array, " K"]:
        return -2 * state[i] * patterns[:, i].astype(state.dtype)

    def field(
        self, patterns: Num[Array, "K D"], weights: Float[Array, " K"]
    ) -> tuple[Float[Array, " D"], Float[Array, ""]]:
        return dot(weights, patterns), jnp.sum(weights)


class Cosine(AbstractSimilarity, AbstractManySimilarities, AbstractMovable, AbstractFieldsAt):
    """The cosine of the angle between pattern and state, ξ · x / (‖ξ‖ ‖x‖); 0 where either is 0.

    Between ±1 patterns and states it orders as `Dot` does, and under `Spherical()` it makes the memory of the
    patterns scaled to length 1.
    """

    def of(self, pattern: Float[Array, " D"], state: Float[Array, " D"]) -> Float[Array, ""]:
        return self.of_all(pattern[None], state)[0]

    def of_all(self, patterns: Num[Array, "K D"], state: Float[Array, " D"]) -> Float[Array, " K"]:
        sizes = _norms(_squares(patterns, state.dtype)) * _norms(dot(state, state))
        return _side_by_side(patterns, state) / sizes

    def moved(
        self, patterns: Num[Array, "K D"], state: Float[Array, " D"], i: Int[Array, ""]
    ) -> Float[Array, " K"]:
        sizes = _norms(_squares(patterns, state.dtype)) * _norms(dot(state, state))
        return -2 * state[i] * patterns[:, i].astype(state.dtype) / sizes

    def field_at(
        self, patterns: Num[Array, "K D"], weights: Float[Array, " K"], state: Float[Array, " D"]
    ) -> tuple[Float[Array, " D"], Float[Array, ""]]:
        square = dot(state, state)
        field = dot(weights / (_norms(_squares(patterns, state.dtype)) * _norms(square)), patterns)
        return field, dot(field, state) / jnp.where(square > 0, square, 1)


def _side_by_side(patterns, state):
    """Ξx; under vmap those of one state lie together, as what follows wants them."""
    return dot(state, patterns.T) if patterns.dtype == state.dtype else overlaps(patterns, state)


def _squares(patterns, dtype):
    """‖ξ‖² of each pattern, without a copy of the patterns in another dtype."""
    return jnp.sum(jnp.square(patterns.astype(dtype)), axis=1)


def _norms(squares):
    """Square roots, 1 in the place of 0: what is divided by them is then 0 itself."""
    return jnp.sqrt(jnp.where(squares > 0, squares, 1))
