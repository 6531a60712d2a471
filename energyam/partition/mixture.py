"""Log-sum-exp memories at the temperatures where exp(−E/T) is a mixture in closed form."""

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from energyam.memories.base import AbstractDenseAM
from energyam.memories.hidden import can_be_drawn

_MOST_TERMS = 10**6  # Gaussians or products that a power of a mixture has
_BLOCK = 2**14


class Mixture(NamedTuple):
    """exp(−E/T) as a sum of terms exp((field · x − ½ curvature ‖x‖² − R(x))/T + offset), products of neurons.

    A term is that of p patterns, with multiplicity: field = T β Σ ξ.
    """

    patterns: Float[np.ndarray, "K D"]
    offsets: Float[np.ndarray, " K"]  # of a pattern
    beta: int | float
    copies: int  # p
    curvature: int | float
    neurons: Any
    temperature: int | float

    def log_partition(self) -> float:
        """log Z, the sum of the terms' logs."""
        return float(np.logaddexp.reduce([np.logaddexp.reduce(self.log_weights(*b)) for b in self.terms()]))

    def terms(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of terms: the patterns of each (t, p), and the log of how often it occurs (t,)."""
        every = itertools.combinations_with_replacement(range(len(self.patterns)), self.copies)
        while block := list(itertools.islice(every, _BLOCK)):
            orders = [sum(math.lgamma(t.count(i) + 1) for i in set(t)) for t in block]
            yield np.asarray(block), math.lgamma(self.copies + 1) - np.asarray(orders)

    def log_weights(self, members: np.ndarray, log_counts: np.ndarray) -> np.ndarray:
        """The log of the integral, or sum, of each term."""
        fields = self.temperature * self.beta * self.patterns[members].sum(axis=1)
        logs = self.neurons.log_partition(fields, self.curvature, self.temperature)
        return log_counts + self.offsets[members].sum(axis=1) + np.asarray(logs).sum(axis=-1)


def mixture_at(memory: Any, temperature: int | float) -> Mixture | None:
    """exp(−E/T) of a log-sum-exp memory as a mixture, where it is one of few enough terms; else None."""
    hidden = memory.separation.hidden() if isinstance(memory, AbstractDenseAM) else None
    copies = None if hidden is None else hidden.copies(float(temperature))
    if copies is None or not can_be_drawn(memory.neurons):
        return None
    rows, origin = memory.patterns[:1], jnp.zeros(memory.patterns.shape[1])
    one = np.ones(memory.neurons.unit or 1)  # neuron, or unit
    pull = memory.similarity.field(rows, jnp.ones(1), None)
    if pull is None or memory.neurons.log_partition(0 * one, 1.0, 1.0) is None:
        return None
    (p, beta), X = copies, np.asarray(memory.patterns, float)
    if math.comb(len(X) + p - 1, p) > _MOST_TERMS:
        return None
    curvature = temperature * beta * p * float(pull[1])
    with np.errstate(divide="ignore"):
        here = memory.neurons.log_partition(one, curvature, float(temperature))
    if not np.isfinite(here).all():
        of = f"the energy of {type(memory).__name__} with neurons {type(memory.neurons).__name__}()"
        raise ValueError(f"memory must hold its states: {of} has no lowest value, and no partition function")
    offsets = beta * np.asarray(_similarities(memory.similarity, memory.patterns, origin), float)
    return Mixture(X, offsets, beta, p, curvature, memory.neurons, float(temperature))


@eqx.filter_jit  # by itself a loop over blocks of patterns would be compiled at each call
def _similarities(similarity, patterns, state):
    return similarity.of_all(patterns, state)
