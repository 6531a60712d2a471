"""Update rules: how one state moves, with its own carry, randomness and record."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from energyam.abilities import check_written, optional
from energyam.flips.noise import threefry, words_of
from energyam.shown import shown

ORDERS = ("colours", "permutation", "uniform", "sequential")  # in which the neurons of a step are tried
Recordable = jax.Array | np.ndarray | np.generic | bool | int | float
_MOST_PLACE_BITS = 20  # 12 bits of a word remain random


def checked_order(order: str) -> str:
    """`order`, if it is one of `ORDERS`; raises `ValueError` otherwise."""
    if not isinstance(order, str) or order not in ORDERS:
        raise ValueError(f"order must be 'colours', 'permutation', 'uniform' or 'sequential'; got {order!r}")
    return order


class Tick(eqx.Module):
    """When a step happens, and its randomness.

    `index` counts the steps of the recall from 0. `shared` is a key that all queries of the batch share (for
    an order of updates), and `own` is a separate key for each query (for noise). Without a key both raise
    `ValueError`, so a rule that can run without a key checks `has_key` first.

        >>> tick = eam.Tick(jnp.array(3), None, None)  # the fourth step of a recall without a key
        >>> optax.linear_schedule(1.0, 0.0, 6)(tick.index)
        Array(0.5, dtype=float32, weak_type=True)
    """

    index: Int[Array, ""] = eqx.field(converter=jnp.asarray)  # loops under `jax.disable_jit` give an int
    _shared: PRNGKeyArray | None
    _own: PRNGKeyArray | None

    @property
    def has_key(self) -> bool:
        """Whether the recall was given a key."""
        return self._shared is not None

    @property
    def shared(self) -> PRNGKeyArray:
        """The key of this step that all queries of the batch share."""
        return _given(self._shared)

    @property
    def own(self) -> PRNGKeyArray:
        """The key of this step for this query alone."""
        return _given(self._own)

    def order(self, kind: str, num: int) -> Int[Array, " num"]:
        """The numbers 0 … num − 1 in the order in which they are tried, one of `ORDERS`, shared by the
        batch; for "colours" a permutation, as where there are none."""
        if kind == "sequential":
            return jnp.arange(num)
        if self._shared is None:
            raise ValueError(
                f"key must be given, as the order is {kind!r}; got None "
                "(pass key=jax.random.key(0), or an update rule with order='sequential')"
            )
        bits = max(1, (num - 1).bit_length())
        if kind == "uniform":
            return jr.randint(self._shared, (num,), 0, num)
        if bits > _MOST_PLACE_BITS:
            return jr.permutation(self._shared, num)
        # Words of random bits above the bits of a place are sorted, which costs a third of sorting pairs of
        # words, as `jax.random.permutation` does. Of two places with equal random bits, one pair in
        # 2^(32 − bits), the lower comes first; so the order is that of a second draw, whose places are those
        # of the first.
        place = jnp.uint32(2**bits - 1)
        counts = jnp.arange(2 * num, dtype=jnp.uint32)
        left, right = threefry(*words_of(key=self._shared), jnp.zeros_like(counts), counts)
        drawn = (left ^ right).reshape(2, num) & ~place | jnp.arange(num, dtype=jnp.uint32)[None]
        first, second = (lax.sort(drawn) & place).astype(int)
        return first[second]


def _given(key):
    if key is None:
        raise ValueError("key must be given, as the update rule is random; got None (pass jax.random.key(0))")
    return key


@shown()
class Flips(eqx.Module):
    """A record of flips: which neuron moved at each update of a step, −1 for none, (t,).

    Neurons count through all layers that move, in the order of the state's leaves. Of a one-hot unit it is
    the entry that became 1. Rules of energyam record them as int16 where a state has at most 2^15 entries.

        >>> eam.Flips(jnp.array([2, -1, 0]))  # neuron 2 moved, then none, then neuron 0
        Flips(indices=[2, -1, 0])
    """

    indices: Int[Array, "..."]


def as_flips(indices: Int[Array, " t"], size: int) -> Flips:
    """The record of flips of a state of `size` entries, in 16 bits for each where these hold them."""
    return Flips(indices.astype(jnp.int16 if size <= 2**15 else jnp.int32))


@shown()
class States(eqx.Module):
    """A record of states: the state after each update of a step, every leaf (t, ...).

    >>> memory = eam.ModernHopfield(jnp.array([[1.0, 0.0], [0.0, 1.0]]), beta=8.0)
    >>> result = eam.recall(memory, jnp.array([0.9, 0.3]), eam.Synchronous(), max_steps=3)
    >>> result.record.states.shape  # three steps of one update each, two neurons
    (3, 1, 2)
    """

    states: PyTree[Array]


class Step(NamedTuple):
    """The outcome of one step.

    `energies` (t,) after each of its t updates, None for a memory without an energy; `record`: `Flips`,
    `States` or any pytree of arrays, which is stacked as `Recall.record`; `settled`: whether no further step
    would move the state; `accepted`: the share of proposals accepted, for rules that propose.

        >>> eam.Step(jnp.zeros(2), None, jnp.ones(1), eam.States(jnp.zeros((1, 2))), jnp.array(True)).settled
        Array(True, dtype=bool)
    """

    state: PyTree[Array]
    carry: Any
    energies: Float[Array, " t"] | None
    record: Any
    settled: Bool[Array, ""]
    accepted: Float[Array, ""] | None = None


@shown()
class AbstractUpdate(eqx.Module):
    """An update rule for one state; `recall` repeats it and handles batches. Write `step`.

    A rule may keep anything between its steps (momentum, moments of Adam, replicas) as its carry, any pytree
    of arrays.

    **Optional values:** `moves_neurons`, True for a rule that moves single neurons from value to value:
    neurons that a memory doesn't declare are then taken to be ±1, and layers that can't move so must be
    clamped. `repeats`, True where a step depends on state and carry alone, on no key and no schedule: recall
    then finds limit cycles.

        >>> class Halve(eam.AbstractUpdate):  # halfway to 0 at each step
        ...     def step(self, prepared, state, carry, tick, clamp):
        ...         state = jnp.where(clamp, state, state / 2)
        ...         return eam.Step(state, carry, jnp.sum(state**2)[None], None, jnp.abs(state).max() < 1e-3)
        ...
        >>> class Bowl(eqx.Module):
        ...     def energy(self, state):
        ...         return jnp.sum(state**2)
        ...
        >>> eam.recall(Bowl(), jnp.array([1.0, 3.0]), Halve(), max_steps=3).state
        Array([0.125, 0.375], dtype=float32)
    """

    moves_neurons = False
    repeats = False

    def __init_subclass__(cls, **options: Any):
        check_written(cls, AbstractUpdate, **options)

    @abc.abstractmethod
    def step(
        self, prepared: Any, state: PyTree[Array], carry: Any, tick: Tick, clamp: PyTree[Bool[Array, "..."]]
    ) -> Step:
        """One step from `state`. `clamp`, bools like the state, is True for neurons that must stay."""

    @optional
    def prepare(self, memory: Any) -> Any:
        """The data that steps need from the memory, computed once per recall; by default the memory itself.
        Write it to compute something once, or to raise `ValueError` for a memory that the rule can't run
        on."""
        return memory

    @optional
    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> Any:
        """The carry of the rule at the start. Write it for a rule that carries something from step to
        step."""
        return ()

    @optional
    def energy(self, carry: Any) -> Float[Array, ""] | None:
        """The energy of the state that a carry belongs to. Write it where the carry holds it, so that it is
        not computed again at the start."""
        return None

    @optional
    def renewed(self, prepared: Any, state: PyTree[Array], carry: Any, tick: Tick) -> Any:
        """The carry of the rule after the memory's input has changed. Write it for a rule whose carry is
        computed from the memory, such as the field or the energy at the state."""
        return carry

    @optional
    def check(self, memory: Any, num_steps: int) -> None:
        """Raise `ValueError`, before a run, for schedules that don't suit its number of steps or the memory.
        Write it for rules with schedules."""

    @optional
    def at(self, temperature: Float[Array, ""]) -> "AbstractUpdate | None":
        """The same rule at another temperature, which may be traced. Write it for a rule that samples
        exp(−E/T), so that `Tempering` can run it."""
        return None


def checked_step(update: AbstractUpdate, before: Any, step: Any) -> Step:
    """The step with states and carries in their dtypes; raises `ValueError` for other shapes."""
    name = type(update).__name__
    if not isinstance(step, Step):
        raise ValueError(f"{name}.step must return an energyam.Step; got {type(step).__name__}")
    if step.energies is None and before.energy is not None:
        raise ValueError(f"energies of {name}.step must be (t,), as the memory has an energy; got None")
    energies: Any = None if step.energies is None else jnp.asarray(step.energies)
    if energies is not None and (energies.ndim != 1 or energies.shape[0] == 0):
        raise ValueError(f"energies of {name}.step must be (t,), t at least 1; got shape {energies.shape}")
    if energies is not None and jnp.issubdtype(energies.dtype, jnp.complexfloating):
        raise ValueError(f"energies of {name}.step must be real; got dtype {energies.dtype}")
    settled = one_bool(step.settled, f"settled of {name}.step must be one bool")
    _check_record(step.record, before.state, energies, f"record of {name}.step")
    return step._replace(
        state=_like(before.state, step.state, f"state of {name}.step"),
        carry=_like(before.carry, step.carry, f"carry of {name}.step"),
        energies=energies if before.energy is None else energies.astype(before.energy.dtype),
        settled=settled,
    )


def _check_record(record, state, energies, name):
    """Raise `ValueError` unless flips are (t,), states (t, …) like the state, and all else arrays."""
    leaves = jax.tree.leaves(record)
    updates = jnp.shape(leaves[0])[:1] if energies is None and leaves else jnp.shape(energies)
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
    wanted, got = jax.tree.structure(old), jax.tree.structure(new)
    if wanted != got:  # type: ignore[operator]
        raise ValueError(f"{name} must keep its structure, {wanted}; got {got}")

    kept = []
    for (path, before), after in zip(jax.tree.leaves_with_path(old), jax.tree.leaves(new), strict=True):
        before, after = jnp.asarray(before), jnp.asarray(after)
        floats = jnp.issubdtype(before.dtype, jnp.floating) and jnp.issubdtype(after.dtype, jnp.floating)
        if before.shape != after.shape or not (floats or before.dtype == after.dtype):
            raise ValueError(
                f"{name}{jax.tree_util.keystr(path)} must keep shape {before.shape} and dtype "
                f"{before.dtype}; got shape {after.shape}, dtype {after.dtype}"
            )
        kept.append(after.astype(before.dtype))
    return jax.tree.unflatten(wanted, kept)


def one_bool(value: Any, message: str) -> Bool[Array, ""]:
    """`value` as one bool; raises `ValueError` with this message for anything else."""
    if not isinstance(value, bool | np.bool_ | jax.Array | np.ndarray):
        raise ValueError(f"{message}; got {value!r}")
    value = jnp.asarray(value)
    if value.shape != () or value.dtype != bool:
        raise ValueError(f"{message}; got shape {value.shape}, dtype {value.dtype}")
    return value
