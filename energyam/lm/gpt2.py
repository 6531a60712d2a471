"""GPT-2: learned positions, layer norm, and one attention and one GELU block in each layer."""

import equinox as eqx
import jax
import jax.numpy as jnp
from einops import rearrange
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from energyam.lm.attention import Heads
from energyam.lm.layers import Affine, LayerNorm
from energyam.lm.transformer import AbstractBlock, LanguageModel
from energyam.lm.weights import Weights

_MODULES = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
_PARTS = [f"{module}.{kind}" for module in _MODULES for kind in ("weight", "bias")]
_HARMLESS = r"\.attn\.(bias|masked_bias)$"  # causal masks


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


def gpt2_from_huggingface(weights: Weights, dtype: DTypeLike) -> LanguageModel:
    """GPT-2 from the names of Hugging Face's `GPT2LMHeadModel` (with or without `transformer.`).

    Raises `ValueError` for a variant with another activation or scaling, and for missing or unknown weights.
    """
    if weights.settings.get("activation_function") != "gelu_pytorch_tanh":  # another name of the same
        weights.must_be(activation_function="gelu_new")
    weights.must_be(scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False, tie_word_embeddings=True)
    D, eps = weights.count("n_embd"), weights.epsilon("layer_norm_epsilon")
    layers, inner = weights.num_layers("n_layer"), weights.count("n_inner", 4 * D)
    context, heads = weights.count("n_positions"), weights.count("n_head")
    prefix = "transformer." if "transformer.wte.weight" in weights.names else ""
    weights.must_all_be_known(_known(layers, prefix), _HARMLESS)

    def single(name, *shape):
        return jnp.asarray(weights.tensor(prefix + name, shape), dtype)

    def stack(name, *shape):
        return jnp.asarray(weights.stack(f"{prefix}h.{{}}.{name}", layers, shape), dtype)

    def affine(name, fan_in, fan_out):
        return Affine(stack(f"{name}.weight", fan_in, fan_out), stack(f"{name}.bias", fan_out))

    def norm(name):
        return LayerNorm(stack(f"{name}.weight", D), stack(f"{name}.bias", D), eps)

    attention = norm("ln_1"), affine("attn.c_attn", D, 3 * D), affine("attn.c_proj", D, D)
    mlp = norm("ln_2"), affine("mlp.c_fc", D, inner), affine("mlp.c_proj", inner, D)
    if D % heads:
        raise ValueError(f"{weights.origin}: n_head must divide n_embd, {D}; got {heads}")
    return LanguageModel(
        embedding=single("wte.weight", weights.count("vocab_size"), D),
        position_embedding=single("wpe.weight", context, D),
        blocks=GPT2Block(*attention, *mlp, heads),
        final_norm=LayerNorm(single("ln_f.weight", D), single("ln_f.bias", D), eps),
        head=None,
        context_length=context,
        end_tokens=weights.end_tokens("eos_token_id"),
    )


def _known(layers: int, prefix: str) -> list[str]:
    parts = [f"h.{i}.{part}" for i in range(layers) for part in _PARTS]
    parts += ["wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias"]
    return ["lm_head.weight", *(f"{prefix}{part}" for part in parts)]
