"""Flips at a temperature: heat bath and Metropolis, whose chains sample exp(−E/T) of ±1 neurons."""

import abc
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from energyam.dynamics.asynchronous import Prepared, prepare_flips
from energyam.dynamics.orders import checked_order, drawn_order
from energyam.dynamics.states import flat_view, layers_of
from energyam.dynamics.temperature import (
    Schedule,
    Temperature,
    check_schedule,
    checked_temperature,
    temperature_at,
)
from energyam.dynamics.update import (
    AbstractCarriesEnergy,
    AbstractFlipping,
    AbstractScheduled,
    AbstractTempered,
    Flips,
    Step,
    Tick,
)
from energyam.flips.capabilities import AbstractCouplings, AbstractFlips
from energyam.flips.derived import scalar_energy
from energyam.flips.sweep import any_descent, visit_on
from energyam.flips.warm import visit_once

Order = Literal["permutation", "uniform", "sequential"]
AFRESH = 100  # sweeps until what flips keep is computed anew, before rounding adds up


class Chain(NamedTuple):
    """The energy of a chain's state, and what its flips keep of it from sweep to sweep."""

    energy: Float[Array, ""]
    kept: Any


class AbstractFlipsAtRandom(AbstractFlipping, AbstractCarriesEnergy, AbstractTempered, AbstractScheduled):
    """One neuron at a time: each flips if its change of energy E(x) − E(x′) lies above T · threshold(u).

    u is uniform within 0 … 1, a fresh one for each try of each chain. Where a schedule has come to T = 0 a
    step is a sweep of descent, and one without a flip proves a local minimum.
    """

    temperature: eqx.AbstractVar[Temperature]
    order: eqx.AbstractVar[str]

    @abc.abstractmethod
    def threshold(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        """What a change must exceed to be accepted, in units of the temperature."""

    def at(self, temperature: Float[Array, ""]) -> "AbstractFlipsAtRandom":
        return eqx.tree_at(lambda rule: rule.temperature, self, temperature)

    def check_steps(self, num_steps: int) -> None:
        check_schedule(self.temperature, num_steps)

    def prepare(self, memory: Any) -> Prepared:
        return prepare_flips(memory)

    def init(self, prepared: Prepared, state: PyTree[Array], tick: Tick) -> Chain:
        x, rebuild = flat_view(state, layers_of(prepared.memory, state, True).flippable)
        return Chain(scalar_energy(prepared.memory)(state), prepared.flips(rebuild).start(x))

    def energy(self, carry: Chain) -> Float[Array, ""]:
        return carry.energy

    def step(self, prepared: Prepared, state: PyTree[Array], carry: Chain, tick: Tick, clamp: Any) -> Step:
        flippable = layers_of(prepared.memory, state, True).flippable
        x, rebuild = flat_view(state, flippable)
        free = ~flat_view(clamp, flippable).neurons
        flips, order = prepared.flips(rebuild), drawn_order(self.order, x.shape[0], tick)
        temperature = temperature_at(self.temperature, tick.index).astype(x.dtype)
        thresholds = temperature * self.threshold(uniform_within(order.shape, x.dtype, key=tick.own))
        kept = self._kept(flips, carry, x, tick, temperature)
        if self.order != "uniform" and isinstance(flips, AbstractCouplings):
            swept, kept = visit_once(flips, kept, x, order, free, thresholds)
        else:
            swept, kept = visit_on(flips, kept, x, order, free, thresholds)
        flipped = swept.flips >= 0
        settled = (temperature == 0) & ~flipped.any()
        if self.order == "uniform":  # which leaves some neurons out
            settled = settled & lax.cond(
                temperature == 0, lambda: ~any_descent(flips, x, free)[0], lambda: jnp.zeros((), bool)
            )
        accepted = flipped.sum() / jnp.maximum(free[order].sum(), 1)
        record = Flips(swept.flips.astype(jnp.int32))
        carry = Chain(swept.energy, kept)
        return Step(rebuild(swept.state), carry, swept.energies, record, settled, accepted)

    def _kept(
        self, flips: AbstractFlips, carry: Chain, x: Float[Array, " N"], tick: Tick, temperature: Array
    ) -> Any:
        """What was kept of the state, now and then made afresh; always where a sweep may prove a minimum."""
        afresh = tick.index % AFRESH == 0
        if callable(self.temperature):
            afresh = afresh | (temperature == 0)
        return lax.cond(afresh, lambda: flips.start(x), lambda: carry.kept)


class HeatBath(AbstractFlipsAtRandom):
    """Heat bath (Glauber dynamics): every neuron takes each of its two values as likely as the rest says.

        P(flip i) = 1 / (1 + exp(−change_i / T)),   change_i = E(x) − E(x with i flipped)

    One step tries D neurons. With `sample` its chains tend to exp(−E/T); with `recall` and a schedule that
    falls to 0 it anneals, and says "settled" only once a sweep at T = 0 has proved a local minimum (for an
    energy alone, within its rounding). Neurons are tried in an order that all chains share, with noise of
    each chain's own.

    **Arguments:** `temperature`: T above 0, in the units of the energy, or a schedule: a function of the
    number of the step, as optax has them, which may reach 0; `order`: as in `Asynchronous`. Raises
    `ValueError` for others; in `recall` and `sample` for a memory without ±1 neurons, a missing key, and a
    schedule that falls below 0 within the run.

    Glauber, J. Math. Phys. 4 (1963); Geman & Geman, IEEE PAMI 6 (1984).
    """

    temperature: Temperature
    order: str = eqx.field(static=True)

    def __init__(self, temperature: ArrayLike | Schedule, order: Order = "permutation"):
        self.temperature = checked_temperature(temperature)
        self.order = checked_order(order)

    def threshold(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return logit(u)


class Metropolis(AbstractFlipsAtRandom):
    """Metropolis: every flip that does not raise the energy is taken, others with probability exp(−rise/T).

        P(flip i) = min(1, exp(change_i / T)),   change_i = E(x) − E(x with i flipped)

    More flips are taken than by `HeatBath`, and at T → 0 both are descent. Arguments, annealing and errors
    are those of `HeatBath`. With the order "sequential" or "permutation" and a T so high that each try
    flips, chains move in step: prefer `HeatBath` there.

    Metropolis, Rosenbluth, Rosenbluth, Teller & Teller, J. Chem. Phys. 21 (1953).
    """

    temperature: Temperature
    order: str = eqx.field(static=True)

    def __init__(self, temperature: ArrayLike | Schedule, order: Order = "permutation"):
        self.temperature = checked_temperature(temperature)
        self.order = checked_order(order)

    def threshold(self, u: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.log(u)


def uniform_within(shape: tuple[int, ...], dtype: jnp.dtype, *, key: PRNGKeyArray) -> Float[Array, "..."]:
    """Uniform numbers strictly between 0 and 1: those of jax, on a grid that includes 0, and half a step.

    The barrier keeps XLA from drawing them anew for each use, which took a third of a sweep.
    """
    return lax.optimization_barrier(jr.uniform(key, shape, dtype) + jnp.finfo(dtype).eps / 2)


def logit(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(u / (1 − u)), for u on the grid of `uniform_within`, where 1 − u is exact."""
    return lax.optimization_barrier(jnp.log(u / (1 - u)))
