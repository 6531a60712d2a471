"""Reading weights: safetensors folders and GGUF files as named float32 arrays, taken one at a time."""

import importlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from energyam.tensor_files import opened_tensors


class Weights(NamedTuple):
    """A model file: its settings, the names of its tensors, and `tensor(name)`, which reads one."""

    settings: dict[str, Any]
    names: frozenset[str]
    read: Callable[[str], np.ndarray]

    def tensor(self, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """One tensor in float32; raises `ValueError` if it is missing or of another shape."""
        if name not in self.names:
            raise ValueError(f"the model file has no tensor {name!r}; it has {_some(self.names)}")
        array = np.asarray(self.read(name), dtype=np.float32)
        if shape is not None and array.shape != shape:
            raise ValueError(f"tensor {name!r} must be {shape}; got {array.shape}")
        return array

    def stack(self, pattern: str, count: int, shape: tuple[int, ...]) -> np.ndarray:
        """The tensors `pattern.format(0)` … `pattern.format(count - 1)`, stacked: (count, *shape)."""
        stacked = np.empty((count, *shape), np.float32)
        for i in range(count):
            stacked[i] = self.tensor(pattern.format(i), shape)
        return stacked

    def setting(self, name: str, default: Any = None) -> Any:
        """One setting; raises `ValueError` if it is missing and has no default."""
        value = self.settings.get(name, default)
        if value is None:
            raise ValueError(f"the model's configuration has no {name!r}")
        return value


def read_folder(folder: Path) -> Weights:
    """A Hugging Face folder: `config.json` and one or more `*.safetensors`.

    Raises `ValueError` for a folder without them, or files that are cut short.
    """
    config = folder / "config.json"
    files = sorted(folder.glob("*.safetensors"))
    if not config.is_file() or not files:
        raise ValueError(
            f"{folder} must hold config.json and model.safetensors; got {_some(_listed(folder))}"
        )
    homes: dict[str, Path] = {}
    for file in files:
        with opened_tensors(file) as opened:
            homes |= dict.fromkeys(opened.names, file)

    def read(name: str) -> np.ndarray:
        with opened_tensors(homes[name]) as opened:
            return opened.tensor(name)

    return Weights(_json(config), frozenset(homes), read)


def read_gguf(file: Path) -> Weights:
    """A GGUF file, its tensors dequantised as they are read; raises `ValueError` if it is cut short."""
    gguf = require("gguf")
    try:
        reader = gguf.GGUFReader(file)
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not a whole GGUF file: {error}") from None
    tensors = {t.name: t for t in reader.tensors}
    settings = {name: field.contents() for name, field in reader.fields.items() if _wanted(name)}

    def read(name: str) -> np.ndarray:
        tensor = tensors[name]
        return gguf.quants.dequantize(tensor.data, tensor.tensor_type)

    return Weights(settings, frozenset(tensors), read)


def require(package: str, extra: str = "lm") -> ModuleType:
    """Import an optional package; raises `ImportError` naming the extra that brings it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ImportError(f'{package} is missing: pip install "energyam[{extra}]"') from None


def _wanted(name: str) -> bool:
    return not name.startswith(("GGUF.", "tokenizer."))  # the vocabulary takes a second, and isn't weights


def _json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from None


def _listed(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _some(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:5]) + (", …" if len(shown) > 5 else "") if shown else "nothing"
