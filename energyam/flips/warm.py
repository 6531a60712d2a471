"""Sweeps of a network at a temperature, each neuron at most once: blocks of neurons decided all at once."""

from typing import Any

import jax.numpy as jnp
from equinox.internal import unvmap_any
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from energyam.flips.blocks import lowered
from energyam.flips.capabilities import AbstractCouplings
from energyam.flips.sweep import Swept
from energyam.linalg import dot

BLOCK = 64  # neurons that are decided together


def visit_once(
    flips: AbstractCouplings,
    kept: Any,
    state: Float[Array, " D"],
    order: Int[Array, " t"],
    free: Bool[Array, " D"],
    thresholds: Float[Array, " t"],
) -> tuple[Swept, Any]:
    """`visit_on` for an order in which no neuron comes twice: the same flips, in fewer steps.

    What is read of the state is then its start alone, and only what is kept goes from block to block.
    """
    t, size = order.shape[0], min(BLOCK, order.shape[0])
    by_block = lambda a, fill: jnp.pad(a, (0, -t % size), constant_values=fill).reshape(-1, size)  # noqa: E731
    orders = by_block(order, 0)
    allowed = by_block(free[order], False)
    laid_out: Any = flips.laid_out()

    def try_block(at, block):
        neurons, allowed, x, thresholds = block
        kept, energy = at
        seen = laid_out.seen_from(neurons)
        field, error = seen.fields(kept)
        lowest = thresholds + jnp.where(thresholds == 0, 2 * error, 0)
        lowest = jnp.where(allowed, lowest, jnp.inf)
        falls, steps = _mended(seen.couplings(), seen.own_couplings(), x, field, lowest)
        energies = lowered(energy, jnp.cumsum(falls))
        return (seen.moved(kept, steps), energies[-1]), (energies, steps)

    blocks = orders, allowed, state[orders], by_block(thresholds, 0)
    start = kept, flips.energy(kept, state)
    (kept, energy), (energies, steps) = lax.scan(try_block, start, blocks)
    energies, steps = energies.reshape(-1)[:t], steps.reshape(-1)[:t]
    place = jnp.full(state.shape, t).at[order].set(jnp.arange(t))
    state = state + jnp.pad(steps, (0, 1))[place]
    return Swept(state, energy, energies, jnp.where(steps != 0, order, -1)), kept


def _mended(
    couplings: Float[Array, "b b"],
    own: Float[Array, " b"],
    x: Float[Array, " b"],
    field: Float[Array, " b"],
    lowest: Float[Array, " b"],
) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """What each place of a block lowers the energy by, and its step, as one after another would decide.

    Place j flips if 2 (W_jj − x_j f_j), after the flips of all places before it, lies above its `lowest`. All
    are decided by a guess of those flips, then by what came out, until nothing changes: one matrix product
    each time. After k times the first k places are right, whatever the guess was, so what stays as it is is
    the answer; a few times do.
    """
    pulls = jnp.triu(couplings, 1)  # of places before on those after

    def decide(field):
        changes = 2 * (own - x * field)
        falls = changes > lowest
        return jnp.where(falls, changes, 0), jnp.where(falls, -2 * x, 0)

    def mend(at):
        _, steps, _ = at
        falls, new = decide(field + dot(steps, pulls))
        return falls, new, unvmap_any((new != steps).any())

    falls, steps = decide(field)
    start = falls, steps, unvmap_any((steps != 0).any())
    return lax.while_loop(lambda at: at[2], mend, start)[:2]
