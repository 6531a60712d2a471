"""Flips at a temperature: heat bath and Metropolis, whose chains sample exp(−E/T) of ±1 neurons."""

import abc
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from energyam.dynamics.moves import Ready, View, check_moves, ready, view_of, without_gradient
from energyam.dynamics.temperature import Temperature, as_temperature, at_step, check_schedule
from energyam.dynamics.update import AbstractUpdate, Step, Tick, as_flips, checked_order
from energyam.flips.noise import Noise, logit, uniform_within, words_of
from energyam.flips.sweep import visit

Order = Literal["colours", "permutation", "uniform", "sequential"]
AFRESH = 100  # sweeps until what flips keep is computed anew, before rounding adds up


class Chain(NamedTuple):
    """The energy of a chain's state, and what is carried along from step to step."""

    energy: Float[Array, ""]
    kept: Any


class AbstractFlipsAtRandom(AbstractUpdate):
    """One neuron at a time: each moves by the change of energy and by noise, at a temperature.

    Each chain has its own noise, drawn anew for each try. Once a schedule reaches T = 0, a step is a sweep of
    descent, and a sweep without a move proves a local minimum.
    """

    temperature: eqx.AbstractVar[Temperature]
    order: eqx.AbstractVar[str]
    moves_neurons = True

    @abc.abstractmethod
    def threshold(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """The threshold for the change of a flip, in units of the temperature, for u uniform in 0 … 1."""

    @abc.abstractmethod
    def noise(self, counts: Int[Array, " t"], most: int, *, key: PRNGKeyArray) -> Float[Array, "t n"]:
        """The noise on the changes of a unit's other values, `counts` (t,) of them and at most `most`, in
        units of the temperature. The unit goes to the largest sum, if that lies above 0."""

    def at(self, temperature: Float[Array, ""]) -> "AbstractFlipsAtRandom":
        return eqx.tree_at(lambda rule: rule.temperature, self, temperature)

    def check(self, memory: Any, num_steps: int) -> None:
        check_schedule(self.temperature, num_steps)

    def prepare(self, memory: Any) -> Ready:
        check_moves(memory, type(self).__name__, "use eam.Langevin(step_size, temperature)")
        return ready(without_gradient(memory))

    def init(self, prepared: Ready, state: PyTree[Array], tick: Tick) -> Chain:
        view = view_of(prepared, state)
        kept = view.flips.start(view.neurons.state)
        return Chain(view.flips.energy(kept, view.neurons.state), kept)

    def renewed(self, prepared: Ready, state: PyTree[Array], carry: Chain, tick: Tick) -> Chain:
        return self.init(prepared, state, tick)

    def energy(self, carry: Chain) -> Float[Array, ""]:
        return carry.energy

    def step(self, prepared: Ready, state: PyTree[Array], carry: Chain, tick: Tick, clamp: Any) -> Step:
        view, once = view_of(prepared, state, clamp), self.order != "uniform"
        order = view.order(self.order, tick)
        temperature = at_step(self.temperature, tick.index).astype(view.neurons.state.dtype)
        kept = self._kept(view, carry, tick, temperature)
        if order is None:  # colour by colour, each at most once
            rule = eqx.tree_at(lambda rule: rule.temperature, self, None)  # which would leak from a trace
            drawn = Noise(jnp.stack(words_of(key=tick.own)), temperature, rule.threshold)
            swept, kept = visit(view.flips, kept, view.neurons, None, drawn, once)
            moved = swept.state != view.neurons.state
        else:
            noise = self._noise(view, order, temperature, tick.own)
            swept, kept = view.visit(kept, order, noise, once)
            moved = swept.flips >= 0
        settled = (temperature == 0) & ~moved.any()
        if not once:  # which leaves some neurons out
            proved = lambda: ~view.any_descent()[0]  # noqa: E731
            settled = settled & lax.cond(temperature == 0, proved, lambda: jnp.zeros((), bool))
        count = lambda these: jnp.sum(these.astype(temperature.dtype))  # noqa: E731 (fast, in floats)
        accepted = count(moved) / jnp.maximum(count(view.free_tries(order)), 1)
        record, carry = as_flips(swept.flips, view.neurons.state.size), Chain(swept.energy, kept)
        return Step(view.rebuild(swept.state), carry, swept.energies, record, settled, accepted)

    def _noise(self, view: View, order: Array, temperature: Array, key: PRNGKeyArray) -> Float[Array, "t n"]:
        """The noise of each try, 0 at a temperature of 0."""
        if view.units is None:
            u = uniform_within((view.num_tries,), view.neurons.state.dtype, key=key)
            return -temperature * self.threshold(u)[:, None]
        noise = self.noise(view.units.counts(order), view.units.most, key=key)
        some = jnp.maximum(temperature, jnp.finfo(temperature.dtype).tiny)  # 0 times infinity is no number
        return jnp.where(temperature == 0, 0, some * noise.astype(temperature.dtype))

    def _kept(self, view: View, carry: Chain, tick: Tick, temperature: Array) -> Any:
        """The carry, computed anew from time to time, and always when a sweep may prove a minimum."""
        afresh = tick.index % AFRESH == 0
        if callable(self.temperature):
            afresh = afresh | (temperature == 0)
        return lax.cond(afresh, lambda: view.flips.start(view.neurons.state), lambda: carry.kept)


class HeatBath(AbstractFlipsAtRandom):
    """Heat bath (Glauber dynamics): every neuron is drawn from its distribution given all other neurons.

        P(flip i) = 1 / (1 + exp(−change_i / T)),   change_i = E(x) − E(x with i flipped)

    A one-hot unit of q values takes value k with a probability proportional to exp(change_k / T).

    One step tries D neurons. With `sample` its chains tend to exp(−E/T); with `recall` and a schedule that
    falls to 0 it anneals, and the status is "settled" only after a sweep at T = 0 has proved a local minimum
    (within the rounding of the energy if the memory has only an energy). All chains try neurons in the same
    order, each with its own noise.

    **Arguments:** `temperature`: T above 0, in the units of the energy, or a schedule: a function of the
    number of the step, as in optax, which may reach 0; `order`: as in `Asynchronous`. Raises
    `ValueError` for others; in `recall` and `sample` for a memory without ±1 neurons, a missing key, and a
    schedule that falls below 0 within the run.

    Glauber, J. Math. Phys. 4 (1963); Geman & Geman, IEEE PAMI 6 (1984).

        >>> field = eam.HopfieldNetwork(jnp.zeros((2, 2)), bias=jnp.array([0.5, -0.5]))
        >>> start = jnp.ones((200, 2), int)
        >>> samples = eam.sample(field, start, eam.HeatBath(1.0), 50, key=jr.key(0), discard=5)
        >>> bool(jnp.allclose(samples.states.mean((0, 1)), jnp.tanh(field.bias), atol=0.03))
        True
    """

    temperature: Temperature = eqx.field(converter=as_temperature)
    order: Order = eqx.field(static=True, default="colours", converter=checked_order)

    def threshold(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return logit(u)

    def noise(self, counts: Int[Array, " t"], most: int, *, key: PRNGKeyArray) -> Float[Array, "t n"]:
        # The value of the largest change / T + Gumbel noise is each with its probability, the present one's
        # change being 0.
        gumbel = jr.gumbel(key, (counts.shape[0], most + 1))
        return gumbel[:, 1:] - gumbel[:, :1]


class Metropolis(AbstractFlipsAtRandom):
    """Metropolis: every flip that does not raise the energy is taken, others with probability exp(−rise/T).

        P(flip i) = min(1, exp(change_i / T)),   change_i = E(x) − E(x with i flipped)

    More flips are taken than by `HeatBath`, and at T → 0 both are descent. Arguments, annealing and errors
    are those of `HeatBath`. With any order but "uniform" and a T so high that each try
    flips, chains move in step: prefer `HeatBath` there.

    Metropolis, Rosenbluth, Rosenbluth, Teller & Teller, J. Chem. Phys. 21 (1953).

        >>> field = eam.HopfieldNetwork(jnp.zeros((2, 2)), bias=jnp.array([0.5, -0.5]))
        >>> rule = eam.Metropolis(1.0, order="uniform")
        >>> samples = eam.sample(field, jnp.ones((200, 2), int), rule, 50, key=jr.key(0), discard=5)
        >>> bool(jnp.allclose(samples.states.mean((0, 1)), jnp.tanh(field.bias), atol=0.03))
        True
    """

    temperature: Temperature = eqx.field(converter=as_temperature)
    order: Order = eqx.field(static=True, default="colours", converter=checked_order)

    def threshold(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.log(u)

    def noise(self, counts: Int[Array, " t"], most: int, *, key: PRNGKeyArray) -> Float[Array, "t n"]:
        of_value, of_step = jr.split(key)
        offered = jnp.floor(counts * uniform_within(counts.shape, jnp.result_type(float), key=of_value))
        u = uniform_within(counts.shape, jnp.result_type(float), key=of_step)
        here = jnp.arange(most)[None] == offered[:, None]
        return jnp.where(here, -jnp.log(u)[:, None], -jnp.inf)
