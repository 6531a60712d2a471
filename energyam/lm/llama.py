"""Llama: rotary positions, RMS norm, grouped heads and a gated MLP. SmolLM2 and Qwen2 are of this kind."""

import equinox as eqx
import jax
from einops import rearrange
from jaxtyping import Array, Float, Int

from energyam.lm.attention import Heads
from energyam.lm.layers import Affine, RMSNorm
from energyam.lm.rotary import Rotary
from energyam.lm.transformer import AbstractBlock, AbstractLanguageModel


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
        return heads._replace(
            queries=self.rotary.turned(heads.queries, positions),
            keys=self.rotary.turned(heads.keys, positions),
        )

    def finish(self, x: Float[Array, "T D"], mixed: Float[Array, "T HD"]) -> Float[Array, "T D"]:
        x = x + self.attention_out(mixed)
        inner = self.mlp_norm(x)
        return x + self.down(jax.nn.silu(self.gate(inner)) * self.up(inner))


class Llama(AbstractLanguageModel):
    """A Llama-like model: `model(token_ids)` gives the logits (T, vocab). Made by `energyam.lm.load`.

    Touvron et al., "LLaMA: open and efficient foundation language models", 2023.
    """

    embedding: Float[Array, "V D"]
    blocks: LlamaBlock
    final_norm: RMSNorm
    head: Float[Array, "V D"] | None
    context_length: int = eqx.field(static=True)
    end_tokens: tuple[int, ...] = eqx.field(static=True)

    def embed(self, token_ids: Int[Array, " T"], positions: Int[Array, " T"]) -> Float[Array, "T D"]:
        return self.embedding[token_ids]

    def unembed(self, x: Float[Array, "T D"]) -> Float[Array, "T V"]:
        return self.final_norm(x) @ (self.embedding if self.head is None else self.head).T
