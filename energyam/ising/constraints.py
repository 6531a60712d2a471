"""Constraints as penalties: each adds what breaking it costs, and can be checked on an answer."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from energyam import checks
from energyam.ising.coefficients import Coefficients, merge
from energyam.ising.problem import Constraint, Problem
from energyam.ising.terms import Labels


class Slack(NamedTuple):
    """The label of a bit that `at_most` adds; it stands in no answer by label."""

    constraint: int
    place: int


def one_hot(problem: Problem, labels: Labels, penalty: checks.Number) -> Problem:
    """The problem in which exactly one of some variables is 1: it adds penalty · (Σ z_i − 1)².

    **Arguments:** as in `equals`, which it is with a value of 1.
    """
    return equals(problem, labels, 1, penalty)


def equals(
    problem: Problem, labels: Labels | Mapping[Hashable, Any], value: checks.Number, penalty: checks.Number
) -> Problem:
    """The problem in which a sum of variables has a value: it adds penalty · (Σ a_i z_i − value)².

    Spins count as bits z = (1 + s)/2. Take a penalty above what breaking the constraint may gain: too small
    a one is broken, which `problem.broken(answer)` says, and a large one makes the search slower.

    **Arguments:** `problem`: a `Problem`, which is left as it is; `labels`: those of the variables that are
    summed, or {label: a} for a weighted sum; `value`: a number; `penalty`: above 0, in units of the energy.
    Raises `ValueError` for others, and for labels that the problem doesn't have.
    """
    weights = _weights(problem, labels)
    value = checks.number("value", value)
    return _added(problem, weights, value, _penalty(penalty), Constraint("", weights, value, value))


def at_most(
    problem: Problem, labels: Labels | Mapping[Hashable, Any], count: int, penalty: checks.Number
) -> Problem:
    """The problem in which a sum of variables is at most `count`, as within a budget.

    If at most one of them may be 1, it adds penalty · Σ_{i<j} z_i z_j. Otherwise it adds bits that count what
    is left, whose labels no answer shows, and penalty · (Σ a_i z_i + what is left − count)².

    **Arguments:** as in `equals`, with whole weights a of at least 0; `count`: at least 1. Count in large
    units, such as thousands: the penalty grows with the square of what is too much. Raises `ValueError` for
    others.
    """
    weights, penalty, most = _weights(problem, labels), _penalty(penalty), checks.count("count", count)
    for label, a in weights.items():
        if a < 0 or a != round(a):
            raise ValueError(f"labels must have whole weights of at least 0; got {a:g} for {label!r}")
    rule = Constraint("", weights, 0, most)
    if most >= sum(weights.values()):
        return _noted(problem, rule)
    if most == 1 and set(weights.values()) == {1.0}:
        index = np.array([k for k, label in enumerate(problem.labels) if label in weights])
        pairs = index[np.stack(np.triu_indices(len(index), 1), axis=1)]
        energy = Coefficients(np.zeros(len(problem.labels)), pairs, np.full(len(pairs), penalty))
        return _noted(_plus(problem, energy), rule)
    slack, rest = dict[Hashable, float](), most
    while rest:  # 1, 2, 4, …, and what is left, so that every number up to `count` is a sum of them
        worth = min(2 ** len(slack), rest)
        slack[Slack(len(problem.constraints), len(slack))] = float(worth)
        rest -= worth
    wider = Problem(
        problem.given.plus(_nothing(len(problem.labels) + len(slack))),
        (*problem.labels, *slack),
        problem.vartype,
        problem.neurons,
        problem.constraints,
    )
    return _added(wider, weights | slack, most, penalty, rule)


def _added(problem, weights, value, penalty, rule):
    """With penalty · (Σ a_i z_i − value)² added."""
    index = {label: k for k, label in enumerate(problem.labels)}
    at, a = np.array([index[label] for label in weights], np.int64), np.array(list(weights.values()), float)
    linear = np.zeros(len(problem.labels))
    linear[at] = penalty * a * (a - 2 * value)
    i, j = np.triu_indices(len(at), 1)
    pairs = merge(np.stack([at[i], at[j]], axis=1), 2 * penalty * a[i] * a[j], len(linear))
    return _noted(_plus(problem, Coefficients(linear, *pairs, penalty * value**2)), rule)


def _plus(problem, energy):
    """With an energy of bits added."""
    energy = energy if problem.vartype == "BINARY" else energy.substituted(0.5, 0.5)
    given = problem.given.plus(energy)
    return Problem(given, problem.labels, problem.vartype, problem.neurons, problem.constraints)


def _noted(problem, rule):
    rules = (*problem.constraints, rule._replace(name=_name(rule)))
    return Problem(problem.given, problem.labels, problem.vartype, problem.neurons, rules)


def _name(rule):
    few = ", ".join(map(str, list(rule.weights)[:4])) + (", …" if len(rule.weights) > 4 else "")
    if rule.low != rule.high:
        return f"at most {rule.high:g} of {few}"
    plain = set(rule.weights.values()) <= {1.0}
    return f"exactly {rule.low:g} of {few}" if plain else f"a sum of {rule.low:g} over {few}"


def _weights(problem, labels):
    checks.instance("problem", problem, Problem, " (say eam.ising.from_qubo(Q))")
    if isinstance(labels, str) or not isinstance(labels, Mapping | Sequence | range | set | frozenset):
        raise ValueError(f"labels must be those of several variables; got {labels!r:.80}")
    weights = {label: 1.0 for label in labels}
    if isinstance(labels, Mapping):
        weights = {label: checks.number(f"labels[{label!r}]", a) for label, a in labels.items()}
    known = set(problem.labels) if not isinstance(problem.labels, range) else problem.labels
    for label in weights:
        if label not in known:
            raise ValueError(f"labels must be of the problem; it has no variable {label!r}")
    if not weights or len(weights) != len(labels):
        raise ValueError(f"labels must be of different variables, at least one; got {labels!r:.80}")
    return weights


def _penalty(penalty):
    checks.positive("penalty", penalty)
    return checks.number("penalty", penalty)


def _nothing(D):
    return Coefficients(np.zeros(D), np.zeros((0, 2), np.int64), np.zeros(0))
