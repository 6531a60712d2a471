"""`load`: a model from a folder or file, a name on the Hugging Face hub, or "smollm2"."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.typing import DTypeLike

from energyam.lm.fetch import locate
from energyam.lm.gguf_files import read_gguf
from energyam.lm.gpt2 import gpt2_from_huggingface
from energyam.lm.huggingface_files import read_folder
from energyam.lm.llama import llama_from_gguf, llama_from_huggingface, qwen2_from_huggingface
from energyam.lm.transformer import LanguageModel
from energyam.lm.weights import Weights

_HUGGINGFACE: dict[str, Callable[[Weights, Any], LanguageModel]] = {
    "gpt2": gpt2_from_huggingface,
    "llama": llama_from_huggingface,
    "qwen2": qwen2_from_huggingface,
}


def load(source: str | Path, *, dtype: DTypeLike = jnp.float32) -> LanguageModel:
    """A language model, in float32 by default.

    **Arguments:** `source`: a folder with `config.json` and `model.safetensors` of a GPT-2, a Llama or a
    Qwen2 in the format of Hugging Face, the path of that safetensors file, a `.gguf` file of a Llama or a
    Qwen2, `"smollm2"` for the file that `energyam lm fetch` downloads, or the name of a model on the hub such
    as `"openai-community/gpt2"`. `dtype`: that of the weights; norms, angles and attention are computed in
    float32 at least.

    Raises `ValueError` for a file that is cut short, quantised safetensors, or a model of another kind or
    with settings that are not supported; `FileNotFoundError` if there is nothing to load and no network;
    `ImportError` naming the extra that is missing.

        >>> model = eam.lm.load("tiny_gpt2")  # a folder with config.json and model.safetensors
        >>> model(np.array([1, 2, 3])).shape  # logits of 61 tokens after each of three
        (3, 61)
    """
    _check_dtype(dtype)
    path = locate(source)
    suffix = path.suffix.lower()
    if path.is_file() and suffix == ".gguf":
        return llama_from_gguf(read_gguf(path), dtype)
    if path.is_file() and suffix != ".safetensors":
        raise ValueError(f"source must be a folder, a .gguf or a .safetensors file; got {path}")
    weights = read_folder(path)
    kind = weights.setting("model_type")
    if not isinstance(kind, str) or kind not in _HUGGINGFACE:
        raise ValueError(
            f"{weights.origin}: model_type must be one of {sorted(_HUGGINGFACE)}; got {kind!r:.80}"
        )
    return _HUGGINGFACE[kind](weights, dtype)


def _check_dtype(dtype: DTypeLike) -> None:
    try:
        known = None if dtype is None else jnp.dtype(dtype)
    except TypeError:
        known = None
    if known not in (jnp.float16, jnp.bfloat16, jnp.float32, jnp.float64):
        raise ValueError(f"dtype must be float16, bfloat16, float32 or float64; got {dtype!r}")
