"""Products of memories: all pairs of the patterns of two tables, read, ranked and recalled from the
tables."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Num

from energyam import checks
from energyam.flips.abstract import AbstractFlips
from energyam.flips.joined import JoinedFlips, split
from energyam.memories.base import AbstractDenseAM, AbstractMemory, Pull, as_state
from energyam.memories.neurons import AbstractNeurons
from energyam.memories.search import Table, nearest_in


class Ranked(NamedTuple):
    """The k patterns most like a state, best first.

    `indices` (k, L): of the pattern in each of the L tables; `similarities` (k,); `weights` (k,): their
    shares of the softmax over all patterns.
    """

    indices: Int[Array, "k L"]
    similarities: Float[Array, " k"]
    weights: Float[Array, " k"]


class ProductDenseAM(AbstractMemory):
    """A memory of all combinations of other memories' patterns: [c_a; d_b] for all pairs (a, b).

        log Σ_{ab} exp β(c_a · x₁ + d_b · x₂) = log Σ_a exp(β c_a · x₁) + log Σ_b exp(β d_b · x₂)

    So K₁ + K₂ rows stand for K₁ · K₂ patterns. Energy, field, softmax read, flips and ranking equal those of
    all these patterns, at the cost of the tables. A state is the states of the parts, one after another. It
    can't store only some of the pairs, or let one part determine the pattern of the other.

    **Arguments:** `memories`: two or more with a `LogSumExp` of one β, of one kind: `ExponentialDenseAM`
    (±1), `ModernHopfield` (real), or `DenseAM` with such parts. Raises `ValueError` for others, and for
    neurons that constrain one another, such as those of a sphere.

        >>> shapes = eam.ExponentialDenseAM(jnp.array([[1, 1, 1, 1], [1, 1, -1, -1]]))
        >>> colours = eam.ExponentialDenseAM(jnp.array([[1, -1, 1, -1], [1, -1, -1, 1]]))
        >>> memory = eam.ProductDenseAM([shapes, colours])  # four combinations in four rows
        >>> eam.recall(memory, jnp.array([1, 1, 1, 1, -1, -1, -1, 1]), key=jr.key(0)).state
        Array([ 1,  1,  1,  1,  1, -1, -1,  1], dtype=int32)
    """

    memories: tuple[AbstractDenseAM, ...]

    def __init__(self, memories: tuple[AbstractDenseAM, ...] | list[AbstractDenseAM]):
        if not isinstance(memories, tuple | list):
            raise ValueError(f"memories must be a list of memories; got {type(memories).__name__}")
        self.memories = tuple(memories)

    def __check_init__(self):
        if len(self.memories) < 2:
            raise ValueError(f"memories must be two or more; got {len(self.memories)}")
        for memory in self.memories:
            _check_part(memory, self.memories[0])

    @property  # type: ignore[misc]
    def neurons(self) -> AbstractNeurons:  # type: ignore[override]
        """The neurons of all parts."""
        return self.memories[0].neurons

    @property
    def num_neurons(self) -> int:
        return sum(self._sizes)

    @property
    def num_patterns(self) -> int:
        """How many patterns there are: the product of the tables' numbers of rows."""
        return int(np.prod([memory.patterns.shape[0] for memory in self.memories], dtype=object))

    def pattern(self, indices: ArrayLike | tuple[int, ...]) -> Num[Array, " D"]:
        """The pattern (D,) of one row of each table, `indices` (L,): from 0 to the table's K − 1."""
        indices = checks.as_array("indices", indices, "L")
        if indices.shape != (len(self.memories),) or not jnp.issubdtype(indices.dtype, jnp.integer):
            wanted = f"{len(self.memories)} whole numbers, one for each memory"
            got = f"shape {indices.shape}, dtype {indices.dtype}"
            raise ValueError(f"indices must be {wanted}; got {got}")
        tables = [memory.patterns for memory in self.memories]
        for i, table in zip(indices, tables, strict=True):
            checks.within("indices", i, 0, table.shape[0] - 1)
        return jnp.concatenate([table[i] for i, table in zip(indices, tables, strict=True)])

    def pull(self, state: Float[Array, " D"]) -> Pull:
        parts = zip(self.memories, split(state, self._sizes), strict=True)
        potentials, fields, curvatures = zip(*(memory.pull(x) for memory, x in parts), strict=True)
        # The weights of all parts sum to the same number, so their curvatures are one.
        return Pull(jnp.sum(jnp.stack(potentials)), jnp.concatenate(fields), curvatures[0])

    def flips(self, exact: bool = True) -> AbstractFlips | None:
        parts = [memory.flips(exact) for memory in self.memories]
        bounded = [part for part in parts if part is not None and part.block(jnp.arange(1)) is not None]
        return JoinedFlips(tuple(bounded), self._sizes) if len(bounded) == len(parts) else None

    def tables(self) -> tuple[Table, ...]:
        return tuple(table for memory in self.memories for table in memory.tables())

    def ranked(self, state: ArrayLike, k: int) -> Ranked:
        """The k patterns most similar to a state (D,), out of all combinations.

        These are the ones that `energyam.nearest` finds, with their weights. If there are fewer than k
        patterns, all are returned. Raises `ValueError` for another shape and k below 1.
        """
        return _ranked(self, as_state(state, self.num_neurons), checks.count("k", k))

    @property
    def _sizes(self):
        return tuple(memory.num_neurons for memory in self.memories)


@eqx.filter_jit
def _ranked(memory, state, k):
    found, indices, _ = nearest_in(memory.tables(), state, k)
    mixture, potential = memory.memories[0].separation.hidden(), memory.pull(state).potential
    return Ranked(indices, found, jnp.exp(mixture.beta * found - potential / mixture.scale))


def _check_part(memory, first):
    mixtures = [_mixture_of(one) for one in (memory, first)]
    if None in mixtures:
        wanted = "dense memories with a LogSumExp, such as ExponentialDenseAM or ModernHopfield"
        got = f"{type(memory).__name__} with {type(getattr(memory, 'separation', None)).__name__}"
        raise ValueError(f"memories must be {wanted}; got {got}")
    if memory.neurons.coupled:
        got = type(memory.neurons).__name__
        raise ValueError(f"memories must have neurons independent of one another; got {got}")
    names = lambda m: tuple(type(part).__name__ for part in (m.neurons, m.similarity))  # noqa: E731
    kinds = [(*names(m), m.separation.divided) for m in (memory, first)]
    if kinds[0] != kinds[1]:
        wanted = "of one kind, with the same neurons, similarity and LogSumExp(divided=…)"
        raise ValueError(f"memories must be {wanted}; got {kinds[1]} and {kinds[0]}")
    betas = [mixture.beta for mixture in mixtures]
    if not checks.passes(lambda a, b: a == b, *betas):
        raise ValueError(f"memories must have one beta; got {float(betas[1]):g} and {float(betas[0]):g}")


def _mixture_of(memory):
    """The β and the scale of a memory whose potential is scale · log Σ exp(β s); None for others."""
    hidden = memory.separation.hidden() if isinstance(memory, AbstractDenseAM) else None
    return hidden if hasattr(hidden, "beta") and hasattr(hidden, "scale") else None
