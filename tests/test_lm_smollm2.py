"""The real SmolLM2-135M. Without the file that `energyam lm fetch` brings, conftest leaves these tests out.

`tests/data/smollm2_logits.npz` holds what `transformers` gave for one text: every 768th logit.
"""

import jax.random as jr
import numpy as np
import pytest
from lm_models import DATA, close

from benchmarks.medium_term_memory import smollm2
from benchmarks.memory_texts import QUESTION, VANCOUVER
from energyam import lm

TEXT = (
    "\nThe capital of France is Paris. Its river, the Seine, runs through 13 departments; "
    "in 1910 it rose by 8.62 metres."
)


@pytest.fixture(scope="module")
def reader():
    return smollm2()


def test_tokens_and_logits_are_those_of_transformers(reader):
    wanted = np.load(DATA / "smollm2_logits.npz")
    assert reader.ids(TEXT) == wanted["token_ids"].tolist()
    logits = np.asarray(reader.model(wanted["token_ids"]))
    close(logits[:, wanted["columns"]], wanted["logits"], 5e-4)
    assert logits.argmax(-1).tolist() == wanted["best"].tolist()


def test_the_likeliest_text_is_sensible(reader):
    written = lm.generate_cached(
        reader.model, reader.ids("The capital of France is"), max_new_tokens=8, temperature=0, key=jr.key(0)
    )
    assert reader.tokenizer.decode(written.tolist()).startswith(" Paris")


def test_recall_as_in_the_first_trial(reader):
    """P(" Vancouver") at temperature 0.8 of the 200 likeliest: question alone, layer 24, and layer 30."""
    ask = "\n" + QUESTION
    measured = reader.probabilities(ask, ["Vancouver"])
    for layer, settings in ((24, (5, 5.0, 0.9, 1000.0, 0.1)), (30, (5, 0.0, 0.0, 1000.0, 0.1))):
        for rotated in (False, True):
            store = reader.remember(VANCOUVER, [layer], rotated)
            measured += reader.probabilities(ask, ["Vancouver"], store, lm.Lookup.type2(*settings))
    close(measured, [0.034, 0.29, 0.49, 0.63, 0.76], 0.02)
