"""The training loop: the same losses in one go, in chunks, resumed, and after a kill in mid-write."""

import os
import signal
import subprocess
import sys
import textwrap

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
import safetensors.numpy

import energyam as eam
from energyam import nn
from energyam.files import reserved
from energyam.nn import train
from energyam.nn.checkpoint import read_checkpoint

KEY = jr.key(7)


def make_model():
    return eqx.nn.Linear(3, 2, key=jr.key(0))


def loss(model, key):
    """Squared error to a fixed linear map, on a batch drawn from the key."""
    x = jr.normal(key, (16, 3))
    return jnp.mean((jax.vmap(model)(x) - x[:, :2]) ** 2)


def evaluate(model, key):
    return {"error": loss(model, key)}


def run(num_steps=30, **options):
    options = {"every": 10, "progress": False, "key": KEY} | options
    return train(make_model(), optax.adam(1e-2), loss, num_steps, **options)


@pytest.fixture(scope="module")
def whole():
    """The uninterrupted run that the others are held to."""
    return run(evaluate=evaluate)


def same_arrays(a, b):
    """Whether two models are equal bit by bit."""
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_it_learns_and_keeps_the_history(whole):
    assert whole.losses.shape == (30,) and whole.losses[-1] < 0.8 * whole.losses[0]
    assert whole.evaluated_at.tolist() == [10, 20, 30]
    assert whole.metrics["error"].shape == (3,) and np.diff(whole.metrics["error"]).max() < 0


def test_it_is_plain_gradient_descent_on_batches_of_folded_keys(whole):
    model = make_model()
    optimizer = optax.adam(1e-2)
    state = optimizer.init(model)
    for step in range(3):
        value, gradient = eqx.filter_value_and_grad(loss)(model, jr.fold_in(KEY, step))
        assert abs(value - whole.losses[step]) < 1e-6
        updates, state = optimizer.update(gradient, state, model)
        model = optax.apply_updates(model, updates)


def test_chunks_of_any_size_and_single_steps_give_the_same_losses(whole):
    for options in ({"every": 30}, {"every": 7}, {"scan": False}):
        np.testing.assert_allclose(run(**options).losses, whole.losses, rtol=1e-6)


def test_a_resumed_run_equals_an_uninterrupted_one(whole, tmp_path):
    path = tmp_path / "folder" / "run.safetensors"
    run(10, checkpoint=path, evaluate=evaluate)
    again = run(checkpoint=path, evaluate=evaluate)
    assert np.array_equal(again.losses, whole.losses) and same_arrays(again.model, whole.model)
    assert np.array_equal(again.metrics["error"], whole.metrics["error"])
    done = run(checkpoint=path, evaluate=evaluate)
    assert same_arrays(done.model, whole.model) and np.array_equal(done.losses, whole.losses)


CHILD = """
import os, signal, stat, sys
sys.path.insert(0, {here!r})
import test_training
from pathlib import Path

real, calls = os.fsync, []

def killed_in_the_second_write(file):
    calls.extend([file] * stat.S_ISREG(os.fstat(file).st_mode))  # and not the folder
    if len(calls) == 2:
        os.ftruncate(file, os.fstat(file).st_size // 2)  # half of the new checkpoint has reached the disk
        os.kill(os.getpid(), signal.SIGKILL)
    real(file)

os.fsync = killed_in_the_second_write
test_training.run(checkpoint=Path({path!r}), evaluate=test_training.evaluate)
"""


@pytest.mark.usefixtures("as_users_do")  # as the other process does
def test_a_run_killed_while_it_writes_resumes_with_the_same_losses(tmp_path):
    path, whole = tmp_path / "run.safetensors", run(evaluate=evaluate)
    script = textwrap.dedent(CHILD).format(here=os.path.dirname(__file__), path=str(path))
    child = subprocess.run([sys.executable, "-c", script], cwd=os.getcwd(), capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    left = sorted(file.suffix for file in tmp_path.iterdir())
    assert left == [".lock", ".part", ".safetensors"]
    parameters = eqx.filter(make_model(), eqx.is_inexact_array)
    _, history = read_checkpoint(path, (parameters, optax.adam(1e-2).init(parameters)), key=KEY)
    assert np.array_equal(history.losses, whole.losses[:10])
    again = run(checkpoint=path, evaluate=evaluate)
    assert np.array_equal(again.losses, whole.losses) and same_arrays(again.model, whole.model)
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]


