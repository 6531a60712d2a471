"""Instances whose lowest energies are known: planted, or in the limit of many neurons."""

from typing import NamedTuple

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from energyam import checks
from energyam.linalg import dot
from energyam.memories.hopfield import HopfieldNetwork
from energyam.shown import shown


@shown()
class Planted(NamedTuple):
    """A network with its ground states, ±`state` (D,), and their `energy`, up to rounding.

    >>> found = eam.ising.planted(16, 32, key=jr.key(0))
    >>> bool(eam.is_local_minimum(found.memory, found.state))
    True
    """

    memory: HopfieldNetwork
    state: Float[Array, " D"]
    energy: Float[Array, ""]


def planted(num_neurons: int, num_columns: int, *, key: PRNGKeyArray) -> Planted:
    """A Wishart instance: a network whose ground states are known by construction.

    For a hidden state t and M columns w ~ N(0, I − ttᵀ/D), so that Wᵀt = 0, the couplings are those of A =
    −WWᵀ/D without its diagonal, and E(x) = ½ ‖Wᵀx‖²/D + ½ tr A. The lowest states are ±t, at ½ tr A. With few
    columns the search is hard: annealing rarely finds t for M/D of about .4 to 1, and easily above 1.6.

    **Arguments:** `num_neurons`: D; `num_columns`: M, both at least 1. Raises `ValueError` for others.

    Hamze, Raymond, Pattison, Biswas & Katzgraber, Phys. Rev. E 101 (2020).

        >>> found = eam.ising.planted(16, 32, key=jr.key(0))
        >>> float(found.memory.energy(found.state)), float(found.energy)
        (-16.329328536987305, -16.329328536987305)
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

        >>> network = eam.ising.sherrington_kirkpatrick(64, key=jr.key(0))
        >>> network.weights.shape, float(jnp.abs(jnp.diag(network.weights)).max())
        ((64, 64), 0.0)
    """
    D = checks.count("num_neurons", num_neurons)
    checks.key("key", key)
    upper = jnp.triu(jr.normal(key, (D, D)) / D**0.5, 1)
    return HopfieldNetwork(upper + upper.T)
