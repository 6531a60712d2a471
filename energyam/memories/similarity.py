"""Similarities: how a memory compares a state with a pattern, before a separation weighs the results."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from energyam.abilities import check_written, optional
from energyam.linalg import dot, overlaps
from energyam.shown import shown

Patterns = Num[Array, "K D"]
State = Float[Array, " D"]
Similarities = Float[Array, " K"]
Entries = Int[Array, " w"]
Step = Float[Array, " w"]
Pull = tuple[State, Float[Array, ""]]


@shown()
class AbstractSimilarity(eqx.Module):
    """How near a state is to a pattern: larger is nearer. `of`, for one pair, is all that must be written.

    **Optional value:** `overlaps`, True for the overlap ξ · x itself and no other similarity: between whole
    numbers flips are then exact.

        >>> class Agreement(eam.AbstractSimilarity):  # how many entries are equal
        ...     def of(self, pattern, state):
        ...         return jnp.sum(pattern == state)
        ...
        >>> Agreement().of(jnp.array([1, -1, 1]), jnp.array([1, 1, 1]))
        Array(2, dtype=int32)
    """

    overlaps = False

    def __init_subclass__(cls, **options: Any):
        check_written(cls, AbstractSimilarity, **options)

    @abc.abstractmethod
    def of(self, pattern: State, state: State) -> Float[Array, ""]:
        """The similarity of one pattern and one state."""

    @optional
    def of_all(self, patterns: Patterns, state: State) -> Similarities:
        """The similarity of each pattern with the state. Write it if all at once are faster than one by one,
        as in a matrix product."""
        similarities = jax.vmap(self.of, in_axes=(0, None))(patterns.astype(state.dtype), state)
        if similarities.shape != patterns.shape[:1]:
            raise ValueError(
                f"similarity must give one number for each pattern, ({patterns.shape[0]},) in all; "
                f"got shape {similarities.shape} from {type(self).__name__}.of"
            )
        return similarities

    @optional
    def moved(
        self, patterns: Patterns, state: State, i: Entries, step: Step, before: Similarities
    ) -> Similarities:
        """By how much the similarities, now `before`, change when the neurons `i` of `state` move by `step`.
        Write it if that costs less than computing all similarities anew: a flip then costs K instead of
        K·D."""
        return self.of_all(patterns, state.at[i].add(step)) - before

    @optional
    def field(self, patterns: Patterns, weights: Similarities, state: State | None) -> Pull | None:
        """Field f and curvature c, both sums over patterns, with Σ_μ w_μ ∇s_μ(x) = f − c x at the state.

        For a state of None: for all states at once; None where they depend on the state. Write it so that
        patterns are read in one pass, block by block, and not by differentiation.
        """
        return None


class Dot(AbstractSimilarity):
    """The overlap ξ · x.

    >>> eam.Dot().of(jnp.array([3.0, 4.0]), jnp.array([10.0, 0.0]))
    Array(30., dtype=float32)
    """

    overlaps = True

    def of(self, pattern: State, state: State) -> Float[Array, ""]:
        return dot(pattern, state)

    def of_all(self, patterns: Patterns, state: State) -> Similarities:
        return _side_by_side(patterns, state)

    def moved(
        self, patterns: Patterns, state: State, i: Entries, step: Step, before: Similarities
    ) -> Similarities:
        return _along(patterns, i, step)

    def field(self, patterns: Patterns, weights: Similarities, state: State | None) -> Pull:
        return dot(weights, patterns), jnp.zeros((), weights.dtype)


class NegativeDistance(AbstractSimilarity):
    """Half the squared distance, its sign turned: −½ ‖x − ξ‖².

    >>> eam.NegativeDistance().of(jnp.array([3.0, 4.0]), jnp.array([0.0, 0.0]))  # −5²/2
    Array(-12.5, dtype=float32)
    """

    def of(self, pattern: State, state: State) -> Float[Array, ""]:
        return -0.5 * jnp.sum((state - pattern) ** 2)

    def of_all(self, patterns: Patterns, state: State) -> Similarities:
        halves = 0.5 * _squares(patterns, state.dtype)
        # No distance is negative: where it is nearly 0, rounding may say so.
        return jnp.minimum(_side_by_side(patterns, state) - halves - 0.5 * dot(state, state), 0)

    def moved(
        self, patterns: Patterns, state: State, i: Entries, step: Step, before: Similarities
    ) -> Similarities:
        return _along(patterns, i, step) - dot(step, state[i] + 0.5 * step)

    def field(self, patterns: Patterns, weights: Similarities, state: State | None) -> Pull:
        return dot(weights, patterns), jnp.sum(weights)


class Cosine(AbstractSimilarity):
    """The cosine of the angle between pattern and state, ξ · x / (‖ξ‖ ‖x‖); 0 where either is 0.

    For ±1 patterns and states it ranks patterns as `Dot` does, and under `Spherical()` the memory is that of
    the patterns scaled to length 1.

        >>> eam.Cosine().of(jnp.array([3.0, 4.0]), jnp.array([10.0, 0.0]))
        Array(0.6, dtype=float32)
    """

    def of(self, pattern: State, state: State) -> Float[Array, ""]:
        return self.of_all(pattern[None], state)[0]

    def of_all(self, patterns: Patterns, state: State) -> Similarities:
        sizes = _norms(_squares(patterns, state.dtype)) * _norms(dot(state, state))
        return _side_by_side(patterns, state) / sizes

    def moved(
        self, patterns: Patterns, state: State, i: Entries, step: Step, before: Similarities
    ) -> Similarities:
        square = dot(state, state)
        after = square + dot(step, 2 * state[i] + step)  # ‖x‖², which is 0 where all neurons are
        moved = _along(patterns, i, step) / _norms(_squares(patterns, state.dtype))
        now = before * jnp.sqrt(square)
        return jnp.where(after > 0, (now + moved) / _norms(after), 0) - before

    def field(self, patterns: Patterns, weights: Similarities, state: State | None) -> Pull | None:
        if state is None:
            return None
        square = dot(state, state)
        field = dot(weights / (_norms(_squares(patterns, state.dtype)) * _norms(square)), patterns)
        return field, dot(field, state) / jnp.where(square > 0, square, 1)


def _side_by_side(patterns, state):
    """Ξx; under vmap those of one state lie together, as what follows wants them."""
    return dot(state, patterns.T) if patterns.dtype == state.dtype else overlaps(patterns, state)


def _along(patterns, i, step):
    """Σ_i step_i ξ_i for each pattern."""
    columns = patterns[:, i].astype(step.dtype)
    return step[0] * columns[:, 0] if i.shape[0] == 1 else dot(columns, step)


def _squares(patterns, dtype):
    """‖ξ‖² of each pattern, without a copy of the patterns in another dtype."""
    return jnp.sum(jnp.square(patterns.astype(dtype)), axis=1)


def _norms(squares):
    """Square roots, with 1 for 0, so that 0 divided by them is 0."""
    return jnp.sqrt(jnp.where(squares > 0, squares, 1))
