"""Moves of ±1 neurons, one at a time, as tests of the flips want them."""

import jax
import jax.numpy as jnp

from energyam.dynamics.moves import ready, view_of
from energyam.flips.abstract import Moving
from energyam.flips.sweep import descend, visit


def flips_of(memory):
    """How single moves change a memory's energy."""
    shape = getattr(memory, "state_shape", (1,))
    state = jax.tree.map(jnp.zeros, shape, is_leaf=lambda node: isinstance(node, tuple))
    return view_of(ready(memory), state, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, bool), state)).flips


def change(flips, kept, state, i):
    """The change of energy as neuron i flips."""
    return flips.change(kept, state, i[None], -2 * state[i][None])


def flip(flips, kept, state, i):
    """What is kept after neuron i has flipped."""
    return flips.move(kept, state, i[None], -2 * state[i][None])


def moving(state, free):
    """The ±1 neurons of a state."""
    return Moving(state, -2 * state, free)


def descended(flips, state, energy, order, free, once):
    """A sweep of descent."""
    return descend(flips, moving(state, free), energy, order, once)


def visited(flips, state, order, free, thresholds, once=False):
    """A sweep with thresholds, from what is kept afresh."""
    return visit(flips, flips.start(state), moving(state, free), order, thresholds, once)[0]
