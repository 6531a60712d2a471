"""Rotary positions, plain or stretched to longer texts, and the settings of model files that ask for them."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from energyam.lm.layers import precise
from energyam.lm.weights import Weights

_KINDS = "default, linear, llama3 or yarn"


class Linear(NamedTuple):
    """All frequencies divided by `factor`.

    Chen et al., "Extending context window of large language models via positional interpolation", 2023.
    """

    factor: int | float

    def stretched(self, plain: np.ndarray, base: int | float) -> np.ndarray:
        """The frequencies (d/2,) in use, from the plain ones."""
        return plain / self.factor


class Llama3(NamedTuple):
    """Only slow frequencies divided, as in Llama 3.1.

    A frequency f turns original f / 2π times in the original context. At `high` turns or more it stays, at
    `low` or fewer it is divided by `factor`, and between them it is a mixture, linear in the turns.

    Grattafiori et al., "The Llama 3 herd of models", 2024; the numbers are in the model's configuration.
    """

    factor: int | float
    low: int | float
    high: int | float
    original: int | float

    def stretched(self, plain: np.ndarray, base: int | float) -> np.ndarray:
        """The frequencies (d/2,) in use, from the plain ones."""
        turns = self.original * plain / (2 * math.pi)
        kept = np.clip((turns - self.low) / (self.high - self.low), 0, 1)
        return kept * plain + (1 - kept) * plain / self.factor


class Yarn(NamedTuple):
    """YaRN: frequencies divided by `factor` where they turn seldom, and longer queries and keys.

    The pair i that turns n times in the original context is i(n) = d ln(original / 2πn) / (2 ln base). Pairs
    up to i(`fast`) keep their frequency, pairs from i(`slow`) on are divided, and those between are a mixture
    linear in i; `whole` rounds both ends outwards to whole pairs.

    Peng et al., "YaRN: efficient context window extension of large language models", ICLR 2024.
    """

    factor: int | float
    original: int | float
    length: int | float
    fast: int | float = 32.0
    slow: int | float = 1.0
    whole: bool = True

    def stretched(self, plain: np.ndarray, base: int | float) -> np.ndarray:
        """The frequencies (d/2,) in use, from the plain ones."""
        d = 2 * plain.size
        most = self.original / (2 * math.pi)  # radians of the fastest pair, as turns
        first, last = (d * math.log(most / n) / (2 * math.log(base)) for n in (self.fast, self.slow))
        if self.whole:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, d - 1)
        divided = np.clip((np.arange(plain.size) - first) / max(last - first, 0.001), 0, 1)
        return (1 - divided) * plain + divided * plain / self.factor


class Rotary(NamedTuple):
    """How positions turn queries and keys: the pairs (i, i + d/2) by position · base^(−2i/d).

    `scaling`: how the frequencies are stretched, if they are; `divisors`: a number for each pair (d/2,) that
    its frequency is divided by first, which GGUF files may hold in place of a scaling.

    Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.
    """

    base: int | float
    scaling: Linear | Llama3 | Yarn | None = None
    divisors: tuple[float, ...] | None = None

    def frequencies(self, d: int) -> np.ndarray:
        """The angle (d/2,) by which one position turns each pair of a head of size d."""
        plain = self.base ** (-2 * np.arange(d // 2) / d)
        if self.divisors is not None:
            plain = plain / np.array(self.divisors)
        return plain if self.scaling is None else self.scaling.stretched(plain, self.base)

    def turned(self, heads: Float[Array, "H T d"], positions: Int[Array, " T"]) -> Float[Array, "H T d"]:
        """Queries or keys with their positions, computed in float32 at least."""
        dtype, half = precise(heads.dtype), heads.shape[-1] // 2
        frequencies = jnp.asarray(self.frequencies(heads.shape[-1]), dtype)
        angles = (positions[:, None].astype(dtype) * frequencies[None, :])[None]
        length = getattr(self.scaling, "length", 1.0)  # YaRN alone makes queries and keys longer
        cos, sin = length * jnp.cos(angles), length * jnp.sin(angles)
        first, second = heads[..., :half], heads[..., half:]
        turned = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
        return turned.astype(heads.dtype)


def rotary_from_huggingface(weights: Weights, context: int) -> Rotary:
    """The rotary positions of `rope_parameters` or, in older files, of `rope_scaling` and `rope_theta`.

    Raises `ValueError` for a kind that is not supported, and for numbers that are missing or not positive.
    """
    newer, older = weights.within("rope_parameters"), weights.within("rope_scaling")
    rope = older if older.settings else newer
    base = rope.number("rope_theta", newer.number("rope_theta", weights.number("rope_theta", 10000.0)))
    kind = rope.setting("rope_type", rope.setting("type", "default"))
    for settings in (weights, rope):
        if settings.number("partial_rotary_factor", 1.0) != 1:
            raise ValueError(f"{weights.origin}: partial_rotary_factor must be 1; all of a head is turned")
    if kind == "default":
        return Rotary(base)
    if kind == "linear":
        return Rotary(base, Linear(rope.number("factor")))
    if kind == "llama3":
        return Rotary(base, _llama3(rope))
    if kind == "yarn":
        return Rotary(base, _yarn(rope, context))
    raise ValueError(f"{weights.origin}: rope_type must be {_KINDS}; got {kind!r:.80}")


def rotary_from_gguf(weights: Weights, kind: str, context: int, head_size: int) -> Rotary:
    """The rotary positions of a GGUF file of architecture `kind`.

    Raises `ValueError` for a scaling that is not supported, and for numbers that are missing or not positive.
    """
    base, divisors = weights.number(f"{kind}.rope.freq_base", 10000.0), None
    if "rope_freqs.weight" in weights.names:
        divisors = tuple(weights.tensor("rope_freqs.weight", (head_size // 2,)).tolist())
        if min(divisors) <= 0:
            raise ValueError(f"{weights.origin}: tensor 'rope_freqs.weight' must be positive; got {divisors}")
    return Rotary(base, _gguf_scaling(weights, f"{kind}.rope.", context), divisors)


def _llama3(rope: Weights) -> Llama3:
    low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
    if low >= high:
        raise ValueError(f"{rope.origin}: low_freq_factor must be below high_freq_factor; got {low}, {high}")
    return Llama3(rope.number("factor"), low, high, rope.number("original_max_position_embeddings"))


def _yarn(rope: Weights, context: int) -> Yarn:
    original = rope.number("original_max_position_embeddings", context)
    stretched = "original_max_position_embeddings" in rope.settings
    factor = rope.number("factor", context / original if stretched else None)
    mscale, over = rope.settings.get("mscale"), rope.settings.get("mscale_all_dim")
    usual = _lengthening(factor)
    if mscale and over:
        mscale, over = rope.number("mscale"), rope.number("mscale_all_dim")
        usual = _lengthening(factor, mscale) / _lengthening(factor, over)
    length = rope.number("attention_factor", usual)
    fast, slow = rope.number("beta_fast", 32.0), rope.number("beta_slow", 1.0)
    return Yarn(factor, original, length, fast, slow, rope.flag("truncate", True))


def _lengthening(factor: int | float, slope: int | float = 1.0) -> float:
    """0.1 slope ln(factor) + 1, the square root of YaRN's 1/t; 1 where nothing is stretched."""
    return 0.1 * slope * math.log(factor) + 1 if factor > 1 else 1.0


