"""Few-shot classification: a handful of labelled pictures is the memory, a query picture is read from it.

A network embeds every picture; a *read* turns the embedded support set and an embedded query into logits,
one for each class. Attention's probability of class c, Σ_{k in c} softmax(s)_k, is the softmax over classes
of the potentials log Σ_{k in c} exp(s_k): each class is a memory, the answer the one of lowest energy.

    DotRead          s_k = x_k · q
    CosineRead       s_k = β cos(x_k, q), β learned                         Vinyals et al. 2016
    AttractorRead    q ← relu(LN(q + A q)) first, A written by Storkey's rule (or a Hopfield read, or 0)
    PrototypeRead    −‖mean of the class − q‖²                              Snell et al. 2017
    NearestRead      the largest cosine; nothing to learn
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, Shaped

from energyam import checks
from energyam.learning import store, storkey_step
from energyam.memories.separation import LogSumExp
from energyam.nn.hopfield_layers import HopfieldAttention, Masked

IMAGE_SIZE = 28


class ConvEmbedding(eqx.Module):
    """A picture (28, 28) as a vector (D,): five times 3×3 convolution, 3×3 max pooling of stride 2, relu.

    **Arguments:** `size`: D, the channels of every layer; `key`. Raises `ValueError` for a size below 1.
    """

    kernels: tuple[Float[Array, "3 3 C D"], ...]
    biases: tuple[Float[Array, " D"], ...]

    def __init__(self, size: int = 64, *, key: PRNGKeyArray):
        size = checks.count("size", size)
        start = jax.nn.initializers.he_uniform()
        channels = (1, size, size, size, size)
        self.kernels = tuple(
            start(k, (3, 3, before, size)) for k, before in zip(jr.split(key, 5), channels, strict=True)
        )
        self.biases = tuple(jnp.zeros(size) for _ in channels)

    def __call__(self, image: Float[Array, "28 28"]) -> Float[Array, " D"]:
        maps = image[None, :, :, None].astype(self.biases[0].dtype)
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            # Channels last: on the CPU two thirds of the time of channels first.
            maps = lax.conv_general_dilated(
                maps, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            maps = jax.nn.relu(_max_pool(maps) + bias[None, None, None, :])
        return maps[0, 0, 0]


class AbstractRead(eqx.Module):
    """How an embedded query (D,) is read from embedded support (S, D) with class membership (S, N)."""

    @abc.abstractmethod
    def __call__(
        self, support: Float[Array, "S D"], member: Bool[Array, "S N"], query: Float[Array, " D"]
    ) -> Float[Array, " N"]:
        """The logits of the N classes."""


class DotRead(AbstractRead):
    """Dot-product attention over the support set: no memory."""

    def __call__(self, support, member, query):
        return class_potentials(support @ query, member)


class CosineRead(AbstractRead):
    """Attention by cosine at a learned inverse temperature, 10 at first. Vinyals et al., NeurIPS 2016."""

    log_beta: Float[Array, ""]

    def __init__(self, beta: ArrayLike = 10.0):
        checks.positive("beta", beta)
        self.log_beta = jnp.log(jnp.asarray(beta, float))

    def __call__(self, support, member, query):
        return class_potentials(jnp.exp(self.log_beta) * _cosines(support, query), member)


class AttractorRead(AbstractRead):
    """The query settles in a memory of the support set, then reads by dot-product attention.

        q ← relu(LN(q + A q)), num_inner times

    **Arguments:** `size`: D; `memory`: `"storkey"`: A is written pattern by pattern at the rate 1/S, without
    decay; `"hopfield"`: A q is the retrieval Xᵀ softmax(X q / √D) in its place; `"none"`: A = 0, the layer
    norm alone. Raises `ValueError` for another memory.

    An attractor network in the place of the nearest neighbours of Kaiser, Nachum, Roy & Bengio, "Learning to
    remember rare events", ICLR 2017.
    """

    norm: eqx.nn.LayerNorm
    hopfield: HopfieldAttention
    memory: str = eqx.field(static=True)
    num_inner: int = eqx.field(static=True)

    def __init__(self, size: int, memory: str = "storkey", num_inner: int = 1):
        if memory not in ("storkey", "hopfield", "none"):
            raise ValueError(f"memory must be 'storkey', 'hopfield' or 'none'; got {memory!r}")
        self.norm = eqx.nn.LayerNorm(checks.count("size", size))
        self.hopfield = HopfieldAttention(size)
        self.memory = memory
        self.num_inner = checks.count("num_inner", num_inner)

    def __call__(self, support, member, query):
        weights = self.weights(support)
        for _ in range(self.num_inner):
            pull = self.hopfield(query[None], support)[0] if self.memory == "hopfield" else weights @ query
            query = jax.nn.relu(self.norm(query + pull))
        return class_potentials(support @ query, member)

    def weights(self, support: Float[Array, "S D"]) -> Float[Array, "D D"]:
        """A, the matrix that the support set (S, D) is written into; zeros without Storkey's rule."""
        S, D = support.shape
        empty = jnp.zeros((D, D), support.dtype)
        return store(empty, support, storkey_step, rate=1 / S) if self.memory == "storkey" else empty


