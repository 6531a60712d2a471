"""Building a `Llama` from its files: Hugging Face's names or GGUF's."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from einops import rearrange

from energyam.lm.llama import Llama, LlamaBlock, RMSNorm
from energyam.lm.weights import Weights

_HUGGINGFACE = {
    "embedding": "model.embed_tokens.weight",
    "final_norm": "model.norm.weight",
    "head": "lm_head.weight",
    "attention_norm": "model.layers.{}.input_layernorm.weight",
    "query": "model.layers.{}.self_attn.q_proj.weight",
    "key": "model.layers.{}.self_attn.k_proj.weight",
    "value": "model.layers.{}.self_attn.v_proj.weight",
    "attention_out": "model.layers.{}.self_attn.o_proj.weight",
    "mlp_norm": "model.layers.{}.post_attention_layernorm.weight",
    "gate": "model.layers.{}.mlp.gate_proj.weight",
    "up": "model.layers.{}.mlp.up_proj.weight",
    "down": "model.layers.{}.mlp.down_proj.weight",
}
_GGUF = {
    "embedding": "token_embd.weight",
    "final_norm": "output_norm.weight",
    "head": "output.weight",
    "attention_norm": "blk.{}.attn_norm.weight",
    "query": "blk.{}.attn_q.weight",
    "key": "blk.{}.attn_k.weight",
    "value": "blk.{}.attn_v.weight",
    "attention_out": "blk.{}.attn_output.weight",
    "mlp_norm": "blk.{}.ffn_norm.weight",
    "gate": "blk.{}.ffn_gate.weight",
    "up": "blk.{}.ffn_up.weight",
    "down": "blk.{}.ffn_down.weight",
}


class _Sizes(NamedTuple):
    layers: int
    width: int
    inner: int
    heads: int
    groups: int
    head_size: int
    vocabulary: int
    context: int
    rope_base: float
    eps: float


def llama_from_huggingface(weights: Weights, dtype: Any) -> Llama:
    """Llama from the names of Hugging Face's `LlamaForCausalLM`.

    Raises `ValueError` for a variant with biases, another activation or scaled rotary positions.
    """
    _check_variant(weights.settings)
    heads, width = weights.setting("num_attention_heads"), weights.setting("hidden_size")
    sizes = _Sizes(
        layers=weights.setting("num_hidden_layers"),
        width=width,
        inner=weights.setting("intermediate_size"),
        heads=heads,
        groups=weights.setting("num_key_value_heads", heads),
        head_size=weights.setting("head_dim", width // heads),
        vocabulary=weights.setting("vocab_size"),
        context=weights.setting("max_position_embeddings"),
        rope_base=_rope_base(weights.settings),
        eps=weights.setting("rms_norm_eps"),
    )
    tied = weights.settings.get("tie_word_embeddings", False)
    return _assemble(weights, _HUGGINGFACE, sizes, tied, pairwise=False, dtype=dtype)


def llama_from_gguf(weights: Weights, dtype: Any) -> Llama:
    """Llama from a GGUF file, whose q and k rows lie pair by pair and are put back half by half.

    Raises `ValueError` for another architecture or scaled rotary positions.
    """
    kind = weights.setting("general.architecture")
    if kind != "llama":
        raise ValueError(f"general.architecture must be 'llama'; got {kind!r}")
    if "rope_freqs.weight" in weights.names:
        raise ValueError("the GGUF file has rope_freqs.weight: scaled rotary positions are not supported")
    heads, width = weights.setting("llama.attention.head_count"), weights.setting("llama.embedding_length")
    sizes = _Sizes(
        layers=weights.setting("llama.block_count"),
        width=width,
        inner=weights.setting("llama.feed_forward_length"),
        heads=heads,
        groups=weights.setting("llama.attention.head_count_kv", heads),
        head_size=weights.setting("llama.rope.dimension_count", width // heads),
        vocabulary=weights.setting("llama.vocab_size", 0) or weights.tensor("token_embd.weight").shape[0],
        context=weights.setting("llama.context_length"),
        rope_base=weights.setting("llama.rope.freq_base", 10000.0),
        eps=weights.setting("llama.attention.layer_norm_rms_epsilon"),
    )
    tied = "output.weight" not in weights.names
    return _assemble(weights, _GGUF, sizes, tied, pairwise=True, dtype=dtype)


def _assemble(
    weights: Weights, names: dict[str, str], sizes: _Sizes, tied: bool, pairwise: bool, dtype: Any
) -> Llama:
    width, inner = sizes.width, sizes.inner
    queries, keys = sizes.heads * sizes.head_size, sizes.groups * sizes.head_size

    def linear(name, fan_in, fan_out, heads=None):
        matrices = weights.stack(names[name], sizes.layers, (fan_out, fan_in))
        if heads is not None and pairwise:
            matrices = rearrange(matrices, "l (h i two) d -> l (h two i) d", h=heads, two=2)
        return jnp.asarray(np.swapaxes(matrices, 1, 2), dtype)

    def norm(name):
        return RMSNorm(jnp.asarray(weights.stack(names[name], sizes.layers, (width,)), dtype), sizes.eps)

    blocks = LlamaBlock(
        attention_norm=norm("attention_norm"),
        query=linear("query", width, queries, sizes.heads),
        key=linear("key", width, keys, sizes.groups),
        value=linear("value", width, keys),
        attention_out=linear("attention_out", queries, width),
        mlp_norm=norm("mlp_norm"),
        gate=linear("gate", width, inner),
        up=linear("up", width, inner),
        down=linear("down", inner, width),
        head_size=sizes.head_size,
        rope_base=float(sizes.rope_base),
    )

    def single(name, *shape):
        return jnp.asarray(weights.tensor(names[name], shape), dtype)

    return Llama(
        embedding=single("embedding", sizes.vocabulary, width),
        blocks=blocks,
        final_norm=RMSNorm(single("final_norm", width), sizes.eps),
        head=None if tied else single("head", sizes.vocabulary, width),
        context_length=sizes.context,
    )


def _check_variant(settings: dict) -> None:
    for name, value in {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False}.items():
        if settings.get(name, value) != value:
            raise ValueError(f"config.json: {name} must be {value!r}; got {settings[name]!r}")


def _rope_base(settings: dict) -> float:
    rope = settings.get("rope_scaling") or settings.get("rope_parameters") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        raise ValueError(f"config.json: rotary positions must be of type 'default'; got {kind!r}")
    return rope.get("rope_theta", settings.get("rope_theta", 10000.0))
