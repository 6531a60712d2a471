"""The sweep: neurons tried in turn, each moved if the change of energy lies above its threshold.

Descent has the threshold 0, a heat bath T · logit(u); nothing else differs. A block of neurons is decided
together, as one after another would decide: in rounds, or by bounds (`energyam.flips.plan` says which, and
how many neurons). Flips that offer no blocks go one neuron after another.

Everything is written for one state. Under `vmap`, with an order shared by the batch, a block costs one matrix
product for all queries; conditions of loops and branches are shared by the batch, so that they stay real.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from equinox.internal import unvmap_all, unvmap_any
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from energyam.flips import plan as table
from energyam.flips.abstract import AbstractFlips, Moving, Swept, exceeds
from energyam.flips.seldom import where_needed
from energyam.linalg import dot


class _Block(NamedTuple):
    """The neurons of a block, place by place; `same` [i, j]: places i and j hold one neuron (None: never)."""

    x: Float[Array, " b"]
    steps: Float[Array, " b"]
    allowed: Bool[Array, " b"]
    thresholds: Float[Array, " b"]
    same: Float[Array, "b b"] | None


def descend(
    flips: AbstractFlips,
    neurons: Moving,
    energy: Float[Array, ""],
    order: Int[Array, " t"] | None,
    once: bool,
) -> Swept:
    """Try the neurons of `order`; each free one moves if, and only if, that lowers the energy.

    `energy` is that of the state as recorded so far (infinity where nothing is). What is kept is made
    afresh, so no rounding is carried from sweep to sweep. An `order` of None is that of the flips' colours.
    `once` says that no neuron comes twice, which
    allows the short cut behind a leading pattern.
    """
    kept = flips.start(neurons.state)
    energy = jnp.minimum(energy, flips.energy(kept, neurons.state))
    if order is None:
        return _by_colour(flips, neurons, kept, energy, jnp.zeros_like(neurons.state))[0]
    how = table.planned(flips, kept, neurons, order, True)
    if how is None:
        return _one_by_one(flips, neurons, kept, energy, order, None)[0]

    def unled():
        # For all neurons at once, what a change may be at the most, less the error that descent allows it.
        if how.bounded:
            _, most = flips.enclosure(kept, neurons.steps)  # type: ignore[misc]
        else:
            change = flips.changes(kept)(neurons.steps, None)
            most = change.value - change.error
        return lax.cond(
            unvmap_any((neurons.free & (most > 0)).any()),
            lambda: _in_blocks(flips, neurons, kept, energy, order, None, once, how)[0],
            lambda: Swept(neurons.state, energy, jnp.full(order.shape, energy), jnp.full_like(order, -1)),
        )

    leader = flips.leader(kept) if once else None
    if leader is None:
        return unled()
    return lax.cond(unvmap_all(leader.leads), functools.partial(leader.follow, neurons, energy, order), unled)


@contextlib.contextmanager
def for_queries(number: int) -> Iterator[None]:
    """Within it, what is traced is for a batch of so many queries."""
    before = table.queries.set(number)
    try:
        yield
    finally:
        table.queries.reset(before)


def visit(
    flips: AbstractFlips,
    kept: Any,
    neurons: Moving,
    order: Int[Array, " t"] | None,
    thresholds: Float[Array, " t"],
    once: bool,
) -> tuple[Swept, Any]:
    """Try the neurons of `order`; a free one moves if its change of energy lies above its threshold.

    An `order` of None is that of the flips' colours.

    Takes and gives what is `kept` of the state. Of a network `flips.start` costs as much as a sweep, so runs
    of many sweeps carry what they keep.
    """
    energy = flips.energy(kept, neurons.state)
    if order is None:
        return _by_colour(flips, neurons, kept, energy, thresholds)
    how = table.planned(flips, kept, neurons, order, False)
    if how is None:
        return _one_by_one(flips, neurons, kept, energy, order, thresholds)
    return _in_blocks(flips, neurons, kept, energy, order, thresholds, once, how)


def any_descent(flips: AbstractFlips, neurons: Moving) -> tuple[Bool[Array, ""], Float[Array, ""]]:
    """Whether the move of some free neuron would lower the energy; and the energy."""
    order = jnp.arange(neurons.state.shape[0]) if flips.colours() is None else None
    swept = descend(flips, neurons, jnp.asarray(jnp.inf, neurons.state.dtype), order, once=False)
    return (swept.flips >= 0).any(), flips.energy(flips.start(neurons.state), neurons.state)


def lowered(energy: Float[Array, "..."], change: Float[Array, "..."]) -> Float[Array, "..."]:
    """energy − change, within the range of floats."""
    largest = jnp.finfo(energy.dtype).max
    return jnp.clip(energy - change, -largest, largest)


def _steps_now(neurons, state, i):
    """What a move adds to neurons now: back, where they have moved. (Carried, XLA would copy it each try.)"""
    steps = neurons.steps[i]
    return jnp.where(2 * jnp.abs(state[i] - neurons.state[i]) > jnp.abs(steps), -steps, steps)


def _by_colour(flips, neurons, kept, energy, thresholds):
    state, kept, moved, gains = flips.by_colour(kept, neurons, thresholds)
    # The last energy is a sum of its own: where nobody asks for the others, they are not computed.
    energies = jnp.append(lowered(energy, jnp.cumsum(gains[:-1])), lowered(energy, jnp.sum(gains)))
    return Swept(state, energies[-1], energies, jnp.where(moved, flips.colours(), -1)), kept


def _one_by_one(flips, neurons, kept, energy, order, thresholds):
    flips = flips.laid_out()

    def try_one(at, tried):
        state, kept, energy = at
        i, threshold = tried
        step = _steps_now(neurons, state, i[None])
        change, after = flips.attempt(kept, state, i[None], step)
        falls = neurons.free[i] & exceeds(change, threshold)
        moved = jnp.where(falls, step, 0)
        state = state.at[i[None]].add(moved)
        energy = jnp.where(falls, lowered(energy, change.value), energy)
        kept = jax.tree.map(functools.partial(jnp.where, falls), after, kept)
        return (state, kept, energy), (energy, jnp.where(falls, i, -1))

    thresholds = jnp.zeros(order.shape, neurons.state.dtype) if thresholds is None else thresholds
    start = neurons.state, kept, energy
    (state, kept, energy), (energies, moved) = lax.scan(try_one, start, (order, thresholds))
    return Swept(state, energy, energies, moved), kept


def _in_blocks(flips, neurons, kept, energy, order, thresholds, once, how):
    t, descending, flips = order.shape[0], thresholds is None, flips.laid_out()
    thresholds = jnp.zeros(t, neurons.state.dtype) if descending else thresholds

    by_block = lambda values: jnp.pad(values, (0, -t % how.size)).reshape(-1, how.size)  # noqa: E731

    def decide(at, block):
        own, kept, energy = at
        of_block, allowed, thresholds, start = block
        x, steps = start if once else (own[of_block], _steps_now(neurons, own, of_block))
        same = None if once else (of_block[:, None] == of_block[None]).astype(x.dtype)
        tried, seen = _Block(x, steps, allowed, thresholds, same), flips.block(of_block)
        if how.how == "rounds":
            kept, energies, moved = _by_rounds(seen, kept, energy, tried, how.looks_first)
        else:
            kept, energies, moved = _by_bounds(seen, kept, energy, tried, descending)
        if not once:
            own = own.at[of_block].add(moved)
        return (own, kept, energies[-1]), (energies, moved)

    start = (by_block(neurons.state[order]), by_block(neurons.steps[order])) if once else None
    blocks = by_block(order), by_block(neurons.free[order]), by_block(thresholds), start
    own: Any = None if once else neurons.state
    (own, kept, energy), found = lax.scan(decide, (own, kept, energy), blocks)
    energies, moved = found[0].reshape(-1)[:t], found[1].reshape(-1)[:t]
    place = jnp.full(neurons.state.shape, t).at[order].set(jnp.arange(t))
    state = neurons.state + jnp.pad(moved, (0, 1))[place] if once else own
    return Swept(state, energy, energies, jnp.where(moved != 0, order, -1)), kept


def _by_rounds(seen, kept, energy, block, looks_first):
    """A block in rounds: all places are decided by a guess of the moves before them, until nothing changes.

    Place j moves if its change, after the moves of all places before it, lies above its threshold. The first
    guess is that none moves, the next ones are what came out. After k rounds the first k places are right,
    whatever the guess was, so what stays as it is is the answer; a few rounds do.
    """
    earlier = None if block.same is None else jnp.triu(block.same, 1)

    def next_round(changes, at):
        steps, before = block.steps, at[1]
        if earlier is not None and before is not None:  # a neuron that has moved an odd number of times
            odd = dot((before != 0).astype(steps.dtype), earlier) % 2 == 1
            steps = jnp.where(odd, -steps, steps)
        change = changes(steps, before)
        falls = block.allowed & exceeds(change, block.thresholds)
        moved = jnp.where(falls, steps, 0)
        differs = moved != (0 if before is None else before)
        return jnp.where(falls, change.value, 0), moved, unvmap_any(differs.any())

    def rounds(changes, start):
        falls, moved, _ = lax.while_loop(lambda at: at[2], functools.partial(next_round, changes), start)
        return seen.move_all(kept, moved), lowered(energy, jnp.cumsum(falls)), moved

    changes = seen.changes(kept)
    start = next_round(changes, (None, None, None))
    if not looks_first:
        return rounds(changes, start)
    # For few queries, couplings within a block in which nothing moves are not even read.
    still = kept, energy + 0 * start[0], start[1]
    return lax.cond(start[2], lambda: rounds(seen.changes(kept), start), lambda: still)


class _Bounded(NamedTuple):
    """A block under way: the places that are still open come after all that are decided."""

    x: Float[Array, " b"]
    steps: Float[Array, " b"]
    kept: Any
    energy: Float[Array, ""]
    open: Bool[Array, " b"]
    energies: Float[Array, " b"]  # after each place, as known so far
    moved: Float[Array, " b"]


def _by_bounds(seen, kept, energy, block, descending):
    """A block by bounds, which are taken anew after a move if places are left.

    Invariant: the places before the first open one are decided as one after another would decide.
    """
    places, thresholds = jnp.arange(block.allowed.shape[0]), block.thresholds

    def next_move(at):
        low, high = seen.enclosure(at.kept, at.steps)
        may_move = at.open & (high > thresholds)
        place, falls = _first_that_falls(seen, at, may_move, low > thresholds, thresholds)
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


def _first_that_falls(seen, block, may_move, sure, thresholds):
    """The first place that moves, and whether any does; where bounds leave it open, exactly."""

    def undecided(at):
        place = jnp.argmax(at[0])
        return place, at[0][place] & ~at[1][place]

    def decide(at):
        place, needed = undecided(at)
        close = seen, block.kept, block.x, block.steps[place][None], place, thresholds[place]
        falls = where_needed(needed, _exactly, jnp.zeros((), bool), *close)
        here = (jnp.arange(may_move.shape[0]) == place) & needed
        return at[0] & ~(here & ~falls), at[1] | here

    may_move, _ = lax.while_loop(lambda at: unvmap_any(undecided(at)[1]), decide, (may_move, sure))
    place = jnp.argmax(may_move)
    return place, may_move[place]


def _exactly(seen, kept, x, step, i, threshold):
    return exceeds(seen.change(kept, x, i[None], step), threshold)
