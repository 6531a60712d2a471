"""Simulated bifurcation: all neurons of a network at once, as positions that a growing force separates."""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike, Float

from energyam import checks
from energyam.dynamics.update import AbstractUpdate, States, Step, Tick
from energyam.linalg import power_of_two
from energyam.memories.hopfield import HopfieldNetwork
from energyam.memories.sparse_network import SparseNetwork

Vector = Float[Array, " D"]

_SPREAD = 0.1  # positions and momenta start between −.1 and .1


class _Network(NamedTuple):
    memory: Any
    scaled: Any  # without the diagonal, and divided by about the largest coupling or field
    strength: Float[Array, ""]  # c = ½ √(D − 1) / ‖J‖, of the scaled couplings


class _Motion(NamedTuple):
    positions: Vector
    momenta: Vector


class SimulatedBifurcation(AbstractUpdate):
    """A search for the lowest state of a network: one matrix product moves all its neurons.

    Positions u and momenta v, from small random ones, with J the couplings without their diagonal, and J and
    b divided by a power of two near the largest of them:

        v ← v + dt (−(1 − a) u + c (J z + b)),   u ← u + dt v,   c = ½ √(D − 1) / ‖J‖

    while a grows from 0 to 1. Where |u| > 1, u becomes its sign and v becomes 0. z = u (ballistic) or sign u
    (discrete), and the state of the recall is sign u. The query gives the values of clamped neurons and the
    number of chains; other neurons start at random. The rule never settles: the last state is the answer, and
    sweeps of `Asynchronous()` bring it to a minimum.

    **Arguments:** `num_steps`: steps until a = 1; give `recall` as many as `max_steps`; `step_size`: dt;
    `discrete`: which of the two. Raises `ValueError` for `num_steps` below 1, a step size not above 0, and in
    `recall` for a memory that is no `HopfieldNetwork`, `SparseNetwork` or `Problem` of ±1 neurons, or a
    missing key.

    Goto et al., Science Advances 7 (2021).

        >>> network = eam.HopfieldNetwork(jnp.array([[0.0, -1.0], [-1.0, 0.0]]))
        >>> rule = eam.ising.SimulatedBifurcation(20)
        >>> state = eam.recall(network, jnp.array([1, 1]), rule, max_steps=20, key=jr.key(0)).state
        >>> int(state.sum())  # coupled by −1, they differ
        0
    """

    num_steps: int = eqx.field(static=True, converter=partial(checks.count, "num_steps"))
    step_size: Float[ArrayLike, ""] = eqx.field(
        converter=partial(checks.positive_float, "step_size"), default=0.5
    )
    discrete: bool = eqx.field(static=True, default=True, converter=partial(checks.flag, "discrete"))

    def prepare(self, memory: Any) -> _Network:
        inner, sparse = getattr(memory, "memory", memory), SparseNetwork
        inner = inner if isinstance(inner, sparse) else checks.instance("memory", inner, HopfieldNetwork)
        if inner.neurons.values != (-1, 1):
            raise ValueError(f"memory must have ±1 neurons; got {inner.neurons!r:.80} (eam.Binary())")
        J = inner.weights if inner.weights.ndim == 1 else jnp.fill_diagonal(inner.weights, 0, inplace=False)
        fields = jnp.zeros(1) if inner.bias is None else inner.bias
        scale = power_of_two(J, fields)
        scaled = eqx.tree_at(lambda m: m.weights, inner, J / scale.astype(J.dtype))
        if inner.bias is not None:
            scaled = eqx.tree_at(lambda m: m.bias, scaled, inner.bias / scale.astype(inner.bias.dtype))
        norm = jnp.linalg.norm(scaled.weights) * (2 if J.ndim == 1 else 1) ** 0.5
        strength = 0.5 * (inner.num_neurons - 1) ** 0.5 / jnp.where(norm > 0, norm, 1)
        return _Network(memory, scaled, strength)

    def init(self, prepared: _Network, state: Vector, tick: Tick) -> _Motion:
        return _Motion(*jr.uniform(tick.own, (2, *state.shape), state.dtype, -_SPREAD, _SPREAD))

    def step(self, prepared: _Network, state: Vector, carry: _Motion, tick: Tick, clamp: Any) -> Step:
        u = jnp.where(clamp, state, carry.positions)
        grown = jnp.minimum(tick.index / self.num_steps, 1)
        force = prepared.scaled.pull(_sign(u) if self.discrete else u).field
        v = carry.momenta + self.step_size * (prepared.strength * force - (1 - grown) * u)
        u = u + self.step_size * v
        beyond = jnp.abs(u) > 1
        u, v = jnp.where(beyond, _sign(u), u), jnp.where(beyond, 0, v)
        new = jnp.where(clamp, state, _sign(u))
        energy = prepared.memory.energy(new)
        return Step(new, _Motion(u, v), energy[None], States(new[None]), jnp.zeros((), bool))


def _sign(u):
    return jnp.where(u < 0, -1, 1).astype(u.dtype)
