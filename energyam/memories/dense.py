"""Dense associative memories: E(x) = R(x) − Q(Σ_μ F(S(ξ_μ, x))), a class for each choice of F, Q, S, R."""

from typing import ClassVar, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from energyam import checks
from energyam.flips.abstract import AbstractFlips
from energyam.flips.dense import SimilarityFlips, flips_between_patterns
from energyam.flips.integer_powers import MAX_BASE
from energyam.memories.base import AbstractMemory, Pull
from energyam.memories.discrete import Binary
from energyam.memories.hidden import AbstractRedraws, PatternRedraws, can_be_drawn
from energyam.memories.neurons import AbstractNeurons, Continuous, cost_nothing
from energyam.memories.polynomial import Polynomial
from energyam.memories.reads import read
from energyam.memories.rows import Indices, as_wide, kept_rows
from energyam.memories.separation import AbstractSeparation
from energyam.memories.separations import LogSumExp, Quadratic
from energyam.memories.similarity import AbstractSimilarity, Dot

Memory = TypeVar("Memory", bound="AbstractDenseAM")


class AbstractDenseAM(AbstractMemory):
    """A memory that sees a state through its similarities: E(x) = R(x) − potential(S(Ξ, x)).

    A new one is a choice of parts in an `__init__`.
    """

    patterns: eqx.AbstractVar[Num[Array, "K D"]]
    separation: eqx.AbstractVar[AbstractSeparation]
    similarity: eqx.AbstractVar[AbstractSimilarity]
    states_only: ClassVar[bool] = False  # whether all patterns are states of the neurons

    def __check_init__(self):
        if self.states_only:
            self.neurons.check("patterns", self.patterns, "K D")

    @property
    def num_neurons(self) -> int:
        return self.patterns.shape[1]

    def pull(self, state: Float[Array, " D"]) -> Pull:
        similar = lambda patterns: self.similarity.of_all(patterns, state)  # noqa: E731
        weighted = lambda w, patterns: self.similarity.field(patterns, w, state)  # noqa: E731
        if weighted(jnp.zeros(1, state.dtype), self.patterns[:1]) is None:
            return self._derived_pull(similar, state)
        potential, (field, curvature) = read(self.separation, similar, weighted, (self.patterns,))
        return Pull(potential, field, curvature)

    def flips(self, exact: bool = True) -> AbstractFlips | None:
        values = self.neurons.values
        if self.neurons.unit is None or not cost_nothing(self.neurons):
            return None
        patterns, whole = self._whole_patterns()
        whole = whole and exact and self.similarity.overlaps and values in ((-1, 1), (0, 1))
        found = flips_between_patterns(patterns, self.separation, values) if whole else None
        if found is not None:
            return found
        size = values[1] - values[0] if whole else 0
        patterns = patterns if exact else self.patterns.astype(float)
        return SimilarityFlips(patterns, None, self.similarity, self.separation, size, whole)

    def redraws(self) -> AbstractRedraws | None:
        hidden, similarity = self.separation.hidden(), self.similarity
        linear = similarity.field(self.patterns[:1], jnp.zeros(1), None) is not None
        if hidden is None or not linear or not can_be_drawn(self.neurons):
            return None
        return PatternRedraws(self.patterns, similarity, self.separation, hidden, self.neurons)

    def with_patterns(self: Memory, patterns: ArrayLike) -> Memory:
        """The same memory with more patterns (n, D), after those there and in their dtype.

        Each number of patterns compiles its own recall (for a memory that grows at every write, see
        `PaddedKeyValueMemory`). Raises `ValueError` for patterns that the construction refuses, or another D.
        """
        more = self._checked(patterns)
        more = as_wide("patterns", more, self.num_neurons, self.patterns.dtype)
        return eqx.tree_at(lambda m: m.patterns, self, jnp.concatenate([self.patterns, more]))

    def without(self: Memory, indices: Indices) -> Memory:
        """The same memory without the patterns of these indices, one or several, from 0 to K − 1.

        Raises `ValueError` for others, for traced ones, and if no pattern is left.
        """
        kept = kept_rows(indices, self.patterns.shape[0])
        return eqx.tree_at(lambda m: m.patterns, self, self.patterns[kept])

    def _derived_pull(self, similar, state):
        similarities, slope = jax.vjp(lambda x: self.similarity.of_all(self.patterns, x), state)
        potential = self.separation.potential(similarities)
        (field,) = slope(self.separation.weights(similarities))
        return Pull(potential, field, jnp.zeros((), field.dtype))

    def _whole_patterns(self):
        """The patterns, as int8 where they are ±1 by their dtype or by the memory's own check."""
        if jnp.issubdtype(self.patterns.dtype, jnp.integer):
            return self.patterns, True
        return (self.patterns.astype(jnp.int8), True) if self.states_only else (self.patterns, False)

    def _checked(self, patterns: ArrayLike) -> Num[Array, "K D"]:
        """Patterns as the construction takes them, whole ones where those there are."""
        if self.states_only:
            return self.neurons.check("patterns", patterns, "K D")
        array = checks.as_array("patterns", patterns, "K D")
        if jnp.issubdtype(self.patterns.dtype, jnp.integer) and jnp.issubdtype(array.dtype, jnp.floating):
            whole = checks.passes(lambda x: (x == jnp.round(x)).all(), array)
            array = array.astype(jnp.int8) if whole else self.neurons.check("patterns", array, "K D")
        return as_patterns(array, self.neurons)


