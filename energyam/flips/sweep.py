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

from energyam.flips.capabilities import (
    AbstractCouplings,
    AbstractEnclosures,
    AbstractFlips,
    AbstractLed,
    Change,
)
from energyam.flips.seldom import where_needed

BLOCK = 16  # neurons of a block that is bounded anew after each flip
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
            lambda: _in_blocks(flips, at, order, free, None)[0],
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
        kept = _where(falls, flips.flip(kept, state, i), kept)
        state = state.at[i].multiply(jnp.where(falls, -1, 1))
        energy = jnp.where(falls, _lowered(energy, change.value), energy)
        return (state, kept, energy), (energy, jnp.where(falls, i, -1))

    thresholds = jnp.zeros(order.shape, at[0].dtype) if descending else thresholds
    (state, kept, energy), (energies, flipped) = lax.scan(try_one, at, (order, thresholds))
    return Swept(state, energy, energies, flipped), kept


def _in_blocks(flips, at, order, free, thresholds):
    t, descending = order.shape[0], thresholds is None
    coupled = isinstance(flips, AbstractCouplings)
    one_block = _coupled_block if coupled else _bounded_block
    size = min((COUPLED_BLOCK if descending else WARM_BLOCK) if coupled else BLOCK, t)
    thresholds = jnp.zeros(t, at[0].dtype) if descending else thresholds
    orders = jnp.pad(order, (0, -t % size), constant_values=-1).reshape(-1, size)
    flips = flips.laid_out()

    def try_block(at, block):
        neurons, thresholds = block
        state, kept, energy = at
        same = neurons[:, None] == neurons[None]  # a neuron may come twice
        allowed, seen = (neurons >= 0) & free[neurons], flips.seen_from(neurons)
        start = state[neurons], kept, energy
        kept, energies, steps = one_block(seen, allowed, same, start, thresholds, descending)
        outside = jnp.where(neurons < 0, state.shape[0], neurons)
        state = state.at[outside].add(steps, mode="drop")
        return (state, kept, energies[-1]), (energies, jnp.where(steps != 0, neurons, -1))

    blocks = orders, jnp.pad(thresholds, (0, -t % size)).reshape(-1, size)
    (state, kept, energy), swept = lax.scan(try_block, at, blocks)
    energies, flipped = (found.reshape(-1)[:t] for found in swept)
    return Swept(state, energy, energies, flipped), kept


class _Bounded(NamedTuple):
    """A block of b neurons under way: the next place that may flip is examined, all before it are decided."""

    x: Any  # (b,) the neurons' states
    kept: Any
    energy: Any
    may_flip: Any  # (b,) later places whose change may lie above the threshold
    must_flip: Any  # (b,) those of them where it does
    energies: Any  # (b,) after each place, as known so far
    steps: Any  # (b,) what each place has changed its neuron by


def _bounded_block(flips, allowed, same, at, thresholds, descending):
    """A block by bounds: after a flip the bounds of the later places are taken anew.

    Invariant: the places before the first of `may_flip` are decided as one after another would decide.
    """
    places = jnp.arange(allowed.shape[0])

    def bounded(x, kept, last):
        low, high = flips.enclosure(kept, x)
        may_flip = allowed & (places > last) & (high > thresholds)
        return may_flip, may_flip & (low > thresholds)

    def look(block):
        place = jnp.argmax(block.may_flip)
        some, sure = block.may_flip.any(), block.must_flip[place]
        close = flips, block.kept, block.x, place, thresholds[place]
        falls = some & where_needed(~sure & some, _exactly, sure, *close)

        def flip():
            kept = _where(falls, flips.flip(block.kept, block.x, place), block.kept)
            x = jnp.where(same[place] & falls, -block.x, block.x)
            energy = flips.energy(kept, x)
            energy = jnp.minimum(block.energy, energy) if descending else energy
            energy = jnp.where(falls, energy, block.energy)
            may_flip, must_flip = bounded(x, kept, jnp.where(some, place, places.size))
            energies = jnp.where(falls & (places >= place), energy, block.energies)
            steps = jnp.where(falls & (places == place), -2 * block.x, block.steps)
            return _Bounded(x, kept, energy, may_flip, must_flip, energies, steps)

        def keep():
            later = block.may_flip & (places > place)
            return block._replace(may_flip=later, must_flip=block.must_flip & later)

        return lax.cond(unvmap_any(falls), flip, keep)

    x, kept, energy = at
    may_flip, must_flip = bounded(x, kept, -1)
    energies, none = jnp.full(places.shape, energy), jnp.zeros_like(x)
    start = _Bounded(x, kept, energy, may_flip, must_flip, energies, none)
    end = lax.while_loop(lambda block: unvmap_any(block.may_flip.any()), look, start)
    return end.kept, end.energies, end.steps


