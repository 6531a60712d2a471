"""Annealed importance sampling: partition functions of memories that are too large for exact sums."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import ArrayLike, Float, PRNGKeyArray

from energyam import checks
from energyam.abilities import ask
from energyam.dynamics.block_gibbs import BlockGibbs
from energyam.dynamics.heat_bath import HeatBath
from energyam.dynamics.states import checked_clamp
from energyam.dynamics.update import AbstractUpdate, Tick
from energyam.flips.derived import scalar_energy
from energyam.flips.sweep import for_queries
from energyam.partition.enumeration import checked_temperature, discrete_layers, tables_of
from energyam.shown import shown

_Z = 1.959964  # of the normal distribution, for 95 %


@shown("value low high effective")
class LogPartition(NamedTuple):
    """An estimate of log Z, and the ends of its 95 % interval.

    `effective`: the effective number of chains, from 1 to their number. If it is below a tenth of their
    number, a few chains determine the result: log Z is then most likely underestimated and the interval can't
    be trusted, so take more steps. `log_weights` (num_chains,): log Z by each chain alone.

        >>> network = eam.HopfieldNetwork(jnp.array([[0.0, 1.0], [1.0, 0.0]]))
        >>> found = eam.evaluation.annealed_log_partition(network, 1.0, 50, 100, key=jr.key(0))
        >>> found.low < eam.evaluation.log_partition(network, 1.0) < found.high
        True
    """

    value: float
    low: float
    high: float
    effective: float
    log_weights: Float[np.ndarray, " num_chains"]


def annealed_log_partition(
    memory: Any,
    temperature: ArrayLike = 1.0,
    num_chains: int = 100,
    num_steps: int = 1000,
    update: AbstractUpdate | None = None,
    *,
    key: PRNGKeyArray,
) -> LogPartition:
    """log Z at a temperature, estimated: chains are cooled from T = ∞, where Z is the number of states.

        Z = (number of states) · mean over chains of Π_k exp(−(1/T_{k+1} − 1/T_k) E(x_k)),   1/T_k = k / (n T)

    x_0 is drawn evenly, and x_k by one step of the rule at T_k from x_{k−1}. The mean of Z is exact for any
    number n of steps; log Z is underestimated where the weights of the chains differ much. An error falls as
    1/√(num_chains · num_steps), once the chains can follow the cooling.

    **Arguments:** `memory`: one whose neurons have few values (±1, 0/1, one-hot), of any number and any
    layers; `temperature`: T > 0; `num_chains`: at least 2, run side by side; `num_steps`: n; `update`: a rule
    with a method `at` for other temperatures, by default `BlockGibbs` for layers that it serves and else
    `HeatBath`; `key`. Raises `ValueError` for others, and for energies that are not finite.

    Neal, Statistics and Computing 11 (2001); Salakhutdinov & Murray, ICML 2008, for Boltzmann machines.

        >>> network = eam.HopfieldNetwork(jnp.array([[0.0, 1.0], [1.0, 0.0]]))
        >>> found = eam.evaluation.annealed_log_partition(network, 1.0, 50, 100, key=jr.key(0))
        >>> abs(found.value - eam.evaluation.log_partition(network, 1.0)) < 0.1
        True
    """
    T = jnp.asarray(checked_temperature(temperature), float)
    num_chains, num_steps = (
        checks.count("num_chains", num_chains, least=2),
        checks.count("num_steps", num_steps),
    )
    checks.key("key", key)
    layers = discrete_layers(memory)
    rule = _checked_rule(memory, layers, update, T)
    clamp, _ = checked_clamp(layers, None, ())
    numbers = jnp.asarray(num_steps), jnp.arange(num_chains)
    states = layers.structure, layers.shapes, tables_of(layers)
    logs = np.asarray(_log_weights(memory, rule, T, clamp, *states, *numbers, key), np.float64)
    units = zip(layers.shapes, states[2], strict=True)
    logs = logs + sum(math.prod(shape) // table.shape[1] * math.log(len(table)) for shape, table in units)
    return estimate(logs)


def estimate(log_weights: Float[np.ndarray, " n"]) -> LogPartition:
    """log of the mean of exp(log_weights), with its interval by the spread of the weights."""
    n, top = len(log_weights), log_weights.max()
    if not np.isfinite(log_weights).all():
        raise ValueError(f"memory must have finite energies; its partition function is {top}")
    weights = np.exp(log_weights - top)
    mean = weights.mean()
    error = weights.std(ddof=1) / mean / math.sqrt(n)
    value = float(top + np.log(mean))
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    return LogPartition(value, value - _Z * float(error), value + _Z * float(error), effective, log_weights)


def _checked_rule(memory, layers, update, T):
    if update is None:
        several = layers.structure.num_leaves > 1 and ask(memory, "redraws") is not None
        update = BlockGibbs() if several else HeatBath(1.0)
    rule = checks.instance("update", update, AbstractUpdate, " (say eam.HeatBath(1.0))").at(T)
    if rule is None:
        wanted = "a rule for other temperatures too, such as eam.HeatBath(1.0)"
        raise ValueError(f"update must be {wanted}; {type(update).__name__} has no `at`")
    rule.check(memory, 1)
    return rule


@eqx.filter_jit
def _log_weights(memory, rule, T, clamp, structure, shapes, tables, num_steps, chains, key):
    """log Π_k exp(−(1/T_{k+1} − 1/T_k) E(x_k)) of each chain (num_chains,)."""
    prepared, energy = rule.prepare(memory), scalar_energy(memory)
    of_start, of_steps = jr.split(key)
    zero = jnp.zeros((), int)

    def start(chain):
        keys = jr.split(jr.fold_in(of_start, chain), len(shapes))
        state = jax.tree.unflatten(structure, list(map(_drawn_evenly, shapes, tables, keys)))
        return state, rule.init(prepared, state, Tick(zero, None, None)), energy(state)

    def cool(k, at):
        now, (of_order, of_noise) = rule.at(T * num_steps / k), jr.split(jr.fold_in(of_steps, k))

        def step(state, carry, chain):
            tick = Tick(k, of_order, jr.fold_in(of_noise, chain))
            found = now.step(prepared, state, carry, tick, clamp)
            return found.state, found.carry, found.energies[-1]

        (states, carries, _), (total, lost) = at
        with for_queries(chains.shape[0]):
            states, carries, new = jax.vmap(step)(states, carries, chains)
        # Added with what rounding lost of the sum so far (Kahan), as there are thousands of terms.
        term = new - lost
        summed = total + term
        return (states, carries, new), (summed, (summed - total) - term)

    first = jax.vmap(start)(chains)
    _, (total, lost) = lax.fori_loop(1, num_steps, cool, (first, (first[2], jnp.zeros_like(first[2]))))
    return -(total - lost) / (num_steps * T)


def _drawn_evenly(shape, table, key):
    """A layer of which all states are as likely, from the values of its neurons or units."""
    drawn = jr.randint(key, (math.prod(shape) // table.shape[1],), 0, len(table))
    return table[drawn].reshape(shape)
