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


def test_what_cannot_be_saved_is_refused_and_nothing_is_written(tmp_path, no_hook):
    with pytest.raises(ValueError, match=r"memory must be a module, an eqx.Module; got int"):
        eam.save(tmp_path / "memory", 3)
    with pytest.raises(ValueError, match=r"memory must be a module, an eqx.Module; got the class Mine"):
        eam.save(tmp_path / "memory", Mine)
    with pytest.raises(ValueError, match=r"path must be the path of a file.*; got CHN"):
        eam.save(MEMORIES["chn"], tmp_path / "memory")
    with pytest.raises(FileNotFoundError, match="path must lie in a folder that exists"):
        eam.save(tmp_path / "no" / "folder", MEMORIES["chn"])
    with pytest.raises(ValueError, match="path must be the path of a file"):
        eam.load(3)
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


def in_format_1(path, change=lambda content: None):
    """Write the file at `path` again as format 1 did, without checksums, its description changed."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        content = json.loads(file.metadata()["energyam"]) | {"format": 1}
    change(content)
    save_file(load_file(path), path, {"energyam": json.dumps(content)})


@pytest.mark.parametrize("name", sorted(MEMORIES.keys() - {"bfloat16"}))
def test_files_of_format_1_are_read(name, tmp_path):
    path = tmp_path / "memory"
    eam.save(path, MEMORIES[name])
    in_format_1(path)
    assert eqx.tree_equal(eam.load(path), MEMORIES[name])


def test_layers_of_equinox_in_both_formats(tmp_path):
    path = tmp_path / "memory"
    model = eam.nn.LSTMRNN(5, 8, 4, key=jr.key(0))
    eam.save(path, model)
    assert eqx.tree_equal(eam.load(path), model)

    def without_prefix(content):
        fields = content["module"]["fields"]
        assert fields["dense"]["class"] == "eqx.nn.Linear"
        for field in fields.values():
            field["class"] = field["class"].removeprefix("eqx.nn.")

    in_format_1(path, without_prefix)
    assert eqx.tree_equal(eam.load(path), model)


def test_foreign_and_truncated_files(tmp_path):
    path = tmp_path / "memory"
    with pytest.raises(FileNotFoundError, match="no such file"):
        eam.load(path)
    eam.save(path, MEMORIES["exponential"])
    whole = path.read_bytes()
    for length in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f"{path} is not a whole safetensors file: it is truncated"):
            eam.load(path)
    path.write_text("just a text, nothing else")
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        eam.load(path)
    save_file({"a": np.ones(2)}, path)
    with pytest.raises(ValueError, match="not one that energyam"):
        eam.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format=99), "format 99 is newer"),
        (lambda c: c.update(format=2), "its checksums are missing"),
        (lambda c: c["module"].update({"class": "Foreign"}), r"class 'Foreign' is not part .*\(Foreign,\)"),
        (lambda c: c["module"]["fields"].pop("separation"), "field separation of ExponentialDenseAM is not"),
        (lambda c: c["module"]["fields"].update(more={"value": 1}), "ExponentialDenseAM has no field more"),
        (lambda c: c["module"]["fields"]["patterns"].update(array="gone"), "damaged metadata"),
        (lambda c: c["module"]["fields"]["patterns"].update(key="gone"), "too many values"),
        (lambda c: c.pop("module"), "damaged metadata"),
        (lambda c: c.update(module=7), "damaged metadata"),
        (lambda c: c.update(module={}), "not enough values"),
    ],
)
def test_damaged_structures_are_told_with_the_path(tmp_path, change, message):
    path = tmp_path / "memory"
    eam.save(path, MEMORIES["exponential"])
    in_format_1(path, change)
    with pytest.raises(ValueError, match=f"{path}.*{message}"):
        eam.load(path)


def test_no_flipped_bit_is_loaded(tmp_path):
    path = tmp_path / "memory"
    eam.save(path, MEMORIES["exponential"])
    whole = path.read_bytes()
    for at in np.random.default_rng(0).choice(8 * len(whole), 300, replace=False).tolist():
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        path.write_bytes(flipped)
        with pytest.raises(ValueError, match=str(path)):
            eam.load(path)
