"""Sweeps: neurons tried in turn, each flipped if the change of energy lies above its threshold.

Descent has the threshold 0, a heat bath T · logit(u). Three ways take the same flips, and the capabilities of
the memory's flips choose: one after another (`AbstractFlips`), in blocks with couplings inside the block
(`AbstractCouplings`), or in blocks where only what a bound leaves open is looked at (`AbstractEnclosures`).

Everything is written for one state. Under `vmap`, with an order shared by the batch, a block costs one matrix
product for all queries; conditions of loops and branches are shared by the batch, so that they stay real.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from equinox.internal import unvmap_all, unvmap_any
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from energyam.flips.capabilities import (
    AbstractCouplings,
    AbstractEnclosures,
    AbstractFlips,
    AbstractLed,
    Change,
)
from energyam.flips.seldom import where_needed

BLOCK = 16  # neurons of a block that is bounded anew after each flip
COUPLED_BLOCK = 32  # neurons of a block whose flips interact by couplings
_BY_BLOCKS = (AbstractCouplings, AbstractEnclosures)


class Swept(NamedTuple):
    """What a sweep of t tries came to: `flips` holds the neuron flipped at each try, −1 for none."""

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
        return _one_by_one(flips, at, order, free, None)

    def unled():
        return lax.cond(
            unvmap_any((free & _may_fall(flips, kept, state)).any()),
            lambda: _in_blocks(flips, at, order, free, None),
            lambda: _idle(state, energy, order),
        )

    leader = flips.leader(kept) if once and isinstance(flips, AbstractLed) else None
    if leader is None:
        return unled()
    return lax.cond(
        unvmap_all(leader[0]), lambda: Swept(*flips.follow(leader, state, energy, order, free)), unled
    )


def visit(
    flips: AbstractFlips,
    state: Float[Array, " D"],
    order: Int[Array, " t"],
    free: Bool[Array, " D"],
    thresholds: Float[Array, " t"],
) -> Swept:
    """Try the neurons of `order`; a free one flips if its change of energy lies above its threshold."""
    kept = flips.start(state)
    at = state, kept, flips.energy(kept, state)
    sweep = _in_blocks if isinstance(flips, _BY_BLOCKS) else _one_by_one
    return sweep(flips, at, order, free, thresholds)


def any_descent(
    flips: AbstractFlips, state: Float[Array, " D"], free: Bool[Array, " D"]
) -> tuple[Bool[Array, ""], Float[Array, ""]]:
    """Whether the flip of some free neuron would lower the energy; and the energy."""
    order = jnp.arange(state.shape[0])
    swept = descend(flips, state, jnp.asarray(jnp.inf, state.dtype), order, free, once=False)
    return (swept.flips >= 0).any(), flips.energy(flips.start(state), state)


def exceeds(change: Change, threshold: Float[Array, "..."]) -> Bool[Array, "..."]:
    """Whether a change lies above its threshold. At 0, descent, it must do so beyond its error."""
    return change.value > threshold + jnp.where(threshold == 0, change.error, 0)


def _may_fall(flips, kept, state):
    """For all neurons at once, whether a flip may lower the energy: wrong on the side of yes only."""
    if isinstance(flips, AbstractCouplings):
        return exceeds(flips.changes(kept, state), jnp.zeros(()))
    return flips.enclosure(kept, state, None)[1] > 0


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
        kept = _where(falls, flips.flip(kept, state, i), kept)
        state = state.at[i].multiply(jnp.where(falls, -1, 1))
        energy = jnp.where(falls, _lowered(energy, change.value), energy)
        return (state, kept, energy), (energy, jnp.where(falls, i, -1))

    thresholds = jnp.zeros(order.shape, at[0].dtype) if descending else thresholds
    (state, _, energy), (energies, flipped) = lax.scan(try_one, at, (order, thresholds))
    return Swept(state, energy, energies, flipped)


def _in_blocks(flips, at, order, free, thresholds):
    t = order.shape[0]
    coupled = isinstance(flips, AbstractCouplings)
    size = min(COUPLED_BLOCK if coupled else BLOCK, t)
    descending = thresholds is None
    thresholds = jnp.zeros(t, at[0].dtype) if descending else thresholds
    orders = jnp.pad(order, (0, -t % size), constant_values=-1).reshape(-1, size)
    blocks = orders, jnp.pad(thresholds, (0, -t % size)).reshape(-1, size)
    one_block, flips = _coupled_block if coupled else _bounded_block, flips.laid_out()
    (state, _, energy), swept = lax.scan(
        lambda at, block: one_block(flips, free, descending, at, *block), at, blocks
    )
    energies, flipped = (found.reshape(-1)[:t] for found in swept)
    return Swept(state, energy, energies, flipped)


class _Bounded(NamedTuple):
    """A block under way: the next open place is looked at, all before it are decided."""

    state: Any
    kept: Any
    energy: Any
    may_flip: Any  # (b,) later places whose change may lie above the threshold
    must_flip: Any  # (b,) those of them where it does
    energies: Any  # (b,) after each place, as known so far
    flipped: Any  # (b,)


def _bounded_block(flips, free, descending, at, neurons, thresholds):
    """A block by bounds: after a flip the bounds of the later places are taken anew.

    Invariant: the places before the first of `may_flip` are decided as one after another would decide.
    """
    places = jnp.arange(neurons.shape[0])
    allowed = (neurons >= 0) & free[neurons]

    def bounded(state, kept, last):
        low, high = flips.enclosure(kept, state, neurons)
        may_flip = allowed & (places > last) & (high > thresholds)
        return may_flip, may_flip & (low > thresholds)

    def look(block):
        place = jnp.argmax(block.may_flip)
        i, some, sure = neurons[place], block.may_flip.any(), block.must_flip[place]
        close = (flips, block.kept, block.state, i, thresholds[place])
        falls = some & where_needed(~sure & some, _exactly, sure, *close)

        def flip():
            kept = _where(falls, flips.flip(block.kept, block.state, i), block.kept)
            state = block.state.at[i].multiply(jnp.where(falls, -1, 1))
            energy = flips.energy(kept, state)
            energy = jnp.minimum(block.energy, energy) if descending else energy
            may_flip, must_flip = bounded(state, kept, jnp.where(some, place, places.size))
            return state, kept, jnp.where(falls, energy, block.energy), may_flip, must_flip

        def keep():
            later = block.may_flip & (places > place)
            return *block[:3], later, block.must_flip & later

        state, kept, energy, may_flip, must_flip = lax.cond(unvmap_any(falls), flip, keep)
        energies = jnp.where(falls & (places >= place), energy, block.energies)
        flipped = block.flipped.at[place].set(jnp.where(falls, i, block.flipped[place]))
        return _Bounded(state, kept, energy, may_flip, must_flip, energies, flipped)

    state, kept, energy = at
    start = _Bounded(
        *at, *bounded(state, kept, -1), jnp.full(places.shape, energy), jnp.full_like(neurons, -1)
    )
    end = lax.while_loop(lambda block: unvmap_any(block.may_flip.any()), look, start)
    return (end.state, end.kept, end.energy), (end.energies, end.flipped)


def _exactly(flips, kept, state, i, threshold):
    return exceeds(flips.change(kept, state, i), threshold)


def _coupled_block(flips, free, descending, at, neurons, thresholds):
    """A block by couplings: a flip moves the fields of the later places by its column of couplings.

    Invariant: `field` and `x` are those after all places up to the last one that flipped.
    """
    state, kept, energy = at
    places = jnp.arange(neurons.shape[0])
    allowed = (neurons >= 0) & free[neurons]
    couplings = flips.couplings(neurons)
    own = jnp.diagonal(couplings)
    field, error = flips.fields(kept, neurons)

    def flips_after(field, x, last):
        change = 2 * (own - x * field)
        return change, allowed & (places > last) & exceeds(Change(change, 2 * error), thresholds)

    def look(block):
        field, x, steps, falls, (change, may_flip) = block
        place = jnp.argmax(may_flip)
        step = jnp.where(may_flip[place], -2 * x[place], 0)
        here = (places == place) & may_flip
        field = field + step * couplings[place]
        x = jnp.where((neurons == neurons[place]) & (step != 0), -x, x)
        last = jnp.where(step != 0, place, places.size)
        falls = jnp.where(here, change, falls)
        return field, x, jnp.where(here, step, steps), falls, flips_after(field, x, last)

    x, none = state[neurons], jnp.zeros_like(field)
    start = field, x, none, none, flips_after(field, x, -1)
    _, _, steps, falls, _ = lax.while_loop(lambda block: unvmap_any(block[-1][1].any()), look, start)
    kept = flips.moved(kept, neurons, steps)
    outside = jnp.where(neurons < 0, state.shape[0], neurons)
    state = state.at[outside].add(steps, mode="drop")
    energies = _lowered(energy, jnp.cumsum(falls))
    return (state, kept, energies[-1]), (energies, jnp.where(steps != 0, neurons, -1))


def _where(condition, new, old):
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _lowered(energy, change):
    """energy − change, within the range of floats."""
    largest = jnp.finfo(energy.dtype).max
    return jnp.clip(energy - change, -largest, largest)
