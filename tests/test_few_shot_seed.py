"""The published few-shot set-up: its reads and its loss against plain numpy, pictures turned and resized."""

import io
import json
import zipfile

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from PIL import Image

from benchmarks import few_shot_seed as seed
from benchmarks.progress import kept
from energyam.nn import ConvEmbedding, FewShotClassifier

SUPPORT = np.asarray(jax.nn.relu(jr.normal(jr.key(0), (5, seed.SIZE))), np.float64)
QUERY = np.asarray(jax.nn.relu(jr.normal(jr.key(1), (seed.SIZE,))), np.float64)


def softmax(x):
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def expected(pull):
    """The probabilities after the layer norm of a query that `pull` was added to, by plain numpy."""
    changed = QUERY + pull
    normed = (changed - changed.mean()) / (changed.std() + 1e-5)
    return softmax(SUPPORT @ np.maximum(normed, 0))


def programs_memory():
    memory = np.zeros((seed.SIZE, seed.SIZE))
    for x in SUPPORT:
        hebb = memory + np.outer(x, x) / seed.SIZE
        h = hebb @ x
        memory = memory + (hebb - np.outer(h, x) - np.outer(x, h)) / (5 * seed.SIZE)
    return memory


def read(column, **changes):
    found = seed.SeedRead(column)
    for name, value in changes.items():
        object.__setattr__(found, name, jnp.asarray(value))
    return np.asarray(found(jnp.asarray(SUPPORT), jnp.eye(5, dtype=bool), jnp.asarray(QUERY)))


def test_each_column_reads_as_its_formula_says():
    pull = programs_memory() @ QUERY
    np.testing.assert_allclose(read(seed.NONE), softmax(SUPPORT @ QUERY), rtol=1e-4)
    np.testing.assert_allclose(read(seed.MEMORY), expected(pull), rtol=1e-3)
    np.testing.assert_allclose(read(seed.NORM), expected(0), rtol=1e-3)
    np.testing.assert_allclose(read(seed.MEAN), expected(-SUPPORT.mean(axis=0)), rtol=1e-3)
    np.testing.assert_allclose(read(seed.LEARNED), expected(0), rtol=1e-3)  # it starts without
    np.testing.assert_allclose(read(seed.LEARNED, multiple=0.5), expected(0.5 * pull), rtol=1e-3)
    wrong = expected(-pull)
    assert np.abs(read(seed.MEMORY) - wrong).max() > 1e-2 < np.abs(read(seed.STORKEY) - expected(pull)).max()


def test_the_loss_is_the_squared_error_of_a_second_softmax():
    images = jr.bernoulli(jr.key(2), 0.1, (6, 4, 28, 28))
    model = FewShotClassifier(ConvEmbedding(seed.SIZE, key=jr.key(3)), seed.SeedRead(seed.MEMORY))
    chances, answers = seed.answered(model, images, jr.key(4))
    assert chances.shape == (10, 5) and np.allclose(chances.sum(axis=1), 1, atol=1e-5)
    again = np.stack([softmax(row) for row in np.asarray(chances, float)])
    error = np.mean((again - np.eye(5)[np.asarray(answers)]) ** 2)
    assert seed.SeedLoss(images)(model, jr.key(4)) == pytest.approx(error, rel=1e-4)


def test_each_picture_is_turned_by_its_own_quarters():
    pictures = jr.uniform(jr.key(5), (4, 28, 28))
    turned = np.asarray(seed.turned(pictures, jnp.arange(4)))
    for turns, (before, after) in enumerate(zip(np.asarray(pictures), turned, strict=True)):
        np.testing.assert_array_equal(after, np.rot90(before, turns))


def test_pictures_take_the_nearest_pixel_and_classes_are_apart(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    inks = random.random((6, 2, 105, 105)) < 0.3
    for name, classes in (("images_background", range(4)), ("images_evaluation", range(4, 6))):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for number in classes:
                for drawer in range(2):
                    buffer = io.BytesIO()
                    Image.fromarray(~inks[number, drawer]).save(buffer, "PNG")
                    archive.writestr(f"{name}/Greek/character{number}/{drawer}.png", buffer.getvalue())
    monkeypatch.setenv("ENERGYAM_OMNIGLOT", str(tmp_path))
    seed.sets.cache_clear()
    train_images, test_images = seed.sets("new alphabets", False)
    seed.sets.cache_clear()
    middles = np.floor((np.arange(28) + 0.5) * 105 / 28).astype(int)
    np.testing.assert_array_equal(train_images, inks[:4][:, :, middles][:, :, :, middles])
    np.testing.assert_array_equal(test_images, inks[4:][:, :, middles][:, :, :, middles])


def test_the_small_version_runs_and_has_a_figure():
    found = seed.run(True)
    assert [row["column"] for row in found["rows"]] == [seed.MEMORY, seed.LEARNED]
    assert len(found["curves"]) == 4 and "multiple" in found["rows"][1]
    assert json.dumps(found) and len(seed.figure(found).axes) == 1


def test_what_is_finished_is_not_computed_again(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.progress.CHECKPOINTS", tmp_path / "new" / "folder")
    assert kept("parts.json", "one", lambda: 1) == 1
    assert kept("parts.json", "one", lambda: 2) == 1
    monkeypatch.setenv("ENERGYAM_FINISHED", "1")
    assert kept("parts.json", "two", lambda: 2) is None


def test_a_training_that_the_kept_results_hold_whole_is_taken_from_there(monkeypatch):
    whole, missing = seed.Row(seed.MEMORY), seed.Row(seed.MEMORY, 7)
    assert seed.whole_before(whole) == {}
    monkeypatch.setenv("ENERGYAM_ADD", "1")
    taken = seed.whole_before(whole)
    assert tuple(taken) == seed.STEPS and all(0 < point["accuracy"] < 1 for point in taken.values())
    assert all(point["column"] == seed.MEMORY and point["start"] == 0 for point in taken.values())
    assert seed.whole_before(missing) == {}
