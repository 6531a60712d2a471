"""Reading GGUF files."""

from pathlib import Path
from typing import Any

import numpy as np

from energyam.lm.weights import Weights, require


def open_gguf(file: Path) -> Any:
    """The reader of a GGUF file; raises `ValueError` if it is cut short, or one of several parts."""
    gguf = require("gguf")
    try:
        reader = gguf.GGUFReader(file)
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not a whole GGUF file: {error}") from None
    parts = reader.fields.get("split.count")
    if parts is not None and parts.contents() > 1:
        hint = "join them with `llama-gguf-split --merge FIRST_PART WHOLE_FILE`"
        raise ValueError(f"{file} is one of {parts.contents()} parts of a model: {hint}")
    return reader


def read_gguf(file: Path) -> Weights:
    """A GGUF file, its tensors dequantised as they are read.

    Raises `ValueError` if it is cut short, or for a type of tensor that the package gguf cannot dequantise.
    """
    gguf, reader = require("gguf"), open_gguf(file)
    tensors = {t.name: t for t in reader.tensors}
    settings = {name: field.contents() for name, field in reader.fields.items() if _wanted(name)}

    def read(name: str) -> np.ndarray:
        tensor = tensors[name]
        try:
            return gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        except NotImplementedError:
            got = f"of type {tensor.tensor_type.name}, which can't be dequantised"
            hint = "(take a file of the model in another type, such as F16, Q8_0 or Q4_K)"
            raise ValueError(f"{file}: tensor {name!r} is {got} {hint}") from None

    return Weights(str(file), settings, frozenset(tensors), read)


def _wanted(name: str) -> bool:
    """Not the vocabulary, which takes a second to read, and only the numbers of its special tokens."""
    return not name.startswith(("GGUF.", "tokenizer.")) or name.endswith("_token_id")
