"""Writing on: the faithful and the cached form, what tells them apart, sampling, and the command line."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from lm_models import FOLDERS, close, tiny, tokens
from typer.testing import CliRunner

from energyam.lm import Lookup, generate, generate_cached, remember, stream
from energyam.lm.command import app
from energyam.lm.generate import sample

PROMPT = tokens(2, 7)
CAUSAL = Lookup.type1(3, 2.0, 0.0, 1.0, causal=True)
FAITHFUL = Lookup.type1(3, 2.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def model():
    return tiny("gpt2")


@pytest.fixture(scope="module")
def store(model):
    return remember(model, tokens(1, 15), [0, 2])


def greedy(model, memory, lookup, count):
    """The likeliest token, count times, by the plainest means: the model called on an ever longer text."""
    text = PROMPT
    for _ in range(count):
        padded = np.pad(text, (0, len(PROMPT) + count - len(text)))
        logits = model(padded, memory, lookup, len(text))
        text = np.append(text, int(logits[len(text) - 1].argmax()))
    return text[len(PROMPT) :].tolist()


@pytest.mark.parametrize("write", [generate, generate_cached])
def test_the_likeliest_tokens_of_a_plain_model(model, write):
    written = write(model, PROMPT, max_new_tokens=6, temperature=0, key=jr.key(0))
    assert written.tolist() == greedy(model, None, None, 6)


def test_the_likeliest_tokens_with_a_memory(model, store):
    settings = dict(max_new_tokens=6, temperature=0.0, key=jr.key(0))
    faithful = greedy(model, store, FAITHFUL, 6)
    assert generate(model, PROMPT, store, FAITHFUL, **settings).tolist() == faithful
    assert list(stream(model, PROMPT, store, FAITHFUL, **settings)) == faithful
    assert generate_cached(model, PROMPT, store, CAUSAL, **settings).tolist() == greedy(
        model, store, CAUSAL, 6
    )


def test_cached_draws_of_grouped_heads_are_those_of_the_causal_full_pass():
    model = tiny("llama")
    memory = remember(model, tokens(1, 15), [0, 2]), CAUSAL
    settings = dict(max_new_tokens=20, key=jr.key(3))
    full = generate(model, PROMPT, *memory, **settings)
    assert generate_cached(model, PROMPT, *memory, **settings).tolist() == full.tolist()


def test_only_the_causal_form_leaves_earlier_rows_alone(model, store):
    longer = np.append(PROMPT, tokens(5, 2))
    for lookup, moves in ((FAITHFUL, True), (CAUSAL, False)):
        before = model(PROMPT, store, lookup)
        after = model(longer, store, lookup)[: len(PROMPT)]
        assert bool(jnp.abs(after - before).max() > 1e-3) == moves


def test_the_causal_form_is_the_faithful_one_for_the_newest_row_of_one_layer(model):
    """In the last layer the newest row reads the same values either way; earlier rows differ."""
    one = remember(model, tokens(1, 15), [2])
    close(model(PROMPT, one, CAUSAL)[-1], model(PROMPT, one, FAITHFUL)[-1], 1e-5)
    assert jnp.abs(model(PROMPT, one, CAUSAL) - model(PROMPT, one, FAITHFUL)).max() > 1e-3


def test_several_texts_at_once(model, store):
    keys = jr.split(jr.key(1), 3)
    together = jax.vmap(lambda key: generate_cached(model, PROMPT, store, CAUSAL, max_new_tokens=6, key=key))(
        keys
    )
    apart = [generate_cached(model, PROMPT, store, CAUSAL, max_new_tokens=6, key=key) for key in keys]
    assert together.tolist() == [text.tolist() for text in apart]


def test_sampling_follows_the_softmax_of_the_largest():
    logits = jnp.array([0.0, 2.0, 1.0, -3.0])
    drawn = jax.vmap(lambda key: sample(logits, 0.5, 2, key))(jr.split(jr.key(0), 20000))
    shares = np.bincount(np.asarray(drawn), minlength=4) / 20000
    close(shares, np.array([0, 0.8808, 0.1192, 0]), 0.01)
    assert sample(logits, 0.0, 4, jr.key(1)) == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(max_new_tokens=0), "max_new_tokens"),
        (dict(max_new_tokens=60), "prompt and new tokens must be at most the context"),
        (dict(temperature=-1), "temperature must be 0 or positive"),
        (dict(top_k=0), "top_k"),
    ],
)
def test_bad_settings(model, bad, message):
    for write in (generate, generate_cached):
        with pytest.raises(ValueError, match=message):
            write(model, PROMPT, key=jr.key(0), **(dict(max_new_tokens=3) | bad))


def test_a_cache_needs_a_causal_lookup(model, store):
    with pytest.raises(ValueError, match=r"Lookup\(..., causal=True\)"):
        generate_cached(model, PROMPT, store, FAITHFUL, max_new_tokens=3, key=jr.key(0))


@pytest.fixture
def folder(tmp_path):
    """The tiny GPT-2 with a tokenizer of 61 characters."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123.,?ĠĊ"
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    for file in ("config.json", "model.safetensors"):
        (tmp_path / file).write_bytes((FOLDERS["gpt2"] / file).read_bytes())
    return tmp_path


def test_command_line(folder):
    text, kept = folder / "text.txt", folder / "kept.safetensors"
    text.write_text("Cats purr at night.")
    options = ["--model", str(folder), "--prompt", "Cats", "--tokens", "5", "--temperature", "0"]
    result = CliRunner().invoke(app, [*options, "--memory", str(text), "--save", str(kept)])
    assert result.exit_code == 0, result.output
    with_memory, plain = result.stdout.split("-- plain\n")
    assert with_memory.startswith("-- with the memory\nCats") and plain.startswith("Cats")
    assert "19 memories in layers [1]" in result.stderr
    again = CliRunner().invoke(app, [*options, "--memory", str(kept)])
    assert again.stdout == result.stdout


def test_command_line_says_what_is_wrong(folder, monkeypatch):
    result = CliRunner().invoke(app, ["--model", str(folder / "absent.gguf"), "--prompt", "Cats"])
    assert result.exit_code == 2 and "there is no model at" in result.stderr
    assert CliRunner().invoke(app, []).exit_code == 2
    monkeypatch.setattr("energyam.lm.command.fetch_smollm2", lambda: folder / "model.gguf")
    assert CliRunner().invoke(app, ["fetch"]).stdout.strip() == str(folder / "model.gguf")
