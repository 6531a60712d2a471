"""The one loop: steps of any rule on any memory, for one state or a batch of them, until all are done.

Everything here is traced; what users pass in is checked before (`energyam.dynamics.states`), and what a
rule's step returns is checked when it is traced (`energyam.dynamics.update`).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from energyam import checks
from energyam.dynamics.driven import driven
from energyam.dynamics.states import whole_clamp
from energyam.dynamics.update import AbstractUpdate, Tick, checked_step, one_bool
from energyam.flips.derived import scalar_energy
from energyam.flips.noise import fold_in
from energyam.flips.sweep import for_queries

# Of `energyam.STATUSES`.
SETTLED, STOPPED, OUT_OF_STEPS, NOT_FINITE, CYCLE = range(5)
RUNNING = -1
_OWN, _START = 0x6F776E, 0x737472  # folded into the keys of a batch's queries, and of a rule's start

Stop = Callable[[PyTree[Array], Float[Array, ""] | None], Any]


class Run(NamedTuple):
    """A run: everything that stays the same from step to step."""

    memory: Any
    update: AbstractUpdate
    clamp: PyTree[Bool[Array | np.ndarray, "..."]] | None  # None for one that holds nothing
    stop: Stop | None
    batched: bool
    clamp_batched: bool
    stops_early: bool  # recall does, sampling never
    inputs: PyTree[Array] | None = None  # (steps, …), of each step its own
    inputs_batched: bool = False
    prepared: Any = None  # what the rule needs from the memory; with inputs each step prepares its own


class Watch(NamedTuple):
    """Finds limit cycles by Brent's algorithm: it holds an earlier state and carry, and the number of steps
    since then. They are replaced after 1, 2, 4, … steps. Once state and carry equal the earlier ones, they
    repeat with the `period` of the steps since.
    """

    state: PyTree[Array]
    carry: Any
    age: Int[Array, "*B"]
    reach: Int[Array, "*B"]
    period: Int[Array, "*B"]  # 0 as long as nothing repeats


class Progress(NamedTuple):
    """The progress of each query: `status` is −1 while it runs; the energy is that of the memory."""

    state: PyTree[Array]
    carry: Any
    energy: Float[Array, "*B"] | None
    status: Int[Array, "*B"]
    num_steps: Int[Array, "*B"]
    watch: Watch | None


def prepared(run: Run) -> Run:
    """The run with what its rule needs from the memory, computed once for all that is traced together."""
    return run if run.inputs is not None else run._replace(prepared=run.update.prepare(run.memory))


def begin(run: Run, state: PyTree[Array], *, key: PRNGKeyArray | None) -> Progress:
    """Before the first step: the rule's carry, the energy, and whether `stop` holds already."""
    run = run._replace(clamp=whole_clamp(run.clamp, state, run.batched))
    has_energy = checks.has_method(run.memory, "energy")
    shared = None if key is None else fold_in(_START, key=key)

    def begin_one(tick, state, clamp, given):
        memory = run.memory if given is None else driven(run.memory, given)
        ready = run.prepared if given is None else run.update.prepare(memory)
        carry = run.update.init(ready, state, tick)
        energy = run.update.energy(carry) if has_energy else None
        energy = scalar_energy(memory)(state) if energy is None and has_energy else energy
        status, zero = jnp.full((), RUNNING, jnp.int32), jnp.zeros((), jnp.int32)
        if run.stop is not None:  # an energy that is not finite here may become so: that ends no run
            ended = _status(run, state, energy, status)
            status = jnp.where(_stops(run, state, energy), ended, status)
        watches = run.stops_early and run.update.repeats and given is None
        watch = Watch(state, carry, zero, zero + 1, zero) if watches else None
        return Progress(state, carry, energy, status, jnp.zeros((), int), watch)

    return _for_all(run, begin_one, jnp.zeros((), int), shared, state)


def advance(
    run: Run, progress: Progress, indices: Int[Array, " S"], record: bool, *, key: PRNGKeyArray | None
) -> tuple[Progress, Any]:
    """The steps of `indices` while any query runs, with a history of each step. Each step has its own key,
    which does not depend on how the steps are divided into chunks.
    """
    run = run._replace(clamp=whole_clamp(run.clamp, progress.state, run.batched))

    def step_one(tick, progress, clamp, given):
        kept, step = _moved(run, progress, tick, clamp, given)
        if not record:
            return kept, None
        energies = step.energies
        if _may_rest(run) and energies is not None and progress.energy is not None:
            energies = jnp.where(progress.status == RUNNING, energies, progress.energy)
        return kept, (energies, step.record)

    @jax.jit  # traced once, though its shapes are asked for too
    def step_all(progress, index):
        shared = None if key is None else fold_in(index, key=key)
        return _for_all(run, step_one, index, shared, progress)

    def stay(progress, index):
        shapes = jax.eval_shape(step_all, progress, index)[1]
        nothing = jax.tree.map(jnp.zeros_like, shapes)
        if not record or progress.energy is None:
            return progress, nothing
        return progress, (jnp.broadcast_to(progress.energy[..., None], shapes[0].shape), nothing[1])

    def iterate(progress, index):
        return lax.cond((progress.status != RUNNING).all(), stay, step_all, progress, index)

    return lax.scan(iterate if run.stops_early else step_all, progress, indices)


