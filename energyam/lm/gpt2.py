"""GPT-2: learned positions, layer norm, one block of attention and one of GELU a layer."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float, Int

from energyam.lm.attention import Heads
from energyam.lm.transformer import AbstractBlock, AbstractLanguageModel
from energyam.lm.weights import Weights


class LayerNorm(eqx.Module):
    """(x − mean) / √(variance + ε) · scale + bias."""

    scale: Float[Array, "*L D"]
    bias: Float[Array, "*L D"]
    eps: float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "T D"]) -> Float[Array, "T D"]:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = jnp.mean(centred**2, axis=-1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + self.eps) * self.scale[None] + self.bias[None]


class Affine(eqx.Module):
    """x W + b, the layout of GPT-2's weights: W (in, out)."""

    weight: Float[Array, "*L I O"]
    bias: Float[Array, "*L O"]

    def __call__(self, x: Float[Array, "T I"]) -> Float[Array, "T O"]:
        return x @ self.weight + self.bias[None]


class GPT2Block(AbstractBlock):
    """One layer of GPT-2."""

    attention_norm: LayerNorm
    attention_in: Affine
    attention_out: Affine
    mlp_norm: LayerNorm
    mlp_in: Affine
    mlp_out: Affine
    num_heads: int = eqx.field(static=True)

    def project(self, x: Float[Array, "T D"]) -> Heads:
        mixed = self.attention_in(self.attention_norm(x))
        return Heads(*rearrange(mixed, "t (three h d) -> three h t d", three=3, h=self.num_heads))

    def rotate(self, heads: Heads, positions: Int[Array, " T"]) -> Heads:
        return heads

    def finish(self, x: Float[Array, "T D"], mixed: Float[Array, "T HD"]) -> Float[Array, "T D"]:
        x = x + self.attention_out(mixed)
        return x + self.mlp_out(jax.nn.gelu(self.mlp_in(self.mlp_norm(x)), approximate=True))


class GPT2(AbstractLanguageModel):
    """GPT-2 of any size: `model(token_ids)` gives the logits (T, vocab). Made by `energyam.lm.load`.

    Radford et al., "Language models are unsupervised multitask learners", 2019.
    """

    embedding: Float[Array, "V D"]
    position_embedding: Float[Array, "C D"]
    blocks: GPT2Block
    final_norm: LayerNorm
    context_length: int = eqx.field(static=True)

    def embed(self, token_ids: Int[Array, " T"], positions: Int[Array, " T"]) -> Float[Array, "T D"]:
        return self.embedding[token_ids] + self.position_embedding[positions]

    def unembed(self, x: Float[Array, "T D"]) -> Float[Array, "T V"]:
        return self.final_norm(x) @ self.embedding.T


def gpt2_from_huggingface(weights: Weights, dtype: Any) -> GPT2:
    """GPT-2 from the names of Hugging Face's `GPT2LMHeadModel` (with or without `transformer.`).

    Raises `ValueError` for a variant with another activation or scaling, or missing weights.
    """
    _check_variant(weights.settings)
    layers, D, eps = (
        weights.setting("n_layer"),
        weights.setting("n_embd"),
        weights.setting("layer_norm_epsilon"),
    )
    prefix = "transformer." if "transformer.wte.weight" in weights.names else ""

    def stack(name, *shape):
        return jnp.asarray(weights.stack(f"{prefix}h.{{}}.{name}", layers, shape), dtype)

    def affine(name, fan_in, fan_out):
        return Affine(stack(f"{name}.weight", fan_in, fan_out), stack(f"{name}.bias", fan_out))

    def norm(name):
        return LayerNorm(stack(f"{name}.weight", D), stack(f"{name}.bias", D), eps)

    inner = weights.settings.get("n_inner") or 4 * D
    blocks = GPT2Block(
        norm("ln_1"),
        affine("attn.c_attn", D, 3 * D),
        affine("attn.c_proj", D, D),
        norm("ln_2"),
        affine("mlp.c_fc", D, inner),
        affine("mlp.c_proj", inner, D),
        weights.setting("n_head"),
    )

    def single(name, *shape):
        return jnp.asarray(weights.tensor(prefix + name, shape), dtype)

    final_norm = LayerNorm(single("ln_f.weight", D), single("ln_f.bias", D), eps)
    vocabulary, context = weights.setting("vocab_size"), weights.setting("n_positions")
    token, position = single("wte.weight", vocabulary, D), single("wpe.weight", context, D)
    return GPT2(
        embedding=token,
        position_embedding=position,
        blocks=blocks,
        final_norm=final_norm,
        context_length=context,
    )


def _check_variant(settings: dict) -> None:
    expected = {
        "activation_function": "gelu_new",
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "tie_word_embeddings": True,
    }
    for name, value in expected.items():
        if settings.get(name, value) != value:
            raise ValueError(f"config.json: {name} must be {value!r}; got {settings[name]!r}")
