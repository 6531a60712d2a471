"""GPT-2 and Llama with the published look-up, in plain float64 NumPy: loops, no sharing with the package.

Written from the method's description, step by step and one token-head at a time, to hold `energyam.lm` to.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file


class Settings(NamedTuple):
    """One look-up: the paper's k, M_F, B_F, T_S, whether the own pair takes part, and r."""

    k: int
    mem_frac: float
    bookkeeping_frac: float
    softmax_scale: float
    include_own: bool
    residual_frac: float


class Reference:
    """A tiny model read from a Hugging Face folder; `store[layer] = (keys, values)`, each (heads, M, d)."""

    def __init__(self, folder: Path):
        self.config = json.loads((folder / "config.json").read_text())
        loaded = load_file(folder / "model.safetensors")
        self.w = {k.removeprefix("transformer."): v.astype(np.float64) for k, v in loaded.items()}
        self.kind = self.config["model_type"]

    def remember(self, tokens, layers, drop=1, rotated=False):
        _, seen = self.forward(tokens)
        name = "rotated" if rotated else "plain"
        return {at: (seen[at][name][1][:, drop:], seen[at]["values"][:, drop:]) for at in layers}

    def forward(self, tokens, store=None, settings=None, rotated=False):
        """Logits (T, V), and for each layer what its heads saw."""
        gpt2, seen = self.kind == "gpt2", []
        x = self._embed(tokens)
        layers = self.config["n_layer"] if gpt2 else self.config["num_hidden_layers"]
        for layer in range(layers):
            q, k, v = self._gpt2_heads(layer, x) if gpt2 else self._llama_heads(layer, x)
            turned = (q, k) if gpt2 else (self._turn(q), self._turn(k))
            attention = causal_softmax(*turned)
            seen.append({"plain": (q, k), "rotated": turned, "values": v, "attention": attention})
            if store and layer in store:
                v = replaced_values(*(turned if rotated else (q, k)), v, attention, *store[layer], settings)
            mixed = np.concatenate([a @ values for a, values in zip(attention, v, strict=True)], axis=1)
            x = self._gpt2_finish(layer, x, mixed) if gpt2 else self._llama_finish(layer, x, mixed)
        return self._unembed(x), seen

    def _embed(self, tokens):
        if self.kind == "gpt2":
            return self.w["wte.weight"][tokens] + self.w["wpe.weight"][: len(tokens)]
        return self.w["model.embed_tokens.weight"][tokens]

    def _unembed(self, x):
        if self.kind == "gpt2":
            return self._layer_norm(x, "ln_f") @ self.w["wte.weight"].T
        return self._rms_norm(x, "model.norm.weight") @ self.w["lm_head.weight"].T

    def _layer_norm(self, x, name):
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        return x * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def _rms_norm(self, x, name):
        return x / np.sqrt((x**2).mean(1, keepdims=True) + self.config["rms_norm_eps"]) * self.w[name]

    def _affine(self, x, name):
        return x @ self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def _gpt2_heads(self, layer, x):
        mixed = self._affine(self._layer_norm(x, f"h.{layer}.ln_1"), f"h.{layer}.attn.c_attn")
        return [split(part, self.config["n_head"]) for part in np.split(mixed, 3, axis=1)]

    def _gpt2_finish(self, layer, x, mixed):
        x = x + self._affine(mixed, f"h.{layer}.attn.c_proj")
        inner = self._affine(self._layer_norm(x, f"h.{layer}.ln_2"), f"h.{layer}.mlp.c_fc")
        inner = 0.5 * inner * (1 + np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3)))
        return x + self._affine(inner, f"h.{layer}.mlp.c_proj")

    def _llama(self, layer, name):
        return self.w[f"model.layers.{layer}.{name}.weight"].T

    def _llama_heads(self, layer, x):
        x = self._rms_norm(x, f"model.layers.{layer}.input_layernorm.weight")
        heads, groups = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        q, k, v = (x @ self._llama(layer, f"self_attn.{n}_proj") for n in "qkv")
        repeats = heads // groups
        return split(q, heads), *(np.repeat(split(part, groups), repeats, axis=0) for part in (k, v))

    def _turn(self, heads):
        _, length, d = heads.shape
        base = self.config["rope_parameters"]["rope_theta"]
        angles = np.arange(length)[:, None] * base ** (-2 * np.arange(d // 2) / d)
        turned = (heads[..., : d // 2] + 1j * heads[..., d // 2 :]) * np.exp(1j * angles)
        return np.concatenate([turned.real, turned.imag], axis=-1)

    def _llama_finish(self, layer, x, mixed):
        x = x + mixed @ self._llama(layer, "self_attn.o_proj")
        inner = self._rms_norm(x, f"model.layers.{layer}.post_attention_layernorm.weight")
        gate = inner @ self._llama(layer, "mlp.gate_proj")
        inner = gate / (1 + np.exp(-gate)) * (inner @ self._llama(layer, "mlp.up_proj"))
        return x + inner @ self._llama(layer, "mlp.down_proj")


def split(x, heads):
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def causal_softmax(q, k):
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
    scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def selected(attention, settings):
    """The token-heads (h, t) looked up, from the last row of the attention."""
    a = attention[:, -1].copy()
    if settings.bookkeeping_frac != 0:
        a[a[:, 0] <= settings.bookkeeping_frac, 0] = 0
    if settings.mem_frac != 0:
        a[a < 1 / (settings.mem_frac * a.shape[1])] = 0
    else:
        a[:, 1:] = 0
    return np.argwhere(a)


def replaced_values(q, k, v, attention, keys, values, settings):
    v = v.copy()
    for h, t in selected(attention, settings):
        near = np.argsort(((keys[h] - k[h, t]) ** 2).sum(1), kind="stable")[: settings.k]
        found_keys, found_values = keys[h][near], values[h][near]
        if settings.include_own:
            found_keys = np.vstack([k[h, t], found_keys])
            found_values = np.vstack([v[h, t], found_values])
        scores = settings.softmax_scale * (found_keys @ q[h, t]) / np.sqrt(q.shape[-1])
        p = np.exp(scores - scores.max())
        memory = p / p.sum() @ found_values
        v[h, t] = (1 - settings.residual_frac) * memory + settings.residual_frac * v[h, t]
    return v
