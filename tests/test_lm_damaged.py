"""Damaged files of models: each is read, or refused in one line that names the file."""

import json
import shutil

import gguf
import numpy as np
import pytest
from lm_files import MERGES, VOCABULARY, config_of, folder_of, gguf_of
from lm_models import FOLDERS

from energyam import lm

WRONG = [None, True, -1, 0, 10**12, 10**400, 0.5, float("nan"), float("inf"), "text", [], [1], {}, {"a": {}}]


@pytest.mark.usefixtures("no_hook")
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_settings_of_any_value_are_read_or_refused_by_name(name, tmp_path):
    shutil.copy(FOLDERS[name] / "model.safetensors", tmp_path)
    right, refused = config_of(name), 0
    for setting in right:
        for value in WRONG:
            (tmp_path / "config.json").write_text(json.dumps(right | {setting: value}))
            try:
                lm.load(tmp_path)
            except ValueError as error:
                assert any(word in str(error) for word in (setting, "tensor", "must")), str(error)
                assert len(str(error)) < 500
                refused += 1
    assert refused > 5 * len(WRONG)


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("gpt2", "n_layer", 10**12),
        ("gpt2", "n_layer", 2**31 - 1),
        ("llama", "num_hidden_layers", 10**8),
        ("gpt2", "layer_norm_epsilon", 10**12),
        ("llama", "rms_norm_eps", 1.0),
        ("llama", "rope_theta", 10**400),
    ],
)
def test_numbers_that_no_model_has_are_refused_at_once(name, setting, value, tmp_path):
    with pytest.raises(ValueError, match=f"config.json: {setting} must be"):
        lm.load(folder_of(tmp_path, name=name, **{setting: value}))


def test_deep_json_is_refused(tmp_path):
    folder = folder_of(tmp_path, name="gpt2")
    (folder / "config.json").write_text('{"a":' * 100_000)
    with pytest.raises(ValueError, match=r"config\.json is not JSON that can be read"):
        lm.load(folder)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer_config.json", {"added_tokens_decoder": [1]}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"one": "<|a|>"}}),
        ("added_tokens.json", {"<|a|>": "one"}),
        ("added_tokens.json", {"<|a|>": None}),
        ("special_tokens_map.json", {"additional_special_tokens": 3}),
    ],
)
def test_special_tokens_that_are_none_are_refused_by_file(file, content, tmp_path):
    write_tokenizer(tmp_path)
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=file):
        lm.load_tokenizer(tmp_path)


def write_tokenizer(folder):
    """A tokenizer in GPT-2's files, with the special tokens beside it."""
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(VOCABULARY)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    (folder / "added_tokens.json").write_text(json.dumps({"<|end|>": 0}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<|end|>"}}))


def read_or_refused(path):
    """Whether the tokenizer at `path` is refused by an error that names it; others are raised."""
    try:
        lm.load_tokenizer(path)
    except ValueError as error:
        assert str(path) in str(error) and len(str(error)) < 1000, str(error)
        return True
    return False


def changed(content):
    """What JSON holds, many times: with one of its parts, or of theirs, replaced by a wrong value."""
    for key in list(content if isinstance(content, dict) else range(len(content)))[:6]:
        part = content[key]
        for other in [*WRONG, *(changed(part) if isinstance(part, dict | list) else ())]:
            whole = content.copy()
            whole[key] = other
            yield whole


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.json"])
def test_wrong_values_in_tokenizers_are_read_or_refused_by_file(name, tmp_path):
    write_tokenizer(tmp_path)
    if name == "tokenizer.json":
        lm.load_tokenizer(tmp_path).save(str(tmp_path / name))
    refused = 0
    for content in changed(json.loads((tmp_path / name).read_text())):
        (tmp_path / name).write_text(json.dumps(content))
        refused += read_or_refused(tmp_path)
    assert refused > 30


WRONG_FIELDS = [3, 2.5, "text", [1, 2], ["a"], ["a b c"], [0.5], [""], ["h e"] * 3, [*VOCABULARY, "a"]]


@pytest.mark.parametrize("field", ["model", "pre", "tokens", "merges", "token_type"])
def test_wrong_fields_of_gguf_tokenizers_are_refused_by_file(field, tmp_path):
    for value in WRONG_FIELDS:
        writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
        right = {"model": "gpt2", "pre": "smollm", "tokens": VOCABULARY, "merges": MERGES}
        types = {"token_type": [3] + [1] * (len(VOCABULARY) - 1)}
        for name, content in (right | types | {field: value}).items():
            kind = {int: "uint32", float: "float32", str: "string", list: "array"}[type(content)]
            getattr(writer, f"add_{kind}")(f"tokenizer.ggml.{name}", content)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        harmless = field == "merges" and value == ["h e"] * 3
        assert read_or_refused(tmp_path / "model.gguf") != harmless, value


def test_damaged_gguf_tokenizers_are_read_or_refused_by_file(tmp_path):
    """Bytes changed among the settings, counts among them that no file could hold, and files cut short."""
    path = gguf_of(tmp_path / "model.gguf")
    sound, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    settings = sound.index(b"blk.0")
    count = sound.index(len(VOCABULARY).to_bytes(8, "little"), sound.index(b"tokenizer.ggml.tokens"))
    for trial in range(150):
        content = bytearray(sound)
        for at in rng.integers(0, settings, 2):
            content[at] = rng.integers(256)
        if trial < 9:  # how many tensors, fields or tokens there are
            start, size = (8, 16, count)[trial % 3], (2**20, 2**40, 2**62)[trial // 3]
            content = sound[:start] + size.to_bytes(8, "little") + sound[start + 8 :]
        path.write_bytes(content[: rng.integers(1, 4 * len(content))])
        refused += read_or_refused(path)
    assert refused > 100


@pytest.mark.parametrize("whole", [False, True])
def test_damaged_tokenizers_are_read_or_refused_by_file(whole, tmp_path):
    """Bytes changed, cut off and put in, of GPT-2's files and of one `tokenizer.json`."""
    write_tokenizer(tmp_path)
    if whole:
        lm.load_tokenizer(tmp_path).save(str(tmp_path / "tokenizer.json"))
    names = (
        ["tokenizer.json"]
        if whole
        else ["vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json"]
    )
    rng, refused = np.random.default_rng(0), 0
    for _ in range(150):
        path = tmp_path / str(rng.choice(names))
        sound = path.read_bytes()
        content = bytearray(sound)
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            content[at] = rng.integers(256)
        path.write_bytes(content[: rng.integers(1, 2 * len(content))])
        refused += read_or_refused(tmp_path)
        path.write_bytes(sound)
    assert refused > 50
