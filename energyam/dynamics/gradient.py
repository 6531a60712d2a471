"""Gradient descent on the energy, for states of any shape."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from energyam import checks
from energyam.dynamics.fields import Slope, as_tol, held, is_still, one_step, retracted, slope_of
from energyam.dynamics.states import declared_neurons
from energyam.dynamics.update import AbstractUpdate, Step, Tick
from energyam.memories.neurons import is_movable


class GradientDescent(AbstractUpdate):
    """x ← x − step_size · ∇E(x), for real neurons and for any object with a differentiable energy.

    After each step every layer is taken to the nearest state that its neurons can have, so that a sphere
    stays a sphere. The energy falls at every step for step sizes below 2/L, where L bounds the curvature of
    the energy.

    **Arguments:** `step_size`: positive; `tol`: converged when no neuron moves by more than
    tol · max(1, max|x|). Raises `ValueError` for others, and in `recall` for a memory of ±1 neurons.

        >>> memory = eam.ModernHopfield(jnp.array([[1.0, 0.0], [0.0, 1.0]]), beta=8.0)
        >>> result = eam.recall(memory, jnp.array([0.9, 0.3]), eam.GradientDescent(0.5), max_steps=100)
        >>> np.asarray(result.state).round(3), bool(result.converged)
        (array([1., 0.], dtype=float32), True)
    """

    step_size: Float[ArrayLike, ""] = eqx.field(converter=partial(checks.positive_float, "step_size"))
    tol: Float[ArrayLike, ""] = eqx.field(converter=as_tol, default=1e-6)
    repeats = True

    def prepare(self, memory: Any) -> Any:
        check_real(memory, "GradientDescent")
        return memory

    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> Slope:
        return slope_of(prepared, state)

    def renewed(self, prepared: Any, state: PyTree[Array], carry: Slope, tick: Tick) -> Slope:
        return slope_of(prepared, state)

    def energy(self, carry: Slope) -> Float[Array, ""]:
        return carry.energy

    def step(self, prepared: Any, state: PyTree[Array], carry: Slope, tick: Tick, clamp: Any) -> Step:
        lower = jax.tree.map(lambda x, slope: x - self.step_size * slope, state, carry.gradient)
        new = held(clamp, state, retracted(prepared, held(clamp, state, lower)))
        return one_step(new, slope_of(prepared, new), is_still(new, state, self.tol))


def check_real(memory: Any, rule: str) -> None:
    """Raise `ValueError` for a memory without an energy, or with neurons that flip."""
    name = type(memory).__name__
    if not checks.has_method(memory, "energy"):
        raise ValueError(f"{rule} needs a memory with an energy(x); {name} has none (use eam.Synchronous())")
    if any(map(is_movable, declared_neurons(memory))):
        got = f"those of {name} move from value to value (use eam.Asynchronous() or eam.Synchronous())"
        raise ValueError(f"{rule} needs continuous neurons; {got}")
