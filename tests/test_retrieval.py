"""Associative retrieval: well-formed sequences, any length the alphabet can fill, made on the device."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from energyam.datasets import TOKENS, associative_retrieval, retrieval_text


@pytest.fixture(scope="module")
def batch():
    make = jax.jit(jax.vmap(lambda key: associative_retrieval(8, key=key)))
    return make(jr.split(jr.key(0), 500))


def test_a_letter_is_asked_for_and_its_digit_is_the_answer(batch):
    inputs, answers = batch
    assert inputs.shape == (500, 10, 37) and answers.shape == (500,)
    for x, answer in zip(inputs[:50], answers[:50], strict=True):
        text = retrieval_text(x)
        letters, digits = text[:8:2], text[1:8:2]
        assert letters.isalpha() and digits.isdigit() and text[8] == "?"
        assert len(set(letters)) == 4
        assert TOKENS[answer] == digits[letters.index(text[9])]


def test_every_digit_and_every_place_is_asked_for_alike(batch):
    inputs, answers = batch
    counts = np.bincount(np.asarray(answers), minlength=37)
    assert counts[:27].sum() == 0 and counts[27:].min() > 25
    tokens = np.argmax(inputs, axis=-1)
    places = np.bincount(np.argmax(tokens[:, :8:2] == tokens[:, 9:], axis=1))
    assert places.min() > 90


@pytest.mark.parametrize("length", [2, 16, 52])
def test_any_length_that_the_alphabet_can_fill(length):
    inputs, _ = associative_retrieval(length, key=jr.key(1))
    text = retrieval_text(inputs)
    assert len(text) == length + 2 and len(set(text[:length:2])) == length // 2


def test_the_same_key_gives_the_same_sequence():
    first, again, other = (retrieval_text(associative_retrieval(20, key=jr.key(k))[0]) for k in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize("length", [0, -2, 1, 7, 54, 2.0, "8"])
@pytest.mark.usefixtures("no_hook")
def test_lengths_that_cannot_be_filled_raise(length):
    with pytest.raises(ValueError, match="length"):
        associative_retrieval(length, key=jr.key(0))


def test_text_of_other_shapes_raises():
    with pytest.raises(ValueError, match=r"inputs must be \(T, 37\); got shape \(4, 30\)"):
        retrieval_text(jnp.zeros((4, 30)))
