"""Separations that give exact zeros: most patterns weigh nothing, and retrieval can be exact.

With `Entmax` and `KSubsets` the weight of one pattern depends on the similarities of all, so that a read
takes two passes. The first computes the similarities of all patterns (4 bytes for each pattern and query) and
finds the threshold; the second sums the weighted patterns, only the few largest if these are proved to be all
that count. The sums of `LogSumReLU` join block by block.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from energyam import checks
from energyam.memories.separation import AbstractSeparation, Pair, Similarities, by_blocks
from energyam.roots import entmax, increasing_root

_SORTED = 64  # the k-th largest of similarities is found by sorting up to this k


def _as_alpha(alpha):
    number = checks.as_floats("alpha", alpha, "")
    if not checks.passes(lambda alpha: (alpha > 1) & (alpha <= 3), number):
        raise ValueError(f"alpha must be above 1 and at most 3; got {alpha} (for 1 use eam.LogSumExp(beta))")
    return number


class Entmax(AbstractSeparation):
    """Softmax with exact zeros: patterns that are much less similar than the nearest have weight 0.

        potential(s) = max_p p · s − Ω(p) / β,   Ω(p) = (Σ p^α − 1) / (α (α − 1)),   p on the simplex
        weights(s) = [(α−1) β s − τ]_+^{1/(α−1)}, with the τ for which they sum to 1

    α → 1 is `LogSumExp`, α = 2 sparsemax. All weight lies on similarities above max s − 1 / ((α−1) β). So a
    pattern ξ of `DenseAM(patterns, Entmax(beta, alpha), Continuous())` is a fixed point, exactly, if
    ξ · (ξ − ξ_ν) ≥ 1 / ((α−1) β) for all others, and one step takes every state to it that is nearer to ξ
    than the least of [ξ · (ξ − ξ_ν) − 1 / ((α−1) β)] / ‖ξ − ξ_ν‖.

    **Arguments:** `beta`: β > 0, the inverse temperature; `alpha`: 1 < α ≤ 3. Both are leaves, with exact
    derivatives. Raises `ValueError` for others.

    Peters, Niculae & Martins, ACL 2019; as a memory, Hu et al., NeurIPS 2023, and Martins, Niculae & McNamee,
    "Sparse modern Hopfield networks" (2023).

        >>> sparsemax = eam.Entmax(1.0, alpha=2.0)
        >>> np.asarray(sparsemax.weights(jnp.array([1.0, 0.8, -1.0]))).round(3)  # the last weighs just 0
        array([0.6, 0.4, 0. ], dtype=float32)
    """

    beta: Float[ArrayLike, ""] = eqx.field(converter=partial(checks.positive_float, "beta"))
    alpha: Float[ArrayLike, ""] = eqx.field(converter=_as_alpha, default=1.5)
    fewest = 1

    def potential(self, similarities: Similarities) -> Float[Array, ""]:
        return _entmax_potential(similarities, *self._numbers(similarities))

    def weights(self, similarities: Similarities) -> Similarities:
        beta, alpha = self._numbers(similarities)
        return entmax(beta * (similarities - jnp.max(similarities)), alpha)

    def _numbers(self, similarities):
        dtype = similarities.dtype
        return jnp.asarray(self.beta, dtype), jnp.asarray(self.alpha, dtype)


class KSubsets(AbstractSeparation):
    """Associations of k patterns: weights from 0 to 1 that sum to k, and are 1 for k patterns that are
    clearly ahead.

        potential(s) = max_p p · s − ‖p‖² / 2β,   0 ≤ p ≤ 1, Σ p = k
        weights(s) = clip(β s − τ, 0, 1), with the τ for which they sum to k

    For k = 1 this is `Entmax(beta, 2)`, its potential less 1 / 2β.

    **Arguments:** `beta`: β > 0, a leaf; `k`: how many, at least 1. Raises `ValueError` for others, and where
    there are fewer than k patterns.

    Niculae et al., "SparseMAP", ICML 2018; as a memory, Santos, Niculae, McNamee & Martins, "Sparse and
    structured Hopfield networks", ICML 2024.

        >>> np.asarray(eam.KSubsets(5.0, k=2).weights(jnp.array([1.0, 0.8, -1.0]))).round(3)
        array([1., 1., 0.], dtype=float32)
    """

    beta: Float[ArrayLike, ""] = eqx.field(converter=partial(checks.positive_float, "beta"))
    k: int = eqx.field(static=True, converter=partial(checks.count, "k"))

    @property
    def fewest(self) -> int:  # type: ignore[override]
        return self.k

    def potential(self, similarities: Similarities) -> Float[Array, ""]:
        return _subsets_value(similarities, *self._numbers(similarities))

    def weights(self, similarities: Similarities) -> Similarities:
        beta, k, least = self._numbers(similarities)
        return _weights_of_k(similarities, beta, k, lax.stop_gradient(least))

    def _numbers(self, similarities):
        """β, k and the k-th largest of the similarities, s_(k), or for many k a level near τ / β."""
        K = similarities.shape[0]
        if self.k > K:
            raise ValueError(f"k must be at most K = {K}, the number of patterns; got {self.k}")
        beta, k = (jnp.asarray(x, similarities.dtype) for x in (self.beta, self.k))
        if self.k <= _SORTED:
            return beta, k, lax.top_k(similarities, self.k)[0][-1]
        return beta, k, _level(similarities, beta, k)


class LogSumReLU(AbstractSeparation):
    """A log-sum with compact support: patterns beyond its reach have weight 0, and those within have equal
    weights.

        potential(s) = 1/β log Σ_μ max(0, 1 + β s_μ),   weights(s) = 1[1 + β s > 0] / Σ_μ max(0, 1 + β s_μ)

    With s = −½ ‖x − ξ‖² this is the kernel of Epanechnikov, of radius √(2/β). With no pattern within reach
    the potential is −∞ and flat: the weights are 0. The weights don't sum to 1.

    **Arguments:** `beta`: β > 0, a leaf. Raises `ValueError` for others.

    Hoover et al., "Dense associative memory with Epanechnikov energy" (2025).

        >>> within = eam.LogSumReLU(1.0)
        >>> np.asarray(within.weights(jnp.array([0.0, -0.5, -2.0]))).round(3)  # the last is out of reach
        array([0.667, 0.667, 0.   ], dtype=float32)
    """

    beta: Float[ArrayLike, ""] = eqx.field(converter=partial(checks.positive_float, "beta"))

    def potential(self, similarities: Similarities) -> Float[Array, ""]:
        return by_blocks(self, similarities)[0]

    def blocks(self) -> "LogSumReLU":
        return self

    def scale(self, similarities: Similarities) -> Float[Array, ""]:
        return jnp.zeros((), similarities.dtype)

    def relative(self, similarities: Float[Array, "..."], scale: Float[Array, ""]) -> Pair:
        heights = jax.nn.relu(1 + jnp.asarray(self.beta, similarities.dtype) * similarities)
        return heights, (heights > 0).astype(heights.dtype)

    def total(self, scale: Float[Array, ""], total: Float[Array, ""]) -> Pair:
        some = total > 0
        safe = jnp.where(some, total, 1)
        return jnp.where(some, jnp.log(safe) / jnp.asarray(self.beta, safe.dtype), -jnp.inf), jnp.where(
            some, 1 / safe, 0
        )


@jax.custom_jvp
def _entmax_potential(s, beta, alpha):
    top = lax.stop_gradient(jnp.max(s))
    p = entmax(beta * (s - top), alpha)
    behind = jnp.where(p > 0, s - top, 0)
    return top + jnp.sum(p * behind) - _cost(p, alpha) / beta


@_entmax_potential.defjvp
def _entmax_potential_jvp(primals, tangents):
    # The maximum over p does not move to first order as p does: only s, β and α count.
    s, beta, alpha = primals
    p = entmax(beta * (s - lax.stop_gradient(jnp.max(s))), alpha)
    in_alpha = jax.grad(_cost, argnums=1)(p, alpha)
    slope = jnp.vdot(p, tangents[0]) + _cost(p, alpha) / beta**2 * tangents[1] - in_alpha / beta * tangents[2]
    return _entmax_potential(s, beta, alpha), slope


def _cost(p, alpha):
    """Ω(p) = Σ p (p^{α−1} − 1) / (α (α−1)), with no cancelling where α is near 1."""
    logs = jnp.log(jnp.where(p > 0, p, 1))
    return jnp.sum(p * jnp.expm1((alpha - 1) * logs)) / (alpha * (alpha - 1))


def _level(s, beta, k):
    """Where Σ clip(β (s − level), 0, 1) is k, as nearly as a float can say it."""
    s, beta = lax.stop_gradient(s), lax.stop_gradient(beta)
    reach, present = 1 / beta, s > jnp.finfo(s.dtype).min / 8  # what a mask leaves out lies below

    def excess(negative):
        raised = beta * (s + negative)
        inside = (raised > 0) & (raised < 1)
        return jnp.sum(jnp.clip(raised, 0, 1)) - k, beta * jnp.sum(inside, dtype=s.dtype)

    low, high = -jnp.max(s), reach - jnp.min(s, where=present, initial=jnp.finfo(s.dtype).max)
    middle = -jnp.sum(s, where=present) / jnp.maximum(jnp.sum(present), 1)
    return -increasing_root(excess, low, high, middle)


def _weights_of_k(s, beta, k, c):
    """clip(β s − τ, 0, 1) by t = β c − τ, where c is s_(k) or a level near τ / β.

    For s_(k) the t lies between 0 and 1. For a level it is 0 but for the rounding of the level.
    """
    off = 8 * jnp.finfo(s.dtype).eps * (1 + beta * jnp.abs(lax.stop_gradient(c)))
    return _clipped(beta * (s - c), k, off)


@jax.custom_jvp
def _clipped(scores, total, off):
    """clip(scores + t, 0, 1), with the t for which they sum to `total`."""
    low = jnp.where(total > _SORTED, -1 - off, 0)
    high = jnp.where(total > _SORTED, 1 + off, 1)
    scores = jnp.clip(scores, -high, 1 - low)  # whatever t is, those beyond weigh 0 or 1

    def excess(t):
        raised = scores + t
        inside = (raised > 0) & (raised < 1)
        return jnp.sum(jnp.clip(raised, 0, 1)) - total, jnp.sum(inside, dtype=scores.dtype)

    return jnp.clip(scores + increasing_root(excess, low, high, 0.5 * (low + high)), 0, 1)


@_clipped.defjvp
def _clipped_jvp(primals, tangents):
    p = _clipped(*primals)
    inside = ((p > 0) & (p < 1)).astype(p.dtype)
    mean = jnp.vdot(inside, tangents[0]) / jnp.maximum(jnp.sum(inside), 1)
    return p, inside * (tangents[0] - mean)


@jax.custom_jvp
def _subsets_value(s, beta, k, least):
    p = _weights_of_k(s, beta, k, least)
    return k * least + jnp.sum(p * (s - least)) - jnp.sum(p**2) / (2 * beta)


@_subsets_value.defjvp
def _subsets_value_jvp(primals, tangents):
    s, beta, k, least = primals
    p = _weights_of_k(s, beta, k, lax.stop_gradient(least))
    slope = jnp.vdot(p, tangents[0]) + jnp.sum(p**2) / (2 * beta**2) * tangents[1]
    return _subsets_value(*primals), slope
