"""Base classes of memories: the energy of a state, from the cost of its neurons and a potential."""

import abc
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Num

from energyam import checks
from energyam.abilities import optional
from energyam.flips.abstract import AbstractFlips
from energyam.flips.dense import BoundedFlips, SimilarityFlips
from energyam.flips.overlaps import EXACT, OverlapFlips
from energyam.linalg import float_dtype
from energyam.memories.hidden import AbstractRedraws, PatternRedraws, can_be_drawn
from energyam.memories.neurons import AbstractNeurons, cost_nothing
from energyam.memories.reads import read
from energyam.memories.rows import Indices, as_wide, kept_rows
from energyam.memories.search import Table
from energyam.memories.separation import AbstractSeparation
from energyam.memories.similarity import Dot
from energyam.on_disk import AnyArray, RowsLike
from energyam.shown import shown

Memory = TypeVar("Memory", bound="AbstractDenseAM")


class Pull(NamedTuple):
    """The pull on a state: the potential there, and the field f and curvature c with ∇potential = f − c x.

    Arrays for a state of one layer, else pytrees like the state (the potential is always a scalar).

        >>> pull = eam.CHN(jnp.array([[1, 1, 1, 1]])).pull(jnp.ones(4))
        >>> float(pull.potential), pull.field
        (8.0, Array([4., 4., 4., 4.], dtype=float32))
    """

    potential: Any
    field: Any
    curvature: Any


@shown()
class AbstractMemory(eqx.Module):
    """A memory of one layer of D neurons: E(x) = R(x) − potential(x). Write `pull` and `num_neurons`.

    `recall` doesn't require this class: any object with an `energy(state)` will do, and may have the same
    optional methods. All methods take one state; use `jax.vmap` for a batch.

        >>> class Field(eam.AbstractMemory):  # E(x) = −b · x
        ...     bias: jax.Array
        ...     neurons: eam.AbstractNeurons = eam.Binary()
        ...     num_neurons = property(lambda self: self.bias.size)
        ...     def pull(self, state):
        ...         return eam.Pull(self.bias @ state, self.bias, jnp.zeros(()))
        ...
        >>> eam.recall(Field(jnp.array([0.5, -2.0])), jnp.array([-1, -1]), key=jr.key(0)).state
        Array([ 1, -1], dtype=int32)
    """

    neurons: eqx.AbstractVar[AbstractNeurons]

    @property
    @abc.abstractmethod
    def num_neurons(self) -> int:
        """D, the number of neurons of a state."""

    @abc.abstractmethod
    def pull(self, state: Float[Array, " D"]) -> Pull:
        """Potential, field and curvature at a state, computed together in one pass over the patterns."""

    @optional
    def pull_of_known(self, state: Float[Array, " D"], known: Bool[Array, " D"]) -> Pull:
        """The pull on a state of which only some neurons are `known`, while the others are 0. Write it if an
        entry of 0 would count, as it does in a distance."""
        return self.pull(state)

    @optional
    def flips(self, exact: bool = True) -> AbstractFlips | None:
        """How single moves change the energy; None for neurons without single moves. Write it if that is
        faster or more exact than differences of energies. With `exact=False` the arithmetic has
        derivatives."""
        return None

    @optional
    def redraws(self) -> AbstractRedraws | None:
        """How all neurons are drawn at once, given hidden units. Write it to make `BlockGibbs` available."""
        return None

    @optional
    def proves_rest(self, before: Float[Array, " D"], after: Float[Array, " D"]) -> Bool[Array, ""] | None:
        """Whether `after`, one synchronous step from `before`, is a fixed point. Write it if a state that
        moves little may still be moving and the memory can tell."""
        return None

    @optional
    def tables(self) -> tuple[Table, ...] | None:
        """The patterns with which a query is compared; several tables stand for all combinations of their
        rows. Write it so that `energyam.nearest` can search the memory."""
        return None

    @property
    def state_shape(self) -> tuple[int]:
        """(D,), the shape of a state."""
        return (self.num_neurons,)

    def energy(self, state: ArrayLike) -> Float[Array, ""]:
        """E(x), a scalar for one state (D,); raises `ValueError` for another shape."""
        return _energy(self, as_state(state, self.num_neurons))

    def potential(self, state: ArrayLike) -> Float[Array, ""]:
        """R(x) − E(x): minus the part of the energy that comes from the patterns."""
        return _pull(self, as_state(state, self.num_neurons)).potential

    def field(self, state: ArrayLike) -> Float[Array, " D"]:
        """The field at each neuron: ∇potential, (D,) for one state (D,)."""
        state = as_state(state, self.num_neurons)
        pull = _pull(self, state)
        return pull.field - pull.curvature * state


