"""Training and testing a few-shot classifier on episodes of classes."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key, PRNGKeyArray, Shaped

from energyam import checks
from energyam.datasets.episodes import Episode, drawn, sample_episode
from energyam.nn.answers import answer_of
from energyam.nn.few_shot import FewShotClassifier
from energyam.on_disk import AnyArray
from energyam.shown import shown

Images = Shaped[Array, "classes drawers H W"]
Pictures = Float[Array, "Q H W"]
Answered = tuple[Float[Array, "*E Q N"], Int[Array, "*E Q"]]  # logits and right answers
Change = Callable[[PRNGKeyArray, Float[Array, "H W"]], Float[Array, "H W"]]


class EpisodeLoss(eqx.Module):
    """The mean loss of a classifier over a few fresh episodes, as `train` wants it: (model, key) → scalar.

        squared_error    Σ_c (softmax(logits)_c − [c is right])²
        cross_entropy    −log softmax(logits)_right

    Embedding pictures takes almost all the time. With `num_classes`, a step draws that many classes once,
    embeds their pictures, and draws all its episodes from these: 10 episodes of 5 ways embed 20 pictures with
    `num_classes=10`, and 100 without.

    **Arguments:** `images` (classes, drawers, 28, 28): the training classes; `kind`: one of the two;
    `num_ways`, `num_shots`, `num_queries` of each class, `num_episodes` a step; `num_classes`: how many
    classes the episodes of one step share, by default each draws its own; `augment`: a function (key,
    picture) → picture that is applied to each picture; `corrupt`: one that is applied to queries only. Raises
    `ValueError` for another kind, counts below 1, fewer classes than ways, and arguments that must be
    functions and aren't.

        >>> pictures = eam.datasets.stroke_characters(5, 2, key=jr.key(0))
        >>> loss = eam.nn.EpisodeLoss(pictures, num_ways=2, num_episodes=2)
        >>> model = eam.nn.FewShotClassifier(jnp.ravel, eam.nn.CosineRead())
        >>> bool(loss(model, jr.key(1)) > 0)  # as `train` calls it
        True
    """

    images: Shaped[ArrayLike, "classes drawers 28 28"] = eqx.field(
        converter=lambda images: _as_images(images)
    )
    kind: str = eqx.field(static=True, default="squared_error")
    num_ways: int = eqx.field(static=True, default=5, converter=partial(checks.count, "num_ways"))
    num_shots: int = eqx.field(static=True, default=1, converter=partial(checks.count, "num_shots"))
    num_queries: int = eqx.field(static=True, default=1, converter=partial(checks.count, "num_queries"))
    num_episodes: int = eqx.field(static=True, default=4, converter=partial(checks.count, "num_episodes"))
    num_classes: int | None = eqx.field(static=True, default=None)
    augment: Change | None = None
    corrupt: Change | None = None

    def __check_init__(self):
        checks.one_of("kind", self.kind, ("squared_error", "cross_entropy"))
        least = self.num_ways
        if self.num_classes is not None and checks.count("num_classes", self.num_classes) < least:
            raise ValueError(f"num_classes must be at least num_ways, {least}; got {self.num_classes}")
        for name, change in (("augment", self.augment), ("corrupt", self.corrupt)):
            if change is not None:
                checks.function(name, change)

    def __call__(self, model: Callable[..., Array], key: PRNGKeyArray) -> Float[Array, ""]:
        checks.function("model", model)
        checks.key("key", key)
        keys = jr.split(key, self.num_episodes)
        if self.num_classes is None:
            logits, answers = jax.vmap(lambda key: self._own_classes(model, key))(keys)
        else:
            shared = checks.instance("model", model, FewShotClassifier)  # embeds pictures once for all
            logits, answers = self._shared_classes(shared, keys, self.num_classes)
        right = jax.nn.one_hot(answers, self.num_ways, dtype=logits.dtype)
        if self.kind == "squared_error":
            return jnp.mean(jnp.sum((jax.nn.softmax(logits) - right) ** 2, axis=-1))
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * right, axis=-1))

    def _own_classes(self, model: Callable[..., Array], key: PRNGKeyArray) -> Answered:
        """Logits and right answers of an episode of its own classes."""
        episode = self._drawn(self.num_ways, key)
        logits = model(episode.support, episode.labels, episode.queries, self.num_ways)
        return answer_of(logits, (len(episode.queries), self.num_ways)), episode.answers

    def _shared_classes(self, model: FewShotClassifier, keys: Key[Array, " E"], num_classes: int) -> Answered:
        """The same of one episode a key among so many classes, whose pictures are embedded once."""
        ways = self.num_ways
        episode = self._drawn(num_classes, jr.fold_in(keys[0], len(keys)))
        embedded = jax.vmap(model.embed)(jnp.concatenate([episode.support, episode.queries]))
        by_class = lambda part: part.reshape(num_classes, -1, part.shape[-1])  # noqa: E731
        support, queries = map(by_class, jnp.split(embedded, [len(episode.support)]))
        labels, answers = (jnp.repeat(jnp.arange(ways), n) for n in (self.num_shots, self.num_queries))

        def one(key):
            classes = jr.choice(key, num_classes, (ways,), replace=False)
            flat = lambda part: part[classes].reshape(-1, part.shape[-1])  # noqa: E731
            return model.answer(flat(support), labels, flat(queries), ways), answers

        return jax.vmap(one)(keys)

    def _drawn(self, num_ways: int, key: PRNGKeyArray) -> Episode:
        """An episode of so many ways, its pictures changed as asked for."""
        episode = sample_episode(self.images, num_ways, self.num_shots, self.num_queries, key=key)
        support = _changed(self.augment, episode.support, jr.fold_in(key, 0))
        queries = _changed(self.augment, episode.queries, jr.fold_in(key, 1))
        return episode._replace(support=support, queries=_changed(self.corrupt, queries, jr.fold_in(key, 2)))


def _as_images(images: ArrayLike) -> Shaped[AnyArray, "classes drawers H W"]:
    """Pictures in their own dtype, of finite numbers."""
    array = checks.as_array("images", images, "classes drawers H W")
    floating = jnp.issubdtype(array.dtype, jnp.floating)
    return checks.as_floats("images", array, "classes drawers H W") if floating else array


@shown()
class Accuracy(NamedTuple):
    """The share of queries answered right over many episodes.

    `mean`; `half_width` of its 95 % interval, 1.96 std / √episodes; `std` between single episodes.

        >>> found = eam.nn.Accuracy(mean=0.8, half_width=0.02, std=0.1)
        >>> round(found.mean - found.half_width, 2), round(found.mean + found.half_width, 2)
        (0.78, 0.82)
    """

    mean: int | float
    half_width: int | float
    std: int | float


def episode_accuracy(
    model: FewShotClassifier,
    images: ArrayLike,
    num_episodes: int = 1000,
    num_ways: int = 5,
    num_shots: int = 1,
    num_queries: int = 1,
    corrupt: Change | None = None,
    *,
    key: PRNGKeyArray,
) -> Accuracy:
    """The accuracy over fresh episodes of images (classes, drawers, 28, 28), with its 95 % interval.

    Every picture is embedded once, 250 at a time, in however many episodes it appears.

    **Arguments:** `corrupt`: a function (key, picture) → picture that is applied to queries, with one key for
    each picture. Raises `ValueError` for counts below 1, a `corrupt` that is no function, and as
    `sample_episode` does.

        >>> pictures = eam.datasets.stroke_characters(5, 2, key=jr.key(0))
        >>> model = eam.nn.FewShotClassifier(jnp.ravel, eam.nn.NearestRead())
        >>> found = eam.nn.episode_accuracy(model, pictures, 100, num_ways=2, key=jr.key(1))
        >>> found.mean > 0.5  # better than chance
        True
    """
    model = checks.instance("model", model, FewShotClassifier)
    images = _as_images(images)
    counts = num_ways, num_shots, num_queries
    if corrupt is not None:
        checks.function("corrupt", corrupt)
    checks.key("key", key)
    keys = jr.split(key, checks.count("num_episodes", num_episodes))
    sample_episode(images, *counts, key=key)  # raises what it raises
    classes, drawers = jax.vmap(lambda key: drawn(images.shape[0], images.shape[1], counts, key=key))(keys)
    pictures = np.asarray(classes[:, :, None] * images.shape[1] + drawers)
    support, support_at = _embedded(model.embed, images, pictures[:, :, :num_shots], None, key)
    queries, queries_at = _embedded(model.embed, images, pictures[:, :, num_shots:], corrupt, key)
    some = [slice(i, i + 20) for i in range(0, num_episodes, 20)]
    parts = [_shares_right(model, support[support_at[at]], queries[queries_at[at]]) for at in some]
    shares = np.concatenate([np.asarray(part, np.float64) for part in parts])
    std = float(shares.std())
    return Accuracy(float(shares.mean()), 1.96 * std / num_episodes**0.5, std)


def _embedded(embed, images, pictures, corrupt, key):
    """Embeddings (U, D) of the pictures of these numbers (E, N, K), each once, and where in them each is."""
    numbers, places = np.unique(pictures, return_inverse=True)
    batches = np.resize(numbers, (-(-len(numbers) // 250), min(len(numbers), 250)))
    embedded = [_embed_batch(embed, images, batch, corrupt, key) for batch in batches]
    return jnp.concatenate(embedded)[: len(numbers)], places.reshape(pictures.shape)


@eqx.filter_jit
def _embed_batch(embed, images, numbers, corrupt, key):
    pictures = images.reshape(-1, *images.shape[2:])[numbers].astype(float)
    if corrupt is not None:
        spoil = lambda n, picture: checks.as_array("corrupt(…)", corrupt(jr.fold_in(key, n), picture), "H W")  # noqa: E731
        pictures = jax.vmap(spoil)(numbers, pictures)
    return jax.vmap(embed)(pictures)


@eqx.filter_jit
def _shares_right(model, support, queries):
    """The share (E,) of each episode's embedded queries (E, N, Q, D) that are answered right."""
    ways, shots, asked = support.shape[1], support.shape[2], queries.shape[2]
    labels, answers = (jnp.repeat(jnp.arange(ways), count) for count in (shots, asked))

    def one(support, queries):
        flat = lambda part: part.reshape(-1, part.shape[-1])  # noqa: E731
        logits = model.answer(flat(support), labels, flat(queries), ways)
        return jnp.mean(logits.argmax(axis=-1) == answers)

    return jax.vmap(one)(support, queries)


def _changed(change: Change | None, pictures: Pictures, key: PRNGKeyArray) -> Pictures:
    return pictures if change is None else jax.vmap(change)(jr.split(key, len(pictures)), pictures)
