"""Writing on: the faithful and the cached form, what tells them apart, sampling, and where texts end."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from lm_models import close, tiny, tokens

from energyam.lm import Lookup, generate, generate_cached, remember, stream
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
    drawn = jax.vmap(lambda key: sample(logits, 0.5, 2, key=key))(jr.split(jr.key(0), 20000))
    shares = np.bincount(np.asarray(drawn), minlength=4) / 20000
    close(shares, np.array([0, 0.8808, 0.1192, 0]), 0.01)
    assert sample(logits, 0.0, 4, key=jr.key(1)) == 1


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (dict(max_new_tokens=0), "max_new_tokens"),
        (dict(max_new_tokens=60), "prompt and new tokens must be at most the context"),
        (dict(temperature=-1), "temperature must be finite and not negative"),
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


def ending(model, *tokens):
    """The model with other tokens that end a text."""
    return replace(model, end_tokens=tokens)


@pytest.mark.parametrize(("write", "place"), [(generate, 3), (generate_cached, 3), (generate_cached, 0)])
def test_texts_stop_at_the_tokens_that_end_them(model, store, write, place):
    settings = dict(max_new_tokens=9, temperature=1.0, key=jr.key(5))
    whole = write(model, PROMPT, store, CAUSAL, stop_at_eos=False, **settings).tolist()
    stopping = ending(model, 60, whole[place])
    wanted = whole[: whole.index(whole[place]) + 1]
    assert write(stopping, PROMPT, store, CAUSAL, **settings).tolist() == wanted
    if write is generate:
        assert list(stream(stopping, PROMPT, store, CAUSAL, **settings)) == wanted
        assert list(stream(stopping, PROMPT, store, CAUSAL, stop_at_eos=False, **settings)) == whole


@pytest.mark.parametrize("write", [generate, generate_cached])
def test_several_texts_that_stop_have_one_length(model, write):
    def together(model):
        return jax.vmap(lambda key: write(model, PROMPT, max_new_tokens=8, temperature=1.0, key=key))(keys)

    keys = jr.split(jr.key(2), 4)
    whole = np.asarray(together(ending(model)))
    end = int(whole[1, 4])
    stopped = np.asarray(together(ending(model, end)))
    for text, short in zip(whole.tolist(), stopped.tolist(), strict=True):
        written = text[: text.index(end) + 1] if end in text else text
        assert short == written + [end] * (8 - len(written))


def test_draws_from_logits_of_half_precision():
    logits = jnp.array([0.0, 2.0, 1.0, -3.0], jnp.float16)
    drawn = jax.vmap(lambda key: sample(logits, 0.5, 2, key=key))(jr.split(jr.key(0), 20000))
    close(np.bincount(np.asarray(drawn), minlength=4) / 20000, np.array([0, 0.8808, 0.1192, 0]), 0.01)
