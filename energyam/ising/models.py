"""Conversion from and to models of dimod."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import ArrayLike

from energyam import checks
from energyam.ising.coefficients import Coefficients, merge
from energyam.ising.problem import Problem
from energyam.memories.hopfield import HopfieldNetwork
from energyam.memories.sparse_network import SparseNetwork


def from_bqm(bqm: Any) -> Problem:
    """The problem of a dimod model, in its own labels and vartype; its energy is that of the model.

    **Arguments:** `bqm`: a binary quadratic model of any dtype, a binary polynomial of degree 2 at most, or a
    quadratic model, also a constrained one that has no constraints, whose variables are all bits or all
    spins. Neuron k is the k-th of its variables.

    Raises `ValueError` for others, with the function that converts them.

        >>> import dimod
        >>> model = dimod.BinaryQuadraticModel({"a": 0.5, "b": 0.0}, {("a", "b"): 1.0}, 0.0, "SPIN")
        >>> eam.ising.minimize(eam.ising.from_bqm(model), 4, 10, key=jr.key(0)).best
        {'a': -1, 'b': 1}
    """
    model, kind = getattr(bqm, "objective", bqm), type(bqm).__name__
    if len(getattr(bqm, "constraints", ())):
        raise ValueError(
            f"bqm must have no constraints; got {kind} (dimod.cqm_to_bqm makes penalties of them)"
        )
    if _has(model, "degree", "items", "vartype"):
        return _of_polynomial(model)
    if not _has(model, "variables", "linear", "quadratic", "offset", "vartype"):
        raise ValueError(f"bqm must be a dimod.BinaryQuadraticModel; got {kind}")
    labels = tuple(model.variables)
    vartype = _vartype(model, labels, kind)
    linear, quadratic = dict(model.linear.items()), model.quadratic.items()
    return _problem(labels, vartype, [((v, v), h) for v, h in linear.items()], quadratic, float(model.offset))


def to_bqm(memory: HopfieldNetwork | SparseNetwork | Problem, offset: ArrayLike = 0.0) -> Any:
    """A network, or a problem, as a dimod `BinaryQuadraticModel`.

    For a `HopfieldNetwork` or a `SparseNetwork` it has spins for neurons ±1 and bits for neurons 0/1,
    variables 0 … D − 1 and the energy E(x) + `offset`; for a problem it has the labels, the vartype, and the
    couplings as you gave them.

    Raises `ValueError` for another memory, and `ImportError` without dimod (the extra `ising`).

        >>> model = eam.ising.to_bqm(eam.ising.from_ising(None, {("a", "b"): 2.0}))
        >>> float(model.energy({"a": 1, "b": 1}))
        2.0
    """
    offset = checks.number("offset", offset)
    if isinstance(memory, Problem):
        labels, vartype, given = memory.labels, memory.vartype, memory.given
    else:
        labels, vartype, given = _of_network(memory)
    pairs = zip(given.pairs.tolist(), given.quadratic.tolist(), strict=True)
    quadratic = {(labels[i], labels[j]): q for (i, j), q in pairs}
    linear = dict(zip(labels, given.linear.tolist(), strict=True))
    return _dimod().BinaryQuadraticModel(linear, quadratic, given.constant + offset, vartype)


def sample_set(problem: Problem, values: np.ndarray, energies: np.ndarray, counts: np.ndarray) -> Any:
    """Rows of values (n, D) as a `dimod.SampleSet` with the problem's labels and vartype."""
    samples = values.astype(np.int8), list(problem.labels)
    more = {"energy": energies, "num_occurrences": counts}
    return _dimod().SampleSet.from_samples(samples, vartype=problem.vartype, **more)


def _of_polynomial(model):
    degree = max(map(len, model), default=0)
    if degree > 2:
        raise ValueError(f"bqm must be of degree 2 at most; got terms of {degree} (dimod.make_quadratic)")
    labels = tuple(dict.fromkeys(label for term in model for label in term))
    terms = [(tuple(term), float(value)) for term, value in model.items()]
    linear = [((*term, *term), value) for term, value in terms if len(term) == 1]
    quadratic = [(term, value) for term, value in terms if len(term) == 2]
    constant = sum((value for term, value in terms if not term), 0.0)
    return _problem(labels, model.vartype.name, linear, quadratic, constant)


def _problem(labels: tuple, vartype: str, linear: Iterable, quadratic: Iterable, constant: float) -> Problem:
    if not labels:
        raise ValueError("bqm must have variables; got none")
    index, h = {label: k for k, label in enumerate(labels)}, np.zeros(len(labels))
    for (v, _), value in linear:
        h[index[v]] += value
    terms = list(quadratic)
    pairs = np.array([(index[u], index[v]) for (u, v), _ in terms], np.int64).reshape(-1, 2)
    values = np.array([value for _, value in terms], np.float64)
    if not (np.isfinite(h).all() and np.isfinite(values).all() and np.isfinite(constant)):
        raise ValueError("bqm must be finite; got NaN or infinity")
    named = range(len(labels)) if labels == tuple(range(len(labels))) else labels
    return Problem(Coefficients(h, *merge(pairs, values, len(labels)), constant), named, vartype)


def _vartype(model, labels, kind):
    """ "BINARY" or "SPIN", which all variables of a model must share."""
    if not callable(model.vartype):
        return getattr(model.vartype, "name", str(model.vartype))
    kinds = {model.vartype(label).name for label in labels}
    if len(kinds) != 1 or not kinds <= {"BINARY", "SPIN"}:
        hint = "dimod's spin_to_binary() makes bits of spins"
        raise ValueError(f"bqm must have bits alone or spins alone; got {kind} of {sorted(kinds)} ({hint})")
    return kinds.pop()


def _of_network(memory):
    """The labels, the vartype and the coefficients of a network."""
    if not isinstance(memory, SparseNetwork):
        memory = checks.instance("memory", memory, HopfieldNetwork)
    kinds: dict[Any, str] = {(-1, 1): "SPIN", (0, 1): "BINARY"}
    kind = kinds.get(memory.neurons.values)
    if kind is None:
        raise ValueError(f"memory must have neurons ±1 or 0/1; got {memory.neurons!r:.80}")
    D, weights = memory.num_neurons, np.asarray(memory.weights, np.float64)
    bias = np.zeros(D) if memory.bias is None else np.asarray(memory.bias, np.float64)
    if isinstance(memory, SparseNetwork):
        return range(D), kind, Coefficients(-bias, np.asarray(memory.edges), -weights)
    rows, columns = np.nonzero(np.triu(weights, 1))
    pairs, values, own = np.stack([rows, columns], axis=1), -weights[rows, columns], 0.5 * np.diag(weights)
    if kind == "BINARY":
        return range(D), "BINARY", Coefficients(-bias - own, pairs, values)
    return range(D), "SPIN", Coefficients(-bias, pairs, values, -float(np.sum(own)))


def _has(model, *names):
    return all(hasattr(model, name) for name in names)


def _dimod():
    try:
        import dimod
    except ImportError:
        raise ImportError('dimod is missing: pip install "energyam[ising]"') from None
    return dimod
