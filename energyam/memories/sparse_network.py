"""The Hopfield network of a sparse graph: E(x) = −Σ_(i,j) w_ij x_i x_j − bᵀx over its edges."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from energyam import checks
from energyam.flips.colouring import Colouring, coloured, is_of
from energyam.flips.sparse import SparseFlips, sparse_flips
from energyam.linalg import float_dtype
from energyam.memories.base import AbstractMemory, Pull
from energyam.memories.neurons import AbstractNeurons, Binary, cost_nothing


class SparseNetwork(AbstractMemory):
    """A network whose couplings are the edges of a graph: E(x) = R(x) − Σ_e w_e x_i x_j − bᵀx.

    The energy is that of the `HopfieldNetwork` with W_ij = W_ji = w_e, but the size grows with the number of
    edges rather than with D². Neurons without an edge between them have one colour and are updated together,
    with the same result as one after another. A lattice has two colours, and most sparse graphs have few.

    **Arguments:** `edges` (E, 2): pairs of neurons i ≠ j (if a pair is given twice, its weights add up);
    `weights` (E,): their couplings; `bias` (D,): a field at each neuron, none by default; `neurons`: as in
    `HopfieldNetwork`; `dim`: D, by default the length of the bias, or what the edges need. Raises
    `ValueError` for other shapes, neurons out of range, an edge from a neuron to itself, NaN, and traced
    edges, because the colours are found at construction.

        >>> ring = eam.SparseNetwork(jnp.array([[0, 1], [1, 2], [2, 3], [3, 0]]), jnp.ones(4))
        >>> float(ring.energy(jnp.array([1, 1, 1, -1])))  # two edges agree and two do not
        0.0
    """

    edges: Int[Array, "E 2"]
    weights: Float[Array, " E"]
    neurons: AbstractNeurons
    bias: Float[Array, " D"] | None
    colouring: Colouring

    def __init__(
        self,
        edges: ArrayLike,
        weights: ArrayLike,
        bias: ArrayLike | None = None,
        neurons: AbstractNeurons | None = None,
        *,
        dim: int | None = None,
    ):
        pairs = _as_edges(edges)
        if bias is not None:
            bias = checks.as_floats("bias", bias, "D")
            if dim is None and bias.shape[0] <= pairs.max(initial=0):
                needed = f"a field for each neuron, as edges join neurons up to {pairs.max()}"
                raise ValueError(f"bias must have {needed}; got shape {bias.shape}")
            dim = bias.shape[0] if dim is None else dim
        dim = int(pairs.max(initial=0)) + 1 if dim is None else checks.count("dim", dim)
        self.bias = None if bias is None else checks.as_vector("bias", bias, dim)
        _check_edges(pairs, dim)
        pairs, self.weights = _each_once(pairs, weights)
        neurons = Binary() if neurons is None else neurons
        self.neurons = checks.instance("neurons", neurons, AbstractNeurons, " (say eam.Binary())")
        with jax.ensure_compile_time_eval():
            self.edges = jnp.asarray(pairs)
            self.colouring = jax.tree.map(jnp.asarray, coloured(pairs, dim))

    def __check_init__(self):
        if not checks.is_known(self.edges):
            return
        D, E = self.num_neurons, self.edges.shape[0]
        pairs = np.asarray(self.edges)
        _check_edges(pairs, D)
        checks.instance("neurons", self.neurons, AbstractNeurons)
        if self.bias is not None:
            checks.as_vector("bias", self.bias, D)
        if self.weights.shape != (E,) or not is_of(self.colouring, pairs, D):
            raise ValueError(f"colouring must be that of the {E} edges and {D} neurons; got another")

    @property
    def num_neurons(self) -> int:
        return self.colouring.order.shape[0]

    def driven(self, inputs: Float[Array, " D"]) -> "SparseNetwork":
        """The network under an input, which is added to the bias."""
        bias = inputs if self.bias is None else self.bias + inputs.astype(self.bias.dtype)
        return eqx.tree_at(lambda network: network.bias, self, bias, is_leaf=lambda leaf: leaf is None)

    def flips(self, exact: bool = True) -> SparseFlips | None:
        if self.neurons.values is None or not cost_nothing(self.neurons):
            return None
        return sparse_flips(self.weights, self.bias, self.colouring, self.neurons.values)

    def pull(self, state: Float[Array, " D"]) -> Pull:
        dtype = float_dtype(state.dtype, self.weights.dtype)
        state, weights = state.astype(dtype), jnp.append(self.weights.astype(dtype), 0)
        order, found = self.colouring.order, self.colouring
        steps = jnp.sum(weights[found.edges] * state[order][found.neighbours], axis=1)
        by_place = found.starts[found.blocks][:, None] + jnp.arange(steps.shape[1], dtype=order.dtype)[None]
        drive = jnp.zeros(state.shape, dtype).at[by_place].add(steps, mode="drop")
        drive = jnp.zeros_like(drive).at[order].set(drive)
        bias = jnp.zeros((), dtype) if self.bias is None else self.bias.astype(dtype)
        potential = jnp.sum(state * (0.5 * drive + bias))
        return Pull(potential, drive + bias, jnp.zeros((), dtype))


def _as_edges(edges):
    """Pairs of neurons as numbers of the host."""
    if not checks.is_known(edges):
        raise ValueError("edges must be known, as the network is coloured when it is made; got traced ones")
    try:
        pairs = np.asarray(edges)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"edges must be (E, 2) whole numbers, a pair of neurons for each edge; {error}"
        ) from None
    if pairs.size == 0:
        pairs = np.zeros((0, 2), np.int32)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        got = f"shape {pairs.shape}, dtype {pairs.dtype}"
        raise ValueError(f"edges must be (E, 2) whole numbers, a pair of neurons for each edge; got {got}")
    return pairs


def _check_edges(pairs, dim):
    outside = (pairs < 0) | (pairs >= dim)
    if outside.any():
        i, j = pairs[outside.any(axis=1)][0]
        raise ValueError(f"edges must join neurons from 0 to {dim - 1}; got ({i}, {j})")
    loops = pairs[:, 0] == pairs[:, 1]
    if loops.any():
        i = pairs[loops][0, 0]
        hint = "what a neuron 0/1 does to itself is a bias, and a neuron ±1 does nothing to itself"
        raise ValueError(f"edges must join two neurons; got ({i}, {i}) ({hint})")


def _each_once(pairs, weights):
    """The edges (i < j) in the order of neurons, and their weights, those of equal ones added up."""
    if not len(pairs):
        weights = jnp.asarray(weights, float).reshape(-1)
        if weights.shape != (0,):
            raise ValueError(f"weights must be (0,), as there are no edges; got shape {weights.shape}")
        return pairs.astype(np.int32), weights
    weights = checks.as_vector("weights", weights, len(pairs))
    first, second = pairs.min(axis=1).astype(np.int64), pairs.max(axis=1).astype(np.int64)
    # One number for each pair: rows of two take eight times the memory to sort.
    numbers, which = np.unique(first << 32 | second, return_inverse=True)
    unique = np.stack([numbers >> 32, numbers & (2**32 - 1)], axis=1).astype(np.int32)
    if len(unique) < len(pairs):
        return unique, jax.ops.segment_sum(weights, which, len(unique))
    if checks.is_known(weights):  # on the host, where nothing is compiled for it
        return unique, jnp.asarray(np.asarray(weights)[np.argsort(which)])
    return unique, weights[np.argsort(which)]
