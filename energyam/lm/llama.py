"""Llama: rotary positions, RMS norm, grouped heads and a gated MLP. SmolLM2 is of this kind."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, Int

from energyam.lm.attention import Heads
from energyam.lm.transformer import AbstractBlock, AbstractLanguageModel


class RMSNorm(eqx.Module):
    """x / √(mean x² + ε) · scale."""

    scale: Float[Array, "*L D"]
    eps: float = eqx.field(static=True)

    def __call__(self, x: Float[Array, "T D"]) -> Float[Array, "T D"]:
        return x * jax.lax.rsqrt(jnp.mean(x**2, axis=-1, keepdims=True) + self.eps) * self.scale[None]


class LlamaBlock(AbstractBlock):
    """One layer of Llama. Weights are (in, out)."""

    attention_norm: RMSNorm
    query: Float[Array, "*L D HD"]
    key: Float[Array, "*L D GD"]
    value: Float[Array, "*L D GD"]
    attention_out: Float[Array, "*L HD D"]
    mlp_norm: RMSNorm
    gate: Float[Array, "*L D F"]
    up: Float[Array, "*L D F"]
    down: Float[Array, "*L F D"]
    head_size: int = eqx.field(static=True)
    rope_base: float = eqx.field(static=True)

    def project(self, x: Float[Array, "T D"]) -> Heads:
        x = self.attention_norm(x)
        projected = (x @ self.query, x @ self.key, x @ self.value)
        return Heads(*(rearrange(p, "t (h d) -> h t d", d=self.head_size) for p in projected))

    def rotate(self, heads: Heads, positions: Int[Array, " T"]) -> Heads:
        return heads._replace(
            queries=rotated(heads.queries, positions, self.rope_base),
            keys=rotated(heads.keys, positions, self.rope_base),
        )

    def finish(self, x: Float[Array, "T D"], mixed: Float[Array, "T HD"]) -> Float[Array, "T D"]:
        x = x + mixed @ self.attention_out
        inner = self.mlp_norm(x)
        return x + (jax.nn.silu(inner @ self.gate) * (inner @ self.up)) @ self.down


class Llama(AbstractLanguageModel):
    """A Llama-like model: `model(token_ids)` gives the logits (T, vocab). Made by `energyam.lm.load`.

    Touvron et al., "LLaMA: open and efficient foundation language models", 2023.
    """

    embedding: Float[Array, "V D"]
    blocks: LlamaBlock
    final_norm: RMSNorm
    head: Float[Array, "V D"] | None
    context_length: int = eqx.field(static=True)

    def embed(self, token_ids: Int[Array, " T"], positions: Int[Array, " T"]) -> Float[Array, "T D"]:
        return self.embedding[token_ids]

    def unembed(self, x: Float[Array, "T D"]) -> Float[Array, "T V"]:
        return self.final_norm(x) @ (self.embedding if self.head is None else self.head).T


def rotated(heads: Float[Array, "H T d"], positions: Int[Array, " T"], base: float) -> Float[Array, "H T d"]:
    """Rotary positions: the pairs (i, i + d/2) of each head turned by position · base^(−2i/d).

    Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.
    """
    half = heads.shape[-1] // 2
    precise = jnp.promote_types(heads.dtype, jnp.float32)  # positions don't fit bfloat16
    frequencies = jnp.asarray(float(base) ** (-np.arange(half) / half), precise)
    angles = positions[:, None].astype(precise) * frequencies[None, :]
    cos, sin = (f(angles)[None].astype(heads.dtype) for f in (jnp.cos, jnp.sin))
    first, second = heads[..., :half], heads[..., half:]
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
