"""Memories by distance: Gaussian and Epanechnikov energies, the logarithms of kernel densities."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Num

from energyam.memories.base import AbstractDenseAM, as_state
from energyam.memories.continuous import Free
from energyam.memories.reads import of_rows
from energyam.memories.separations import LogSumExp
from energyam.memories.similarity import NegativeDistance
from energyam.memories.sparse import LogSumReLU
from energyam.on_disk import AnyArray, RowsLike


class GaussianDenseAM(AbstractDenseAM):
    """The memory of mean shift: E(x) = −1/β log Σ_μ exp(−β/2 ‖x − ξ_μ‖²).

    The energy is minus the log density of a mixture of Gaussians of variance 1/β, divided by β. One
    synchronous step is mean shift, x ← Ξᵀ softmax(−β/2 ‖x − ξ‖²). It is the step of `ModernHopfield` with a
    bias −½‖ξ‖² for each pattern, so that long patterns have no advantage. Recall is never exact, because
    every pattern pulls a little.

    **Arguments:** `patterns` (K, D): real numbers; `beta`: β, one over the variance. Raises `ValueError` for
    patterns that are not finite or β ≤ 0.

    Fukunaga & Hostetler, IEEE Trans. Inf. Theory 21 (1975); Saha, Krotov, Zaki & Ram, "End-to-end
    differentiable clustering with associative memories", ICML 2023.

        >>> memory = eam.GaussianDenseAM(jnp.array([[0.0, 0.0], [3.0, 4.0]]), beta=2.0)
        >>> np.asarray(eam.recall(memory, jnp.array([2.0, 3.0])).state).round(3)
        array([3., 4.], dtype=float32)
    """

    patterns: Num[AnyArray, "K D"]
    separation: LogSumExp
    neurons: Free
    similarity = NegativeDistance()
    states_only = True

    def __init__(self, patterns: RowsLike, beta: ArrayLike):
        self.neurons = Free()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = LogSumExp(beta)


class EpanechnikovDenseAM(AbstractDenseAM):
    """The memory of compact support: E(x) = −1/β log Σ_μ max(0, 1 − β/2 ‖x − ξ_μ‖²).

    A pattern is in reach of x if it is nearer than the radius ρ = √(2/β). One synchronous step goes to the
    mean of the patterns in reach. The energy never rises and there are finitely many sets, so that recall
    ends. It has ended when the set is the same before and after a step, and this is checked exactly. A set S
    of patterns makes a minimum, its mean m, if max_S ‖ξ − m‖ < ρ < min_{not S} ‖ξ − m‖. So a pattern with no
    other in its reach is recalled exactly, up to the rounding of one division, in one step from every x that
    is nearer to it than min(ρ, r − ρ), where r is the distance to its nearest neighbour. There are also
    minima that nobody stored.

    Where no pattern is in reach the energy is +∞ and flat: the state stays where it is, and the recall ends
    with the status "not finite".

    **Arguments:** `patterns` (K, D): real numbers; `beta`: β = 2/ρ². Raises `ValueError` for patterns that
    are not finite or β ≤ 0.

    Hoover et al., "Dense associative memory with Epanechnikov energy" (2025).

        >>> memory = eam.EpanechnikovDenseAM(jnp.array([[0.0, 0.0], [3.0, 4.0]]), beta=0.5)  # reach 2
        >>> eam.recall(memory, jnp.array([2.0, 3.0])).state
        Array([3., 4.], dtype=float32)
    """

    patterns: Num[AnyArray, "K D"]
    separation: LogSumReLU
    neurons: Free
    similarity = NegativeDistance()
    states_only = True

    def __init__(self, patterns: RowsLike, beta: ArrayLike):
        self.neurons = Free()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = LogSumReLU(beta)

    @property
    def radius(self) -> Float[Array, ""]:
        """ρ = √(2/β): patterns nearer than this are in reach."""
        return jnp.sqrt(2 / self.separation.beta)

    def in_reach(self, state: ArrayLike) -> Bool[Array, " K"]:
        """Which patterns are in reach of a state (D,); only these enter its energy and its step."""
        state = as_state(state, self.num_neurons)
        similarities = of_rows(lambda rows: self.similarity.of_all(rows, state), (self.patterns,))
        return self.separation.relative(similarities, jnp.zeros((), similarities.dtype))[1] > 0

    def proves_rest(self, before: Float[Array, " D"], after: Float[Array, " D"]) -> Bool[Array, ""]:
        in_reach = self.in_reach(after)
        return (in_reach == self.in_reach(before)).all() & in_reach.any()
