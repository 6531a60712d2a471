"""Few-shot episodes: N classes that were never seen, K labelled pictures of each, and queries."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, Shaped

from energyam import checks
from energyam.datasets.keys import key_by_name
from energyam.shown import shown


@shown()
class Episode(NamedTuple):
    """One task: find the classes of queries from a small labelled support set.

    `support` (S, H, W), S = N·K pictures; `labels` (S,) in 0 … N − 1; `queries` (Q, H, W); `answers` (Q,).
    `classes` (N,): which class of the data set each label stands for.

        >>> pictures = eam.datasets.stroke_characters(6, 4, key=jr.key(0))
        >>> episode = eam.datasets.sample_episode(pictures, num_ways=5, num_shots=1, key=jr.key(1))
        >>> episode.support.shape, episode.labels.tolist()
        ((5, 28, 28), [0, 1, 2, 3, 4])
    """

    support: Float[Array, "S H W"]
    labels: Int[Array, " S"]
    queries: Float[Array, "Q H W"]
    answers: Int[Array, " Q"]
    classes: Int[Array, " N"]


@key_by_name
def sample_episode(
    images: ArrayLike, num_ways: int = 5, num_shots: int = 1, num_queries: int = 1, *, key: PRNGKeyArray
) -> Episode:
    """An N-way K-shot episode drawn from images (classes, drawers, H, W).

    N classes are drawn without replacement, and from each class K drawers for the support set and others for
    the queries. Works under `jit`; `jax.vmap` over keys makes a batch.

    **Arguments:** `num_ways`: N; `num_shots`: K; `num_queries`: queries of each class.

    Raises `ValueError` for counts below 1, more ways than classes, or more shots and queries than drawers.

        >>> pictures = eam.datasets.stroke_characters(6, 4, key=jr.key(0))
        >>> episode = eam.datasets.sample_episode(pictures, num_ways=3, num_shots=2, key=jr.key(1))
        >>> episode.labels.tolist(), episode.queries.shape
        ([0, 0, 1, 1, 2, 2], (3, 28, 28))
    """
    images = checks.as_array("images", images, "classes drawers H W")
    C, P = images.shape[:2]
    N, K = checks.count("num_ways", num_ways), checks.count("num_shots", num_shots)
    Q = checks.count("num_queries", num_queries)
    if N > C:
        raise ValueError(f"num_ways must be at most the number of classes, {C}; got {N}")
    if K + Q > P:
        raise ValueError(f"num_shots + num_queries must be at most the number of drawers, {P}; got {K} + {Q}")
    classes, drawers = drawn(C, P, (N, K, Q), key=key)
    pictures = checks.as_floats("images", images[classes[:, None], drawers].astype(float), "N KQ H W")
    support, queries = (part.reshape(-1, *images.shape[2:]) for part in (pictures[:, :K], pictures[:, K:]))
    labels, answers = (jnp.repeat(jnp.arange(N), count) for count in (K, Q))
    return Episode(support, labels, queries, answers, classes)


def drawn(
    num_classes: int, num_drawers: int, counts: tuple[int, int, int], *, key: PRNGKeyArray
) -> tuple[Int[Array, " N"], Int[Array, "N KQ"]]:
    """The classes of an episode of N ways, K shots and Q queries, and K + Q drawers of each, none twice."""
    class_key, drawer_key = jr.split(key)
    classes = jr.choice(class_key, num_classes, (counts[0],), replace=False)
    of_class = lambda key: jr.permutation(key, num_drawers)[: counts[1] + counts[2]]  # noqa: E731
    return classes, jax.vmap(of_class)(jr.split(drawer_key, counts[0]))


@key_by_name
def split_classes(
    images: ArrayLike, num_train: int, *, key: PRNGKeyArray
) -> tuple[Shaped[np.ndarray, "train drawers H W"], Shaped[np.ndarray, "test drawers H W"]]:
    """Images (classes, drawers, H, W) as training and test classes: `num_train` at random, and all others.

    No class is in both. Add rotations after the split, so that no test class is a rotated training class.
    Raises `ValueError` unless 1 ≤ num_train < classes.

        >>> train, test = eam.datasets.split_classes(np.zeros((6, 4, 28, 28)), 4, key=jr.key(0))
        >>> len(train), len(test)
        (4, 2)
    """
    images = _images(images)
    if checks.count("num_train", num_train) >= images.shape[0]:
        raise ValueError(f"num_train must leave classes to test on, of {images.shape[0]}; got {num_train}")
    order = np.asarray(jr.permutation(key, images.shape[0]))
    return images[order[:num_train]], images[order[num_train:]]


def add_rotations(images: ArrayLike) -> Shaped[np.ndarray, "classes4 drawers H W"]:
    """Images (classes, drawers, H, H) and the same turned by 90°, 180° and 270°, as four times the classes.

    Class c + r · classes is class c turned by r · 90°. Raises `ValueError` for pictures that are not square.

        >>> eam.datasets.add_rotations(np.array([[[[1, 2], [3, 4]]]]))[1, 0, 0]
        array([2, 4])
    """
    images = _images(images)
    if images.shape[2] != images.shape[3]:
        raise ValueError(f"images must be square, (classes, drawers, H, H); got shape {images.shape}")
    return np.concatenate([np.rot90(images, turns, axes=(2, 3)) for turns in range(4)])


def _images(images: ArrayLike) -> Shaped[np.ndarray, "classes drawers H W"]:
    # On the host: a whole data set need not be copied to the device.
    try:
        images = np.asarray(images)
        numeric = images.dtype.kind in "biuf"
    except (TypeError, ValueError) as error:
        raise ValueError(f"images must be a numeric array (classes, drawers, H, W); {error}") from None
    if not numeric:
        raise ValueError(f"images must be a numeric array of real numbers; got dtype {images.dtype}")
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"images must be (classes, drawers, H, W), not empty; got shape {images.shape}")
    if not np.isfinite(images).all():
        raise ValueError("images must be finite; got NaN or infinity")
    return images
