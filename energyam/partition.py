"""Exact partition functions and expectations of small or simple memories, for the checking of samplers."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jax.scipy.special import logsumexp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from energyam import checks
from energyam.dynamics.states import layers_of
from energyam.flips.derived import scalar_energy
from energyam.memories.dense import AbstractDenseAM
from energyam.memories.neurons import Binary, Continuous, Free
from energyam.memories.separation import LogSumExp
from energyam.memories.similarity import Dot, NegativeDistance

MOST_NEURONS = 24  # that are enumerated
_MOST_CLASSES = 2**24  # combinations of counts of neurons of a kind
_MOST_TERMS = 10**6  # Gaussians or products that a power of a mixture has
_BLOCK = 2**14


def log_partition(memory: Any, temperature: ArrayLike) -> float:
    """log Z at a temperature, exact: Z = Σ_x exp(−E(x)/T) over ±1 states, or the integral over real ones.

    Three ways, the first that is feasible:

    - log-sum-exp memories where 1/T counts whole copies of the mixture (an `ExponentialDenseAM` at T = 1, ½,
      …, a `ModernHopfield` at T = 1/β, 1/2β, …): exp(−E/T) is a mixture of products, or of Gaussians, in
      closed form. T = 1: log K + D log(2 cosh β).
    - dense memories of ±1 neurons with few patterns: neurons whose columns of Ξ agree up to sign are alike,
      and only how many of a kind agree with the patterns counts.
    - enumeration of all states of up to 24 ±1 neurons, in all layers together, of any memory.

    In the precision of the memory's energies. Raises `ValueError` for T ≤ 0, and where none of this is
    feasible, with what would be.
    """
    T = _checked_temperature(temperature)
    mixture = mixture_at(memory, T)
    if mixture is not None:
        return mixture.log_partition()
    kinds = _kinds_of(memory)
    if kinds is not None and math.prod(n + 1 for n in kinds.counts) <= min(
        _MOST_CLASSES, 2 ** min(memory.num_neurons, 60)
    ):
        return _by_kinds(memory, kinds, T)
    return _finite(float(np.logaddexp.reduce(_enumerate(memory, lambda state: (), T)[0])))


def expectation(
    memory: Any, function: Callable[[PyTree[Array]], PyTree[Array]], temperature: ArrayLike
) -> PyTree[np.ndarray]:
    """Σ_x p(x) function(x), p ∝ exp(−E/T), by enumeration of all states of up to 24 ±1 neurons.

    **Arguments:** `function`: one state → a pytree of arrays. Raises `ValueError` as `log_partition` does.
    """
    T = _checked_temperature(temperature)
    logs, means = _enumerate(memory, function, T)
    weights = np.exp(logs - _finite(float(np.logaddexp.reduce(logs))))
    mean = lambda of_blocks: np.asarray(np.tensordot(weights, np.asarray(of_blocks, float), 1))  # noqa: E731
    return jax.tree.map(mean, means)


def sample_exactly(
    memory: Any, num_samples: int, temperature: ArrayLike = 1.0, *, key: PRNGKeyArray
) -> Float[Array, "S D"]:
    """Independent samples of exp(−E/T), where that is a mixture in closed form: no chain, no burn-in.

    Of log-sum-exp memories by overlaps or distances, where 1/T counts whole copies of the sum: an
    `ExponentialDenseAM` at T = 1, ½, …, a `ModernHopfield` at T = 1/β, 1/2β, …. A pattern, or several, are
    drawn as often as their terms weigh, then all neurons at once, as `BlockGibbs` does.

    **Arguments:** `num_samples`: S; `temperature`: T > 0; `key`. Raises `ValueError` for others, and for a
    memory that is no such mixture at T, with where one is.
    """
    T = _checked_temperature(temperature)
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
    h = jnp.asarray(mixture.beta * mixture.patterns[members[chosen]].sum(axis=1), float)
    if mixture.binary:
        return jnp.where(2 * h > jr.logistic(of_neurons, h.shape, h.dtype), 1.0, -1.0)
    a = mixture.curvature
    return h / a + jr.normal(of_neurons, h.shape, h.dtype) / a**0.5


def _checked_temperature(temperature):
    T = checks.number("temperature", temperature)
    if T <= 0:
        raise ValueError(f"temperature must be positive and finite; got {temperature}")
    return T


class Mixture(NamedTuple):
    """exp(−E/T) as a sum of terms exp(offset + h · x − ½ curvature ‖x‖²), each a product or a Gaussian.

    A term is that of p patterns, with multiplicity: h = β Σ ξ. `binary`: states are ±1.
    """

    patterns: Float[np.ndarray, "K D"]
    offsets: Float[np.ndarray, " K"]  # of a pattern
    beta: int | float
    copies: int  # p
    curvature: int | float
    binary: bool

    def log_partition(self) -> float:
        """log Z, the sum of the terms' logs."""
        return float(np.logaddexp.reduce([np.logaddexp.reduce(self.log_weights(*b)) for b in self.terms()]))

    def terms(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of terms: the patterns of each (t, p), and the log of how often it occurs (t,)."""
        every = itertools.combinations_with_replacement(range(len(self.patterns)), self.copies)
        while block := list(itertools.islice(every, _BLOCK)):
            counts = [
                math.lgamma(self.copies + 1) - sum(math.lgamma(t.count(i) + 1) for i in set(t)) for t in block
            ]
            yield np.asarray(block), np.asarray(counts)

    def log_weights(self, members: np.ndarray, log_counts: np.ndarray) -> np.ndarray:
        """The log of the integral, or sum, of each term."""
        h = self.beta * self.patterns[members].sum(axis=1)
        logs = log_counts + self.offsets[members].sum(axis=1)
        if self.binary:
            return logs + np.logaddexp(h, -h).sum(axis=1)
        D, a = h.shape[1], self.curvature
        return logs + 0.5 * (h**2).sum(axis=1) / a + 0.5 * D * math.log(2 * math.pi / a)


def mixture_at(memory: Any, temperature: int | float) -> Mixture | None:
    """exp(−E/T) of a log-sum-exp memory as a mixture, where it is one of few enough terms; else None."""
    known = isinstance(memory, AbstractDenseAM) and type(memory.separation) is LogSumExp
    if not known or type(memory.similarity) not in (Dot, NegativeDistance):
        return None
    kind, beta = type(memory.neurons), float(memory.separation.beta)
    if kind not in (Binary, Continuous, Free):
        return None
    power = (1 / beta if memory.separation.divided else 1.0) / temperature
    p, X = round(power), np.asarray(memory.patterns, float)
    if p < 1 or abs(power - p) > 1e-5 * p or math.comb(len(X) + p - 1, p) > _MOST_TERMS:
        return None
    distances = type(memory.similarity) is NegativeDistance
    binary = kind is Binary
    curvature = (kind is Continuous) / temperature + distances * p * beta
    if not binary and curvature == 0:
        raise ValueError(
            f"memory must hold its states: the energy of {type(memory).__name__} with neurons Free() has no "
            "lowest value, and no partition function"
        )
    sizes = 0.5 * (X**2).sum(axis=1) + (0.5 * X.shape[1] if binary else 0)
    return Mixture(X, -beta * distances * sizes, beta, p, curvature, binary)


class _Kinds(NamedTuple):
    """Neurons alike: the column of Ξ of each kind (C, K), and how many neurons have it or its opposite."""

    columns: Float[np.ndarray, "C K"]
    counts: tuple[int, ...]


def _kinds_of(memory):
    """The kinds of neurons of a dense memory of overlaps and ±1 neurons; None for others."""
    if not isinstance(memory, AbstractDenseAM) or type(memory.neurons) is not Binary:
        return None
    if type(memory.similarity) is not Dot:
        return None
    columns = np.asarray(memory.patterns, float).T
    nonzero = columns != 0
    first = np.where(nonzero.any(axis=1), nonzero.argmax(axis=1), 0)
    signs = np.sign(columns[np.arange(len(columns)), first])
    kinds, counts = np.unique(columns * np.where(signs == 0, 1, signs)[:, None], axis=0, return_counts=True)
    return _Kinds(kinds, tuple(int(n) for n in counts))


def _by_kinds(memory, kinds, T):
    """log Σ over how many neurons of each kind are turned, Π binomial · exp(potential / T)."""
    sizes = [n + 1 for n in kinds.counts]
    logs = []
    columns = jnp.asarray(kinds.columns, float)
    potentials = jax.jit(jax.vmap(lambda sums: memory.separation.potential(sums @ columns)))
    for start in range(0, math.prod(sizes), _BLOCK):
        numbers = np.arange(start, min(start + _BLOCK, math.prod(sizes)))
        turned = np.stack(np.unravel_index(numbers, sizes), axis=1)
        sums = np.asarray(kinds.counts) - 2 * turned
        ways = sum(_log_binomials(n)[turned[:, c]] for c, n in enumerate(kinds.counts))
        logs.append(np.logaddexp.reduce(ways + np.asarray(potentials(sums * 1.0), float) / T))
    return _finite(float(np.logaddexp.reduce(logs)))


def _log_binomials(n):
    log_factorials = np.cumsum([0.0, *np.log(np.arange(1, n + 1))])
    return log_factorials[n] - log_factorials - log_factorials[::-1]


def _enumerate(memory, function, T):
    """Of each block of states: log Σ exp(−E/T), and the mean of `function` in the block."""
    structure, shapes = _enumerable(memory)
    return _by_block(memory, function, jnp.asarray(T, float), structure, shapes)


def _enumerable(memory):
    """The structure and shapes of the states of a memory; raises `ValueError` unless they are ±1 and few."""
    name = type(memory).__name__
    if not checks.has_method(memory, "energy"):
        raise ValueError(f"memory must have an energy(state); {name} has none")
    if getattr(memory, "state_shape", None) is None:
        raise ValueError(f"memory must say state_shape, for its states to be enumerated; {name} has none")
    layers = layers_of(memory, None, True)
    if not all(layers.flippable):
        raise ValueError(
            f"memory must have ±1 neurons, or be a log-sum-exp memory of real ones at a temperature that "
            f"makes exp(−E/T) a mixture (ModernHopfield: T = 1/β); {name} is neither"
        )
    N = sum(map(math.prod, layers.shapes))
    if N > MOST_NEURONS:
        raise ValueError(
            f"memory must have at most {MOST_NEURONS} neurons to be enumerated; {name} has {N} (feasible "
            "too: log-sum-exp memories where 1/T is a whole number, or dense memories of very few patterns)"
        )
    return layers.structure, layers.shapes


@eqx.filter_jit
def _by_block(memory, function, T, structure, shapes):
    sizes = list(map(math.prod, shapes))
    N = sum(sizes)
    block = min(_BLOCK, 2**N)

    def state_of(number):
        bits = 1.0 - 2.0 * ((number >> jnp.arange(N)) & 1)
        parts = jnp.split(bits, np.cumsum(sizes)[:-1])
        return jax.tree.unflatten(structure, [p.reshape(s) for p, s in zip(parts, shapes, strict=True)])

    def of_block(start):
        states = jax.vmap(state_of)(start + jnp.arange(block))
        logs = -jax.vmap(scalar_energy(memory))(states) / T
        total = logsumexp(logs)
        weights = jnp.exp(logs - total)
        return total, jax.tree.map(lambda leaf: jnp.tensordot(weights, leaf, 1), jax.vmap(function)(states))

    logs, means = lax.map(of_block, jnp.arange(2**N // block) * block)
    return logs, means


def _finite(value):
    if not math.isfinite(value):
        raise ValueError(f"memory must have finite energies; its partition function came to {value}")
    return value
