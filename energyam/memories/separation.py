"""Separations: how a memory weighs its similarities, as a potential and some optional methods.

A separation has a `potential(s) = Q(Σ_μ F(s_μ))`. The potential makes an energy, E(x) = R(x) − potential(Ξx).
Its gradient, the weights, makes the update, and the read-out of a heteroassociative memory,
valuesᵀ · weights(keys · query). The general form is that of Krotov & Hopfield, "Large associative memory
problem in neurobiology and machine learning", ICLR 2021.
"""

import abc
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from energyam.abilities import check_written, optional
from energyam.flips.abstract import Change
from energyam.flips.bounds import Bounds
from energyam.flips.derived import one_number
from energyam.memories.hidden import AbstractHiddenUnits
from energyam.memories.neurons import is_curved
from energyam.shown import shown

Similarities = Float[Array, " K"]
Directions = Num[Array, " K"]
Pair = tuple[Float[Array, "..."], Float[Array, "..."]]


@runtime_checkable
class Blocks(Protocol):
    """F and F' relative to those at a block's scale c, so that nothing overflows and the sums of blocks join.

    potential = Q(F(c) Σ_μ F(s_μ)/F(c)) and weights = F'(c) Q' · F'(s_μ)/F'(c). The sums of two blocks are
    those of both once the factors F(a)/F(c) have brought them to one scale.
    """

    def scale(self, similarities: Similarities) -> Float[Array, ""]:
        """The similarity c that a block is taken relative to; two blocks together take the larger."""

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        """F(s)/F(c) and F'(s)/F'(c), both 1 at s = c."""

    def total(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        """The potential from a total Σ_μ F(s_μ)/F(c), and the factor of the relative weights."""


@shown()
class AbstractSeparation(eqx.Module):
    """A function of all similarities. Only `potential` must be written; all other methods are optional.

    **Optional values:** `growing`, True where |F'| grows faster than linearly: beside `gain` and
    `bounds`, a pattern that outweighs all others then decides whole sweeps. `squares`, True where the
    potential is ½ Σ s²: flips then interact by pairs, through couplings ΞᵀΞ. `fewest`, of a separation by a
    threshold: how many similarities it takes at least. Where the least of the k largest weighs 0 among these
    k alone, they are all that count, and reads look at no others.

        >>> class Cosh(eam.AbstractSeparation):
        ...     def potential(self, similarities):
        ...         return jnp.sum(jnp.cosh(similarities))
        ...
        >>> np.asarray(Cosh().weights(jnp.array([0.0, 1.0]))).round(3)  # by autodiff: sinh
        array([0.   , 1.175], dtype=float32)
    """

    growing = False
    squares = False
    fewest = None  # type: int | None

    def __init_subclass__(cls, **options: Any):
        check_written(cls, AbstractSeparation, **options)

    @abc.abstractmethod
    def potential(self, similarities: Similarities) -> Float[Array, ""]:
        """Q(Σ_μ F(s_μ)), a scalar for similarities (K,)."""

    @optional
    def weights(self, similarities: Similarities) -> Similarities:
        """The gradient of the potential; where floats can't hold it, a finite multiple of it. Write it where
        a closed form is better than what is derived: from the blocks, or by differentiation."""
        blocks = self.blocks()
        if blocks is not None:
            return by_blocks(blocks, similarities)[1]

        def potential(similarities):
            value = one_number(self.potential(similarities), f"potential of {type(self).__name__}")
            return value.astype(similarities.dtype)

        return jax.grad(potential)(similarities)

    @optional
    def blocks(self) -> "Blocks | None":
        """How sums over blocks of patterns join: ours answer with themselves. Write it so that any number of
        patterns is read in one pass, a block at a time, without a copy of all similarities."""
        return None

    @optional
    def gain(self, similarities: Similarities, direction: Directions, step: ArrayLike) -> Change | None:
        """potential(s + step · direction) − potential(s), for whole similarities and direction_μ ∈ {−1, 0,
        1}.

        `step` is 2 between patterns and states ±1, and 1 for states 0/1; None for a step that it does not
        serve. The sign of the value is the true one wherever the value is beyond the error. Write it so that
        flips are decided exactly, and recall proves its minima.
        """
        return None

    @optional
    def bounds(self, similarities: Similarities, step: ArrayLike) -> Bounds | None:
        """Bounds of all such changes, linear in the direction; None for a step that it does not serve. Write
        it, beside `gain`, so that one product decides most flips of many neurons."""
        return None

    @optional
    def among_largest(self) -> "tuple[int, AbstractSeparation] | None":
        """How many of the largest similarities count alone, and how they are weighed. Write it so that reads
        find the k nearest patterns first."""
        return None

    @optional
    def hidden(self) -> AbstractHiddenUnits | None:
        """The hidden units w for which exp(potential(s)/T) is a mixture of exp(w · s/T). Write it so that
        `BlockGibbs` draws all neurons at once."""
        return None

    @optional
    def check(self, dim: int, neurons: Any) -> None:
        """Raise `ValueError` for vectors of another dimension, or neurons that it does not serve. Write it
        where a separation is made for one dimension."""


def by_blocks(blocks: Blocks, similarities: Similarities) -> tuple[Array, Array]:
    """Potential and weights, all patterns being one block."""
    scale = lax.stop_gradient(blocks.scale(similarities))
    terms, weights = blocks.relative(similarities, scale)
    potential, unit = blocks.total(scale, jnp.sum(terms))
    return potential, unit * weights


def check_similarities(separation: Any, dim: int, neurons: Any, cosines: bool, own_dim: int) -> None:
    """Raise `ValueError` for a separation made for another dimension than the vectors compared.

    So does one over cosines of two-valued neurons, or over overlaps of unit vectors.
    """
    name = type(separation).__name__
    if own_dim != dim:
        raise ValueError(f"separation must be of dim = {dim}, like the patterns; got {name} of {own_dim}")
    if cosines and neurons.values is not None:
        raise ValueError(f"separation must take overlaps of ±1 neurons, not cosines; got {name}")
    if is_curved(neurons) and not cosines:
        raise ValueError(
            f"separation must take cosines of unit vectors; got {name} of overlaps (cosines=True)"
        )
