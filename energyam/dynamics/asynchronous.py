"""Asynchronous recall: one ±1 neuron at a time."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from energyam import checks
from energyam.dynamics.orders import checked_order, drawn_order
from energyam.dynamics.states import flat_view, layers_of
from energyam.dynamics.update import AbstractCarriesEnergy, AbstractFlipping, Flips, Step, Tick
from energyam.flips.capabilities import AbstractFlippable, AbstractFlips, AbstractHasFlips
from energyam.flips.derived import EnergyFlips, scalar_energy
from energyam.flips.sweep import any_descent, descend
from energyam.memories.neurons import AbstractNeurons


class Prepared(NamedTuple):
    """A memory ready for flips: how they change its energy, where it declares that itself."""

    memory: Any
    declared: AbstractFlips | None

    def flips(self, rebuild: Any) -> AbstractFlips:
        """The flips of the ±1 neurons, from which `rebuild` makes the whole state."""
        return EnergyFlips(self.memory, rebuild) if self.declared is None else self.declared


class Asynchronous(AbstractFlipping, AbstractCarriesEnergy):
    """One neuron at a time: each flips if, and only if, the energy falls. One step tries D neurons.

    A sweep that visits every neuron and flips none proves a local minimum, where the memory declares exact
    changes; for an energy alone, within the rounding of the energy. The order is drawn once per step and
    shared by the queries of a batch, so that a query recalls alike alone and among others. Of a state of
    several layers those with ±1 neurons are flipped.

    **Arguments:** `order`: `"permutation"`, every neuron once in a fresh random order; `"sequential"`,
    every neuron once from first to last; `"uniform"`, D draws with replacement, which leave a share 1/e
    of the neurons out of each step (convergence is then certified by testing every neuron).

    Raises `ValueError` for another order; in `recall` for a memory without ±1 neurons; and where a gradient
    is taken through it, as flips have none.

    Hopfield, PNAS 79 (1982).
    """

    order: str = eqx.field(static=True)

    def __init__(self, order: Literal["permutation", "uniform", "sequential"] = "permutation"):
        self.order = checked_order(order)

    def prepare(self, memory: Any) -> Prepared:
        return prepare_flips(memory)

    def init(self, prepared: Prepared, state: PyTree[Array], tick: Tick) -> Float[Array, ""]:
        return scalar_energy(prepared.memory)(_without_gradient(state))

    def energy(self, carry: Float[Array, ""]) -> Float[Array, ""]:
        return carry

    def step(self, prepared: Prepared, state: PyTree[Array], carry: Any, tick: Tick, clamp: Any) -> Step:
        flippable = layers_of(prepared.memory, state, True).flippable
        x, rebuild = flat_view(state, flippable)
        free = ~flat_view(clamp, flippable).neurons
        flips, order = prepared.flips(rebuild), drawn_order(self.order, x.shape[0], tick)
        swept = descend(flips, x, carry, order, free, once=self.order != "uniform")
        settled = (swept.flips < 0).all()
        if self.order == "uniform":
            settled = settled & ~any_descent(flips, x, free)[0]
        record = Flips(swept.flips.astype(jnp.int32))
        return Step(rebuild(swept.state), swept.energy, swept.energies, record, settled)


def prepare_flips(memory: Any) -> Prepared:
    """A memory ready for flips; raises `ValueError` if it has no energy or no ±1 neurons."""
    check_flips(memory)
    memory = _without_gradient(memory)
    return Prepared(memory, memory.flips() if isinstance(memory, AbstractHasFlips) else None)


def check_flips(
    memory: Any, instead: str = "use eam.Synchronous() or eam.GradientDescent(step_size)"
) -> None:
    """Raise `ValueError` unless the memory has an energy, and ±1 neurons or none declared.

    `instead`: what the caller can do with a memory of real neurons.
    """
    name = type(memory).__name__
    if not checks.has_method(memory, "energy"):
        raise ValueError(f"memory must have an energy(x) for flips; {name} has none (use eam.Synchronous())")
    is_neurons = lambda node: isinstance(node, AbstractNeurons)  # noqa: E731
    neurons = jax.tree.leaves(getattr(memory, "neurons", None), is_leaf=is_neurons)
    if neurons and not any(isinstance(one, AbstractFlippable) for one in neurons):
        kinds = ", ".join(sorted({type(one).__name__ for one in neurons}))
        raise ValueError(f"memory must have ±1 neurons for flips; those of {name} are {kinds} ({instead})")


def _without_gradient(tree):
    """The same arrays; where a derivative of them is asked for, a `ValueError` that says what to use."""
    arrays, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(_no_gradient, arrays), rest)


@jax.custom_jvp
def _no_gradient(x):
    return x


@_no_gradient.defjvp
def _no_gradient_jvp(primals, tangents):
    raise ValueError(
        "update must be differentiable to take gradients through recall; flips are not (use "
        "eam.Synchronous() or eam.GradientDescent(step_size), or a loss on the memory's energy, or "
        "jax.lax.stop_gradient on the memory and the query)"
    )
