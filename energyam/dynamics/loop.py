"""The one loop: steps of any rule on any memory, for one state or a batch of them, until all are done.

Everything here is traced; what users pass in is checked before (`energyam.dynamics.states`) and what rules
return is checked when traced.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from energyam import checks
from energyam.dynamics.update import AbstractCarriesEnergy, AbstractUpdate, Flips, States, Step, Tick
from energyam.flips.derived import scalar_energy

STATUSES = ("settled", "stopped", "out of steps", "not finite")
SETTLED, STOPPED, OUT_OF_STEPS, NOT_FINITE = range(4)
RUNNING = -1
# What keys are folded with: the keys of a batch's queries, and of a rule's start, are streams of their own.
_OWN, _START = 0x6F776E, 0x737472

Recordable = jax.Array | np.ndarray | np.generic | bool | int | float
Stop = Callable[[PyTree[Array], Float[Array, ""]], Any]


class Run(NamedTuple):
    """What is run: all that stays the same from step to step."""

    memory: Any
    update: AbstractUpdate
    clamp: PyTree[Bool[Array | np.ndarray, "..."]]
    stop: Stop | None
    batched: bool
    clamp_batched: bool
    stops_early: bool  # recall does, sampling never


class Progress(NamedTuple):
    """Where a run is, for each query: `status` is −1 while it goes on."""

    state: PyTree[Array]
    carry: Any
    energy: Float[Array, "*B"]
    status: Int[Array, "*B"]
    num_steps: Int[Array, "*B"]


def begin(run: Run, state: PyTree[Array], *, key: PRNGKeyArray | None) -> Progress:
    """Before the first step: the rule's carry, the energy, and whether `stop` holds already."""
    prepared = run.update.prepare(run.memory)
    shared = None if key is None else jr.fold_in(key, _START)

    def begin_one(tick, state):
        carry = run.update.init(prepared, state, tick)
        if isinstance(run.update, AbstractCarriesEnergy):
            energy = run.update.energy(carry)
        else:
            energy = _energy_of(run.memory)(state)
        # An energy that is not finite here may become so: it ends the run only where `stop` does.
        ending = jnp.where(_is_finite(run, state, energy), STOPPED, NOT_FINITE)
        status = jnp.where(_stops(run, state, energy), ending, RUNNING).astype(jnp.int32)
        return Progress(state, carry, energy, status, jnp.zeros((), int))

    return _for_all(run, begin_one, jnp.zeros((), int), shared, state)


def advance(
    run: Run, progress: Progress, indices: Int[Array, " S"], record: bool, *, key: PRNGKeyArray | None
) -> tuple[Progress, Any]:
    """The steps of `indices` while any query goes on, with a history of each step.

    Each step has a key of its own, the same however the steps are cut in chunks.
    """
    prepared = run.update.prepare(run.memory)

    @jax.jit  # traced once, though its shapes are asked for too
    def step_all(progress, index):
        shared = None if key is None else jr.fold_in(key, index)
        one = lambda tick, progress, clamp: _step_one(run, prepared, progress, tick, clamp, record)  # noqa: E731
        return _for_all(run, one, index, shared, progress, run.clamp)

    def stay(progress, index):
        shapes = jax.eval_shape(step_all, progress, index)[1]
        nothing = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        if not record:
            return progress, nothing
        energies = jnp.broadcast_to(progress.energy[..., None], shapes[0].shape)
        return progress, (energies, nothing[1])

    def iterate(progress, index):
        if not run.stops_early:
            return step_all(progress, index)
        return lax.cond((progress.status != RUNNING).all(), stay, step_all, progress, index)

    return lax.scan(iterate, progress, indices)


def repeat(
    run: Run,
    progress: Progress,
    first: Int[Array, ""],
    steps: Int[Array, ""],
    counted: Int[Array, ""],
    *,
    key: PRNGKeyArray,
) -> tuple[Progress, Float[Array, "*B"]]:
    """`steps` steps from number `first` on, without a history: memory does not grow with their number.

    Also the sum of the shares of proposals accepted, over the steps from number `counted` on; NaN for rules
    that report none.
    """
    prepared = run.update.prepare(run.memory)

    def step_one(tick, at, clamp):
        progress, accepted = at
        progress, step = _moved(run, prepared, progress, tick, clamp)
        share = jnp.nan if step.accepted is None else step.accepted
        return progress, accepted + jnp.where(tick.index < counted, 0, share)

    def step_all(index, at):
        return _for_all(run, step_one, index, jr.fold_in(key, index), at, run.clamp)

    return lax.fori_loop(first, first + steps, step_all, (progress, jnp.zeros_like(progress.energy)))


def _step_one(run, prepared, progress, tick, clamp, record):
    kept, step = _moved(run, prepared, progress, tick, clamp)
    if not record:
        return kept, None
    running = progress.status == RUNNING
    return kept, (jnp.where(running, step.energies, progress.energy), step.record)


def _moved(run, prepared, progress, tick, clamp):
    """The progress after one step, where it still runs, and the step."""
    step = run.update.step(prepared, progress.state, progress.carry, tick, clamp)
    step = _checked_step(run.update, progress, step)
    energy = step.energies[-1]
    status = _status(run, step, energy) if run.stops_early else progress.status
    running = progress.status == RUNNING
    new = Progress(step.state, step.carry, energy, status, progress.num_steps + 1)
    return jax.tree.map(lambda a, b: jnp.where(running, a, b), new, progress), step