def repeat(
    run: Run,
    progress: Progress,
    first: Int[Array, ""],
    steps: Int[Array, ""],
    counted: Int[Array, ""],
    *,
    key: PRNGKeyArray,
) -> tuple[Progress, Float[Array, "*B"] | None]:
    """`steps` steps from number `first` on, without a history: memory does not grow with their number.

    Also the sum of the shares of proposals accepted, over the steps from number `counted` on; None for rules
    that report none.
    """
    run = run._replace(clamp=whole_clamp(run.clamp, progress.state, run.batched))
    reports: list[bool] = []  # known once a step is traced

    def step_one(tick, at, clamp, given):
        progress, accepted = at
        progress, step = _moved(run, progress, tick, clamp, given)
        reports.append(step.accepted is not None)
        share = step.accepted if reports[-1] else jnp.zeros(())
        return progress, accepted + jnp.where(tick.index < counted, 0, share)

    def step_all(index, at):
        return _for_all(run, step_one, index, fold_in(index, key=key), at)

    nothing = jnp.zeros(progress.status.shape, jnp.result_type(float))
    progress, accepted = lax.fori_loop(first, first + steps, step_all, (progress, nothing))
    return progress, accepted if all(reports) else None


def _moved(run, progress, tick, clamp, given):
    """The progress after one step, where it still runs, and the step. Before the last input none settles."""
    prepared, carry, last = run.prepared, progress.carry, True
    if given is not None:
        prepared = run.update.prepare(driven(run.memory, given))
        carry = run.update.renewed(prepared, progress.state, carry, tick)
        last = tick.index == jax.tree.leaves(run.inputs)[0].shape[0] - 1
    step = run.update.step(prepared, progress.state, carry, tick, clamp)
    step = checked_step(run.update, progress, step)
    energies: Any = step.energies
    energy = None if progress.energy is None else energies[-1]
    watch = None if progress.watch is None else _watched(progress.watch, step)
    status = progress.status
    if run.stops_early:
        ended = jnp.full((), RUNNING, status.dtype)
        if watch is not None and checks.has_method(run.memory, "energy"):  # sequences are meant to go on
            ended = jnp.where(watch.period > 0, CYCLE, ended)
        ended = _status(run, step.state, energy, jnp.where(step.settled & last, SETTLED, ended))
        status = ended.astype(status.dtype)
    new = Progress(step.state, step.carry, energy, status, progress.num_steps + 1, watch)
    if not _may_rest(run):
        return new, step
    keep = functools.partial(jnp.where, progress.status == RUNNING)
    return jax.tree.map(keep, new, progress), step


def _may_rest(run):
    """Whether a query may be done while others move on; one by itself makes no step after its last."""
    return run.batched and run.stops_early


def _watched(watch, step):
    """The watch after one more step."""
    leaves = zip(*map(jax.tree.leaves, ((step.state, step.carry), watch[:2])), strict=True)
    same = jnp.stack([(a == b).all() for a, b in leaves]).all()
    age = watch.age + 1
    period = jnp.where(watch.period > 0, watch.period, jnp.where(same, age, 0))
    anew = age == watch.reach
    state, carry = jax.tree.map(functools.partial(jnp.where, anew), (step.state, step.carry), watch[:2])
    return Watch(state, carry, jnp.where(anew, 0, age), jnp.where(anew, 2 * age, watch.reach), period)


def _status(run, state, energy, ending):
    """How a run ends at a state: with `ending`, unless `stop` holds or a number is not finite."""
    if run.stop is not None:
        ending = jnp.where(_stops(run, state, energy), STOPPED, ending)
    finite = jnp.ones((), bool) if energy is None else jnp.isfinite(energy)
    for leaf in jax.tree.leaves(state):
        finite = finite & jnp.isfinite(leaf).all()
    return jnp.where(finite, ending, NOT_FINITE)


def _stops(run, state, energy):
    try:
        answer = run.stop(state, energy)
    except jax.errors.ConcretizationTypeError as error:
        hint = "as it is compiled: no bool(…), if, and, or of what it is given"
        raise ValueError(f"stop must be a function of jax.numpy alone, {hint}") from error
    return one_bool(answer, "stop must return one bool for one query")


def _for_all(run, function, index, shared, of_each):
    """`function(tick, of_each, clamp, its input)` for every query, each with a key of its own.

    That key depends on the place in the batch alone: a query by itself has that of place 0.
    """
    own = None if shared is None else fold_in(_OWN, key=shared)

    given = None if run.inputs is None else jax.tree.map(lambda leaf: leaf[index], run.inputs)

    def of_one(place, of_each, clamp, given):
        tick = Tick(index, shared, None if own is None else fold_in(place, key=own))
        return function(tick, of_each, clamp, given)

    number = jax.tree.leaves(of_each)[0].shape[0] if run.batched else 1
    with for_queries(number):
        if not run.batched:
            return of_one(0, of_each, run.clamp, given)
        in_axes = (0, 0, 0 if run.clamp_batched else None, 0 if run.inputs_batched else None)
        return jax.vmap(of_one, in_axes=in_axes)(jnp.arange(number), of_each, run.clamp, given)
