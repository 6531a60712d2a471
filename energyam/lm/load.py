"""`load`: a model from a folder, a GGUF file, a name on the Hugging Face hub, or "smollm2"."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from energyam.lm.fetch import locate
from energyam.lm.gpt2 import gpt2_from_huggingface
from energyam.lm.llama_files import llama_from_gguf, llama_from_huggingface
from energyam.lm.transformer import AbstractLanguageModel
from energyam.lm.weights import Weights, read_folder, read_gguf

_HUGGINGFACE: dict[str, Callable[[Weights, Any], AbstractLanguageModel]] = {
    "gpt2": gpt2_from_huggingface,
    "llama": llama_from_huggingface,
}


def load(source: str | Path, *, dtype: Any = jnp.float32) -> AbstractLanguageModel:
    """A language model, in float32 unless told otherwise.

    **Arguments:** `source`: a folder with `config.json` and `model.safetensors` of a GPT-2 or a Llama as
    Hugging Face keeps them, a `.gguf` file of a Llama, `"smollm2"` for the file that `energyam lm fetch`
    brings, or the name of a model on the hub such as `"openai-community/gpt2"`.

    Raises `ValueError` for a file that is cut short, or an architecture that is neither; `FileNotFoundError`
    where there is nothing to load and no network; `ImportError` naming the extra that is missing.
    """
    path = locate(source)
    if path.suffix == ".gguf":
        return llama_from_gguf(read_gguf(path), dtype)
    weights = read_folder(path)
    kind = weights.setting("model_type")
    if kind not in _HUGGINGFACE:
        raise ValueError(f"config.json: model_type must be one of {sorted(_HUGGINGFACE)}; got {kind!r}")
    return _HUGGINGFACE[kind](weights, dtype)
