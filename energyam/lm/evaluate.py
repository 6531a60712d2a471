"""The effect of a memory on a model: exact probabilities of an answer, look-ups, and sentiment."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from energyam import checks
from energyam.lm.attention import Heads, attention_weights, per_head
from energyam.lm.forward import chosen, run
from energyam.lm.generate import likeliest
from energyam.lm.lookup import Lookup
from energyam.lm.store import MemoryStore
from energyam.lm.transformer import LanguageModel, Tokens, as_tokens
from energyam.lm.weights import require


class Findings(NamedTuple):
    """The look-ups of the newest token in S layers: an entry for each head h and position t.

    `attention` (S, H, T): what the newest token gives each position; `chosen` (S, H, T): whether (h, t)
    reads the memory; `indices`, `distances` (S, H, T, k): the memories found, counted from 0, and their
    squared distances; `weights` (S, H, T, k or k + 1): how much each is read, the own value first if it
    takes part. Entries that are not chosen hold what would have been read.

        >>> model = eam.lm.load("tiny_gpt2")
        >>> store = eam.lm.remember(model, np.array([1, 2, 3, 4]), layers=[0])
        >>> lookup = eam.lm.Lookup.type2(2, 1.0, 0.5, 1.0)
        >>> found = eam.lm.look_ups(model, np.array([1, 2, 3]), store, lookup)
        >>> np.asarray(found.attention[0].sum(-1)).round(3)  # what the newest token gives, by head
        array([1., 1., 1.], dtype=float32)
    """

    attention: Float[Array, "S H T"]
    chosen: Bool[Array, "S H T"]
    indices: Int[Array, "S H T k"]
    distances: Float[Array, "S H T k"]
    weights: Float[Array, "S H T k_or_k1"]


class Sentiment(NamedTuple):
    """VADER's scores of N texts: `compound` from −1 to 1, and the shares of each kind of word.

    >>> scores = eam.lm.sentiment(["a good day"])
    >>> float(scores.positive[0] + scores.negative[0] + scores.neutral[0])
    1.0
    """

    compound: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    neutral: np.ndarray


def answer_log_probabilities(
    model: LanguageModel,
    prompt: Tokens,
    answer: Tokens,
    memory: MemoryStore | None = None,
    lookup: Lookup | None = None,
    *,
    temperature: ArrayLike = 1.0,
    top_k: int | None = None,
) -> Float[Array, " A"]:
    """log P of each token of `answer` (A,) after `prompt` (T,) and the tokens before it; exact, no samples.

    Their sum is the log-probability of the answer. It takes one pass for each token, as generation does.

    **Arguments:** `temperature` and `top_k`: of the sampling, by default those of the model's own
    probabilities; a token that could not be drawn has −∞. Raises `ValueError` as the model does, and for a
    temperature that is not positive.

        >>> model = eam.lm.load("tiny_gpt2")
        >>> found = eam.lm.answer_log_probabilities(model, np.array([1, 2, 3]), np.array([4]))
        >>> bool(jnp.allclose(found[0], jax.nn.log_softmax(model(np.array([1, 2, 3]))[-1])[4], atol=1e-4))
        True
    """
    model = checks.instance("model", model, LanguageModel)
    vocabulary = model.embedding.shape[0]
    ids = jnp.concatenate([as_tokens(prompt, vocabulary, "prompt"), as_tokens(answer, vocabulary, "answer")])
    token_ids, access = model.checked(ids, memory, lookup, "prompt and answer")
    temperature = checks.positive_float("temperature", temperature).astype(float)
    top_k = model.embedding.shape[0] if top_k is None else checks.count("top_k", top_k)
    count = jnp.asarray(answer).shape[0]
    return _answer(model, token_ids, count, access, temperature, top_k)


def sweep_layers(
    model: LanguageModel,
    prompt: Tokens,
    answer: Tokens,
    memory: MemoryStore,
    lookup: Lookup,
    *,
    width: int = 1,
    temperature: ArrayLike = 1.0,
    top_k: int | None = None,
) -> Float[np.ndarray, " W"]:
    """P of an answer with the memory in `width` neighbouring layers at a time, from the first layers on.

    `memory` should hold every layer of interest; all settings of a width share one compilation. Arguments
    and errors as in `answer_log_probabilities`.

        >>> model = eam.lm.load("tiny_gpt2")
        >>> store = eam.lm.remember(model, np.array([1, 2, 3, 4]), layers=[0, 1])
        >>> lookup = eam.lm.Lookup.type2(2, 1.0, 0.5, 1.0)
        >>> eam.lm.sweep_layers(model, np.array([1, 2]), np.array([3]), store, lookup, width=1).shape
        (2,)
    """
    width, memory = checks.count("width", width), checks.instance("memory", memory, MemoryStore)
    if width > len(memory.layers):
        raise ValueError(f"width must be at most the store's {len(memory.layers)} layers; got {width}")
    runs = [memory.layers[i : i + width] for i in range(len(memory.layers) - width + 1)]
    drawing: dict[str, Any] = {"temperature": temperature, "top_k": top_k}
    logs = [answer_log_probabilities(model, prompt, answer, memory.only(c), lookup, **drawing) for c in runs]
    return np.array([float(jnp.exp(of_answer.sum())) for of_answer in logs])


def look_ups(model: LanguageModel, token_ids: Tokens, memory: MemoryStore, lookup: Lookup) -> Findings:
    """The look-ups of the newest token of a text (T,) in each layer of the memory, from the first layer on.

    >>> model = eam.lm.load("tiny_gpt2")
    >>> store = eam.lm.remember(model, np.array([1, 2, 3, 4]), layers=[0])
    >>> lookup = eam.lm.Lookup.type2(2, 1.0, 0.5, 1.0)
    >>> found = eam.lm.look_ups(model, np.array([1, 2, 3]), store, lookup)
    >>> found.indices.shape  # a layer, its heads, three tokens, two memories for each
    (1, 3, 3, 2)
    """
    token_ids, access = checks.instance("model", model, LanguageModel).checked(token_ids, memory, lookup)
    if access is None:
        raise ValueError("memory and lookup must be given; got None")
    return _look_ups(model, token_ids, access, jnp.array(memory.layers))


def sentiment(texts: Sequence[str]) -> Sentiment:
    """VADER's scores of some texts (extra `sentiment`): Hutto & Gilbert, ICWSM 2014.

    >>> found = eam.lm.sentiment(["a good day", "a bad day"])
    >>> bool(found.compound[0] > 0 > found.compound[1])
    True
    """
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"texts must be a list of texts; got {texts!r:.60}")
    vader = require("vaderSentiment.vaderSentiment", extra="sentiment")
    analyse = vader.SentimentIntensityAnalyzer().polarity_scores
    scores = [analyse(text) for text in texts]
    return Sentiment(*(np.array([s[name] for s in scores]) for name in ("compound", "pos", "neg", "neu")))


@eqx.filter_jit
def _answer(model, token_ids, count, access, temperature, top_k):
    total = token_ids.shape[0]

    def of_token(length):
        last = run(model, token_ids, length, access).x[length - 1]
        logits, tokens = likeliest(model.unembed(last[None])[0], top_k)
        logs = jax.nn.log_softmax(logits / temperature)
        return jnp.max(jnp.where(tokens == token_ids[length], logs, -jnp.inf))

    return jax.lax.map(of_token, jnp.arange(total - count, total, dtype=jnp.int32))


@eqx.filter_jit
def _look_ups(model, token_ids, access, layers):
    length = token_ids.shape[0]
    positions = jnp.arange(length)
    heads: Any = run(model, token_ids, jnp.int32(length), access, keep_heads=True).heads

    def of_layer(layer):
        block = jax.tree.map(lambda leaf: leaf[layer], model.blocks)
        plain = Heads(*(h[layer] for h in heads))
        turned = block.rotate(plain, positions)
        attention = attention_weights(turned.queries[:, -1:], turned.keys, positions[-1:])
        picked = chosen(access.lookup, attention, positions[-1:], jnp.int32(length))
        found = _found(access, access.bank.slots[layer], turned if access.bank.rotated else plain)
        return Findings(attention[:, 0], picked[:, 0], *found)

    return jax.lax.map(of_layer, layers)


def _found(access, slot, heads):
    """Indices, distances and weights of every token-head."""
    count, lookup, filled = heads.queries.shape[0], access.lookup, access.bank.sources >= 0
    keys, values = (per_head(rows, count) for rows in access.bank.at(slot))

    def of_token(query, key, keys, values):
        found = lookup.nearest(key, keys, values, filled)
        return found.indices, found.distances, lookup.weights(query, key, found)

    of_head = jax.vmap(of_token, in_axes=(0, 0, None, None))
    return jax.vmap(of_head)(heads.queries, per_head(heads.keys, count), keys, values)
