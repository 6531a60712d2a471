"""Which files of a folder are the model, quantised weights, names on the hub, and half precision."""

import json
import shutil
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from lm_files import config_of, folder_of, gguf_of, tensors_of
from lm_models import FOLDERS, close, expected, tiny, tokens
from lm_reference import Reference
from safetensors.numpy import save_file

from energyam import lm
from energyam.lm.attention import attention_weights
from energyam.lm.layers import LayerNorm, RMSNorm

INDEX = "model.safetensors.index.json"


@pytest.fixture
def sharded(tmp_path):
    """The tiny GPT-2 in two files and an index, and a third file that is not the model's."""
    tensors = tensors_of("gpt2")
    parts = {"model-00001-of-00002.safetensors": {}, "model-00002-of-00002.safetensors": {}}
    homes = {name: list(parts)[i % 2] for i, name in enumerate(sorted(tensors))}
    for name, file in homes.items():
        parts[file][name] = tensors[name]
    for file, part in parts.items():
        save_file(part, tmp_path / file)
    save_file({name: 0 * array for name, array in tensors.items()}, tmp_path / "zeros.safetensors")
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": homes}))
    shutil.copy(FOLDERS["gpt2"] / "config.json", tmp_path)
    return tmp_path


def is_tiny_gpt2(source):
    token_ids, logits = expected("gpt2")
    close(lm.load(source)(token_ids), logits, 1e-4)


def test_an_index_says_which_files_are_the_model(sharded):
    is_tiny_gpt2(sharded)
    is_tiny_gpt2(sharded / "model-00002-of-00002.safetensors")


def test_an_index_and_files_that_do_not_fit(sharded):
    index = json.loads((sharded / INDEX).read_text())
    homes = index["weight_map"]
    name = next(iter(homes))
    (sharded / INDEX).write_text(json.dumps({"weight_map": homes | {"absent": homes[name]}}))
    with pytest.raises(ValueError, match="names tensors that are not in their files: absent"):
        lm.load(sharded)
    (sharded / INDEX).write_text(json.dumps({"weight_map": list(homes)}))
    with pytest.raises(ValueError, match="must name the file of each tensor in weight_map"):
        lm.load(sharded)
    (sharded / INDEX).write_text(json.dumps(index))
    (sharded / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ValueError, match=r"not in the folder: model-00002-of-00002\.safetensors\. Copy"):
        lm.load(sharded)


def test_a_second_file_does_not_change_the_model(tmp_path):
    folder = folder_of(tmp_path, name="gpt2")
    save_file(
        {name: 0 * array for name, array in tensors_of("gpt2").items()}, folder / "model_old.safetensors"
    )
    is_tiny_gpt2(folder)
    is_tiny_gpt2(folder / "model.safetensors")
    (folder / "model.safetensors").rename(folder / "model_new.safetensors")
    is_tiny_gpt2(folder / "model_new.safetensors")
    with pytest.raises(
        ValueError, match=r"model_new\.safetensors, model_old\.safetensors\. Give the path of one"
    ):
        lm.load(folder)
    (folder / "model_old.safetensors").unlink()
    is_tiny_gpt2(folder)


def test_files_of_other_kinds(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a folder, a \.gguf or a \.safetensors file; got .*\.bin"):
        lm.load(tmp_path / "pytorch_model.bin")
    shutil.copy(FOLDERS["gpt2"] / "model.safetensors", tmp_path)
    with pytest.raises(
        ValueError, match=r"must hold config\.json and model\.safetensors; got model.safetensors"
    ):
        lm.load(tmp_path / "model.safetensors")


@pytest.mark.parametrize("content", ["[]", "3", '"gpt2"', "null"])
def test_a_configuration_that_is_no_object(tmp_path, content):
    folder = folder_of(tmp_path, name="gpt2")
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config\.json must hold an object"):
        lm.load(folder)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantization_config is 'gptq'"),
        ({"quantization_config": {"bits": 8}}, "quantization_config is {'bits': 8}"),
        ({"compression_config": {"quant_method": "compressed-tensors"}}, "is 'compressed-tensors'"),
        ({"quantization": {"group_size": 64, "bits": 4}}, "quantization is"),
    ],
)
def test_quantised_by_the_configuration(tmp_path, settings, what):
    with pytest.raises(ValueError, match=f"{what}.*without quantisation, or a GGUF file"):
        lm.load(folder_of(tmp_path, **settings))