class AbstractDenseAM(AbstractMemory):
    """A memory that depends on a state through its similarities to patterns: E(x) = R(x) − potential(S(Ξ,
    x)).

    A subclass chooses the parts in its `__init__`; the similarity is the overlap by default.

        >>> class Quartic(eam.AbstractDenseAM):
        ...     patterns: jax.Array
        ...     separation: eam.AbstractSeparation = eam.Polynomial(4, rectified=False)
        ...     neurons: eam.AbstractNeurons = eam.Binary()
        ...
        >>> float(Quartic(jnp.array([[1, 1, 1, 1]])).energy(jnp.ones(4)))  # −4⁴/4
        -64.0
    """

    patterns: eqx.AbstractVar[Num[AnyArray, "K D"]]
    separation: eqx.AbstractVar[AbstractSeparation]
    similarity = Dot()  # type: AbstractSimilarity
    states_only = False  # whether all patterns are states of the neurons

    def __check_init__(self):
        if self.states_only:
            self.neurons.check("patterns", self.patterns, "K D")

    @property
    def num_neurons(self) -> int:
        return self.patterns.shape[1]

    @eqx.filter_jit  # as a loop over patterns by itself would be compiled anew at each call
    def pull(self, state: Float[Array, " D"]) -> Pull:
        return self._pull(state, lambda patterns: patterns)

    @eqx.filter_jit
    def pull_of_known(self, state: Float[Array, " D"], known: Bool[Array, " D"]) -> Pull:
        if self.similarity.overlaps:
            return self.pull(state)
        return self._pull(
            state, lambda patterns: jnp.where(known[None], patterns, jnp.zeros((), patterns.dtype))
        )

    def _pull(self, state, seen):
        """The pull on a state that is compared with the `seen` entries of each pattern."""
        similar = lambda patterns: self.similarity.of_all(seen(patterns), state)  # noqa: E731
        weighted = lambda w, patterns: self.similarity.field(patterns, w, state)  # noqa: E731
        if weighted(jnp.zeros(1, state.dtype), jnp.zeros((1, self.num_neurons), self.patterns.dtype)) is None:
            return self._derived_pull(similar, state)
        potential, (field, curvature) = read(self.separation, similar, weighted, (self.patterns,))
        return Pull(potential, field, curvature)

    def flips(self, exact: bool = True) -> AbstractFlips | None:
        values, separation = self.neurons.values, self.separation
        if not cost_nothing(self.neurons):
            return None
        patterns = checks.in_memory(self.patterns)
        patterns = patterns.astype(jnp.int8) if self.states_only else patterns
        whole = jnp.issubdtype(patterns.dtype, jnp.integer) and values in ((-1, 1), (0, 1))
        if not (exact and whole and self.similarity.overlaps):
            patterns = patterns if exact else self.patterns.astype(float)
            return SimilarityFlips(patterns, None, self.similarity, separation, 0)
        low, high = map(int, values)  # type: ignore[arg-type]
        some_zero = None if low < 0 else (patterns == 0).any()
        parts = patterns, None, some_zero, separation, (low, high)
        if separation.squares and 2 * patterns.size < EXACT * (high - low):
            return OverlapFlips(*parts)
        seen = jax.ShapeDtypeStruct(patterns.shape[:1], jnp.result_type(float))
        bounds = jax.eval_shape(lambda s: separation.bounds(s, high - low), seen)
        gain = jax.eval_shape(lambda s: separation.gain(s, s, high - low), seen)
        if bounds is not None and gain is not None and (some_zero is None or bounds.still is not None):
            return BoundedFlips(*parts)
        return SimilarityFlips(patterns, None, self.similarity, separation, high - low)

    def tables(self) -> tuple[Table, ...]:
        return (Table(self.patterns, self.similarity),)

    def redraws(self) -> AbstractRedraws | None:
        hidden, similarity = self.separation.hidden(), self.similarity
        linear = similarity.field(checks.in_memory(self.patterns)[:1], jnp.zeros(1), None) is not None
        if hidden is None or not linear or not can_be_drawn(self.neurons):
            return None
        return PatternRedraws(self.patterns, similarity, self.separation, hidden, self.neurons)

    def with_patterns(self: Memory, patterns: ArrayLike) -> Memory:
        """The same memory with more patterns (n, D), behind those that it has and in their dtype.

        Each number of patterns compiles its own recall (for a memory that grows at every write, see a
        `KeyValueMemory` with a capacity). Raises `ValueError` for patterns that the construction refuses, and
        for another D.
        """
        own, more = checks.in_memory(self.patterns), self._checked(patterns)
        more = as_wide("patterns", more, self.num_neurons, self.patterns.dtype)
        return eqx.tree_at(lambda m: m.patterns, self, jnp.concatenate([own, more]))

    def write(self: Memory, patterns: ArrayLike) -> Memory:
        """The same as `with_patterns`: every memory that can be written has a `write`."""
        return self.with_patterns(patterns)

    def without(self: Memory, indices: Indices) -> Memory:
        """The same memory without the patterns of these indices (one or several, from 0 to K − 1). Raises
        `ValueError` for other or traced indices, and if no pattern would be left.
        """
        kept = kept_rows(indices, self.patterns.shape[0])
        return eqx.tree_at(lambda m: m.patterns, self, checks.in_memory(self.patterns)[kept])

    def _derived_pull(self, similar, state):
        patterns = checks.in_memory(self.patterns)
        slope, similarities = (
            jax.vjp(lambda x: self.similarity.of_all(patterns, x), state)[1],
            similar(patterns),
        )
        (field,) = slope(self.separation.weights(similarities))
        return Pull(self.separation.potential(similarities), field, jnp.zeros((), field.dtype))

    def _checked(self, patterns: ArrayLike) -> Num[AnyArray, "K D"]:
        """Patterns as the construction takes them, whole numbers if the memory's own patterns are."""
        if self.states_only:
            return self.neurons.check("patterns", patterns, "K D")
        array = checks.as_array("patterns", patterns, "K D")
        if jnp.issubdtype(self.patterns.dtype, jnp.integer) and jnp.issubdtype(array.dtype, jnp.floating):
            whole = checks.passes(lambda x: (x == x.round()).all(), array)
            array = array.astype(jnp.int8) if whole else self.neurons.check("patterns", array, "K D")
        return as_patterns(array, self.neurons)


# Compiled, so that calls outside `jit` don't trace anew; inside they are inlined.
@eqx.filter_jit
def _energy(memory, state):
    return memory.neurons.energy(state) - memory.pull(state).potential


@eqx.filter_jit
def _pull(memory, state):
    return memory.pull(state)


def as_state(state: ArrayLike, num_neurons: int) -> Float[Array, " D"]:
    """One state as floats; raises `ValueError` unless its shape is (num_neurons,), and for NaN."""
    state = checks.as_array("state", state, "...")
    if state.shape != (num_neurons,):
        raise ValueError(
            f"state must be ({num_neurons},), one state of the memory's neurons; got shape {state.shape} "
            "(use jax.vmap for a batch)"
        )
    return checks.as_floats("state", state.astype(float_dtype(state.dtype)), "D")


def as_patterns(patterns: RowsLike, neurons: AbstractNeurons) -> Num[AnyArray, "K D"]:
    """Patterns (K, D) that the neurons allow; raises `ValueError` for others."""
    return neurons.check_patterns(checks.as_array("patterns", patterns, "K D"))
