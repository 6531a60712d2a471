"""Memory stores: what they keep, append, forget and bound; saving; and stores that do not fit."""

import dataclasses
import errno
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lm_models import close, reference, tiny, tokens
from safetensors.numpy import save_file

from energyam.lm import Lookup, MemoryStore, remember, store as store_module
from energyam.tensor_files import opened_tensors

TEXTS = [tokens(seed, length) for seed, length in ((1, 9), (2, 6), (3, 8))]
LOOKUP = Lookup.type1(3, 2.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def model():
    return tiny("gpt2")


@pytest.fixture(scope="module")
def stores(model):
    return [remember(model, text, [0, 2], name=f"text {i}") for i, text in enumerate(TEXTS)]


def kept(store):
    """The tokens of the memories, text by text."""
    sources, all_tokens = np.asarray(store.bank.sources), np.asarray(store.bank.tokens)
    return {name: all_tokens[sources == i].tolist() for i, name in enumerate(store.texts)}


def test_what_is_remembered(model, stores):
    wanted = reference("gpt2").remember(TEXTS[0], [0, 2])
    for slot, layer in enumerate((0, 2)):
        close(stores[0].bank.keys[slot], wanted[layer][0], 1e-5)
        close(stores[0].bank.values[slot], wanted[layer][1], 1e-5)
    assert len(stores[0]) == 8 and stores[0].layers == (0, 2)
    assert stores[0].bank.slots.tolist() == [0, -1, 1]
    assert kept(stores[0]) == {"text 0": TEXTS[0][1:].tolist()}


def test_keys_and_values_are_kept_once(stores):
    arrays = stores[0].bank
    assert arrays.keys.nbytes + arrays.values.nbytes == 2 * (2 * 3 * 8 * 8) * 4


def test_append_and_forget(stores):
    store = stores[0].append(stores[1]).append(stores[2])
    assert store.token_counts == (8, 5, 7)
    left = store.forget(1)
    assert kept(left) == {f"text {i}": TEXTS[i][1:].tolist() for i in (0, 2)}
    again = stores[0].append(stores[2])
    assert jnp.array_equal(left.bank.keys, again.bank.keys)
    with pytest.raises(ValueError, match="from 0 to 2; got 3"):
        store.forget(3)
    with pytest.raises(ValueError, match="all that the store holds"):
        stores[0].forget(0)


def test_a_bounded_store_keeps_its_shape_and_the_newest(model, stores):
    bounded = stores[0].bounded(10)
    assert (len(bounded), bounded.bank.keys.shape[2]) == (8, 10)
    close(model(TEXTS[2], bounded, LOOKUP), model(TEXTS[2], stores[0], LOOKUP), 1e-5)
    full = bounded.append(stores[1])
    assert (len(full), full.bank.keys.shape[2], full.token_counts) == (10, 10, (5, 5))
    assert kept(full) == {"text 0": TEXTS[0][4:].tolist(), "text 1": TEXTS[1][1:].tolist()}
    assert len(full.forget(0)) == 5 and full.forget(0).bank.keys.shape[2] == 10
    assert len(stores[0].bounded(3)) == 3


def test_fewer_memories_than_k_in_a_bounded_store(model):
    two = remember(model, TEXTS[0][:3], [1])
    close(model(TEXTS[2], two.bounded(9), LOOKUP), model(TEXTS[2], two, LOOKUP), 1e-5)


def test_some_layers_alone(model, stores):
    one = stores[0].only([2])
    assert one.layers == (2,) and one.bank.slots.tolist() == [-1, -1, 0]
    close(model(TEXTS[2], one, LOOKUP), model(TEXTS[2], remember(model, TEXTS[0], [2]), LOOKUP), 1e-5)
    with pytest.raises(ValueError, match=r"among the store's \(0, 2\); got \[1\]"):
        stores[0].only([1])


def test_long_texts_are_read_in_overlapping_windows(model):
    text = tokens(7, 61)  # the context is 40
    store = remember(model, text, [1], window=20, overlap=5)
    assert store.bank.tokens.tolist() == text[1:].tolist()
    first, later = (reference("gpt2").remember(part, [1], drop=0)[1][0] for part in (text[:20], text[15:35]))
    close(store.bank.keys[0][:, :19], first[:, 1:], 1e-5)
    close(store.bank.keys[0][:, 19:34], later[:, 5:], 1e-5)
    assert len(remember(model, text, [1])) == 60


def test_saved_and_loaded(model, stores, tmp_path):
    store = stores[0].append(stores[1]).bounded(20)
    store.save(tmp_path / "memory.safetensors")
    loaded = MemoryStore.load(tmp_path / "memory.safetensors", model)
    assert loaded.texts == store.texts and loaded.capacity == 20 and loaded.token_counts == store.token_counts
    assert jnp.array_equal(model(TEXTS[2], loaded, LOOKUP), model(TEXTS[2], store, LOOKUP))


def test_files_that_are_no_store(model, stores, tmp_path):
    path = tmp_path / "memory.safetensors"
    with pytest.raises(ValueError, match="there is no file"):
        MemoryStore.load(path, model)
    save_file({"keys": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="not a memory store"):
        MemoryStore.load(path, model)
    stores[0].save(path)
    with pytest.raises(ValueError, match="memory of another model"):
        MemoryStore.load(path, tiny("llama"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        MemoryStore.load(path, model)
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 4]) + whole[-8:])
    with pytest.raises(ValueError, match=r"memory\.safetensors is damaged: .* is not what was written"):
        MemoryStore.load(path, model)


def test_stores_of_the_first_format_are_read(model, stores, tmp_path):
    path = tmp_path / "memory.safetensors"
    stores[0].save(path)
    with opened_tensors(path) as file:
        about = {"format": "energyam memory store 1", "store": file.metadata["store"]}
        save_file(file.tensors(), path, about)
    assert eqx.tree_equal(MemoryStore.load(path, model), stores[0])


class GPT2(eqx.Module):
    """The class of energyam 0.2, whose stores name it."""

    embedding: Any
    position_embedding: Any
    blocks: Any
    final_norm: Any
    context_length: int = eqx.field(static=True)
    end_tokens: tuple = eqx.field(static=True)


class Llama(eqx.Module):
    """The class of energyam 0.2, whose stores name it."""

    embedding: Any
    blocks: Any
    final_norm: Any
    head: Any
    context_length: int = eqx.field(static=True)
    end_tokens: tuple = eqx.field(static=True)


@pytest.mark.parametrize(("name", "kind"), [("gpt2", GPT2), ("llama", Llama)])
def test_stores_of_energyam_0_2_are_of_the_same_model(name, kind, monkeypatch):
    """A model's fingerprint is what it was when each kind of model was a class of its own."""
    model = tiny(name)
    old = kind(**{field.name: getattr(model, field.name) for field in dataclasses.fields(kind)})
    now = store_module.fingerprint(model)
    described = lambda model: f"{type(model).__name__} {jax.tree.structure(model)}"  # noqa: E731
    monkeypatch.setattr(store_module, "_described", described)
    assert store_module.fingerprint(old) == now


def test_a_full_disk_keeps_the_old_store(model, stores, tmp_path, monkeypatch):
    path = tmp_path / "memory.safetensors"
    stores[0].save(path)

    def fail(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", fail)
        with pytest.raises(OSError, match=r"No space left.*memory\.safetensors"):
            stores[1].save(path)
    assert MemoryStore.load(path, model).texts == stores[0].texts
    assert [file.name for file in tmp_path.iterdir()] == ["memory.safetensors"]
    with pytest.raises(FileNotFoundError, match="path must lie in a folder that exists"):
        stores[0].save(tmp_path / "no" / "memory.safetensors")


def test_stores_of_another_model(model, stores):
    other = tiny("llama")
    with pytest.raises(ValueError, match="must be of this model"):
        other(TEXTS[0], stores[0], LOOKUP)
    with pytest.raises(ValueError, match="must have the same model"):
        stores[0].append(remember(other, TEXTS[0], [0, 2]))
    with pytest.raises(ValueError, match=r"same layers as this store, \(0, 2\); got \(1,\)"):
        stores[0].append(remember(model, TEXTS[0], [1]))
    with pytest.raises(ValueError, match="same rotated"):
        stores[0].append(remember(model, TEXTS[0], [0, 2], rotated=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(token_ids=[]), "token_ids must not be empty"),
        (dict(token_ids=[[1, 2]]), "token_ids must be"),
        (dict(token_ids=[0.5, 1.0]), "token_ids must be integers"),
        (dict(token_ids=[3, 61]), "token_ids must lie within 0..60; got .*61"),
        (dict(token_ids=[3]), "more than drop, 1; got 1"),
        (dict(drop=-1), "drop"),
        (dict(layers=[3]), r"layers must be different numbers from 0 to 2; got \[3\]"),
        (dict(layers=[]), "layers"),
        (dict(layers=[1, 1]), "layers"),
        (dict(layers="all"), "layers"),
        (dict(window=6, overlap=6), "overlap must be from 1 to 5; got 6"),
        (dict(capacity=0), "capacity"),
    ],
)
def test_bad_texts_and_layers(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        remember(model, **(dict(token_ids=TEXTS[0], layers=[1]) | arguments))


def test_bad_calls(model, stores):
    with pytest.raises(ValueError, match="memory and lookup must be given together"):
        model(TEXTS[0], stores[0])
    with pytest.raises(ValueError, match="at most 40; got 41"):
        model(tokens(0, 41))
    with pytest.raises(ValueError, match="length must lie within 1..9"):
        model(TEXTS[0], length=10)


def test_shapes_are_checked_where_the_weights_are_not_known(stores):
    def logits(model, memory):
        return model(TEXTS[0], memory, LOOKUP)

    with pytest.raises(ValueError, match=r"\(G, d\) = \(2, 8\) as the model's heads; got \(3, 8\)"):
        jax.eval_shape(logits, tiny("llama"), stores[0])
