"""Few-shot classification: a handful of labelled pictures is the memory, and queries are read from it."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key, PRNGKeyArray, Shaped

from energyam import checks
from energyam.datasets.episodes import sample_episode
from energyam.nn.reads import AbstractRead

IMAGE_SIZE = 28


class ConvEmbedding(eqx.Module):
    """A picture (28, 28) as a vector (D,): five times 3×3 convolution, 3×3 max pooling of stride 2, relu.

    **Arguments:** `size`: D, the channels of every layer; `key`. Raises `ValueError` for a size below 1.
    """

    kernels: tuple[Float[Array, "3 3 C D"], ...]
    biases: tuple[Float[Array, " D"], ...]

    def __init__(self, size: int = 64, *, key: PRNGKeyArray):
        size = checks.count("size", size)
        checks.key("key", key)
        start = jax.nn.initializers.glorot_uniform()
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


class FewShotClassifier(eqx.Module):
    """An embedding and a read: support pictures with labels, and query pictures, to logits.

    **Arguments:** `embed`: a picture (28, 28) → (D,), say `ConvEmbedding` (or `jnp.ravel`: raw pixels);
    `read`: one of the reads. Raises `ValueError` for others.
    """

    embed: Any
    read: AbstractRead

    def __check_init__(self):
        if self.embed is None:
            raise ValueError("embed must be a function or a layer; got None")
        checks.function("embed", self.embed)
        checks.instance("read", self.read, AbstractRead)

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


class EpisodeLoss(eqx.Module):
    """The mean loss of a classifier over a few fresh episodes, as `train` wants it: (model, key) → scalar.

        squared_error    Σ_c (softmax(logits)_c − [c is right])²
        cross_entropy    −log softmax(logits)_right

    **Arguments:** `images` (classes, drawers, 28, 28): the training classes; `kind`: one of the two;
    `num_ways`, `num_shots`, `num_queries` of each class, `num_episodes` a step. Raises `ValueError` for
    another kind and counts below 1.
    """

    images: Shaped[Array, "classes drawers 28 28"]
    kind: str = eqx.field(static=True)
    num_ways: int = eqx.field(static=True)
    num_shots: int = eqx.field(static=True)
    num_queries: int = eqx.field(static=True)
    num_episodes: int = eqx.field(static=True)

    def __init__(
        self,
        images: Shaped[ArrayLike, "..."],
        kind: str = "squared_error",
        num_ways: int = 5,
        num_shots: int = 1,
        num_queries: int = 1,
        num_episodes: int = 4,
    ):
        self.images = checks.as_array("images", images, "classes drawers H W")
        self.kind = checks.one_of("kind", kind, ("squared_error", "cross_entropy"))
        self.num_ways = checks.count("num_ways", num_ways)
        self.num_shots = checks.count("num_shots", num_shots)
        self.num_queries = checks.count("num_queries", num_queries)
        self.num_episodes = checks.count("num_episodes", num_episodes)

    def __call__(self, model: FewShotClassifier, key: PRNGKeyArray) -> Float[Array, ""]:
        counts = self.num_ways, self.num_shots, self.num_queries
        logits, answers = _answered(model, self.images, counts, jr.split(key, self.num_episodes))
        right = jax.nn.one_hot(answers, self.num_ways, dtype=logits.dtype)
        if self.kind == "squared_error":
            return jnp.mean(jnp.sum((jax.nn.softmax(logits) - right) ** 2, axis=-1))
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * right, axis=-1))


class Accuracy(NamedTuple):
    """The share of queries answered right over many episodes.

    `mean`; `half_width` of its 95 % interval, 1.96 std / √episodes; `std` between single episodes.
    """

    mean: int | float
    half_width: int | float
    std: int | float


def episode_accuracy(
    model: FewShotClassifier,
    images: Shaped[ArrayLike, "..."],
    num_episodes: int = 1000,
    num_ways: int = 5,
    num_shots: int = 1,
    num_queries: int = 1,
    *,
    key: PRNGKeyArray,
) -> Accuracy:
    """The accuracy over fresh episodes of images (classes, drawers, 28, 28), with its 95 % interval.

    Runs 20 episodes at a time. Raises `ValueError` for counts below 1, and as `sample_episode` does.
    """
    model = checks.instance("model", model, FewShotClassifier)
    images = checks.as_array("images", images, "classes drawers H W")
    counts = num_ways, num_shots, num_queries
    checks.key("key", key)
    keys = jr.split(key, checks.count("num_episodes", num_episodes))
    parts = [_shares_right(model, images, counts, keys[i : i + 20]) for i in range(0, num_episodes, 20)]
    shares = np.concatenate([np.asarray(part, np.float64) for part in parts])
    std = float(shares.std())
    return Accuracy(float(shares.mean()), 1.96 * std / num_episodes**0.5, std)


@eqx.filter_jit
def _shares_right(
    model: FewShotClassifier,
    images: Shaped[Array, "..."],
    counts: tuple[int, int, int],
    keys: Key[Array, " E"],
) -> Float[Array, " E"]:
    logits, answers = _answered(model, images, counts, keys)
    return jnp.mean(logits.argmax(axis=-1) == answers, axis=-1)


def _answered(
    model: FewShotClassifier,
    images: Shaped[Array, "..."],
    counts: tuple[int, int, int],
    keys: Key[Array, " E"],
) -> tuple[Float[Array, "E Q N"], Int[Array, "E Q"]]:
    """Logits and right answers of one episode a key."""

    def one(key):
        episode = sample_episode(images, *counts, key=key)
        return model(episode.support, episode.labels, episode.queries, counts[0]), episode.answers

    return jax.vmap(one)(keys)


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
