"""Single moves of a memory's neurons: which there are, how they change its energy, and a sweep of them."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from energyam import checks
from energyam.dynamics.states import Layers, Move, declared_neurons, layers_of
from energyam.dynamics.update import Tick
from energyam.flips.abstract import AbstractFlips, Moving, Swept
from energyam.flips.derived import EnergyFlips, SlopeFlips, scalar_energy
from energyam.flips.sweep import any_descent, visit
from energyam.flips.units import Units, descend_units, visit_units
from energyam.memories.neurons import cost_nothing, is_movable


class View(NamedTuple):
    """The single moves of one state: its neurons as vectors, the flips, and units where some have q
    values."""

    memory: Any
    neurons: Moving
    units: Units | None
    flips: AbstractFlips
    rebuild: Any
    has_energy: bool
    num_tries: int  # neurons, or units, that there are to try

    def order(self, kind: str, tick: Tick) -> Int[Array, " t"] | None:
        """In which order neurons, or units, are tried; None for that of the flips' colours."""
        coloured = kind == "colours" and self.units is None and self.flips.coloured
        return None if coloured else tick.order(kind, self.num_tries)

    def free_tries(self, order: Int[Array, " t"] | None) -> Bool[Array, " t"]:
        """Which of the tries are of neurons that may move."""
        if order is None:
            return self.neurons.free
        if self.units is None:
            return self.neurons.free[order]
        return self.neurons.free[jnp.asarray(self.units.entries[:, 0])[order]]

    def visit(
        self, kept: Any, order: Int[Array, " t"], noise: Float[Array, "t n"], once: bool
    ) -> tuple[Swept, Any]:
        """A sweep with noise (t, n) that comes to the change of each of n other values."""
        if self.units is None:
            return visit(self.flips, kept, self.neurons, order, -noise[:, 0], once)
        return visit_units(self.flips, kept, self.units, self.neurons, order, noise)

    def changes(self) -> tuple[Float[Array, "U n"], Bool[Array, "U n"]]:
        """E(x) − E(x′) for each neuron, or unit, and each of its other values, and which of these there
        are."""
        x, steps, _ = self.neurons
        own, kept = self.flips.own_couplings(), self.flips.start(x)
        units = self.units
        if units is not None:

            def of_unit(unit):
                entries, steps, present = units.steps(self.neurons, unit)
                return jax.vmap(lambda step: self.flips.change(kept, x, entries, step).value)(steps), present

            return jax.vmap(of_unit)(jnp.arange(units.num))
        if own is not None:
            changes = steps * (0.5 * steps * own - _slope(self))
        else:
            one = lambda i, step: self.flips.change(kept, x, i[None], step[None]).value  # noqa: E731
            changes = jax.vmap(one)(jnp.arange(x.shape[0]), steps)
        return changes[:, None], jnp.ones((x.shape[0], 1), bool)

    def any_descent(self) -> tuple[Bool[Array, ""], Float[Array, ""]]:
        """Whether a single move would lower the energy; and the energy."""
        if self.units is None:
            return any_descent(self.flips, self.neurons)
        none = jnp.asarray(jnp.inf, self.neurons.state.dtype)
        swept = descend_units(self.flips, self.units, self.neurons, none, jnp.arange(self.units.num))
        energy = self.flips.energy(self.flips.start(self.neurons.state), self.neurons.state)
        return (swept.flips >= 0).any(), energy


def _slope(view):
    """∂E/∂x: fields as slopes of the energy, so that the gradient of symmetric couplings is symmetric."""
    return jax.grad(lambda x: scalar_energy(view.memory)(view.rebuild(x)))(view.neurons.state)


class Ready(NamedTuple):
    """A memory ready for moves: how they change its energy, where it says that itself."""

    memory: Any
    declared: AbstractFlips | None


def ready(memory: Any, exact: bool = True) -> Ready:
    """A memory ready for moves; not `exact`: by arithmetic that has derivatives."""
    return Ready(memory, memory.flips(exact) if checks.has_method(memory, "flips") else None)


