"""The answer of a search for the lowest state: the states of all chains by their energy, and a table."""

import html
from collections.abc import Hashable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from energyam import checks
from energyam.dynamics.asynchronous import is_local_minimum
from energyam.ising.models import sample_set
from energyam.ising.problem import Problem, Slack
from energyam.shown import counted

_ROWS, _WIDE = 5, 56  # of the table: different states, and letters for one of them


class Minimum(NamedTuple):
    """The final states of all chains, from the lowest energy up.

    `states`: the states of the chains, in the values of the memory; `energies` (num_chains,): for a problem
    its own energies, with the offset and in double precision; `counts`: how many chains ended in the same
    state; `minima`: whether no single move lowers the energy further (see `energyam.is_local_minimum`). None
    of these searches can prove that no other state is lower. `problem`: the problem that was searched, or
    None for a memory.

        >>> network = eam.HopfieldNetwork(jnp.array([[0.0, -1.0], [-1.0, 0.0]]))
        >>> found = eam.ising.minimize(network, 4, 10, key=jr.key(0))
        >>> float(found.energies[0]), bool(found.minima[0])
        (-1.0, True)
    """

    states: PyTree[Array]
    energies: Float[Array | np.ndarray, " num_chains"]
    counts: Int[Array | np.ndarray, " num_chains"]
    minima: Bool[Array | np.ndarray, " num_chains"]
    problem: Problem | None = None

    @property
    def state(self) -> PyTree[Array]:
        """The lowest state, in the values of the memory."""
        return jax.tree.map(lambda leaf: leaf[0], self.states)

    @property
    def energy(self) -> Any:
        """The lowest energy."""
        return self.energies[0]

    @property
    def is_minimum(self) -> Any:
        """Whether no single move lowers the lowest state further."""
        return self.minima[0]

    @property
    def best(self) -> dict[Hashable, Any]:
        """The lowest state as {label: value}, in the user's labels and values; for a memory the labels are
        numbers."""
        return self.answer(0)

    @property
    def broken(self) -> list[str]:
        """The constraints that the lowest state breaks, by their names."""
        return [] if self.problem is None else self.problem.broken(self.answer(0, slack=True))

    def answer(self, chain: int, slack: bool = False) -> dict[Hashable, Any]:
        """The state of a chain as {label: value}, without the bits that `at_most` adds unless you ask for
        them. Raises `ValueError` for a chain that is not from 0 to num_chains − 1."""
        chain = checks.count("chain", chain, least=0, most=len(self.energies) - 1)
        slack = checks.flag("slack", slack)
        state = jax.tree.map(lambda leaf: np.asarray(leaf[chain]), self.states)
        if self.problem is not None:
            values, labels = self.problem.values(state).tolist(), self.problem.labels
            named = zip(labels, values, strict=True)
            return {label: v for label, v in named if slack or not isinstance(label, Slack)}
        if isinstance(state, np.ndarray) and state.ndim == 1:
            return dict(enumerate(state.astype(int).tolist()))
        return state if isinstance(state, dict) else {0: state}

    def to_sampleset(self) -> Any:
        """The different states as a `dimod.SampleSet`, in the problem's labels and vartype, with counts.

        Raises `ValueError` if a memory was searched, and `ImportError` without dimod (the extra `ising`).
        """
        if self.problem is None:
            raise ValueError("minimize must be given a Problem, which has labels; it was given a memory")
        different = self._different()
        values = self.problem.values(np.asarray(self.states)[different])
        energies, counts = np.asarray(self.energies), np.asarray(self.counts)
        return sample_set(self.problem, values, energies[different], counts[different])

    def __repr__(self) -> str:
        head, rows, more = self._table()
        wide = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
        lines = [
            "  ".join(cell.rjust(w) for cell, w in zip(row[:-1], wide, strict=False)) for row in (head, *rows)
        ]
        shown = (f"  {line}  {row[-1]}" for line, row in zip(lines, (head, *rows), strict=True))
        return "\n".join([self._title(), *shown, *more])

    def _repr_html_(self) -> str:
        head, rows, more = self._table()
        lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in (head, *rows)]
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        return f"<table><caption>{html.escape(self._title())}</caption>{body}</table>{''.join(more)}"

    def _title(self):
        chains, states = len(self.energies), len(self._different())
        return f"Minimum of {counted(chains, 'chain')}, {counted(states, 'different state')}"

    def _table(self):
        """The heads, a row for each of the lowest different states, and what there is beside."""
        different, constrained = (
            self._different(),
            bool(self.problem is not None and self.problem.constraints),
        )
        head = ["energy", "chains", "minimum", *(["broken"] if constrained else []), "state"]
        rows = []
        problem: Any = self.problem
        for k in different[:_ROWS]:
            cells = [
                f"{float(self.energies[k]):.10g}",
                str(self.counts[k]),
                "yes" if self.minima[k] else "no",
            ]
            if constrained:
                cells.append(str(len(problem.broken(self.answer(k, slack=True)))))
            rows.append([*cells, self._spelled(k)])
        return head, rows, [f"  … {len(different) - _ROWS} more"] if len(different) > _ROWS else []

    def _spelled(self, chain):
        """The labels of the neurons at their upper value, as many as a line holds."""
        upper = [str(label) for label, v in self.answer(chain).items() if np.ndim(v) == 0 and v > 0]
        text = ", ".join(upper[:_WIDE])
        sign = "1" if self.problem is not None and self.problem.vartype == "BINARY" else "+"
        return f"{sign} at {text[:_WIDE]}{' …' if len(text) > _WIDE else ''}" if upper else f"{sign} at none"

    def _different(self):
        """The first chain of each of the different states, which lie beside one another."""
        firsts, k = [], 0
        while k < len(self.counts):
            firsts.append(k)
            k += int(self.counts[k])
        return firsts


def answer_of(problem: Problem | None, memory: Any, states: PyTree[Array]) -> Minimum:
    """The answer of chains that ended in `states`; those of a problem by its couplings as they were given."""
    if problem is None:
        energies, minima = energies_of(None, memory, states), np.asarray(is_local_minimum(memory, states))
    else:
        low = 0 if problem.vartype == "BINARY" else -1
        values = problem.given.descended(problem.values(states).astype(np.float64), low)
        energies, minima = problem.given.energies(values), np.ones(len(values), bool)
        states = jnp.asarray(problem.states(values), states.dtype)
    flat = np.concatenate([np.reshape(leaf, (len(energies), -1)) for leaf in jax.tree.leaves(states)], axis=1)
    _, which, counts = np.unique(flat, axis=0, return_inverse=True, return_counts=True)
    order = np.lexsort((which.ravel(), energies))
    states = jax.tree.map(lambda leaf: jnp.asarray(leaf)[order], states)
    return Minimum(states, energies[order], counts[which.ravel()][order], minima[order], problem)


def energies_of(problem: Problem | None, memory: Any, states: PyTree[Array]) -> np.ndarray:
    """The energies of states with one axis in front, of a problem in double precision."""
    if problem is not None:
        return problem.given.energies(problem.values(states).astype(np.float64))
    return np.asarray(_energies(memory, states))


@eqx.filter_jit
def _energies(memory, states):
    return jax.lax.map(memory.energy, states, batch_size=8)  # all at once, each edge would be held 64 times
