"""`sample` runs chains of any update rule through the loop of `recall`; `Samples` is its answer."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped

from energyam import checks
from energyam.diagnostics import split_rhat
from energyam.dynamics import loop
from energyam.dynamics.driven import checked_inputs
from energyam.dynamics.recall import checked_run, in_chunks
from energyam.dynamics.states import as_working, check_memory
from energyam.dynamics.update import AbstractUpdate
from energyam.shown import shown


@shown("states energies acceptance rhat")
class Samples(eqx.Module):
    """The states that chains visited.

    **Fields:** `states` (*chains, S, …): S samples of each chain, in the dtype of the start; `energies`
    (*chains, S): of the samples, NaN or infinite where a chain diverged; `acceptance` (*chains): the
    share of proposals accepted after the discarded steps, None for rules that propose nothing.

    Printing an answer also shows `rhat`: above 1.01, the energies are not yet distributed as under exp(−E/T).

        >>> network = eam.HopfieldNetwork(jnp.array([[0.0, 1.0], [1.0, 0.0]]))
        >>> samples = eam.sample(network, jnp.ones((4, 2), int), eam.HeatBath(1.0), 100, key=jr.key(0))
        >>> samples.states.shape, samples.energies.shape, bool(samples.rhat < 1.1)
        ((4, 100, 2), (4, 100), True)
    """

    states: PyTree[Shaped[Array, "..."]]
    energies: Float[Array, "*chains S"]
    acceptance: Float[Array, "*chains"] | None

    @property
    def rhat(self) -> float | None:
        """Split-R̂ of the energies (`evaluation.split_rhat`), infinite where one is not finite; None for fewer
        than 8 samples, and for numbers that can't be read yet, as within `jit`."""
        energies = self.energies
        if not checks.is_known(energies) or energies.shape[-1] < 8:
            return None
        chains = np.asarray(energies, np.float64).reshape(-1, energies.shape[-1])
        return split_rhat(chains) if np.isfinite(chains).all() else float("inf")


def sample(
    memory: Any,
    start: PyTree[ArrayLike],
    update: AbstractUpdate,
    num_samples: int,
    *,
    key: PRNGKeyArray,
    every: int = 1,
    discard: int = 0,
    clamp: Any = None,
    inputs: PyTree[ArrayLike] | None = None,
    progress: bool = False,
) -> Samples:
    """Run chains from `start` by a random update rule, and keep a state of each after every few steps.

    **Arguments:**

    - `memory`: a memory, or any object with a scalar `energy(state)`; rules such as `HeatBath(T)` make the
      chains tend to exp(−E/T).
    - `start` (*chains, D): where they start, with any number of leading axes; for a memory with a
      `state_shape`, (*chains, *state_shape), or a pytree of such layers.
    - `update`: the rule, say `HeatBath(temperature)`, `Langevin(step_size)` or one of your own.
    - `num_samples`: S, how many states of each chain are kept.
    - `every`: steps between two of them; a step of `HeatBath` tries every neuron once.
    - `discard`: steps that are left out at the beginning (burn-in).
    - `clamp`: neurons that stay as they are, as in `recall`: the chains then sample the others given these.
    - `inputs` (discard + num_samples · every, *chains, …): the input u of each step, as in `recall`: the step
      is one on E(x) − u · x, and energies are those. Inputs that stay the same are a bias; where they change,
      there is no single distribution that the chains tend to.
    - `progress`: whether to show a bar; the samples are the same.

    Chains never stop early and never count as converged: look at `Samples.rhat` and at `plotting.chains`.
    Each chain has its own noise, and a single chain gives the samples that the first of a batch gives with
    the same key. Only the S states are stored, whatever `every` and `discard` are.

    Raises `ValueError` if the start has another shape, values that the memory's neurons can't take, or NaN;
    if the rule does not suit the memory; if counts are below 1 (`discard`: below 0) or give more than 2^31
    steps; if the key or the clamp is wrong; if inputs have another shape or number of steps; and for
    `progress` inside `jit`.

        >>> memory = eam.ModernHopfield(jnp.array([[0.0, 0.0]]), beta=1.0)  # E = ½‖x‖² + constant
        >>> samples = eam.sample(memory, jnp.zeros((50, 2)), eam.Langevin(0.5), 40, key=jr.key(0), discard=10)
        >>> samples.states.shape, bool(abs(samples.states.var() - 1) < 0.1)
        ((50, 40, 2), True)
    """
    update = checks.instance("update", update, AbstractUpdate, " (say eam.HeatBath(temperature))")
    num_samples, every = checks.count("num_samples", num_samples), checks.count("every", every)
    discard = checks.count("discard", discard, least=0)
    steps = checks.count("discard + num_samples · every", discard + num_samples * every)
    checks.key("key", key)
    progress = checks.flag("progress", progress)
    check_memory(memory)
    if not checks.has_method(memory, "energy"):
        raise ValueError(f"memory must have an energy(state) to sample; {type(memory).__name__} has none")
    run, batch, layers = checked_run(memory, start, "start", update, steps, clamp, None, False)
    if inputs is not None:
        given, batched = checked_inputs(
            memory, layers, inputs, batch.axes, "discard + num_samples · every", steps
        )
        run = run._replace(inputs=given, inputs_batched=batched)
    plan = _Plan(num_samples, checks.sent(every), checks.sent(discard))
    runner = _with_progress if progress else _all_at_once
    return runner(run, batch.states, batch.axes, plan, key)


