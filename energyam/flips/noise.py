"""Random numbers of a sweep: each is a hash of a key and of its own place, made where it is needed.

The hash is Threefry-2×32 with 20 rounds, the generator of `jax.random`. Written out here it is one pass over
an array, where `jax.random.bits` on a processor takes many, and it compiles in a fifth of the time.

Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped, UInt

_ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)
_PARITY = 0x1BD11BDA
_DEFAULT_KIND = "threefry2x32"  # of keys

Words = UInt[Array, "..."]


class Noise(eqx.Module):
    """The thresholds of a sweep, T · threshold(u), with u uniform for each place in the order of neurons."""

    key: UInt[Array, "2 ..."]
    temperature: Float[Array, "..."]
    threshold: Callable

    def at(self, places: Shaped[Array, "..."], dtype: jnp.dtype) -> Float[Array, "..."]:
        """The thresholds of these places."""
        u = uniform_at(self.key[0], self.key[1], places, dtype)
        return self.temperature.astype(dtype) * self.threshold(u)


def uniform_within(shape: tuple[int, ...], dtype: jnp.dtype, *, key: PRNGKeyArray) -> Float[Array, "..."]:
    """Uniform numbers strictly between 0 and 1.

    The barrier keeps XLA from drawing them anew for each use, which took a third of a sweep.
    """
    places = jnp.arange(math.prod(shape), dtype=jnp.uint32)
    return lax.optimization_barrier(uniform_at(*words_of(key=key), places, dtype).reshape(shape))


def uniform_at(
    first: Words, second: Words, places: Shaped[Array, "..."], dtype: jnp.dtype
) -> Float[Array, "..."]:
    """A uniform number for each place, by a key of two words: (k + ½) / 2^b, b being the bits of a fraction.

    So 0 < u < 1, and u and 1 − u are exact.
    """
    places, info = places.astype(jnp.uint32), jnp.finfo(dtype)
    hashed = threefry(first, second, places, jnp.zeros_like(places))
    if info.bits == 64:
        high, low = (word.astype(jnp.uint64) for word in hashed)
        whole = (high << np.uint64(32)) | low
    else:
        whole = hashed[0] if info.bits == 32 else (hashed[0] >> np.uint32(16)).astype(jnp.uint16)
    unsigned = whole.dtype.type
    one = np.ones((), dtype).view(unsigned)
    whole = (whole >> unsigned(info.bits - info.nmant)) | one
    between_1_and_2 = lax.bitcast_convert_type(whole, dtype)
    return between_1_and_2 - np.asarray(1 - float(info.eps) / 2, dtype)


def words_of(*, key: PRNGKeyArray) -> tuple[Words, Words]:
    """Two words to hash by, of a key of any generator that jax has."""
    data = jr.key_data(key)
    data = data if data.shape == (2,) else jr.bits(key, (2,), jnp.uint32)
    return data[0], data[1]


def fold_in(number: int | Int[Array, ""], *, key: PRNGKeyArray) -> PRNGKeyArray:
    """The key of `jax.random.fold_in`, by the hash of this file where the key is of the default kind.

    The barrier keeps XLA from hashing anew for each use.
    """
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key) or jr.key_impl(key) != _DEFAULT_KIND:
        return jr.fold_in(key, number)
    number = jnp.asarray(number, jnp.uint32)
    words = jnp.stack(threefry(*words_of(key=key), jnp.zeros_like(number), number))
    return jr.wrap_key_data(lax.optimization_barrier(words), impl=_DEFAULT_KIND)


@jax.jit  # traced and lowered once for each shape
def threefry(first: Words, second: Words, left: Words, right: Words) -> tuple[Words, Words]:
    """Threefry-2×32-20 of the words `left` and `right`, by a key of two words."""
    keys = first, second, first ^ second ^ np.uint32(_PARITY)
    left, right = left + keys[0], right + keys[1]
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            left = left + right
            right = ((right << np.uint32(turn)) | (right >> np.uint32(32 - turn))) ^ left
        left = left + keys[(group + 1) % 3]
        right = right + keys[(group + 2) % 3] + np.uint32(group + 1)
    return left, right


def logit(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(u / (1 − u)), for u as they are drawn here, where 1 − u is exact."""
    return lax.optimization_barrier(jnp.log(u / (1 - u)))
