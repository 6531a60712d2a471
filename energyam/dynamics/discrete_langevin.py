"""Discrete Langevin: many ±1 neurons flip at once by the gradient, and the whole step is accepted or not."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PyTree

from energyam import checks
from energyam.dynamics.asynchronous import check_flips
from energyam.dynamics.heat_bath import uniform_within
from energyam.dynamics.states import flat_view, layers_of
from energyam.dynamics.update import (
    AbstractCarriesEnergy,
    AbstractFlipping,
    AbstractTempered,
    States,
    Step,
    Tick,
)
from energyam.flips.derived import scalar_energy


class Slope(NamedTuple):
    """The energy of ±1 neurons, and its gradient there as if they were real."""

    energy: Float[Array, ""]
    gradient: Float[Array, " N"]


class DiscreteLangevin(AbstractFlipping, AbstractCarriesEnergy, AbstractTempered):
    """Each ±1 neuron flips by itself with probability σ(x_i ∂_iE/T − 2/α); all flips are accepted or none.

    Accepted with probability min(1, exp(−E(x′)/T) q(x|x′) / exp(−E(x)/T) q(x′|x)), so that chains tend to
    exp(−E/T) exactly. One gradient serves for the whole step: good where the energy is smooth and D is large.
    The energy must be differentiable, and make sense between ±1.

    **Arguments:** `step_size`: α > 0: the larger, the more flips are proposed; `temperature`: T > 0. Raises
    `ValueError` for others, and in `sample` and `recall` for a memory without ±1 neurons or a missing key.

    Zhang, Liu & Liu, ICML 2022.
    """

    step_size: Float[Array, ""]
    temperature: Float[Array, ""]

    def __init__(self, step_size: ArrayLike, temperature: ArrayLike = 1.0):
        self.step_size = checks.positive_float("step_size", step_size)
        self.temperature = checks.positive_float("temperature", temperature)

    def at(self, temperature: Float[Array, ""]) -> "DiscreteLangevin":
        return DiscreteLangevin(self.step_size, temperature)

    def prepare(self, memory: Any) -> Any:
        check_flips(memory)
        return memory

    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> Slope:
        x, rebuild = flat_view(state, layers_of(prepared, state, True).flippable)
        return _slope(prepared, rebuild, x)

    def energy(self, carry: Slope) -> Float[Array, ""]:
        return carry.energy

    def step(self, prepared: Any, state: PyTree[Array], carry: Slope, tick: Tick, clamp: Any) -> Step:
        flippable = layers_of(prepared, state, True).flippable
        x, rebuild = flat_view(state, flippable)
        free = ~flat_view(clamp, flippable).neurons
        flips_key, accept_key = jr.split(tick.own)
        odds = self.log_odds(x, carry.gradient)
        flips = free & (uniform_within(x.shape, x.dtype, key=flips_key) < jax.nn.sigmoid(odds))
        new = jnp.where(flips, -x, x)
        proposed = _slope(prepared, rebuild, new)
        gain = (carry.energy - proposed.energy) / self.temperature
        gain = gain + _log_probability(self.log_odds(new, proposed.gradient), flips, free)
        gain = gain - _log_probability(odds, flips, free)
        accept = gain > jnp.log(uniform_within((), gain.dtype, key=accept_key))
        x, carry = jax.tree.map(lambda a, b: jnp.where(accept, a, b), (new, proposed), (x, carry))
        state = rebuild(x)
        record = States(jax.tree.map(lambda leaf: leaf[None], state))
        accepted = accept.astype(carry.energy.dtype)
        return Step(state, carry, carry.energy[None], record, jnp.zeros((), bool), accepted)

    def log_odds(self, state: Float[Array, " N"], gradient: Float[Array, " N"]) -> Float[Array, " N"]:
        """log P(flip i) / P(keep i) of a proposal, for ±1 neurons (N,) at which ∇E is `gradient`."""
        return state * gradient / self.temperature - 2 / self.step_size


def _log_probability(
    odds: Float[Array, " N"], flips: Bool[Array, " N"], free: Bool[Array, " N"]
) -> Float[Array, ""]:
    """log q of the proposal that flips `flips` and keeps the other free neurons."""
    return jnp.sum(jax.nn.log_sigmoid(jnp.where(flips, odds, -odds)), where=free)


def _slope(memory, rebuild, x):
    return Slope(*jax.value_and_grad(lambda x: scalar_energy(memory)(rebuild(x)))(x))
