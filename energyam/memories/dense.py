"""Dense associative memories: E(x) = R(x) − Q(Σ_μ F(S(ξ_μ, x))), a class for each choice of F, Q, S, R."""

from jax.typing import ArrayLike
from jaxtyping import Num

from energyam import checks
from energyam.flips.integer_powers import MAX_BASE
from energyam.memories.base import AbstractDenseAM, as_patterns
from energyam.memories.continuous import Continuous
from energyam.memories.neurons import AbstractNeurons, Binary
from energyam.memories.polynomial import Polynomial
from energyam.memories.separation import AbstractSeparation
from energyam.memories.separations import LogSumExp, Quadratic
from energyam.memories.similarity import AbstractSimilarity, Dot
from energyam.on_disk import AnyArray, RowsLike


class DenseAM(AbstractDenseAM):
    """E(x) = R(x) − potential(S(Ξ, x)) for any choice of the parts.

    **Arguments:** `patterns` (K, D): the stored patterns Ξ, one in each row: whole numbers ±1, or real
    numbers, which can be trained, also under ±1 neurons; `separation`: the potential; `neurons`: `Binary()`,
    `Continuous()`, `Free()`, `Spherical()` or your own; `similarity`: `Dot()`, `NegativeDistance()` or your
    own.

    Raises `ValueError` if patterns have another rank, are empty or not finite, are whole numbers other than
    ±1 under `Binary()`, or are no unit vectors under `Spherical()`, and for parts of the wrong kind.

    Krotov & Hopfield, ICLR 2021.

        >>> parts = eam.LogSumExp(4.0), eam.Spherical(), eam.Cosine()
        >>> memory = eam.DenseAM(jnp.array([[1.0, 0.0], [0.0, 1.0]]), *parts)
        >>> np.asarray(eam.recall(memory, jnp.array([0.8, 0.6]), max_steps=100).state).round(2)
        array([1.  , 0.02], dtype=float32)
    """

    patterns: Num[AnyArray, "K D"]
    separation: AbstractSeparation
    neurons: AbstractNeurons
    similarity: AbstractSimilarity = Dot()

    def __init__(
        self,
        patterns: RowsLike,
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


class CHN(AbstractDenseAM):
    """The classical Hopfield network as a dense memory: E(x) = −½ Σ_μ (ξ_μ · x)², x ∈ {±1}^D.

    It flips the same neurons as `HopfieldNetwork(hebbian(patterns))`. The two energies differ by a constant,
    −½ K D, from the diagonal that Hebb's rule leaves out, and by the factor D, from the 1/D in its weights.

    **Arguments:** `patterns` (K, D): the stored patterns, entries ±1. Raises `ValueError` for others.

    Hopfield, PNAS 79 (1982).

        >>> patterns = jnp.array([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1]])
        >>> noisy = jnp.array([-1, 1, 1, 1, -1, -1, -1, -1])
        >>> eam.recall(eam.CHN(patterns), noisy, key=jr.key(0)).state
        Array([ 1,  1,  1,  1, -1, -1, -1, -1], dtype=int32)
    """

    patterns: Num[AnyArray, "K D"]
    separation: Quadratic
    neurons: Binary
    states_only = True

    def __init__(self, patterns: RowsLike):
        self.neurons = Binary()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = Quadratic()


class PolynomialDenseAM(AbstractDenseAM):
    """Dense associative memory of order n: E(x) = −Σ_μ F_n(ξ_μ · x), x ∈ {±1}^D.

    F_n(s) = max(s, 0)ⁿ / n, or sⁿ / n with `rectified=False`. Energies that floats can't hold are compressed,
    −L (1 + log(|E| / L)) beyond L = 2^110, so that states keep their order; `evaluation.log_energies` gives
    −log |E| for all energies.

    **Arguments:** `patterns` (K, D): entries ±1; `n`: the order, at least 1; `rectified`. Raises
    `ValueError` for other patterns, n below 1, or n not whole where not rectified.

    Krotov & Hopfield, NeurIPS 2016.

        >>> patterns = eam.datasets.random_patterns(40, 32, key=jr.key(0))
        >>> query = eam.datasets.flip_bits(patterns[7], 0.1, key=jr.key(1))
        >>> memories = [eam.PolynomialDenseAM(patterns, n) for n in (2, 5)]
        >>> answers = [eam.recall(memory, query, key=jr.key(2)).state for memory in memories]
        >>> [int(answer @ patterns[7]) for answer in answers]  # of 32: order 2 holds too few patterns
        [-8, 32]
    """

    patterns: Num[AnyArray, "K D"]
    separation: Polynomial
    neurons: Binary
    states_only = True

    def __init__(self, patterns: RowsLike, n: ArrayLike, rectified: bool = True):
        self.neurons = Binary()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = Polynomial(n, rectified)

    def __check_init__(self):
        if self.patterns.shape[1] > MAX_BASE:
            raise ValueError(f"patterns must have at most {MAX_BASE} neurons; got {self.patterns.shape[1]}")


class ExponentialDenseAM(AbstractDenseAM):
    """The exponential memory: E(x) = −log Σ_μ exp(β ξ_μ · x), x ∈ {±1}^D.

    **Arguments:** `patterns` (K, D): entries ±1; `beta`: β, per unit of overlap; the default 1 is that of the
    paper, and more than `theory.suggest_beta` gives for 1,000 random patterns of 100 neurons with a fifth of
    them flipped. Raises `ValueError` for other patterns or β ≤ 0.

    Demircigil et al., J. Stat. Phys. 168 (2017).

        >>> patterns = eam.datasets.random_patterns(1000, 32, key=jr.key(0))  # of 32 neurons
        >>> query = eam.datasets.flip_bits(patterns[7], 0.1, key=jr.key(1))
        >>> result = eam.recall(eam.ExponentialDenseAM(patterns), query, key=jr.key(2))
        >>> bool((result.state == patterns[7]).all())
        True
    """

    patterns: Num[AnyArray, "K D"]
    separation: LogSumExp
    neurons: Binary
    states_only = True

    def __init__(self, patterns: RowsLike, beta: ArrayLike = 1.0):
        self.neurons = Binary()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = LogSumExp(beta, divided=False)


class ModernHopfield(AbstractDenseAM):
    """The continuous memory whose update is attention: E(x) = −1/β log Σ_μ exp(β ξ_μ · x) + ½ ‖x‖².

    One synchronous step is x ← Ξᵀ softmax(β Ξ x).

    **Arguments:** `patterns` (K, D): real numbers; `beta`: β, the inverse temperature. Raises `ValueError`
    for patterns that are not finite or β ≤ 0.

    Ramsauer et al., "Hopfield networks is all you need", ICLR 2021.

        >>> memory = eam.ModernHopfield(jnp.array([[1.0, 0.0], [0.0, 1.0]]), beta=8.0)
        >>> query = jnp.array([0.9, 0.3])
        >>> np.asarray(eam.recall(memory, query, max_steps=1).state).round(3)  # one step is attention:
        array([0.992, 0.008], dtype=float32)
        >>> np.asarray(jax.nn.softmax(8 * memory.patterns @ query) @ memory.patterns).round(3)
        array([0.992, 0.008], dtype=float32)
    """

    patterns: Num[AnyArray, "K D"]
    separation: LogSumExp
    neurons: Continuous
    states_only = True

    def __init__(self, patterns: RowsLike, beta: ArrayLike):
        self.neurons = Continuous()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = LogSumExp(beta)
