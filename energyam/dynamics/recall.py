"""`recall`: any update rule on any memory, for one query or a batch, and what it shares with `sample`."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import PRNGKeyArray, PyTree

from energyam import checks
from energyam.dynamics import loop
from energyam.dynamics.asynchronous import Asynchronous
from energyam.dynamics.blockwise import Blockwise, tokens_of
from energyam.dynamics.driven import checked_inputs
from energyam.dynamics.fields import has_field
from energyam.dynamics.moves import check_layers
from energyam.dynamics.states import (
    Batch,
    Layers,
    as_working,
    check_memory,
    checked_clamp,
    checked_states,
    layers_of,
)
from energyam.dynamics.synchronous import Synchronous
from energyam.dynamics.traces import Recall
from energyam.dynamics.unknown import completed
from energyam.dynamics.update import AbstractUpdate
from energyam.memories.neurons import AbstractNeurons

_CHUNKS = 100  # of a run that shows its progress
_ASYNCHRONOUS = Asynchronous()


def recall(
    memory: Any,
    query: PyTree[ArrayLike],
    update: AbstractUpdate | None = None,
    max_steps: int = 20,
    *,
    key: PRNGKeyArray | None = None,
    clamp: Any = None,
    inputs: PyTree[ArrayLike] | None = None,
    record: bool = True,
    stop: loop.Stop | None = None,
    progress: bool = False,
) -> Recall:
    """Let a state, or a batch of states, go down a memory's energy from `query` until nothing moves.

    **Arguments:**

    - `memory`: a memory, or any object with a scalar `energy(state)`.
    - `query` (*batch, D): where to start, with any number of leading axes; for a memory with a `state_shape`,
    (*batch, *state_shape), or a pytree of such layers. Some entries may be unknown: entries 0 beside entries
    ±1, masked entries of a numpy masked array, and NaN in real neurons that a clamp leaves free. They start
    at the answer to the field of the known entries, +1 if that field is 0.
    - `update`: the rule. The default is `Asynchronous()` if all neurons move from value to value (or there is
      only an energy of flat states), `Blockwise()` for other layers under a potential, and
      `Synchronous()` for others that have a field.
    - `max_steps`: the largest number of steps; a step tries each neuron once, or moves all at once.
    - `key`: for rules that draw random orders or noise.
    - `clamp`: True for neurons that stay as they are (pattern completion): bools (D,) for all queries, or
      (*batch, D) for each its own; for several layers a pytree of them, True for a whole layer. `"known"`
      holds the known entries of each query; inside `jit`, where values can't be looked at, it is what makes
      entries 0 of ±1, or NaN, unknown.
    - `inputs` (max_steps, *batch, …): the input u of each step, in the shape of a state (with or without the
      batch axes, and for several layers a dictionary that may leave some out): the step is one on E(x) − u ·
      x. A memory that takes its inputs in another way has a method `driven(inputs)`, which returns the memory
      for one step, and an `input_shape`. No query settles before the last step.
    - `record`: whether to keep energies and record. Asynchronous recall keeps 6 bytes per neuron
      tried (8 beyond 32,768 neurons): for 10,000 queries of 1,000 neurons, 60 MB per step.
    - `stop`: `stop(state, energy)` → bool, for one query: ends it before the first step or after any step.
      `energy` is None for a memory without one. A new function compiles anew, so define it once.
    - `progress`: whether to show a bar; the steps are then run in chunks, with the same result.

    All queries run until each is done or `max_steps` is reached. Pass the batch itself rather than using
    `jax.vmap`, because one test serves all queries. Differentiable in reverse through `Synchronous` and
    `GradientDescent`.

    Raises `ValueError` if the query has another shape, values that the memory's neurons can't take, or NaN;
    if the rule does not suit the memory or returns something else than a `Step` of it; if a key is missing or
    `max_steps` is negative; if the clamp has other layers or shapes or holds unknown entries; if all entries
    of a query are unknown, or some are and the memory has no field; if inputs have another shape or number of
    steps; and for `progress` inside `jit`.

        >>> memory = eam.CHN(jnp.array([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1]]))
        >>> result = eam.recall(memory, jnp.array([-1, 1, 1, 1, -1, -1, -1, -1]), key=jr.key(0))
        >>> result.state, bool(result.converged), float(result.energies[-1])
        (Array([ 1,  1,  1,  1, -1, -1, -1, -1], dtype=int32), True, -32.0)
    """
    check_memory(memory)
    if update is None:
        update = default_update(memory, query)
    else:
        checks.instance("update", update, AbstractUpdate, " (say eam.Asynchronous())")
    max_steps = checks.count("max_steps", max_steps, least=0)
    if key is not None:
        checks.key("key", key)
    if stop is not None:
        checks.function("stop", stop)
    record, progress = checks.flag("record", record), checks.flag("progress", progress)
    run, batch, layers = checked_run(memory, query, "query", update, max_steps, clamp, stop, True)
    if inputs is not None:
        given, batched = checked_inputs(memory, layers, inputs, batch.axes, "max_steps", max_steps)
        run = run._replace(inputs=given, inputs_batched=batched)
    runner = _with_progress if progress else _run
    found = runner(run, batch.states, batch.axes, max_steps, key, record)
    found = _trimmed(found, len(batch.axes), max_steps)
    return Recall(**found, query=batch.states, moves=layers.moves)


def default_update(memory: Any, query: PyTree[ArrayLike]) -> AbstractUpdate:
    """The rule that suits a memory; raises `ValueError` if there is none."""
    has_energy = checks.has_method(memory, "energy")
    neurons = getattr(memory, "neurons", None)
    if neurons is None and has_energy:
        layers = layers_of(memory, query, True)
        if layers.names != ("",) or len(layers.shapes[0]) != 1:
            shapes = jax.tree.unflatten(layers.structure, layers.shapes)
            raise ValueError(
                f"update must be given for states of shape {shapes} without neurons; got None for "
                f"{type(memory).__name__} (say eam.GradientDescent(step_size))"
            )
        return _ASYNCHRONOUS
    two_valued = isinstance(neurons, AbstractNeurons) and neurons.values is not None
    if has_energy and (two_valued or (neurons is not None and all(layers_of(memory, query, True).moves))):
        return _ASYNCHRONOUS
    layered = neurons is not None and not isinstance(neurons, AbstractNeurons)
    if has_energy and layered and checks.has_method(memory, "potential"):
        return Blockwise(tokens=tuple(tokens_of(memory)))
    if has_field(memory):
        return Synchronous()
    raise ValueError(
        f"update must be given for {type(memory).__name__}, which has an energy but no field; got None "
        "(say eam.GradientDescent(step_size))"
    )


def checked_run(
    memory: Any,
    states: PyTree[ArrayLike],
    name: str,
    update: AbstractUpdate,
    num_steps: int,
    clamp: Any,
    stop: loop.Stop | None,
    stops_early: bool,
) -> tuple[loop.Run, Batch, Layers]:
    """A run of a rule on a memory, from states that the caller calls `name`; these states, and their layers.

    Raises `ValueError` for states, clamps or schedules that don't fit the memory or the rule.
    """
    update.check(memory, num_steps)
    layers = layers_of(memory, states, update.moves_neurons, name)
    batch, refused = None, None
    try:
        if not (stops_early and isinstance(clamp, str)):
            batch = checked_states(layers, states, name)
    except ValueError as error:
        if not stops_early:
            raise
        refused = error
    if batch is None:  # only a query may have unknown entries
        batch, clamp = completed(memory, layers, states, name, clamp, refused)
    full, clamp_batched = checked_clamp(layers, clamp, batch.axes)
    if update.moves_neurons and None in layers.moves:
        check_layers(layers, full, type(update).__name__)
    # What holds nothing isn't sent to the device at every call; the rest is, and transfer guards let it pass.
    held = None if clamp is None else checks.now(jax.device_put, full)
    run = loop.Run(memory, update, held, stop, len(batch.axes) > 0, clamp_batched, stops_early)
    return run, batch, layers


def in_chunks(
    what: str,
    unit: str,
    total: int,
    inputs: Any,
    at: Any,
    advance: Callable[[Any, int, int], tuple[Any, Any, bool]],
) -> tuple[Any, list[Any]]:
    """Run `advance(at, first, count) -> (at, found, whether all is done)` from the host, with a bar.

    Gives where it ended, and what each chunk found. Raises `ValueError` inside `jit`, where `inputs` are
    traced.
    """
    from tqdm import tqdm

    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(inputs)):
        raise ValueError("progress must be False inside jit; got True")
    chunk, parts = max(1, total // _CHUNKS), []
    with tqdm(total=total, desc=what, unit=unit) as bar:
        for first in range(0, total, chunk):
            count = min(chunk, total - first)
            at, found, done = advance(at, first, count)
            parts.append(found)
            bar.update(count)
            if done:
                break
    return at, parts


def _run(run, query, axes, max_steps, key, record):
    leaves, structure = jax.tree.flatten((run, query, key))
    arrays, others = eqx.partition(leaves, eqx.is_array)
    return _run_arrays(arrays, tuple(others), structure, axes, max_steps, record)


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))  # as `eqx.filter_jit` does, and cheaper to call
def _run_arrays(arrays, others, structure, axes, max_steps, record):
    run, query, key = jax.tree.unflatten(structure, eqx.combine(arrays, list(others)))
    run = loop.prepared(run)
    start = loop.begin(run, as_working(query, axes), key=key)
    end, history = loop.advance(run, start, jnp.arange(max_steps), record, key=key)
    return _answer(start, end, history, query, axes, record)


def _with_progress(run, query, axes, max_steps, key, record):
    """The same in chunks of steps run from the host, with a bar."""

    def advance(at, first, count):
        # `first` as an array: a Python number would compile each chunk anew.
        at, part = _advance(run, at, checks.sent(first), count, key, record)
        return at, part, bool((jax.device_get(at.status) != loop.RUNNING).all())

    given, start = (run, query, key), None
    if all(map(checks.is_known, jax.tree.leaves(given))):
        start = _begin(run, query, axes, key)
    at, parts = in_chunks("recall", "step", max_steps, given, start, advance)
    history = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts) if parts else None
    return _jitted_answer(start, at, history, query, axes, record and history is not None)


@eqx.filter_jit
def _begin(run, query, axes, key):
    return loop.begin(loop.prepared(run), as_working(query, axes), key=key)


@eqx.filter_jit
def _advance(run, at, first, steps, key, record):
    return loop.advance(loop.prepared(run), at, first + jnp.arange(steps), record, key=key)


def _answer(start, end, history, query, axes, record):
    """The fields of a `Recall` that were computed."""
    period = jnp.zeros_like(end.num_steps)
    if end.watch is not None:  # a state at rest repeats too, and is no cycle
        period = jnp.where(end.status == loop.SETTLED, 0, end.watch.period.astype(period.dtype))
    ending = jnp.where(period > 0, loop.CYCLE, loop.OUT_OF_STEPS)
    status = jnp.where(end.status == loop.RUNNING, ending, end.status).astype(end.status.dtype)
    energies, recorded = None if end.energy is None else jnp.zeros((*axes, 0), end.energy.dtype), None
    if record:
        leaves, structure = jax.tree.flatten(history)
        if axes:  # (steps, B, …) as (*batch, steps, …)
            for i, leaf in enumerate(leaves):
                leaves[i] = jnp.moveaxis(leaf, 1, 0).reshape(*axes, leaf.shape[0], *leaf.shape[2:])
        found, recorded = jax.tree.unflatten(structure, leaves)
        recorded = recorded if jax.tree.leaves(recorded) else None
        energies = found.reshape(*axes, -1) if found is not None and found.size else energies
    return dict(
        state=jax.tree.map(lambda new, old: new.reshape(old.shape).astype(old.dtype), end.state, query),
        energies=energies,
        initial_energy=None if start.energy is None else start.energy.reshape(axes),
        status=status.reshape(axes),
        num_steps=end.num_steps.reshape(axes),
        period=period.reshape(axes),
        record=recorded,
    )


_jitted_answer = jax.jit(_answer, static_argnums=(4, 5))


def _trimmed(found, axes, max_steps):
    """The record cut to the steps that were taken, where their number is known."""
    if found["record"] is None or not checks.is_known(found["num_steps"]) or max_steps == 0:
        return found
    all_steps = jax.tree.leaves(found["record"])[0].shape[axes]
    steps = int(jax.device_get(found["num_steps"]).max(initial=0))
    if steps == all_steps:
        return found
    energies = found["energies"]
    updates = 0 if energies is None else energies.shape[-1] // all_steps * steps
    energies, record = _first(energies, found["record"], updates, steps, axes)
    return found | {"energies": energies, "record": record}


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _first(energies, record, updates, steps, axis):
    cut = functools.partial(lax.slice_in_dim, start_index=0, axis=axis)
    record = jax.tree.map(functools.partial(cut, limit_index=steps), record)
    return jax.tree.map(functools.partial(cut, limit_index=updates), energies), record
