"""Tokenizers from the files that come with a model."""

from pathlib import Path
from typing import Any

from energyam.lm.fetch import locate
from energyam.lm.weights import require

_CONTROL = 3  # GGUF's token type of special tokens


def load_tokenizer(source: str | Path) -> Any:
    """The `tokenizers.Tokenizer` of a model: `.encode(text).ids` and `.decode(ids)`.

    **Arguments:** `source`: as for `energyam.lm.load`; a folder with `tokenizer.json`, or with `vocab.json`
    and `merges.txt` (also under GPT-2's names, `encoder.json` and `vocab.bpe`), or a GGUF file.

    Raises `ValueError` where there are none, or a GGUF tokenizer of another kind than GPT-2's or SmolLM2's.
    """
    tokenizers, path = require("tokenizers"), locate(source)
    if path.suffix == ".gguf":
        return _from_gguf(path)
    if (path / "tokenizer.json").is_file():
        return tokenizers.Tokenizer.from_file(str(path / "tokenizer.json"))
    for vocabulary, merges in (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")):
        if (path / vocabulary).is_file() and (path / merges).is_file():
            files = str(path / vocabulary), str(path / merges)
            return tokenizers.ByteLevelBPETokenizer.from_file(*files)._tokenizer
    raise ValueError(f"{path} must hold tokenizer.json, or vocab.json and merges.txt")


def _from_gguf(path: Path) -> Any:
    tokenizers, gguf = require("tokenizers"), require("gguf")
    fields = gguf.GGUFReader(path).fields
    read = lambda name: fields[f"tokenizer.ggml.{name}"].contents()  # noqa: E731
    kind = read("pre") if "tokenizer.ggml.pre" in fields else "default"
    if read("model") != "gpt2" or kind not in ("gpt-2", "smollm"):
        raise ValueError(f"{path}: the tokenizer must be of the kind 'gpt-2' or 'smollm'; got {kind!r}")
    tokens = read("tokens")
    merges = [tuple(merge.split(" ")) for merge in read("merges")]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    pre = tokenizers.pre_tokenizers
    split = [pre.Digits(individual_digits=True)] if kind == "smollm" else []
    tokenizer.pre_tokenizer = pre.Sequence([*split, pre.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    types = read("token_type")
    tokenizer.add_special_tokens([t for t, kind in zip(tokens, types, strict=True) if kind == _CONTROL])
    return tokenizer
