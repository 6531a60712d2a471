"""Separations: how a memory weighs its similarities, as a potential, its gradient and its gain.

A separation carries `potential(s) = Q(Σ_μ F(s_μ))`, `weights(s) = ∇potential(s)` and `gain`, the change
of the potential when one neuron flips. The potential makes an energy, E(x) = R(x) − potential(Ξx). The
weights make its update, and the read-out of a heteroassociative memory, valuesᵀ · weights(keys · query).
The general form is that of Krotov & Hopfield, "Large associative memory problem in neurobiology and
machine learning", ICLR 2021.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from energyam import checks
from energyam.memories.screen import Screen, of_changes, of_none, of_powers

Pair = tuple[Float[Array, "..."], Float[Array, "..."]]


class AbstractSeparation(eqx.Module):
    """A potential over similarities, with its gradient and its change when a neuron flips."""

    @abc.abstractmethod
    def potential(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        """Q(Σ_μ F(s_μ)); saturates at the largest finite number instead of overflowing."""

    @abc.abstractmethod
    def weights(self, similarities: Float[Array, " K"]) -> Float[Array, " K"]:
        """The gradient of the potential; where floats can't hold it, a finite multiple of it."""

    @abc.abstractmethod
    def gain(
        self, similarities: Float[Array, " K"], direction: Float[Array, " K"], step: ArrayLike
    ) -> Float[Array, ""]:
        """potential(s + step · direction) − potential(s), with direction_μ ∈ {−1, 0, 1} and step > 0.

        It is taken pattern by pattern, so that its sign can be trusted: above 0 only if the potential
        rises. Between ±1 patterns and states the similarities are whole numbers and `step` is 2.
        """

    def screen(self, similarities: Float[Array, " K"], step: ArrayLike) -> Screen:
        """Bounds of the gain that are linear in the direction ±1, to tell its sign by; none here."""
        return of_none(similarities)


