"""The content of a model file: settings, checked as they are read, and float32 tensors, one at a time."""

import importlib
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from energyam import checks

_OF_QUANTISATION = re.compile(r"scale|zero|qweight|g_idx|absmax|quant|SCB", re.IGNORECASE)
USE_FLOATS = (
    "energyam reads safetensors in float16, bfloat16, float32 or float64: take the model's files without "
    "quantisation, or a GGUF file of it"
)


class Weights(NamedTuple):
    """A model file: where its settings come from, the settings, the tensors' names, and what reads one."""

    origin: str
    settings: dict[str, Any]
    names: frozenset[str]
    read: Callable[[str], np.ndarray]

    def tensor(self, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """One tensor in float32; raises `ValueError` if it is missing or of another shape."""
        if name not in self.names:
            had = some(self.names)
            raise ValueError(f"{self.origin}: the model file has no tensor {name!r}; it has {had}")
        array = np.asarray(self.read(name), dtype=np.float32)
        if shape is not None and array.shape != shape:
            raise ValueError(f"{self.origin}: tensor {name!r} must be {shape}; got {array.shape}")
        return array

    def stack(self, pattern: str, count: int, shape: tuple[int, ...]) -> np.ndarray:
        """The tensors `pattern.format(0)` … `pattern.format(count - 1)`, stacked: (count, *shape)."""
        stacked = np.empty((count, *shape), np.float32)
        for i in range(count):
            stacked[i] = self.tensor(pattern.format(i), shape)
        return stacked

    def setting(self, name: str, default: object = None) -> Any:
        """One setting, null being none; raises `ValueError` if there is none and no default."""
        value = self.settings.get(name)
        value = default if value is None else value
        if value is None:
            raise ValueError(f"{self.origin} has no {name!r}")
        return value

    def count(self, name: str, default: int | None = None) -> int:
        """A setting that is an integer of at least 1; raises `ValueError` for anything else."""
        return checks.count(f"{self.origin}: {name}", self.setting(name, default))

    def num_layers(self, name: str) -> int:
        """The setting of the number of layers, each of which has a tensor at least; raises `ValueError`."""
        return checks.count(f"{self.origin}: {name}", self.setting(name), most=max(1, len(self.names)))

    def epsilon(self, name: str) -> float:
        """The setting of what a norm adds to a variance, above 0 and below 1; raises `ValueError`."""
        value = self.number(name)
        if value >= 1:
            raise ValueError(f"{self.origin}: {name} must be below 1; got {value:g}")
        return value

    def number(self, name: str, default: int | float | None = None) -> float:
        """A setting that is positive and finite; raises `ValueError` for anything else."""
        value = self.setting(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
            raise ValueError(f"{self.origin}: {name} must be a positive number; got {value!r:.40}")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        """A setting that is true or false; raises `ValueError` for anything else."""
        value = self.setting(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"{self.origin}: {name} must be true or false; got {value!r:.40}")
        return value

    def within(self, name: str) -> "Weights":
        """The settings that lie inside a setting, none if it is missing; raises `ValueError` for others."""
        inner = self.settings.get(name) or {}
        if not isinstance(inner, dict) or any(isinstance(value, dict) for value in inner.values()):
            raise ValueError(f"{self.origin}: {name} must be one object of plain settings; got {inner!r:.80}")
        return self._replace(settings=inner, origin=f"{self.origin}: {name}")

    def end_tokens(self, *names: str) -> tuple[int, ...]:
        """The tokens that end a text, of settings that are an integer or a list of them; none if missing.

        Some files write "none" as −1, or as the largest number there is; these are left out.
        Raises `ValueError` for anything else.
        """
        found: list[int] = []
        for name in names:
            value = self.settings.get(name)
            tokens = value if isinstance(value, list) else [] if value is None else [value]
            if any(isinstance(token, bool) or not isinstance(token, int) for token in tokens):
                wanted = "an integer or a list of integers"
                raise ValueError(f"{self.origin}: {name} must be {wanted}; got {value!r:.80}")
            found += [token for token in tokens if 0 <= token < 2**31]
        return tuple(dict.fromkeys(found))

    def must_be(self, **wanted: Any) -> None:
        """Raise `ValueError` for a setting that is there with a value other than the one wanted."""
        for name, value in wanted.items():
            if self.settings.get(name, value) not in (value, None):
                raise ValueError(f"{self.origin}: {name} must be {value!r}; got {self.settings[name]!r:.80}")

    def must_all_be_known(self, known: Iterable[str], harmless: str) -> None:
        """Raise `ValueError` for tensors that are neither known nor match the pattern `harmless`.

        A tensor that nobody reads would change the model without a word.
        """
        unknown = {name for name in self.names - set(known) if not re.search(harmless, name)}
        if unknown:
            quantised = any(map(_OF_QUANTISATION.search, unknown))
            advice = f". These are quantised weights; {USE_FLOATS}" if quantised else ""
            got = f"{len(unknown)} tensors that this kind of model has no place for"
            raise ValueError(f"{self.origin}: the model file has {got}: {some(unknown)}{advice}")


def require(package: str, extra: str = "lm") -> ModuleType:
    """Import an optional package; raises `ImportError` naming the extra that brings it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ImportError(f'{package} is missing: pip install "energyam[{extra}]"') from None


def read_json(file: Path) -> dict[str, Any]:
    """A JSON file that holds an object; raises `ValueError` for anything else."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON that can be read: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold an object, {{...}}; got {str(content)[:40]!r}")
    return content


def some(names: Iterable[str]) -> str:
    """The first five of some names, for a message."""
    shown = sorted(names)
    return ", ".join(shown[:5]) + (", …" if len(shown) > 5 else "") if shown else "nothing"
