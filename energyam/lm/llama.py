"""Llama: rotary positions, RMS norm, grouped heads and a gated MLP, from Hugging Face's files or GGUF's.

SmolLM2 and Qwen2 are of this kind.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from energyam.lm.attention import Heads
from energyam.lm.layers import Affine, RMSNorm
from energyam.lm.rotary import Rotary, rotary_from_gguf, rotary_from_huggingface
from energyam.lm.transformer import AbstractBlock, LanguageModel
from energyam.lm.weights import Weights

_NAMES = {  # of the parts, in Hugging Face's files and in GGUF's
    "embedding": ("model.embed_tokens", "token_embd"),
    "final_norm": ("model.norm", "output_norm"),
    "head": ("lm_head", "output"),
    "attention_norm": ("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
    "query": ("model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"),
    "key": ("model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"),
    "value": ("model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"),
    "attention_out": ("model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"),
    "mlp_norm": ("model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"),
    "gate": ("model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"),
    "up": ("model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"),
    "down": ("model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"),
}
_HUGGINGFACE, _GGUF = ({part: names[i] for part, names in _NAMES.items()} for i in (0, 1))
_QKV, _MLP = ("query", "key", "value"), ("gate", "up", "down")
_LINEAR = (*_QKV, "attention_out", *_MLP)
_SETTINGS = {  # that tell sizes, in Hugging Face's files and in GGUF's
    "layers": ("num_hidden_layers", "block_count"),
    "width": ("hidden_size", "embedding_length"),
    "inner": ("intermediate_size", "feed_forward_length"),
    "heads": ("num_attention_heads", "attention.head_count"),
    "groups": ("num_key_value_heads", "attention.head_count_kv"),
    "context": ("max_position_embeddings", "context_length"),
    "eps": ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
}
_GGUF_KINDS = {"llama": True, "qwen2": False}  # whether the q and k rows lie pair by pair
_GGUF_ENDS = tuple(f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot"))
_GGUF_SETTINGS = (  # those that are heeded, and those that change nothing
    *("attention.head_count", "attention.head_count_kv", "attention.layer_norm_rms_epsilon"),
    *("attention.key_length", "attention.value_length", "attention.causal", "rope.dimension_count"),
    *("rope.freq_base", "rope.scale_linear"),
)


class LlamaBlock(AbstractBlock):
    """One layer of Llama, with biases where the model has some."""

    attention_norm: RMSNorm
    query: Affine
    key: Affine
    value: Affine
    attention_out: Affine
    mlp_norm: RMSNorm
    gate: Affine
    up: Affine
    down: Affine
    head_size: int = eqx.field(static=True)
    rotary: Rotary = eqx.field(static=True)

    def project(self, x: Float[Array, "T D"]) -> Heads:
        x = self.attention_norm(x)
        projected = (self.query(x), self.key(x), self.value(x))
        return Heads(*(rearrange(p, "t (h d) -> h t d", d=self.head_size) for p in projected))

    def rotate(self, heads: Heads, positions: Int[Array, " T"]) -> Heads:
        queries, keys = (self.rotary.turned(each, positions) for each in heads[:2])
        return heads._replace(queries=queries, keys=keys)

    def finish(self, x: Float[Array, "T D"], mixed: Float[Array, "T HD"]) -> Float[Array, "T D"]:
        x = x + self.attention_out(mixed)
        inner = self.mlp_norm(x)
        return x + self.down(jax.nn.silu(self.gate(inner)) * self.up(inner))


class _Sizes(NamedTuple):
    layers: int
    width: int
    inner: int
    heads: int
    groups: int
    head_size: int
    vocabulary: int
    context: int
    eps: int | float


class _Parts(NamedTuple):
    """The parts of a model by their names in a file; `biased` parts have a bias."""

    weights: Weights
    names: dict[str, str]
    sizes: _Sizes
    pairwise: bool  # whether the q and k rows lie pair by pair
    biased: frozenset[str]
    tied: bool
    dtype: DTypeLike

    def single(self, name: str, *shape: int) -> Float[Array, "..."]:
        return jnp.asarray(self.weights.tensor(f"{self.names[name]}.weight", shape), self.dtype)

    def norm(self, name: str) -> RMSNorm:
        scales = self._rows(name, "weight", self.sizes.width)
        return RMSNorm(jnp.asarray(scales, self.dtype), self.sizes.eps)

    def affine(self, name: str, fan_in: int, fan_out: int) -> Affine:
        matrices = np.swapaxes(self._rows(name, "weight", fan_out, fan_in), 1, 2)
        biased = name in self.biased
        bias = jnp.asarray(self._rows(name, "bias", fan_out), self.dtype) if biased else None
        return Affine(jnp.asarray(matrices, self.dtype), bias)

    def _rows(self, name: str, kind: str, *shape: int) -> np.ndarray:
        """A part of all layers; q and k rows that lie pair by pair are put back half by half."""
        rows = self.weights.stack(f"{self.names[name]}.{kind}", self.sizes.layers, shape)
        if not self.pairwise or name not in ("query", "key"):
            return rows
        heads = self.sizes.heads if name == "query" else self.sizes.groups
        return rearrange(rows, "l (h i two) ... -> l (h two i) ...", h=heads, two=2)

    def check(self, harmless: str) -> None:
        """Raise `ValueError` if the file has tensors that would not be read."""
        kinds = [(name, "weight") for name in self.names if name != "head" or not self.tied]
        kinds += [(name, "bias") for name in self.biased]
        names = [f"{self.names[name]}.{kind}" for name, kind in kinds]
        known = {name.format(layer) for name in names for layer in range(self.sizes.layers)}
        self.weights.must_all_be_known(known, harmless)


def llama_from_huggingface(weights: Weights, dtype: DTypeLike) -> LanguageModel:
    """Llama from the names of Hugging Face's `LlamaForCausalLM`.

    Raises `ValueError` for another activation, rotary positions that are not supported, and missing or
    unknown weights.
    """
    attention = (*_QKV, "attention_out") if weights.flag("attention_bias", False) else ()
    mlp = _MLP if weights.flag("mlp_bias", False) else ()
    return _from_huggingface(weights, (*attention, *mlp), dtype)


def qwen2_from_huggingface(weights: Weights, dtype: DTypeLike) -> LanguageModel:
    """Qwen2 from the names of Hugging Face's `Qwen2ForCausalLM`: a Llama with biases on q, k and v.

    Raises `ValueError` as for a Llama, and for a sliding window. Yang et al., "Qwen2 technical report", 2024.
    """
    weights.must_be(use_sliding_window=False)
    return _from_huggingface(weights, _QKV, dtype)


def llama_from_gguf(weights: Weights, dtype: DTypeLike) -> LanguageModel:
    """Llama or Qwen2 from a GGUF file; a Llama's q and k rows lie pair by pair and are put half by half.

    Raises `ValueError` for another architecture, rotary positions or settings that are not supported, and
    missing or unknown weights.
    """
    kind = weights.setting("general.architecture")
    if kind not in _GGUF_KINDS:
        raise ValueError(f"general.architecture must be one of {sorted(_GGUF_KINDS)}; got {kind!r:.80}")
    _check_gguf(weights, kind)
    sizes = _gguf_sizes(weights, kind)
    rotary = rotary_from_gguf(weights, kind, sizes.context, sizes.head_size)
    biased = frozenset(name for name in _LINEAR if f"{_GGUF[name]}.bias".format(0) in weights.names)
    tied = "output.weight" not in weights.names
    parts = _Parts(weights, _GGUF, sizes, _GGUF_KINDS[kind], biased, tied, dtype)
    parts.check(r"^rope_freqs\.weight$")
    return _assembled(parts, rotary, weights.end_tokens(*_GGUF_ENDS))


def _from_huggingface(weights: Weights, biased: tuple[str, ...], dtype: DTypeLike) -> LanguageModel:
    weights.must_be(hidden_act="silu")
    sizes = _huggingface_sizes(weights)
    rotary = rotary_from_huggingface(weights, sizes.context)
    tied = weights.flag("tie_word_embeddings", False)
    parts = _Parts(weights, _HUGGINGFACE, sizes, False, frozenset(biased), tied, dtype)
    parts.check(r"rotary_emb\.inv_freq$" + (r"|^lm_head\.weight$" if tied else ""))
    return _assembled(parts, rotary, weights.end_tokens("eos_token_id"))


def _huggingface_sizes(weights: Weights) -> _Sizes:
    names = {size: names[0] for size, names in _SETTINGS.items()}
    head_size = weights.count("head_dim", _usual_head_size(weights, names))
    return _sizes(weights, names, head_size, weights.count("vocab_size"))


def _gguf_sizes(weights: Weights, kind: str) -> _Sizes:
    names = {size: f"{kind}.{names[1]}" for size, names in _SETTINGS.items()}
    turned = weights.count(f"{kind}.rope.dimension_count", _usual_head_size(weights, names))
    head_size = weights.count(f"{kind}.attention.key_length", turned)
    for name in ("rope.dimension_count", "attention.value_length"):
        if weights.count(f"{kind}.{name}", head_size) != head_size:
            wanted, got = f"the size of a head, {head_size}", weights.settings[f"{kind}.{name}"]
            raise ValueError(f"{weights.origin}: {kind}.{name} must be {wanted}; got {got}")
    vocabulary = weights.settings.get(f"{kind}.vocab_size") or weights.tensor("token_embd.weight").shape[0]
    return _sizes(weights, names, head_size, vocabulary)


def _usual_head_size(weights, names):
    return max(1, weights.count(names["width"]) // weights.count(names["heads"]))


def _sizes(weights: Weights, names: dict[str, str], head_size: int, vocabulary: int) -> _Sizes:
    """The sizes, read by the names of their settings; raises `ValueError` where they don't fit together."""
    weights.num_layers(names["layers"])  # before anything is listed layer by layer
    counts = {size: weights.count(name) for size, name in names.items() if size not in ("groups", "eps")}
    groups, eps = weights.count(names["groups"], counts["heads"]), weights.epsilon(names["eps"])
    if counts["heads"] % groups:
        wanted = f"heads of keys must divide the {counts['heads']} of queries"
        raise ValueError(f"{weights.origin}: {wanted}; got {groups}")
    if head_size % 2:
        raise ValueError(f"{weights.origin}: the size of a head must be even; got {head_size}")
    return _Sizes(**counts, groups=groups, head_size=head_size, vocabulary=vocabulary, eps=eps)