def view_of(prepared: Ready, state: PyTree[Array], clamp: PyTree[Array] | None = None) -> View:
    """The single moves of a state, of which a clamp holds some neurons."""
    memory = prepared.memory
    layers = layers_of(memory, state, True)
    x, rebuild = flat_view(state, layers.moves)
    steps, single = [], True
    for leaf, one, move in zip(jax.tree.leaves(state), layers.neurons, layers.moves, strict=True):
        if move is not None:
            alone = move[0] == 1
            steps.append((one.others(leaf) - leaf if alone else jnp.zeros_like(leaf)).reshape(-1))
            single = single and alone
    free = jnp.ones(x.shape, bool) if clamp is None else ~jnp.asarray(flat_view(clamp, layers.moves)[0])
    units = None if single else Units.of_layers(layers.neurons, layers.shapes, layers.moves)
    flips = _derived(memory, layers, rebuild) if prepared.declared is None else prepared.declared
    neurons, num_tries = Moving(x, jnp.concatenate(steps), free), x.shape[0] if units is None else units.num
    return View(memory, neurons, units, flips, rebuild, checks.has_method(memory, "energy"), num_tries)


def _derived(memory: Any, layers: Layers, rebuild: Any) -> AbstractFlips:
    """How single moves change an energy: from one gradient or field, or by differences."""
    if not checks.has_method(memory, "energy"):
        return SlopeFlips(eqx.Partial(partial(_field_alone, layers.moves), memory, rebuild))
    moving = (one for one, move in zip(layers.neurons, layers.moves, strict=True) if move is not None)
    if getattr(memory, "multilinear", False) and all(map(cost_nothing, moving)):
        return SlopeFlips(eqx.Partial(_energy_and_field, memory, rebuild))
    return EnergyFlips(memory, rebuild)


# What these are given is traced, and must be seen to be: closed over, it would leak from a trace.
def _field_alone(moves, memory, rebuild, x):
    return jnp.zeros((), x.dtype), flat_view(memory.field(rebuild(x)), moves)[0]


def _energy_and_field(memory, rebuild, x):
    value, slope = jax.value_and_grad(lambda x: scalar_energy(memory)(rebuild(x)))(x)
    return value, -slope


def flat_view(state: PyTree[Array], moves: tuple[Move | None, ...]) -> tuple[Array, Callable]:
    """All layers that move, one after another, as a vector (N,), and the way back to the state."""
    leaves, structure = jax.tree.flatten(state)
    if len(leaves) == 1 and leaves[0].ndim == 1:
        return leaves[0], lambda neurons: jax.tree.unflatten(structure, [neurons])
    flat = [leaf.reshape(-1) for leaf, move in zip(leaves, moves, strict=True) if move is not None]

    return jnp.concatenate(flat), eqx.Partial(partial(_rebuilt, structure, moves), leaves)


def _rebuilt(structure, moves, leaves, neurons):
    start, new = 0, []
    for leaf, move in zip(leaves, moves, strict=True):
        if move is not None:
            size = math.prod(leaf.shape)
            leaf = neurons[start : start + size].reshape(leaf.shape)
            start += size
        new.append(leaf)
    return jax.tree.unflatten(structure, new)


def check_moves(memory: Any, rule: str, instead: str, energy: bool = True) -> None:
    """Raise `ValueError` unless the memory has an energy (or a field) and neurons with single moves, or none
    declared. `rule` is what asks, and `instead` says what the caller can do with other neurons.
    """
    name, by_energy = type(memory).__name__, checks.has_method(memory, "energy")
    if not by_energy and (energy or not checks.has_method(memory, "field")):
        raise ValueError(f"memory must have an energy(x) for flips; {name} has none (use eam.Synchronous())")
    neurons, movable = declared_neurons(memory), False
    for one in neurons:
        movable = is_movable(one) or movable
    if neurons and not movable:
        kinds = ", ".join(sorted({type(one).__name__ for one in neurons}))
        raise ValueError(
            f"memory must have ±1 neurons for {rule}, or others of few values; those of {name} are {kinds} "
            f"({instead})"
        )


def check_layers(layers: Layers, clamp: PyTree[Bool[Array | np.ndarray, "..."]], rule: str) -> None:
    """Raise `ValueError` for layers without single moves that are not clamped as a whole."""
    clamps = jax.tree.leaves(clamp)
    if not any(layers.moves):  # which the rule refuses by itself
        return
    for name, neurons, move, held in zip(layers.names, layers.neurons, layers.moves, clamps, strict=True):
        if move is None and not (checks.is_known(held) and np.all(held)):
            raise ValueError(
                f"{rule} can't move the neurons of layer {name}, {type(neurons).__name__}, from value to "
                "value; clamp the whole layer, or use a rule that moves it (say eam.Langevin(step_size))"
            )


def without_gradient(tree: PyTree) -> PyTree:
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
