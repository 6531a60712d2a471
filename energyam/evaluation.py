"""Evaluation: the outcome of recalls, how often they succeed, and diagnostics of chains of samples."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray

from energyam import checks
from energyam.datasets.noise import flip_bits
from energyam.diagnostics import effective_sample_size as effective_sample_size, split_rhat as split_rhat
from energyam.dynamics.recall import recall
from energyam.dynamics.update import AbstractUpdate
from energyam.linalg import dot
from energyam.log_scale import log_sizes
from energyam.names import public_names
from energyam.outcomes import (
    KINDS as KINDS,
    OUTCOMES as OUTCOMES,
    Retrieved as Retrieved,
    bare_cosines,
    bare_outcome,
    cosines as cosines,
    nearest_pattern as nearest_pattern,
    outcome as outcome,
    retrieved as retrieved,
)
from energyam.partition import (
    LogPartition as LogPartition,
    annealed_log_partition as annealed_log_partition,
    expectation as expectation,
    log_partition as log_partition,
    sample_exactly as sample_exactly,
)
from energyam.shown import shown


@shown()
class Share(NamedTuple):
    """A share of recalls, with the ends of its 95 % confidence interval; arrays (sizes, noise levels).

    >>> share = eam.evaluation.Share(np.array([[0.9]]), np.array([[0.8]]), np.array([[0.95]]))
    >>> share.rate - share.low
    array([[0.1]])
    """

    rate: Float[np.ndarray, "S N"]
    low: Float[np.ndarray, "S N"]
    high: Float[np.ndarray, "S N"]


@shown()
class SuccessCurve(NamedTuple):
    """The success of recall by the number of patterns and the noise: the answer of `success_curve`.

    >>> draw = lambda key, K: eam.datasets.random_patterns(K, 32, key=key)
    >>> curve = eam.evaluation.success_curve(eam.CHN, draw, [1, 16], [0.1], repeats=1, key=jr.key(0))
    >>> curve.sizes, curve.nearest.rate.shape, curve.outcomes.shape
    (array([ 1, 16]), (2, 1), (2, 1, 5))
    """

    sizes: Int[np.ndarray, " S"]
    noise: Float[np.ndarray, " N"]
    nearest: Share  # the nearest stored pattern is the one asked for
    exact: Share  # every entry of the state is that of the pattern
    outcomes: Float[np.ndarray, "S N O"]  # shares of `OUTCOMES`


def log_energies(energies: ArrayLike) -> Float[np.ndarray, "..."]:
    """sign(E) · log(1 + |E|) of the energies of a memory or a recall: in the same order, and easy to draw.

    The energies of `PolynomialDenseAM` span hundreds of decades. Where floats can't hold them a memory gives
    them compressed, which is undone here. **Arguments:** `energies` (...): of `memory.energy` or of a
    `Recall`, in their dtype. Raises `ValueError` if they are no real numbers.

        >>> eam.evaluation.log_energies(np.array([-99.0, 0.0, 1e30])).round(2)
        array([-4.61,  0.  , 69.08])
    """
    array = np.asarray(checks.as_array("energies", energies, "..."))
    if not np.issubdtype(array.dtype, np.floating):
        array = np.asarray(checks.as_floats("energies", array, "..."))
    return np.sign(array) * np.logaddexp(0, log_sizes(array))


def success_curve(
    build: Callable[[Array], Any],
    draw: Callable[[PRNGKeyArray, int], Array],
    sizes: Sequence[int],
    noise: Sequence[float] = (0.0,),
    repeats: int = 20,
    update: AbstractUpdate | None = None,
    max_steps: int = 30,
    *,
    corrupt: Callable[[PRNGKeyArray, Array, Any], Array] | None = None,
    key: PRNGKeyArray,
) -> SuccessCurve:
    """Store K patterns, recall each of them from a noisy copy, and count the successes.

    **Arguments:**

    - `build`: patterns (K, D) → memory, say `eam.CHN` or `lambda X: eam.HopfieldNetwork(eam.storkey(X))`.
    - `draw`: key, K → patterns (K, D). Drawn once in each repeat for the largest K; smaller memories store
    the first of them.
    - `sizes`: the numbers K of patterns to try.
    - `noise`: the noise levels to try; shares of flipped neurons, unless `corrupt` is given.
    - `repeats`: the number of pattern sets at each point; each of the K patterns is recalled.
    - `update`, `max_steps`: as in `recall`.
    - `corrupt`: key, patterns, noise → queries; `datasets.flip_bits` unless given.

    The intervals are Wilson's, for the number of independent recalls that the spread between repeats implies,
    because patterns of one memory tend to fail together. If all repeats agree, every recall counts. Raises
    `ValueError` for empty `sizes` or `noise`, counts below 1, and noise outside 0 … 1 unless `corrupt` is
    given.

        >>> draw = lambda key, K: eam.datasets.random_patterns(K, 32, key=key)
        >>> curve = eam.evaluation.success_curve(eam.CHN, draw, [1, 16], [0.1], repeats=1, key=jr.key(0))
        >>> bool(curve.exact.rate[0, 0] == 1), bool(curve.exact.rate[1, 0] < 0.5)  # 32 neurons hold 1, not 16
        (True, True)
    """
    if not isinstance(sizes, Sequence | np.ndarray) or isinstance(sizes, str | bytes):
        hint = f" (say [{sizes}])" if isinstance(sizes, int | np.integer) else ""
        raise ValueError(f"sizes must be a list of numbers of patterns; got {sizes!r:.60}{hint}")
    sizes = [checks.count("sizes", K) for K in sizes]
    if not sizes:
        raise ValueError("sizes must not be empty; got no number of patterns")
    levels = checks.as_floats("noise", noise, "N")
    if corrupt is None:
        checks.fraction("noise", levels)
    else:
        checks.function("corrupt", corrupt)
    made = (
        not isinstance(build, type) or checks.has_method(build, "energy") or checks.has_method(build, "field")
    )
    if not callable(build) or not made:
        raise ValueError(f"build must be a function from patterns to a memory; got {build!r:.60}")
    if update is not None:
        checks.instance("update", update, AbstractUpdate, " (say eam.Asynchronous())")
    max_steps = checks.count("max_steps", max_steps, least=0)
    checks.function("draw", draw)
    checks.key("key", key)
    drawing, keys = _keys(checks.count("repeats", repeats), key=key)
    sets = [checks.as_array("draw(key, K)", draw(k, max(sizes)), f"{max(sizes)} D") for k in drawing]
    rates = np.empty((len(sizes), repeats, len(levels), 2 + len(OUTCOMES)))
    for i, r in np.ndindex(rates.shape[:2]):
        memory = _built(build, sets[r][: sizes[i]])
        stored = jax.device_put(np.arange(max(sizes)) < sizes[i])
        spoiled = [_queries(corrupt, sets[r], level, key=keys[r]) for level in levels]
        states = [_recalled(memory, queries, update, max_steps, key=own) for queries, own in spoiled]
        rates[i, r] = [_scores(sets[r], ended, stored) for ended in states]
    rates, trials = rates.swapaxes(1, 2), np.asarray(sizes)[:, None] * repeats
    nearest, exact = (_share(rates[..., j], trials) for j in range(2))
    return SuccessCurve(np.asarray(sizes), np.asarray(levels), nearest, exact, rates[..., 2:].mean(axis=2))


@partial(jax.jit, static_argnums=0)
def _keys(repeats, *, key):
    """Two lists of keys, one for each repeat: to draw patterns, and to recall them."""
    return tuple(list(jr.split(half, repeats)) for half in jr.split(key))


@eqx.filter_jit
def _built(build, patterns):
    return build(patterns)


# These are three programs, so that only the recall is compiled anew for each number of stored patterns. All
# patterns are recalled each time, and those that are not stored are not counted.
@eqx.filter_jit
def _queries(corrupt, patterns, noise, *, key):
    noising, recalling = jr.split(key)
    spoil = corrupt or (lambda key, patterns, noise: flip_bits(patterns, noise, key=key))
    return spoil(noising, patterns, noise), recalling


@eqx.filter_jit
def _recalled(memory, queries, update, max_steps, *, key):
    return recall(memory, queries, update, max_steps, key=key, record=False).state


@jax.jit
def _scores(patterns, states, stored):
    """Shares (M,) of nearest, exact and each outcome among the `stored` (N,) of patterns (N, D)."""
    X, states = patterns.astype(float), states.astype(float)

    def score(state, target):
        m = bare_cosines(X, state)
        nearest = jnp.argmax(jnp.where(stored, m, -jnp.inf)) == target
        exact = jnp.all(jnp.abs(state - X[target]) < 1e-2)
        ended = jnp.arange(len(OUTCOMES)) == bare_outcome(X, state, jnp.where(stored, m, 0), target, 0.05)
        return jnp.concatenate([jnp.stack([nearest, exact]), ended]).astype(float)

    shares = jax.vmap(score)(states, jnp.arange(len(X)))
    return dot(stored, shares) / stored.sum().astype(shares.dtype)


def _share(rates: Float[np.ndarray, "S N R"], trials: Int[np.ndarray, "S 1"]) -> Share:
    """Mean rates, with Wilson's interval for the number of independent trials that their spread implies."""
    R, p, z = rates.shape[-1], rates.mean(axis=-1), 1.96
    spread = rates.var(axis=-1, ddof=min(1, R - 1)) / R
    n = np.where(spread > 0, np.clip(p * (1 - p) / np.maximum(spread, 1e-12), R, trials), trials)
    centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return Share(p, np.clip((centre - half) / scale, 0, p), np.clip((centre + half) / scale, p, 1))


__all__, __dir__ = public_names(
    __name__,
    also="KINDS LogPartition OUTCOMES Retrieved annealed_log_partition cosines effective_sample_size "
    "expectation log_partition nearest_pattern outcome retrieved sample_exactly split_rhat",
)
