"""A model's memory: keys and values of the texts it has read, layer by layer and head by head."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from energyam import checks
from energyam.files import as_path
from energyam.tensor_files import opened_tensors, write_tensors
from energyam.wording import in_words

_KIND = "memory store"
_ROWS = {"keys": 2, "values": 2, "tokens": 0, "sources": 0}  # and which of their axes is that of memories


class Bank(eqx.Module):
    """The arrays of a store: M memories in S layers, for G heads of size d. Row 0 is the oldest."""

    keys: Float[Array, "S G M d"]
    values: Float[Array, "S G M d"]
    tokens: Int[Array, " M"]  # the token of each memory
    sources: Int[Array, " M"]  # the number of its text, −1 for an empty row
    slots: Int[Array, " L"]  # where in S each layer of the model is, −1 for nowhere
    rotated: bool = eqx.field(static=True)

    def at(self, slot: Int[Array, ""]) -> tuple[Float[Array, "G M d"], Float[Array, "G M d"]]:
        """Keys and values of one slot; a store of one layer is not copied."""
        if self.keys.shape[0] == 1:
            return self.keys[0], self.values[0]
        return self.keys[slot], self.values[slot]


class MemoryStore(eqx.Module):
    """Keys and values that a model has remembered, made by `energyam.lm.remember`.

    `append`, `forget`, `bounded` and `only` return a new store and leave the old one unchanged. A store can
    only be used with the model that made it.

    `bank`: the arrays; `layers`: their layers, counted from 0; `texts`: a name for each text; `model`: the
    fingerprint of the model; `capacity`: how many memories it may hold, or None. A store with a capacity
    keeps its shape as it fills; when it is full, the oldest memories are removed first.

        >>> model = eam.lm.load("tiny_gpt2")
        >>> store = eam.lm.remember(model, np.array([1, 2, 3, 4]), layers=[0], name="a text")
        >>> store.append(eam.lm.remember(model, np.array([5, 6]), layers=[0], name="another")).texts
        ('a text', 'another')
    """

    bank: Bank
    layers: tuple[int, ...] = eqx.field(static=True)
    texts: tuple[str, ...] = eqx.field(static=True)
    model: str = eqx.field(static=True)
    capacity: int | None = eqx.field(static=True)

    def __len__(self) -> int:
        return int((self.bank.sources >= 0).sum())

    @property
    def token_counts(self) -> tuple[int, ...]:
        """How many memories each text still has."""
        sources = np.asarray(self.bank.sources)
        return tuple(int((sources == i).sum()) for i in range(len(self.texts)))

    def append(self, other: "MemoryStore") -> "MemoryStore":
        """This store with another one's memories after its own.

        Raises `ValueError` if the other is of another model, other layers, or rotated where this is not.
        """
        checks.instance("other", other, MemoryStore)
        _same("model", self.model, other.model)
        _same("layers", self.layers, other.layers)
        _same("rotated", self.bank.rotated, other.bank.rotated)
        later = _filled(other.bank)
        later = replace(later, sources=later.sources + len(self.texts))
        bank = _fitted(_joined(_filled(self.bank), later), self.capacity)
        return replace(self, bank=bank, texts=self.texts + other.texts)

    def forget(self, text: int) -> "MemoryStore":
        """This store without the memories of its text number `text`; later texts get the next lower number.
        Raises `ValueError` for a number without a text, or if nothing would be left.
        """
        whole = isinstance(text, int | np.integer) and not isinstance(text, bool)
        if not whole or not 0 <= text < len(self.texts):
            raise ValueError(f"text must be a number from 0 to {len(self.texts) - 1}; got {in_words(text)}")
        sources = np.asarray(self.bank.sources)
        kept = np.flatnonzero((sources >= 0) & (sources != text))
        if kept.size == 0:
            raise ValueError(f"text {text} is all that the store holds; a store can't be empty")
        bank = _take(self.bank, kept)
        bank = _fitted(replace(bank, sources=bank.sources - (bank.sources > text)), self.capacity)
        return replace(self, bank=bank, texts=self.texts[:text] + self.texts[text + 1 :])

    def bounded(self, capacity: int) -> "MemoryStore":
        """This store with room for `capacity` memories: empty rows are added, or the oldest memories are
        removed."""
        capacity = checks.count("capacity", capacity)
        return replace(self, bank=_fitted(self.bank, capacity), capacity=capacity)

    def only(self, layers: Iterable[int]) -> "MemoryStore":
        """The memories of some of its layers; raises `ValueError` for layers that it doesn't have."""
        chosen = as_layers(layers, self.bank.slots.shape[0])
        missing = set(chosen) - set(self.layers)
        if missing:
            raise ValueError(f"layers must be among the store's {self.layers}; got {sorted(missing)}")
        index = np.array([self.layers.index(layer) for layer in chosen])
        slots = slots_of(chosen, self.bank.slots.shape[0])
        bank = replace(self.bank, keys=self.bank.keys[index], values=self.bank.values[index], slots=slots)
        return replace(self, bank=bank, layers=chosen)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, completely or not at all: the arrays, with the rest of the store as
        metadata.

        Raises `OSError` if the folder is missing or the disk is full; an old file then stays.
        """
        about: dict[str, Any] = dict(layers=self.layers, texts=self.texts, tokens=self.token_counts)
        about |= dict(model=self.model, model_layers=self.bank.slots.shape[0])
        about |= dict(capacity=self.capacity, rotated=self.bank.rotated)
        arrays = {name: np.asarray(getattr(self.bank, name)) for name in _ROWS}
        write_tensors(path, arrays, {"format": f"energyam {_KIND} 2", "store": json.dumps(about)})

    @classmethod
    def load(cls, path: str | Path, model: Any) -> "MemoryStore":
        """Read a store back for the model that made it.

        Raises `ValueError` for a file that is no complete store or belongs to another model (not checked for
        stores of energyam 0.1, which named models differently), and for a `model` that is none.
        """
        if not (hasattr(model, "blocks") and hasattr(model, "end_tokens")) or isinstance(model, type):
            raise ValueError(f"model must be a LanguageModel (energyam.lm.load); got {type(model).__name__}")
        arrays, about, version = _read(as_path(path))
        if version > 1 and about["model"] != fingerprint(model):
            raise ValueError(f"{path} holds the memory of another model than the one given")
        layers = tuple(about["layers"])
        rows = {name: jnp.asarray(arrays[name]) for name in _ROWS}
        bank = Bank(**rows, slots=slots_of(layers, about["model_layers"]), rotated=about["rotated"])
        return cls(bank, layers, tuple(about["texts"]), fingerprint(model), about["capacity"])


def fingerprint(model: Any) -> str:
    """A hash of a model's kind, sizes and settings, and of a sample of its weights.

    Which tokens end a text is left out: it changes nothing that the model computes.
    """
    arrays, settings = eqx.partition(replace(model, end_tokens=()), eqx.is_array)
    digest = hashlib.sha256(_described(settings).encode())
    with jax.ensure_compile_time_eval():
        for array in jax.tree.leaves(arrays):
            sample = array[tuple(slice(None, None, max(1, n // 4)) for n in array.shape)]
            digest.update(f"{array.shape}".encode())
            digest.update(np.asarray(sample, np.float32).tobytes())
    return digest.hexdigest()


def _described(settings: Any) -> str:
    """A model's kind, sizes and settings in the words of energyam 0.2, so that stores saved by it still fit.

    There GPT-2 was a class without a head, and Llama one without an embedding of positions.
    """
    text, kind = str(jax.tree.structure(settings)), type(settings.blocks).__name__.removesuffix("Block")
    text = text.replace(type(settings).__name__, kind, 1)
    if kind == "GPT2":
        return f"{kind} {text.removesuffix(', None]))')}]))"
    return f"{kind} {text.replace('[None, None, ', '[None, ', 1)}"


def as_layers(layers: Iterable[int], num_layers: int) -> tuple[int, ...]:
    """Sorted, different layers from 0 on; raises `ValueError` for others."""
    try:
        chosen = sorted(checks.count("layers", layer, least=0) for layer in layers)
    except (TypeError, ValueError):
        raise ValueError(f"layers must be a list of integers; got {layers!r}") from None
    if not chosen or len(set(chosen)) < len(chosen) or chosen[0] < 0 or chosen[-1] >= num_layers:
        raise ValueError(f"layers must be different numbers from 0 to {num_layers - 1}; got {layers!r}")
    return tuple(chosen)


def slots_of(layers: tuple[int, ...], num_layers: int) -> Int[Array, " L"]:
    """For each layer of the model its place among `layers`, −1 for none."""
    slots = np.full(num_layers, -1, np.int32)
    slots[list(layers)] = np.arange(len(layers))
    return jnp.asarray(slots)


def _same(name: str, mine: Any, its: Any) -> None:
    if mine != its:
        raise ValueError(f"other must have the same {name} as this store, {mine}; got {its}")


def _take(bank: Bank, index: np.ndarray) -> Bank:
    rows: Any = {name: jnp.take(getattr(bank, name), index, axis) for name, axis in _ROWS.items()}
    return replace(bank, **rows)


def _joined(a: Bank, b: Bank) -> Bank:
    pair = lambda name: [getattr(a, name), getattr(b, name)]  # noqa: E731
    rows: Any = {name: jnp.concatenate(pair(name), axis) for name, axis in _ROWS.items()}
    return replace(a, **rows)


def _filled(bank: Bank) -> Bank:
    filled = np.asarray(bank.sources) >= 0
    return bank if filled.all() else _take(bank, np.flatnonzero(filled))


def _fitted(bank: Bank, capacity: int | None) -> Bank:
    """The filled rows, the newest `capacity` of them, with empty rows behind up to `capacity`."""
    bank = _filled(bank)
    if capacity is None:
        return bank
    rows = np.arange(bank.sources.shape[0])[-capacity:]
    empty = capacity - rows.size
    bank = _take(bank, np.pad(rows, (0, empty)))
    kept = jnp.arange(capacity) < rows.size
    return replace(bank, sources=jnp.where(kept, bank.sources, -1))


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any], int]:
    """A store's arrays, what they belong to, and the version of its format."""
    if not path.is_file():
        raise ValueError(f"path must be a memory store; there is no file {path}")
    with opened_tensors(path) as file:
        version = file.version_of(_KIND)
        arrays = {name: file.tensor(name) for name in _ROWS}
        return arrays, json.loads(file.metadata["store"]), version
