"""Sweeps: neurons tried in turn, each flipped if the change of energy lies above its threshold.

Descent has the threshold 0, a heat bath T · logit(u). Three ways take the same flips, and the capabilities of
the memory's flips choose: one after another (`AbstractFlips`), in blocks with couplings inside the block
(`AbstractCouplings`), or in blocks where a neuron is examined only if its bounds leave its flip undecided
(`AbstractEnclosures`).

Everything is written for one state. Under `vmap`, with an order shared by the batch, a block costs one matrix
product for all queries; conditions of loops and branches are shared by the batch, so that they stay real.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from equinox.internal import unvmap_all, unvmap_any
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from energyam.flips.blocks import bounded_block, coupled_block, exceeds, lowered, select
from energyam.flips.capabilities import (
    AbstractCouplings,
    AbstractEnclosures,
    AbstractFlips,
    AbstractLed,
)

BLOCK = 16  # neurons of a block that is bounded anew after each flip, at most
_FEWEST, _CACHED = (
    4,
    2**19,
)  # neurons of such a block among many patterns; floats of one that stays in a cache
COUPLED_BLOCK = 32  # neurons of a block whose flips interact by couplings, in descent
WARM_BLOCK = 64  # the same at a temperature
_BY_BLOCKS = (AbstractCouplings, AbstractEnclosures)


class Swept(NamedTuple):
    """The outcome of a sweep of t tries: `flips` holds the neuron flipped at each try, −1 for none."""

    state: Float[Array, " D"]
    energy: Float[Array, ""]
    energies: Float[Array, " t"]
    flips: Int[Array, " t"]


def descend(
    flips: AbstractFlips,
    state: Float[Array, " D"],
    energy: Float[Array, ""],
    order: Int[Array, " t"],
    free: Bool[Array, " D"],
    once: bool,
) -> Swept:
    """Try the neurons of `order`; each free one flips if, and only if, that lowers the energy.

    `energy` is that of the state as recorded so far (infinity where nothing is). What is kept is made
    afresh, so no rounding is carried from sweep to sweep. `once` says that no neuron comes twice, which
    allows the short cut behind a leading pattern.
    """
    kept = flips.start(state)
    energy = jnp.minimum(energy, flips.energy(kept, state))
    at = state, kept, energy
    if not isinstance(flips, _BY_BLOCKS):
        return _one_by_one(flips, at, order, free, None)[0]

    def unled():
        return lax.cond(
            unvmap_any((free & _may_fall(flips, kept, state)).any()),
            lambda: _in_blocks(flips, at, order, free, None, once)[0],
            lambda: _idle(state, energy, order),
        )

    led = flips if once and isinstance(flips, AbstractLed) else None
    leader = None if led is None else led.leader(kept)
    if led is None or leader is None:
        return unled()
    behind = lambda: Swept(*led.follow(leader, state, energy, order, free))  # noqa: E731
    return lax.cond(unvmap_all(leader[0]), behind, unled)


def visit(
    flips: AbstractFlips,
    state: Float[Array, " D"],
    order: Int[Array, " t"],
    free: Bool[Array, " D"],
    thresholds: Float[Array, " t"],
) -> Swept:
    """Try the neurons of `order`; a free one flips if its change of energy lies above its threshold."""
    return visit_on(flips, flips.start(state), state, order, free, thresholds)[0]


def visit_on(
    flips: AbstractFlips,
    kept: Any,
    state: Float[Array, " D"],
    order: Int[Array, " t"],
    free: Bool[Array, " D"],
    thresholds: Float[Array, " t"],
) -> tuple[Swept, Any]:
    """`visit` with what is `kept` of the state; gives what is kept at the end too.

    Of a network `flips.start` costs as much as a sweep, so runs of many sweeps carry what they keep.
    """
    at = state, kept, flips.energy(kept, state)
    if isinstance(flips, _BY_BLOCKS):
        return _in_blocks(flips, at, order, free, thresholds, False)
    return _one_by_one(flips, at, order, free, thresholds)


def any_descent(
    flips: AbstractFlips, state: Float[Array, " D"], free: Bool[Array, " D"]
) -> tuple[Bool[Array, ""], Float[Array, ""]]:
    """Whether the flip of some free neuron would lower the energy; and the energy."""
    order = jnp.arange(state.shape[0])
    swept = descend(flips, state, jnp.asarray(jnp.inf, state.dtype), order, free, once=False)
    return (swept.flips >= 0).any(), flips.energy(flips.start(state), state)


def _may_fall(flips, kept, state):
    """For all neurons at once, whether a flip may lower the energy: wrong on the side of yes only."""
    if isinstance(flips, AbstractCouplings):
        return exceeds(flips.changes(kept, state), jnp.zeros(()))
    return flips.enclosure(kept, state)[1] > 0


def _idle(state, energy, order):
    return Swept(state, energy, jnp.full(order.shape, energy), jnp.full_like(order, -1))


def _one_by_one(flips, at, order, free, thresholds):
    flips = flips.laid_out()
    descending = thresholds is None

    def try_one(at, tried):
        state, kept, energy = at
        i, threshold = tried
        change = flips.change(kept, state, i)
        falls = free[i] & exceeds(change, threshold)
        kept = select(falls, flips.flip(kept, state, i), kept)
        state = state.at[i].multiply(jnp.where(falls, -1, 1))
        energy = jnp.where(falls, lowered(energy, change.value), energy)
        return (state, kept, energy), (energy, jnp.where(falls, i, -1))

    thresholds = jnp.zeros(order.shape, at[0].dtype) if descending else thresholds
    (state, kept, energy), (energies, flipped) = lax.scan(try_one, at, (order, thresholds))
    return Swept(state, energy, energies, flipped), kept


def _bounded_size(kept):
    """How many neurons are bounded together: fewer among many patterns, so that few are bounded twice."""
    most = max(leaf.size for leaf in jax.tree.leaves(kept))
    return min(BLOCK, max(_FEWEST, _CACHED // most))


def _in_blocks(flips, at, order, free, thresholds, once):
    t, descending, kept = order.shape[0], thresholds is None, at[1]
    coupled = isinstance(flips, AbstractCouplings)
    size = min((COUPLED_BLOCK if descending else WARM_BLOCK) if coupled else _bounded_size(kept), t)
    orders = jnp.pad(order, (0, -t % size), constant_values=-1).reshape(-1, size)
    flips = flips.laid_out()

    def try_block(at, block):
        neurons, thresholds = block
        thresholds = jnp.zeros(size, at[0].dtype) if descending else thresholds
        state, kept, energy = at
        same = None if once else neurons[:, None] == neurons[None]  # a neuron may come twice
        allowed, seen = (neurons >= 0) & free[neurons], flips.seen_from(neurons)
        start = state[neurons], kept, energy
        if coupled:
            may_flip = allowed & exceeds(seen.changes(kept, start[0]), thresholds)
            # Seen anew inside: where no query flips a neuron, rows of couplings are not even read.
            given = start, thresholds, descending
            flip = lambda: coupled_block(flips.seen_from(neurons), allowed, same, *given)  # noqa: E731
            stay = lambda: (kept, jnp.full(size, energy), jnp.zeros(size, state.dtype))  # noqa: E731
            kept, energies, steps = lax.cond(unvmap_any(may_flip.any()), flip, stay)
        else:
            kept, energies, steps = bounded_block(seen, allowed, same, start, thresholds, descending)
        outside = jnp.where(neurons < 0, state.shape[0], neurons)
        state = state.at[outside].add(steps, mode="drop")
        return (state, kept, energies[-1]), (energies, jnp.where(steps != 0, neurons, -1))

    blocks = orders, None if descending else jnp.pad(thresholds, (0, -t % size)).reshape(-1, size)
    (state, kept, energy), swept = lax.scan(try_block, at, blocks)
    energies, flipped = (found.reshape(-1)[:t] for found in swept)
    return Swept(state, energy, energies, flipped), kept
