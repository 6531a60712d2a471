"""Files: every public memory comes back as it was, and nothing else is taken for one."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from zoo import BINARY, CONTINUOUS, patterns

import energyam as eam

X = patterns(0, 4, 12)
MEMORIES = {name: make(X) for name, make in (BINARY | CONTINUOUS).items()} | {
    "key_value": eam.KeyValueMemory(X * 1.0, jnp.ones((4, 2)), eam.TopK(eam.LogSumExp(2.0), 3)),
    "bfloat16": eam.ModernHopfield(X.astype(jnp.bfloat16), 1.0),
}


@pytest.mark.parametrize("name", MEMORIES)
def test_round_trip(name, tmp_path):
    memory = MEMORIES[name]
    eam.save(tmp_path / "memory.safetensors", memory)
    again = eam.load(tmp_path / "memory.safetensors")
    assert jax.tree.structure(again) == jax.tree.structure(memory)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(memory), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert [p.name for p in tmp_path.iterdir()] == ["memory.safetensors"]


def test_a_loaded_memory_recalls(tmp_path):
    eam.save(tmp_path / "memory", MEMORIES["exponential"])
    result = eam.recall(eam.load(tmp_path / "memory"), X, key=jr.key(0))
    np.testing.assert_array_equal(result.state, eam.recall(MEMORIES["exponential"], X, key=jr.key(0)).state)


class Mine(eqx.Module):
    """A class of the user's own."""

    def energy(self, x):
        return jnp.sum(x)


def test_other_objects_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError, match="energyam's own classes; got Mine"):
        eam.save(tmp_path / "memory", Mine())
    with pytest.raises(FileNotFoundError):
        eam.save(tmp_path / "no" / "folder", MEMORIES["chn"])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "memory"
    eam.save(path, MEMORIES["chn"])

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        eam.save(path, MEMORIES["exponential"])
    assert isinstance(eam.load(path), eam.CHN)
    assert [p.name for p in tmp_path.iterdir()] == ["memory"]


def rewritten(path, change):
    """The file at `path` with its description changed by `change`."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        content = json.loads(file.metadata()["energyam"])
    change(content)
    save_file(load_file(path), path, {"energyam": json.dumps(content)})


def test_damaged_foreign_and_newer_files(tmp_path):
    path = tmp_path / "memory"
    with pytest.raises(FileNotFoundError, match="no such file"):
        eam.load(path)
    eam.save(path, MEMORIES["exponential"])
    whole = path.read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="truncated, or not a safetensors file"):
            eam.load(path)
    path.write_text("just a text, nothing else")
    with pytest.raises(ValueError, match="not a safetensors file"):
        eam.load(path)
    save_file({"a": np.ones(2)}, path)
    with pytest.raises(ValueError, match="not one that energyam"):
        eam.load(path)
    for change, message in (
        (lambda c: c.update(format=99), "format 99 is newer"),
        (lambda c: c["module"].update({"class": "Foreign"}), "class 'Foreign' is not part"),
        (lambda c: c["module"]["fields"].pop("separation"), "fields of ExponentialDenseAM do not match"),
        (lambda c: c["module"]["fields"]["patterns"].update(array="gone"), "damaged metadata"),
        (lambda c: c.pop("module"), "damaged metadata"),
    ):
        path.write_bytes(whole)
        rewritten(path, change)
        with pytest.raises(ValueError, match=message):
            eam.load(path)
