"""Few-shot classification: a handful of labelled pictures is the memory, and queries are read from it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from energyam import checks
from energyam.nn.reads import AbstractRead


class ConvEmbedding(eqx.Module):
    """A picture (28, 28) as a vector (D,): five times 3×3 convolution, 3×3 max pooling of stride 2, relu.

    **Arguments:** `size`: D, the channels of every layer; `key`. Raises `ValueError` for a size below 1.

        >>> embed = eam.nn.ConvEmbedding(8, key=jr.key(0))
        >>> embed(jnp.zeros((28, 28))).shape
        (8,)
    """

    kernels: tuple[Float[Array, "3 3 C D"], ...]
    biases: tuple[Float[Array, " D"], ...]

    def __init__(self, size: int = 64, *, key: PRNGKeyArray):
        size = checks.count("size", size)
        checks.key("key", key)
        start = jax.nn.initializers.glorot_uniform()
        channels = (1, size, size, size, size)
        keys = jax.random.split(key, len(channels))
        self.kernels = tuple(start(k, (3, 3, C, size)) for k, C in zip(keys, channels, strict=True))
        self.biases = tuple(jnp.zeros(size) for _ in channels)

    def __call__(self, image: ArrayLike) -> Float[Array, " D"]:
        maps = _pictures("image", image, "28 28")[None, :, :, None].astype(self.biases[0].dtype)
        layout = "NHWC", "HWIO", "NHWC"  # channels last: on the CPU two thirds of the time of channels first
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            maps = jax.lax.conv_general_dilated(maps, kernel, (1, 1), "SAME", dimension_numbers=layout)
            maps = jax.nn.relu(_max_pool(maps) + bias[None, None, None, :])
        return maps[0, 0, 0]


class FewShotClassifier(eqx.Module):
    """An embedding and a read, which give logits for query pictures from labelled support pictures.

    **Arguments:** `embed`: a picture (28, 28) → (D,), say `ConvEmbedding` (or `jnp.ravel`: raw pixels);
    `read`: one of the reads. Raises `ValueError` for others.

        >>> classify = eam.nn.FewShotClassifier(jnp.ravel, eam.nn.NearestRead())
        >>> pictures = eam.datasets.stroke_characters(5, 2, key=jr.key(0))
        >>> logits = classify(pictures[:, 0], jnp.arange(5), pictures[:, 1], 5)
        >>> logits.argmax(1)  # of five characters, each seen once
        Array([0, 2, 3, 3, 4], dtype=int32)
    """

    embed: Any
    read: AbstractRead

    def __check_init__(self):
        checks.function("embed", self.embed)
        checks.instance("read", self.read, AbstractRead)

    def __call__(
        self, support: ArrayLike, labels: ArrayLike, queries: ArrayLike, num_classes: int
    ) -> Float[Array, "Q N"]:
        """Logits (Q, N) of queries (Q, 28, 28), given support (S, 28, 28) and labels (S,) in 0..N−1.

        Raises `ValueError` for pictures that are not (28, 28) floats, labels that are not whole, out of range
        or not one for each picture, and a class without support.
        """
        support, queries = (_pictures(name, x) for name, x in (("support", support), ("queries", queries)))
        embedded = jax.vmap(self.embed)(jnp.concatenate([support, queries]))
        S = support.shape[0]
        return self.answer(embedded[:S], labels, embedded[S:], num_classes)

    def answer(
        self, support: ArrayLike, labels: ArrayLike, queries: ArrayLike, num_classes: int
    ) -> Float[Array, "Q N"]:
        """The same for embedded support (S, D) and queries (Q, D), whose pictures need no embedding again."""
        support = checks.as_floats("support", support, "S D")
        queries = checks.as_floats("queries", queries, f"Q {support.shape[1]}")
        member = _membership(labels, support.shape[0], checks.count("num_classes", num_classes))
        return jax.vmap(lambda query: self.read(support, member, query))(queries)


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
        shifted = [jax.lax.slice_in_dim(padded, at, at + 2 * half - 1, 2, axis) for at in range(3)]
        maps = jnp.maximum(jnp.maximum(shifted[0], shifted[1]), shifted[2])
    return maps


def _pictures(name: str, images: Any, dims: str = "S 28 28") -> Float[Array, "*S 28 28"]:
    images = checks.as_array(name, images, dims)
    if not jnp.issubdtype(images.dtype, jnp.floating):
        shape = ", ".join(dims.split())
        raise ValueError(f"{name} must be ({shape}) floats, ink 1 on paper 0; got dtype {images.dtype}")
    return checks.as_floats(name, images, dims)


def _membership(labels: Any, num_pictures: int, num_classes: int) -> Bool[Array, "S N"]:
    labels = checks.as_array("labels", labels, "S")
    if labels.shape != (num_pictures,) or not jnp.issubdtype(labels.dtype, jnp.integer):
        got = f"shape {labels.shape}, dtype {labels.dtype}"
        raise ValueError(f"labels must be ({num_pictures},) integers, one for each picture; got {got}")
    member = labels[:, None] == jnp.arange(num_classes)[None, :]
    if not checks.passes(lambda member: member.any(1).all() & member.any(0).all(), member):
        raise ValueError(f"labels must lie in 0..{num_classes - 1} and name every class; got {labels}")
    return member
