"""The lowest state of a memory of ±1 neurons: many chains, cooled together, and a proof at the end."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from energyam import checks
from energyam.dynamics.asynchronous import Asynchronous, check_flips
from energyam.dynamics.heat_bath import AFRESH, logit, uniform_within
from energyam.dynamics.orders import shuffled
from energyam.dynamics.recall import is_local_minimum, recall
from energyam.flips.capabilities import AbstractCouplings
from energyam.flips.derived import flips_of
from energyam.flips.sweep import visit_on
from energyam.flips.warm import visit_once
from energyam.memories.hopfield import HopfieldNetwork

_HOT, _COLD = 1.2, 0.05  # where cooling starts and ends, in typical fields
_LISTED = 4096  # the list of temperatures is as long as a multiple of this
_DESCENT = 1000  # sweeps at T = 0, at most; few are needed


class Minimum(NamedTuple):
    """The lowest state (D,) of all chains, its energy, and the last energy of each chain (num_chains,).

    `is_minimum`: whether no flip of a single neuron lowers the energy further (see
    `energyam.is_local_minimum`). That no other state lies lower is for none of these searches to prove.
    """

    state: Float[Array, " D"]
    energy: Float[Array, ""]
    is_minimum: Bool[Array, ""]
    energies: Float[Array, " num_chains"]


def minimize(
    memory: Any,
    num_chains: int,
    num_sweeps: int,
    schedule: Callable[[Array], Any] | None = None,
    *,
    key: PRNGKeyArray,
) -> Minimum:
    """Search the lowest state of a memory by simulated annealing of many chains, ended by descent.

    Each sweep is a heat bath: every neuron once, in an order that all chains share, flipped with the
    probability σ(change / T), change = E(x) − E(x with it flipped). In a network a block of neurons costs
    one matrix product for all chains. Nothing grows with the number of sweeps but the list of temperatures.
    The first n of a number of chains are those of n chains.

    **Arguments:**

    - `memory`: one with ±1 neurons and a `state_shape` (D,), say a `HopfieldNetwork`.
    - `num_chains`: how many chains start, each at a random state. They share the matrix products, so 64
      cost far less than 64 times one.
    - `num_sweeps`: sweeps of each chain, before those at T = 0 that end it.
    - `schedule`: `schedule(sweep)` → T, as in optax, from 0 to `num_sweeps` − 1; T = 0 is descent. By
      default T falls evenly from 1.2 to .05 times the size of a typical field, √(mean_i (Σ_j W_ij² + b_i²))
      in a network, else half the root mean square of the changes at a random state.

    Raises `ValueError` for a memory without ±1 neurons or without `state_shape`, for numbers below 1, and
    for a schedule that is not a function, goes below 0 or is not finite.

    Kirkpatrick, Gelatt & Vecchi, Science 220 (1983).
    """
    num_chains, num_sweeps = checks.count("num_chains", num_chains), checks.count("num_sweeps", num_sweeps)
    checks.key("key", key)
    D = _num_neurons(memory)
    of_start, of_sweeps = jr.split(key)
    states = _starts(of_start, num_chains, D)
    temperatures = _temperatures(memory, states[0], schedule, num_sweeps)
    states = _annealed(memory, states, temperatures, of_sweeps)
    states = recall(memory, states, Asynchronous("sequential"), _DESCENT, record=False).state
    energies = _energies(memory, states)
    best = jnp.argmin(jnp.where(jnp.isnan(energies), jnp.inf, energies))
    return Minimum(states[best], energies[best], is_local_minimum(memory, states[best]), energies)


def _num_neurons(memory):
    check_flips(memory)
    shape = getattr(memory, "state_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 1 or not isinstance(shape[0], int):
        raise ValueError(
            f"memory must have a state_shape (D,), one layer of neurons; got {shape!r} from "
            f"{type(memory).__name__}"
        )
    return shape[0]


def _temperatures(memory, state, schedule, num_sweeps):
    if schedule is None:
        return _typical_field(memory, state) * jnp.linspace(_HOT, _COLD, num_sweeps)
    if not callable(schedule):
        raise ValueError(
            f"schedule must be a function of the sweep; got {schedule!r} (lambda sweep: T for a constant T)"
        )
    temperatures = checks.as_floats("schedule", jax.vmap(schedule)(jnp.arange(num_sweeps)), "num_sweeps")
    if not checks.passes(lambda T: (T >= 0).all(), temperatures):
        first = int(jnp.argmax(temperatures < 0))
        raise ValueError(
            f"schedule must be at least 0 at every sweep; got {float(temperatures[first]):g} at sweep {first}"
        )
    return temperatures


@eqx.filter_jit
def _typical_field(memory, state):
    if isinstance(memory, HopfieldNetwork):
        pairs = jnp.fill_diagonal(memory.weights, 0, inplace=False)
        bias = 0 if memory.bias is None else memory.bias
        return jnp.sqrt(jnp.mean(jnp.sum(pairs**2, axis=1) + bias**2))
    flips = flips_of(memory)
    kept = flips.start(state)
    changes = lax.map(lambda i: flips.change(kept, state, i).value, jnp.arange(state.shape[0]))
    return 0.5 * jnp.sqrt(jnp.mean(changes**2))


@eqx.filter_jit
def _starts(key, num_chains, num_neurons):
    def start(chain):
        return jr.rademacher(jr.fold_in(key, chain), (num_neurons,), dtype=jnp.result_type(float))

    return jax.vmap(start)(jnp.arange(num_chains))


def _annealed(memory, states, temperatures, key):
    """The states after a sweep at each of the temperatures, whose number compiles nothing up to `_LISTED`."""
    num_sweeps = temperatures.shape[0]
    padded = jnp.pad(temperatures.astype(states.dtype), (0, -num_sweeps % _LISTED))
    return _swept(memory, states, padded, jnp.asarray(num_sweeps), key)


@eqx.filter_jit
def _swept(memory, states, temperatures, num_sweeps, key):
    flips, (num_chains, D) = flips_of(memory), states.shape
    start, free = jax.vmap(flips.start), jnp.ones(D, bool)

    def sweep(index, at):
        states, kept = at
        temperature = temperatures[index]
        kept = lax.cond(index % AFRESH == 0, lambda: start(states), lambda: kept)
        of_order, of_noise = jr.split(jr.fold_in(key, index))
        order = shuffled(D, key=of_order)

        def sweep_one(state, kept, chain):
            u = uniform_within((D,), state.dtype, key=jr.fold_in(of_noise, chain))
            thresholds = temperature * logit(u)
            if isinstance(flips, AbstractCouplings):
                swept, kept = visit_once(flips, kept, state, order, free, thresholds)
            else:
                swept, kept = visit_on(flips, kept, state, order, free, thresholds)
            return swept.state, kept

        return jax.vmap(sweep_one)(states, kept, jnp.arange(num_chains))

    return lax.fori_loop(0, num_sweeps, sweep, (states, start(states)))[0]


@eqx.filter_jit
def _energies(memory, states):
    return jax.vmap(memory.energy)(states)
