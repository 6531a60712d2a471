"""Gradient descent on the energy, for states of any shape."""

from typing import Any

import jax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from energyam import checks
from energyam.dynamics.fields import checked_tol, held, is_still, one_state, retracted
from energyam.dynamics.states import declared_neurons
from energyam.dynamics.update import AbstractUpdate, States, Step, Tick
from energyam.flips.derived import scalar_energy
from energyam.memories.neurons import is_movable


class GradientDescent(AbstractUpdate):
    """x ← x − step_size · ∇E(x), for real neurons and for any object with a differentiable energy.

    After each step every layer is taken to the nearest state that its neurons can have, so that a sphere
    stays a sphere. The energy falls at every step for step sizes below 2/L, where L bounds the curvature of
    the energy.

    **Arguments:** `step_size`: positive; `tol`: converged when no neuron moves by more than
    tol · max(1, max|x|). Raises `ValueError` for others, and in `recall` for a memory of ±1 neurons.
    """

    step_size: Float[Array, ""]
    tol: Float[Array, ""]
    repeats = True

    def __init__(self, step_size: ArrayLike, tol: ArrayLike = 1e-6):
        self.step_size = checks.positive_float("step_size", step_size)
        self.tol = checked_tol(tol)

    def prepare(self, memory: Any) -> Any:
        check_real(memory, "GradientDescent")
        return memory

    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> tuple[Float[Array, ""], PyTree[Array]]:
        return jax.value_and_grad(scalar_energy(prepared))(state)

    def energy(self, carry: tuple[Float[Array, ""], PyTree[Array]]) -> Float[Array, ""]:
        return carry[0]

    def step(self, prepared: Any, state: PyTree[Array], carry: Any, tick: Tick, clamp: Any) -> Step:
        lower = jax.tree.map(lambda x, slope: x - self.step_size * slope, state, carry[1])
        new = held(clamp, state, retracted(prepared, held(clamp, state, lower)))
        energy, slope = jax.value_and_grad(scalar_energy(prepared))(new)
        return Step(
            new, (energy, slope), energy[None], States(one_state(new)), is_still(new, state, self.tol)
        )


def check_real(memory: Any, rule: str) -> None:
    """Raise `ValueError` for a memory without an energy, or with neurons that flip."""
    name = type(memory).__name__
    if not checks.has_method(memory, "energy"):
        raise ValueError(f"{rule} needs a memory with an energy(x); {name} has none (use eam.Synchronous())")
    neurons = declared_neurons(memory)
    if any(map(is_movable, neurons)):
        raise ValueError(
            f"{rule} needs continuous neurons; those of {name} move from value to value "
            "(use eam.Asynchronous() or eam.Synchronous())"
        )
