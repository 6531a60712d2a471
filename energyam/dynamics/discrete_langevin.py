"""Discrete Langevin: many ±1 neurons flip at once by the gradient, and the whole step is accepted or not."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from energyam import checks
from energyam.dynamics.fields import Slope, one_step
from energyam.dynamics.moves import Ready, check_moves, view_of
from energyam.dynamics.temperature import Temperature, as_temperature, at_step, check_schedule
from energyam.dynamics.update import AbstractUpdate, Step, Tick
from energyam.flips.derived import scalar_energy
from energyam.flips.noise import logit, uniform_within

Flat = Float[Array, " N"]


class DiscreteLangevin(AbstractUpdate):
    """Each neuron flips by itself with probability σ(−½ d_i ∂_iE/T − d_i²/2α); all flips are accepted or
    none.

    d_i is the step to the other value: for ±1 neurons the probability is σ(x_i ∂_iE/T − 2/α).

    Accepted with probability min(1, exp(−E(x′)/T) q(x|x′) / exp(−E(x)/T) q(x′|x)), so that chains tend to
    exp(−E/T) exactly. One gradient serves the whole step, which is efficient if the energy is smooth and D is
    large. The energy must be differentiable and defined between ±1.

    **Arguments:** `step_size`: α > 0: the larger, the more flips are proposed; `temperature`: T above 0, or a
    schedule of the step, which may reach 0. Raises `ValueError` for others, and in `sample` and `recall` for
    a memory without ±1 neurons, a missing key, and a schedule that falls below 0 within the run.

    Zhang, Liu & Liu, ICML 2022.

        >>> rule = eam.DiscreteLangevin(2.0)
        >>> field = eam.HopfieldNetwork(jnp.zeros((2, 2)), bias=jnp.array([0.5, -0.5]))
        >>> samples = eam.sample(field, jnp.ones((200, 2), int), rule, 50, key=jr.key(0), discard=5)
        >>> bool(jnp.allclose(samples.states.mean((0, 1)), jnp.tanh(field.bias), atol=0.03))
        True
    """

    step_size: Float[ArrayLike, ""] = eqx.field(converter=partial(checks.positive_float, "step_size"))
    temperature: Temperature = eqx.field(converter=as_temperature, default=1.0)
    moves_neurons = True

    def at(self, temperature: Float[Array, ""]) -> "DiscreteLangevin":
        return DiscreteLangevin(self.step_size, temperature)

    def check(self, memory: Any, num_steps: int) -> None:
        check_schedule(self.temperature, num_steps)

    def prepare(self, memory: Any) -> Any:
        check_moves(memory, "DiscreteLangevin", "use eam.Langevin(step_size, temperature)")
        return memory

    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> Slope:
        view = self._view(prepared, state, None)
        return _slope(prepared, view.rebuild, view.neurons.state)

    def renewed(self, prepared: Any, state: PyTree[Array], carry: Slope, tick: Tick) -> Slope:
        return self.init(prepared, state, tick)

    def energy(self, carry: Slope) -> Float[Array, ""]:
        return carry.energy

    def step(self, prepared: Any, state: PyTree[Array], carry: Slope, tick: Tick, clamp: Any) -> Step:
        view = self._view(prepared, state, clamp)
        x, steps, free = view.neurons
        flips_key, accept_key = jr.split(tick.own)
        temperature = at_step(self.temperature, tick.index).astype(x.dtype)
        drive = self.drive(steps, carry.gradient, temperature)
        flips = free & (drive > temperature * logit(uniform_within(x.shape, x.dtype, key=flips_key)))
        new = x + jnp.where(flips, steps, 0)
        proposed = _slope(prepared, view.rebuild, new)
        back = self.drive(jnp.where(flips, -steps, steps), proposed.gradient, temperature)
        gain = carry.energy - proposed.energy + _log_probability(back, flips, free, temperature)
        gain = gain - _log_probability(drive, flips, free, temperature)
        accept = gain > temperature * jnp.log(uniform_within((), gain.dtype, key=accept_key))
        x, carry = jax.tree.map(partial(jnp.where, accept), (new, proposed), (x, carry))
        state, accepted = view.rebuild(x), accept.astype(carry.energy.dtype)
        return one_step(state, carry, accepted=accepted)

    def drive(self, steps: Flat, gradient: Flat, temperature: Float[Array, ""]) -> Flat:
        """T log(P(flip i) / P(keep i)) of a proposal, for neurons (N,) whose flips add `steps`, at which ∇E
        is `gradient`."""
        return -0.5 * steps * gradient - 0.5 * temperature * steps**2 / self.step_size

    def _view(self, memory, state, clamp):
        view = view_of(Ready(memory, None), state, clamp)
        if view.units is not None:
            got = f"{type(memory).__name__} has units of more values (use eam.HeatBath(temperature))"
            raise ValueError(f"DiscreteLangevin moves neurons of two values only; {got}")
        return view


def _log_probability(drive, flips, free, temperature):
    """T log q of the proposal that flips `flips` and keeps the other free neurons; its limit at T = 0."""
    against = jnp.where(flips, -drive, drive)
    safe = jnp.maximum(temperature, jnp.finfo(drive.dtype).tiny)
    softplus = jax.nn.relu(against) + temperature * jnp.log1p(jnp.exp(-jnp.abs(against) / safe))
    return -jnp.sum(softplus, where=free)


def _slope(memory, rebuild, x):
    return Slope(*jax.value_and_grad(lambda x: scalar_energy(memory)(rebuild(x)))(x))
