"""Reading models and tokenizers: the logits of `transformers`, a GGUF written here, and broken files."""

import json
import shutil
import sys

import numpy as np
import pytest
from lm_files import MERGES, VOCABULARY, gguf_of
from lm_models import FOLDERS, close, expected, tiny, tokens
from lm_reference import Reference
from safetensors.numpy import load_file, save_file

from energyam import lm


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory):
    return gguf_of(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.mark.parametrize("name", FOLDERS)
def test_logits_are_those_of_transformers(name):
    token_ids, logits = expected(name)
    close(tiny(name)(token_ids), logits, 1e-4)


def test_a_gguf_file_is_the_same_model(gguf_file):
    token_ids, logits = expected("llama")
    close(lm.load(gguf_file)(token_ids), logits, 1e-4)


def test_a_folder_in_bfloat16_and_without_the_prefix(tmp_path):
    import ml_dtypes

    loaded = load_file(FOLDERS["gpt2"] / "model.safetensors")
    rounded = {k.removeprefix("transformer."): v.astype(ml_dtypes.bfloat16) for k, v in loaded.items()}
    save_file(rounded, tmp_path / "model.safetensors")
    shutil.copy(FOLDERS["gpt2"] / "config.json", tmp_path)
    token_ids, _ = expected("gpt2")
    save_file({k: v.astype(np.float32) for k, v in rounded.items()}, tmp_path / "model.safetensors.copy")
    same = lm.load(tmp_path)
    (tmp_path / "model.safetensors.copy").replace(tmp_path / "model.safetensors")
    close(same(token_ids), Reference(tmp_path).forward(token_ids)[0], 1e-4)


@pytest.mark.parametrize("name", FOLDERS)
def test_heads_are_what_attention_sees(name):
    model, ids = tiny(name), tokens(5, 9)
    _, seen = Reference(FOLDERS[name]).forward(ids)
    for rotated, kind in ((True, "rotated"), (False, "plain")):
        heads = model.heads(ids, rotated=rotated)
        repeats = heads.queries.shape[1] // heads.keys.shape[1]
        for layer, reference in enumerate(seen):
            queries, keys = reference[kind]
            close(heads.queries[layer], queries, 1e-4)
            close(heads.keys[layer], keys[::repeats], 1e-4)
            close(heads.values[layer], reference["values"][::repeats], 1e-4)


def test_tokenizer_of_a_gguf_file(gguf_file):
    tokenizer = lm.load_tokenizer(gguf_file)
    encoded = tokenizer.encode("at the 12\n<|end|>")
    assert encoded.tokens == ["a", "t", "Ġthe", "Ġ", "1", "2", "Ċ", "<|end|>"]
    assert tokenizer.decode(encoded.ids[:-1]) == "at the 12\n"


def test_tokenizer_of_a_folder(tmp_path):
    vocabulary = {token: i for i, token in enumerate(VOCABULARY)}
    (tmp_path / "encoder.json").write_text(json.dumps(vocabulary))
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\n" + "\n".join(MERGES))
    plain = lm.load_tokenizer(tmp_path)
    assert plain.encode("at the").tokens == ["a", "t", "Ġthe"]
    plain.save(str(tmp_path / "tokenizer.json"))
    assert lm.load_tokenizer(tmp_path).encode("at the").tokens == ["a", "t", "Ġthe"]
    with pytest.raises(ValueError, match=r"must hold tokenizer\.json"):
        lm.load_tokenizer(FOLDERS["gpt2"])


def cut(source, target, share):
    content = source.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_files_that_are_cut_short(gguf_file, tmp_path, share):
    cut(gguf_file, tmp_path / "cut.gguf", share)
    with pytest.raises(ValueError, match="not a whole GGUF file"):
        lm.load(tmp_path / "cut.gguf")
    cut(FOLDERS["gpt2"] / "model.safetensors", tmp_path / "model.safetensors", share)
    shutil.copy(FOLDERS["gpt2"] / "config.json", tmp_path)
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        lm.load(tmp_path)


def changed(tmp_path, name, **settings):
    shutil.copytree(FOLDERS[name], tmp_path / name)
    config = tmp_path / name / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("gpt2", {"activation_function": "relu"}, "activation_function must be 'gelu_new'; got 'relu'"),
        ("gpt2", {"model_type": "bert"}, "model_type must be one of .*; got 'bert'"),
        ("gpt2", {"n_embd": 32}, "must be .*32.*; got .*24"),
        ("gpt2", {"n_layer": 5}, "no tensor 'transformer.h.3"),
        ("gpt2", {"n_head": None}, "no 'n_head'"),
        ("gpt2", {"n_head": 5}, "n_head must divide n_embd, 24; got 5"),
        ("gpt2", {"n_layer": 2}, r"12 tensors .* no place for: transformer\.h\.2\."),
        ("gpt2", {"tie_word_embeddings": False}, "tie_word_embeddings must be True"),
        ("llama", {"attention_bias": True}, r"no tensor 'model\.layers\.0\.self_attn\.q_proj\.bias'"),
        ("llama", {"attention_bias": "yes"}, "attention_bias must be true or false; got 'yes'"),
        ("llama", {"num_hidden_layers": 2}, r"9 tensors .* no place for: model\.layers\.2\."),
        ("llama", {"num_attention_heads": "six"}, "num_attention_heads must be an integer .* got 'six'"),
        ("llama", {"num_key_value_heads": 4}, "must divide the 6 of queries; got 4"),
        ("llama", {"head_dim": 7}, "must be even; got 7"),
        ("llama", {"rms_norm_eps": 0}, "rms_norm_eps must be a positive number; got 0"),
        ("llama", {"eos_token_id": "</s>"}, "eos_token_id must be an integer or a list of integers"),
        ("llama", {"model_type": ["llama"]}, r"model_type must be one of .*; got \['llama'\]"),
        ("llama", {"model_type": "qwen2", "use_sliding_window": True}, "use_sliding_window must be False"),
    ],
)
def test_variants_that_are_not_supported_say_so(tmp_path, name, settings, message):
    with pytest.raises(ValueError, match=message):
        lm.load(changed(tmp_path, name, **settings))


def test_nothing_to_load(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"must hold config.json and model.safetensors; got nothing"):
        lm.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no model at"):
        lm.load(tmp_path / "absent.gguf")
    (tmp_path / "config.json").write_text("{")
    shutil.copy(FOLDERS["gpt2"] / "model.safetensors", tmp_path)
    with pytest.raises(ValueError, match="not JSON"):
        lm.load(tmp_path)


def test_without_a_network(monkeypatch):
    import huggingface_hub

    def no_network(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", no_network)
    with pytest.raises(FileNotFoundError, match=r"the hub could not bring it .*Put config.json"):
        lm.load("some/model")


def test_a_missing_package_names_its_extra(monkeypatch, gguf_file):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ImportError, match=r'pip install "energyam\[lm\]"'):
        lm.load(gguf_file)
