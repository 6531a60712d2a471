"""Langevin dynamics: real neurons that go down the gradient of the energy, with noise."""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, PyTree

from energyam import checks
from energyam.dynamics.fields import Slope, by_layer, normal_like, one_step, slope_of
from energyam.dynamics.gradient import check_real
from energyam.dynamics.states import declared_neurons
from energyam.dynamics.temperature import Temperature, as_temperature, at_step, check_schedule
from energyam.dynamics.update import AbstractUpdate, Step, Tick
from energyam.flips.noise import uniform_within
from energyam.memories.neurons import is_curved


class Langevin(AbstractUpdate):
    """Langevin dynamics of real neurons: x′ = x − η ∇E(x) + √(2 η T) · noise.

    Adjusted (MALA), x′ is accepted with probability min(1, exp(−E(x′)/T) q(x|x′) / exp(−E(x)/T) q(x′|x)), q
    being the density of the proposal: chains then tend to exp(−E/T) exactly. Not adjusted (ULA), every x′
    is taken, and the chains are biased: under E = ½x² their variance is T / (1 − η/2) in place of T.

    States may be any pytree of layers. On a sphere steps go along great circles. For bounded neurons (say
    those of at least 0), an adjusted step out of their range is refused, and an unadjusted one ends at the
    nearest value in the range.

    Where the energy is steep a step overshoots, and adjusted chains refuse it; a chain that starts there may
    never move. The mean acceptance does not show this: with 2(x² − 1)² + .3x, T = .3, η = .1 and starts from
    N(0, 1) it is .58, while 7 % of the chains never move; `Samples.rhat` shows it (1.8). Let the starts
    descend first, by `recall` with small steps of `GradientDescent`.

    **Arguments:** `step_size`: η > 0; if adjusted, choose it so that `Samples.acceptance` is about .57;
    `temperature`: T above 0, or a schedule of the step, which may reach 0; `adjusted`. Raises `ValueError`
    for others; in `sample` and `recall` for a memory of ±1 neurons, or a missing key; and, adjusted, for
    coupled neurons that don't say how to move (`tangent` and `geodesic`).

    Roberts & Tweedie, Bernoulli 2 (1996).

        >>> memory = eam.ModernHopfield(jnp.array([[3.0, 0.0]]), beta=1.0)  # a Gaussian around the pattern
        >>> start = jnp.zeros((200, 2))
        >>> samples = eam.sample(memory, start, eam.Langevin(0.5), 50, key=jr.key(0), discard=10)
        >>> bool(jnp.allclose(samples.states.mean((0, 1)), memory.patterns[0], atol=0.1))
        True
    """

    step_size: Float[Array | float, ""] = eqx.field(converter=partial(checks.positive_float, "step_size"))
    temperature: Temperature = eqx.field(converter=as_temperature, default=1.0)
    adjusted: bool = eqx.field(static=True, default=True, converter=partial(checks.flag, "adjusted"))

    def at(self, temperature: Float[Array, ""]) -> "Langevin":
        return Langevin(self.step_size, temperature, self.adjusted)

    def check(self, memory: Any, num_steps: int) -> None:
        check_schedule(self.temperature, num_steps)

    def prepare(self, memory: Any) -> Any:
        check_real(memory, "Langevin")
        for one in declared_neurons(memory):
            if self.adjusted and one.coupled and not is_curved(one):
                why = "which constrain one another and don't say how to move (tangent and geodesic)"
                raise ValueError(f"adjusted must be False for {type(one).__name__}, {why}; got True")
        return memory

    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> Slope:
        return slope_of(prepared, state)

    def renewed(self, prepared: Any, state: PyTree[Array], carry: Slope, tick: Tick) -> Slope:
        return self.init(prepared, state, tick)

    def energy(self, carry: Slope) -> Float[Array, ""]:
        return carry.energy

    def step(self, prepared: Any, state: PyTree[Array], carry: Slope, tick: Tick, clamp: Any) -> Step:
        temperature = at_step(self.temperature, tick.index)
        moves = _Moves(prepared, self.step_size, clamp)
        drift = moves.drift(state, carry.gradient)
        noise = normal_like(state, key=jr.fold_in(tick.own, 0))
        push = moves.along(state, _scaled(jnp.sqrt(2 * self.step_size * temperature), noise))
        step = jax.tree.map(jnp.add, drift, push)
        new, onward = moves.moved(state, step)
        allowed = moves.retracted(new)
        proposed = slope_of(prepared, allowed)
        if self.adjusted:
            back = jax.tree.map(lambda w, d: -w - d, onward, moves.drift(allowed, proposed.gradient))
            gain = carry.energy - proposed.energy + (_square(push) - _square(back)) / (4 * self.step_size)
            u = uniform_within((), gain.dtype, key=jr.fold_in(tick.own, 1))
            same = jax.tree.map(lambda a, b: (a == b).all(), new, allowed)
            accept = (gain > temperature * jnp.log(u)) & jnp.stack(jax.tree.leaves(same)).all()
        else:
            accept = jnp.ones((), bool)
        state, carry = jax.tree.map(lambda a, b: jnp.where(accept, a, b), (allowed, proposed), (state, carry))
        return one_step(state, carry, accepted=accept.astype(carry.energy.dtype))


class _Moves(NamedTuple):
    """How the free neurons of a state move, layer by layer."""

    memory: Any
    step_size: Array | float
    clamp: PyTree[Bool[Array, "..."]]

    def drift(self, state, gradient):
        """The step down the gradient."""
        return self.along(state, _scaled(-self.step_size, gradient))

    def along(self, state, vector):
        """The part of a vector that the free neurons can follow."""

        def one(neurons, x, clamp, v):
            v = neurons.tangent(x, v) if is_curved(neurons) else v
            return jnp.where(clamp, 0, v)

        return by_layer(one, self.memory, state, self.clamp, vector)

    def moved(self, state, step):
        """Where a step leads, and the step transported to that point."""

        def one(neurons, x, clamp, v):
            if not is_curved(neurons):
                return x + v, v
            arrived, onward = neurons.geodesic(x, v)
            return jnp.where(clamp, x, arrived), onward

        pairs = by_layer(one, self.memory, state, self.clamp, step)
        outer, inner = jax.tree.structure(state), jax.tree.structure((0, 0))
        return jax.tree.transpose(outer, inner, pairs)

    def retracted(self, state):
        """The nearest state that the neurons can take; clamped ones, and those of a surface, as they are."""

        def one(neurons, x, clamp):
            return x if is_curved(neurons) else jnp.where(clamp, x, neurons.retract(x))

        return by_layer(one, self.memory, state, self.clamp)


def _scaled(factor, tree):
    return jax.tree.map(lambda leaf: (factor * leaf).astype(leaf.dtype), tree)


def _square(tree):
    return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree))
