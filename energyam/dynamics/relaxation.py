"""Relaxation: all layers at once, at a rate."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from energyam import checks
from energyam.dynamics.fields import answers, check_potential, energy_and_field, inputs_of
from energyam.dynamics.synchronous import checked_tol, held, is_still
from energyam.dynamics.update import AbstractCarriesEnergy, States, Step, Tick


class Relaxed(NamedTuple):
    """What relaxation keeps: the inputs x, the fields at the state, and its energy."""

    inputs: PyTree[Array]
    field: PyTree[Array]
    energy: Float[Array, ""]


class Relaxation(AbstractCarriesEnergy):
    """All layers at once: each input x moves towards its field, and the layer answers it.

        x ← x + rate (field(g) − x),    g = respond(x)

    The energy falls for rates up to 1/(1 + λ‖W‖), where λ bounds how steeply the neurons respond and ‖W‖ is
    the norm of all couplings taken together; it may rise for others. A rate of 1 is `Synchronous`. x starts
    at ∇R(g).

    **Arguments:** `rate`: positive. `decay`: whether x decays; without, x ← x + rate · field(g), as in the
    energy transformer, for layers of bounded values: what then falls, for small rates, is −potential, the
    energy without the cost R of the neurons. `tol`: at rest when no activation moves by more than
    tol · max(1, max|g|), nor would at a rate of 1 (with decay).

    Raises `ValueError` for others, and in `recall` for a memory without a potential or neurons.

    Krotov & Hopfield, ICLR 2021; Hoover et al., "Energy transformer", NeurIPS 2023 (without decay).
    """

    rate: Float[Array, ""]
    tol: Float[Array, ""]
    decay: bool = eqx.field(static=True)

    def __init__(self, rate: ArrayLike, decay: bool = True, tol: ArrayLike = 1e-6):
        self.rate = checks.positive_float("rate", rate)
        self.decay = checks.flag("decay", decay)
        self.tol = checked_tol(tol)

    def prepare(self, memory: Any) -> Any:
        check_potential(memory, "Relaxation")
        return memory

    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> Relaxed:
        energy, field = energy_and_field(prepared, state)
        return Relaxed(inputs_of(prepared, state), field, energy)

    def energy(self, carry: Relaxed) -> Float[Array, ""]:
        return carry.energy

    def step(self, prepared: Any, state: PyTree[Array], carry: Relaxed, tick: Tick, clamp: Any) -> Step:
        move = lambda x, field: moved(x, field, self.rate, self.decay)  # noqa: E731
        inputs = jax.tree.map(move, carry.inputs, carry.field)
        new = held(clamp, state, answers(prepared, inputs, state))
        energy, field = energy_and_field(prepared, new)
        settled = is_still(new, state, self.tol)
        if self.decay:
            aim = held(clamp, state, answers(prepared, carry.field, state))
            settled = settled & is_still(aim, state, self.tol)
        record = States(jax.tree.map(lambda leaf: leaf[None], new))
        return Step(new, Relaxed(inputs, field, energy), energy[None], record, settled)


def moved(x: Float[Array, "..."], field: Float[Array, "..."], rate: Array, decay: bool) -> Array:
    """x + rate (field − x), or x + rate · field without decay; at a rate of 1 exactly the field."""
    return (1 - rate) * x + rate * field if decay else x + rate * field
