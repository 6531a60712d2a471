"""Generation: a full pass for each token as published, or the causal form with a cache."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray

from energyam import checks
from energyam.lm.forward import Access, Cache, run
from energyam.lm.layers import precise
from energyam.lm.lookup import Lookup
from energyam.lm.store import MemoryStore
from energyam.lm.transformer import LanguageModel, Tokens

Logits = Float[Array, " V"]


def generate(
    model: LanguageModel,
    prompt: Tokens,
    memory: MemoryStore | None = None,
    lookup: Lookup | None = None,
    *,
    max_new_tokens: int = 50,
    temperature: ArrayLike = 0.8,
    top_k: int = 200,
    stop_at_eos: bool = True,
    key: PRNGKeyArray,
) -> Int[Array, " new"]:
    """The tokens (new,) that follow a prompt (T,); each takes a new pass of the whole context.

    This is the published method: the newest token decides what all rows of the context read, so that nothing
    can be reused from an earlier pass. Use `jax.vmap` over `key` to write several texts at once.

    **Arguments:** `memory` and `lookup`: both or neither; `temperature`: 0 takes the most likely token;
    `top_k`: tokens are drawn from this many. With `stop_at_eos` the text ends with the first of
    `model.end_tokens`; inside `jit` and `vmap`, where the length must be known in advance, that token is
    repeated up to the end.

    Raises `ValueError` if prompt and new tokens are more than the model's context, or as the model does.

        >>> model, prompt = eam.lm.load("tiny_gpt2"), np.array([1, 2, 3])
        >>> tokens = eam.lm.generate(model, prompt, max_new_tokens=2, temperature=0.0, key=jr.key(0))
        >>> int(tokens[0]) == int(model(prompt)[-1].argmax())
        True
    """
    task = _task(model, prompt, memory, lookup, max_new_tokens, temperature, top_k, stop_at_eos, key)
    return _cut(_generate(model, *task), task.ends)


def generate_cached(
    model: LanguageModel,
    prompt: Tokens,
    memory: MemoryStore | None = None,
    lookup: Lookup | None = None,
    *,
    max_new_tokens: int = 50,
    temperature: ArrayLike = 0.8,
    top_k: int = 200,
    stop_at_eos: bool = True,
    key: PRNGKeyArray,
) -> Int[Array, " new"]:
    """Like `generate`, in the causal form: each token passes through the model once, and is cached.

    Every row decides for itself what it reads. This differs from the published method, and so do the logits
    (without a memory they are the same). Raises `ValueError` if `lookup` is not causal.

        >>> model, prompt = eam.lm.load("tiny_gpt2"), np.array([1, 2, 3])
        >>> settings = dict(max_new_tokens=2, temperature=0.0, key=jr.key(0))
        >>> cached = eam.lm.generate_cached(model, prompt, **settings)
        >>> bool((cached == eam.lm.generate(model, prompt, **settings)).all())
        True
    """
    task = _task(model, prompt, memory, lookup, max_new_tokens, temperature, top_k, stop_at_eos, key)
    if lookup is not None and not lookup.causal:
        raise ValueError("lookup must be causal to be decoded with a cache: Lookup(..., causal=True)")
    return _cut(_generate_cached(model, *task), task.ends)


def stream(
    model: LanguageModel,
    prompt: Tokens,
    memory: MemoryStore | None = None,
    lookup: Lookup | None = None,
    *,
    max_new_tokens: int = 50,
    temperature: ArrayLike = 0.8,
    top_k: int = 200,
    stop_at_eos: bool = True,
    key: PRNGKeyArray,
) -> Iterator[int]:
    """The tokens of `generate`, each as soon as it is known; arguments and errors are the same.

    >>> model, prompt = eam.lm.load("tiny_gpt2"), np.array([1, 2, 3])
    >>> tokens = eam.lm.stream(model, prompt, max_new_tokens=2, temperature=0.0, key=jr.key(0))
    >>> len([int(token) for token in tokens])  # each as soon as it is known
    2
    """
    task = _task(model, prompt, memory, lookup, max_new_tokens, temperature, top_k, stop_at_eos, key)
    buffer = jnp.pad(task.token_ids, (0, max_new_tokens))
    for length, step_key in enumerate(jr.split(key, max_new_tokens), task.token_ids.shape[0]):
        drawing = task.access, task.temperature, top_k, step_key
        buffer, token = _write_on(model, buffer, jnp.int32(length), *drawing)
        yield int(token)
        if int(token) in task.ends:
            return


def sample(logits: Logits, temperature: ArrayLike, top_k: int, *, key: PRNGKeyArray) -> Int[Array, ""]:
    """One token of the `top_k` likeliest, drawn from softmax(logits / temperature)."""
    largest, tokens = likeliest(logits, top_k)
    scale = jnp.where(temperature == 0, 1, temperature)
    drawn = jr.categorical(key, largest / scale)
    return tokens[jnp.where(temperature == 0, 0, drawn)]


def likeliest(logits: Logits, top_k: int) -> tuple[Float[Array, " n"], Int[Array, " n"]]:
    """The `top_k` largest logits, the largest first, in float32 at least, and their tokens."""
    largest, tokens = jax.lax.top_k(logits, min(top_k, logits.shape[0]))
    return largest.astype(precise(logits.dtype)), tokens


class _Task(NamedTuple):
    """The prompt, the memory and its look-up, how tokens are drawn, and which tokens end the text."""

    token_ids: Int[Array, " T"]
    access: Access | None
    max_new_tokens: int
    temperature: Float[Array, ""]
    top_k: int
    key: PRNGKeyArray
    ends: tuple[int, ...]


def _task(model, prompt, memory, lookup, max_new_tokens, temperature, top_k, stop_at_eos, key):
    """The task that the arguments of `generate` are, if they are fit for the model."""
    token_ids, access = checks.instance("model", model, LanguageModel).checked(
        prompt, memory, lookup, "prompt"
    )
    total = token_ids.shape[0] + checks.count("max_new_tokens", max_new_tokens)
    most = model.context_length
    if total > most:
        raise ValueError(f"prompt and new tokens must be at most the context, {most}; got {total}")
    top_k, heat = checks.count("top_k", top_k), checks.not_negative("temperature", temperature, "")
    checks.key("key", key)
    ends = model.end_tokens if checks.flag("stop_at_eos", stop_at_eos) else ()
    return _Task(token_ids, access, max_new_tokens, heat.astype(float), top_k, key, ends)


@eqx.filter_jit
def _write_on(model, buffer, length, access, temperature, top_k, key):
    last = run(model, buffer, length, access).x[length - 1]
    token = sample(model.unembed(last[None])[0], temperature, top_k, key=key)
    return buffer.at[length].set(token), token


@eqx.filter_jit
def _generate(model, token_ids, access, max_new_tokens, temperature, top_k, key, ends):
    keys, first = jr.split(key, max_new_tokens), token_ids.shape[0]

    def step(state):
        (buffer, count), _ = state
        buffer, token = _write_on(model, buffer, first + count, access, temperature, top_k, keys[count])
        return (buffer, count + 1), _is_end(token, ends)

    start = jnp.pad(token_ids, (0, max_new_tokens)), jnp.int32(0)
    buffer, count = _until_end(step, (start, jnp.array(False)), max_new_tokens)
    return _closed(buffer[first:], count)


@eqx.filter_jit
def _generate_cached(model, token_ids, access, max_new_tokens, temperature, top_k, key, ends):
    draw = partial(sample, temperature=temperature, top_k=top_k)
    keys, first = jr.split(key, max_new_tokens), token_ids.shape[0]
    empty = empty_cache(model, first + max_new_tokens, access is not None)
    x, cache, _ = run(model, token_ids, jnp.int32(first), access, cache=empty)
    token = draw(model.unembed(x[-1:])[0], key=keys[0])

    def step(state):
        (cache, tokens, count), _ = state
        position = first + count - 1
        x, cache, _ = run(model, tokens[count - 1][None], position + 1, access, cache=cache, start=position)
        token = draw(model.unembed(x)[0], key=keys[count])
        return (cache, tokens.at[count].set(token), count + 1), _is_end(token, ends)

    start = cache, jnp.zeros(max_new_tokens, token.dtype).at[0].set(token), jnp.int32(1)
    _, tokens, count = _until_end(step, (start, _is_end(token, ends)), max_new_tokens)
    return _closed(tokens, count)


def _until_end(step, start, most):
    """Step until the text has ended or has `most` tokens; their number is last in what is carried."""
    carried, _ = jax.lax.while_loop(lambda state: (state[0][-1] < most) & ~state[1], step, start)
    return carried


def _is_end(token, ends):
    return jnp.isin(token, jnp.array(ends, token.dtype)) if ends else jnp.array(False)


def _closed(tokens, count):
    """The tokens, of which `count` are written, with the last of these in all places behind it."""
    return tokens[jnp.minimum(jnp.arange(tokens.shape[0]), count - 1)]


def _cut(tokens, ends):
    """The tokens up to the first that ends the text, where they are known."""
    if not ends or not checks.is_known(tokens):
        return tokens
    found = np.flatnonzero(np.isin(np.asarray(tokens), ends))
    return tokens[: found[0] + 1] if found.size else tokens


def empty_cache(model: LanguageModel, size: int, with_memory: bool) -> Cache:
    """A cache for `size` positions; with a memory it also holds what reading it would change."""
    shapes = jax.eval_shape(lambda: run(model, jnp.zeros(1, jnp.int32), jnp.int32(1), None, keep_heads=True))
    queries, keys, values = (jnp.zeros((*s.shape[:2], size, s.shape[3]), s.dtype) for s in shapes.heads)
    return Cache(keys, values, queries if with_memory else None)
