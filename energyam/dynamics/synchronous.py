"""Synchronous recall: all neurons at once answer their field."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from equinox.internal import unvmap_any
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from energyam import checks
from energyam.dynamics.states import layers_of
from energyam.dynamics.update import AbstractCarriesEnergy, States, Step, Tick
from energyam.flips.derived import one_number
from energyam.memories.base import AbstractProvesRest, AbstractPulls, Pull


class Felt(NamedTuple):
    """What a synchronous step starts from: the pull at the state, and its energy."""

    pull: Pull
    energy: Float[Array, ""]


class Synchronous(AbstractCarriesEnergy):
    """All neurons at once: each answers the field that the present state makes at it.

    x ← argmin_x R(x) + ½ c ‖x‖² − f · x, with f − c x = ∇potential: sign(Ξᵀ weights(Ξx)) for ±1 neurons,
    Ξᵀ weights(Ξx) for continuous ones, the mean of the patterns under distances. This is the concave-convex
    procedure: where the potential is convex the energy never rises. Networks of weights that are not
    positive semidefinite may end in a cycle of two.

    **Arguments:** `tol`: converged when no neuron moves by more than tol · max(1, max|x|). Raises
    `ValueError` for others, and in `recall` for a memory without a field.

    Yuille & Rangarajan, Neural Computation 15 (2003); Ramsauer et al., ICLR 2021.
    """

    tol: Float[Array, ""]

    def __init__(self, tol: ArrayLike = 1e-6):
        self.tol = checked_tol(tol)

    def prepare(self, memory: Any) -> Any:
        if not has_field(memory):
            raise ValueError(
                f"Synchronous needs a memory with a field; {type(memory).__name__} has only an energy "
                "(use eam.Asynchronous() for ±1 states or eam.GradientDescent(step_size) for continuous "
                "ones, or write its potential(state) and neurons)"
            )
        return memory

    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> Felt:
        return _felt(prepared, state)

    def energy(self, carry: Felt) -> Float[Array, ""]:
        return carry.energy

    def step(self, prepared: Any, state: PyTree[Array], carry: Felt, tick: Tick, clamp: Any) -> Step:
        neurons = layers_of(prepared, state, False).neurons
        leaves, structure = jax.tree.flatten(state)
        answers = [
            one.respond(field, leaf, curvature)
            for one, leaf, field, curvature in zip(
                neurons, leaves, *map(jax.tree.leaves, (carry.pull.field, carry.pull.curvature)), strict=True
            )
        ]
        new = held(clamp, state, jax.tree.unflatten(structure, answers))
        felt = _felt(prepared, new)
        record = States(jax.tree.map(lambda leaf: leaf[None], new))
        return Step(new, felt, felt.energy[None], record, _rests(prepared, state, new, self.tol))


def has_field(memory: Any) -> bool:
    """Whether synchronous recall can run: the memory has a field, or a potential and neurons."""
    if isinstance(memory, AbstractPulls) or checks.has_method(memory, "field"):
        return True
    return checks.has_method(memory, "potential") and hasattr(memory, "neurons")


def _rests(memory, before, after, tol):
    """Whether the state has settled: still within the tolerance, and proved to be where the memory can."""
    still = is_still(after, before, tol)
    if not isinstance(memory, AbstractProvesRest):
        return still
    # The proof costs a look at the patterns: only once something looks still.
    proved = lambda: memory.proves_rest(before, after)  # noqa: E731
    return still & lax.cond(unvmap_any(still), proved, lambda: jnp.zeros((), bool))


def _felt(memory, state):
    pull, has_potential = _pull(memory, state)
    _check_field(memory, state, pull.field)
    if not has_potential or not checks.has_method(memory, "energy"):
        return Felt(pull, jnp.full((), jnp.nan))
    neurons = layers_of(memory, state, False).neurons
    costs = [one.energy(leaf) for one, leaf in zip(neurons, jax.tree.leaves(state), strict=True)]
    return Felt(pull, sum(costs) - pull.potential)


def _pull(memory, state):
    """What a state feels, and whether the potential in it is known."""
    if isinstance(memory, AbstractPulls):
        return memory.pull(state), True
    if checks.has_method(memory, "potential"):
        name = f"potential of {type(memory).__name__}"
        potential, field = jax.value_and_grad(lambda x: one_number(memory.potential(x), name))(state)
        curvature = jax.tree.map(lambda leaf: jnp.zeros((), leaf.dtype), state)
        return Pull(potential, field, curvature), True
    curvature = jax.tree.map(lambda leaf: jnp.zeros(()), state)
    return Pull(jnp.zeros(()), memory.field(state), curvature), False


def _check_field(memory, state, field):
    """Raise `ValueError` unless the field is one number for each neuron."""
    wanted, got = (jax.tree.map(jnp.shape, tree) for tree in (state, field))
    if wanted != got:
        raise ValueError(f"field of {type(memory).__name__} must be like the state, {wanted}; got {got}")


def held(clamp: PyTree[Array], old: PyTree[Array], new: PyTree[Array]) -> PyTree[Array]:
    """`new`, with clamped neurons as in `old`."""
    return jax.tree.map(jnp.where, clamp, old, new)


def is_still(new: PyTree[Array], old: PyTree[Array], tol: Float[Array, ""]) -> Array:
    """Whether no neuron moved by more than tol · max(1, max|x|)."""
    moved = [jnp.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (new, old)), strict=True)]
    sizes = [jnp.abs(a).max() for a in jax.tree.leaves(new)]
    return jnp.stack(moved).max() <= tol * jnp.maximum(1, jnp.stack(sizes).max())


def checked_tol(tol: ArrayLike) -> Float[Array, ""]:
    """A tolerance as a float; raises `ValueError` for others and below 0."""
    number = checks.as_floats("tol", tol, "")
    if not checks.passes(lambda tol: tol >= 0, number):
        raise ValueError(f"tol must not be negative; got {tol}")
    return number
