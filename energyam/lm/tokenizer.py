"""Tokenizers from the files that come with a model."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from energyam.lm.fetch import locate
from energyam.lm.gguf_files import open_gguf
from energyam.lm.weights import read_json, require
from energyam.memories.rows import as_whole

_CONTROL = 3  # GGUF's token type of special tokens
_SPECIAL = re.compile(r"<\|[^|]+\|>")  # <|endoftext|> and the like


def load_tokenizer(source: str | Path) -> Any:
    """The `tokenizers.Tokenizer` of a model: `.encode(text).ids` and `.decode(ids)`.

    **Arguments:** `source`: as for `energyam.lm.load`; a folder with `tokenizer.json`, or with `vocab.json`
    and `merges.txt` (also under GPT-2's names, `encoder.json` and `vocab.bpe`), a file of such a folder, or
    a GGUF file.

    Raises `ValueError` if there is no tokenizer, if files can't be read as one, and for a GGUF file whose
    tokenizer is missing or neither GPT-2's nor SmolLM2's kind.

        >>> tokenizer = eam.lm.load_tokenizer("tiny_gpt2")
        >>> tokenizer.decode(tokenizer.encode("hello").ids)
        'hello'
    """
    path = locate(source)
    if path.is_file() and path.suffix.lower() == ".gguf":
        return _from_gguf(path)
    folder = path if path.is_dir() else path.parent
    if (folder / "tokenizer.json").is_file():
        return _opened(require("tokenizers").Tokenizer.from_file, folder / "tokenizer.json")
    for vocabulary, merges in (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")):
        if (folder / vocabulary).is_file() and (folder / merges).is_file():
            return _from_merges(folder / vocabulary, folder / merges)
    raise ValueError(f"{folder} must hold tokenizer.json, or vocab.json and merges.txt")


def decode_after(tokenizer: Any, before: Sequence[int], tokens: Sequence[int]) -> str:
    """The text that `tokens` add to the text of the tokens `before` them.

    Tokenizers of Llama 2's kind leave out the first space of the decoded text, so that
    `tokenizer.decode(tokens)` would join the first word to the prompt. Special tokens are left out.
    Raises `ValueError` for tokens that are not whole numbers.

        >>> tokenizer = eam.lm.load_tokenizer("tiny_gpt2")
        >>> tokens = tokenizer.encode("hello").ids
        >>> eam.lm.decode_after(tokenizer, tokens[:1], tokens[1:]) in "hello"
        True
    """
    if isinstance(tokenizer, type | bytes) or not callable(getattr(tokenizer, "decode", None)):
        raise ValueError(f"tokenizer must have decode(tokens); got {type(tokenizer).__name__}")
    given, added = _token_list("before", before), _token_list("tokens", tokens)
    start, text = tokenizer.decode(given), tokenizer.decode(given + added)
    if not text.startswith(start):  # `before` ends within a character
        start = start.rstrip("\N{REPLACEMENT CHARACTER}")
    return text[len(start) :]


def _token_list(name: str, tokens: Sequence[int]) -> list[int]:
    array = as_whole(name, tokens)
    if array.ndim != 1:
        raise ValueError(f"{name} must be a list of tokens; got shape {array.shape}")
    return array.tolist()


def _from_merges(vocabulary: Path, merges: Path) -> Any:
    """A tokenizer on bytes, GPT-2's kind, with the special tokens that the files beside it name."""
    tokenizers = require("tokenizers")
    model = _opened(tokenizers.models.BPE.from_file, vocabulary, merges)
    tokenizer = _on_bytes(tokenizers.Tokenizer(model), [])
    of_vocabulary = sorted(filter(_SPECIAL.fullmatch, tokenizer.get_vocab()), key=tokenizer.token_to_id)
    tokenizer.add_special_tokens(of_vocabulary)
    _add_named(tokenizer, vocabulary.parent)
    return tokenizer


def _on_bytes(tokenizer: Any, before: list[Any]) -> Any:
    """A tokenizer that works on bytes, with some more ways to split a text first."""
    tokenizers = require("tokenizers")
    pre = tokenizers.pre_tokenizers
    tokenizer.pre_tokenizer = pre.Sequence([*before, pre.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return tokenizer


def _add_named(tokenizer: Any, folder: Path) -> None:
    """Add the special tokens that a folder's small files name, those with a number first."""
    files = [folder / f"{n}.json" for n in ("added_tokens", "tokenizer_config", "special_tokens_map")]
    added, config, special = (read_json(file) if file.is_file() else {} for file in files)
    described = config.get("added_tokens_decoder") or {}
    more = special.get("additional_special_tokens") or []
    if not isinstance(described, dict) or not all(number.isdecimal() for number in described):
        raise ValueError(f"{files[1]}: added_tokens_decoder must have a token for each number")
    if any(isinstance(number, bool) or not isinstance(number, int) for number in added.values()):
        raise ValueError(f"{files[0]} must have a whole number for each token")
    if not isinstance(more, list):
        raise ValueError(f"{files[2]}: additional_special_tokens must be a list; got {str(more)[:40]}")
    numbers = added | {_content(token): int(number) for number, token in described.items()}
    for token, number in sorted(numbers.items(), key=lambda pair: pair[1]):
        tokenizer.add_special_tokens([token])
        if tokenizer.token_to_id(token) != number:
            wanted, got = f"must have the number {number}", tokenizer.token_to_id(token)
            raise ValueError(f"{folder}: the token {token!r} {wanted}; it would have {got}")
    roles = [value for file in (config, special) for name, value in file.items() if name.endswith("_token")]
    others = map(_content, [*roles, *more])
    tokenizer.add_special_tokens([token for token in others if token])


def _content(token: Any) -> str:
    """The text of a token that stands for itself, or in an object with its `content`."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else ""


def _opened(read: Any, *files: Path) -> Any:
    try:
        return read(*map(str, files))
    except BaseException as error:  # the package tokenizers raises nothing narrower, and panics
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"{' and '.join(map(str, files))} can't be read as a tokenizer: {error}") from None


def _from_gguf(path: Path) -> Any:
    fields = open_gguf(path).fields
    if "tokenizer.ggml.tokens" not in fields:
        raise ValueError(f"{path} has no tokenizer: load it from a folder with the model's tokenizer.json")
    return _opened(lambda _: _from_fields(fields), path)


def _from_fields(fields: Mapping[str, Any]) -> Any:
    """The tokenizer that the fields of a GGUF file describe; raises an error, of any kind, if they are
    damaged."""
    tokenizers = require("tokenizers")

    def read(name: str, default: Any) -> Any:
        field = fields.get(f"tokenizer.ggml.{name}")
        return default if field is None else field.contents()

    kind, split = read("model", "none"), read("pre", "default")
    if kind != "gpt2" or split not in ("gpt-2", "smollm"):
        wanted = "of the kind gpt2, split as gpt-2 or smollm do"
        hint = "Load it from a folder with the model's tokenizer.json"
        raise ValueError(f"it must be {wanted}; got {kind!s:.20}, {split!s:.20}. {hint}")
    tokens = _listed("tokens", str, read("tokens", []))
    merges = [tuple(merge.split(" ")) for merge in _listed("merges", str, read("merges", []))]
    types = _listed("token_type", int, read("token_type", [1] * len(tokens)))
    vocabulary = {token: i for i, token in enumerate(tokens)}
    if not len(vocabulary) == len(tokens) == len(types):
        raise ValueError("tokenizer.ggml.tokens must name each token once, and token_type have one for each")
    if any(len(pair) != 2 for pair in merges):
        raise ValueError("tokenizer.ggml.merges must have pairs of tokens, as in 'h e'")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
    digits = [tokenizers.pre_tokenizers.Digits(individual_digits=True)] if split == "smollm" else []
    special = [token for token, kind in zip(tokens, types, strict=True) if kind == _CONTROL]
    tokenizer = _on_bytes(tokenizer, digits)
    tokenizer.add_special_tokens(special)
    return tokenizer


def _listed(name: str, kind: type, content: Any) -> list[Any]:
    """The content of a field that is a list of texts, or of whole numbers."""
    if not isinstance(content, list) or not all(isinstance(one, kind) for one in content):
        wanted = "texts" if kind is str else "whole numbers"
        raise ValueError(f"tokenizer.ggml.{name} must be a list of {wanted}; got {content!s:.40}")
    return content