class _Plan(eqx.Module):
    """How many samples, and the steps before and between them (arrays, so that another number compiles
    nothing)."""

    num_samples: int = eqx.field(static=True)
    every: Array
    discard: Array


@eqx.filter_jit
def _all_at_once(run, start, axes, plan, key):
    run = loop.prepared(run)
    at = loop.begin(run, as_working(start, axes), key=key)
    return _answer(axes, plan, *_some(run, at, start, 0, plan, key)[1])


def _with_progress(run, start, axes, plan, key):
    """The same in chunks of samples run from the host, with a bar."""

    def advance(at, first, count):
        some = _Plan(count, plan.every, plan.discard)
        at, found = _more(run, at, start, checks.sent(first), some, key)
        return at, found, False

    given, at = (run, start, key), None
    if all(map(checks.is_known, jax.tree.leaves(given))):
        at = _begin(run, start, axes, key)
    _, parts = in_chunks("sample", "sample", plan.num_samples, given, at, advance)
    return _jitted_answer(axes, plan, *jax.tree.map(lambda *parts: jnp.concatenate(parts), *parts))


@eqx.filter_jit
def _begin(run, start, axes, key):
    return loop.begin(loop.prepared(run), as_working(start, axes), key=key)


def _some(run, at, start, first, plan, key):
    """The chains after further samples, `first` being the number of the first; states, energies, and the
    shares of proposals accepted."""

    def next_sample(progress, number):
        # The discarded steps are the first of those before sample 0, so that a step is compiled once.
        begin = jnp.where(number == 0, 0, plan.discard + number * plan.every)
        steps = plan.every + jnp.where(number == 0, plan.discard, 0)
        progress, accepted = loop.repeat(run, progress, begin, steps, plan.discard, key=key)
        states = jax.tree.map(lambda new, old: new.astype(old.dtype), progress.state, start)
        return progress, (states, progress.energy, accepted)

    return lax.scan(next_sample, at, first + jnp.arange(plan.num_samples))


@eqx.filter_jit
def _more(run, at, start, first, plan, key):
    return _some(loop.prepared(run), at, start, first, plan, key)


def _answer(axes, plan, states, energies, accepted):
    def by_chain(leaf):
        leaf = jnp.moveaxis(leaf, 0, 1) if axes else leaf
        return leaf.reshape(*axes, *leaf.shape[1 if axes else 0 :])

    if accepted is not None:
        steps = (plan.num_samples * plan.every).astype(accepted.dtype)
        accepted = (accepted.sum(axis=0) / steps).reshape(axes)
    return Samples(jax.tree.map(by_chain, states), by_chain(energies), accepted)


_jitted_answer = eqx.filter_jit(_answer)
