"""Corrupted and random patterns: flipped bits, masked halves, chosen bias and correlation."""

from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike, Bool, Int8, PRNGKeyArray, Shaped

from energyam import checks
from energyam.datasets.keys import key_by_name

Side = Literal["top", "bottom", "left", "right"]


@key_by_name
def flip_bits(
    patterns: ArrayLike, fraction: ArrayLike, exact: bool = True, *, key: PRNGKeyArray
) -> Shaped[Array, "*batch D"]:
    """Patterns (*batch, D), entries ±1, with a fraction of each pattern's bits flipped, in their dtype.

    **Arguments:** `exact`: flip just round(fraction · D) bits of each pattern, drawn without replacement;
    otherwise each bit flips independently with probability `fraction`.

    Raises `ValueError` for patterns that are not ±1, a fraction outside 0 to 1, or no key.

        >>> pattern = jnp.ones(8, int)
        >>> int((eam.datasets.flip_bits(pattern, 0.25, key=jr.key(0)) != pattern).sum())
        2
    """
    patterns = _as_binary("patterns", patterns, "... D")
    fraction = checks.fraction("fraction", fraction, "")
    return _flipped(patterns, fraction, checks.flag("exact", exact), key=key)


@partial(jax.jit, static_argnums=2)
def _flipped(patterns, fraction, exact, *, key):
    chance = jr.uniform(key, patterns.shape)
    if exact:  # the ranks of the chances: each row a random permutation of 0 … D − 1
        ranks = jnp.argsort(jnp.argsort(chance, axis=-1), axis=-1)
        flips = ranks < jnp.round(fraction * patterns.shape[-1]).astype(ranks.dtype)
    else:
        flips = chance < fraction
    return jnp.where(flips, -patterns, patterns)


@key_by_name
def mask_half(
    pictures: ArrayLike, side: Side = "bottom", *, key: PRNGKeyArray
) -> tuple[Shaped[Array, "*batch H W"], Bool[Array, "H W"]]:
    """Pictures (*batch, H, W) with one half replaced by random ±1, and a mask of the pixels that are still
    known.

    Pass the mask as `clamp` (both flattened) to complete the picture. `side` is the half that is lost:
    "top", "bottom", "left" or "right". Raises `ValueError` for another one, for pictures that are not ±1,
    or without a key.

        >>> picture, known = eam.datasets.mask_half(jnp.ones((4, 4), int), "bottom", key=jr.key(0))
        >>> known.astype(int)[:, 0]  # pass `clamp=known.ravel()` to recall
        Array([1, 1, 0, 0], dtype=int32)
    """
    pictures = _as_binary("pictures", pictures, "... H W")
    return _masked(pictures, checks.one_of("side", side, get_args(Side)), key=key)


@partial(jax.jit, static_argnums=1)
def _masked(pictures, side, *, key):
    H, W = pictures.shape[-2:]
    rows, columns = jnp.arange(H)[:, None], jnp.arange(W)[None]
    upper, left = rows < H // 2, columns < W // 2
    lost = {"top": upper, "bottom": ~upper, "left": left, "right": ~left}
    known = jnp.broadcast_to(~lost[side], (H, W))
    noise = jr.rademacher(key, pictures.shape, dtype=pictures.dtype)
    return jnp.where(jnp.broadcast_to(known, pictures.shape), pictures, noise), known


@key_by_name
def random_patterns(
    num_patterns: int, dim: int, bias: ArrayLike = 0.0, correlation: ArrayLike = 0.0, *, key: PRNGKeyArray
) -> Int8[Array, "K D"]:
    """Random ±1 patterns (K, D) with mean `bias` and a chosen correlation between patterns.

    Each neuron copies a common parent pattern with probability √correlation and is drawn anew otherwise,
    so that E[ξ_i] = bias and, for μ ≠ ν, the covariance of ξ_μi and ξ_νi is correlation · (1 − bias²).

    **Arguments:** `num_patterns`: K; `dim`: D, the number of neurons.

    Raises `ValueError` for a bias outside −1 to 1, a correlation outside 0 to 1, counts below 1, or no key.

        >>> patterns = eam.datasets.random_patterns(100, 64, correlation=0.25, key=jr.key(0))
        >>> patterns.shape, sorted(set(patterns.ravel().tolist()))
        ((100, 64), [-1, 1])
    """
    K, D = checks.count("num_patterns", num_patterns), checks.count("dim", dim)
    correlation = checks.fraction("correlation", correlation, "")
    checks.within("bias", bias, -1, 1)
    return _drawn(K, D, checks.as_floats("bias", bias, ""), correlation, key=key)


@partial(jax.jit, static_argnums=(0, 1))
def _drawn(K, D, bias, correlation, *, key):
    parent_key, own_key, copy_key = jr.split(key, 3)
    up = 0.5 + 0.5 * bias
    parent = jr.bernoulli(parent_key, up, (1, D))
    own = jr.bernoulli(own_key, up, (K, D))
    copies = jr.bernoulli(copy_key, jnp.sqrt(correlation), (K, D))
    return 2 * jnp.where(copies, jnp.broadcast_to(parent, (K, D)), own).astype(jnp.int8) - 1


def _as_binary(name: str, given: ArrayLike, dims: str) -> Shaped[Array, "..."]:
    """What is ±1 in its own dtype, as sums of products of int8 wrap; raises `ValueError` for others."""
    array = checks.as_array(name, given, dims)
    binary = checks.as_binary(name, array, dims)
    return binary.astype(array.dtype) if jnp.issubdtype(array.dtype, jnp.signedinteger) else binary
