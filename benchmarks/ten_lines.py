"""Asynchronous recall as a user who cares about speed would write it, in ten lines; and the naive way.

A flip moves a neuron by `step`: by −2x from x to −x (`of_signs`), by 1 − 2x from 0 to 1 and back (`of_bits`).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array

Step = Callable[[Array], Array]


def of_signs(x: Array) -> Array:
    """By how much a flip moves neurons ±1."""
    return -2 * x


def of_bits(x: Array) -> Array:
    """By how much a flip moves neurons 0 or 1."""
    return 1 - 2 * x


def overlap_twin(potential, patterns, step, states, sweeps, key):
    """Sweeps of a batch: the overlaps are carried, the potential is taken of the changed ones, and the flip
    is taken by `where`. The queries share the order. This is the twin, and all of it."""

    def try_one(carry, i):
        x, s = carry
        changed = s + step(x[:, i, None]) * patterns[None, :, i]
        flips = potential(changed) > potential(s)
        x = x.at[:, i].add(jnp.where(flips, step(x[:, i]), 0))
        return (x, jnp.where(flips[:, None], changed, s)), None

    orders = jnp.concatenate([jr.permutation(k, states.shape[1]) for k in jr.split(key, sweeps)])
    return jax.lax.scan(try_one, (states, states @ patterns.T), orders)[0][0]


def field_twin(weights, bias, step, states, sweeps, key):
    """The same for a network of weights: the fields are carried."""

    def try_one(carry, i):
        x, h = carry
        flips = step(x[:, i]) * h[:, i] > 0
        moved = jnp.where(flips, step(x[:, i]), 0)
        return (x.at[:, i].add(moved), h + moved[:, None] * weights[i]), None

    orders = jnp.concatenate([jr.permutation(k, states.shape[1]) for k in jr.split(key, sweeps)])
    return jax.lax.scan(try_one, (states, states @ weights + bias), orders)[0][0]


def naive_way(energy, step, states, order):
    """The whole energy of each state and of its flip, one neuron after another."""

    def try_one(x, i):
        flipped = x.at[i].add(step(x[i]))
        return jnp.where(energy(flipped) < energy(x), flipped, x), None

    return jax.vmap(lambda x: jax.lax.scan(try_one, x, order)[0])(states)
