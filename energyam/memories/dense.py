"""Dense associative memories: E(x) = R(x) − Q(Σ_μ F(ξ_μ · x)), one class a choice of F, Q and R."""

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Num

from energyam.memories.base import AbstractIncrements, AbstractMemory
from energyam.memories.blocks import read
from energyam.memories.neurons import AbstractNeurons, Binary, Continuous
from energyam.memories.polynomial import Polynomial
from energyam.memories.products import overlaps
from energyam.memories.screen import Screen
from energyam.memories.separation import AbstractSeparation, LogSumExp, Quadratic

Overlaps = tuple[Float[Array, " K"], Screen]


class AbstractDenseAM(AbstractMemory):
    """A memory that sees a state through its overlaps Ξx: E(x) = R(x) − potential(Ξx).

    A new one is two choices, `separation` and `neurons`, in an `__init__`.
    """

    patterns: eqx.AbstractVar[Num[Array, "K D"]]
    separation: eqx.AbstractVar[AbstractSeparation]

    @property
    def num_neurons(self) -> int:
        return self.patterns.shape[1]

    def currents(self, state: Float[Array, " D"]) -> tuple[Float[Array, ""], Float[Array, " D"]]:
        """Potential and field together, as one pass over the patterns makes both; overlaps are not kept."""
        return read(self.separation, self.patterns, self.patterns, state)

    def potential(
        self, currents: tuple[Float[Array, ""], Float[Array, " D"]], state: Float[Array, " D"]
    ) -> Float[Array, ""]:
        return currents[0]

    def field(self, currents: tuple[Float[Array, ""], Float[Array, " D"]]) -> Float[Array, " D"]:
        return currents[1]

    def increments(self) -> "DenseIncrements":
        return DenseIncrements(self.patterns, self.patterns.T, self.separation)


class DenseIncrements(AbstractIncrements):
    """The patterns of a binary memory by neuron: a flip reads one row of K entries, ξ_μi over all μ.

    The currents are the overlaps and their screen, which tells most flips.
    """

    patterns: Num[Array, "K D"]
    by_neuron: Num[Array, "D K"]
    separation: AbstractSeparation

    def currents(self, state: Float[Array, " D"]) -> Overlaps:
        return self._screened(overlaps(self.patterns, state))

    def energy(self, currents: Overlaps, state: Float[Array, " D"]) -> Float[Array, ""]:
        return -self.separation.potential(currents[0])

    def signs(
        self, currents: Overlaps, state: Float[Array, " D"], neurons: Int[Array, " t"] | None = None
    ) -> Int[Array, " t"]:
        if neurons is None:  # as the patterns lie: where no more is asked, none are laid out by neuron
            return currents[1].signs(self.patterns, -state)
        return currents[1].signs(self.by_neuron[neurons], -state[neurons], axis=1)

    def gain(self, currents: Overlaps, state: Float[Array, " D"], i: Int[Array, ""]) -> Float[Array, ""]:
        return self.separation.gain(currents[0], -state[i] * self.by_neuron[i], 2)

    def flip(self, currents: Overlaps, state: Float[Array, " D"], i: Int[Array, ""]) -> Overlaps:
        return self._screened(currents[0] - 2 * state[i] * self.by_neuron[i])

    def _screened(self, similarities):
        return similarities, self.separation.screen(similarities, 2)


class DenseAM(AbstractDenseAM):
    """E(x) = R(x) − potential(Ξx) for any choice of the parts.

    **Arguments:** `patterns` (K, D): the stored patterns Ξ, one a row, such as the neurons allow;
    `separation`: the potential; `neurons`: `Binary()`, `Continuous()` or `Spherical()`.

    Raises `ValueError` for patterns of another rank, empty, not finite, or not of these neurons.

    Krotov & Hopfield, ICLR 2021.
    """

    patterns: Num[Array, "K D"]
    separation: AbstractSeparation
    neurons: AbstractNeurons

    def __init__(self, patterns: ArrayLike, separation: AbstractSeparation, neurons: AbstractNeurons):
        self.patterns = neurons.check("patterns", patterns, "K D")
        self.separation = separation
        self.neurons = neurons


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

    def __init__(self, patterns: ArrayLike):
        self.neurons = Binary()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = Quadratic()


class PolynomialDenseAM(AbstractDenseAM):
    """Dense associative memory of order n: E(x) = −Σ_μ F_n(ξ_μ · x), x ∈ {±1}^D.

    F_n(s) = max(s, 0)ⁿ / n, or sⁿ / n with `rectified=False`.

    **Arguments:** `patterns` (K, D): entries ±1; `n`: the order, at least 1; `rectified`. Raises
    `ValueError` for other patterns, n below 1, or n not whole where not rectified.

    Krotov & Hopfield, NeurIPS 2016.
    """

    patterns: Num[Array, "K D"]
    separation: Polynomial
    neurons: Binary

    def __init__(self, patterns: ArrayLike, n: ArrayLike, rectified: bool = True):
        self.neurons = Binary()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = Polynomial(n, rectified)


class ExponentialDenseAM(AbstractDenseAM):
    """The exponential memory: E(x) = −log Σ_μ exp(β ξ_μ · x), x ∈ {±1}^D.

    **Arguments:** `patterns` (K, D): entries ±1; `beta`: β, per unit of overlap. Raises `ValueError` for
    other patterns or β ≤ 0.

    Demircigil et al., J. Stat. Phys. 168 (2017).
    """

    patterns: Num[Array, "K D"]
    separation: LogSumExp
    neurons: Binary

    def __init__(self, patterns: ArrayLike, beta: ArrayLike):
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

    def __init__(self, patterns: ArrayLike, beta: ArrayLike):
        self.neurons = Continuous()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = LogSumExp(beta)
