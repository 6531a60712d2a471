"""Making a memory: run a text through the model and store the keys and values of its layers."""

from collections.abc import Iterable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from energyam import checks
from energyam.lm.store import Bank, MemoryStore, as_layers, fingerprint, slots_of
from energyam.lm.transformer import LanguageModel, Tokens, as_tokens


def remember(
    model: LanguageModel,
    token_ids: Tokens,
    layers: Iterable[int],
    drop: int = 1,
    *,
    name: str = "",
    rotated: bool = False,
    capacity: int | None = None,
    window: int | None = None,
    overlap: int | None = None,
) -> MemoryStore:
    """The keys and values of a text (T,) in some layers, computed without any look-up.

    **Arguments:** `layers`, counted from 0. `drop`: how many tokens at the start are left out; put a line
    break first and drop it. The first token has a similar key in every text, and most heads attend to it, so
    that every look-up would find it. `name`: the name of the text. `rotated`: whether to store Llama's keys
    with their positions (GPT-2's keys have none). `capacity`: see `MemoryStore`. A text longer than `window`
    (by default the model's context) is read in windows, each beginning with `overlap` tokens (by default half
    a window) that the one before has stored already.

    Raises `ValueError` for a text that is empty or no longer than `drop`, for layers that the model doesn't
    have, and for an overlap that is below `drop` or not below `window`.

        >>> model = eam.lm.load("tiny_gpt2")
        >>> store = eam.lm.remember(model, np.array([1, 2, 3, 4]), layers=[0], name="a text")
        >>> store.texts, store.layers
        (('a text',), (0,))
    """
    model, rotated = checks.instance("model", model, LanguageModel), checks.flag("rotated", rotated)
    if not isinstance(name, str):
        raise ValueError(f"name must be a text; got {name!r}")
    tokens = np.asarray(as_tokens(token_ids, model.embedding.shape[0]))
    chosen, drop = as_layers(layers, model.num_layers), checks.count("drop", drop, least=0)
    if len(tokens) <= drop:
        raise ValueError(f"token_ids must be more than drop, {drop}; got {len(tokens)}")
    window = model.context_length if window is None else checks.count("window", window, least=2)
    window = min(window, model.context_length)
    overlap = max(drop, window // 2) if overlap is None else checks.count("overlap", overlap, least=0)
    if not drop <= overlap < window:
        raise ValueError(f"overlap must be from {drop} to {window - 1}; got {overlap}")
    parts, index = [], np.array(chosen)
    for start, stop, skip in _windows(len(tokens), window, overlap, drop):
        heads: Any = model.heads(tokens[start:stop], rotated=rotated)
        parts.append((heads.keys[index, :, skip:], heads.values[index, :, skip:]))
    keys, values = (jnp.concatenate(part, axis=2) for part in zip(*parts, strict=True))
    kept = jnp.asarray(tokens[drop:])
    slots = slots_of(chosen, model.num_layers)
    bank = Bank(keys, values, kept, jnp.zeros_like(kept), slots, rotated)
    store = MemoryStore(bank, chosen, (name,), fingerprint(model), None)
    return store if capacity is None else store.bounded(capacity)


def _windows(count: int, window: int, overlap: int, drop: int) -> Iterator[tuple[int, int, int]]:
    """(start, stop, how many at its start are not stored) of each window; all but the only one are full."""
    start, done = 0, drop
    while done < count:
        stop = min(start + window, count)
        first = max(0, stop - window)
        yield first, stop, done - first
        start, done = stop - overlap, stop
