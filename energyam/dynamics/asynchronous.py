"""Asynchronous recall: one neuron at a time."""

from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from energyam.dynamics.moves import Ready, check_moves, nothing_held, ready, view_of, without_gradient
from energyam.dynamics.orders import checked_order, drawn_order
from energyam.dynamics.update import AbstractUpdate, Flips, Step, Tick


class Asynchronous(AbstractUpdate):
    """One neuron at a time: each moves if, and only if, the energy falls. One step tries D neurons.

    A sweep that visits every neuron and moves none proves a local minimum, where the memory declares exact
    changes; for an energy alone, within the rounding of the energy. The order is drawn once per step and
    shared by the queries of a batch, so that a query recalls alike alone and among others. Neurons of two
    values flip; one-hot units go to the best of their other values. Layers of other neurons must be clamped.
    A memory with a field and no energy is served too: its neurons follow the field, one at a time.

    **Arguments:** `order`: `"permutation"`, every neuron once in a fresh random order; `"sequential"`,
    every neuron once from first to last; `"uniform"`, D draws with replacement, which leave a share 1/e
    of the neurons out of each step (convergence is then certified by testing every neuron).

    Raises `ValueError` for another order; in `recall` for a memory whose neurons don't move from value to
    value; and where a gradient is taken through it, as flips have none.

    Hopfield, PNAS 79 (1982).
    """

    order: str = eqx.field(static=True)

    def __init__(self, order: Literal["permutation", "uniform", "sequential"] = "permutation"):
        self.order = checked_order(order)

    @property
    def moves_neurons(self) -> bool:
        return True

    @property
    def repeats(self) -> bool:
        return self.order == "sequential"

    def prepare(self, memory: Any) -> Ready:
        instead = "use eam.Synchronous() or eam.GradientDescent(step_size)"
        check_moves(memory, "Asynchronous", instead, energy=False)
        return ready(without_gradient(memory))

    def init(self, prepared: Ready, state: PyTree[Array], tick: Tick) -> Float[Array, ""]:
        view = view_of(prepared, without_gradient(state), nothing_held(state))
        return view.flips.energy(view.flips.start(view.neurons.state), view.neurons.state)

    def energy(self, carry: Float[Array, ""]) -> Float[Array, ""]:
        return carry

    def step(self, prepared: Ready, state: PyTree[Array], carry: Any, tick: Tick, clamp: Any) -> Step:
        view, once = view_of(prepared, state, clamp), self.order != "uniform"
        swept = view.descend(carry, drawn_order(self.order, view.num_tries, tick), once)
        settled = (swept.flips < 0).all()
        if not once:
            settled = settled & ~view.any_descent()[0]
        record, energies = Flips(swept.flips.astype(jnp.int32)), swept.energies if view.has_energy else None
        return Step(view.rebuild(swept.state), swept.energy, energies, record, settled)
