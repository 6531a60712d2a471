"""Damaged files of models: each is read, or refused in one line that names the file."""

import json
import shutil

import numpy as np
import pytest
from lm_files import MERGES, VOCABULARY, config_of, folder_of
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
        try:
            lm.load_tokenizer(tmp_path)
        except ValueError as error:
            assert str(tmp_path) in str(error), str(error)
            refused += 1
        path.write_bytes(sound)
    assert refused > 50
