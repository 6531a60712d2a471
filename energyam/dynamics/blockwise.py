"""Blockwise recall: one layer after another, or one token after another."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import keystr
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from energyam import checks
from energyam.dynamics.fields import as_tol, check_fields, cost, held, inputs_of, is_still
from energyam.dynamics.relaxation import mixed
from energyam.dynamics.states import layers_of
from energyam.dynamics.update import AbstractUpdate, States, Step, Tick
from energyam.memories.neurons import AbstractNeurons


class Visited(NamedTuple):
    """The carry of blockwise recall: the inputs x of all layers, and the energy."""

    inputs: PyTree[Array]
    energy: Float[Array, ""] | None


class Block(NamedTuple):
    """One layer during its visit: its inputs, activations, and whether it was at rest."""

    inputs: Array
    layer: Array
    still: Array


def _as_names(tokens):
    if not isinstance(tokens, list | tuple) or not all(isinstance(name, str) for name in tokens):
        raise ValueError(f"tokens must be a tuple of names of layers, such as ('image',); got {tokens!r:.80}")
    return tuple(tokens)


class Blockwise(AbstractUpdate):
    """One layer after another answers the field that the others make, so that the energy never rises.

        x_l ← x_l + rate (field_l(g) − x_l),    g_l = respond(x_l),    for each layer l in turn

    Where the potential is convex in each layer while the others are fixed (couplings between different
    layers, convolutions, patterns under a convex separation that grows), a visit changes the energy by at
    most (1 − 1/rate) D(g′, g) − D(g, g′)/rate ≤ 0, D the Bregman divergence of R. A rate of 1 takes a layer
    to its minimum if the potential is linear in it. One step visits all layers, in the order of the memory's
    layers, or else of the state's leaves.

    **Arguments:** `rate`: in (0, 1], or any above 0 without decay. `tokens`: names of the layers whose
    tokens, the vectors along their last axis, are visited one after another, as attention requires. `decay`:
    whether x decays; without decay, x ← x + rate · field, and for every rate −potential never rises, which is
    the energy without the cost R of the neurons. `tol`: at rest when no activation moves by more than tol ·
    max(1, max|g|), nor would at a rate of 1 (with decay).

    Raises `ValueError` for others; in `recall` for a memory without a potential or neurons, for tokens of
    layers that don't exist or have one axis, and where a synapse declares that it is not convex in a block.
    Synapses that declare nothing are taken to be convex.

        >>> layers = {"a": eam.Tanh(1.0, (2,)), "b": eam.Tanh(1.0, (2,))}
        >>> memory = eam.HierarchicalMemory(layers, [(eam.synapses.Dense(2 * jnp.eye(2)), ("a", "b"))])
        >>> start = {"a": jnp.zeros(2), "b": jnp.array([0.1, -0.1])}
        >>> result = eam.recall(memory, start, eam.Blockwise(), max_steps=100)
        >>> np.asarray(result.state["a"]).round(3)  # a = tanh(2 b) and b = tanh(2 a)
        array([ 0.958, -0.958], dtype=float32)
    """

    rate: Float[Array | float, ""] = eqx.field(converter=partial(checks.positive_float, "rate"), default=1.0)
    tokens: Sequence[str] = eqx.field(static=True, converter=_as_names, default=())
    decay: bool = eqx.field(static=True, default=True, converter=partial(checks.flag, "decay"))
    tol: Float[ArrayLike, ""] = eqx.field(converter=as_tol, default=1e-6)
    repeats = True

    def __check_init__(self):
        if self.decay and checks.is_known(self.rate) and float(self.rate) > 1:
            raise ValueError(f"rate must be at most 1 with decay, else the energy may rise; got {self.rate}")

    def prepare(self, memory: Any) -> Any:
        check_fields(memory, "Blockwise")
        for name, in_tokens in tokens_of(memory).items():
            if not in_tokens:
                raise ValueError(
                    f"Blockwise needs a potential that is convex in each block; that of layer {name!r} "
                    "is not, as its tokens see themselves (use eam.LineSearch() or eam.Relaxation(rate))"
                )
            if name not in self.tokens:
                wanted = f"{name!r}, as attention is convex in one token at a time"
                hint = f"(say eam.Blockwise(tokens=({name!r},)))"
                raise ValueError(f"tokens must name {wanted}; got {self.tokens} {hint}")
        return memory

    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> Visited:
        return Visited(inputs_of(prepared, state), _energy(prepared, state))

    def energy(self, carry: Visited) -> Float[Array, ""] | None:
        return carry.energy

    def step(self, prepared: Any, state: PyTree[Array], carry: Visited, tick: Tick, clamp: Any) -> Step:
        names, neurons = _layers(prepared, state)
        leaves, structure = jax.tree.flatten(state)
        inputs, clamps = jax.tree.leaves(carry.inputs), jax.tree.leaves(clamp)
        self._check_tokens(names, leaves)
        energies, states, still = [], [], []
        # Each layer feels the others as they are by then; energies and states are those after each visit.
        for at in map(names.index, getattr(prepared, "order", ()) or names):
            field = _field_of_leaf(prepared, structure, list(leaves), at)
            visit = self._visit_tokens if names[at] in self.tokens else self._visit
            block = visit(field, neurons[at], Block(inputs[at], leaves[at], clamps[at]))
            inputs[at], leaves[at] = block.inputs, block.layer
            state = jax.tree.unflatten(structure, leaves)
            energies.append(_energy(prepared, state))
            states.append(state)
            still.append(block.still)
        carry = Visited(jax.tree.unflatten(structure, inputs), energies[-1])
        record = States(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))
        known = None if energies[-1] is None else jnp.stack(energies)
        return Step(state, carry, known, record, jnp.stack(still).all())

    def _visit(self, field_at, neurons, block):
        """One layer, or one token; `block.still` is its clamp on the way in."""
        x, old, clamp = block
        field = field_at(old)
        x = mixed(x, field, self.rate, self.decay)
        new = held(clamp, old, neurons.respond(x, old))
        still = is_still(new, old, self.tol)
        if self.decay:
            still = still & is_still(held(clamp, old, neurons.respond(field, old)), old, self.tol)
        return Block(x, new, still)

    def _visit_tokens(self, field_at, neurons, block):
        """The tokens of a layer, one after another: each answers the field of the others as they are at its
        turn."""
        shape = block.layer.shape
        x, layer, clamp = (leaf.reshape(-1, shape[-1]) for leaf in block)

        def visit(layer, of_token):
            i, x, clamp = of_token
            alone = lambda token: field_at(layer.at[i].set(token).reshape(shape)).reshape(layer.shape)[i]  # noqa: E731
            token = self._visit(alone, neurons, Block(x, layer[i], clamp))
            return layer.at[i].set(token.layer), (token.inputs, token.still)

        layer, (x, still) = lax.scan(visit, layer, (jnp.arange(layer.shape[0]), x, clamp))
        return Block(x.reshape(shape), layer.reshape(shape), still.all())

    def _check_tokens(self, names, leaves):
        shapes = {name: leaf.shape for name, leaf in zip(names, leaves, strict=True)}
        for name in self.tokens:
            if name not in shapes or len(shapes[name]) < 2:
                got = f"a layer of shape {shapes[name]}" if name in shapes else f"{name!r}"
                wanted = f"layers of at least two axes, (N, D), of {sorted(names)}"
                raise ValueError(f"tokens must name {wanted}; got {got}")


def tokens_of(memory: Any) -> dict[str, bool]:
    """The layers that must go token by token, as far as the memory says so, and whether that is enough."""
    return getattr(memory, "tokens", {})


def _layers(memory, state) -> tuple[list[str], tuple[AbstractNeurons, ...]]:
    """The names of the state's layers, in the order of its leaves, and their neurons."""
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(state)[0]]
    names = [keystr(path, simple=True, separator=".") for path in paths]
    return names, layers_of(memory, state, False).neurons


def _field_of_leaf(memory, structure, leaves, at):
    """The field at one layer as a function of it, the others as in `leaves`."""

    def state_with(leaf):
        return jax.tree.unflatten(structure, [*leaves[:at], leaf, *leaves[at + 1 :]])

    if checks.has_method(memory, "potential"):
        return jax.grad(lambda leaf: memory.potential(state_with(leaf)))
    return lambda leaf: jax.tree.leaves(memory.field(state_with(leaf)))[at]


def _energy(memory, state):
    """The energy of a state; None where the memory has a field alone."""
    if not checks.has_method(memory, "potential") or not checks.has_method(memory, "energy"):
        return None
    return cost(memory, state) - memory.potential(state)
