"""The lowest state of a memory of discrete neurons: many chains, cooled together, and a proof at the end."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from energyam import checks
from energyam.dynamics.asynchronous import Asynchronous, is_local_minimum
from energyam.dynamics.heat_bath import HeatBath
from energyam.dynamics.moves import check_moves, ready, view_of
from energyam.dynamics.recall import recall
from energyam.dynamics.states import layers_of, random_layer
from energyam.dynamics.temperature import Schedule
from energyam.dynamics.update import Tick
from energyam.flips.sweep import for_queries
from energyam.shown import shown

_HOT, _COLD = 1.2, 0.05  # where cooling starts and ends, in typical fields
_LISTED = 4096  # the list of temperatures is as long as a multiple of this
_DESCENT = 1000  # sweeps at T = 0, at most; few are needed


@shown("energy is_minimum energies state")
class Minimum(NamedTuple):
    """The lowest state of all chains, its energy, and the last energy of each chain (num_chains,).

    `is_minimum`: whether no flip of a single neuron lowers the energy further (see
    `energyam.is_local_minimum`). That no other state lies lower is for none of these searches to prove.
    """

    state: PyTree[Array]
    energy: Float[Array, ""]
    is_minimum: Bool[Array, ""]
    energies: Float[Array, " num_chains"]


def minimize(
    memory: Any, num_chains: int, num_sweeps: int, schedule: Schedule | None = None, *, key: PRNGKeyArray
) -> Minimum:
    """Search the lowest state of a memory by simulated annealing of many chains, ended by descent.

    Each sweep is one of `HeatBath`: every neuron once, in an order that all chains share. In a network a
    block of neurons costs one matrix product for all chains. Nothing grows with the number of sweeps but the
    list of temperatures. The first n of a number of chains are those of n chains.

    **Arguments:**

    - `memory`: one whose neurons move from value to value, ±1, 0/1 or one-hot, with a `state_shape`, say a
      `HopfieldNetwork`.
    - `num_chains`: how many chains start, each at a random state. They share the matrix products, so 64
      cost far less than 64 times one.
    - `num_sweeps`: sweeps of each chain, before those at T = 0 that end it.
    - `schedule`: `schedule(sweep)` → T, as in optax, from 0 to `num_sweeps` − 1; T = 0 is descent. By
      default T falls evenly from 1.2 to .05 times the size of a typical field: √(mean_i (Σ_j W_ij² + b_i²))
      in a network of ±1 neurons, else half the root mean square of the changes at a random state.

    Raises `ValueError` for a memory of other neurons or without `state_shape`, for numbers below 1, and
    for a schedule that is not a function, goes below 0 or is not finite.

    Kirkpatrick, Gelatt & Vecchi, Science 220 (1983).
    """
    num_chains, num_sweeps = checks.count("num_chains", num_chains), checks.count("num_sweeps", num_sweeps)
    checks.key("key", key)
    check_moves(memory, "annealing", "use eam.sample(memory, start, eam.Langevin(step_size, schedule), …)")
    if getattr(memory, "state_shape", None) is None:
        got = f"{type(memory).__name__} has none"
        raise ValueError(f"memory must have a state_shape, (D,) for one layer of neurons; {got}")
    layers = layers_of(memory, None, True)
    of_start, of_sweeps = jr.split(key)
    states = _starts(layers.neurons, layers.shapes, layers.structure, num_chains, of_start)
    temperatures = _temperatures(memory, jax.tree.map(lambda leaf: leaf[0], states), schedule, num_sweeps)
    states = _annealed(memory, states, temperatures, of_sweeps)
    states = recall(memory, states, Asynchronous("sequential"), _DESCENT, record=False).state
    energies = _energies(memory, states)
    best = jnp.argmin(jnp.where(jnp.isnan(energies), jnp.inf, energies))
    lowest = jax.tree.map(lambda leaf: leaf[best], states)
    return Minimum(lowest, energies[best], is_local_minimum(memory, lowest), energies)


def _temperatures(memory, state, schedule, num_sweeps):
    if schedule is None:
        return _typical_field(memory, state) * jnp.linspace(_HOT, _COLD, num_sweeps)
    if not callable(schedule):
        hint = "(lambda sweep: T for a constant T)"
        raise ValueError(f"schedule must be a function of the sweep; got {schedule!r} {hint}")
    temperatures = checks.as_floats("schedule", jax.vmap(schedule)(jnp.arange(num_sweeps)), "num_sweeps")
    if not checks.passes(lambda T: (T >= 0).all(), temperatures):
        first = int(jnp.argmax(temperatures < 0))
        got = f"{float(temperatures[first]):g} at sweep {first}"
        raise ValueError(f"schedule must be at least 0 at every sweep; got {got}")
    return temperatures


@eqx.filter_jit
def _typical_field(memory, state):
    view = view_of(ready(memory), state)
    known = view.flips.typical_field()
    if known is not None and all(one.values == (-1, 1) for one in layers_of(memory, state, True).neurons):
        return known
    changes, present = view.changes()
    return 0.5 * jnp.sqrt(jnp.mean(changes**2, where=present))


@eqx.filter_jit
def _starts(neurons, shapes, structure, num_chains, key):
    def start(chain):
        keys = jr.split(jr.fold_in(key, chain), len(shapes))
        layers = zip(neurons, shapes, keys, strict=True)
        return jax.tree.unflatten(structure, [random_layer(one, shape, key=k) for one, shape, k in layers])

    return jax.vmap(start)(jnp.arange(num_chains))


def _annealed(memory, states, temperatures, key):
    """The states after a sweep at each of the temperatures, whose number compiles nothing up to `_LISTED`."""
    num_sweeps = temperatures.shape[0]
    padded = jnp.pad(temperatures.astype(float), (0, -num_sweeps % _LISTED))
    return _swept(memory, states, padded, jnp.asarray(num_sweeps), key)


@eqx.filter_jit
def _swept(memory, states, temperatures, num_sweeps, key):
    rule, chains = HeatBath(1.0), jnp.arange(jax.tree.leaves(states)[0].shape[0])
    prepared = rule.prepare(memory)

    def sweep(index: Array, at: Any) -> Any:
        now, (of_order, of_noise) = rule.at(temperatures[index]), jr.split(jr.fold_in(key, index))

        def sweep_one(state, carry, chain):
            tick = Tick(index, of_order, jr.fold_in(of_noise, chain))
            return now.step(prepared, state, carry, tick, None)[:2]

        with for_queries(chains.shape[0]):
            return jax.vmap(sweep_one)(at[0], at[1], chains)

    start = jax.vmap(lambda state: rule.init(prepared, state, Tick(jnp.zeros((), int), None, None)))
    return lax.fori_loop(0, num_sweeps, sweep, (states, start(states)))[0]


@eqx.filter_jit
def _energies(memory, states):
    return jax.vmap(memory.energy)(states)
