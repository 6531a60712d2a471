"""Llama: rotary positions, RMS norm, grouped heads and a gated MLP. SmolLM2 and Qwen2 are of this kind."""

import equinox as eqx
import jax
from einops import rearrange
from jaxtyping import Array, Float, Int

from energyam.lm.attention import Heads
from energyam.lm.layers import Affine, RMSNorm
from energyam.lm.rotary import Rotary
from energyam.lm.transformer import AbstractBlock


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
