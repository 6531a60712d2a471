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
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from equinox.internal import unvmap_all, unvmap_any
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from energyam.flips import plan as table
from energyam.flips.abstract import AbstractFlips, Change, Moving, Swept
from energyam.flips.bounded_blocks import Block, by_bounds
from energyam.flips.noise import Noise
from energyam.linalg import dot


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
        return _by_colour(flips, neurons, kept, energy, None)[0]
    how = planned(flips, kept, neurons, order, True)
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


def planned(
    flips: AbstractFlips, kept: Any, neurons: Moving, order: Int[Array, " t"], descends: bool
) -> table.Plan | None:
    """How to decide blocks of neurons; None for neurons that go one after another."""
    seen, tries = flips.block(order[:1]), order.shape[0]
    if seen is None:
        return None
    on_cpu = (table.asked_for[-1] if table.asked_for else jax.default_backend()) == "cpu"
    pairs = flips.own_couplings() is not None
    bounded = not pairs and seen.enclosure(kept, neurons.steps[:1]) is not None
    rounds = pairs or seen.changes(kept) is not None
    if rounds and not bounded:
        n = table.queries.get()
        where = "accelerator" if not on_cpu else "one" if n == 1 else "few" if n < table.FEW else "many"
        looks_first = where == "one" or (descends and where == "few")
        return table.Plan("rounds", min(table.COUPLED[where], tries), looks_first)
    if not bounded:
        return None
    how: Literal["rounds", "bounds"] = "rounds" if rounds and not on_cpu else "bounds"
    most, least, floats = table.SIZES[how]
    width = max(map(np.size, jax.tree.leaves(kept)), default=1)
    return table.Plan(how, min(most, max(least, floats // width), tries), bounded=True)


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
    thresholds: Float[Array, " t"] | Noise,
    once: bool,
) -> tuple[Swept, Any]:
    """Try the neurons of `order`; a free one moves if its change of energy lies above its threshold.

    An `order` of None is that of the flips' colours, whose thresholds are drawn from a `Noise` in between.

    Takes and gives what is `kept` of the state. Of a network `flips.start` costs as much as a sweep, so runs
    of many sweeps carry what they keep.
    """
    energy = flips.energy(kept, neurons.state)
    if order is None:
        return _by_colour(flips, neurons, kept, energy, thresholds)
    how = planned(flips, kept, neurons, order, False)
    if how is None:
        return _one_by_one(flips, neurons, kept, energy, order, thresholds)
    return _in_blocks(flips, neurons, kept, energy, order, thresholds, once, how)


def any_descent(flips: AbstractFlips, neurons: Moving) -> tuple[Bool[Array, ""], Float[Array, ""]]:
    """Whether the move of some free neuron would lower the energy; and the energy."""
    order = None if flips.coloured else jnp.arange(neurons.state.shape[0])
    swept = descend(flips, neurons, jnp.asarray(jnp.inf, neurons.state.dtype), order, once=False)
    return (swept.flips >= 0).any(), flips.energy(flips.start(neurons.state), neurons.state)


def exceeds(change: Change, threshold: Float[Array, "..."]) -> Bool[Array, "..."]:
    """Whether a change lies above its threshold. At 0, descent, it must do so beyond its error."""
    return change.value > threshold + jnp.where(threshold == 0, change.error, 0)


def lowered(energy: Float[Array, "..."], change: Float[Array, "..."]) -> Float[Array, "..."]:
    """energy − change, within the range of floats."""
    largest = jnp.finfo(energy.dtype).max
    return jnp.clip(energy - change, -largest, largest)


def _steps_now(neurons, state, i):
    """What a move adds to neurons now: back, where they have moved. (Carried, XLA would copy it each try.)"""
    steps = neurons.steps[i]
    return jnp.where(2 * jnp.abs(state[i] - neurons.state[i]) > jnp.abs(steps), -steps, steps)


def _by_colour(flips, neurons, kept, energy, noise):
    state, kept, total, gains = flips.by_colour(kept, neurons, noise)
    # Where nobody asks for the energies in between and for the record, they are not computed.
    energies = jnp.append(lowered(energy, jnp.cumsum(gains[:-1])), lowered(energy, total))
    order: Any = flips.colours()
    flipped = jnp.where((state != neurons.state)[order], order, -1)
    return Swept(state, energies[-1], energies, flipped), kept


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
        tried, seen = Block(x, steps, allowed, thresholds, same), flips.block(of_block)
        if how.how == "rounds":
            kept, energies, moved = _by_rounds(seen, kept, energy, tried, how.looks_first)
        else:
            kept, energies, moved = by_bounds(seen, kept, energy, tried, descending, _exactly)
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


def _exactly(seen, kept, x, step, i, threshold):
    return exceeds(seen.change(kept, x, i[None], step), threshold)
