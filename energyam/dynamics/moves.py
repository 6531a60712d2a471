"""Single moves of a memory's neurons: which there are, how they change its energy, and a sweep of them."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from energyam import checks
from energyam.dynamics.states import Layers, layers_of
from energyam.flips.abstract import AbstractFlips
from energyam.flips.derived import EnergyFlips, SlopeFlips, scalar_energy
from energyam.flips.sweep import Moving, Swept, any_descent, descend, visit
from energyam.flips.units import Units, descend_units, visit_units
from energyam.memories.neurons import AbstractNeurons, cost_nothing, is_movable


class FlatView(NamedTuple):
    """The layers that move as one vector (N,), and the way back to the state."""

    neurons: Float[Array, " N"]
    rebuild: Any


class View(NamedTuple):
    """The single moves of one state: its neurons as vectors, the flips, and units where some have q
    values."""

    memory: Any
    neurons: Moving
    units: Units | None
    flips: AbstractFlips
    rebuild: Any
    has_energy: bool

    @property
    def num_tries(self) -> int:
        """How many neurons, or units, there are to try."""
        return self.neurons.state.shape[0] if self.units is None else self.units.num

    def free_tries(self, order: Int[Array, " t"]) -> Bool[Array, " t"]:
        """Which of the tries are of neurons that may move."""
        if self.units is None:
            return self.neurons.free[order]
        return self.neurons.free[jnp.asarray(self.units.entries[:, 0])[order]]

    def descend(self, energy: Float[Array, ""], order: Int[Array, " t"], once: bool) -> Swept:
        """A sweep of descent (see `energyam.flips.sweep.descend`)."""
        if self.units is None:
            return descend(self.flips, self.neurons, energy, order, once)
        return descend_units(self.flips, self.units, self.neurons, energy, order)

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


def nothing_held(state: PyTree[Array]) -> PyTree[Bool[Array, "..."]]:
    """The clamp of a state that holds no neuron."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, bool), state)


def view_of(prepared: Ready, state: PyTree[Array], clamp: PyTree[Array]) -> View:
    """The single moves of a state."""
    memory = prepared.memory
    layers = layers_of(memory, state, True)
    movable = tuple(move is not None for move in layers.moves)
    x, rebuild = flat_view(state, movable)
    steps = [
        (neurons.others(leaf) - leaf if move[0] == 1 else jnp.zeros_like(leaf)).reshape(-1)
        for leaf, neurons, move in zip(jax.tree.leaves(state), layers.neurons, layers.moves, strict=True)
        if move is not None
    ]
    neurons = Moving(x, jnp.concatenate(steps), ~flat_view(clamp, movable).neurons)
    single = all(move[0] == 1 for move in layers.moves if move is not None)
    units = None if single else Units.of_layers(layers.neurons, layers.shapes, layers.moves)
    flips = _derived(memory, layers, rebuild) if prepared.declared is None else prepared.declared
    return View(memory, neurons, units, flips, rebuild, checks.has_method(memory, "energy"))


def _derived(memory: Any, layers: Layers, rebuild: Any) -> AbstractFlips:
    """How single moves change an energy: from one gradient or field, or by differences."""
    movable = tuple(move is not None for move in layers.moves)
    if not checks.has_method(memory, "energy"):
        field = lambda x: flat_view(memory.field(rebuild(x)), movable).neurons  # noqa: E731
        return SlopeFlips(lambda x: (jnp.zeros((), x.dtype), field(x)))
    moving = (one for one, move in zip(layers.neurons, layers.moves, strict=True) if move is not None)
    if getattr(memory, "multilinear", False) and all(map(cost_nothing, moving)):
        energy = lambda x: scalar_energy(memory)(rebuild(x))  # noqa: E731

        def energy_and_field(x):
            value, slope = jax.value_and_grad(energy)(x)
            return value, -slope

        return SlopeFlips(energy_and_field)
    return EnergyFlips(memory, rebuild)


def flat_view(state: PyTree[Array], movable: tuple[bool, ...]) -> FlatView:
    """All layers that move, one after another, as a vector; other layers stay as they are."""
    leaves, structure = jax.tree.flatten(state)
    if len(leaves) == 1 and leaves[0].ndim == 1:
        return FlatView(leaves[0], lambda neurons: jax.tree.unflatten(structure, [neurons]))
    flat = [leaf.reshape(-1) for leaf, moves in zip(leaves, movable, strict=True) if moves]

    def rebuild(neurons):
        start, new = 0, []
        for leaf, moves in zip(leaves, movable, strict=True):
            if moves:
                size = math.prod(leaf.shape)
                leaf = neurons[start : start + size].reshape(leaf.shape)
                start += size
            new.append(leaf)
        return jax.tree.unflatten(structure, new)

    return FlatView(jnp.concatenate(flat), rebuild)


def check_moves(memory: Any, rule: str, instead: str, energy: bool = True) -> None:
    """Raise `ValueError` unless the memory has an energy (or a field) and neurons with single moves, or none
    declared. `rule` is what asks, and `instead` says what the caller can do with other neurons.
    """
    name = type(memory).__name__
    has = [kind for kind in ("energy", "field") if checks.has_method(memory, kind)]
    if "energy" not in has and (energy or not has):
        raise ValueError(f"memory must have an energy(x) for flips; {name} has none (use eam.Synchronous())")
    is_neurons = lambda node: isinstance(node, AbstractNeurons)  # noqa: E731
    neurons = jax.tree.leaves(getattr(memory, "neurons", None), is_leaf=is_neurons)
    if neurons and not any(is_movable(one) for one in neurons):
        kinds = ", ".join(sorted({type(one).__name__ for one in neurons}))
        raise ValueError(
            f"memory must have ±1 neurons for {rule}, or others of few values; those of {name} are {kinds} "
            f"({instead})"
        )
    for one in neurons:
        _check_others(one)


def _check_others(neurons: AbstractNeurons) -> None:
    """Raise `ValueError` for other values that are none, or of another shape."""
    called = f"others of {type(neurons).__name__}"
    if neurons.values is not None:
        both = checks.now(lambda: jnp.asarray(neurons.values, float))  # known inside `jit` too
        found = checks.now(neurons.others, both)
        if found is None or jnp.shape(found) != (2,):
            raise ValueError(f"{called} must be like the state, elementwise; got {found}")
        if not checks.passes(lambda found: (found == both[::-1]).all(), found):
            raise ValueError(f"{called} must turn each of {neurons.values} into the other; got {found}")
        return
    unit = neurons.unit or 3
    start = checks.now(lambda: jnp.eye(unit)[0])
    found = checks.now(neurons.others, start)
    if found is None:
        return
    if jnp.shape(found) != (unit - 1, unit):
        raise ValueError(
            f"{called} must be {(unit - 1, unit)} for a row of {unit} values; got {jnp.shape(found)}"
        )
    if not checks.passes(lambda found: (found != start[None]).any(axis=1).all(), found):
        raise ValueError(f"{called} must leave out the value that the unit has; got {found}")


def check_layers(layers: Layers, clamp: PyTree[Bool[Array | np.ndarray, "..."]], rule: str) -> None:
    """Raise `ValueError` for layers without single moves that are not clamped as a whole."""
    clamps = jax.tree.leaves(clamp)
    if not any(layers.moves):  # which the rule refuses by itself
        return
    for name, neurons, move, held in zip(layers.names, layers.neurons, layers.moves, clamps, strict=True):
        if move is None and not (checks.is_known(held) and bool(held.all())):
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
