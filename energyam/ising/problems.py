"""Problems of optimisation as Hopfield networks, and back: QUBO, Max-Cut, graph files, dimod's models.

And random instances whose lowest energies are known: planted, or in the limit of many neurons.
"""

import gzip
import pathlib
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from energyam import checks
from energyam.files import as_path
from energyam.linalg import dot
from energyam.memories.base import as_state
from energyam.memories.hopfield import HopfieldNetwork


def from_qubo(Q: ArrayLike | Sequence[Sequence[int | float]]) -> tuple[HopfieldNetwork, Float[Array, ""]]:
    """The network and the offset with zᵀQz = E(x) + offset, for bits z = (1 + x)/2.

    **Arguments:** `Q` (D, D): any square matrix, say upper triangular or symmetric: zᵀQz depends on Q + Qᵀ
    alone. Minimise E and read z = (1 + x)/2.

    Raises `ValueError` for a matrix that is not square, or not finite.
    """
    matrix = checks.as_square("Q", Q)
    matrix = 0.5 * matrix + 0.5 * matrix.T
    pairs, alone = jnp.fill_diagonal(matrix, 0, inplace=False), jnp.sum(matrix, axis=1)
    offset = 0.25 * (jnp.sum(alone) + jnp.trace(matrix))
    return HopfieldNetwork(-0.5 * pairs, -0.5 * alone), offset


def max_cut(weights: ArrayLike) -> HopfieldNetwork:
    """The network whose lowest states cut a graph best: couplings −w.

    The neurons' values are the two sides, and cut = (Σ_{i<j} w_ij − E)/2, see `cut_value`.

    **Arguments:** `weights` (D, D): symmetric weights of the edges, 0 for none; a diagonal counts for
    nothing. Raises `ValueError` for a matrix that is not square, not symmetric or not finite.
    """
    weights = checks.as_square("weights", weights)
    return HopfieldNetwork(-jnp.fill_diagonal(weights, 0, inplace=False))


def cut_value(weights: ArrayLike, state: ArrayLike) -> Float[Array, ""]:
    """The weight of the edges between the two sides of a cut: Σ_{i<j} w_ij (1 − x_i x_j)/2.

    **Arguments:** `weights` (D, D): symmetric, as in `max_cut`; `state` (D,): ±1. Raises `ValueError` for
    other shapes.
    """
    weights = checks.as_square("weights", weights)
    state = as_state(state, weights.shape[0])
    return 0.25 * (jnp.sum(weights) - dot(dot(weights, state), state))


