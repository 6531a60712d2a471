"""The look-up against an independent float64 implementation, in every type and at every edge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lm_models import close, reference, tiny, tokens
from lm_reference import Settings, selected

from energyam.lm import Lookup, remember

MEMORY, PROMPT = tokens(1, 21), tokens(2, 12)
SETTINGS = {
    "type 1": Settings(3, 1.0, 0.1, 1.0, True, 0.0),
    "type 2": Settings(3, 5.0, 0.9, 1000.0, False, 0.1),
    "type 3": Settings(3, 5.0, 0.9, 0.01, True, 0.33),
    "plain replacement": Settings(3, 2.0, 0.25, 1.0, False, 0.0),
    "more neighbours than memories": Settings(50, 2.0, 0.0, 1.0, True, 0.0),
    "no token": Settings(3, 0.0, 1.0, 1.0, True, 0.0),
    "every token": Settings(3, 1e9, 0.0, 1.0, True, 0.0),
    "only the first": Settings(3, 0.0, 0.0, 1.0, False, 0.1),
    "only the first, thresholded": Settings(3, 0.0, 0.05, 1.0, False, 0.1),
    "all but the first": Settings(3, 2.0, 1.0, 2.0, True, 0.5),
}


def double(name):
    """A tiny model in float64 and its reference."""
    with jax.enable_x64(True):
        return tiny(name, jnp.float64), reference(name)


@pytest.fixture(scope="module")
def pair():
    return double("llama")


def compare(pair, settings, layers, memory=MEMORY, prompt=PROMPT, drop=1, rotated=False):
    model, oracle = pair
    with jax.enable_x64(True):
        store = remember(model, memory, layers, drop, rotated=rotated)
        wanted, _ = oracle.forward(prompt, oracle.remember(memory, layers, drop, rotated), settings, rotated)
        close(model(prompt, store, Lookup(*settings)), wanted, 1e-9)


@pytest.mark.parametrize("name", SETTINGS)
def test_logits_equal_the_reference(pair, name):
    compare(pair, SETTINGS[name], [1])


@pytest.mark.parametrize("name", ["type 1", "type 2", "type 3"])
def test_without_groups_or_rotation(name):
    compare(double("gpt2"), SETTINGS[name], [1])


@pytest.mark.parametrize("layers", [[0], [2], [0, 2]])
def test_any_layers(pair, layers):
    compare(pair, SETTINGS["type 1"], layers)


def test_rotated_keys(pair):
    compare(pair, SETTINGS["type 1"], [1], rotated=True)


def test_one_memory_and_one_token(pair):
    compare(pair, SETTINGS["type 1"], [1], memory=MEMORY[:2])
    compare(pair, SETTINGS["every token"], [1], prompt=PROMPT[:1])


def test_the_cases_differ_in_what_is_selected(pair):
    oracle = pair[1]
    attention = oracle.forward(PROMPT)[1][1]["attention"]
    counts = {name: len(selected(attention, s)) for name, s in SETTINGS.items()}
    assert counts["no token"] == 0 and counts["every token"] == attention[:, 0].size
    assert counts["only the first"] == len(attention)
    assert 0 < counts["type 1"] < counts["every token"]


def test_appended_texts_are_one_memory(pair):
    model, oracle = pair
    texts = MEMORY, tokens(3, 9)
    parts = [oracle.remember(text, [1])[1] for text in texts]
    joined = {1: tuple(np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))}
    with jax.enable_x64(True):
        store = remember(model, texts[0], [1]).append(remember(model, texts[1], [1]))
        wanted, _ = oracle.forward(PROMPT, joined, SETTINGS["type 1"])
        close(model(PROMPT, store, Lookup(*SETTINGS["type 1"])), wanted, 1e-9)


def test_a_batch_is_its_members_and_padding_changes_nothing():
    model, lookup = tiny("llama"), Lookup(*SETTINGS["type 1"])
    store = remember(model, MEMORY, [0, 2])
    batch, lengths = np.stack([PROMPT, tokens(4, 12)]), jnp.array([12, 7])
    ragged = jax.vmap(lambda ids, n: model(ids, store, lookup, n))(batch, lengths)
    close(ragged[0], model(batch[0], store, lookup), 1e-5)
    close(ragged[1, :7], model(batch[1, :7], store, lookup), 1e-5)
    assert jnp.abs(ragged[1, :7] - model(batch[1], store, lookup)[:7]).max() > 1e-3


def test_constructors_are_the_three_types():
    assert Lookup.type1(3, 1.0, 0.1, 1.0).include_own
    second, third = Lookup.type2(3, 1.0, 0.1, 1.0), Lookup.type3(3, 1.0, 0.1, 1.0)
    assert (second.include_own, third.include_own) == (False, True)
    close(jnp.stack([second.residual_frac, third.residual_frac]), np.array([0.1, 0.33]), 1e-7)


@pytest.mark.parametrize("double", [False, True])
def test_single_precision_is_close_with_and_without_x64(double):
    oracle, settings = reference("gpt2"), SETTINGS["type 1"]
    wanted, _ = oracle.forward(PROMPT, oracle.remember(MEMORY, [1]), settings)
    with jax.enable_x64(double):
        model = tiny("gpt2")
        logits = model(PROMPT, remember(model, MEMORY, [1]), Lookup(*settings))
        assert logits.dtype == jnp.float32
        close(logits, wanted, 1e-4)


def test_positions_in_pieces_and_approximate_search_find_the_same(monkeypatch):
    model = tiny("llama")
    store = remember(model, MEMORY, [1])
    whole = model(PROMPT, store, Lookup(*SETTINGS["type 1"]))
    monkeypatch.setattr("energyam.lm.forward._AT_ONCE", 200)
    close(model(PROMPT, store, Lookup(*SETTINGS["type 1"], approximate=True)), whole, 1e-5)


def test_lowers_for_accelerators():
    model = tiny("gpt2")
    store, lookup = remember(model, MEMORY, [1]), Lookup(*SETTINGS["type 1"])
    traced = jax.jit(lambda ids: model(ids, store, lookup))
    for platform in ("cuda", "tpu"):
        exported = jax.export.export(traced, platforms=[platform])(jax.ShapeDtypeStruct((12,), jnp.int32))
        assert exported.platforms == (platform,)


@pytest.mark.parametrize(
    "bad",
    [
        {"k": 0},
        {"k": 2.5},
        {"mem_frac": -1},
        {"mem_frac": [1.0, 2.0]},
        {"bookkeeping_frac": 1.5},
        {"softmax_scale": 0},
        {"residual_frac": -0.1},
        {"residual_frac": "much"},
    ],
)
def test_bad_numbers_are_named(bad):
    good = {"k": 3, "mem_frac": 1, "bookkeeping_frac": 0, "softmax_scale": 1, "include_own": True}
    with pytest.raises(ValueError, match=next(iter(bad))):
        Lookup(**({**good, "residual_frac": 0} | bad))
