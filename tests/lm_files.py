"""Tiny models written to disk: Hugging Face folders and GGUF files, changed as a test needs them."""

import json

import gguf
import numpy as np
from lm_models import FOLDERS
from safetensors.numpy import load_file, save_file

BYTES = "abcdefghijklmnopqrstuvwxyz0123456789ĠĊ"
VOCABULARY = ["<|end|>", *BYTES, "he", "Ġt", "Ġthe", *(f"filler{i}" for i in range(19))]
MERGES = ["h e", "Ġ t", "Ġt he"]
_NAMES = {"embed_tokens": "token_embd", "lm_head": "output", "norm": "output_norm"}
_PARTS = {
    **{f"self_attn.{n}_proj": f"attn_{n}" for n in "qkv"},
    **{f"mlp.{n}_proj": f"ffn_{n}" for n in ("gate", "up", "down")},
    "self_attn.o_proj": "attn_output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def config_of(name):
    return json.loads((FOLDERS[name] / "config.json").read_text())


def tensors_of(name):
    return load_file(FOLDERS[name] / "model.safetensors")


def folder_of(path, tensors=None, name="llama", **settings):
    """A tiny model in a folder, with more tensors and other settings."""
    path.mkdir(exist_ok=True)
    save_file(tensors_of(name) | (tensors or {}), path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config_of(name) | settings))
    return path


def gguf_of(path, settings=None, tensors=None, kind="llama", source=None, tokenizer="gpt2"):
    """The tiny Llama as a GGUF file, with more settings and tensors; `source`: other tensors than its own."""
    config = config_of("llama")
    writer = gguf.GGUFWriter(path, kind)
    _add_sizes(writer, config, settings or {})
    for name, value in (settings or {}).items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
        add(name if name.startswith(("tokenizer.", "split.")) else f"{kind}.{name}", value)
    if tokenizer:
        _add_tokenizer(writer, tokenizer)
    for name, array in (source or tensors_of("llama")).items():
        target, array = _in_gguf(name, array, config, kind)
        writer.add_tensor(target, np.ascontiguousarray(array))
    for name, array in (tensors or {}).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_sizes(writer, config, settings):
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    if "rope.dimension_count" not in settings:
        writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_context_length(config["max_position_embeddings"])


def _add_tokenizer(writer, kind):
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(VOCABULARY)
    writer.add_token_merges(MERGES)
    writer.add_token_types([3] + [1] * (len(VOCABULARY) - 1))


def _in_gguf(name, array, config, kind):
    """A tensor under GGUF's name, a Llama's q and k rows pair by pair."""
    name, suffix = name.removeprefix("model.").rsplit(".", 1)
    if not name.startswith("layers."):
        return f"{_NAMES[name]}.{suffix}", array
    _, layer, part = name.split(".", 2)
    heads = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}
    if part in heads and kind == "llama":
        halves = array.reshape(config[heads[part]], 2, -1, *array.shape[1:])
        array = halves.swapaxes(1, 2).reshape(array.shape)
    return f"blk.{layer}.{_PARTS[part]}.{suffix}", array