class PrototypeRead(AbstractRead):
    """Softmax over squared distances to the mean of each class. Snell et al., NeurIPS 2017."""

    def __call__(self, support, member, query):
        prototypes = member.T.astype(support.dtype) @ support / member.sum(0)[:, None]
        return -jnp.sum((prototypes - query[None]) ** 2, axis=1)


class NearestRead(AbstractRead):
    """The class of the support vector of largest cosine: 1-nearest-neighbour."""

    def __call__(self, support, member, query):
        return jnp.max(jnp.where(member, _cosines(support, query)[:, None], -1), axis=0)


class FewShotClassifier(eqx.Module):
    """An embedding and a read: support pictures with labels, and query pictures, to logits.

    **Arguments:** `embed`: a picture (28, 28) → (D,), say `ConvEmbedding` (or `jnp.ravel`: raw pixels);
    `read`: one of the reads.
    """

    embed: Any
    read: AbstractRead

    def __call__(
        self,
        support: Shaped[ArrayLike, "..."],
        labels: Shaped[ArrayLike, "..."],
        queries: Shaped[ArrayLike, "..."],
        num_classes: int,
    ) -> Float[Array, "Q N"]:
        """Logits (Q, N) of queries (Q, 28, 28), given support (S, 28, 28) and labels (S,) in 0..N−1.

        Raises `ValueError` for pictures that are not (28, 28) floats, labels that are not whole, out of
        range or not one a picture, and a class without support.
        """
        support, queries = _pictures("support", support), _pictures("queries", queries)
        member = _membership(labels, support.shape[0], checks.count("num_classes", num_classes))
        embedded = jax.vmap(self.embed)(jnp.concatenate([support, queries]))
        S = support.shape[0]
        return jax.vmap(lambda query: self.read(embedded[:S], member, query))(embedded[S:])


def class_potentials(similarities: Float[Array, " S"], member: Bool[Array, "S N"]) -> Float[Array, " N"]:
    """The potential log Σ_{k in c} exp(s_k) of every class c.

    Its softmax is the attention read of one-hot labels, `KeyValueMemory` with `LogSumExp(1.0)`.
    """
    separation = LogSumExp(1.0, divided=False)
    return jax.vmap(lambda of: Masked(separation, of).potential(similarities), in_axes=1)(member)


def _cosines(support: Float[Array, "S D"], query: Float[Array, " D"]) -> Float[Array, " S"]:
    return _unit(support) @ _unit(query)


def _unit(vectors: Float[Array, "*S D"]) -> Float[Array, "*S D"]:
    # Smooth at 0, where a dead embedding may lie: no NaN in the gradient.
    return vectors / jnp.sqrt(jnp.sum(vectors**2, axis=-1, keepdims=True) + 1e-12)


def _max_pool(maps: Float[Array, "1 H W C"]) -> Float[Array, "1 H2 W2 C"]:
    """3×3 maxima at stride 2, ⌈H/2⌉ × ⌈W/2⌉ of them; beyond the border lies −∞.

    Maxima over shifted slices: on the CPU the gradient of `reduce_window` takes five times as long.
    """
    for axis in (1, 2):
        half = -(-maps.shape[axis] // 2)
        missing = 2 * half + 1 - maps.shape[axis]
        border = [(0, 0)] * 4
        border[axis] = (missing // 2, missing - missing // 2)
        padded = jnp.pad(maps, border, constant_values=-jnp.inf)
        shifted = [lax.slice_in_dim(padded, at, at + 2 * half - 1, 2, axis) for at in range(3)]
        maps = jnp.maximum(jnp.maximum(shifted[0], shifted[1]), shifted[2])
    return maps


def _pictures(name: str, images: Any) -> Float[Array, "S 28 28"]:
    images = checks.as_array(name, images, "S 28 28")
    if images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE) or not jnp.issubdtype(images.dtype, jnp.floating):
        raise ValueError(
            f"{name} must be (S, {IMAGE_SIZE}, {IMAGE_SIZE}) floats, ink 1 on paper 0; "
            f"got shape {images.shape}, dtype {images.dtype}"
        )
    return images


def _membership(labels: Any, num_pictures: int, num_classes: int) -> Bool[Array, "S N"]:
    labels = checks.as_array("labels", labels, "S")
    if labels.shape != (num_pictures,) or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"labels must be ({num_pictures},) integers, one a picture; "
            f"got shape {labels.shape}, dtype {labels.dtype}"
        )
    member = labels[:, None] == jnp.arange(num_classes)[None, :]
    if checks.is_known(member) and not (bool(member.any(1).all()) and bool(member.any(0).all())):
        raise ValueError(f"labels must lie in 0..{num_classes - 1} and name every class; got {labels}")
    return member
