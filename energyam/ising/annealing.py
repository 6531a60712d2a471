"""Searches for the lowest state of a problem, or of a memory of discrete neurons: many chains, then
descent."""

from collections.abc import Mapping
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import PRNGKeyArray

from energyam import checks
from energyam.dynamics.asynchronous import Asynchronous
from energyam.dynamics.heat_bath import HeatBath
from energyam.dynamics.moves import check_moves, ready, view_of
from energyam.dynamics.recall import recall
from energyam.dynamics.states import checked_states, layers_of, random_layer
from energyam.dynamics.temperature import Schedule
from energyam.dynamics.tempering import Replicas, Tempering
from energyam.dynamics.update import Tick
from energyam.flips.sweep import for_queries
from energyam.ising.answers import Minimum, answer_of, energies_of
from energyam.ising.problem import Problem
from energyam.linalg import power_of_two

Start = Any  # a Minimum, states of the memory, or answers by label

_HOT, _WARM, _COLD = 1.2, 0.4, 0.05  # where cooling starts, at random or at given states, and ends
_LISTED = 4096  # the list of temperatures is as long as a multiple of this
_DESCENT = 1000  # sweeps at T = 0, at most; few are needed


def minimize(
    memory: Any,
    num_chains: int,
    num_sweeps: int,
    schedule: Schedule | None = None,
    start: Start | None = None,
    method: Literal["annealing", "tempering"] = "annealing",
    *,
    key: PRNGKeyArray,
) -> Minimum:
    """Search for the lowest state of a problem by many chains, which end with descent.

    Each sweep is one of `HeatBath`: every neuron once, in an order that all chains share. In a network, a
    block of neurons costs one matrix product for all chains. Only the list of temperatures grows with the
    number of sweeps. With more chains, the first ones stay the same. For a `Problem`, the descent ends in
    double precision, with the couplings as you gave them.

    **Arguments:**

    - `memory`: a `Problem`; or a memory whose neurons move from value to value, ±1, 0/1 or one-hot, with a
      `state_shape`, say a `HopfieldNetwork`.
    - `num_chains`: how many chains start, each at a random state. They share the matrix products, so that 64
    chains cost far less than 64 times one chain.
    - `num_sweeps`: sweeps of each chain before the final ones at T = 0.
    - `schedule`: `schedule(sweep)` → T, as in optax, from 0 to `num_sweeps` − 1; T = 0 is descent. By
      default T falls evenly from 1.2 to .05 times the size of a typical field: √(mean_i (Σ_j W_ij² + b_i²))
      in a network of ±1 neurons, else half the root mean square of the changes at a random state. With
      `start` it falls from .4.
    - `start`: where chains start: a `Minimum` found before, states (D,) or (n, D) of the memory, or, for a
    problem, an answer {label: value} or a list of answers. If there are fewer than `num_chains`, they are
    used in turn. No chain ends above its start. - `method`: "annealing" cools all chains together.
    "tempering" keeps each chain at its own temperature and lets neighbours exchange states, as `Tempering`
    does; descent starts from the lowest state seen after a sweep at each temperature. `schedule(chain)` is
    then the temperature of each chain, by default from 1.2 to .05 with equal ratios. It needs at least 2
    chains, and suits problems with many local minima, for which a cooling schedule is hard to choose.

    Raises `ValueError` for a memory of other neurons or without `state_shape`, for numbers below 1, for a
    schedule that is not a function, goes below 0 or is not finite, for other starts and methods, and inside
    `jit`, as answers are sorted and counted on the host.

    Kirkpatrick, Gelatt & Vecchi, Science 220 (1983); Hukushima & Nemoto, J. Phys. Soc. Jpn. 65 (1996).

        >>> problem = eam.ising.from_qubo({("tea", "tea"): -1.0, ("jam", "jam"): -2.0, ("tea", "jam"): 3.0})
        >>> eam.ising.minimize(problem, num_chains=4, num_sweeps=2, key=jr.key(0))
        Minimum of 4 chains, 2 different states
          energy  chains  minimum  state
              -2       2      yes  1 at jam
              -1       2      yes  1 at tea
    """
    num_chains, num_sweeps = checks.count("num_chains", num_chains), checks.count("num_sweeps", num_sweeps)
    tempers = checks.one_of("method", method, ("annealing", "tempering")) == "tempering"
    if tempers and num_chains < 2:
        raise ValueError(f"num_chains must be at least 2 for tempering; got {num_chains}")
    checks.key("key", key)
    if not all(map(checks.is_known, jax.tree.leaves((memory, key)))):
        raise ValueError("memory and key must be known, as answers are sorted and counted; got traced ones")
    problem = memory if isinstance(memory, Problem) else None
    memory = memory.memory if isinstance(memory, Problem) else memory
    check_moves(memory, "annealing", "use eam.sample(memory, start, eam.Langevin(step_size, schedule), …)")
    if getattr(memory, "state_shape", None) is None:
        got = f"{type(memory).__name__} has none"
        raise ValueError(f"memory must have a state_shape, (D,) for one layer of neurons; {got}")
    layers = layers_of(memory, None, True)
    of_start, of_sweeps = jr.split(key)
    states = _starts(layers.neurons, layers.shapes, layers.structure, num_chains, of_start)
    first = states if start is None else _given(problem, layers, start, states)
    hot, number = _HOT if start is None else _WARM, num_chains if tempers else num_sweeps
    ladder = (
        hot * (_COLD / hot) ** jnp.linspace(0, 1, number) if tempers else jnp.linspace(hot, _COLD, number)
    )
    temperatures = _temperatures(memory, jax.tree.map(lambda leaf: leaf[0], states), schedule, ladder)
    if tempers:
        rule = Tempering(temperatures, HeatBath(1.0))
        states = _tempered(memory, first, rule, jnp.asarray(num_sweeps), of_sweeps)
    else:
        states = _annealed(memory, first, temperatures, of_sweeps)
    if start is not None:
        states = _lower(problem, memory, states, first)
    flips = eqx.filter_eval_shape(ready, memory).declared
    order: Literal["colours", "sequential"] = "colours" if flips and flips.coloured else "sequential"
    states = recall(memory, states, Asynchronous(order), _DESCENT, record=False).state
    return answer_of(problem, memory, states)


