"""Sparse distributed memory by its patterns: a dense memory weighs them by the number of neurons in
common."""

from typing import Literal

from jax.typing import ArrayLike
from jaxtyping import Num

from energyam import checks
from energyam.memories.base import AbstractDenseAM
from energyam.memories.continuous import Spherical
from energyam.memories.intersection import CapIntersection, CircleIntersection, Count, Key
from energyam.memories.neurons import Binary
from energyam.on_disk import AnyArray, RowsLike


class PatternSDM(AbstractDenseAM):
    """Sparse distributed memory by its patterns: E(x) = −Σ_μ C(h(ξ_μ, x)), x ∈ {±1}^D.

    C is the running sum of the circle intersection I over the Hamming distance h (see `CircleIntersection`),
    so that the field is Σ_μ I(h_μ) ξ_μ, what neurons at all 2^D addresses would read. A query farther than 2
    radius from every pattern shares no neuron with any, and stays as it is.

    **Arguments:** `patterns` (K, D): entries ±1; `radius`: 0..D; `num_neurons`: infinitely many by default;
    a number r makes weights the expected numbers r I/2^D of shared neurons (the same recalls, energies in
    neurons), and with a `key` these numbers are drawn once, so that distant patterns may share no neuron.

    Raises `ValueError` for other patterns, a radius outside 0..D, `num_neurons` below 1, or a key without it.

    Kanerva, *Sparse Distributed Memory* (1988); Bricken & Pehlevan, NeurIPS 2021.

        >>> memory = eam.PatternSDM(eam.datasets.random_patterns(5, 64, key=jr.key(0)), radius=24)
        >>> noisy = eam.datasets.flip_bits(memory.patterns[3], 0.1, key=jr.key(2))
        >>> bool((eam.recall(memory, noisy, eam.Synchronous()).state == memory.patterns[3]).all())
        True
    """

    patterns: Num[AnyArray, "K D"]
    separation: CircleIntersection
    neurons: Binary
    states_only = True

    def __init__(self, patterns: RowsLike, radius: int, num_neurons: Count = None, *, key: Key = None):
        self.neurons = Binary()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        self.separation = CircleIntersection(self.patterns.shape[1], radius, num_neurons, key=key)


class ContinuousSDM(AbstractDenseAM):
    """Sparse distributed memory of unit vectors: E(x) = −Σ_μ Φ(ξ_μ · x), ‖x‖ = 1.

    Φ' = F, the fraction of the sphere within the caps of both (see `CapIntersection`); with
    `weighting="circle"` the circle intersection at the Hamming distance D (1 − cos)/2 instead. A step goes to
    the direction of Σ_μ F(ξ_μ · x) ξ_μ and never raises the energy; a query that shares no neuron with any
    pattern stays.

    **Arguments:** `patterns` (K, D): unit vectors; `radius`: the Hamming radius whose cosine
    1 − 2 radius/D bounds a cap, above 0 and at most D (for circles a whole number from 0); `weighting`:
    `"cap"` or `"circle"`.

    Raises `ValueError` for patterns that are not unit vectors, another weighting, or a radius out of range.

    Bricken & Pehlevan, NeurIPS 2021.

        >>> memory = eam.ContinuousSDM(jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), radius=0.5)
        >>> np.asarray(eam.recall(memory, jnp.array([0.8, 0.6, 0.0])).state).round(2)
        array([1.  , 0.04, 0.  ], dtype=float32)
    """

    patterns: Num[AnyArray, "K D"]
    separation: CapIntersection | CircleIntersection
    neurons: Spherical
    states_only = True

    def __init__(self, patterns: RowsLike, radius: ArrayLike, weighting: Literal["cap", "circle"] = "cap"):
        self.neurons = Spherical()
        self.patterns = self.neurons.check("patterns", patterns, "K D")
        if checks.one_of("weighting", weighting, ("cap", "circle")) == "cap":
            self.separation = CapIntersection(self.patterns.shape[1], radius)
        else:
            whole: int = radius  # type: ignore[assignment]  # which the separation checks
            self.separation = CircleIntersection(self.patterns.shape[1], whole, cosines=True)
