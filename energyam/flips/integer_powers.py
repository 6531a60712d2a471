"""The exact sign of a difference of sums of integer powers, in 32-bit integers on any device."""

import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Num

from energyam.flips.seldom import where_needed

_BITS = 12  # of a limb; limb x base < 2^31 for bases below 2^18
_LIMBS = 2**18  # held at once: blocks of terms have so many limbs together, 1 MB for each side
MAX_BASE = 2**18 - 1
MAX_ORDER = 1_000


def limbs_for(n: int) -> int:
    """How many limbs hold a difference of sums of n-th powers of numbers up to `MAX_BASE`, and its sign.

    Rounded up to a power of 2, so that a sweep over n compiles seldom.
    """
    bits = 18 * n + 34  # and up to 2^32 terms
    return 2 ** max(5, math.ceil(math.log2(bits / _BITS)))


def sign_of_power_gain(
    before: Float[Array, " K"], after: Float[Array, " K"], n: Int[Array, ""], limbs: int
) -> Float[Array, ""]:
    """The sign (−1, 0, 1) of Σ_μ after_μⁿ − before_μⁿ for integers held in floats, without rounding.

    Works on `limbs` limbs of 12 bits, modulo 2^(12 limbs): right for n up to what `limbs_for` made them
    for, and |entries| ≤ `MAX_BASE`.
    """
    K = before.shape[0]
    block = min(K, max(1, _LIMBS // limbs))  # of up to 2^18 terms, whose limbs add up below 2^31
    blocks = -(-K // block)
    sides = jnp.pad(jnp.stack([after, before]), ((0, 0), (0, blocks * block - K)))  # 0ⁿ adds nothing

    def with_block(j, digits):
        part = lax.dynamic_slice_in_dim(sides, j * block, block, axis=1)
        both = _power_limbs(part.reshape(-1), n, limbs)
        total = (both[:, :block] - both[:, block:]).sum(axis=1, dtype=jnp.int32)
        return _carried(digits + _carried(total))

    digits = lax.fori_loop(0, blocks, with_block, jnp.zeros(limbs, jnp.int32))
    negative = digits[-1] >= 2 ** (_BITS - 1)  # two's complement
    return jnp.where(negative, -1.0, jnp.where(digits.any(), 1.0, 0.0)).astype(before.dtype)


def _carried(totals):
    """Sums of limbs (L,) as digits, the lowest limb first."""

    def normalise(carry, limb):
        limb = limb + carry
        return limb >> _BITS, limb & (2**_BITS - 1)

    return lax.scan(normalise, jnp.zeros_like(totals[0]), totals)[1]


def _power_limbs(base: Float[Array, " K"], n: Int[Array, ""], limbs: int) -> Int[Array, "L K"]:
    """baseⁿ as signed limbs: those of |base|ⁿ, all with the sign of baseⁿ; the lowest limb first."""
    size = jnp.abs(base).astype(jnp.int32)

    def times_size(_, power):
        def one_limb(carry, limb):
            product = limb * size + carry
            return product >> _BITS, product & (2**_BITS - 1)

        return lax.scan(one_limb, jnp.zeros_like(size), power)[1]

    one = jnp.broadcast_to(jnp.arange(limbs)[:, None] == 0, (limbs, base.shape[0])).astype(jnp.int32)
    power = lax.fori_loop(0, n, times_size, one)
    return jnp.where((base < 0) & (n & 1 == 1), -power, power)


def with_exact_sign(
    estimate: Float[Array, ""],
    bound: Float[Array, ""],
    scale: Float[Array, ""],
    before: Float[Array, " K"],
    after: Float[Array, " K"],
    n: Int[Array, ""],
    limbs: int,
) -> Float[Array, ""]:
    """`estimate` of Σ (afterⁿ − beforeⁿ) / scaleⁿ, with its sign made exact where its error `bound` leaves it
    open.

    A sum that lies within ±2^31 is what 32-bit integers make of it, however often its powers wrap around. So
    the sign costs little where the bound is that small; else it takes integers of many limbs, a hundred times
    dearer, which few need.
    """
    needed = jnp.abs(estimate) <= bound
    most, least = largest_order(limbs), jnp.maximum(jnp.abs(estimate), bound * 2**-10)
    after_, before_ = (power(s.astype(jnp.int32), n, most) for s in (after, before))
    wrapped = jnp.sum(after_ - before_, dtype=jnp.int32)
    is_small = (
        jnp.log2(jnp.maximum(bound, jnp.finfo(bound.dtype).tiny)) + n.astype(scale.dtype) * jnp.log2(scale)
        < 29
    )
    found = jnp.where(needed, jnp.sign(wrapped).astype(least.dtype) * least, estimate)

    def settle(least, before, after, n):
        return sign_of_power_gain(before, after, n, limbs) * least

    return where_needed(needed & ~is_small, settle, found, least, before, after, n)


def largest_order(limbs: int) -> int:
    """The largest n that `limbs_for` gives so many limbs for."""
    return (_BITS * limbs - 34) // 18


def power(base: Num[Array, "..."], n: Num[Array, ""], most: int) -> Num[Array, "..."]:
    """baseⁿ for whole n ≤ `most` and either sign of base, or real n and base ≥ 0.

    A whole power is a product of squares, good to n units of rounding, as much as those of the base make of
    it; eight times as fast as a `pow` on a CPU.
    """
    if not jnp.issubdtype(n.dtype, jnp.integer):
        return base**n
    result = jnp.ones_like(base)
    for bit in range(most.bit_length()):
        result = jnp.where((n >> bit) & 1 == 1, result * base, result)
        base = base * jnp.where(n >> (bit + 1) > 0, base, 1)  # no further than needed: it might underflow
    return result


def power_changes(
    before: Float[Array, " K"], after: Float[Array, " K"], scale: Float[Array, ""], n: Num[Array, ""]
) -> Float[Array, " K"]:
    """(afterⁿ − beforeⁿ) / scaleⁿ, without cancellation between the two."""
    grows = jnp.abs(after) >= jnp.abs(before)
    large, small = jnp.where(grows, after, before), jnp.where(grows, before, after)
    size = jnp.where(large == 0, 1, jnp.abs(large))
    order = n.astype(size.dtype)
    log_ratio = order * jnp.log1p((jnp.abs(small) - size) / size)
    odd = n & 1 == 1 if jnp.issubdtype(n.dtype, jnp.integer) else jnp.mod(n, 2) == 1
    opposite = odd & (large * small < 0)
    change = jnp.where(opposite, 1 + jnp.exp(log_ratio), -jnp.expm1(log_ratio))
    change = change * jnp.exp(order * jnp.log(size / scale))
    sign = jnp.where(grows, 1.0, -1.0) * jnp.where(odd & (large < 0), -1.0, 1.0)
    return jnp.where(large == 0, 0, sign * change)
