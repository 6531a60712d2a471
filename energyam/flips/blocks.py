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
    """A block of b neurons under way: the places that are still open come after all that are decided."""

    x: Any  # (b,) the neurons' states
    kept: Any
    energy: Any
    open: Any  # (b,)
    energies: Any  # (b,) after each place, as known so far
    steps: Any  # (b,) what each place has changed its neuron by


def bounded_block(
    flips: AbstractEnclosures,
    allowed: Bool[Array, " b"],
    same: Bool[Array, "b b"] | None,
    at: At,
    thresholds: Float[Array, " b"],
    descending: bool,
) -> Decided:
    """A block by bounds, which are taken anew after a flip if places are left; `same` None if all differ.

    Invariant: the places before the first open one are decided as one after another would decide.
    """
    places = jnp.arange(allowed.shape[0])

    def next_flip(block):
        low, high = flips.enclosure(block.kept, block.x)
        may_flip = block.open & (high > thresholds)
        place, falls = _first_that_falls(flips, block, may_flip, low > thresholds, thresholds)

        def flip():
            kept = flips.flip(block.kept, jnp.where(falls, block.x, 0), place)  # a state of 0 moves nothing
            x = block.x if same is None else jnp.where(same[place] & falls, -block.x, block.x)
            energy = flips.energy(kept, x)
            energy = jnp.minimum(block.energy, energy) if descending else energy
            return x, kept, jnp.where(falls, energy, block.energy)

        x, kept, energy = lax.cond(unvmap_any(falls), flip, lambda: block[:3])
        here, later = (places == place) & falls, (places > place) & falls
        energies = jnp.where(here | later, energy, block.energies)
        steps = jnp.where(here, -2 * block.x, block.steps)
        return _Bounded(x, kept, energy, allowed & later, energies, steps)

    x, _, energy = at
    start = _Bounded(*at, allowed, jnp.full(places.shape, energy), jnp.zeros_like(x))
    end = lax.while_loop(lambda block: unvmap_any(block.open.any()), next_flip, start)
    return end.kept, end.energies, end.steps


def _first_that_falls(flips, block, may_flip, sure, thresholds):
    """The first place that flips, and whether any does; where bounds leave it open, exactly."""

    def undecided(may_flip, sure):
        place = jnp.argmax(may_flip)
        return place, may_flip[place] & ~sure[place]

    def decide(at):
        place, needed = undecided(*at)
        close = flips, block.kept, block.x, place, thresholds[place]
        falls = where_needed(needed, _exactly, jnp.zeros((), bool), *close)
        here = (jnp.arange(may_flip.shape[0]) == place) & needed
        may_flip_, sure = at
        return may_flip_ & ~(here & ~falls), sure | here

    may_flip, _ = lax.while_loop(lambda at: unvmap_any(undecided(*at)[1]), decide, (may_flip, sure))
    place = jnp.argmax(may_flip)
    return place, may_flip[place]


def _exactly(flips, kept, x, place, threshold):
    return exceeds(flips.change(kept, x, place), threshold)


def coupled_block(
    flips: AbstractCouplings,
    allowed: Bool[Array, " b"],
    same: Bool[Array, "b b"] | None,
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
        x = x if same is None else jnp.where(same[place] & (step != 0), -x, x)
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
