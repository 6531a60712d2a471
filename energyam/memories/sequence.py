"""Networks that move from state to state. Their couplings are not symmetric, so that they have no energy."""

import abc
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Num, Shaped

from energyam import checks
from energyam.learning import hebbian_step, write
from energyam.learning.matrices import as_transitions
from energyam.learning.steps import hollow
from energyam.linalg import dot
from energyam.memories.base import as_state
from energyam.memories.neurons import Binary
from energyam.memories.reads import read_pairs
from energyam.memories.search import Table
from energyam.memories.separation import AbstractSeparation
from energyam.memories.similarity import Dot
from energyam.shown import shown


@shown()
class AbstractSequence(eqx.Module):
    """A network of D neurons ±1 whose next state depends on the present one and on the one `delay` steps ago.

    The state of `recall` is a window of (delay + 1)·D entries, x(t) first and x(t − delay) last.
    """

    delay: eqx.AbstractVar[int]
    neurons: eqx.AbstractVar[Binary]

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """D, the number of neurons at one time."""

    @abc.abstractmethod
    def drive(self, present: Float[Array, " D"], past: Float[Array, " D"]) -> Float[Array, " D"]:
        """The field at the neurons, of x(t) and x(t − delay)."""

    @property
    def num_neurons(self) -> int:
        """(delay + 1)·D, the length of a window."""
        return (self.delay + 1) * self.width

    @property
    def state_shape(self) -> tuple[int]:
        """((delay + 1)·D,), the shape of a state."""
        return (self.num_neurons,)

    def window(self, state: ArrayLike) -> Shaped[Array, "*batch N"]:
        """The window (*batch, (delay + 1)·D) of a state (*batch, D) that has not changed for
        `delay` steps.

        Raises `ValueError` for another shape, and for entries that are not ±1.
        """
        self.neurons.check("state", state, f"... {self.width}")
        return jnp.concatenate([jnp.asarray(state)] * (self.delay + 1), axis=-1)

    def field(self, state: ArrayLike) -> Float[Array, " N"]:
        """The drive at the present, and behind it the window, moved on by one; `ValueError` for another
        shape."""
        return _moved_on(self, as_state(state, self.num_neurons))


@eqx.filter_jit  # as a loop over patterns by itself would be compiled anew at each call
def _moved_on(memory, state):
    D = memory.width
    return jnp.concatenate([memory.drive(state[:D], state[-D:]), state[:-D]])


class SequenceNetwork(AbstractSequence):
    """A network of ±1 neurons that hops from state to state: x(t+1) = sign(W x(t) + V x(t − delay)).

    There is no `energy`: for weights that are not symmetric, no function of the state falls at every step.
    `recall` runs it with `Synchronous()`. The answer has no energies, and a sequence that is still moving has
    not converged; if it repeats, `period` says after how many steps.

    Without V, `weights` are those of `sequence_weights` and each step is a hop. With V, say `strength *
    learning.transition_weights(patterns, transitions)` beside `weights=hebbian(patterns)`, the past state
    drives the transitions: the network dwells `delay + 1` steps in each state before it hops.

    The state of `recall` is a window of (delay + 1)·D entries, x(t) first and x(t − delay) last:
    `window(x)` makes one from a state that has not changed for `delay` steps, and `[..., :D]` is the present.

    **Arguments:** `weights` W (D, D); `delayed_weights` V (D, D), 0 unless given; `delay`: in steps, an
    integer of at least 0. Raises `ValueError` for other shapes, NaN, or a delay without delayed weights.

    Sompolinsky & Kanter, Phys. Rev. Lett. 57 (1986); Amit, "Modeling Brain Function" (1989), chapter 5.

        >>> steps = eam.datasets.random_patterns(3, 64, key=jr.key(0))
        >>> weights = eam.sequence_weights(steps, jnp.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]]), 4.0)
        >>> result = eam.recall(eam.SequenceNetwork(weights), steps[0], max_steps=10)
        >>> result.period.item(), eam.STATUSES[result.status]
        (3, 'cycle')
    """

    weights: Float[Array, "D D"]
    delayed_weights: Float[Array, "D D"] | None
    delay: int = eqx.field(static=True)
    neurons: Binary

    def __init__(self, weights: ArrayLike, delayed_weights: ArrayLike | None = None, delay: int = 0):
        self.weights, self.delayed_weights = checks.as_square("weights", weights), None
        self.delay = checks.count("delay", delay, least=0)
        self.neurons = Binary()
        if delayed_weights is not None:
            D, _ = self.weights.shape
            self.delayed_weights = checks.as_floats("delayed_weights", delayed_weights, f"{D} {D}")
        elif delay:
            raise ValueError(f"delayed_weights must be given for a delay of {delay}; got None")

    def write(
        self,
        keys: ArrayLike,
        values: ArrayLike,
        *,
        step: Callable[..., Any] = hebbian_step,
        **options: ArrayLike,
    ) -> "SequenceNetwork":
        """The network after transitions from keys (K, D) to values (K, D) were written one by one.

        They go into the delayed weights if there are any. `step`: `learning.delta_step` and the like;
        `options`: what it takes by name. Raises `ValueError` as `learning.write` does.
        """
        keys, values = checks.as_pairs(keys, values)
        if self.delayed_weights is None:
            weights = write(self.weights, keys, values, step=step, **options)
            return SequenceNetwork(hollow(weights), None, self.delay)
        weights = write(self.delayed_weights, keys, values, step=step, **options)
        return SequenceNetwork(self.weights, hollow(weights), self.delay)

    @property
    def width(self) -> int:
        return self.weights.shape[0]

    def drive(self, present: Float[Array, " D"], past: Float[Array, " D"]) -> Float[Array, " D"]:
        drive = dot(self.weights, present)
        return drive if self.delayed_weights is None else drive + dot(self.delayed_weights, past)


