"""Rotary scalings, biases and Qwen2, in Hugging Face's files and in GGUF, against plain float64 NumPy."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lm_files import config_of, folder_of, gguf_of, tensors_of
from lm_models import FOLDERS, close, tokens
from lm_reference import Reference
from safetensors.numpy import load_file, save_file

from energyam import lm

TEXT, D, BASE, CONTEXT = tokens(4, 20), 8, 500.0, 48
LLAMA3 = dict(
    rope_type="llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=2.0, beta_slow=0.25)


def linear(factor):
    return [BASE ** (-2 * i / D) / factor for i in range(D // 2)], 1.0


def llama3(factor, low, high, original):
    """Pair by pair, by wavelength, as the model's authors wrote it."""
    frequencies = []
    for i in range(D // 2):
        plain = BASE ** (-2 * i / D)
        wavelength = 2 * math.pi / plain
        if wavelength < original / high:
            frequencies.append(plain)
        elif wavelength > original / low:
            frequencies.append(plain / factor)
        else:
            share = (original / wavelength - low) / (high - low)
            frequencies.append((1 - share) * plain / factor + share * plain)
    return frequencies, 1.0


def yarn(factor, original, fast, slow, length=None, whole=True):
    """Pair by pair, with the paper's ramp between the pairs that turn `fast` and `slow` times."""

    def pair(turns):
        return D * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(BASE))

    low, high = pair(fast), pair(slow)
    if whole:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, D - 1)
    frequencies = []
    for i in range(D // 2):
        plain = BASE ** (-2 * i / D)
        kept = 1 - min(max((i - low) / (high - low), 0), 1)
        frequencies.append(plain / factor * (1 - kept) + plain * kept)
    return frequencies, 0.1 * math.log(factor) + 1 if length is None else length


class Oracle(Reference):
    """The reference with any frequencies, a length of the turned vectors, and biases."""

    def __init__(self, folder, frequencies, length):
        super().__init__(folder)
        self.frequencies, self.length = np.array(frequencies), length

    def _turn(self, heads):
        half = heads.shape[-1] // 2
        angles = np.arange(heads.shape[1])[:, None] * self.frequencies
        turned = (heads[..., :half] + 1j * heads[..., half:]) * self.length * np.exp(1j * angles)
        return np.concatenate([turned.real, turned.imag], axis=-1)


def logits(path):
    with jax.enable_x64(True):
        return np.asarray(lm.load(path, dtype=jnp.float64)(TEXT))


def wanted(folder, frequencies, length=1.0):
    oracle = Oracle(folder, frequencies, length)
    oracle.kind = "llama"
    return oracle.forward(TEXT)[0]


SCALINGS = {
    "linear": ({"type": "linear", "factor": 4.0}, linear(4.0)),
    "llama3": (LLAMA3, llama3(8.0, 1.0, 4.0, 64)),
    "yarn": (YARN, yarn(4.0, 16, 2.0, 0.25)),
    "yarn, not rounded": (YARN | {"truncate": False}, yarn(4.0, 16, 2.0, 0.25, whole=False)),
    "yarn, its own length": (YARN | {"attention_factor": 1.5}, yarn(4.0, 16, 2.0, 0.25, 1.5)),
    "yarn, two slopes": (
        YARN | {"mscale": 2.0, "mscale_all_dim": 0.5},
        yarn(4.0, 16, 2.0, 0.25, (0.2 * math.log(4) + 1) / (0.05 * math.log(4) + 1)),
    ),
    "yarn, by the context": (YARN | {"factor": None}, yarn(3.0, 16, 2.0, 0.25)),
    "yarn, with its defaults": ({"rope_type": "yarn", "factor": 2.0}, yarn(2.0, CONTEXT, 32.0, 1.0)),
}


@pytest.mark.parametrize(
    ("name", "place"), [*((name, "rope_scaling") for name in SCALINGS), ("yarn", "rope_parameters")]
)
def test_scaled_positions_of_hugging_face(tmp_path, name, place):
    rope, (frequencies, length) = SCALINGS[name]
    settings = {"rope_parameters": None, "rope_theta": BASE, place: rope}
    close(logits(folder_of(tmp_path, **settings)), wanted(tmp_path, frequencies, length), 1e-9)


def test_an_older_setting_goes_before_a_newer_default(tmp_path):
    settings = {"rope_scaling": {"type": "linear", "factor": 2.0}}  # beside rope_parameters' default
    close(logits(folder_of(tmp_path, **settings)), wanted(tmp_path, *linear(2.0)), 1e-9)


def test_the_cases_tell_scalings_apart():
    """Each case has pairs that stay and pairs that are slower; the neighbours of its numbers differ."""
    plain = np.array(linear(1.0)[0])
    for frequencies in (llama3(8.0, 1.0, 4.0, 64)[0], yarn(4.0, 16, 2.0, 0.25)[0]):
        ratios = np.array(frequencies) / plain
        assert ratios.max() == 1 and ratios.min() < 0.3 and len(set(ratios.round(6))) > 2
    assert not np.allclose(yarn(4.0, 16, 2.0, 0.25)[0], yarn(4.0, 16, 2.0, 0.25, whole=False)[0])


GGUF_SCALINGS = {
    "linear": ({"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}, linear(4.0)),
    "linear, by its factor alone": ({"rope.scaling.factor": 4.0}, linear(4.0)),
    "linear, under its older name": ({"rope.scale_linear": 4.0}, linear(4.0)),
    "none": ({"rope.scaling.type": "none", "rope.scaling.factor": 4.0}, linear(1.0)),
    "yarn": (
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 16,
            "rope.scaling.yarn_beta_fast": 2.0,
            "rope.scaling.yarn_beta_slow": 0.25,
        },
        yarn(4.0, 16, 2.0, 0.25),
    ),
    "yarn, longer": (
        {"rope.scaling.type": "yarn", "rope.scaling.factor": 2.0, "rope.scaling.attn_factor": 1.5},
        yarn(2.0, CONTEXT, 32.0, 1.0, 1.5 * (0.1 * math.log(2) + 1)),
    ),
}


@pytest.mark.parametrize("name", GGUF_SCALINGS)
def test_scaled_positions_of_gguf(tmp_path, name):
    settings, (frequencies, length) = GGUF_SCALINGS[name]
    path = gguf_of(tmp_path / "tiny.gguf", settings=settings)
    close(logits(path), wanted(FOLDERS["llama"], frequencies, length), 1e-5)


def test_llama3_of_gguf_is_a_tensor_of_divisors(tmp_path):
    frequencies = llama3(8.0, 1.0, 4.0, 64)[0]
    divisors = np.float32(np.array(linear(1.0)[0]) / frequencies)
    path = gguf_of(tmp_path / "tiny.gguf", tensors={"rope_freqs.weight": divisors})
    close(logits(path), wanted(FOLDERS["llama"], frequencies), 1e-5)
    path = gguf_of(tmp_path / "both.gguf", {"rope.scaling.factor": 2.0}, {"rope_freqs.weight": divisors})
    close(logits(path), wanted(FOLDERS["llama"], np.array(frequencies) / 2), 1e-5)


@pytest.mark.parametrize(
    ("rope", "message"),
    [
        ({"rope_type": "dynamic", "factor": 2.0}, "must be default, linear, llama3 or yarn; got 'dynamic'"),
        ({"rope_type": "longrope"}, "got 'longrope'"),
        ({"type": "linear"}, "config.json: rope_scaling has no 'factor'"),
        ({"type": "linear", "factor": "2"}, "rope_scaling: factor must be a positive number; got '2'"),
        ({"rope_type": "yarn"}, "has no 'factor'"),
        (LLAMA3 | {"low_freq_factor": 4.0}, "low_freq_factor must be below high_freq_factor"),
        ({"full_attention": {"rope_type": "linear"}}, "must be one object of plain settings"),
        ("linear", "must be one object of plain settings; got 'linear'"),
        ({"rope_type": "linear", "factor": 2.0, "partial_rotary_factor": 0.5}, "partial_rotary_factor"),
    ],
)
def test_positions_that_are_not_supported_say_so(tmp_path, rope, message):
    with pytest.raises(ValueError, match=message):
        lm.load(folder_of(tmp_path, rope_scaling=rope))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rope.scaling.type": "longrope"}, "must be none, linear or yarn; got 'longrope'"),
        ({"rope.scaling.type": "yarn"}, r"no 'llama\.rope\.scaling\.factor'"),
        ({"rope.dimension_count": 4, "attention.key_length": 8}, "must be the size of a head, 8; got 4"),
        ({"attention.sliding_window": 16}, r"llama\.attention\.sliding_window is not supported; got 16"),
        ({"logit_scale": 2.0}, r"llama\.logit_scale is not supported"),
        ({"expert_count": 4}, r"llama\.expert_count is not supported"),
        (
            {"rope.scaling.type": "yarn", "rope.scaling.factor": 2.0, "rope.scaling.yarn_ext_factor": 0.5},
            "ext",
        ),
    ],
)
def test_gguf_settings_that_are_not_supported_say_so(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        lm.load(gguf_of(tmp_path / "tiny.gguf", settings))


def test_gguf_tensors_that_are_not_read_say_so(tmp_path):
    with pytest.raises(ValueError, match=r"no place for: blk\.0\.attn_q_norm\.weight"):
        lm.load(gguf_of(tmp_path / "tiny.gguf", tensors={"blk.0.attn_q_norm.weight": np.ones(8, np.float32)}))


class Biased(Oracle):
    """The reference with a bias on every linear map that has one."""

    def __init__(self, folder):
        super().__init__(folder, *linear(1.0))
        self.kind = "llama"

    def _llama(self, layer, name):
        bias = self.w.get(f"model.layers.{layer}.{name}.bias", 0)
        return _WithBias(super()._llama(layer, name), bias)


class _WithBias:
    __array_ufunc__ = None

    def __init__(self, matrix, bias):
        self.matrix, self.bias = matrix, bias

    def __rmatmul__(self, x):
        return x @ self.matrix + self.bias


def biases(parts):
    """A random bias for the parts of each layer."""
    draw, found = np.random.default_rng(7), {}
    for name, array in tensors_of("llama").items():
        if name.removesuffix(".weight").endswith(tuple(parts)):
            found[name.removesuffix("weight") + "bias"] = np.float32(draw.normal(size=array.shape[0]))
    return found


QKV, OUT, MLP = ("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj", "down_proj")


@pytest.mark.parametrize(
    ("parts", "settings"),
    [
        (QKV + OUT, {"attention_bias": True}),
        (MLP, {"mlp_bias": True}),
        (QKV + OUT + MLP, {"attention_bias": True, "mlp_bias": True}),
        (QKV, {"model_type": "qwen2"}),
    ],
)
def test_biases_of_hugging_face(tmp_path, parts, settings):
    folder = folder_of(tmp_path, biases(parts), **settings)
    close(logits(folder), Biased(folder).forward(TEXT)[0], 1e-9)
    assert np.abs(logits(folder) - logits(FOLDERS["llama"])).max() > 0.1


def test_biases_that_the_configuration_does_not_have(tmp_path):
    with pytest.raises(ValueError, match=r"9 tensors .*layers\.0\.self_attn\.k_proj\.bias"):
        lm.load(folder_of(tmp_path, biases(QKV)))


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_biases_of_gguf(tmp_path, kind):
    """Llama's q and k rows lie pair by pair in GGUF, their biases too; Qwen2's lie half by half."""
    folder = folder_of(tmp_path, biases(QKV))
    tensors = load_file(folder / "model.safetensors")
    path = gguf_of(tmp_path / "tiny.gguf", kind=kind, source=tensors)
    close(logits(path), Biased(folder).forward(TEXT)[0], 1e-5)


def test_head_size_by_default(tmp_path):
    config = config_of("llama")
    heads = {"num_attention_heads": 3, "head_dim": None, "num_key_value_heads": 3}
    cut = {k: v for k, v in tensors_of("llama").items() if "self_attn" not in k}
    draw = np.random.default_rng(1)
    for layer in range(3):
        for part in "qkvo":
            cut[f"model.layers.{layer}.self_attn.{part}_proj.weight"] = np.float32(
                draw.normal(size=(24, 24)) / 5
            )
    save_file(cut, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config | heads))
    close(logits(tmp_path), wanted(tmp_path, *linear(1.0)), 1e-9)
