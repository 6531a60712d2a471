"""Stroke characters: reproducible, extensible, and as hard as Omniglot."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from energyam.datasets import sample_episode, stroke_characters


@pytest.fixture(scope="module")
def images():
    return stroke_characters(160, 20, key=jr.key(0))


def one_shot_accuracy(images, num_ways, num_episodes):
    """The share of queries whose nearest support picture, by the cosine of raw pixels, is of their class."""
    unit = images / jnp.linalg.norm(images, axis=(2, 3), keepdims=True)

    def right(key):
        episode = sample_episode(unit, num_ways, 1, 1, key=key)
        cosines = jnp.einsum("qhw,shw->qs", episode.queries, episode.support)
        return jnp.mean(jnp.argmax(cosines, axis=1) == episode.answers)

    keys = jr.split(jr.key(1), num_episodes)
    return float(jnp.mean(jax.jit(lambda keys: jax.lax.map(right, keys, batch_size=50))(keys)))


def test_pictures_are_ink_on_paper(images):
    assert images.shape == (160, 20, 28, 28) and images.dtype == jnp.float32
    assert float(images.min()) >= 0 and float(images.max()) == 1
    assert float(images.sum((2, 3)).min()) > 3, "an empty picture"
    assert 0.05 < float(images.mean()) < 0.12, "Omniglot's share of ink is .08"


@pytest.mark.parametrize("num_ways, published", [(5, 0.447), (20, 0.272)])
def test_classes_are_as_hard_to_tell_as_omniglots(images, num_ways, published):
    assert one_shot_accuracy(images, num_ways, 1000) == pytest.approx(published, abs=0.05)


def test_more_classes_or_drawers_leave_the_first_as_they_were(images):
    few = stroke_characters(3, 4, key=jr.key(0))
    np.testing.assert_allclose(few, images[:3, :4], atol=1e-5)
    assert float(jnp.abs(few - stroke_characters(3, 4, key=jr.key(2))).max()) > 0.5


def test_jitter_moves_the_pen():
    steady, shaky = (stroke_characters(3, 4, jitter=jitter, key=jr.key(0)) for jitter in (0.0, 3.0))
    assert float(jnp.abs(steady - shaky).mean()) > 0.02


def test_other_sizes_show_the_same_character(images):
    large = stroke_characters(3, 4, size=56, key=jr.key(0))
    halved = large.reshape(3, 4, 28, 2, 28, 2).mean((3, 5))
    assert float(jnp.abs(halved - images[:3, :4]).mean()) < 0.02


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"num_classes": 0}, "num_classes"),
        ({"num_drawers": 1.5}, "num_drawers"),
        ({"size": -1}, "size"),
        ({"jitter": -0.1}, "jitter"),
    ],
)
@pytest.mark.usefixtures("no_hook")
def test_bad_input_raises(wrong, named):
    with pytest.raises(ValueError, match=named):
        stroke_characters(**{"num_classes": 2, "num_drawers": 2, **wrong}, key=jr.key(0))
