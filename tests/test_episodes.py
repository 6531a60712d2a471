"""Episodes: the right shapes, disjoint drawers, disjoint classes, and rotations as new classes."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from energyam.datasets import add_rotations, sample_episode, split_classes

C, P, H = 12, 6, 5


@pytest.fixture(scope="module")
def images():
    """Pictures that say which class and drawer they are: entries class + drawer / 8."""
    number = np.arange(C)[:, None] + np.arange(P)[None, :] / 8
    return np.broadcast_to(number[:, :, None, None], (C, P, H, H)).astype(np.float32)


def test_an_episode_is_n_ways_of_k_shots(images):
    episode = sample_episode(images, 4, 2, 3, key=jr.key(0))
    assert episode.support.shape == (8, H, H) and episode.queries.shape == (12, H, H)
    assert episode.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert episode.answers.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert len(set(episode.classes.tolist())) == 4


def test_labels_are_right_and_no_query_is_in_the_support_set(images):
    batch = jax.jit(jax.vmap(lambda key: sample_episode(images, 5, 1, 2, key=key)))
    episodes = batch(jr.split(jr.key(1), 64))
    support, queries = episodes.support[:, :, 0, 0], episodes.queries[:, :, 0, 0]
    own = jnp.take_along_axis(episodes.classes, episodes.labels, axis=1)
    assert (jnp.floor(support) == own).all()
    assert (jnp.floor(queries) == jnp.take_along_axis(episodes.classes, episodes.answers, axis=1)).all()
    assert not (support[:, :, None] == queries[:, None, :]).any()
    assert set(np.unique(episodes.classes)) == set(range(C))


def test_pictures_become_floats(images):
    episode = sample_episode(images.astype(np.uint8), key=jr.key(0))
    assert episode.support.dtype == jnp.float32 and episode.queries.dtype == jnp.float32


def test_training_and_test_classes_never_overlap(images):
    train, test = split_classes(images, 8, key=jr.key(2))
    classes = [set(np.floor(part).ravel().tolist()) for part in (train, test)]
    assert not classes[0] & classes[1] and len(classes[0]) == 8 and len(classes[1]) == 4


def test_rotations_are_new_classes():
    images = np.random.default_rng(0).random((3, 2, H, H))
    turned = add_rotations(images)
    assert turned.shape == (12, 2, H, H)
    for turns in range(4):
        np.testing.assert_array_equal(turned[3 * turns + 1, 0], np.rot90(images[1, 0], turns))


@pytest.mark.parametrize(
    "counts, named",
    [
        ((0, 1, 1), "num_ways"),
        ((5, 0, 1), "num_shots"),
        ((5, 1, 0), "num_queries"),
        ((2.0, 1, 1), "num_ways"),
        ((C + 1, 1, 1), f"num_ways must be at most the number of classes, {C}"),
        ((5, P, 1), f"num_shots .* num_queries must be at most the number of drawers, {P}"),
    ],
)
@pytest.mark.usefixtures("no_hook")
def test_counts_that_the_images_cannot_give_raise(images, counts, named):
    with pytest.raises(ValueError, match=named):
        sample_episode(images, *counts, key=jr.key(0))


@pytest.mark.parametrize("num_train", [0, C, C + 3, 1.5])
@pytest.mark.usefixtures("no_hook")
def test_splits_that_leave_nothing_raise(images, num_train):
    with pytest.raises(ValueError, match="num_train"):
        split_classes(images, num_train, key=jr.key(0))


def test_images_of_another_shape_raise(images):
    with pytest.raises(ValueError, match=r"images must be \(classes, drawers, H, W\)"):
        sample_episode(images[0], key=jr.key(0))
    with pytest.raises(ValueError, match="images"):
        split_classes(images[:0], 1, key=jr.key(0))
    with pytest.raises(ValueError, match="square"):
        add_rotations(images[..., :3])
