"""Small memories of any neurons with all their states, the energies of these, and their single moves."""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from plain_energies import energies_of_states
from zoo import POTTS, ZERO_ONE, Layered, entries

WHOLE = {"signs": (-1, 1), "bits": (0, 1), "zeros": (-1, 0, 1)}  # the entries of patterns


class Enumerated(NamedTuple):
    """A memory, all its states (n, …), their energies in float64, and moves by index of the state.

    `neighbours` (n, U, k): where the other values of each unit lead, −1 where it has fewer.
    """

    memory: Any
    states: Any
    energies: np.ndarray
    neighbours: np.ndarray

    @property
    def changes(self) -> np.ndarray:
        """E(x) − E(x′) of each state and move, (n, U, k); 0 where there is none."""
        changes = self.energies[:, None, None] - self.energies[self.neighbours]
        return np.where(self.neighbours >= 0, changes, 0)

    @property
    def minima(self) -> np.ndarray:
        """Which states (n,) no single move takes lower."""
        return (self.changes <= 1e-9).all(axis=(1, 2))

    def places(self, states) -> np.ndarray:
        """The indices of given states (…, N)."""
        every = {row.tobytes(): i for i, row in enumerate(flat(self.states, 1))}
        given = flat(states, jax.tree.leaves(states)[0].ndim - jax.tree.leaves(self.states)[0].ndim + 1)
        return np.array([every[row.tobytes()] for row in given])

    def counts(self, states) -> np.ndarray:
        """How often each state came."""
        return np.bincount(self.places(states), minlength=len(self.energies))


def flat(states, axes) -> np.ndarray:
    """All layers of states as one axis, and all axes before as one, in float64."""
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(states)]
    rows = int(np.prod(leaves[0].shape[:axes]))
    return np.concatenate([leaf.reshape(rows, -1) for leaf in leaves], axis=1) + 0.0  # no −0


def all_values(widths):
    """The value (n, U) of each unit in each state, and the index (n, U, k) of the states with one other."""
    values = np.array(list(itertools.product(*map(range, widths))))
    strides = np.cumprod([1, *widths[:0:-1]])[::-1]
    index, most = values @ strides, max(widths) - 1
    neighbours = np.full((*values.shape, most), -1)
    for u, width in enumerate(widths):
        for k in range(width - 1):
            other = (values[:, u] + 1 + k) % width
            neighbours[:, u, k] = index + (other - values[:, u]) * strides[u]
    return values, neighbours


def of_bits(name, kind="signs", D=6, K=4, seed=21) -> Enumerated:
    """A memory of 0/1 states, from patterns of a kind of entries."""
    X = entries(seed, K, D, WHOLE[kind])
    values, neighbours = all_values([2] * D)
    memory = ZERO_ONE[name](X)
    return Enumerated(memory, jnp.asarray(values, float), energies_of_states(name, X, values), neighbours)


def of_units(name, kind="signs", units=3, K=4, seed=21) -> Enumerated:
    """A memory of units of three values."""
    X = entries(seed, K, 3 * units, WHOLE[kind])
    values, neighbours = all_values([3] * units)
    one_hot = np.eye(3)[values]
    energies = energies_of_states(name, X, one_hot.reshape(len(values), -1))
    memory = POTTS[name](X)
    shaped = one_hot.reshape(len(values), *memory.state_shape)
    return Enumerated(memory, jnp.asarray(shaped, float), energies, neighbours)


def of_layers(seed=3) -> Enumerated:
    """A memory of three layers: bits, signs and units, as a dictionary of layers has them in its order."""
    sizes = {"bits": 2, "signs": 3, "units": 2}
    N = 2 + 3 + 3 * 2
    W = np.random.default_rng(seed).normal(size=(N, N)) / N**0.5
    W = (W + W.T) / 2
    memory = Layered(jnp.asarray(W, float), (sizes["signs"], sizes["bits"], sizes["units"]))
    values, neighbours = all_values([2] * 5 + [3] * 2)
    bits, signs, units = values[:, :2], 2 * values[:, 2:5] - 1, np.eye(3)[values[:, 5:]]
    states = {"bits": bits, "signs": signs, "units": units}
    x = np.concatenate([signs, bits, units.reshape(len(units), -1)], axis=1)
    W = np.asarray(memory.weights, np.float64)
    energies = -0.5 * np.einsum("ni,ij,nj->n", x, W, x) - (np.tanh(x @ W) ** 2).sum(1)
    return Enumerated(memory, {k: jnp.asarray(v, float) for k, v in states.items()}, energies, neighbours)
