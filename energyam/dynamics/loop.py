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
from energyam.dynamics.step_checks import checked_step, one_bool
from energyam.dynamics.update import AbstractUpdate, Tick
from energyam.flips.derived import scalar_energy
from energyam.flips.plan import for_queries

# Of `energyam.STATUSES`.
SETTLED, STOPPED, OUT_OF_STEPS, NOT_FINITE, CYCLE = range(5)
RUNNING = -1
# What keys are folded with: the keys of a batch's queries, and of a rule's start, are streams of their own.
_OWN, _START = 0x6F776E, 0x737472

Stop = Callable[[PyTree[Array], Float[Array, ""] | None], Any]


class Run(NamedTuple):
    """What is run: all that stays the same from step to step."""

    memory: Any
    update: AbstractUpdate
    clamp: PyTree[Bool[Array | np.ndarray, "..."]]
    stop: Stop | None
    batched: bool
    clamp_batched: bool
    stops_early: bool  # recall does, sampling never


class Watch(NamedTuple):
    """What finds a limit cycle, by Brent's algorithm: an earlier state and carry, and how long ago it was.

    It is taken anew after 1, 2, 4, … steps. Where state and carry are again what they were then, they repeat
    with the `period` of the steps since.
    """

    state: PyTree[Array]
    carry: Any
    age: Int[Array, "*B"]
    reach: Int[Array, "*B"]
    period: Int[Array, "*B"]  # 0 as long as nothing repeats


class Progress(NamedTuple):
    """Where a run is, for each query: `status` is −1 while it goes on; no energy without one of the
    memory."""

    state: PyTree[Array]
    carry: Any
    energy: Float[Array, "*B"] | None
    status: Int[Array, "*B"]
    num_steps: Int[Array, "*B"]
    watch: Watch | None


def begin(run: Run, state: PyTree[Array], *, key: PRNGKeyArray | None) -> Progress:
    """Before the first step: the rule's carry, the energy, and whether `stop` holds already."""
    prepared = run.update.prepare(run.memory)
    shared = None if key is None else jr.fold_in(key, _START)

    def begin_one(tick, state):
        carry = run.update.init(prepared, state, tick)
        energy = run.update.energy(carry) if _has_energy(run) else None
        energy = scalar_energy(run.memory)(state) if energy is None and _has_energy(run) else energy
        # An energy that is not finite here may become so: it ends the run only where `stop` does.
        ending = jnp.where(_is_finite(run, state, energy), STOPPED, NOT_FINITE)
        status = jnp.where(_stops(run, state, energy), ending, RUNNING).astype(jnp.int32)
        zero = jnp.zeros((), jnp.int32)
        watches = run.stops_early and run.update.repeats
        watch = Watch(state, carry, zero, zero + 1, zero) if watches else None
        return Progress(state, carry, energy, status, jnp.zeros((), int), watch)

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
        if progress.energy is None:
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

    nothing = jnp.zeros(progress.status.shape, jnp.result_type(float))
    return lax.fori_loop(first, first + steps, step_all, (progress, nothing))


def _step_one(run, prepared, progress, tick, clamp, record):
    kept, step = _moved(run, prepared, progress, tick, clamp)
    if not record:
        return kept, None
    if step.energies is None or progress.energy is None:
        return kept, (step.energies, step.record)
    running = progress.status == RUNNING
    return kept, (jnp.where(running, step.energies, progress.energy), step.record)


def _moved(run, prepared, progress, tick, clamp):
    """The progress after one step, where it still runs, and the step."""
    step = run.update.step(prepared, progress.state, progress.carry, tick, clamp)
    step = checked_step(run.update, progress, step)
    energy = None if progress.energy is None else step.energies[-1]
    watch = None if progress.watch is None else _watched(progress.watch, step)
    status = _status(run, step, energy, watch) if run.stops_early else progress.status
    running = progress.status == RUNNING
    new = Progress(step.state, step.carry, energy, status, progress.num_steps + 1, watch)
    return jax.tree.map(lambda a, b: jnp.where(running, a, b), new, progress), step


def _watched(watch, step):
    """The watch after one more step."""
    leaves = zip(*map(jax.tree.leaves, ((step.state, step.carry), watch[:2])), strict=True)
    same = jnp.stack([(a == b).all() for a, b in leaves]).all()
    age = watch.age + 1
    period = jnp.where(watch.period > 0, watch.period, jnp.where(same, age, 0))
    anew = age == watch.reach
    state, carry = jax.tree.map(lambda a, b: jnp.where(anew, a, b), (step.state, step.carry), watch[:2])
    return Watch(state, carry, jnp.where(anew, 0, age), jnp.where(anew, 2 * age, watch.reach), period)


def _status(run, step, energy, watch):
    status = jnp.full((), RUNNING)
    if watch is not None and _has_energy(run):  # sequences go on, as they are meant to
        status = jnp.where(watch.period > 0, CYCLE, status)
    status = jnp.where(step.settled, SETTLED, status)
    status = jnp.where(_stops(run, step.state, energy), STOPPED, status)
    return jnp.where(_is_finite(run, step.state, energy), status, NOT_FINITE).astype(jnp.int32)


def _has_energy(run):
    return checks.has_method(run.memory, "energy")


def _is_finite(run, state, energy):
    """Whether a state is, and its energy, where the memory has one."""
    finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state)]).all()
    return finite if energy is None else finite & jnp.isfinite(energy)


def _stops(run, state, energy):
    if run.stop is None:
        return jnp.zeros((), bool)
    return one_bool(run.stop(state, energy), "stop must return one bool for one query")


def _for_all(run, function, index, shared, of_each, *clamp):
    """`function(tick, of_each, *clamp)` for every query, each with a key of its own.

    That key depends on the place in the batch alone: a query by itself has that of place 0.
    """
    own = None if shared is None else jr.fold_in(shared, _OWN)

    def of_one(place, of_each, *clamp):
        tick = Tick(index, shared, None if own is None else jr.fold_in(own, place))
        return function(tick, of_each, *clamp)

    if not run.batched:
        with for_queries(1):
            return of_one(0, of_each, *clamp)
    number = jax.tree.leaves(of_each)[0].shape[0]
    in_axes = (0, 0, *(0 if run.clamp_batched else None for _ in clamp))
    with for_queries(number):
        return jax.vmap(of_one, in_axes=in_axes)(jnp.arange(number), of_each, *clamp)
