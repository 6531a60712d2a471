"""The exact sign of a difference of sums of integer powers, in 32-bit integers on any device."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Num

_BITS = 12  # of a limb; limb x base < 2^31 for bases below 2^18, and sums of limbs for K below 2^19
_LIMBS = 32  # 384 bits in all: n log2(D) + log2(K) may reach about 370


def sign_of_power_gain(
    before: Float[Array, " K"], after: Float[Array, " K"], n: Int[Array, ""]
) -> Float[Array, ""]:
    """The sign (−1, 0, 1) of Σ_μ after_μⁿ − before_μⁿ for integers held in floats, without rounding.

    Works modulo 2^384 on limbs of 12 bits. The result is right where the difference itself lies within
    ±2^383, |entries| < 2^18 and K < 2^19.
    """
    limbs = _power_limbs(after, n) - _power_limbs(before, n)
    total = limbs.sum(axis=1, dtype=jnp.int32)

    def normalise(carry, limb):
        limb = limb + carry
        return limb >> _BITS, limb & (2**_BITS - 1)

    _, digits = lax.scan(normalise, jnp.int32(0), total)
    negative = digits[-1] >= 2 ** (_BITS - 1)  # two's complement
    return jnp.where(negative, -1.0, jnp.where(digits.any(), 1.0, 0.0)).astype(before.dtype)


def _power_limbs(base: Float[Array, " K"], n: Int[Array, ""]) -> Int[Array, "L K"]:
    """baseⁿ as signed limbs: those of |base|ⁿ, all with the sign of baseⁿ; the lowest limb first."""
    size = jnp.abs(base).astype(jnp.int32)

    def times_size(_, limbs):
        def one_limb(carry, limb):
            product = limb * size + carry
            return product >> _BITS, product & (2**_BITS - 1)

        return lax.scan(one_limb, jnp.zeros_like(size), limbs)[1]

    one = jnp.zeros((_LIMBS, base.shape[0]), jnp.int32).at[0].set(1)
    limbs = lax.fori_loop(0, n, times_size, one)
    return jnp.where((base < 0) & (n % 2 == 1), -limbs, limbs)


@jax.custom_batching.custom_vmap
def settle_sign(
    estimate: Float[Array, ""],
    bound: Float[Array, ""],
    before: Float[Array, " K"],
    after: Float[Array, " K"],
    n: Int[Array, ""],
) -> Float[Array, ""]:
    """`estimate`, with its sign made exact where its error `bound` leaves it open.

    Exact arithmetic is a hundred times dearer than the estimate and seldom needed, so under `vmap` it
    runs only for the queries that need it, one after another.
    """
    return lax.cond(
        jnp.abs(estimate) > bound,
        lambda: estimate,
        lambda: _with_sign(sign_of_power_gain(before, after, n), estimate, bound),
    )


@settle_sign.def_vmap
def _settle_batch(axis_size, in_batched, estimate, bound, before, after, n):
    def whole(array, batched):
        return array if batched else jnp.broadcast_to(array, (axis_size, *array.shape))

    estimate, bound, before, after, n = map(whole, (estimate, bound, before, after, n), in_batched)

    def settle_one(carry):
        open_, gains = carry
        b = jnp.argmax(open_)
        sign = sign_of_power_gain(before[b], after[b], n[b])
        return open_.at[b].set(False), gains.at[b].set(_with_sign(sign, estimate[b], bound[b]))

    _, gains = lax.while_loop(
        lambda carry: carry[0].any(), settle_one, (jnp.abs(estimate) <= bound, estimate)
    )
    return gains, True


def _with_sign(sign, estimate, bound):
    return sign * jnp.maximum(jnp.abs(estimate), bound * 2**-10)


def power(base: Float[Array, "..."], n: Num[Array, ""]) -> Float[Array, "..."]:
    """baseⁿ for whole n of either sign of base, or real n and base ≥ 0."""
    if jnp.issubdtype(n.dtype, jnp.integer):
        return lax.pow(base, jnp.broadcast_to(n, base.shape))
    return base**n


def power_changes(before, after, scale, n):
    """(afterⁿ − beforeⁿ) / scaleⁿ, without cancellation between the two."""
    grows = jnp.abs(after) >= jnp.abs(before)
    large, small = jnp.where(grows, after, before), jnp.where(grows, before, after)
    size = jnp.where(large == 0, 1, jnp.abs(large))
    log_ratio = n * jnp.log1p((jnp.abs(small) - size) / size)
    odd = jnp.mod(n, 2) == 1
    opposite = odd & (large * small < 0)
    change = jnp.where(opposite, 1 + jnp.exp(log_ratio), -jnp.expm1(log_ratio))
    change = change * jnp.exp(n * jnp.log(size / scale))
    sign = jnp.where(grows, 1, -1) * jnp.where(odd & (large < 0), -1, 1)
    return jnp.where(large == 0, 0, sign * change)
