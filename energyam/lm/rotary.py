"""Rotary positions, plain or stretched to longer texts."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from energyam.lm.layers import precise


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
