"""One block of a sweep: its neurons decided as one after another would decide, with what they share."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from equinox.internal import unvmap_any
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree

from energyam.flips.capabilities import AbstractCouplings, AbstractEnclosures, Change
from energyam.flips.seldom import where_needed

At = tuple[Float[Array, " b"], Any, Float[Array, ""]]  # states of the block, what is kept, and the energy
Decided = tuple[Any, Float[Array, " b"], Float[Array, " b"]]  # kept, energies and steps at each place


def exceeds(change: Change, threshold: Float[Array, "..."]) -> Bool[Array, "..."]:
    """Whether a change lies above its threshold. At 0, descent, it must do so beyond its error."""
    return change.value > threshold + jnp.where(threshold == 0, change.error, 0)


class _Bounded(NamedTuple):
    """A block of b neurons under way: the next place that may flip is examined, all before it are decided."""

    x: Any  # (b,) the neurons' states
    kept: Any
    energy: Any
    may_flip: Any  # (b,) later places whose change may lie above the threshold
    must_flip: Any  # (b,) those of them where it does
    energies: Any  # (b,) after each place, as known so far
    steps: Any  # (b,) what each place has changed its neuron by


def bounded_block(
    flips: AbstractEnclosures,
    allowed: Bool[Array, " b"],
    same: Bool[Array, "b b"],
    at: At,
    thresholds: Float[Array, " b"],
    descending: bool,
) -> Decided:
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
            kept = select(falls, flips.flip(block.kept, block.x, place), block.kept)
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


def coupled_block(
    flips: AbstractCouplings,
    allowed: Bool[Array, " b"],
    same: Bool[Array, "b b"],
    at: At,
    thresholds: Float[Array, " b"],
    descending: bool,
) -> Decided:
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
        energy = jnp.where(falls, lowered(energy, change), energy)
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
    return lowered(energy, jnp.cumsum(falls)), steps


def select(condition: Bool[Array, ""], new: PyTree[Array], old: PyTree[Array]) -> PyTree[Array]:
    """`new` where the condition holds, else `old`."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def lowered(energy: Float[Array, "..."], change: Float[Array, "..."]) -> Float[Array, "..."]:
    """energy − change, within the range of floats."""
    largest = jnp.finfo(energy.dtype).max
    return jnp.clip(energy - change, -largest, largest)