class DenseAM(AbstractDenseAM):
    """E(x) = R(x) − potential(S(Ξ, x)) for any choice of the parts.

    **Arguments:** `patterns` (K, D): the stored patterns Ξ, the rows: whole numbers ±1, or real numbers
    (trainable ones, under ±1 neurons too); `separation`: the potential; `neurons`: `Binary()`,
    `Continuous()`, `Free()`, `Spherical()` or your own; `similarity`: `Dot()`, `NegativeDistance()` or
    your own.

    Raises `ValueError` for patterns of another rank, empty or not finite, whole-number patterns that are
    not ±1 under `Binary()`, patterns that the neurons of a sphere can't take, or parts of another kind.

    Krotov & Hopfield, ICLR 2021.
    """

    patterns: Num[Array, "K D"]
    separation: AbstractSeparation
    neurons: AbstractNeurons
    similarity: AbstractSimilarity = Dot()

    def __init__(
        self,
        patterns: ArrayLike,
        separation: AbstractSeparation,
        neurons: AbstractNeurons,
        similarity: AbstractSimilarity | None = None,
    ):
        self.separation = checks.instance(
            "separation", separation, AbstractSeparation, " (say eam.LogSumExp(beta))"
        )
        self.neurons = checks.instance("neurons", neurons, AbstractNeurons, " (say eam.Binary())")
        similarity = Dot() if similarity is None else similarity
        self.similarity = checks.instance("similarity", similarity, AbstractSimilarity)
        self.patterns = as_patterns(patterns, self.neurons)

    def __check_init__(self):
        as_patterns(self.patterns, self.neurons)
        self.separation.check(self.patterns.shape[1], self.neurons)


def as_patterns(patterns: ArrayLike, neurons: AbstractNeurons) -> Num[Array, "K D"]:
    """Patterns (K, D) such as the neurons allow; raises `ValueError` for others."""
    return neurons.check_patterns(checks.as_array("patterns", patterns, "K D"))


class CHN(AbstractDenseAM):
    """The classical Hopfield network as a dense memory: E(x) = −½ Σ_μ (ξ_μ · x)², x ∈ {±1}^D.

    The same decisions as `HopfieldNetwork(hebbian(patterns))`: the diagonal that Hebb's rule leaves out
    adds the constant ½ K D here, and the weights' 1/D scales the energy.

    **Arguments:** `patterns` (K, D): the stored patterns, entries ±1. Raises `ValueError` for others.

    Hopfield, PNAS 79 (1982).
    """

    patterns: Num[Array, "K D"]
    separation: Quadratic
    neurons: Binary
    similarity: ClassVar[AbstractSimilarity] = Dot()
    states_only: ClassVar[bool] = True

    def __init__(self, patterns: ArrayLike):
        self.neurons = Binary()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = Quadratic()


class PolynomialDenseAM(AbstractDenseAM):
    """Dense associative memory of order n: E(x) = −Σ_μ F_n(ξ_μ · x), x ∈ {±1}^D.

    F_n(s) = max(s, 0)ⁿ / n, or sⁿ / n with `rectified=False`. Energies that floats can't hold are compressed,
    −L (1 + log(|E| / L)) beyond L = 2^110, so that states keep their order; `evaluation.log_energies` gives
    −log |E| of all.

    **Arguments:** `patterns` (K, D): entries ±1; `n`: the order, at least 1; `rectified`. Raises
    `ValueError` for other patterns, n below 1, or n not whole where not rectified.

    Krotov & Hopfield, NeurIPS 2016.
    """

    patterns: Num[Array, "K D"]
    separation: Polynomial
    neurons: Binary
    similarity: ClassVar[AbstractSimilarity] = Dot()
    states_only: ClassVar[bool] = True

    def __init__(self, patterns: ArrayLike, n: ArrayLike, rectified: bool = True):
        self.neurons = Binary()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = Polynomial(n, rectified)

    def __check_init__(self):
        if self.patterns.shape[1] > MAX_BASE:
            raise ValueError(f"patterns must have at most {MAX_BASE} neurons; got {self.patterns.shape[1]}")


class ExponentialDenseAM(AbstractDenseAM):
    """The exponential memory: E(x) = −log Σ_μ exp(β ξ_μ · x), x ∈ {±1}^D.

    **Arguments:** `patterns` (K, D): entries ±1; `beta`: β, per unit of overlap, 1 unless given, as
    published: more than `theory.suggest_beta` asks for 1,000 random patterns of 100 neurons, a fifth of
    them flipped. Raises `ValueError` for other
    patterns or β ≤ 0.

    Demircigil et al., J. Stat. Phys. 168 (2017).
    """

    patterns: Num[Array, "K D"]
    separation: LogSumExp
    neurons: Binary
    similarity: ClassVar[AbstractSimilarity] = Dot()
    states_only: ClassVar[bool] = True

    def __init__(self, patterns: ArrayLike, beta: ArrayLike = 1.0):
        self.neurons = Binary()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = LogSumExp(beta, divided=False)


class ModernHopfield(AbstractDenseAM):
    """The continuous memory whose update is attention: E(x) = −1/β log Σ_μ exp(β ξ_μ · x) + ½ ‖x‖².

    One synchronous step is x ← Ξᵀ softmax(β Ξ x).

    **Arguments:** `patterns` (K, D): real numbers; `beta`: β, the inverse temperature. Raises `ValueError`
    for patterns that are not finite or β ≤ 0.

    Ramsauer et al., "Hopfield networks is all you need", ICLR 2021.
    """

    patterns: Num[Array, "K D"]
    separation: LogSumExp
    neurons: Continuous
    similarity: ClassVar[AbstractSimilarity] = Dot()
    states_only: ClassVar[bool] = True

    def __init__(self, patterns: ArrayLike, beta: ArrayLike):
        self.neurons = Continuous()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = LogSumExp(beta)
