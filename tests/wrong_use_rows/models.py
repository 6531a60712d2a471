"""Rows of language models, on the tiny models of the other tests."""

import math

import jax.numpy as jnp
import numpy as np
from lm_models import FOLDERS, tiny

from energyam import lm
from wrong_use_rows.values import (
    FLAG,
    FRACTION,
    HUGE,
    KEY,
    KEYS,
    ONE_POSITIVE,
    PATH,
    WHOLE,
    key_rows,
    without,
)

MODEL, TOKENS = tiny("gpt2"), np.arange(5)
STORE, LOOKUP = lm.remember(MODEL, TOKENS, [0]), lm.Lookup.type1(1, 1.0, 0.5, 1.0)
NO_TOKENS = [None, "text", [], [[1]], [1.5], [-1], [10**6], [1j], KEYS, lm.Lookup, [math.nan], HUGE]
LAYERS = [None, 3, "ab", [], [0, 0], [-1], [99], [None], [1.5], lm.Lookup]
AT_LEAST_0 = [-1, math.nan, math.inf, HUGE, 1j, "3", None, [0.1, 0.2]]


def look(name):
    """A call of `Lookup` with one of its arguments wrong."""
    right = dict(
        k=1, mem_frac=1.0, bookkeeping_frac=0.5, softmax_scale=1.0, include_own=True, residual_frac=0.0
    )
    return lambda v: lm.Lookup(**(right | {name: v}))


def write(name, how=lm.generate):
    """A call of a function that writes, with one of its arguments wrong."""
    right = {"model": MODEL, "prompt": TOKENS, "max_new_tokens": 1, "key": KEY}
    return lambda v: next(iter(how(**(right | {name: v}))))


ROWS = [
    (lm.load, "source", [3, None, ["x"], object()]),
    (lambda v: lm.load(FOLDERS["gpt2"], dtype=v), "dtype", [None, "text", int, 3, jnp.int8]),
    (lm.load_tokenizer, "source", [3, None, ["x"], object()]),
    (look("k"), "k", WHOLE),
    (look("mem_frac"), "mem_frac", AT_LEAST_0),
    (look("bookkeeping_frac"), "bookkeeping_frac", [[0.1, 0.2], *FRACTION]),
    (look("softmax_scale"), "softmax_scale", ONE_POSITIVE),
    (look("include_own"), "include_own", FLAG),
    (look("residual_frac"), "residual_frac", [[0.1, 0.2], *FRACTION]),
    (look("causal"), "causal", FLAG),
    (look("approximate"), "approximate", FLAG),
    (lambda v: lm.remember(v, TOKENS, [0]), "model", [None, 3, "text", lm.LanguageModel, STORE]),
    (lambda v: lm.remember(MODEL, v, [0]), "token_ids", NO_TOKENS),
    (lambda v: lm.remember(MODEL, TOKENS, v), "layers", LAYERS),
    (lambda v: lm.remember(MODEL, TOKENS, [0], v), "drop", [5, *without(WHOLE, 0)]),
    (lambda v: lm.remember(MODEL, TOKENS, [0], rotated=v), "rotated", FLAG),
    (lambda v: lm.remember(MODEL, TOKENS, [0], name=v), "name", [3, None, ["x"]]),
    (lambda v: lm.remember(MODEL, TOKENS, [0], capacity=v), "capacity", WHOLE),
    (lambda v: lm.remember(MODEL, TOKENS, [0], window=v), "window", [1, *WHOLE]),
    (lambda v: lm.remember(MODEL, TOKENS, [0], overlap=v), "overlap", WHOLE),
    (STORE.forget, "text", [0, 1, -1, None, "text", True, 2.5]),
    (STORE.bounded, "capacity", WHOLE),
    (STORE.only, "layers", [[1], *LAYERS]),
    (STORE.append, "other", [None, 3, "text", lm.MemoryStore, LOOKUP]),
    (STORE.save, "path", PATH),
    (lambda v: lm.MemoryStore.load(v, MODEL), "path", ["no such file", *PATH]),
    *[
        row
        for how in (lm.generate, lm.generate_cached, lm.stream)
        for row in [
            (write("model", how), "model", [None, 3, "text", lm.LanguageModel, STORE]),
            (write("prompt", how), "prompt", NO_TOKENS),
            (write("memory", how), "memory", [STORE]),
            (write("lookup", how), "lookup", [LOOKUP]),
            (write("max_new_tokens", how), "max_new_tokens", WHOLE),
            (write("temperature", how), "temperature", AT_LEAST_0),
            (write("top_k", how), "top_k", WHOLE),
            (write("stop_at_eos", how), "stop_at_eos", FLAG),
            *key_rows(write("key", how)),
        ]
    ],
    (lambda v: lm.answer_log_probabilities(v, TOKENS, [1]), "model", [None, 3, "text", lm.LanguageModel]),
    (lambda v: lm.answer_log_probabilities(MODEL, v, [1]), "prompt", NO_TOKENS),
    (lambda v: lm.answer_log_probabilities(MODEL, TOKENS, v), "answer", NO_TOKENS),
    (lambda v: lm.answer_log_probabilities(MODEL, TOKENS, [1], temperature=v), "temperature", ONE_POSITIVE),
    (lambda v: lm.answer_log_probabilities(MODEL, TOKENS, [1], top_k=v), "top_k", WHOLE),
    (lambda v: lm.sweep_layers(MODEL, TOKENS, [1], v, LOOKUP), "memory", [None, 3, "text", lm.MemoryStore]),
    (lambda v: lm.sweep_layers(MODEL, TOKENS, [1], STORE, LOOKUP, width=v), "width", [2, *WHOLE]),
    (lambda v: lm.look_ups(v, TOKENS, STORE, LOOKUP), "model", [None, 3, "text", lm.LanguageModel]),
    (lambda v: lm.look_ups(MODEL, v, STORE, LOOKUP), "token_ids", NO_TOKENS),
    (lambda v: lm.look_ups(MODEL, TOKENS, v, LOOKUP), "memory", [None, 3, "text", lm.MemoryStore]),
    (lambda v: lm.look_ups(MODEL, TOKENS, STORE, v), "lookup", [None, 3, "text", lm.Lookup]),
    (lm.sentiment, "texts", [None, 3, "text", [3], [None]]),
    (lambda v: MODEL(v), "token_ids", NO_TOKENS),
    (lambda v: lm.decode_after(v, [1], [2]), "tokenizer", [None, 3, "text", lm.LanguageModel]),
]  # fmt: skip
