"""Exact probabilities of answers, layer sweeps, what was looked up, and sentiment."""

import jax
import numpy as np
import pytest
from lm_models import close, reference, tiny, tokens
from lm_reference import Settings, selected

from energyam import lm

MEMORY, PROMPT, ANSWER = tokens(1, 15), tokens(2, 9), tokens(3, 2)
SETTINGS = Settings(3, 2.0, 0.1, 1.0, True, 0.0)
LOOKUP = lm.Lookup(*SETTINGS)


@pytest.fixture(scope="module")
def model():
    return tiny("llama")


@pytest.fixture(scope="module")
def store(model):
    return lm.remember(model, MEMORY, [0, 1, 2])


def test_probability_of_an_answer(model, store):
    logs = lm.answer_log_probabilities(model, PROMPT, ANSWER, store, LOOKUP)
    whole = np.concatenate([PROMPT, ANSWER])
    for i, token in enumerate(ANSWER):
        context = whole[: len(PROMPT) + i]
        close(logs[i], jax.nn.log_softmax(model(context, store, LOOKUP)[-1])[token], 1e-4)


def test_probability_under_a_sampling(model):
    sampling = dict(temperature=0.8, top_k=5)
    logits = model(PROMPT)[-1]
    best = np.argsort(-np.asarray(logits))
    inside = lm.answer_log_probabilities(model, PROMPT, best[2:3], **sampling)
    close(inside, jax.nn.log_softmax(logits[best[:5]] / 0.8)[2:3], 1e-5)
    outside = lm.answer_log_probabilities(model, PROMPT, best[5:6], **sampling)
    assert outside.tolist() == [-np.inf]


def test_layer_sweep(model, store):
    swept = lm.sweep_layers(model, PROMPT, ANSWER[:1], store, LOOKUP)
    each = [model(PROMPT, store.only([at]), LOOKUP)[-1] for at in range(3)]
    close(swept, np.array([jax.nn.softmax(logits)[ANSWER[0]] for logits in each]), 1e-5)
    assert lm.sweep_layers(model, PROMPT, ANSWER[:1], store, LOOKUP, width=3).shape == (1,)
    with pytest.raises(ValueError, match="width must be at most the store's 3 layers; got 4"):
        lm.sweep_layers(model, PROMPT, ANSWER, store, LOOKUP, width=4)


@pytest.mark.parametrize("rotated", [False, True])
def test_what_was_looked_up(model, rotated):
    oracle = reference("llama")
    found = lm.look_ups(model, PROMPT, lm.remember(model, MEMORY, [1], rotated=rotated), LOOKUP)
    memory = oracle.remember(MEMORY, [1], rotated=rotated)
    seen = oracle.forward(PROMPT, memory, SETTINGS, rotated)[1][1]
    close(found.attention[0], seen["attention"][:, -1], 1e-5)
    assert np.argwhere(found.chosen[0]).tolist() == selected(seen["attention"], SETTINGS).tolist()
    assert found.weights.shape[-1] == 4
    close(found.weights.sum(-1), np.ones(found.chosen.shape), 1e-5)
    keys = seen["rotated" if rotated else "plain"][1]
    for h, t in ((0, 0), (2, 5)):
        distances = ((memory[1][0][h] - keys[h, t]) ** 2).sum(1)
        assert found.indices[0, h, t].tolist() == np.argsort(distances)[:3].tolist()
        close(found.distances[0, h, t], np.sort(distances)[:3], 1e-3)


def test_sentiment():
    scores = lm.sentiment(["I love my wonderful cat.", "This is horrible.", "A table."])
    assert scores.compound[0] > 0.5 and scores.compound[1] < -0.5 and scores.compound[2] == 0
    close(scores.positive + scores.negative + scores.neutral, np.ones(3), 2e-3)


def test_bad_answers(model):
    with pytest.raises(ValueError, match="answer must not be empty"):
        lm.answer_log_probabilities(model, PROMPT, [])
    with pytest.raises(ValueError, match="temperature must be positive"):
        lm.answer_log_probabilities(model, PROMPT, ANSWER, temperature=0)
