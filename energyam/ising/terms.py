"""Terms from the user's data: matrices, dictionaries with any labels, graphs, files."""

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from energyam import checks
from energyam.ising.coefficients import merge
from energyam.ising.reading import read_terms

Labels = Sequence[Hashable]
Given = Any  # whatever a user may have
_ROUNDING = 1e-6  # by which a pair may differ, relative to itself and to the largest


class Terms(NamedTuple):
    """Values at pairs of variables, (n,) each, and the label of each variable.

    `both`: whether a pair is to stand twice, at (i, j) and at (j, i), as in the matrix of a graph.
    """

    labels: Labels
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    both: bool


def terms_of(name: str, given: Given, weight: str = "weight", loops: bool = True) -> Terms:
    """`given` as terms; raises `ValueError` that names what is wrong, and where."""
    if isinstance(given, str | os.PathLike):
        found = read_terms(name, given, loops)
    elif hasattr(given, "tocoo"):
        found = _of_scipy(name, given)
    elif hasattr(given, "nodes") and hasattr(given, "edges"):
        found = _of_graph(name, given, weight)
    elif isinstance(given, Mapping):
        found = _of_mapping(name, given)
    else:
        found = _of_matrix(name, given)
    terms = Terms(*found)
    wrong = ~np.isfinite(terms.values)
    if wrong.any():
        k = int(np.argmax(wrong))
        at = f"{terms.labels[terms.rows[k]]!r}, {terms.labels[terms.columns[k]]!r}"
        raise ValueError(f"{name} must be finite; got {_spelled(terms.values[k])} for {at}")
    if not len(terms.labels):
        raise ValueError(f"{name} must not be empty; got no variables")
    return terms


def pairs_of(name: str, terms: Terms) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of different variables, i < j, and one value for each; the diagonal is left out.

    Raises `ValueError` where pairs should stand twice and the two differ.
    """
    D, apart = len(terms.labels), terms.rows != terms.columns
    rows, columns, values = terms.rows[apart], terms.columns[apart], terms.values[apart]
    pairs = np.stack([rows, columns], axis=1)
    if not terms.both:
        return merge(pairs, values, D)
    upper = rows < columns
    pairs, gaps = merge(pairs, np.where(upper, values, -values), D)
    _, sums = merge(np.stack([rows, columns], axis=1), values, D)
    _, sizes = merge(np.stack([rows, columns], axis=1), np.abs(values), D)
    wrong = np.abs(gaps) > _ROUNDING * (sizes + sizes.max(initial=0))
    if wrong.any():
        k = int(np.argmax(wrong))
        (i, j), above, below = pairs[k], 0.5 * (sums[k] + gaps[k]), 0.5 * (sums[k] - gaps[k])
        got = f"W[{i}, {j}] = {above:.6g} and W[{j}, {i}] = {below:.6g}"
        raise ValueError(f"{name} must be symmetric; got {got} (a triangle W becomes so by W + W.T)")
    return pairs, 0.5 * sums


def ordered(labels: Iterable[Hashable]) -> Labels:
    """Labels, each once: sorted where they can be, else in the order in which they first come."""
    found = list(dict.fromkeys(labels))
    try:
        found = sorted(found)  # type: ignore[type-var]
    except TypeError:
        return tuple(found)
    plain = all(isinstance(label, int | np.integer) for label in found[:1] + found[-1:])
    return range(len(found)) if plain and found == list(range(len(found))) else tuple(found)


def vector_of(name: str, given: Given, labels: Labels) -> np.ndarray:
    """A value for each label: of a dictionary, in which missing ones are 0, or of an array (D,)."""
    if isinstance(given, Mapping):
        index = {label: k for k, label in enumerate(labels)}
        vector = np.zeros(len(labels))
        for label, value in given.items():
            vector[index[label]] = _number(f"{name}[{label!r}]", value)
    else:
        vector = np.asarray(checks.as_array(name, given, str(len(labels))), np.float64)
        vector = np.asarray(given, np.float64) if checks.is_known(given) else vector
    if not np.isfinite(vector).all():
        raise ValueError(f"{name} must be finite; got NaN or infinity")
    return vector


def _of_matrix(name, given):
    array = checks.as_array(name, given, "D D")
    if array.shape[0] != array.shape[1]:
        raise ValueError(f"{name} must be square, (D, D); got shape {array.shape}")
    if not checks.is_known(array):
        raise ValueError(f"{name} must be known; got a traced array (make the problem outside jit)")
    matrix = np.asarray(given, np.float64)
    rows, columns = np.nonzero(matrix)
    return range(len(matrix)), rows, columns, matrix[rows, columns], True


def _of_scipy(name, given):
    found = given.tocoo()
    if len(found.shape) != 2 or found.shape[0] != found.shape[1]:
        raise ValueError(f"{name} must be square, (D, D); got shape {found.shape}")
    if found.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be real; got dtype {found.dtype}")
    values = np.asarray(found.data, np.float64)
    return range(found.shape[0]), np.asarray(found.row), np.asarray(found.col), values, True


def _of_graph(name, graph, weight):
    labels = tuple(graph.nodes)
    edges = list(graph.edges(data=weight))
    if weight != "weight" and edges and all(value is None for *_, value in edges):
        raise ValueError(f"weight must be an attribute of the edges of {name}; none has {weight!r}")
    values = [1.0 if w is None else _number(f"{weight} of the edge {u!r}, {v!r}", w) for u, v, w in edges]
    index = {label: k for k, label in enumerate(labels)}
    ends = np.array([(index[u], index[v]) for u, v, _ in edges], np.int64).reshape(-1, 2)
    return labels, *ends.T, np.array(values, np.float64), False


def _of_mapping(name, given):
    for key in given:
        if not isinstance(key, tuple) or len(key) != 2:
            raise ValueError(f"{name} must have pairs of labels as keys, such as ('a', 'b'); got {key!r}")
    labels = ordered(label for key in given for label in key)
    index = {label: k for k, label in enumerate(labels)}
    ends = np.array([(index[u], index[v]) for u, v in given], np.int64).reshape(-1, 2)
    values = [_number(f"{name}[{key!r}]", value) for key, value in given.items()]
    return labels, *ends.T, np.array(values, np.float64), False


def _number(name, value):
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a number that a float can hold; got {value!r:.60}") from None


def _spelled(value):
    return "NaN" if np.isnan(value) else "infinity"