def _exactly(flips, kept, x, place, threshold):
    return exceeds(flips.change(kept, x, place), threshold)


def _coupled_block(flips, allowed, same, at, thresholds, descending):
    """A block by couplings: a flip moves the fields of the later places by its row of couplings."""
    x, kept, energy = at
    decide = _from_flip_to_flip if descending else _from_place_to_place  # few flip in descent
    energies, steps = decide(flips, allowed, same, (x, flips.fields(kept), energy), thresholds)
    return flips.moved(kept, steps), energies, steps


def _from_place_to_place(flips, allowed, same, at, thresholds):
    """Invariant: `x` and `field` are those before the last place, whose `step` is still to be added.

    Added one place late, so that XLA doesn't decide anew for every neuron that a step moves.
    """

    def try_one(at, place):
        x, field, energy, step = at
        here, allowed, threshold, own, error, last_couplings, last_same = place
        x, field = x + step * last_same, field + step * last_couplings
        change = 2 * (own - x[here] * field[here])
        falls = allowed & exceeds(Change(change, 2 * error), threshold)
        step = jnp.where(falls, -2 * x[here], 0)
        energy = jnp.where(falls, _lowered(energy, change), energy)
        return (x, field, energy, step), (energy, step)

    x, (field, error), energy = at
    of_last = (jnp.roll(rows, 1, axis=0) for rows in (flips.couplings(), same.astype(x.dtype)))
    places = jnp.arange(allowed.shape[0]), allowed, thresholds, flips.own_couplings(), error, *of_last
    return lax.scan(try_one, (x, field, energy, jnp.zeros((), x.dtype)), places)[1]


def _from_flip_to_flip(flips, allowed, same, at, thresholds):
    """Invariant: `field` and `x` are those after all places up to the last one that flipped."""
    x, (field, error), energy = at
    places = jnp.arange(allowed.shape[0])
    couplings, own = flips.couplings(), flips.own_couplings()

    def changes_after(field, x, last):
        change = 2 * (own - x * field)
        return change, allowed & (places > last) & exceeds(Change(change, 2 * error), thresholds)

    def look(block):
        field, x, steps, falls, (change, flips_next) = block
        place = jnp.argmax(flips_next)
        step = jnp.where(flips_next[place], -2 * x[place], 0)
        here = (places == place) & flips_next
        field = field + step * couplings[place]
        x = jnp.where(same[place] & (step != 0), -x, x)
        last = jnp.where(step != 0, place, places.size)
        falls = jnp.where(here, change, falls)
        return field, x, jnp.where(here, step, steps), falls, changes_after(field, x, last)

    none = jnp.zeros_like(field)
    start = field, x, none, none, changes_after(field, x, -1)
    _, _, steps, falls, _ = lax.while_loop(lambda block: unvmap_any(block[-1][1].any()), look, start)
    return _lowered(energy, jnp.cumsum(falls)), steps


def _where(condition, new, old):
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _lowered(energy, change):
    """energy − change, within the range of floats."""
    largest = jnp.finfo(energy.dtype).max
    return jnp.clip(energy - change, -largest, largest)
