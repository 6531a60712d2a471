"""Partition functions in closed form or by enumeration, and independent samples, to check samplers with."""

import itertools
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from energyam import checks
from energyam.dynamics.states import layers_of
from energyam.memories.base import AbstractDenseAM
from energyam.memories.neurons import cost_nothing
from energyam.partition.enumeration import bits_of, checked_temperature, enumerated, finite
from energyam.partition.mixture import mixture_at

_MOST_CLASSES = 2**24  # combinations of counts of neurons of a kind
_BLOCK = 2**14


def log_partition(memory: Any, temperature: ArrayLike) -> float:
    """log Z at a temperature, exact: Z = Σ_x exp(−E(x)/T) over discrete states, or the integral over real
    ones.

    Four ways, the first that is feasible:

    - log-sum-exp memories where 1/T counts whole copies of the mixture (an `ExponentialDenseAM` at T = 1, ½,
      …, a `ModernHopfield` at T = 1/β, 1/2β, …): exp(−E/T) is a mixture of products, or of Gaussians, in
      closed form. T = 1: log K + D log(2 cosh β).
    - dense memories of two-valued neurons with few patterns: neurons with equal columns of Ξ (for ±1 neurons
      up to the sign) are alike, and only how many of a kind have each value counts.
    - layers of which some are independent given the rest (`HierarchicalMemory.sums_out`): these are summed
      over in closed form and up to 2^24 states of the rest are enumerated, those of 20 hidden units, say,
      beside any number of visible ones.
    - enumeration of up to 2^24 states, such as those of 24 neurons ±1 or 0/1, of all layers together and of
      any memory.

    The precision is that of the memory's energies. Raises `ValueError` for T ≤ 0, and if none of these ways
    is feasible (`annealed_log_partition` then estimates log Z).

        >>> network = eam.HopfieldNetwork(jnp.array([[0.0, 1.0], [1.0, 0.0]]))
        >>> eam.evaluation.log_partition(network, 1.0), float(np.log(2 * np.exp(1) + 2 * np.exp(-1)))
        (1.820075273513794, 1.8200751916029179)
    """
    T = checked_temperature(temperature)
    mixture = mixture_at(memory, T)
    if mixture is not None:
        return mixture.log_partition()
    kinds = _kinds_of(memory)
    if kinds is not None:
        return _by_kinds(memory, kinds, T)
    return finite(float(np.logaddexp.reduce(enumerated(_with_fewest_bits(memory, T), _nothing, T)[0])))


def _nothing(state):  # one function for all calls, so that another memory of the same shapes compiles nothing
    return ()


class _SummedOut(eqx.Module):
    """The layers that are left of a memory once others are summed over: the energy is their free energy."""

    memory: Any
    temperature: Float[Array, ""]
    names: tuple[str, ...] = eqx.field(static=True)  # of the layers that are left

    @property
    def neurons(self):
        return {name: self.memory.neurons[name] for name in self.names}

    @property
    def state_shape(self):
        return {name: self.memory.state_shape[name] for name in self.names}

    def energy(self, state):
        return self.memory.free_energy(state, self.temperature)


def _with_fewest_bits(memory, T):
    """The memory, or what is left of it once those layers are summed over that leave the fewest states."""
    if not checks.has_method(memory, "sums_out"):
        return memory
    parts = itertools.chain(*(itertools.combinations(memory.order, n) for n in range(1, len(memory.order))))
    left = [part for part in parts if memory.sums_out(*(set(memory.order) - set(part)))]
    candidates = [memory, *(_SummedOut(memory, jnp.asarray(T, float), part) for part in left)]
    return min(candidates, key=lambda one: bits_of(layers_of(one, None, True)))


