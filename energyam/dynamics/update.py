"""What an update rule is: how one state moves, with its own carry, randomness and record."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree


class Tick(eqx.Module):
    """When a step happens, and its randomness.

    `index` counts the steps of the recall from 0. `shared` is a key that all queries of the batch share (an
    order of updates), `own` one of this query's own (noise). Without a key both raise `ValueError`, so a
    rule that can do without asks `has_key` first.
    """

    index: Int[Array, ""]
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
        """The key of this step that is this query's own."""
        return _given(self._own)


def _given(key):
    if key is None:
        raise ValueError("key must be given, as the update rule is random; got None (pass jax.random.key(0))")
    return key


class Flips(eqx.Module):
    """A record of flips: which ±1 neuron flipped at each update of a step, −1 for none, (t,).

    Neurons count through all layers of ±1 neurons, in the order of the state's leaves.
    """

    indices: Int[Array, "..."]


class States(eqx.Module):
    """A record of states: the state after each update of a step, every leaf (t, ...)."""

    states: PyTree[Array]


class Step(NamedTuple):
    """The outcome of one step.

    `energies` (t,) after each of its t updates; `record`: `Flips`, `States` or any pytree of arrays, which
    is stacked as `Recall.record`; `settled`: whether no further step would move the state; `accepted`: the
    share of proposals accepted, for rules that propose.
    """

    state: PyTree[Array]
    carry: Any
    energies: Float[Array, " t"]
    record: Any
    settled: Bool[Array, ""]
    accepted: Float[Array, ""] | None = None


class AbstractUpdate(eqx.Module):
    """An update rule, for one state; `recall` repeats it and takes the batches.

    Write `prepare`, `init` and `step`. A rule may keep anything between its steps (momentum, moments of
    Adam, replicas) as its carry, any pytree of arrays.
    """

    @abc.abstractmethod
    def prepare(self, memory: Any) -> Any:
        """What the steps read of the memory, made once per recall. Raises `ValueError` if the memory
        lacks what they need."""

    @abc.abstractmethod
    def init(self, prepared: Any, state: PyTree[Array], tick: Tick) -> Any:
        """What the rule keeps between steps, at the start."""

    @abc.abstractmethod
    def step(
        self, prepared: Any, state: PyTree[Array], carry: Any, tick: Tick, clamp: PyTree[Bool[Array, "..."]]
    ) -> Step:
        """One step from `state`. `clamp`, bools like the state, is True for neurons that must stay."""


class AbstractCarriesEnergy(AbstractUpdate):
    """An update rule whose carry holds the energy of the state: the loop need not evaluate it again."""

    @abc.abstractmethod
    def energy(self, carry: Any) -> Float[Array, ""]:
        """The energy of the state that the carry belongs to."""


class AbstractFlipping(AbstractUpdate):
    """An update rule that flips neurons: where a memory declares no neurons, they are ±1."""


class AbstractTempered(AbstractUpdate):
    """An update rule that samples exp(−E/T), at any temperature that one asks for."""

    @abc.abstractmethod
    def at(self, temperature: Float[Array, ""]) -> "AbstractTempered":
        """The same rule at another temperature, which may be traced."""


class AbstractScheduled(AbstractUpdate):
    """An update rule that can tell, before a run, whether its schedules suit it."""

    @abc.abstractmethod
    def check_steps(self, num_steps: int) -> None:
        """Raise `ValueError` if a schedule has a wrong value at one of the first `num_steps` steps."""


class AbstractSuited(AbstractUpdate):
    """An update rule that can tell, before a run, whether a memory suits its temperatures."""

    @abc.abstractmethod
    def check_memory(self, memory: Any, num_steps: int) -> None:
        """Raise `ValueError` if the memory can't be taken at one of the first `num_steps` steps."""


class AbstractWrapping(AbstractUpdate):
    """An update rule that runs another one."""

    update: eqx.AbstractVar[AbstractUpdate]


def flips_neurons(update: AbstractUpdate) -> bool:
    """Whether a rule flips neurons, itself or by the rule that it runs."""
    if isinstance(update, AbstractWrapping):
        return flips_neurons(update.update)
    return isinstance(update, AbstractFlipping)


def check_run(update: AbstractUpdate, memory: Any, num_steps: int) -> None:
    """Raise `ValueError` if a schedule of the rule has a wrong value within so many steps, or one that does
    not suit the memory."""
    if isinstance(update, AbstractScheduled):
        update.check_steps(num_steps)
    if isinstance(update, AbstractSuited):
        update.check_memory(memory, num_steps)
