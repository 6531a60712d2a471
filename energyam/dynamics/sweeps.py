"""Sweeps of asynchronous recall: every neuron of an order in turn, and the short cut behind a leader."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from energyam.memories.base import AbstractIncrements, AbstractMemory, EnergyIncrements
from energyam.memories.blocks import overlaps
from energyam.memories.dense import AbstractDenseAM
from energyam.memories.neurons import Binary
from energyam.memories.separation import LogSumExp, Polynomial, Quadratic, ReLU

# State, energy, and the energies and flips of the neurons tried.
Swept = tuple[Float[Array, " D"], Float[Array, ""], Float[Array, " t"], Int[Array, " t"]]


def increments_of(memory: Any) -> AbstractIncrements:
    """How single flips change the energy of a binary memory, or of any object with an `energy`."""
    if not callable(getattr(memory, "energy", None)):
        raise ValueError(
            f"memory must have an energy(x) for flips; {type(memory).__name__} has none (use Synchronous())"
        )
    if not isinstance(memory, AbstractMemory):
        return EnergyIncrements(memory)
    if not isinstance(memory.neurons, Binary):
        raise ValueError(
            f"memory must have ±1 neurons for flips; those of {type(memory).__name__} are "
            f"{type(memory.neurons).__name__} (use Synchronous() or GradientDescent(step_size))"
        )
    return memory.increments()


def any_gain(memory: Any, state: Float[Array, " D"], clamp: Bool[Array, " D"]) -> Bool[Array, ""]:
    """Whether some free neuron's flip would lower the energy."""
    increments = increments_of(memory)
    currents = increments.currents(state)
    gains = lax.map(lambda i: increments.gain(currents, state, i), jnp.arange(state.shape[0]))
    return ((gains > 0) & ~clamp).any()


def try_each(
    memory: Any,
    state: Float[Array, " D"],
    energy: Float[Array, ""],
    order: Int[Array, " t"],
    clamp: Bool[Array, " D"],
) -> Swept:
    """Try the neurons of `order` one by one; each flips if, and only if, that lowers the energy."""
    increments = increments_of(memory)
    # Currents and energy start afresh, so that no rounding is carried from sweep to sweep.
    currents = increments.currents(state)
    energy = jnp.minimum(energy, increments.energy(currents, state))

    def try_one(carry, i):
        state, currents, energy = carry
        gain = increments.gain(currents, state, i)
        falls = (gain > 0) & ~clamp[i]
        flipped = increments.flip(currents, state, i)
        currents = jax.tree.map(lambda new, old: jnp.where(falls, new, old), flipped, currents)
        energy = jnp.maximum(energy - jnp.where(falls, gain, 0), jnp.finfo(energy.dtype).min)
        state = state.at[i].multiply(jnp.where(falls, -1, 1))
        return (state, currents, energy), (energy, jnp.where(falls, i, -1))

    (state, _, energy), (energies, flips) = lax.scan(try_one, (state, currents, energy), order)
    return state, energy, energies, flips


def sweep(
    memory: Any,
    state: Float[Array, " D"],
    energy: Float[Array, ""],
    order: Int[Array, " D"],
    clamp: Bool[Array, " D"],
) -> Swept:
    """`try_each` over an order in which no neuron comes twice: the same flips, found faster if one leads."""
    # The bound in `_leader` holds where |F'| grows with the similarity.
    growing = (Quadratic, ReLU, Polynomial, LogSumExp)
    if isinstance(memory, AbstractDenseAM) and isinstance(memory.separation, growing):
        return _follow_or_try(memory, state, energy, order, clamp)
    return try_each(memory, state, energy, order, clamp)


@jax.custom_batching.custom_vmap
def _follow_or_try(memory, state, energy, order, clamp):
    leads, leader, overlap = _leader(memory, state)
    follow = (_follow, _unled)
    return lax.cond(leads, *follow, memory, state, energy, order, clamp, leader, overlap)


@_follow_or_try.def_vmap
def _follow_or_try_batch(axis_size, in_batched, *args):
    # `lax.cond` under `vmap` would run both branches: here all queries of a batch take the same one.
    axes = jax.tree.map(lambda batched: 0 if batched else None, in_batched)
    leads, *led = jax.vmap(_leader, in_axes=axes[:2])(*args[:2])
    follow = (jax.vmap(branch, in_axes=(*axes, 0, 0)) for branch in (_follow, _unled))
    swept = lax.cond(leads.all(), *follow, *args, *led)
    return swept, jax.tree.map(lambda _: True, swept)


def _leader(memory, state):
    """Whether one pattern so outweighs all others that it alone decides every flip from here on.

    A flip it agrees to takes its overlap s up by 2 and any other, |s'|, up by 2 at most. So the others
    never come nearer than they would at its last flip, s = D. If even there |F'(s' + 2)| summed over all
    others is lost in the rounding of F'(s − 2), the leader decides each flip, and makes the energy.
    """
    similar = overlaps(memory.patterns, state)
    K, D = memory.patterns.shape
    leader = jnp.argmax(similar)
    s = jnp.max(similar)
    others = jnp.max(jnp.abs(similar), where=jnp.arange(K) != leader, initial=0)
    at_last = jnp.stack([jnp.full_like(s, D - 2), others + (D - s) + 2])
    ahead, behind = jnp.abs(memory.separation.weights(at_last))
    outweighs = ahead * jnp.finfo(s.dtype).eps > (K - 1) * behind
    return (s - 2 > others + 2) & outweighs, leader, s


def _follow(memory, state, energy, order, clamp, leader, overlap):
    """What `try_each` comes to behind a leader: the free neurons that disagree with it flip."""
    # Indexed by an array of one: a number would make XLA gather sharded patterns from all devices.
    pattern = memory.patterns[leader[None]][0].astype(state.dtype)
    flips = (state != pattern) & ~clamp
    overlap = overlap + 2 * jnp.cumsum(flips[order])
    energies = -jax.vmap(memory.separation.potential)(overlap[:, None])
    energies = lax.cummin(jnp.minimum(energy, energies))
    return jnp.where(flips, pattern, state), energies[-1], energies, jnp.where(flips[order], order, -1)


def _unled(memory, state, energy, order, clamp, leader, overlap):
    return try_each(memory, state, energy, order, clamp)
