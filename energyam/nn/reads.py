"""Reads: how the class of a query is read from an embedded support set, each class a memory of its own.

A read turns embedded support and an embedded query into logits, one for each class. Attention's probability
of class c, Σ_{k in c} softmax(s)_k, is the softmax over classes of the potentials log Σ_{k in c} exp(s_k):
the answer is the class of lowest energy.

    DotRead          s_k = x_k · q
    CosineRead       s_k = β cos(x_k, q), β learned                         Vinyals et al. 2016
    AttractorRead    q ← relu(LN(q + A q)) first, A written by Storkey's rule (or one that subtracts, or none)
    PrototypeRead    −‖mean of the class − q‖²                              Snell et al. 2017
    NearestRead      the largest cosine; nothing to learn
    SettledRead      any of them, of a query that first settles in a dense memory of the support set
"""

import abc
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import logit
from jaxtyping import Array, ArrayLike, Bool, Float

from energyam import checks
from energyam.learning import store, storkey_step
from energyam.linalg import dot, unit
from energyam.memories.separations import LogSumExp
from energyam.nn.hopfield_layers import HopfieldAttention
from energyam.nn.masked import Masked


def _subtracting_step(weights, state, value=None, *, rate, decay):
    """One write of the rule that subtracts into weights (D, D), diagonal included."""
    hebb = weights + jnp.outer(state, state) / state.size
    back = jnp.outer(dot(hebb, state), state)
    return jnp.asarray(decay * weights + rate * (hebb - back - back.T), weights.dtype)


_STEPS = {"storkey": storkey_step, "subtracting": _subtracting_step}
_MEMORIES = (*_STEPS, "hopfield", "none")


def _as_rate(rate):
    """A number above 0, or None."""
    if rate is not None:
        checks.positive("rate", checks.number("rate", rate))
    return rate


class AbstractRead(eqx.Module):
    """How an embedded query (D,) is read from embedded support (S, D) with class membership (S, N).

    >>> class Sums(eam.nn.AbstractRead):  # of all overlaps with a class
    ...     def __call__(self, support, member, query):
    ...         return (support @ query) @ member
    ...
    >>> support, member = jnp.eye(2), jnp.array([[True, False], [False, True]])
    >>> Sums()(support, member, jnp.array([0.2, 0.9]))
    Array([0.2, 0.9], dtype=float32)
    """

    @abc.abstractmethod
    def __call__(
        self, support: Float[Array, "S D"], member: Bool[Array, "S N"], query: Float[Array, " D"]
    ) -> Float[Array, " N"]:
        """The logits of the N classes."""


class DotRead(AbstractRead):
    """Dot-product attention over the support set: no memory.

    >>> support, member = jnp.eye(2), jnp.array([[True, False], [False, True]])
    >>> eam.nn.DotRead()(support, member, jnp.array([0.2, 0.9]))  # logits of two classes
    Array([0.2, 0.9], dtype=float32)
    """

    def __call__(self, support, member, query):
        return class_potentials(support @ query, member)


class CosineRead(AbstractRead):
    """Attention by cosine at a learned inverse temperature, 10 at first. Vinyals et al., NeurIPS 2016.

    >>> support, member = jnp.eye(2), jnp.array([[True, False], [False, True]])
    >>> np.asarray(eam.nn.CosineRead(beta=10.0)(support, member, jnp.array([3.0, 4.0]))).round(2)
    array([6., 8.], dtype=float32)
    """

    log_beta: Float[Array, ""]

    def __init__(self, beta: ArrayLike = 10.0):
        self.log_beta = jnp.log(checks.positive_float("beta", beta).astype(float))

    def __call__(self, support, member, query):
        return class_potentials(jnp.exp(self.log_beta) * _cosines(support, query), member)


class AttractorRead(AbstractRead):
    """The query settles in a memory of the support set, then reads by dot-product attention.

        q ← relu(LN(q + A q)), num_inner times

    **Arguments:** `size`: D; `memory`: `"storkey"`: A is written pattern by pattern, without decay;
    `"subtracting"`: the same, by a rule of the opposite sign, which takes away from the query what it shares
    with the support,

        A ← A + rate (H − h xᵀ − x hᵀ),    H = A + x xᵀ / D,  h = H x;

    `"hopfield"`: the retrieval Xᵀ softmax(X q / √D) in place of A q; `"none"`: A = 0, the layer norm alone;
    `num_inner`; `rate`: of each write, by default 1/(S D). At larger rates Storkey's correction terms, which
    are cubic in the embeddings, outgrow the terms that they correct. Raises `ValueError` for another memory
    or a rate that is not positive.

    The subtracting rule has Storkey's terms, but divides x xᵀ by D once more than h xᵀ, so that −x hᵀ wins:
    one write into A = 0 is rate (1 − 2‖x‖²) x xᵀ / D.

    This is an attractor network instead of the nearest neighbours of Kaiser, Nachum, Roy & Bengio, "Learning
    to remember rare events", ICLR 2017.

        >>> support = jnp.array([[0.9, 0.1], [0.1, 0.9]])
        >>> member = jnp.array([[True, False], [False, True]])
        >>> int(eam.nn.AttractorRead(2)(support, member, jnp.array([0.2, 0.8])).argmax())
        1
    """

    norm: eqx.nn.LayerNorm
    hopfield: HopfieldAttention
    memory: str = eqx.field(static=True, converter=partial(checks.one_of, "memory", choices=_MEMORIES))
    num_inner: int = eqx.field(static=True, converter=partial(checks.count, "num_inner"))
    rate: int | float | None = eqx.field(static=True, converter=_as_rate)

    def __init__(
        self, size: int, memory: str = "storkey", num_inner: int = 1, rate: int | float | None = None
    ):
        self.memory, self.num_inner, self.rate = memory, num_inner, rate
        self.norm = eqx.nn.LayerNorm(checks.count("size", size))
        self.hopfield = HopfieldAttention(size)

    def __call__(self, support, member, query):
        weights = self.weights(support)
        for _ in range(self.num_inner):
            pull = self.hopfield(query[None], support)[0] if self.memory == "hopfield" else weights @ query
            query = jax.nn.relu(self.norm(query + pull))
        return class_potentials(support @ query, member)

    def weights(self, support: ArrayLike) -> Float[Array, "D D"]:
        """A, the matrix that the support set (S, D) is written into; zeros without a rule that writes."""
        support = checks.as_floats("support", support, f"S {self.norm.shape[0]}")
        S, D = support.shape
        empty = jnp.zeros((D, D), support.dtype)
        if self.memory not in _STEPS:
            return empty
        rate = 1 / (S * D) if self.rate is None else self.rate
        return store(empty, support, _STEPS[self.memory], rate=rate)