def _gguf_scaling(weights: Weights, rope: str, context: int) -> Linear | Yarn | None:
    names = [name for name in ("scaling.factor", "scale_linear") if weights.settings.get(rope + name)]
    kind = weights.setting(f"{rope}scaling.type", "linear" if names else "none")
    if kind == "none" or (kind == "linear" and not names):
        return None
    if kind == "linear":
        return Linear(weights.number(rope + names[0]))
    if kind == "yarn":
        return _gguf_yarn(weights, f"{rope}scaling.", context)
    raise ValueError(f"{weights.origin}: {rope}scaling.type must be none, linear or yarn; got {kind!r:.80}")


def _gguf_yarn(weights: Weights, scaling: str, context: int) -> Yarn:
    for name, usual in (("yarn_ext_factor", 1.0), ("yarn_log_multiplier", 0.0)):
        got = weights.settings.get(scaling + name, usual)
        if got != usual:
            raise ValueError(f"{weights.origin}: {scaling}{name} must be {usual:g}; got {got!r:.80}")
    factor = weights.number(f"{scaling}factor")
    given = weights.number(f"{scaling}attn_factor", 1.0) * weights.number(f"{scaling}yarn_attn_factor", 1.0)
    return Yarn(
        factor=factor,
        original=weights.number(f"{scaling}original_context_length", context),
        length=given * _lengthening(factor),
        fast=weights.number(f"{scaling}yarn_beta_fast", 32.0),
        slow=weights.number(f"{scaling}yarn_beta_slow", 1.0),
    )
