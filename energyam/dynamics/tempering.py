"""Tempering: replicas of a chain at several temperatures, which exchange their states from time to time."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, PyTree

from energyam import checks
from energyam.dynamics.fields import one_state
from energyam.dynamics.update import AbstractUpdate, Step, Tick
from energyam.flips.derived import scalar_energy
from energyam.flips.noise import uniform_within


class Replicas(NamedTuple):
    """The replicas of one chain, from the coldest to the hottest: states, carries and energies."""

    states: PyTree[Array]
    carries: Any
    energies: Float[Array, " R"]


class Prepared(NamedTuple):
    """The memory, and what the rule of the replicas reads of it."""

    memory: Any
    inner: Any


class Tempering(AbstractUpdate):
    """Replica exchange: one step of `update` at each temperature, then neighbours may exchange their states.

        P(exchange of i and j) = min(1, exp((1/T_i − 1/T_j) (E_i − E_j)))

    Even pairs are tried after even steps and odd pairs after odd ones (two replicas after every step). Hot
    replicas cross barriers, and their states pass down to colder ones. The chain that is returned is the
    coldest, which tends to exp(−E/T) at the lowest temperature. `Samples.acceptance` is the share of
    exchanges accepted; space the temperatures so that it is .2 to .4.

    **Arguments:** `temperatures` (R,): R ≥ 2, above 0, in any order; `update`: a rule with a method `at` that
    sets its temperature, say `HeatBath(1.0)`; its own temperature is not used. All replicas start in the same
    state; R states are stored for each chain. Raises `ValueError` for others.

    Hukushima & Nemoto, J. Phys. Soc. Jpn. 65 (1996).

        >>> wells = eam.HopfieldNetwork(jnp.array([[0.0, 9.0], [9.0, 0.0]]))  # at T = 1 chains stay
        >>> rule = eam.Tempering(jnp.array([1.0, 4.0, 16.0]), eam.HeatBath(1.0))
        >>> samples = eam.sample(wells, jnp.ones((20, 2), int), rule, 50, key=jr.key(0))
        >>> bool(abs(samples.states.mean()) < 0.3)  # half of the time in each
        True
    """

    temperatures: Float[Array, " R"]
    update: AbstractUpdate

    def __init__(self, temperatures: ArrayLike | Sequence[float], update: AbstractUpdate):
        checks.positive("temperatures", temperatures)
        temperatures = checks.as_floats("temperatures", temperatures, "R")
        if temperatures.shape[0] < 2:
            raise ValueError(f"temperatures must be at least 2; got {temperatures.shape[0]}")
        self.temperatures = jnp.sort(temperatures)
        self.update = checks.instance("update", update, AbstractUpdate, " (say eam.HeatBath(1.0))")
        if self.update.at(self.temperatures[0]) is None:
            wanted = "a rule for other temperatures too, such as eam.HeatBath(1.0)"
            raise ValueError(f"update must be {wanted}; {type(update).__name__} has no `at`")

    @property
    def moves_neurons(self) -> bool:
        return self.update.moves_neurons

    def check(self, memory: Any, num_steps: int) -> None:
        for temperature in self.temperatures:
            self._at(temperature).check(memory, num_steps)

    def prepare(self, memory: Any) -> Prepared:
        return Prepared(memory, self.update.prepare(memory))

    def init(self, prepared: Prepared, state: PyTree[Array], tick: Tick) -> Replicas:
        def one(temperature, own):
            return self._at(temperature).init(prepared.inner, state, Tick(tick.index, tick.shared, own))

        carries = jax.vmap(one)(self.temperatures, self._own_keys(tick))
        states = jax.tree.map(lambda leaf: jnp.stack([leaf] * self.temperatures.shape[0]), state)
        return Replicas(states, carries, jax.vmap(scalar_energy(prepared.memory))(states))

    def renewed(self, prepared: Prepared, state: PyTree[Array], carry: Replicas, tick: Tick) -> Replicas:
        raise ValueError("inputs must be None under Tempering, because its replicas must share one energy")

    def energy(self, carry: Replicas) -> Float[Array, ""]:
        return carry.energies[0]

    def step(self, prepared: Prepared, state: PyTree[Array], carry: Replicas, tick: Tick, clamp: Any) -> Step:
        def one(temperature, own, state, inner):
            rule, its_tick = self._at(temperature), Tick(tick.index, tick.shared, own)
            step: Any = rule.step(prepared.inner, state, inner, its_tick, clamp)
            return step.state, step.carry, step.energies[-1]

        at_each = self.temperatures, self._own_keys(tick), carry.states, carry.carries
        replicas = Replicas(*jax.vmap(one)(*at_each))
        pairs = self.temperatures.shape[0] - 1
        offers = jnp.arange(pairs) % 2 == tick.index % min(pairs, 2)
        u = uniform_within(offers.shape, replicas.energies.dtype, key=jr.fold_in(tick.own, 0))
        taken = offers & self.exchanges(replicas.energies, u)
        swapped = taken.astype(int)
        places = jnp.arange(pairs + 1) + jnp.pad(swapped, (0, 1)) - jnp.pad(swapped, (1, 0))
        replicas = jax.tree.map(lambda leaf: leaf[places], replicas)
        coldest = jax.tree.map(lambda leaf: leaf[0], replicas.states)
        record, share = one_state(coldest), taken.sum() / offers.sum()
        return Step(coldest, replicas, replicas.energies[:1], record, jnp.zeros((), bool), share)

    def exchanges(self, energies: Float[Array, " R"], u: Float[Array, " n"]) -> Bool[Array, " n"]:
        """Whether each replica would change places with the next hotter one, for uniform numbers u."""
        cold, hot = 1 / self.temperatures[:-1], 1 / self.temperatures[1:]
        return (cold - hot) * (energies[:-1] - energies[1:]) > jnp.log(u)

    def _at(self, temperature: Float[Array, ""]) -> AbstractUpdate:
        rule = self.update.at(temperature)
        assert rule is not None, "checked where this was made"
        return rule

    def _own_keys(self, tick):
        numbers = 1 + jnp.arange(self.temperatures.shape[0])
        return jax.vmap(lambda r: jr.fold_in(tick.own, r))(numbers)