def sample_exactly(
    memory: Any, num_samples: int, temperature: ArrayLike = 1.0, *, key: PRNGKeyArray
) -> Float[Array, "S D"]:
    """Independent samples of exp(−E/T), where that is a mixture in closed form: no chain, no burn-in.

    For log-sum-exp memories of overlaps or distances, at some temperatures: an `ExponentialDenseAM` at T = 1,
    ½, …, a `ModernHopfield` at T = 1/β, 1/2β, …. One or several patterns are drawn by the weights of their
    terms, and then all neurons at once, as in `BlockGibbs`.

    **Arguments:** `num_samples`: S; `temperature`: T > 0; `key`. Raises `ValueError` for others, and for a
    memory that is no such mixture at T, with where one is.

        >>> memory = eam.ExponentialDenseAM(jnp.array([[1, 1, 1, 1]]), beta=0.5)
        >>> states = eam.evaluation.sample_exactly(memory, 10_000, key=jr.key(0))
        >>> bool(jnp.allclose(states.mean(0), jnp.tanh(0.5), atol=0.03))
        True
    """
    T = checked_temperature(temperature)
    num_samples = checks.count("num_samples", num_samples)
    checks.key("key", key)
    mixture = mixture_at(memory, T)
    if mixture is None:
        raise ValueError(
            f"memory must be a mixture in closed form at temperature {T:g}; {type(memory).__name__} is none "
            "there (log-sum-exp memories are where 1/T is a whole number: ExponentialDenseAM at T = 1, 1/2, "
            "…, ModernHopfield at T = 1/β, 1/2β, …; eam.sample takes any memory)"
        )
    of_term, of_neurons = jr.split(key)
    blocks = [(members, mixture.log_weights(members, counts)) for members, counts in mixture.terms()]
    members, logs = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    shares = np.cumsum(np.exp(logs - logs.max()))
    u = np.asarray(jr.uniform(of_term, (num_samples,)), float)
    chosen = np.minimum(np.searchsorted(shares / shares[-1], u, side="right"), len(members) - 1)
    fields = jnp.asarray(T * mixture.beta * mixture.patterns[members[chosen]].sum(axis=1), float)
    numbers = jnp.asarray(mixture.curvature, float), jnp.asarray(T, float)
    return _drawn(memory.neurons, fields, *numbers, jr.split(of_neurons, num_samples))


@eqx.filter_jit
def _drawn(neurons, fields, curvature, temperature, keys):
    draw = lambda field, key: neurons.draw(field, curvature, temperature, key=key)  # noqa: E731
    return jax.vmap(draw)(fields, keys)


class _Kinds(NamedTuple):
    """Neurons alike: the column of Ξ of each kind (C, K), and how many neurons are of it."""

    columns: Float[np.ndarray, "C K"]
    counts: tuple[int, ...]


def _kinds_of(memory):
    """The few kinds of neurons of a dense memory of overlaps and two-valued neurons; None for others."""
    if not isinstance(memory, AbstractDenseAM) or not memory.similarity.overlaps:
        return None
    values = memory.neurons.values
    if values is None or not cost_nothing(memory.neurons):
        return None
    columns = np.asarray(memory.patterns, float).T
    if values[0] == -values[1]:  # a neuron and its opposite are alike
        nonzero = columns != 0
        first = np.where(nonzero.any(axis=1), nonzero.argmax(axis=1), 0)
        signs = np.sign(columns[np.arange(len(columns)), first])
        columns = columns * np.where(signs == 0, 1, signs)[:, None]
    kinds, counts = np.unique(columns, axis=0, return_counts=True)
    most = min(_MOST_CLASSES, 2 ** min(memory.num_neurons, 60))
    numbers = tuple(int(n) for n in counts)
    return _Kinds(kinds, numbers) if math.prod(n + 1 for n in numbers) <= most else None


def _by_kinds(memory, kinds, T):
    """log Σ over how many neurons of each kind are turned, Π binomial · exp(potential / T)."""
    sizes = [n + 1 for n in kinds.counts]
    logs = []
    columns = jnp.asarray(kinds.columns, float)
    for start in range(0, math.prod(sizes), _BLOCK):
        numbers = np.arange(start, min(start + _BLOCK, math.prod(sizes)))
        turned = np.stack(np.unravel_index(numbers, sizes), axis=1)
        low, high = memory.neurons.values
        sums = high * np.asarray(kinds.counts) - (high - low) * turned
        potentials = _potentials(memory.separation, columns, jnp.asarray(sums, float))
        ways = sum(_log_binomials(n)[turned[:, c]] for c, n in enumerate(kinds.counts))
        logs.append(np.logaddexp.reduce(ways + np.asarray(potentials, float) / T))
    return finite(float(np.logaddexp.reduce(logs)))


@eqx.filter_jit
def _potentials(separation, columns, sums):
    return jax.vmap(lambda sums: separation.potential(sums @ columns))(sums)


def _log_binomials(n):
    log_factorials = np.cumsum([0.0, *np.log(np.arange(1, n + 1))])
    return log_factorials[n] - log_factorials - log_factorials[::-1]
