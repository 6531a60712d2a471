"""`recall`: the one loop that runs any update rule on any memory, and `Recall`, its answer."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from energyam import checks
from energyam.dynamics.sweeps import any_gain, increments_of
from energyam.dynamics.traces import AbstractTrace, FlipTrace, StateTrace
from energyam.dynamics.updates import AbstractUpdate, Asynchronous, Synchronous
from energyam.memories.base import AbstractMemory, AbstractNetwork
from energyam.memories.neurons import Binary, Continuous


class Recall(eqx.Module):
    """What a recall came to. Not to have converged is a finding, not an error.

    **Fields:** `state` (*batch, D); `energies` (*batch, T) after each of the T updates (a neuron tried, or
    a step of all); `initial_energy` (*batch); `converged` (*batch): no further step would move the state
    (a proof of a local minimum for asynchronous recall); `num_steps` (*batch): steps taken, with the one
    that showed convergence; `trace`: what frames are rebuilt from, None without a record.

    T covers the steps of the slowest query of the batch; inside `jit`, where that number is unknown, it
    covers `max_steps`, and the energies after convergence repeat the last.
    """

    state: Shaped[Array, "*batch D"]
    energies: Float[Array, "*batch T"]
    initial_energy: Float[Array, "*batch"]
    converged: Bool[Array, "*batch"]
    num_steps: Int[Array, "*batch"]
    trace: AbstractTrace | None

    def frames(self, every: int = 64) -> Shaped[Array, "*batch F D"]:
        """States along the way: the query, one after every `every` updates, and the last, (*batch, F, D).

        Raises `ValueError` for `every` below 1 or a recall with `record=False`.
        """
        every = checks.count("every", every)
        if self.trace is None:
            raise ValueError("frames need a record; recall was called with record=False")
        return self.trace.frames(every)


def recall(
    memory: Any,
    query: ArrayLike,
    update: AbstractUpdate | None = None,
    max_steps: int = 20,
    *,
    key: PRNGKeyArray | None = None,
    clamp: ArrayLike | None = None,
    record: bool = True,
) -> Recall:
    """Let a state, or a batch of them, go down a memory's energy from `query` until nothing moves.

    **Arguments:**

    - `memory`: a memory, or any `eqx.Module` with a scalar `energy(x)`.
    - `query` (*batch, D): where to start, with any number of leading axes.
    - `update`: the rule; by default `Asynchronous()` for ±1 neurons (and for an object with an energy
      alone), `Synchronous()` for others.
    - `max_steps`: at most so many steps; a step tries D neurons, or moves all at once.
    - `key`: for rules that draw random orders.
    - `clamp` (D,) bool: True for neurons that stay as they are (pattern completion).
    - `record`: whether to keep energies and trace. Asynchronous recall keeps 8 bytes a neuron tried.

    All queries run until each has converged or `max_steps` is reached; the test is shared, so call it
    with the batch rather than under `jax.vmap`. Differentiable in reverse through `Synchronous` and
    `GradientDescent`.

    Raises `ValueError` for a query of another D, not of the memory's kind of neurons, or NaN; a rule that
    does not suit the memory; a missing key; a negative `max_steps`; a clamp that is not (D,) bool.
    """
    update = _default_update(memory) if update is None else update
    max_steps = checks.count("max_steps", max_steps, least=0)
    start = _checked_query(memory, query, update)
    D = start.shape[-1]
    clamped = jnp.zeros(D, bool) if clamp is None else checks.as_array("clamp", clamp, "D")
    if clamped.shape != (D,) or clamped.dtype != bool:
        raise ValueError(f"clamp must be ({D},) bool; got shape {clamped.shape}, dtype {clamped.dtype}")
    result = _recall(memory, start, update, max_steps, key, clamped, record)
    return _trimmed(result, max_steps)


def is_local_minimum(memory: Any, state: ArrayLike) -> Bool[Array, "*batch"]:
    """Whether no flip of a single neuron lowers the energy of `state` (*batch, D): exact, O(K·D) a state.

    Raises `ValueError` for a memory of continuous neurons, or states of another D or not ±1.
    """
    states = _checked_query(memory, state, Asynchronous(), name="state")
    return _is_local_minimum(memory, states)


@eqx.filter_jit
def _is_local_minimum(memory, states):
    increments_of(memory)  # raises for continuous neurons

    def certify(state):
        return ~any_gain(memory, _as_floats(state), jnp.zeros(state.shape, bool))

    *batch, D = states.shape
    return jax.vmap(certify)(states.reshape(-1, D)).reshape(batch)


@eqx.filter_jit
def _recall(memory, query, update, max_steps, key, clamp, record) -> Recall:
    batch, D = query.shape[:-1], query.shape[-1]
    prepared = update.prepare(memory)
    in_batch = len(batch) > 0  # any number of leading axes becomes one
    state = _as_floats(query.reshape(-1, D) if in_batch else query)
    energy, ready = _over_batch(lambda x: update.start(prepared, x), in_batch)(state)
    done = jnp.zeros(energy.shape, bool)
    # A key for each step, None where none is wanted: `draw` says whether it can do without.
    keys = None if key is None else jr.split(key, max_steps)

    def advance(carry, key):
        state, energy, ready, done, num_steps = carry
        drawn = update.draw(D, key)

        def step_one(state, energy, ready, done):
            *new, settled, energies, moves = update.step(prepared, state, energy, ready, drawn, clamp)
            old = (state, energy, ready)
            kept = jax.tree.map(lambda a, b: jnp.where(done, a, b), old, tuple(new))
            idle = _no_moves(state, energy, energies, moves)
            history = jax.tree.map(lambda a, b: jnp.where(done, a, b), idle, (energies, moves))
            return *kept, done | settled, history if record else None

        *new, history = _over_batch(step_one, in_batch)(state, energy, ready, done)
        return (*new, num_steps + ~done), history

    def stay(carry, key):
        history = jax.eval_shape(advance, carry, key)[1]
        idle = _over_batch(_no_moves, in_batch)
        return carry, idle(*carry[:2], *history) if record else None

    def iterate(carry, key):
        return lax.cond(carry[3].all(), stay, advance, carry, key)

    carry = (state, energy, ready, done, jnp.zeros(done.shape, int))
    (state, _, _, done, num_steps), history = lax.scan(iterate, carry, keys, length=max_steps)
    energies, trace = _gathered(history, query, batch, record)
    return Recall(
        state=state.reshape(*batch, D).astype(query.dtype),
        energies=energies,
        initial_energy=energy.reshape(batch),
        converged=done.reshape(batch),
        num_steps=num_steps.reshape(batch),
        trace=trace,
    )


def _no_moves(state, energy, energies, moves):
    """The history, shaped like `energies` and `moves`, of a step in which nothing happens."""
    idle = -1 if jnp.issubdtype(moves.dtype, jnp.integer) else state
    return jnp.broadcast_to(energy, energies.shape), jnp.broadcast_to(idle, moves.shape).astype(moves.dtype)


def _gathered(history, query, batch, record):
    """Histories stacked (steps, *batch, t, …) as arrays (*batch, T, …), and the trace they make."""
    if not record:
        return jnp.zeros((*batch, 0), _as_floats(query).dtype), None

    def gather(stacked, own_axes):
        stacked = jnp.moveaxis(stacked, 0, -1 - own_axes)
        steps, t, *own = stacked.shape[stacked.ndim - own_axes - 1 :]
        return stacked.reshape(*batch, steps * t, *own)

    energies, moves = history
    energies = gather(energies, 1)
    if jnp.issubdtype(moves.dtype, jnp.integer):
        return energies, FlipTrace(query, gather(moves, 1).astype(jnp.int32))
    return energies, StateTrace(query, gather(moves, 2).astype(query.dtype))


def _trimmed(result: Recall, max_steps: int) -> Recall:
    """The record cut to the steps that were taken, where their number is known."""
    if result.trace is None or not checks.is_known(result.num_steps) or max_steps == 0:
        return result
    T = result.energies.shape[-1] // max_steps * int(result.num_steps.max(initial=0))
    trace = result.trace
    if isinstance(trace, FlipTrace):
        trace = FlipTrace(trace.query, trace.flips[..., :T])
    elif isinstance(trace, StateTrace):
        trace = StateTrace(trace.query, trace.states[..., :T, :])
    return eqx.tree_at(lambda r: (r.energies, r.trace), result, (result.energies[..., :T], trace))


def _default_update(memory):
    if not isinstance(memory, AbstractNetwork):
        return Asynchronous()
    has_energy = isinstance(memory, AbstractMemory)
    return Asynchronous() if has_energy and isinstance(memory.neurons, Binary) else Synchronous()


def _checked_query(memory, query, update, name="query"):
    """The query as ±1 or real neurons, whichever the memory (or, without one, the rule) works on."""
    if isinstance(memory, AbstractNetwork):
        neurons = memory.neurons
    elif not callable(getattr(memory, "energy", None)):
        raise ValueError(f"memory must have an energy(x) method; got {type(memory).__name__}")
    else:
        neurons = Binary() if isinstance(update, Asynchronous) else Continuous()
    query = neurons.check(name, query, "... D")
    if isinstance(memory, AbstractNetwork) and query.shape[-1] != memory.num_neurons:
        raise ValueError(
            f"{name} must be (..., {memory.num_neurons}), as the memory has D = {memory.num_neurons} "
            f"neurons; got shape {query.shape}"
        )
    return query


def _over_batch(function, in_batch: bool):
    return jax.vmap(function) if in_batch else function


def _as_floats(state):
    return state if jnp.issubdtype(state.dtype, jnp.floating) else state.astype(float)