def _check_gguf(weights: Weights, kind: str) -> None:
    """Raise `ValueError` for a setting that would change the numbers and is not heeded here."""
    for name, value in weights.settings.items():
        known = name.removeprefix(f"{kind}.")
        if known == name or known in _GGUF_SETTINGS or known.startswith("rope.scaling.") or not value:
            continue
        if known.startswith(("attention.", "rope.", "expert")) or known.endswith(("_scale", "softcapping")):
            raise ValueError(f"{weights.origin}: the setting {name} is not supported; got {value!r:.80}")


def _assembled(parts: _Parts, rotary: Rotary, end_tokens: tuple[int, ...]) -> LanguageModel:
    sizes = parts.sizes
    width, inner = sizes.width, sizes.inner
    queries, keys = sizes.heads * sizes.head_size, sizes.groups * sizes.head_size
    blocks = LlamaBlock(
        attention_norm=parts.norm("attention_norm"),
        query=parts.affine("query", width, queries),
        key=parts.affine("key", width, keys),
        value=parts.affine("value", width, keys),
        attention_out=parts.affine("attention_out", queries, width),
        mlp_norm=parts.norm("mlp_norm"),
        gate=parts.affine("gate", width, inner),
        up=parts.affine("up", width, inner),
        down=parts.affine("down", inner, width),
        head_size=sizes.head_size,
        rotary=rotary,
    )
    return LanguageModel(
        embedding=parts.single("embedding", sizes.vocabulary, width),
        position_embedding=None,
        blocks=blocks,
        final_norm=RMSNorm(parts.single("final_norm", width), sizes.eps),
        head=None if parts.tied else parts.single("head", sizes.vocabulary, width),
        context_length=sizes.context,
        end_tokens=end_tokens,
    )