@pytest.mark.parametrize("kind", ["I8", "U8", "F8_E4M3", "F8_E5M2", "I32", "I64"])
def test_quantised_by_its_tensors(tmp_path, kind):
    folder, name = folder_of(tmp_path), "model.layers.1.mlp.up_proj.weight"
    size = {"I32": 4, "I64": 8}.get(kind, 1) * 40 * 24
    header = json.dumps({name: {"dtype": kind, "shape": [40, 24], "data_offsets": [0, size]}}).encode()
    (folder / "part.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    rest = {k: v for k, v in tensors_of("llama").items() if k != name}
    save_file(rest, folder / "model.safetensors")
    homes = dict.fromkeys(rest, "model.safetensors") | {name: "part.safetensors"}
    (folder / INDEX).write_text(json.dumps({"weight_map": homes}))
    with pytest.raises(ValueError, match=f"{name}' is quantised, of type {kind}.*or a GGUF file"):
        lm.load(folder)


@pytest.mark.parametrize(
    "name", ["weight_scale", "weight_scale_inv", "SCB", "qweight", "qzeros", "weight.absmax"]
)
def test_quantised_by_tensors_beside_the_weights(tmp_path, name):
    extra = {f"model.layers.0.self_attn.q_proj.{name}": np.ones(1, np.float32)}
    with pytest.raises(ValueError, match=rf"no place for: .*{name}\. These are quantised weights"):
        lm.load(folder_of(tmp_path, extra))


def test_gguf_types_that_cannot_be_read(tmp_path):
    tensors = tensors_of("llama")
    tensors["model.norm.weight"] = np.ones(24, np.int8)
    with pytest.raises(ValueError, match=r"'output_norm\.weight' is of type I8.*dequantised \(take a file"):
        lm.load(gguf_of(tmp_path / "tiny.gguf", source=tensors))


def test_a_part_of_a_gguf_model(tmp_path):
    with pytest.raises(ValueError, match="is one of 3 parts of a model: join them"):
        lm.load(gguf_of(tmp_path / "tiny.gguf", settings={"split.count": 3}))


def test_harmless_tensors_are_passed_over(tmp_path):
    mask = {f"transformer.h.{i}.attn.bias": np.tril(np.ones((1, 1, 40, 40), np.uint8)) for i in range(3)}
    is_tiny_gpt2(folder_of(tmp_path, mask, name="gpt2"))
    angles = {"model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(4, np.float32)}
    token_ids, logits = expected("llama")
    close(lm.load(folder_of(tmp_path, angles))(token_ids), logits, 1e-4)


@pytest.mark.parametrize(
    "name",
    ["TinyLlama/TinyLlama-1.1B-Chat-v1.0", "HuggingFaceTB/SmolLM2-1.7B", "openai-community/gpt2", "gpt2"],
)
def test_names_on_the_hub(monkeypatch, name):
    import huggingface_hub

    asked = []

    def download(name, allow_patterns):
        asked.append((name, allow_patterns))
        return str(FOLDERS["gpt2"])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    is_tiny_gpt2(name)
    assert asked[0][0] == name
    assert {"generation_config.json", INDEX, "*.safetensors", "tokenizer_config.json"} <= set(asked[0][1])


@pytest.mark.parametrize(
    "name",
    ["./model-1.1", "~/absent", "a/b/c", "gone/model.safetensors", "MODEL.GGUF", "weights.bin", "/x.1"],
)
def test_paths_that_are_no_names_on_the_hub(name):
    with pytest.raises(FileNotFoundError, match="there is no model at"):
        lm.load(name)


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.float8_e4m3fn, "half a float", None])
def test_dtypes_that_are_no_weights(dtype):
    with pytest.raises(ValueError, match="dtype must be float16, bfloat16, float32 or float64; got"):
        lm.load(FOLDERS["gpt2"], dtype=dtype)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_is_near(dtype):
    for name in FOLDERS:
        token_ids, logits = expected(name)
        got = tiny(name, dtype)(token_ids)
        assert got.dtype == dtype
        close(got.astype(jnp.float32), logits, 0.01 if dtype == jnp.float16 else 0.1)


def test_half_precision_with_a_large_residual(tmp_path):
    """Embeddings of up to 20,000, whose squares no float16 holds."""
    large = tensors_of("llama")["model.embed_tokens.weight"]
    large *= 20000 / np.abs(large).max()
    folder = folder_of(tmp_path, {"model.embed_tokens.weight": large})
    ids = tokens(3, 12)
    wanted = Reference(folder).forward(ids)[0]
    model = lm.load(folder, dtype=jnp.float16)
    close(model(ids).astype(jnp.float32), wanted, 0.02 * np.abs(wanted).max())
    memory, lookup = lm.remember(model, tokens(1, 15), [1]), lm.Lookup.type1(3, 2.0, 0.0, 1.0)
    assert jnp.isfinite(model(ids, memory, lookup)).all()


def test_norms_and_attention_of_large_numbers_in_half_precision():
    x = np.random.default_rng(0).normal(size=(5, 16)).astype(np.float16) * np.float16(9000)
    wide, scale = x.astype(np.float64), np.linspace(0.5, 2, 16)
    half, x = jnp.asarray(scale, jnp.float16), jnp.asarray(x)
    close(RMSNorm(half, 1e-5)(x), wide / np.sqrt((wide**2).mean(1, keepdims=True)) * scale, 5e-3)
    normed = (wide - wide.mean(1, keepdims=True)) / wide.std(1, keepdims=True)
    close(LayerNorm(half, half, 1e-5)(x), normed * scale + scale, 5e-3)
    queries = jnp.full((1, 2, 4), 300, jnp.float16)  # products of 360,000
    weights = attention_weights(queries, jnp.stack([queries[0, 0], queries[0, 0] / 2])[None], jnp.arange(2))
    close(weights[0], np.array([[1.0, 0], [1, 0]]), 1e-6)


def test_configurations_of_end_tokens(tmp_path):
    for given, wanted in ((2, (2,)), ([5, 2, 5], (5, 2)), (None, ()), (-1, ())):
        assert lm.load(folder_of(tmp_path, eos_token_id=given)).end_tokens == wanted
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 8]}))
    assert lm.load(folder_of(tmp_path, eos_token_id=2)).end_tokens == (7, 8)
    (tmp_path / "generation_config.json").write_text("{}")
    assert lm.load(folder_of(tmp_path, eos_token_id=2)).end_tokens == (2,)
    ends = {"tokenizer.ggml.eos_token_id": 4, "tokenizer.ggml.eot_token_id": 9}
    none = {"tokenizer.ggml.eos_token_id": 2**32 - 1}
    assert lm.load(gguf_of(tmp_path / "none.gguf", none)).end_tokens == ()
    assert lm.load(gguf_of(tmp_path / "tiny.gguf", ends)).end_tokens == (4, 9)
    assert config_of("gpt2")["eos_token_id"] == 0 and tiny("gpt2").end_tokens == (0,)