def _status(run, step, energy):
    status = jnp.where(step.settled, SETTLED, RUNNING)
    status = jnp.where(_stops(run, step.state, energy), STOPPED, status)
    return jnp.where(_is_finite(run, step.state, energy), status, NOT_FINITE).astype(jnp.int32)


def _is_finite(run, state, energy):
    """Whether a state is, and its energy, where the memory has one."""
    finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state)]).all()
    return finite & jnp.isfinite(energy) if hasattr(run.memory, "energy") else finite


def _stops(run, state, energy):
    if run.stop is None:
        return jnp.zeros((), bool)
    return _one_bool(run.stop(state, energy), "stop must return one bool for one query")


def _one_bool(value, message):
    if not isinstance(value, bool | np.bool_ | jax.Array | np.ndarray):
        raise ValueError(f"{message}; got {value!r}")
    value = jnp.asarray(value)
    if value.shape != () or value.dtype != bool:
        raise ValueError(f"{message}; got shape {value.shape}, dtype {value.dtype}")
    return value


def _energy_of(memory):
    """The energy of a state, NaN for a network that has none."""
    if checks.has_method(memory, "energy"):
        return scalar_energy(memory)
    return lambda state: jnp.full((), jnp.nan)


def _for_all(run, function, index, shared, of_each, *clamp):
    """`function(tick, of_each, *clamp)` for every query, each with a key of its own.

    That key depends on the place in the batch alone: a query by itself has that of place 0.
    """
    own = None if shared is None else jr.fold_in(shared, _OWN)

    def of_one(place, of_each, *clamp):
        tick = Tick(index, shared, None if own is None else jr.fold_in(own, place))
        return function(tick, of_each, *clamp)

    if not run.batched:
        return of_one(0, of_each, *clamp)
    places = jnp.arange(jax.tree.leaves(of_each)[0].shape[0])
    in_axes = (0, 0, *(0 if run.clamp_batched else None for _ in clamp))
    return jax.vmap(of_one, in_axes=in_axes)(places, of_each, *clamp)


def _checked_step(update, before, step):
    """The step with states and carries in their dtypes; raises `ValueError` for other shapes."""
    name = type(update).__name__
    if not isinstance(step, Step):
        raise ValueError(f"{name}.step must return an energyam.Step; got {type(step).__name__}")
    energies = jnp.asarray(step.energies)
    if energies.ndim != 1 or energies.shape[0] == 0:
        raise ValueError(f"energies of {name}.step must be (t,), t at least 1; got shape {energies.shape}")
    if jnp.issubdtype(energies.dtype, jnp.complexfloating):
        raise ValueError(f"energies of {name}.step must be real; got dtype {energies.dtype}")
    settled = _one_bool(step.settled, f"settled of {name}.step must be one bool")
    _check_record(step.record, before.state, energies.shape, f"record of {name}.step")
    return step._replace(
        state=_like(before.state, step.state, f"state of {name}.step"),
        carry=_like(before.carry, step.carry, f"carry of {name}.step"),
        energies=energies.astype(before.energy.dtype),
        settled=settled,
    )


def _check_record(record, state, updates, name):
    """Raise `ValueError` unless flips are (t,), states (t, …) like the state, and all else arrays."""
    if isinstance(record, Flips):
        indices = jnp.asarray(record.indices)
        if indices.shape != updates or not jnp.issubdtype(indices.dtype, jnp.integer):
            raise ValueError(
                f"{name} must hold one whole number for each of the energies, {updates}; got flips of shape "
                f"{indices.shape}, dtype {indices.dtype}"
            )
    elif isinstance(record, States):
        got = jax.tree.map(jnp.shape, record.states)
        wanted = jax.tree.map(lambda leaf: updates + leaf.shape, state)
        if wanted != got:
            raise ValueError(
                f"{name} must hold one state for each of the energies, {wanted}; got states of {got}"
            )
    elif not all(isinstance(leaf, Recordable) for leaf in jax.tree.leaves(record)):
        raise ValueError(f"{name} must be Flips, States or a pytree of arrays; got {record!r}")


def _like(old, new, name):
    """`new` in the dtypes of `old`; raises `ValueError` unless structure, shapes and kinds agree."""
    wanted, got = map(jax.tree.structure, (old, new))
    if wanted != got:  # type: ignore[operator]
        raise ValueError(f"{name} must keep its structure, {wanted}; got {got}")

    def convert(path, before, after):
        before, after = jnp.asarray(before), jnp.asarray(after)
        floats = all(jnp.issubdtype(x.dtype, jnp.floating) for x in (before, after))
        if before.shape != after.shape or not (floats or before.dtype == after.dtype):
            raise ValueError(
                f"{name}{jax.tree_util.keystr(path)} must keep shape {before.shape} and dtype "
                f"{before.dtype}; got shape {after.shape}, dtype {after.dtype}"
            )
        return after.astype(before.dtype)

    return jax.tree_util.tree_map_with_path(convert, old, new)
