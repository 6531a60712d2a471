"""Problems of optimisation as networks of couplings: QUBO, Ising, Max-Cut, in the user's own names."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from energyam import checks
from energyam.ising.coefficients import Coefficients
from energyam.ising.problem import Answer, Problem
from energyam.ising.terms import Labels, Terms, ordered, pairs_of, terms_of, vector_of
from energyam.memories.base import as_state
from energyam.memories.neurons import AbstractNeurons

Graph = Any  # whatever `terms_of` reads: a matrix, a dictionary, a graph, the path of a file
Fields = Any  # of a dictionary by label, or an array (D,)


def from_qubo(Q: Graph, neurons: AbstractNeurons | None = None) -> Problem:
    """The problem of bits z with the energy zᵀQz = Σ_ij Q_ij z_i z_j.

    **Arguments:**

    - `Q`: any square matrix (D, D), of numpy, jax or scipy.sparse, say upper triangular or symmetric: zᵀQz
      depends on Q + Qᵀ alone; a dictionary {(label, label): q} with any hashable labels; a networkx graph;
      or the path of a file, COO with lines `i j q`, `.qubo`, or MatrixMarket, plain or packed by gzip.
    - `neurons`: those of the memory, `eam.Binary()` with z = (1 + x)/2 by default; the states of
      `eam.ZeroOne()` are the bits themselves.

    Raises `ValueError` for a matrix that is not square or not finite, and for other arguments of the wrong
    form; for a file, with its path and line.

        >>> problem = eam.ising.from_qubo({("tea", "tea"): -1.0, ("jam", "jam"): -2.0, ("tea", "jam"): 3.0})
        >>> eam.ising.minimize(problem, 4, 10, key=jr.key(0)).best
        {'jam': 1, 'tea': 0}
    """
    terms = terms_of("Q", Q)
    alone = terms.rows == terms.columns
    D = len(terms.labels)
    linear = np.bincount(terms.rows[alone], terms.values[alone], D)
    pairs = pairs_of("Q", terms._replace(both=False))
    return Problem(Coefficients(linear, *pairs), terms.labels, "BINARY", neurons)


def from_ising(h: Fields | None, J: Graph, offset: checks.Number = 0.0) -> Problem:
    """The problem of spins s = ±1 with the energy Σ_i h_i s_i + Σ_{i<j} J_ij s_i s_j + offset.

    These are the signs of dimod and of most programs; a `HopfieldNetwork` of weights W and bias b has J = −W
    and h = −b.

    **Arguments:** `h`: fields by label, {label: h} or (D,), or None for none; `J`: a symmetric matrix (D, D)
    of numpy, jax or scipy.sparse, in which each pair appears twice and counts once; a dictionary
    {(label, label): J}; a networkx graph, whose edges have a `weight` or count 1; or the path of a file, as
    in `max_cut`; `offset`: a number. Raises `ValueError` for others, a coupling of a spin with itself, and a
    matrix that is not symmetric.

        >>> problem = eam.ising.from_ising({"a": 0.5}, {("a", "b"): 1.0})  # a = −1, and b differs
        >>> eam.ising.minimize(problem, 4, 10, key=jr.key(0)).best
        {'a': -1, 'b': 1}
    """
    terms = terms_of("J", J, loops=False) if not (isinstance(J, Mapping) and not J) else _no_terms(h)
    itself = (terms.rows == terms.columns) & (terms.values != 0)
    if itself.any():
        label = terms.labels[terms.rows[np.argmax(itself)]]
        raise ValueError(f"J must not couple a spin with itself, as s² = 1; got {label!r} twice")
    if isinstance(h, Mapping) and any(label not in terms.labels for label in h):
        terms = _relabelled(terms, ordered([*terms.labels, *h]))
    D = len(terms.labels)
    linear = np.zeros(D) if h is None else vector_of("h", h, terms.labels)
    offset = checks.number("offset", offset)
    return Problem(Coefficients(linear, *pairs_of("J", terms), offset), terms.labels, "SPIN")


def max_cut(weights: Graph, weight: str = "weight") -> Problem:
    """The problem whose lowest states cut a graph best: its energy is −cut.

    The neurons' values, ±1, are the two sides, and cut = Σ_{i<j} w_ij (1 − x_i x_j)/2, see `cut_value`. The
    problem serves as a memory, of couplings −w/2.

    **Arguments:** `weights`: symmetric weights of the edges (D, D), 0 for none, of numpy, jax or
    scipy.sparse, whose diagonal is ignored; a dictionary {(vertex, vertex): w} of the edges; a networkx
    graph; or the path of a file: G-set and rudy (`n m`, then `i j w`), unweighted `i j`, MatrixMarket or
    DIMACS, plain or packed by gzip; `weight`: the attribute of a graph's edges that holds the weight (1 for
    edges without it). Weights of an edge that appears twice add up. Raises `ValueError` for a matrix that is
    not square, not symmetric or not finite; for a file, with its path and line.

        >>> problem = eam.ising.max_cut({("a", "b"): 1, ("b", "c"): 1, ("a", "c"): 1})  # a triangle
        >>> found = eam.ising.minimize(problem, 4, 10, key=jr.key(0))
        >>> eam.ising.cut_value(problem, found.best)
        2.0
    """
    if not isinstance(weight, str):
        raise ValueError(f"weight must be the name of an attribute of edges; got {weight!r:.80}")
    terms = terms_of("weights", weights, weight, loops=False)
    pairs, w = pairs_of("weights", terms)
    given = Coefficients(np.zeros(len(terms.labels)), pairs, 0.5 * w, -0.5 * float(np.sum(w)))
    return Problem(given, terms.labels, "SPIN")


def cut_value(weights: Graph, state: Answer) -> float | Float[Array, ""]:
    """The weight of the edges between the two sides of a cut: Σ_{i<j} w_ij (1 − x_i x_j)/2.

    **Arguments:** `weights`: as in `max_cut`, or what it returned; `state`: ±1, (D,) or {vertex: side}.
    Raises `ValueError` for other values, shapes, and weights that are not symmetric.

        >>> eam.ising.cut_value({("a", "b"): 1.0, ("b", "c"): 2.0}, {"a": 1, "b": -1, "c": -1})
        1.0
    """
    if _is_traced(weights, state):
        weights = checks.as_square("weights", weights)
        x = as_state(state, weights.shape[0])  # type: ignore[arg-type]
        pairs = 0.5 * weights * (1 - x[:, None] * x[None])
        return 0.5 * jnp.sum(pairs)
    problem = weights if isinstance(weights, Problem) else max_cut(weights)
    return -problem.value(state, "state")


def qubo_value(Q: Graph, bits: Answer) -> float | Float[Array, ""]:
    """zᵀQz, in double precision.

    **Arguments:** `Q`: as in `from_qubo`, or what it returned; `bits`: z, 0 or 1, (D,) or {label: bit}.
    Raises `ValueError` for other values, such as ±1, and other shapes.

        >>> eam.ising.qubo_value({("tea", "tea"): -1.0, ("tea", "jam"): 3.0}, {"tea": 1, "jam": 1})
        2.0
    """
    if _is_traced(Q, bits):
        Q = checks.as_square("Q", Q)
        z = as_state(bits, Q.shape[0])  # type: ignore[arg-type]
        return jnp.sum(Q * z[:, None] * z[None])
    return (Q if isinstance(Q, Problem) else from_qubo(Q)).value(bits, "bits")


def _is_traced(*values: Any) -> bool:
    return not all(map(checks.is_known, values))


def _no_terms(h: Fields | None) -> Terms:
    labels = ordered(h) if isinstance(h, Mapping) else range(len(h) if h is not None else 0)
    if not len(labels):
        raise ValueError("J must not be empty; got no variables")
    none = np.zeros(0, np.int64)
    return Terms(labels, none, none, np.zeros(0), False)


def _relabelled(terms: Terms, labels: Labels) -> Terms:
    index = {label: k for k, label in enumerate(labels)}
    places = np.array([index[label] for label in terms.labels], np.int64)
    return terms._replace(labels=labels, rows=places[terms.rows], columns=places[terms.columns])
