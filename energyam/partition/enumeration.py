"""Expectations by enumeration of all states of neurons of few values, block by block in one program."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import logsumexp
from jaxtyping import Array, ArrayLike, Float, PyTree

from energyam import checks
from energyam.dynamics.states import Layers, layers_of
from energyam.flips.derived import scalar_energy

MOST_NEURONS = 24  # of two values; as many states of others
_BLOCK = 2**14


def expectation(memory: Any, function: Callable, temperature: ArrayLike) -> PyTree[np.ndarray]:
    """Σ_x p(x) function(x), p ∝ exp(−E/T), by enumeration of up to 2^24 states.

    **Arguments:** `function`: one state → a pytree of arrays. Raises `ValueError` as `log_partition` does.

        >>> network = eam.HopfieldNetwork(jnp.array([[0.0, 1.0], [1.0, 0.0]]))
        >>> eam.evaluation.expectation(network, lambda x: x[0] * x[1], 1.0), np.tanh(1.0)
        (array(0.76159412), np.float64(0.7615941559557649))
    """
    T = checked_temperature(temperature)
    of_state = jax.tree_util.Partial(_numbers_of, checks.function("function", function))
    logs, means = enumerated(memory, of_state, T)
    weights = np.exp(logs - finite(float(np.logaddexp.reduce(logs))))
    mean = lambda of_blocks: np.asarray(np.tensordot(weights, np.asarray(of_blocks, float), 1))  # noqa: E731
    return jax.tree.map(mean, means)


def _numbers_of(function, state):
    """`function(state)`; raises `ValueError` unless it has numbers, and nothing else."""
    found, numbers = function(state), jax.Array | np.ndarray | np.number | int | float
    if not all(isinstance(leaf, numbers) for leaf in jax.tree.leaves(found) or [None]):
        raise ValueError(f"function must return numbers, or a pytree of them; got {found!r:.80}")
    return found


def enumerated(memory: Any, function: Callable, T: int | float) -> tuple[Float[Array, " b"], PyTree]:
    """log Σ exp(−E/T) over each block of states, and the mean of `function` in it."""
    layers = _enumerable(memory)
    return _by_block(
        memory, function, jnp.asarray(T, float), layers.structure, layers.shapes, tables_of(layers)
    )


def tables_of(layers: Layers) -> list[Float[Array, "q w"]]:
    """The values of a neuron of each layer, (q, 1), or the rows of a unit, (q, q)."""
    return [_values_of(one, move) for one, move in zip(layers.neurons, layers.moves, strict=True)]


def _values_of(neurons, move):
    if neurons.values is not None:
        return jnp.asarray(neurons.values[::-1], float)[:, None]
    first = jnp.eye(move[0])[:1]
    return jnp.concatenate([first, neurons.others(first[0])])


def _enumerable(memory):
    """The layers of a memory's states; raises `ValueError` unless its neurons have few values and are few."""
    layers, name = discrete_layers(memory), type(memory).__name__
    if bits_of(layers) > MOST_NEURONS + 1e-9:
        N = sum(map(math.prod, layers.shapes))
        raise ValueError(
            f"memory must have at most {MOST_NEURONS} neurons of two values, or as many states of others, to "
            f"be enumerated; {name} has {N} (feasible too: log-sum-exp memories where 1/T is a whole number, "
            "dense memories of very few patterns, or layers of which all but few can be summed over; "
            "evaluation.annealed_log_partition estimates others)"
        )
    return layers


def discrete_layers(memory: Any) -> Layers:
    """The layers of a memory's states; raises `ValueError` unless its neurons have few values."""
    name = type(memory).__name__
    if not checks.has_method(memory, "energy"):
        raise ValueError(f"memory must have an energy(state); {name} has none")
    if getattr(memory, "state_shape", None) is None:
        raise ValueError(f"memory must say state_shape, for its states to be enumerated; {name} has none")
    layers = layers_of(memory, None, True)
    if not all(layers.moves):
        other = "a log-sum-exp memory of real ones at a temperature that makes exp(−E/T) a mixture"
        wanted = f"have ±1 neurons, or others of few values, or be {other} (ModernHopfield: T = 1/β)"
        raise ValueError(f"memory must {wanted}; {name} is neither")
    return layers


@eqx.filter_jit
def _by_block(memory, function, T, structure, shapes, tables):
    units = [math.prod(shape) // table.shape[1] for shape, table in zip(shapes, tables, strict=True)]
    bases = np.concatenate([np.full(n, len(table)) for n, table in zip(units, tables, strict=True)])
    places = np.concatenate([[1], np.cumprod(bases)])
    total, starts = int(places[-1]), np.concatenate([[0], np.cumsum(units)])
    block = min(_BLOCK, total)

    def state_of(number):
        digits = number // jnp.asarray(places[:-1]) % jnp.asarray(bases)
        of_layers = zip(tables, shapes, starts[:-1], starts[1:], strict=True)
        parts = [table[digits[i:j]].reshape(shape) for table, shape, i, j in of_layers]
        return jax.tree.unflatten(structure, parts)

    def of_block(start):
        numbers = start + jnp.arange(block)
        states = jax.vmap(state_of)(jnp.minimum(numbers, total - 1))
        logs = -jax.vmap(scalar_energy(memory))(states) / T
        logs = jnp.where(numbers < total, logs, -jnp.inf)
        whole = logsumexp(logs)
        weights = jnp.exp(logs - whole)
        return whole, jax.tree.map(lambda leaf: jnp.tensordot(weights, leaf, 1), jax.vmap(function)(states))

    logs, means = lax.map(of_block, jnp.arange(-(-total // block)) * block)
    return logs, means


def finite(value: float) -> float:
    """The log of a partition function; raises `ValueError` for one that is not finite."""
    if not math.isfinite(value):
        raise ValueError(f"memory must have finite energies; its partition function is {value}")
    return value


def bits_of(layers: Layers) -> float:
    """log₂ of the number of states; infinite for layers without single moves."""
    sizes = zip(layers.shapes, layers.moves, strict=True)
    return sum(math.prod(s) / m[0] * math.log2(max(m[0], 2)) if m else math.inf for s, m in sizes)


def checked_temperature(temperature: ArrayLike) -> int | float:
    """T as a number above 0; raises `ValueError` for others."""
    checks.positive("temperature", temperature)
    return checks.number("temperature", temperature)
