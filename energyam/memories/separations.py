"""The separations of the field's first memories: squares, rectified squares, log-sum-exp, and the k largest.

The general form is that of Krotov & Hopfield, "Large associative memory problem in neurobiology and machine
learning", ICLR 2021.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from energyam import checks
from energyam.flips.abstract import Change
from energyam.flips.bounds import Bounds, of_powers, of_terms
from energyam.linalg import saturated
from energyam.memories.hidden import AbstractHiddenUnits, DrawnPatterns, GaussianUnits
from energyam.memories.separation import AbstractSeparation, Directions, Pair, Similarities, by_blocks


class Quadratic(AbstractSeparation):
    """F(s) = s²/2: the classical Hopfield energy. potential(s) = ½ Σ_μ s_μ², weights(s) = s.

    As the separation of a `KeyValueMemory` it is the read-out of a correlation matrix (Kohonen, 1972); it is
    also called `Linear`.

    Hopfield, PNAS 79 (1982).

        >>> square, overlaps = eam.Quadratic(), jnp.array([2.0, -1.0])
        >>> square.weights(overlaps), square.potential(overlaps)
        (Array([ 2., -1.], dtype=float32), Array(2.5, dtype=float32))
    """

    squares = True

    def potential(self, similarities: Similarities) -> Float[Array, ""]:
        return saturated(0.5 * jnp.sum(similarities**2))

    def weights(self, similarities: Similarities) -> Similarities:
        return similarities

    def blocks(self) -> "Quadratic":
        return self

    def scale(self, similarities: Similarities) -> Float[Array, ""]:
        return jnp.ones((), similarities.dtype)

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        return similarities**2, similarities

    def total(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        return saturated(0.5 * total), jnp.ones_like(total)

    def gain(self, similarities: Similarities, direction: Directions, step: ArrayLike) -> Change:
        moved = jnp.asarray(step, similarities.dtype) * direction.astype(similarities.dtype)
        return _exact(0.5 * exact_sum(moved * (2 * similarities + moved), similarities.dtype))

    def bounds(self, similarities: Similarities, step: ArrayLike) -> Bounds:
        rises, falls = similarities + 0.5 * step, similarities - 0.5 * step
        return of_terms(rises, falls, jnp.asarray(step, rises.dtype), self.potential(similarities))

    def hidden(self) -> AbstractHiddenUnits:
        return GaussianUnits()


class ReLU(AbstractSeparation):
    """F(s) = max(s, 0)²/2: a read-out that drops the negative similarities.

    potential(s) = ½ Σ_μ max(s_μ, 0)², weights(s) = max(s, 0).

        >>> eam.ReLU().weights(jnp.array([2.0, -1.0]))
        Array([2., 0.], dtype=float32)
    """

    def potential(self, similarities: Similarities) -> Float[Array, ""]:
        return by_blocks(self, similarities)[0]

    def blocks(self) -> "ReLU":
        return self

    def scale(self, similarities: Similarities) -> Float[Array, ""]:
        return jnp.ones((), similarities.dtype)

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        return jax.nn.relu(similarities) ** 2, jax.nn.relu(similarities)

    def total(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        return saturated(0.5 * total), jnp.ones_like(total)

    def gain(self, similarities: Similarities, direction: Directions, step: ArrayLike) -> Change:
        before = jax.nn.relu(similarities)
        after = jax.nn.relu(similarities + step * direction.astype(similarities.dtype))
        return _exact(0.5 * exact_sum((after - before) * (after + before), similarities.dtype))

    def bounds(self, similarities: Similarities, step: ArrayLike) -> Bounds:
        low, here, high = map(jax.nn.relu, (similarities - step, similarities, similarities + step))
        rises, falls = (high - here) * (high + here), (here - low) * (here + low)
        return of_terms(rises, falls, jnp.asarray(0.5, here.dtype), self.potential(similarities))


class LogSumExp(AbstractSeparation):
    """The log-sum-exp potential, whose weights are attention's softmax.

    potential(s) = logsumexp(β s) / β and weights(s) = softmax(β s); with `divided=False` both are β times
    that (energies in nats: −log Σ exp). β is an array leaf, so that a sweep over β compiles once.

    With `sink=True` the sums have one more similarity, which is 0: potential(s) = log(1 + Σ exp(β s)) / β and
    weights(s) = exp(β s) / (1 + Σ exp(β s)). These weights sum to less than 1, and nearly to 0 if no pattern
    is similar, so that a read may return almost nothing.

    A change of the potential below the rounding of its sums, about (16 + √K) units, counts as a tie.

    Raises `ValueError` for β that is not positive and finite as a float.

    Demircigil et al., J. Stat. Phys. 168 (2017); Ramsauer et al., "Hopfield networks is all you need",
    ICLR 2021. The sink: Hu et al., "Outlier-efficient Hopfield layers for large transformer-based models",
    ICML 2024.

        >>> np.asarray(eam.LogSumExp(1.0).weights(jnp.log(jnp.array([1.0, 3.0])))).round(3)
        array([0.25, 0.75], dtype=float32)
    """

    beta: Float[Array, ""]
    divided: bool = eqx.field(static=True)
    sink: bool = eqx.field(static=True, default=False)
    growing = True

    def __init__(self, beta: ArrayLike, divided: bool = True, sink: bool = False):
        self.beta = checks.positive_float("beta", beta)
        self.divided = checks.flag("divided", divided)
        self.sink = checks.flag("sink", sink)

    def potential(self, similarities: Similarities) -> Float[Array, ""]:
        return by_blocks(self, similarities)[0]

    def blocks(self) -> "LogSumExp":
        return self

    def hidden(self) -> AbstractHiddenUnits | None:
        if self.sink:
            return None
        return DrawnPatterns(self.beta, 1 / self.beta if self.divided else jnp.ones_like(self.beta))

    def scale(self, similarities: Similarities) -> Float[Array, ""]:
        return jnp.maximum(similarities.max(), 0) if self.sink else similarities.max()

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        powers = jnp.exp(self._beta(similarities) * (similarities - scale))
        return powers, powers

    def total(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        beta = self._beta(total)
        total = total + jnp.exp(-beta * scale) if self.sink else total
        if self.divided:
            return scale + jnp.log(total) / beta, 1 / total
        return beta * scale + jnp.log(total), beta / total

    def gain(self, similarities: Similarities, direction: Directions, step: ArrayLike) -> Change:
        # Patterns that come nearer, go away and stay: each group's largest similarity and log-sum apart,
        # so that nothing underflows. Raised iff Σ_near exp(βs) (e^{βh} − 1) > Σ_away exp(βs) (1 − e^{−βh}).
        beta = self._beta(similarities)
        if self.sink:  # a similarity that stays
            similarities, direction = (
                jnp.append(x, jnp.zeros((), x.dtype)) for x in (similarities, direction)
            )
        groups = jnp.stack([direction > 0, direction < 0, direction == 0])
        own = jnp.where(groups, similarities[None], -jnp.inf)
        tops = jnp.max(own, axis=1)
        behind = own - jnp.where(jnp.isfinite(tops), tops, 0)[:, None]
        near, away, stay = jnp.log(jnp.sum(jnp.exp(beta * behind), axis=1))
        leads = beta * (tops[0] + step - tops[1]) + (near - away)
        top = jnp.maximum(jnp.maximum(tops[0], tops[1]), tops[2])
        near, away, stay = (beta * (t - top) + log for t, log in zip(tops, (near, away, stay), strict=True))
        change = _logsumexp3(near + beta * step, away - beta * step, stay)
        change = change - _logsumexp3(near, away, stay)
        rounding = (16 + similarities.size**0.5) * jnp.finfo(similarities.dtype).eps
        size = jnp.maximum(jnp.abs(change), jnp.finfo(similarities.dtype).tiny)
        gain = jnp.where(jnp.abs(leads) > rounding, jnp.sign(leads) * size, 0)
        return _exact(gain / beta if self.divided else gain)

    def bounds(self, similarities: Similarities, step: ArrayLike) -> Bounds:
        beta = self._beta(similarities)
        scale = 1 / beta if self.divided else 1.0
        return of_powers(beta, similarities, step, scale, self.sink)

    def _beta(self, like):
        """β in the dtype of the numbers that it meets."""
        return jnp.asarray(self.beta, like.dtype)


class TopK(AbstractSeparation):
    """Another separation over the k largest similarities alone: a k-nearest-neighbour read.

    potential(s) = separation.potential(top_k(s)); weights are those of the k, and 0 elsewhere.

    **Arguments:** `separation`: applied to the k largest similarities; `k`: at least 1 (if there are fewer
    similarities, all are taken). Raises `ValueError` for another k, or a separation without a potential.

        >>> np.asarray(eam.TopK(eam.LogSumExp(1.0), 2).weights(jnp.array([1.0, 0.0, -1.0, 1.0]))).round(3)
        array([0.5, 0. , 0. , 0.5], dtype=float32)
    """

    separation: AbstractSeparation
    k: int = eqx.field(static=True)

    def __init__(self, separation: AbstractSeparation, k: int):
        self.separation = checks.instance("separation", separation, AbstractSeparation)
        self.k = checks.count("k", k)

    def potential(self, similarities: Similarities) -> Float[Array, ""]:
        return self.separation.potential(self._largest(similarities)[0])

    def weights(self, similarities: Similarities) -> Similarities:
        values, indices = self._largest(similarities)
        return jnp.zeros_like(similarities).at[indices].set(self.separation.weights(values))

    def gain(self, similarities: Similarities, direction: Directions, step: ArrayLike) -> Change | None:
        # Sorted lists may be compared rank by rank: each rank moves by one step or not at all.
        before = self._largest(similarities)[0]
        after = self._largest(similarities + step * direction.astype(similarities.dtype))[0]
        return self.separation.gain(before, jnp.sign(after - before), step)

    def among_largest(self) -> tuple[int, AbstractSeparation]:
        return self.k, self.separation

    def check(self, dim: int, neurons: Any) -> None:
        self.separation.check(dim, neurons)

    def _largest(self, similarities):
        return lax.top_k(similarities, min(self.k, similarities.shape[0]))


def exact_sum(terms: Similarities, dtype: jnp.dtype) -> Float[Array, ""]:
    """The sum of whole numbers below 2^31 held in floats: of exact sign, whatever their number."""
    whole = terms.astype(jnp.int32)
    high, low = jnp.sum(whole >> 12, dtype=jnp.int32), jnp.sum(whole & 4095, dtype=jnp.int32)
    high, low = high + (low >> 12), low & 4095
    return high.astype(dtype) * 4096 + low.astype(dtype)


def _exact(value):
    return Change(value, jnp.zeros_like(value))


def _logsumexp3(a, b, c):
    return jnp.logaddexp(jnp.logaddexp(a, b), c)
