"""Synchronous recall: all neurons at once answer their field."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from equinox.internal import unvmap_any
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PyTree

from energyam.abilities import ask
from energyam.dynamics.fields import Felt, answers, as_tol, felt, has_field, held, is_still, one_step
from energyam.dynamics.update import AbstractUpdate, Step, Tick


class Synchronous(AbstractUpdate):
    """All neurons at once: each answers its field in the present state.

    x ← argmin_x R(x) + ½ c ‖x‖² − f · x, with f − c x = ∇potential: sign(Ξᵀ weights(Ξx)) for ±1 neurons, Ξᵀ
    weights(Ξx) for continuous ones, the mean of the patterns under distances. This is the concave-convex
    procedure: where the potential is convex the energy never rises. Networks whose weights are not positive
    semidefinite may end in a cycle of two states, which the recall's status reports.

    **Arguments:** `tol`: converged when no neuron moves by more than tol · max(1, max|x|). Raises
    `ValueError` for others, and in `recall` for a memory without a field.

    Yuille & Rangarajan, Neural Computation 15 (2003); Ramsauer et al., ICLR 2021.

        >>> memory = eam.ModernHopfield(jnp.array([[1.0, 0.0], [0.0, 1.0]]), beta=8.0)
        >>> result = eam.recall(memory, jnp.array([0.9, 0.3]), eam.Synchronous())
        >>> np.asarray(result.state).round(3), result.num_steps.item()
        (array([1., 0.], dtype=float32), 4)
    """

    tol: Float[ArrayLike, ""] = eqx.field(converter=as_tol, default=1e-6)
    repeats = True

    def prepare(self, memory: Any) -> Any:
        if not has_field(memory):
            got = f"{type(memory).__name__} has only an energy"
            hint = "use eam.Asynchronous() for ±1 states, eam.GradientDescent(step_size) for continuous ones"
            also = "or write its potential(state) and neurons"
            raise ValueError(f"Synchronous needs a memory with a field; {got} ({hint}, {also})")
        return memory

    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> Felt:
        return felt(prepared, state)

    def renewed(self, prepared: Any, state: PyTree[Array], carry: Felt, tick: Tick) -> Felt:
        return felt(prepared, state)

    def energy(self, carry: Felt) -> Float[Array, ""] | None:
        return carry.energy

    def step(self, prepared: Any, state: PyTree[Array], carry: Felt, tick: Tick, clamp: Any) -> Step:
        new = held(clamp, state, answers(prepared, carry.pull.field, state, carry.pull.curvature))
        return one_step(new, felt(prepared, new), _rests(prepared, state, new, self.tol))


def _rests(memory: Any, before: PyTree[Array], after: PyTree[Array], tol: ArrayLike) -> Bool[Array, ""]:
    """Whether the state has settled: it moves by less than the tolerance, and the memory proves it if it
    can."""
    still = is_still(after, before, tol)
    if ask(memory, "proves_rest", before, after) is None:
        return still
    # The proof costs a look at the patterns: only once something looks still.
    proved = lambda: memory.proves_rest(before, after)  # noqa: E731
    return still & lax.cond(unvmap_any(still), proved, lambda: jnp.zeros((), bool))