class PrototypeRead(AbstractRead):
    """Softmax over squared distances to the mean of each class. Snell et al., NeurIPS 2017.

    >>> support, member = jnp.eye(2), jnp.array([[True, False], [False, True]])
    >>> np.asarray(eam.nn.PrototypeRead()(support, member, jnp.array([0.0, 0.5]))).round(2)
    array([-1.25, -0.25], dtype=float32)
    """

    def __call__(self, support, member, query):
        member = member.astype(support.dtype)
        prototypes = member.T @ support / member.sum(0)[:, None]
        return -jnp.sum((prototypes - query[None]) ** 2, axis=1)


class SettledRead(AbstractRead):
    """Another read, of a query that settles first in a modern Hopfield memory of the support set.

        x_k ← x_k / ‖x_k‖,  q ← q / ‖q‖
        q ← (1 − g) q + g Xᵀ softmax(β X q), num_steps times;    logits = read(X, q)

    β and the share g of the retrieved, between 0 and 1, are learned: at g = 0 the memory does nothing, so
    that the learned g shows how useful it is. With one example for each class, the retrieved vector is a
    mixture of these examples, weighted by how near they are.

    **Arguments:** `read`: what reads the settled query; `beta`: β at first; `share`: g at first;
    `num_steps`. Raises `ValueError` for another read, β ≤ 0, a share outside 0 to 1 or no steps.

        >>> support, member = jnp.eye(2), jnp.array([[True, False], [False, True]])
        >>> read = eam.nn.SettledRead(eam.nn.DotRead(), beta=10.0, share=0.5)
        >>> int(read(support, member, jnp.array([0.2, 0.9])).argmax())
        1
    """

    read: AbstractRead = eqx.field(converter=partial(checks.instance, "read", cls=AbstractRead))
    log_beta: Float[Array, ""]
    logit_share: Float[Array, ""]
    num_steps: int = eqx.field(static=True, converter=partial(checks.count, "num_steps"))

    def __init__(
        self, read: AbstractRead, beta: ArrayLike = 10.0, share: ArrayLike = 0.5, num_steps: int = 1
    ):
        self.read, self.num_steps = read, num_steps
        self.log_beta = jnp.log(checks.positive_float("beta", beta).astype(float))
        self.logit_share = logit(checks.fraction("share", share, "").astype(float))

    def __call__(self, support, member, query):
        support, query = unit(support), unit(query)
        share, beta = jax.nn.sigmoid(self.logit_share), jnp.exp(self.log_beta)
        for _ in range(self.num_steps):
            retrieved = jax.nn.softmax(beta * (support @ query)) @ support
            query = (1 - share) * query + share * retrieved
        return self.read(support, member, query)


class NearestRead(AbstractRead):
    """The class of the support vector of largest cosine: 1-nearest-neighbour.

    >>> support, member = jnp.eye(2), jnp.array([[True, False], [False, True]])
    >>> int(eam.nn.NearestRead()(support, member, jnp.array([0.2, 0.9])).argmax())
    1
    """

    def __call__(self, support, member, query):
        return jnp.max(jnp.where(member, _cosines(support, query)[:, None], -1), axis=0)


def class_potentials(similarities: Float[Array, " S"], member: Bool[Array, "S N"]) -> Float[Array, " N"]:
    """The potential log Σ_{k in c} exp(s_k) of every class c.

    Its softmax is the attention read of one-hot labels, `KeyValueMemory` with `LogSumExp(1.0)`.
    """
    separation = LogSumExp(1.0, divided=False)
    return jax.vmap(lambda of: Masked(separation, of).potential(similarities), in_axes=1)(member)


def _cosines(support: Float[Array, "S D"], query: Float[Array, " D"]) -> Float[Array, " S"]:
    return unit(support) @ unit(query)
