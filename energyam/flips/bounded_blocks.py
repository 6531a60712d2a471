"""One block of a sweep decided by bounds: few places are looked at exactly, and the rest by one product."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from equinox.internal import unvmap_any
from jax import lax
from jaxtyping import Array, Bool, Float

from energyam.flips.abstract import AbstractFlips
from energyam.flips.seldom import where_needed


class Block(NamedTuple):
    """The neurons of a block, place by place; `same` [i, j]: places i and j hold one neuron (None: never)."""

    x: Float[Array, " b"]
    steps: Float[Array, " b"]
    allowed: Bool[Array, " b"]
    thresholds: Float[Array, " b"]
    same: Float[Array, "b b"] | None


class _Bounded(NamedTuple):
    """A block under way: the places that are still open come after all that are decided."""

    x: Float[Array, " b"]
    steps: Float[Array, " b"]
    kept: Any
    energy: Float[Array, ""]
    open: Bool[Array, " b"]
    energies: Float[Array, " b"]  # after each place, as known so far
    moved: Float[Array, " b"]


def by_bounds(
    seen: AbstractFlips,
    kept: Any,
    energy: Float[Array, ""],
    block: Block,
    descending: bool,
    exactly: Callable[..., Bool[Array, ""]],
) -> tuple[Any, Float[Array, " b"], Float[Array, " b"]]:
    """A block by bounds, which are taken anew after a move if places are left.

    Invariant: the places before the first open one are decided as one after another would decide.
    """
    places, thresholds = jnp.arange(block.allowed.shape[0]), block.thresholds

    def next_move(at):
        low, high = seen.enclosure(at.kept, at.steps)
        may_move = at.open & (high > thresholds)
        place, falls = _first_that_falls(seen, at, may_move, low > thresholds, thresholds, exactly)
        moved = jnp.where(falls, at.steps[place], 0)

        def move():
            kept = seen.move(at.kept, at.x, place[None], moved[None])
            here = places == place if block.same is None else block.same[place] > 0
            x, steps = jnp.where(here, at.x + moved, at.x), jnp.where(here, at.steps - 2 * moved, at.steps)
            energy = seen.energy(kept, x)
            energy = jnp.minimum(at.energy, energy) if descending else energy
            return x, steps, kept, jnp.where(falls, energy, at.energy)

        x, steps, kept, energy = lax.cond(unvmap_any(falls), move, lambda: at[:4])
        here, later = (places == place) & falls, (places > place) & falls
        energies = jnp.where(here | later, energy, at.energies)
        moves = jnp.where(here, moved, at.moved)
        return _Bounded(x, steps, kept, energy, block.allowed & later, energies, moves)

    still = jnp.full(places.shape, energy), jnp.zeros_like(block.x)
    start = _Bounded(block.x, block.steps, kept, energy, block.allowed, *still)
    end = lax.while_loop(lambda at: unvmap_any(at.open.any()), next_move, start)
    return end.kept, end.energies, end.moved


def _first_that_falls(seen, block, may_move, sure, thresholds, exactly):
    """The first place that moves, and whether any does; where bounds leave it open, exactly."""

    def undecided(at):
        place = jnp.argmax(at[0])
        return place, at[0][place] & ~at[1][place]

    def decide(at):
        place, needed = undecided(at)
        close = seen, block.kept, block.x, block.steps[place][None], place, thresholds[place]
        falls = where_needed(needed, exactly, jnp.zeros((), bool), *close)
        here = (jnp.arange(may_move.shape[0]) == place) & needed
        return at[0] & ~(here & ~falls), at[1] | here

    may_move, _ = lax.while_loop(lambda at: unvmap_any(undecided(at)[1]), decide, (may_move, sure))
    place = jnp.argmax(may_move)
    return place, may_move[place]
