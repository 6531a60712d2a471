"""`recall`: any update rule on any memory, for one query or a batch, and `Recall`, its answer."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, Shaped

from energyam import checks
from energyam.dynamics import loop
from energyam.dynamics.defaults import default_update
from energyam.dynamics.driver import check_memory, checked_run, in_chunks
from energyam.dynamics.moves import check_moves, ready, view_of
from energyam.dynamics.states import Move, as_working, checked_clamp, checked_states, layers_of
from energyam.dynamics.traces import frames_of_flips, frames_of_states
from energyam.dynamics.update import AbstractUpdate, Flips, States
from energyam.shown import shown

STATUSES = ("settled", "stopped", "out of steps", "not finite", "cycle")
_SMOOTH = "for real neurons look at jax.grad(memory.energy)(state), which is 0 where the energy is level"


@shown("status num_steps period state energies initial_energy record query", status=STATUSES)
class Recall(eqx.Module):
    """What a recall came to, and how it ended. Not to have converged is a finding, not an error.

    **Fields:** `state`, like the query; `energies` (*batch, T) after each of the T updates (a neuron tried,
    or a step of all) and `initial_energy` (*batch), None for a memory without an energy; `status` (*batch):
    an index into `STATUSES`; `num_steps` (*batch): steps taken, with the one that showed convergence;
    `period` (*batch): after how many steps state and carry repeat, 0 where no limit cycle was seen; `record`:
    what the rule recorded, leaves (*batch, steps, …), None without a record; `query`: where it started.

    T covers the steps of the slowest query of the batch; inside `jit`, where that number is unknown, it
    covers `max_steps`, and the energies after the end repeat the last. Entries of `record` past `num_steps`
    mean nothing.
    """

    state: PyTree[Shaped[Array, "..."]]
    energies: Float[Array, "*batch T"] | None
    initial_energy: Float[Array, "*batch"] | None
    status: Int[Array, "*batch"]
    num_steps: Int[Array, "*batch"]
    period: Int[Array, "*batch"]
    record: Any
    query: PyTree[Shaped[Array, "..."]]
    moves: tuple[Move | None, ...] = eqx.field(static=True)

    @property
    def converged(self) -> Bool[Array, "*batch"]:
        """Whether no further step would move the state: for asynchronous recall a proof of a local minimum
        where the memory declares exact changes, else within the tolerance."""
        return self.status == loop.SETTLED

    def frames(self, every: int = 64) -> PyTree[Shaped[Array, "..."]]:
        """States along the way: the query, one after every `every` updates, and the last, (*batch, F, …).

        Raises `ValueError` for `every` below 1, a recall without a record, or a rule that recorded neither
        flips nor states.
        """
        every = checks.count("every", every)
        if self.record is None:
            raise ValueError(
                "frames need a record; there is none, as recall was called with record=False or its update "
                "rule recorded nothing"
            )
        axes = self.status.ndim
        if isinstance(self.record, Flips):
            if not any(self.moves):
                raise ValueError(
                    "frames of flips need ±1 neurons, or others that move from value to value; the memory "
                    "declares others, or none (a rule that moves neurons says so by `moves_neurons`)"
                )
            indices = self.record.indices
            steps, t = indices.shape[axes:]
            indices = indices.reshape(*self.status.shape, steps * t)
            indices = jnp.where(self._taken(steps, t), indices, -1)
            return frames_of_flips(self.query, indices, self.moves, every)
        if isinstance(self.record, States):
            states, taken = self._flat_states(axes)
            return frames_of_states(self.query, states, axes, taken, every)
        raise ValueError(
            f"frames need a record of Flips or States; the update rule recorded {type(self.record).__name__}"
        )

    def _flat_states(self, axes):
        """Recorded states (*batch, steps · t, …), and which of them were taken."""
        steps, t = jax.tree.leaves(self.record.states)[0].shape[axes : axes + 2]
        flat = jax.tree.map(
            lambda leaf: leaf.reshape(*leaf.shape[:axes], steps * t, *leaf.shape[axes + 2 :]),
            self.record.states,
        )
        return flat, self._taken(steps, t)

    def _taken(self, steps, t):
        """Which of the recorded updates (*batch, steps · t) belong to steps that were taken."""
        shape = (*self.status.shape, steps * t)
        return jax.lax.broadcasted_iota(int, shape, len(shape) - 1) // t < self.num_steps[..., None]


def recall(
    memory: Any,
    query: PyTree[ArrayLike],
    update: AbstractUpdate | None = None,
    max_steps: int = 20,
    *,
    key: PRNGKeyArray | None = None,
    clamp: Any = None,
    record: bool = True,
    stop: loop.Stop | None = None,
    progress: bool = False,
) -> Recall:
    """Let a state, or a batch of them, go down a memory's energy from `query` until nothing moves.

    **Arguments:**

    - `memory`: a memory, or any object with a scalar `energy(state)`.
    - `query` (*batch, D): where to start, with any number of leading axes; for a memory with a
      `state_shape`, (*batch, *state_shape), or a pytree of such layers.
    - `update`: the rule; by default `Asynchronous()` where all neurons move from value to value (and for an
    object with an
      energy alone and flat states), `Blockwise()` for other layers under a potential, `Synchronous()` for
      others that have a field.
    - `max_steps`: at most so many steps; a step tries each neuron once, or moves all at once.
    - `key`: for rules that draw random orders or noise.
    - `clamp`: True for neurons that stay as they are (pattern completion): bools (D,) for all queries, or
      (*batch, D) for each its own; for several layers a pytree of them, True for a whole layer.
    - `record`: whether to keep energies and record. Asynchronous recall keeps 8 bytes per neuron tried.
    - `stop`: `stop(state, energy)` → bool, for one query: ends it before the first step or after any;
    `energy` is
      None for a memory without one. A new function compiles anew, so define it once.
    - `progress`: whether to show a bar; the steps are then run in chunks, with the same result.

    All queries run until each is done or `max_steps` is reached; the test is shared, so call it with the
    batch rather than under `jax.vmap`. Differentiable in reverse through `Synchronous` and
    `GradientDescent`.

    Raises `ValueError` for a query of another shape, not of the memory's kind of neurons, or NaN; a rule
    that does not suit the memory, or returns what it must not; a missing key; a negative `max_steps`; a
    clamp of other layers or shapes; `progress` inside `jit`.
    """
    check_memory(memory)
    update = default_update(memory, query) if update is None else update
    update = checks.instance("update", update, AbstractUpdate, " (say eam.Asynchronous())")
    max_steps = checks.count("max_steps", max_steps, least=0)
    if key is not None:
        checks.key("key", key)
    if stop is not None and not callable(stop):
        raise ValueError(f"stop must be a function of state and energy; got {stop!r}")
    record, progress = checks.flag("record", record), checks.flag("progress", progress)
    run, batch, layers = checked_run(memory, query, "query", update, max_steps, clamp, stop, True)
    runner = _with_progress if progress else _run
    found = runner(run, batch.states, batch.axes, max_steps, key, record)
    found = _trimmed(found, len(batch.axes), max_steps)
    return Recall(**found, query=batch.states, moves=layers.moves)


def is_local_minimum(memory: Any, state: PyTree[ArrayLike], clamp: Any = None) -> Bool[Array, "*batch"]:
    """Whether no move of a single free neuron, or one-hot unit, lowers the energy of `state`.

    Layers of neurons that don't move from value to value are held fixed.

    Exact where the memory declares exact changes (all of this library's between patterns ±1), O(K·D) for
    one state; else within the rounding of the energy. A state whose energy is not finite is no minimum.

    **Arguments:** `state` (*batch, D), or a pytree of layers; `clamp`: neurons that may not flip, as in
    `recall`. Raises `ValueError` for a memory without ±1 neurons, or states of another shape or not ±1.
    """
    check_memory(memory)
    check_moves(memory, "a local minimum", _SMOOTH)
    layers = layers_of(memory, state, True, "state")
    batch = checked_states(layers, state, "state")
    clamp, clamp_batched = checked_clamp(layers, clamp, batch.axes)
    return _is_local_minimum(memory, batch.states, batch.axes, clamp, clamp_batched)


@eqx.filter_jit
def _is_local_minimum(memory, states, axes, clamp, clamp_batched):
    memory, states = _stop_gradient((memory, states))  # of a bool there is none
    prepared = ready(memory)

    def certify(state, clamp):
        lower, energy = view_of(prepared, state, clamp).any_descent()
        return ~lower & jnp.isfinite(energy)

    working = as_working(states, axes)
    if not axes:
        return certify(working, clamp)
    return jax.vmap(certify, in_axes=(0, 0 if clamp_batched else None))(working, clamp).reshape(axes)


def _stop_gradient(tree):
    arrays, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), rest)


def _run(run, query, axes, max_steps, key, record):
    leaves, structure = jax.tree.flatten((run, query, key))
    arrays = [leaf if eqx.is_array(leaf) else None for leaf in leaves]
    others = tuple(None if eqx.is_array(leaf) else leaf for leaf in leaves)
    return _run_arrays(arrays, others, structure, axes, max_steps, record)


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))  # as `eqx.filter_jit` does, and cheaper to call
def _run_arrays(arrays, others, structure, axes, max_steps, record):
    leaves = [other if array is None else array for array, other in zip(arrays, others, strict=True)]
    run, query, key = jax.tree.unflatten(structure, leaves)
    start = loop.begin(run, as_working(query, axes), key=key)
    end, history = loop.advance(run, start, jnp.arange(max_steps), record, key=key)
    return _answer(start, end, history, query, axes, record)


def _with_progress(run, query, axes, max_steps, key, record):
    """The same in chunks of steps run from the host, with a bar."""

    def advance(at, first, count):
        # `first` as an array: a Python number would compile each chunk anew.
        at, part = _advance(run, at, jnp.asarray(first), count, key, record)
        return at, part, bool((at.status != loop.RUNNING).all())

    given, start = (run, query, key), None
    if all(map(checks.is_known, jax.tree.leaves(given))):
        start = _begin(run, query, axes, key)
    at, parts = in_chunks("recall", "step", max_steps, given, start, advance)
    history = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts) if parts else None
    return _answer(start, at, history, query, axes, record and history is not None)


@eqx.filter_jit
def _begin(run, query, axes, key):
    return loop.begin(run, as_working(query, axes), key=key)


@eqx.filter_jit
def _advance(run, at, first, steps, key, record):
    return loop.advance(run, at, first + jnp.arange(steps), record, key=key)


def _answer(start, end, history, query, axes, record):
    """The fields of a `Recall` that were computed."""
    period = jnp.zeros_like(end.num_steps)
    if end.watch is not None:  # a state at rest repeats too, and is no cycle
        period = jnp.where(end.status == loop.SETTLED, 0, end.watch.period.astype(period.dtype))
    ending = jnp.where(period > 0, loop.CYCLE, loop.OUT_OF_STEPS)
    status = jnp.where(end.status == loop.RUNNING, ending, end.status).astype(end.status.dtype)
    energies, recorded = None if end.energy is None else jnp.zeros((*axes, 0), end.energy.dtype), None
    if record:
        found, recorded = jax.tree.map(lambda leaf: _by_query(leaf, axes), history)
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


def _by_query(leaf, axes):
    """A history (steps, B, …) as (*batch, steps, …)."""
    if not axes:
        return leaf
    return jnp.moveaxis(leaf, 1, 0).reshape(*axes, leaf.shape[0], *leaf.shape[2:])


def _trimmed(found, axes, max_steps):
    """The record cut to the steps that were taken, where their number is known."""
    if found["record"] is None or not checks.is_known(found["num_steps"]) or max_steps == 0:
        return found
    all_steps = jax.tree.leaves(found["record"])[0].shape[axes]
    steps = int(np.asarray(found["num_steps"]).max(initial=0))
    if steps == all_steps:
        return found
    energies = found["energies"]
    updates = 0 if energies is None else energies.shape[-1] // all_steps * steps
    energies, record = _first(energies, found["record"], updates, steps, axes)
    return found | {"energies": energies, "record": record}


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def _first(energies, record, updates, steps, axis):
    record = jax.tree.map(lambda leaf: jax.lax.slice_in_dim(leaf, 0, steps, axis=axis), record)
    return jax.tree.map(lambda e: jax.lax.slice_in_dim(e, 0, updates, axis=axis), energies), record
