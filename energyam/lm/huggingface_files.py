"""Reading a Hugging Face folder: `config.json` and the safetensors files that belong to the model."""

from pathlib import Path
from typing import Any

import numpy as np

from energyam.lm.weights import USE_FLOATS, Weights, read_json, some
from energyam.tensor_files import opened_tensors

_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_FLOATS = ("F64", "F32", "F16", "BF16")
_QUANTISED = ("quantization_config", "compression_config", "quantization")


def read_folder(path: Path) -> Weights:
    """A folder, or one safetensors file in it, with `config.json`.

    The tensors are those of the files in `model.safetensors.index.json`, else of `model.safetensors`, else
    of the only safetensors file. Raises `ValueError` for a folder without them, several files of which none
    is the model's, files that are missing or cut short, and quantised weights.
    """
    folder = path if path.is_dir() else path.parent
    config, files = folder / "config.json", _files(path, folder)
    if not config.is_file() or not files:
        held = [file.name for file in folder.iterdir()] if folder.is_dir() else []
        raise ValueError(f"{folder} must hold config.json and model.safetensors; got {some(held)}")
    settings = _settings(config)
    homes = {name: file for file in files for name in _names(file)}
    return Weights(str(config), settings, frozenset(homes), lambda name: _read(homes[name], name))


def _settings(config: Path) -> dict[str, Any]:
    """The configuration, with the end tokens of `generation_config.json` where it names some."""
    settings, generation = read_json(config), config.with_name("generation_config.json")
    for name in _QUANTISED:
        if settings.get(name):
            raise ValueError(f"{config}: {name} is {_shown(settings[name])}, quantised weights; {USE_FLOATS}")
    ends = read_json(generation).get("eos_token_id") if generation.is_file() else None
    return settings if ends is None else settings | {"eos_token_id": ends}


def _files(path: Path, folder: Path) -> list[Path]:
    """The files whose tensors are the model."""
    indexed = _indexed(folder / _INDEX) if (folder / _INDEX).is_file() else []
    if path != folder:
        return indexed if path in indexed else [path]
    if indexed:
        return indexed
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    found = sorted(folder.glob("*.safetensors"))
    if len(found) > 1:
        why = f"and neither {_SINGLE} nor {_INDEX} that says which are the model's"
        got = f"{some(file.name for file in found)}. Give the path of one, or add the index"
        raise ValueError(f"{folder} has several safetensors files {why}: {got}")
    return found


def _indexed(index: Path) -> list[Path]:
    homes = read_json(index).get("weight_map")
    if not isinstance(homes, dict) or not homes or not all(isinstance(file, str) for file in homes.values()):
        raise ValueError(f"{index} must name the file of each tensor in weight_map; got {_shown(homes)}")
    files = [index.parent / name for name in sorted(set(homes.values()))]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ValueError(f"{index} names files that are not in the folder: {some(missing)}. Copy them there")
    held = {file.name: _names(file) for file in files}
    absent = {name for name, file in homes.items() if name not in held[file]}
    if absent:
        raise ValueError(f"{index} names tensors that are not in their files: {some(absent)}")
    return files


def _names(file: Path) -> set[str]:
    """The names of a file's tensors."""
    with opened_tensors(file) as opened:
        return set(opened.names)


def _read(file: Path, name: str) -> np.ndarray:
    with opened_tensors(file) as opened:
        kind = opened.kind(name)
        if kind not in _FLOATS:
            raise ValueError(f"{file}: tensor {name!r} is quantised, of type {kind}; {USE_FLOATS}")
        return opened.tensor(name)


def _shown(value: Any) -> str:
    kind = value.get("quant_method") if isinstance(value, dict) else None
    return repr(kind or value)[:80]
