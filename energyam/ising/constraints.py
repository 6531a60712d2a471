"""Constraints as penalties: each adds a cost for breaking it, and can be checked on an answer."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from energyam import checks
from energyam.ising.coefficients import Coefficients, merge
from energyam.ising.problem import Constraint, Problem, Slack
from energyam.ising.terms import Labels


def one_hot(problem: Problem, labels: Labels, penalty: checks.Number) -> Problem:
    """The problem with the constraint that exactly one of some variables is 1: adds penalty · (Σ z_i − 1)².

    **Arguments:** those of `equals`, with a value of 1.

        >>> problem = eam.ising.from_qubo({("a", "a"): -1.0, ("b", "b"): -2.0})
        >>> problem = eam.ising.one_hot(problem, ["a", "b"], penalty=10.0)
        >>> eam.ising.minimize(problem, 4, 10, key=jr.key(0)).best
        {'a': 0, 'b': 1}
    """
    return equals(problem, labels, 1, penalty)


def equals(
    problem: Problem, labels: Labels | Mapping[Hashable, Any], value: checks.Number, penalty: checks.Number
) -> Problem:
    """The problem with the constraint that a sum of variables has a value: adds penalty · (Σ a_i z_i −
    value)².

    Spins count as bits z = (1 + s)/2. Choose a penalty larger than what breaking the constraint may gain. If
    it is too small, answers break the constraint, as `problem.broken(answer)` shows; if it is very large, the
    search is slower.

    **Arguments:** `problem`: a `Problem`, which is not changed; `labels`: the labels of the variables in the
    sum, or {label: a} for a weighted sum; `value`: a number; `penalty`: above 0, in units of the energy.
    Raises `ValueError` for others, and for labels that the problem doesn't have.

        >>> problem = eam.ising.from_qubo({("a", "a"): -1.0, ("b", "b"): -2.0, ("c", "c"): -4.0})
        >>> problem = eam.ising.equals(problem, {"a": 1, "b": 2, "c": 3}, 3, penalty=10.0)
        >>> eam.ising.minimize(problem, 8, 50, key=jr.key(0)).best  # a + 2b + 3c = 3
        {'a': 0, 'b': 0, 'c': 1}
    """
    weights, value = _weights(problem, labels), checks.number("value", value)
    return _squared(
        problem, weights, value, penalty, Constraint(_name(weights, value), weights, value, value)
    )


def at_most(
    problem: Problem, labels: Labels | Mapping[Hashable, Any], count: int, penalty: checks.Number
) -> Problem:
    """The problem with the constraint that a sum of variables is at most `count`, such as a budget.

    If at most one of them may be 1, it adds penalty · Σ_{i<j} z_i z_j. Otherwise it adds bits for the unused
    part u of the budget, which answers by label leave out, and penalty · (Σ a_i z_i + u − count)².

    **Arguments:** as in `equals`, with whole weights a of at least 0; `count`: at least 1. Count in large
    units, such as thousands, because the penalty grows with the square of the excess. Raises `ValueError` for
    others.

        >>> problem = eam.ising.from_qubo({("a", "a"): -1.0, ("b", "b"): -2.0, ("c", "c"): -3.0})
        >>> problem = eam.ising.at_most(problem, ["a", "b", "c"], 2, penalty=10.0)
        >>> eam.ising.minimize(problem, 8, 50, key=jr.key(0)).best
        {'a': 0, 'b': 1, 'c': 1}
    """
    weights, most = _weights(problem, labels), checks.count("count", count)
    for label, a in weights.items():
        if a < 0 or a != round(a):
            raise ValueError(f"labels must have whole weights of at least 0; got {a:g} for {label!r}")
    rule = Constraint(_name(weights, most, "at most"), weights, 0, most)
    if most == 1 and set(weights.values()) == {1.0}:  # Σ_{i<j} z_i z_j = ½ (Σ z_i − ½)² − ⅛
        return _squared(problem, weights, 0.5, penalty, rule, share=0.5, lowest=0.125)
    slack, rest = dict[Hashable, float](), most if most < sum(weights.values()) else 0
    while rest:  # 1, 2, 4, …, and what is left, so that every number up to `count` is a sum of them
        worth = min(2 ** len(slack), rest)
        slack[Slack(len(problem.constraints), len(slack))] = float(worth)
        rest -= worth
    # Where nothing can be too much, the rule is noted, and costs nothing.
    return _squared(problem, weights, most, penalty, rule, slack, share=1.0 if slack else 0.0)


def _squared(problem, weights, value, penalty, rule, slack=(), share=1.0, lowest=0.0):
    """With penalty · (share · (Σ a_i z_i + slack − value)² − lowest) added, which is at least 0."""
    checks.positive("penalty", penalty)
    penalty, labels = checks.number("penalty", penalty), problem.labels
    labels = (*labels, *slack) if slack else labels
    index = {label: k for k, label in enumerate(labels)}
    weights = {**weights, **dict(slack)}
    at, a = np.array([index[label] for label in weights]), np.array(list(weights.values()), float)
    linear, (i, j), each = np.zeros(len(labels)), np.triu_indices(len(at), 1), share * penalty
    linear[at] = each * a * (a - 2 * value)
    pairs = merge(np.stack([at[i], at[j]], axis=1), 2 * each * a[i] * a[j], len(linear))
    energy = Coefficients(linear, *pairs, each * value**2 - penalty * lowest)
    energy = energy if problem.vartype == "BINARY" else energy.substituted(0.5, 0.5)
    given, rules = problem.given.plus(energy) if share else problem.given, (*problem.constraints, rule)
    return Problem(given, labels, problem.vartype, problem.neurons, rules)


def _name(weights, value, kind="exactly"):
    few = ", ".join(map(str, list(weights)[:4])) + (", …" if len(weights) > 4 else "")
    plain = kind != "exactly" or set(weights.values()) <= {1.0}
    return f"{kind} {value:g} of {few}" if plain else f"a sum of {value:g} over {few}"


def _weights(problem, labels):
    checks.instance("problem", problem, Problem, " (say eam.ising.from_qubo(Q))")
    if isinstance(labels, str) or not isinstance(labels, Mapping | Sequence | range | set | frozenset):
        raise ValueError(f"labels must be those of several variables; got {labels!r:.80}")
    known = problem.labels if isinstance(problem.labels, range) else set(problem.labels)
    try:
        weights = dict.fromkeys(labels, 1.0)
    except TypeError:  # of a list, which can't be the name of a variable
        raise ValueError(f"labels must be names of variables; got {labels!r:.80}") from None
    if isinstance(labels, Mapping):
        weights = {label: checks.number(f"labels[{label!r}]", a) for label, a in labels.items()}
    for label in weights:
        if label not in known:
            raise ValueError(f"labels must be of the problem; it has no variable {label!r}")
    if not weights or len(weights) != len(labels):
        raise ValueError(f"labels must be of different variables, at least one; got {labels!r:.80}")
    return weights