def _given(problem, layers, start, random):
    """The starts of all chains, from those given, in turn."""
    if isinstance(start, Minimum):
        start = start.states
    one = isinstance(start, Mapping)
    several = isinstance(start, list | tuple) and start and all(isinstance(each, Mapping) for each in start)
    if problem is not None and (one or several):
        rows = [problem.row(answer, "start") for answer in ([start] if one else start)]
        start = problem.states(np.stack(rows))
    states, axes = checked_states(layers, start, "start")
    if len(axes) > 1 or 0 in axes:
        raise ValueError(f"start must be one state or (n, D) of them; got leading axes {axes}")

    def spread(leaf, like):
        leaf = jnp.asarray(leaf) if axes else jnp.asarray(leaf)[None]
        return leaf[jnp.arange(like.shape[0]) % leaf.shape[0]].astype(like.dtype)

    return jax.tree.map(spread, states, random)


def _lower(problem, memory, states, starts):
    """The end of each chain, or its start where that is lower."""
    lower = energies_of(problem, memory, starts) < energies_of(problem, memory, states)
    return _chosen(lower, starts, states)


def _chosen(lower, new, old):
    """The new state of each chain where it is the lower one, else the old state."""

    def choose(new, old):
        return jnp.where(lower.reshape(-1, *[1] * (old.ndim - 1)), new, old)

    return jax.tree.map(choose, new, old)


def _temperatures(memory, state, schedule, ladder):
    if schedule is None:
        return _typical_field(memory, state) * ladder
    if isinstance(schedule, type) or not callable(schedule):
        hint = "(lambda sweep: T for a constant T)"
        raise ValueError(f"schedule must be a function of the sweep; got {schedule!r:.60} {hint}")
    one = lambda sweep: checks.as_array("schedule", schedule(sweep), "")  # noqa: E731
    temperatures = checks.as_floats("schedule", jax.vmap(one)(jnp.arange(len(ladder))), str(len(ladder)))
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
    scale = power_of_two(jnp.where(present, changes, 0)).astype(changes.dtype)
    return 0.5 * scale * jnp.sqrt(jnp.mean((changes / scale) ** 2, where=present))


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

    def sweep(index: Any, at: Any) -> Any:
        now, (of_order, of_noise) = rule.at(temperatures[index]), jr.split(jr.fold_in(key, index))

        def sweep_one(state, carry, chain):
            tick = Tick(index, of_order, jr.fold_in(of_noise, chain))
            return now.step(prepared, state, carry, tick, None)[:2]

        with for_queries(chains.shape[0]):
            return jax.vmap(sweep_one)(at[0], at[1], chains)

    start = jax.vmap(lambda state: rule.init(prepared, state, Tick(jnp.zeros((), int), None, None)))
    return lax.fori_loop(0, num_sweeps, sweep, (states, start(states)))[0]


@eqx.filter_jit
def _tempered(memory, states, rule, num_sweeps, key):
    """The lowest state that was seen at each temperature, in sweeps that exchange states between them."""
    prepared, num = rule.prepare(memory), rule.temperatures.shape[0]
    init = lambda state: rule.update.init(prepared.inner, state, Tick(jnp.zeros((), int), None, None))  # noqa: E731
    start = Replicas(states, jax.vmap(init)(states), jax.vmap(memory.energy)(states))

    def sweep(index: Any, at: Any) -> Any:
        replicas, lowest, energies = at
        tick = Tick(index, *jr.split(jr.fold_in(key, index)))
        with for_queries(num):
            replicas = rule.step(prepared, None, replicas, tick, None).carry
        lowest = _chosen(replicas.energies < energies, replicas.states, lowest)
        return replicas, lowest, jnp.minimum(replicas.energies, energies)

    return lax.fori_loop(0, num_sweeps, sweep, (start, start.states, start.energies))[1]
