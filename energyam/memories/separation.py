"""Separations: how a memory weighs its similarities, as a potential and what else it may declare.

A separation has a `potential(s) = Q(Σ_μ F(s_μ))`. The potential makes an energy, E(x) = R(x) − potential(Ξx).
Its gradient, the weights, makes the update, and the read-out of a heteroassociative memory,
valuesᵀ · weights(keys · query). The general form is that of Krotov & Hopfield, "Large associative memory
problem in neurobiology and machine learning", ICLR 2021.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from energyam import checks
from energyam.flips.bounds import Enclosure, enclose_powers, enclose_terms, of_powers, of_terms
from energyam.flips.capabilities import (
    AbstractBounds,
    AbstractGains,
    AbstractGrowing,
    AbstractSquares,
    AbstractWeights,
    Bounds,
    Change,
)
from energyam.flips.derived import rounding_of_potential, weights_of
from energyam.memories.hidden import AbstractHiddenUnits, AbstractMixes, DrawnPatterns, GaussianUnits

Pair = tuple[Float[Array, "..."], Float[Array, "..."]]


class AbstractSeparation(eqx.Module):
    """A potential over similarities: the one method that must be written."""

    @abc.abstractmethod
    def potential(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        """Q(Σ_μ F(s_μ)), a scalar for similarities (K,)."""


class AbstractOfDim(AbstractSeparation):
    """A separation for vectors of one dimension, by their overlaps or by their cosines."""

    dim: eqx.AbstractVar[int]
    cosines: eqx.AbstractVar[bool]


class AbstractBlocks(AbstractSeparation, AbstractWeights):
    """A separation that takes its patterns block by block: F and F' relative to those at a block's scale.

    With a scale c, potential = Q(F(c) Σ_μ F(s_μ)/F(c)) and weights = F'(c) Q' · F'(s_μ)/F'(c). Nothing
    overflows, and the sums of two blocks join once the factors F(a)/F(c) have brought them to one scale.
    The potential saturates at the largest finite number.
    """

    @abc.abstractmethod
    def scale(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        """The similarity c that a block is taken relative to; two blocks together take the larger."""

    @abc.abstractmethod
    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        """F(s)/F(c) and F'(s)/F'(c), both 1 at s = c."""

    @abc.abstractmethod
    def total(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        """Of a total Σ_μ F(s_μ)/F(c): the potential, and what relative weights are multiplied by."""

    def potential(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        scale = lax.stop_gradient(self.scale(similarities))
        return self.total(scale, jnp.sum(self.relative(similarities, scale)[0]))[0]

    def weights(self, similarities: Float[Array, " K"]) -> Float[Array, " K"]:
        scale = lax.stop_gradient(self.scale(similarities))
        terms, weights = self.relative(similarities, scale)
        return self.total(scale, jnp.sum(terms))[1] * weights


class AbstractHalfSquares(AbstractBlocks, AbstractMixes):
    """½ Σ s², with weights s: what `Quadratic` and `Linear` share."""

    def hidden(self) -> AbstractHiddenUnits:
        return GaussianUnits()

    def scale(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        return jnp.ones((), similarities.dtype)

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        return similarities**2, similarities

    def total(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        return saturated(0.5 * total), jnp.ones_like(total)


class Linear(AbstractHalfSquares):
    """The read-out of a correlation matrix: weights(s) = s, potential(s) = ½ Σ_μ s_μ². Kohonen (1972)."""


class Quadratic(AbstractHalfSquares, AbstractSquares, AbstractGains, AbstractBounds, AbstractGrowing):
    """F(s) = s²/2: the classical Hopfield energy. potential(s) = ½ Σ_μ s_μ², weights(s) = s.

    Hopfield, PNAS 79 (1982).
    """

    def gain(self, similarities: Float[Array, " K"], direction: Num[Array, " K"], step: ArrayLike) -> Change:
        terms = direction * (similarities + 0.5 * step * direction)
        return _exact(step * exact_sum(terms, similarities.dtype))

    def bounds(self, similarities: Float[Array, " K"], step: ArrayLike) -> Bounds:
        rises, falls = similarities + 0.5 * step, similarities - 0.5 * step
        return of_terms(rises, falls, jnp.asarray(step, rises.dtype), self.potential(similarities))

    def enclose(self, bounds: Bounds, products: Float[Array, " t"], step: ArrayLike) -> Enclosure:
        return enclose_terms(bounds, products)


class ReLU(AbstractBlocks, AbstractGains, AbstractBounds, AbstractGrowing):
    """F(s) = max(s, 0)²/2: a read-out that drops the negative similarities.

    potential(s) = ½ Σ_μ max(s_μ, 0)², weights(s) = max(s, 0).
    """

    def scale(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        return jnp.ones((), similarities.dtype)

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        return jax.nn.relu(similarities) ** 2, jax.nn.relu(similarities)

    def total(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        return saturated(0.5 * total), jnp.ones_like(total)

    def gain(self, similarities: Float[Array, " K"], direction: Num[Array, " K"], step: ArrayLike) -> Change:
        before = jax.nn.relu(similarities)
        after = jax.nn.relu(similarities + step * direction)
        return _exact(0.5 * exact_sum((after - before) * (after + before), similarities.dtype))

    def bounds(self, similarities: Float[Array, " K"], step: ArrayLike) -> Bounds:
        low, here, high = map(jax.nn.relu, (similarities - step, similarities, similarities + step))
        rises, falls = (high - here) * (high + here), (here - low) * (here + low)
        return of_terms(rises, falls, jnp.asarray(0.5, here.dtype), self.potential(similarities))

    def enclose(self, bounds: Bounds, products: Float[Array, " t"], step: ArrayLike) -> Enclosure:
        return enclose_terms(bounds, products)


class LogSumExp(AbstractBlocks, AbstractGains, AbstractBounds, AbstractGrowing, AbstractMixes):
    """The log-sum-exp potential, whose weights are attention's softmax.

    potential(s) = logsumexp(β s) / β and weights(s) = softmax(β s); with `divided=False` both are β times
    that (energies in nats: −log Σ exp). β is an array leaf, so that a sweep over β compiles once.

    A change of the potential below the rounding of its sums, about (16 + √K) units, counts as a tie.

    Raises `ValueError` for β that is not positive and finite as a float.

    Demircigil et al., J. Stat. Phys. 168 (2017); Ramsauer et al., "Hopfield networks is all you need",
    ICLR 2021.
    """

    beta: Float[Array, ""]
    divided: bool = eqx.field(static=True)

    def __init__(self, beta: ArrayLike, divided: bool = True):
        self.beta = checks.positive_float("beta", beta)
        self.divided = checks.flag("divided", divided)

    def hidden(self) -> AbstractHiddenUnits:
        return DrawnPatterns(self.beta, 1 / self.beta if self.divided else jnp.ones_like(self.beta))

    def scale(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        return similarities.max()

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        powers = jnp.exp(self.beta * (similarities - scale))
        return powers, powers

    def total(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        if self.divided:
            return scale + jnp.log(total) / self.beta, 1 / total
        return self.beta * scale + jnp.log(total), self.beta / total

    def gain(self, similarities: Float[Array, " K"], direction: Num[Array, " K"], step: ArrayLike) -> Change:
        # Patterns that come nearer, go away and stay: each group's largest similarity and log-sum apart,
        # so that nothing underflows. Raised iff Σ_near exp(βs) (e^{βh} − 1) > Σ_away exp(βs) (1 − e^{−βh}).
        groups = jnp.stack([direction > 0, direction < 0, direction == 0])
        own = jnp.where(groups, similarities[None], -jnp.inf)
        tops = jnp.max(own, axis=1)
        behind = own - jnp.where(jnp.isfinite(tops), tops, 0)[:, None]
        near, away, stay = jnp.log(jnp.sum(jnp.exp(self.beta * behind), axis=1))
        leads = self.beta * (tops[0] + step - tops[1]) + (near - away)
        top = jnp.maximum(jnp.maximum(tops[0], tops[1]), tops[2])
        near, away, stay = (
            self.beta * (t - top) + log for t, log in zip(tops, (near, away, stay), strict=True)
        )
        change = _logsumexp3(near + self.beta * step, away - self.beta * step, stay)
        change = change - _logsumexp3(near, away, stay)
        rounding = (16 + similarities.size**0.5) * jnp.finfo(similarities.dtype).eps
        size = jnp.maximum(jnp.abs(change), jnp.finfo(similarities.dtype).tiny)
        gain = jnp.where(jnp.abs(leads) > rounding, jnp.sign(leads) * size, 0)
        return _exact(gain / self.beta if self.divided else gain)

    def bounds(self, similarities: Float[Array, " K"], step: ArrayLike) -> Bounds:
        bounds = of_powers(self.beta, similarities, step)
        return bounds._replace(potential=bounds.potential / self.beta) if self.divided else bounds

    def enclose(self, bounds: Bounds, products: Float[Array, " t"], step: ArrayLike) -> Enclosure:
        low, high = enclose_powers(bounds, products)
        return (low / self.beta, high / self.beta) if self.divided else (low, high)


class TopK(AbstractSeparation, AbstractWeights, AbstractGains):
    """Another separation over the k largest similarities alone: a k-nearest-neighbour read.

    potential(s) = separation.potential(top_k(s)); weights are those of the k, and 0 elsewhere.

    **Arguments:** `separation`: the one applied to the k largest; `k`: how many, at least 1 (all, where
    there are fewer). Raises `ValueError` for another k, or a separation that has no potential.
    """

    separation: AbstractSeparation
    k: int = eqx.field(static=True)

    def __init__(self, separation: AbstractSeparation, k: int):
        self.separation = checks.instance("separation", separation, AbstractSeparation)
        self.k = checks.count("k", k)

    def potential(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        return self.separation.potential(self._largest(similarities)[0])

    def weights(self, similarities: Float[Array, " K"]) -> Float[Array, " K"]:
        values, indices = self._largest(similarities)
        return jnp.zeros_like(similarities).at[indices].set(weights_of(self.separation, values))

    def gain(self, similarities: Float[Array, " K"], direction: Num[Array, " K"], step: ArrayLike) -> Change:
        # Sorted lists may be compared rank by rank: each rank moves by one step or not at all.
        before = self._largest(similarities)[0]
        after = self._largest(similarities + step * direction)[0]
        if isinstance(self.separation, AbstractGains):
            return self.separation.gain(before, jnp.sign(after - before), step)
        change = self.separation.potential(after) - self.separation.potential(before)
        return Change(change, 2 * rounding_of_potential(self.separation, before))

    def _largest(self, similarities):
        return lax.top_k(similarities, min(self.k, similarities.shape[0]))


def check_dim(separation: AbstractSeparation, dim: int, unit: bool, binary: bool) -> None:
    """Raise `ValueError` for a separation, or one within it, of another dimension than the vectors compared.

    So does one over cosines of ±1 vectors, or over overlaps of unit vectors.
    """
    name = type(separation).__name__
    while isinstance(inner := getattr(separation, "separation", None), AbstractSeparation):
        separation = inner
    if not isinstance(separation, AbstractOfDim):
        return
    if separation.dim != dim:
        raise ValueError(
            f"separation must be of dim = {dim}, like the patterns; got {name} of {separation.dim}"
        )
    if separation.cosines and binary:
        raise ValueError(f"separation must take overlaps of ±1 neurons, not cosines; got {name}")
    if unit and not separation.cosines:
        raise ValueError(
            f"separation must take cosines of unit vectors; got {name} of overlaps (cosines=True)"
        )


def saturated(value: Float[Array, "..."]) -> Float[Array, "..."]:
    """`value` within the range of floats."""
    largest = jnp.finfo(value.dtype).max
    return jnp.clip(value, -largest, largest)


def exact_sum(terms: Float[Array, " K"], dtype: jnp.dtype) -> Float[Array, ""]:
    """The sum of whole numbers below 2^31 held in floats: of exact sign, whatever their number."""
    whole = terms.astype(jnp.int32)
    high, low = jnp.sum(whole >> 12, dtype=jnp.int32), jnp.sum(whole & 4095, dtype=jnp.int32)
    high, low = high + (low >> 12), low & 4095
    return high.astype(dtype) * 4096 + low.astype(dtype)


def _exact(value):
    return Change(value, jnp.zeros_like(value))


def _logsumexp3(a, b, c):
    return jnp.logaddexp(jnp.logaddexp(a, b), c)