class DenseSequence(AbstractSequence):
    """A network that hops along long sequences: each pattern calls the next through a separation.

        x(t+1) = sign(Σ_μ ξ_{μ+1} F'(ξ_μ · x(t − delay)) + stay · Σ_μ ξ_μ F'(ξ_μ · x(t)))

    It reads the pattern that follows, as a `KeyValueMemory` whose values are the next keys. A sharper
    separation holds longer sequences: their length grows as D^d with the degree d of F' (that of
    `Polynomial(d + 1)`), and exponentially for `LogSumExp` (`theory.dense_transition_capacity` and
    `theory.log_exponential_sequence_capacity`). As for `SequenceNetwork`, there is no energy, and the state
    of `recall` is a `window`.

    With `stay` below 1 and a delay, the network dwells `delay + 1` steps in each state before it hops; at
    `stay` above 1 it never does.

    **Arguments:** `patterns` (K, D): entries ±1; `transitions` (K, K): T_ij = 1 where pattern i is followed
    by j, any weights, by default each by the next and the last by the first; `separation`; `stay`: a number
    of at least 0; `delay`: in steps, an integer of at least 0. Raises `ValueError` for others.

    Chaudhry, Zavatone-Veth, Krotov & Pehlevan, "Long sequence Hopfield memory", NeurIPS 2023.

        >>> steps = eam.datasets.random_patterns(20, 32, key=jr.key(0))
        >>> memory = eam.DenseSequence(steps, eam.Polynomial(4))  # each pattern calls the next
        >>> result = eam.recall(memory, memory.window(steps[0]), max_steps=3)
        >>> int(eam.evaluation.nearest_pattern(steps, result.state))
        3
    """

    patterns: Num[Array, "K D"]
    followers: Num[Array, "K D"]  # of each pattern: Σ_j T_ij ξ_j
    separation: AbstractSeparation = eqx.field(
        converter=partial(checks.instance, "separation", cls=AbstractSeparation)
    )
    stay: Float[Array, ""] = eqx.field(converter=partial(checks.not_negative, "stay", dims=""))
    delay: int = eqx.field(static=True, converter=partial(checks.count, "delay", least=0))
    neurons: Binary

    def __init__(
        self,
        patterns: ArrayLike,
        separation: AbstractSeparation,
        transitions: ArrayLike | None = None,
        stay: ArrayLike = 0.0,
        delay: int = 0,
    ):
        self.neurons = Binary()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation, self.delay = separation, delay
        self.stay = checks.not_negative("stay", stay, "")
        self.followers = _followers(self.patterns, transitions)

    def __check_init__(self):
        self.neurons.check("patterns", self.patterns, "K D")

    @property
    def width(self) -> int:
        return self.patterns.shape[1]

    def drive(self, present: Float[Array, " D"], past: Float[Array, " D"]) -> Float[Array, " D"]:
        _, push = read_pairs(self.separation, self.patterns, self.followers, past)
        _, pull = read_pairs(self.separation, self.patterns, self.patterns, present)
        return push + self.stay * pull

    def write(self, keys: ArrayLike, values: ArrayLike) -> "DenseSequence":
        """The memory with more patterns, the keys (n, D), followed by the values (n, D), behind those there.

        Raises `ValueError` for entries that are not ±1, and for other shapes.
        """
        keys = self.neurons.check("keys", keys, f"n {self.width}")
        new = [keys, self.neurons.check("values", values, f"{len(keys)} {self.width}")]
        old = self.patterns, self.followers
        both = [jnp.concatenate([a, b.astype(a.dtype)]) for a, b in zip(old, new, strict=True)]
        return eqx.tree_at(lambda m: (m.patterns, m.followers), self, both)

    def tables(self) -> tuple[Table, ...]:
        """The patterns, with those that follow them as values, for `energyam.nearest`."""
        return (Table(self.patterns, Dot(), self.followers),)


def _followers(patterns, transitions):
    if transitions is None:
        return jnp.roll(patterns, -1, axis=0)
    return dot(as_transitions(transitions, patterns.shape[0]), patterns)
