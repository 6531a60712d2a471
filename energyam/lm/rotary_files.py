"""The rotary positions that a model's configuration asks for: Hugging Face's settings or GGUF's."""

import math

from energyam.lm.rotary import Linear, Llama3, Rotary, Yarn
from energyam.lm.weights import Weights

_KINDS = "default, linear, llama3 or yarn"


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
    raise ValueError(f"{weights.origin}: rope_type must be {_KINDS}; got {kind!r}")


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
    factor = weights.settings.get(f"{rope}scaling.factor") or weights.settings.get(f"{rope}scale_linear")
    kind = weights.setting(f"{rope}scaling.type", "linear" if factor else "none")
    if kind == "none" or (kind == "linear" and not factor):
        return None
    if kind == "linear":
        name = "scaling.factor" if weights.settings.get(f"{rope}scaling.factor") else "scale_linear"
        return Linear(weights.number(f"{rope}{name}"))
    if kind == "yarn":
        return _gguf_yarn(weights, f"{rope}scaling.", context)
    raise ValueError(f"{weights.origin}: {rope}scaling.type must be none, linear or yarn; got {kind!r}")


def _gguf_yarn(weights: Weights, scaling: str, context: int) -> Yarn:
    for name, usual in (("yarn_ext_factor", 1.0), ("yarn_log_multiplier", 0.0)):
        got = weights.settings.get(scaling + name, usual)
        if got != usual:
            raise ValueError(f"{weights.origin}: {scaling}{name} must be {usual:g}; got {got!r}")
    factor = weights.number(f"{scaling}factor")
    given = weights.number(f"{scaling}attn_factor", 1.0) * weights.number(f"{scaling}yarn_attn_factor", 1.0)
    return Yarn(
        factor=factor,
        original=weights.number(f"{scaling}original_context_length", context),
        length=given * _lengthening(factor),
        fast=weights.number(f"{scaling}yarn_beta_fast", 32.0),
        slow=weights.number(f"{scaling}yarn_beta_slow", 1.0),
    )