def read_gset(path: str | pathlib.Path) -> Float[Array, "D D"]:
    """The weights (D, D) of a graph file as in the G-set, plain or packed by gzip.

    The first line holds the numbers of vertices and edges, `n m`; each further one an edge, `i j w`, with
    vertices from 1 to n. Weights of an edge that comes twice add up.

    Raises `ValueError` with the number of the line that is malformed, joins a vertex to itself, names a
    vertex out of range, or has a weight that floats can't hold; where there are fewer or more than m edges;
    for more vertices than a matrix is made for; and for damaged archives and what is not text.
    """
    path = as_path(path, "path")
    lines = [(number, line.split()) for number, line in enumerate(_text(path).split("\n"), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{path} must start with a line 'n m'; it is empty")
    n, m = _numbers(path, *lines[0], (int, int), "n m")
    if not 1 <= n <= _MOST_VERTICES or m < 0:
        limits = f"n must be at least 1 and at most {_MOST_VERTICES:,}, and m at least 0"
        raise ValueError(f"{path}, line {lines[0][0]}: {limits}; got {n} {m}")
    if len(lines) - 1 != m:
        got = f"as line {lines[0][0]} says; got {len(lines) - 1}"
        raise ValueError(f"{path} must have m = {m} edges, {got}")
    dtype = jnp.result_type(float)
    edges: dict[tuple[int, int], float] = {}
    for number, words in lines[1:]:
        i, j, w = _edge(path, number, words, n)
        edges[i, j] = edges.get((i, j), 0.0) + w
        if not abs(edges[i, j]) <= float(jnp.finfo(dtype).max):
            raise ValueError(f"{path}, line {number}: a weight must be finite as {dtype}; got {edges[i, j]}")
    weights = np.zeros((n, n), dtype)
    for (i, j), w in edges.items():
        weights[i - 1, j - 1] = weights[j - 1, i - 1] = w
    return jnp.asarray(weights)


_MOST_VERTICES = 46_340  # whose square is below 2^31, the entries that one array may have


def _text(path):
    """The text of a file in UTF-8, or in UTF-16 as its first bytes say, unpacked where they are gzip's."""
    content = path.read_bytes()
    try:
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {number}: must be text in UTF-8; got {error.reason}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is a damaged or truncated archive: {error}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _edge(path, number, words, n):
    i, j, w = _numbers(path, number, words, (int, int, float), "i j w")
    for vertex in (i, j):
        if not 1 <= vertex <= n:
            raise ValueError(f"{path}, line {number}: vertices must be from 1 to {n}; got {vertex}")
    if i == j:
        raise ValueError(f"{path}, line {number}: an edge must join two vertices; got {i} twice")
    return min(i, j), max(i, j), w


def _numbers(path, number, words, kinds, wanted):
    try:
        if not all(word.isascii() and "_" not in word for word in words):
            raise ValueError  # which Python reads as numbers, and no other program
        return [kind(word) for kind, word in zip(kinds, words, strict=True)]
    except ValueError:
        got = " ".join(words)
        shown = got if len(got) < 80 else f"{got[:60]} …"
        raise ValueError(f"{path}, line {number}: must be {wanted!r}; got {shown!r}") from None


def from_bqm(bqm: Any) -> tuple[HopfieldNetwork, Float[Array, ""]]:
    """The network and the offset of a dimod `BinaryQuadraticModel`: its energy is E(x) + offset.

    Neuron k is the k-th of `bqm.variables`; a model of bits z is read as x = 2z − 1.

    Raises `ValueError` for what has no such views: `bqm.spin` with `linear`, `quadratic` and `offset`.
    """
    spin: Any = getattr(bqm, "spin", None)
    if not all(hasattr(spin, name) for name in ("linear", "quadratic", "offset")):
        raise ValueError(f"bqm must be a dimod.BinaryQuadraticModel; got {type(bqm).__name__}")
    index = {variable: k for k, variable in enumerate(bqm.variables)}
    weights, bias = np.zeros((len(index), len(index))), np.zeros(len(index))
    for variable, h in spin.linear.items():
        bias[index[variable]] = -h
    for (u, v), coupling in spin.quadratic.items():
        weights[index[u], index[v]] = weights[index[v], index[u]] = -coupling
    return HopfieldNetwork(weights, bias), jnp.asarray(float(spin.offset))


def to_bqm(memory: HopfieldNetwork, offset: ArrayLike = 0.0) -> Any:
    """A network as a dimod `BinaryQuadraticModel` of spins, of energy E(x) + `offset`; variables 0 … D − 1.

    Raises `ValueError` for another memory, and `ImportError` without dimod (the extra `ising`).
    """
    memory = checks.instance("memory", memory, HopfieldNetwork)
    offset = checks.number("offset", offset)
    try:
        import dimod
    except ImportError:
        raise ImportError('dimod is missing: pip install "energyam[ising]"') from None
    weights = np.asarray(memory.weights, np.float64)
    bias = np.zeros(len(weights)) if memory.bias is None else np.asarray(memory.bias, np.float64)
    rows, columns = np.nonzero(np.triu(weights, 1))
    quadratic = {(int(i), int(j)): -float(weights[i, j]) for i, j in zip(rows, columns, strict=True)}
    linear = {i: -float(b) for i, b in enumerate(bias)}
    return dimod.BinaryQuadraticModel(linear, quadratic, offset - 0.5 * float(np.trace(weights)), "SPIN")


class Planted(NamedTuple):
    """A network with its ground states, ±`state` (D,), and their `energy`, to the rounding of floats."""

    memory: HopfieldNetwork
    state: Float[Array, " D"]
    energy: Float[Array, ""]


def planted(num_neurons: int, num_columns: int, *, key: PRNGKeyArray) -> Planted:
    """A Wishart instance: a network whose ground states are known by construction.

    For a hidden state t and M columns w ~ N(0, I − ttᵀ/D), so that Wᵀt = 0, the couplings are those of
    A = −WWᵀ/D without its diagonal, and E(x) = ½ ‖Wᵀx‖²/D + ½ tr A. The lowest are ±t, at ½ tr A. Few
    columns make it hard: annealing rarely finds t for M/D of about .4 to 1, and easily above 1.6.

    **Arguments:** `num_neurons`: D; `num_columns`: M, both at least 1. Raises `ValueError` for others.

    Hamze, Raymond, Pattison, Biswas & Katzgraber, Phys. Rev. E 101 (2020).
    """
    D, M = checks.count("num_neurons", num_neurons), checks.count("num_columns", num_columns)
    checks.key("key", key)
    of_state, of_columns = jr.split(key)
    t = jr.rademacher(of_state, (D,), dtype=jnp.result_type(float))
    columns = jr.normal(of_columns, (D, M))
    columns = columns - jnp.outer(t, dot(t, columns)) / D
    memory = HopfieldNetwork(jnp.fill_diagonal(-dot(columns, columns.T) / D, 0, inplace=False))
    return Planted(memory, t, -0.5 * jnp.sum(columns**2) / D)


def sherrington_kirkpatrick(num_neurons: int, *, key: PRNGKeyArray) -> HopfieldNetwork:
    """The mean-field spin glass: every pair is coupled by a number from N(0, 1/D).

    Its ground energy per neuron is −.7632 for D → ∞, and about .7 D^(−2/3) higher for D neurons.

    Raises `ValueError` for `num_neurons`, D, below 1. Sherrington & Kirkpatrick, Phys. Rev. Lett. 35 (1975).
    """
    D = checks.count("num_neurons", num_neurons)
    checks.key("key", key)
    upper = jnp.triu(jr.normal(key, (D, D)) / D**0.5, 1)
    return HopfieldNetwork(upper + upper.T)
