"""The few-shot benchmark: no class is trained and tested on, and pictures are damaged as is said."""

import io
import zipfile

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from PIL import Image

from benchmarks import few_shot
from benchmarks.damage import Restored, _windows, damaged, flipped, masked


def write(path, names):
    """A zip in Omniglot's layout with two pictures of each of these characters."""
    buffer = io.BytesIO()
    Image.new("1", (105, 105)).save(buffer, "PNG")
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            for drawer in range(2):
                archive.writestr(f"{path.stem}/{name}/{drawer}.png", buffer.getvalue())


@pytest.fixture
def omniglot(tmp_path, monkeypatch):
    """`omniglot(background, evaluation)`: the folder of both zips, as the benchmark is told of it."""
    monkeypatch.setenv("ENERGYAM_OMNIGLOT", str(tmp_path))

    def make(background, evaluation):
        write(tmp_path / "images_background.zip", background)
        write(tmp_path / "images_evaluation.zip", evaluation)
        few_shot.sets.cache_clear()

    yield make
    few_shot.sets.cache_clear()


def test_training_turns_the_background_and_tests_on_the_rest(omniglot):
    omniglot(["Greek/character01", "Greek/character02"], ["Latin/character01"])
    train_images, test_images = few_shot.sets(False)
    assert train_images.shape == (8, 2, 28, 28) and test_images.shape == (1, 2, 28, 28)


def test_no_class_is_trained_and_tested_on(omniglot):
    omniglot(["Greek/character01", "Latin/character01"], ["Latin/character01", "Latin/character02"])
    with pytest.raises(ValueError, match="Latin/character01"):
        few_shot.sets(False)


def test_a_quarter_is_flipped_and_a_half_is_masked():
    picture = jr.uniform(jr.key(0), (28, 28)).round()
    keys = jr.split(jr.key(1), 64)
    turned = np.asarray(jax.vmap(lambda key: flipped(key, picture))(keys)) != np.asarray(picture)
    assert turned.mean() == pytest.approx(0.25, abs=0.01)
    ink = jnp.ones((28, 28))
    halves = np.asarray(jax.vmap(lambda key: masked(key, ink))(keys))
    assert (halves.sum((1, 2)) == 14 * 28).all() and len(np.unique(halves, axis=0)) == 4
    changed = np.asarray(jax.vmap(lambda key: damaged(key, ink))(keys) != 1).mean((1, 2))
    assert np.unique(changed.round(1)).tolist() == pytest.approx([0.0, 0.2, 0.3, 0.5])


def test_a_window_is_restored_to_its_posterior_mean():
    """Bayes' rule over all stored windows, p(seen | stored) a product of ¾ and ¼."""
    restored = Restored(jr.uniform(jr.key(2), (3, 2, 28, 28)).round(), 5, key=jr.key(3))
    assert restored.windows.shape == (5, 49) and set(np.unique(restored.windows)) == {-1, 1}
    picture = jr.uniform(jr.key(4), (28, 28)).round()
    seen = 2 * np.asarray(flipped(jr.key(5), picture), np.float64) - 1

    def expected(chance):
        total, covered = np.zeros((28, 28)), np.zeros((28, 28))
        for i in range(22):
            for j in range(22):
                same = (seen[i : i + 7, j : j + 7].ravel() == np.asarray(restored.windows)).sum(1)
                weights = (1 - chance) ** same * chance ** (49 - same)
                mean = weights / weights.sum() @ np.asarray(restored.windows)
                total[i : i + 7, j : j + 7] += mean.reshape(7, 7)
                covered[i : i + 7, j : j + 7] += 1
        return (total / covered + 1) / 2

    found = restored(jr.key(5), picture)
    np.testing.assert_allclose(found, expected(0.25), atol=1e-5)
    assert np.abs(found - expected(0.22)).max() > 1e-3
    assert _windows(picture).shape == (484, 49)
