"""Sweeps of asynchronous recall: every neuron of an order in turn, and the short cut behind a leader."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from energyam.memories.base import AbstractIncrements, AbstractMemory, EnergyIncrements
from energyam.memories.dense import AbstractDenseAM
from energyam.memories.neurons import Binary
from energyam.memories.polynomial import Polynomial
from energyam.memories.products import overlaps
from energyam.memories.separation import LogSumExp, Quadratic, ReLU

CHUNK = 8  # neurons whose signs are taken together
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
    unknown = jnp.asarray(jnp.inf, state.dtype)  # the sweep takes the energy anew
    flips = try_each(memory, state, unknown, jnp.arange(state.shape[0]), clamp)[3]
    return (flips >= 0).any()


def try_each(
    memory: Any,
    state: Float[Array, " D"],
    energy: Float[Array, ""],
    order: Int[Array, " t"],
    clamp: Bool[Array, " D"],
) -> Swept:
    """Try the neurons of `order` one by one; each flips if, and only if, that lowers the energy.

    Cheap signs are taken of all neurons first, which settle the matter where no flip is open. Else they are
    taken of a chunk of neurons at once, and gains only of those whose sign they leave open; after a flip the
    rest of the chunk is looked at anew. The flips are those of a gain for every neuron.
    """
    return _either(_settled, _idle, _try_chunks, memory, state, energy, order, clamp)


def _settled(memory, state, energy, order, clamp):
    """Whether cheap signs shut out every flip; with the currents and the energy, made afresh.

    So no rounding is carried from sweep to sweep.
    """
    increments = increments_of(memory)
    currents = increments.currents(state)
    lower = jnp.minimum(energy, increments.energy(currents, state))
    return (clamp | (increments.signs(currents, state) < 0)).all(), currents, lower


def _idle(memory, state, energy, order, clamp, currents, lower):
    return state, lower, jnp.full(order.shape, lower), jnp.full_like(order, -1)


def _try_chunks(memory, state, energy, order, clamp, currents, lower):
    size = min(CHUNK, order.shape[0])
    chunks = jnp.pad(order, (0, -order.shape[0] % size), constant_values=-1).reshape(-1, size)
    one_chunk = functools.partial(_try_chunk, increments_of(memory), clamp)
    (state, _, energy), swept = lax.scan(one_chunk, (state, currents, lower), chunks)
    energies, flips = (found.reshape(-1)[: order.shape[0]] for found in swept)
    return state, energy, energies, flips


def _try_chunk(increments, clamp, at, neurons):
    """Try a few neurons, −1 for none, from (state, currents, energy); their energies and flips too."""
    places = jnp.arange(neurons.shape[0])

    def told_of(state, currents, after):
        free = (neurons >= 0) & ~clamp[neurons] & (places > after)
        return jnp.where(free, increments.signs(currents, state, neurons), -1)

    def try_next(left):
        told, (state, currents, energy), energies, flips = left
        place = jnp.argmax(told >= 0)
        i = neurons[place]
        falls = lax.cond(told[place] > 0, lambda: True, lambda: increments.gain(currents, state, i) > 0)

        def flip():
            flipped, turned = increments.flip(currents, state, i), state.at[i].multiply(-1)
            lower = jnp.minimum(energy, increments.energy(flipped, turned))
            return told_of(turned, flipped, place), (turned, flipped, lower)

        def keep():
            return jnp.where(places > place, told, -1), (state, currents, energy)

        told, at = lax.cond(falls, flip, keep)
        energies = jnp.where(places >= place, at[2], energies)
        return told, at, energies, flips.at[place].set(jnp.where(falls, i, -1))

    start = told_of(at[0], at[1], -1), at, jnp.full(neurons.shape, at[2]), jnp.full_like(neurons, -1)
    _, at, energies, flips = lax.while_loop(lambda left: (left[0] >= 0).any(), try_next, start)
    return at, (energies, flips)


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
        return _either(_leader, _follow, _unled, memory, state, energy, order, clamp)
    return try_each(memory, state, energy, order, clamp)


def _either(condition, holds, fails, *args):
    """`holds` or `fails`, as the first of `condition(*args)` says, of the args and of what else it found.

    `lax.cond` under `vmap` would run both branches: here all queries of a batch take `holds`, or none.
    """
    arrays, rest = eqx.partition(args, eqx.is_array)  # a user's memory may hold functions

    def whole(function):
        return lambda arrays, *found: function(*eqx.combine(arrays, rest), *found)

    @jax.custom_batching.custom_vmap
    def either(arrays):
        which, *found = whole(condition)(arrays)
        return lax.cond(which, whole(holds), whole(fails), arrays, *found)

    @either.def_vmap
    def either_for_all(axis_size, in_batched, arrays):
        axes = jax.tree.map(lambda batched: 0 if batched else None, in_batched[0])
        which, *found = jax.vmap(whole(condition), in_axes=(axes,))(arrays)
        in_axes = (axes, *[0] * len(found))
        branches = (jax.vmap(whole(branch), in_axes=in_axes) for branch in (holds, fails))
        swept = lax.cond(which.all(), *branches, arrays, *found)
        return swept, jax.tree.map(lambda _: True, swept)

    return either(arrays)


def _leader(memory, state, energy, order, clamp):
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