class AbstractBlockwise(AbstractSeparation):
    """A separation that takes its patterns block by block: F and F' relative to those at a block's scale.

    With a scale c, potential = Q(F(c) Σ_μ F(s_μ)/F(c)) and weights = F'(c) Q' · F'(s_μ)/F'(c). Nothing
    overflows, and the sums of two blocks join once the factors F(a)/F(c) have brought them to one scale.
    """

    @abc.abstractmethod
    def scale(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        """The similarity c that a block is taken relative to; two blocks together take the larger."""

    @abc.abstractmethod
    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        """F(s)/F(c) and F'(s)/F'(c), both 1 at s = c."""

    @abc.abstractmethod
    def whole(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        """Of a total Σ_μ F(s_μ)/F(c): the potential, and what relative weights are multiplied by."""

    def potential(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        scale = lax.stop_gradient(self.scale(similarities))
        return self.whole(scale, jnp.sum(self.relative(similarities, scale)[0]))[0]

    def weights(self, similarities: Float[Array, " K"]) -> Float[Array, " K"]:
        scale = lax.stop_gradient(self.scale(similarities))
        terms, weights = self.relative(similarities, scale)
        return self.whole(scale, jnp.sum(terms))[1] * weights


class Quadratic(AbstractBlockwise):
    """F(s) = s²/2: the classical Hopfield energy, and as a read-out (`Linear`) the correlation matrix.

    potential(s) = ½ Σ_μ s_μ², weights(s) = s. Hopfield, PNAS 79 (1982); Kohonen (1972).
    """

    def scale(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        return jnp.ones((), similarities.dtype)

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        return similarities**2, similarities

    def whole(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        return saturated(0.5 * total), jnp.ones_like(total)

    def gain(
        self, similarities: Float[Array, " K"], direction: Float[Array, " K"], step: ArrayLike
    ) -> Float[Array, ""]:
        return step * _exact_sum(direction * (similarities + 0.5 * step * direction), similarities.dtype)

    def screen(self, similarities: Float[Array, " K"], step: ArrayLike) -> Screen:
        return of_changes(similarities + 0.5 * step, similarities - 0.5 * step)


Linear = Quadratic


class ReLU(AbstractBlockwise):
    """F(s) = max(s, 0)²/2: a read-out that drops the negative similarities.

    potential(s) = ½ Σ_μ max(s_μ, 0)², weights(s) = max(s, 0).
    """

    def scale(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        return jnp.ones((), similarities.dtype)

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        return jax.nn.relu(similarities) ** 2, jax.nn.relu(similarities)

    def whole(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        return saturated(0.5 * total), jnp.ones_like(total)

    def gain(
        self, similarities: Float[Array, " K"], direction: Float[Array, " K"], step: ArrayLike
    ) -> Float[Array, ""]:
        before = jax.nn.relu(similarities)
        after = jax.nn.relu(similarities + step * direction)
        return 0.5 * _exact_sum((after - before) * (after + before), similarities.dtype)

    def screen(self, similarities: Float[Array, " K"], step: ArrayLike) -> Screen:
        low, here, high = map(jax.nn.relu, (similarities - step, similarities, similarities + step))
        return of_changes((high - here) * (high + here), (here - low) * (here + low))


class LogSumExp(AbstractBlockwise):
    """The log-sum-exp potential, whose weights are attention's softmax.

    potential(s) = logsumexp(β s) / β and weights(s) = softmax(β s); with `divided=False` both are β times
    that (energies in nats: −log Σ exp). β is an array leaf, so that a sweep over β compiles once.

    Raises `ValueError` for β that is not positive and finite.

    Demircigil et al., J. Stat. Phys. 168 (2017); Ramsauer et al., "Hopfield networks is all you need",
    ICLR 2021.
    """

    beta: Float[Array, ""]
    divided: bool = eqx.field(static=True)

    def __init__(self, beta: Any, divided: bool = True):
        checks.positive("beta", beta)
        self.beta = checks.as_floats("beta", beta, "")
        self.divided = divided

    def scale(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        return similarities.max()

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        powers = jnp.exp(self.beta * (similarities - scale))
        return powers, powers

    def whole(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        if self.divided:
            return scale + jnp.log(total) / self.beta, 1 / total
        return self.beta * scale + jnp.log(total), self.beta / total

    def gain(
        self, similarities: Float[Array, " K"], direction: Float[Array, " K"], step: ArrayLike
    ) -> Float[Array, ""]:
        # Patterns that come nearer, go away and stay: each group's largest similarity and log-sum apart,
        # so that nothing underflows. Raised iff Σ_near exp(βs) (e^{βh} − 1) > Σ_away exp(βs) (1 − e^{−βh}).
        groups = (direction > 0, direction < 0, direction == 0)
        tops = [jnp.max(similarities, where=group, initial=-jnp.inf) for group in groups]
        own_top = jnp.select(groups, [jnp.where(jnp.isfinite(top), top, 0) for top in tops])
        powers = jnp.exp(self.beta * (similarities - own_top))
        near, away, stay = (jnp.log(jnp.sum(powers, where=group)) for group in groups)
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
        return gain / self.beta if self.divided else gain

    def screen(self, similarities: Float[Array, " K"], step: ArrayLike) -> Screen:
        return of_powers(self.beta, similarities, step)


class TopK(AbstractSeparation):
    """Another separation over the k largest similarities alone: a k-nearest-neighbour read.

    potential(s) = separation.potential(top_k(s)); weights are those of the k, and 0 elsewhere.

    **Arguments:** `separation`: the one applied to the k largest; `k`: how many, at least 1 (all, where
    there are fewer).
    """

    separation: AbstractSeparation
    k: int = eqx.field(static=True)

    def __init__(self, separation: AbstractSeparation, k: Any):
        self.separation = separation
        self.k = checks.count("k", k)

    def potential(self, similarities: Float[Array, " K"]) -> Float[Array, ""]:
        return self.separation.potential(self._largest(similarities)[0])

    def weights(self, similarities: Float[Array, " K"]) -> Float[Array, " K"]:
        values, indices = self._largest(similarities)
        return jnp.zeros_like(similarities).at[indices].set(self.separation.weights(values))

    def gain(
        self, similarities: Float[Array, " K"], direction: Float[Array, " K"], step: ArrayLike
    ) -> Float[Array, ""]:
        # Sorted lists may be compared rank by rank: each rank moves by one step or not at all.
        before = self._largest(similarities)[0]
        after = self._largest(similarities + step * direction)[0]
        return self.separation.gain(before, jnp.sign(after - before), step)

    def _largest(self, similarities):
        return lax.top_k(similarities, min(self.k, similarities.shape[0]))


def saturated(value):
    largest = jnp.finfo(value.dtype).max
    return jnp.clip(value, -largest, largest)


def _exact_sum(terms, dtype):
    """The sum of whole numbers held in floats, exact while it fits 32 bits."""
    return jnp.sum(terms.astype(jnp.int32), dtype=jnp.int32).astype(dtype)


def _logsumexp3(a, b, c):
    return jnp.logaddexp(jnp.logaddexp(a, b), c)