def test_half_precision_survives_a_checkpoint(tmp_path):
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), make_model())
    options = {"every": 2, "progress": False, "checkpoint": tmp_path / "half", "key": KEY}
    model = train(half, optax.sgd(1e-2), loss, 2, **options).model
    again = train(half, optax.sgd(1e-2), loss, 2, **options).model
    assert again.weight.dtype == jnp.bfloat16 and same_arrays(model, again)


@pytest.mark.parametrize("scan", [True, False])
def test_a_loss_that_is_not_finite_stops_the_run_and_spares_the_checkpoint(tmp_path, scan):
    path = tmp_path / "run"

    def breaking(model, key):
        # The batches of steps 0..9 are fine, that of step 12 is not.
        bad = jnp.all(jr.key_data(key) == jr.key_data(jr.fold_in(KEY, 12)))
        return loss(model, key) + jnp.where(bad, jnp.nan, 0)

    with pytest.raises(FloatingPointError, match="step 12"):
        options = {"every": 10, "scan": scan, "progress": False, "checkpoint": path, "key": KEY}
        train(make_model(), optax.adam(1e-2), breaking, 30, **options)
    assert len(run(10, checkpoint=path).losses) == 10


def test_checkpoints_of_other_runs_are_refused(tmp_path):
    path = tmp_path / "run"
    run(10, checkpoint=path)
    with pytest.raises(ValueError, match="same key"):
        run(checkpoint=path, key=jr.key(8))
    with pytest.raises(ValueError, match="same model and optimizer"):
        train(make_model(), optax.sgd(1e-2), loss, 30, checkpoint=path, progress=False, key=KEY)
    with pytest.raises(ValueError, match="same model and optimizer"):
        wide = eqx.nn.Linear(4, 2, key=KEY)
        train(wide, optax.adam(1e-2), loss, 30, checkpoint=path, progress=False, key=KEY)


def test_two_runs_do_not_share_a_checkpoint(tmp_path):
    with reserved(tmp_path / "run"):
        with pytest.raises(ValueError, match="checkpoint must not be in use by another run"):
            run(checkpoint=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_first_step(tmp_path):
    def never(model, key):
        raise AssertionError("a step was made")

    (tmp_path / "file").write_text("not a folder")
    for checkpoint in (tmp_path / "file" / "run", tmp_path):
        with pytest.raises((OSError, ValueError), match=str(tmp_path)):
            options = {"checkpoint": checkpoint, "progress": False, "key": KEY}
            train(make_model(), optax.adam(1e-2), never, 30, **options)


def test_damaged_checkpoints_are_refused(tmp_path):
    path = tmp_path / "run"
    run(10, checkpoint=path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"run is damaged: .* is not what was written"):
        run(checkpoint=path)


def test_checkpoints_of_the_first_format_are_resumed(whole, tmp_path):
    path = tmp_path / "run"
    run(10, checkpoint=path, evaluate=evaluate)
    safetensors.numpy.save_file(
        safetensors.numpy.load_file(path), path, {"format": "energyam training checkpoint 1"}
    )
    assert np.array_equal(run(checkpoint=path, evaluate=evaluate).losses, whole.losses)


def test_broken_and_foreign_checkpoints_are_refused(tmp_path):
    path = tmp_path / "run"
    run(10, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="whole safetensors file"):
        run(checkpoint=path)
    safetensors.numpy.save_file({"a": np.zeros(2)}, path)
    with pytest.raises(ValueError, match="format"):
        run(checkpoint=path)


@pytest.mark.parametrize("named", ["num_steps", "every"])
def test_bad_counts_are_named(named):
    with pytest.raises(ValueError, match=named):
        run(**{named: 0})


@pytest.mark.parametrize("name", ["fast weights", "LSTM", "few-shot", "pooling"])
def test_trained_models_are_saved_whole(tmp_path, name):
    model = {
        "fast weights": lambda: nn.FastWeightsRNN(nn.FastWeightsCell(5, 8, key=KEY), 4, key=KEY),
        "LSTM": lambda: nn.LSTMRNN(5, 8, 4, key=KEY),
        "few-shot": lambda: nn.FewShotClassifier(nn.ConvEmbedding(4, key=KEY), nn.AttractorRead(4)),
        "pooling": lambda: nn.HopfieldPooling(nn.HopfieldAttention(8, hidden_size=4, key=KEY), key=KEY),
    }[name]()
    eam.save(tmp_path / "model", model)
    assert eqx.tree_equal(eam.load(tmp_path / "model"), model)
