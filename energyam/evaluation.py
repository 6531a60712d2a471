"""Evaluation: what a recall ended in, how often it succeeds, and what chains of samples are worth."""

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray

from energyam import checks
from energyam.datasets.noise import flip_bits
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
    expectation as expectation,
    log_partition as log_partition,
    sample_exactly as sample_exactly,
)


class Share(NamedTuple):
    """A share of recalls, with the ends of its 95 % confidence interval; arrays (sizes, noise levels)."""

    rate: Float[np.ndarray, "S N"]
    low: Float[np.ndarray, "S N"]
    high: Float[np.ndarray, "S N"]


class SuccessCurve(NamedTuple):
    """How recall fares against the number of patterns and the noise: what `success_curve` measures."""

    sizes: Int[np.ndarray, " S"]
    noise: Float[np.ndarray, " N"]
    nearest: Share  # the nearest stored pattern is the one asked for
    exact: Share  # every entry of the state is that of the pattern
    outcomes: Float[np.ndarray, "S N O"]  # shares of `OUTCOMES`


def log_energies(energies: ArrayLike) -> Float[np.ndarray, "..."]:
    """sign(E) · log(1 + |E|) of energies as a memory or a recall gives them: in their order, and drawable.

    The energies of `PolynomialDenseAM` span hundreds of decades. Where floats can't hold them a memory gives
    them compressed, which is undone here. **Arguments:** `energies` (...): of `memory.energy` or of a
    `Recall`, in their dtype. Raises `ValueError` for what is not real numbers.
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
    """Store K patterns, ask for each of them from a noisy copy, and count what comes back.

    **Arguments:**

    - `build`: patterns (K, D) → memory, say `eam.CHN` or `lambda X: eam.HopfieldNetwork(eam.storkey(X))`.
    - `draw`: key, K → patterns (K, D). Drawn once a repeat for the largest K; smaller ones store the first.
    - `sizes`: the numbers K of patterns to try.
    - `noise`: the noise levels to try, shares of flipped neurons unless `corrupt` reads them otherwise.
    - `repeats`: fresh sets of patterns at each point; every one of the K patterns is asked for.
    - `update`, `max_steps`: as in `recall`.
    - `corrupt`: key, patterns, noise → queries; `datasets.flip_bits` unless given.

    The intervals are Wilson's, for as many independent recalls as the spread between repeats speaks for:
    patterns of one memory fail together. Where all repeats agree, every recall counts. Raises `ValueError`
    for empty `sizes` or `noise`, counts below 1, and noise outside 0 … 1 unless `corrupt` reads it.
    """
    if isinstance(sizes, int | np.integer):
        raise ValueError(f"sizes must be a list of numbers of patterns; got {sizes} (say [{sizes}])")
    sizes = [checks.count("sizes", K) for K in sizes]
    if not sizes:
        raise ValueError("sizes must not be empty; got no number of patterns")
    levels = checks.as_floats("noise", np.asarray(noise), "N")
    if corrupt is None:
        checks.fraction("noise", levels)
    drawing, recalling = jr.split(key)
    sets = [draw(k, max(sizes)) for k in jr.split(drawing, checks.count("repeats", repeats))]
    score = eqx.Partial(_scores, corrupt=corrupt, update=update, max_steps=max_steps)
    jitted, keys = eqx.filter_jit(build), jr.split(recalling, repeats)
    rates = np.empty((len(sizes), repeats, len(levels), 2 + len(OUTCOMES)))
    for i, r in np.ndindex(rates.shape[:2]):
        memory = jitted(sets[r][: sizes[i]])
        stored = jnp.arange(max(sizes)) < sizes[i]
        rates[i, r] = [score(memory, sets[r], stored, level, key=keys[r]) for level in levels]
    rates, trials = rates.swapaxes(1, 2), np.asarray(sizes)[:, None] * repeats
    nearest, exact = (_share(rates[..., j], trials) for j in range(2))
    return SuccessCurve(np.asarray(sizes), np.asarray(levels), nearest, exact, rates[..., 2:].mean(axis=2))


@eqx.filter_jit
def _scores(memory, patterns, stored, noise, *, corrupt, update, max_steps, key):
    """Shares (M,) of nearest, exact and each outcome among the `stored` (N,) of patterns (N, D).

    The others are asked for too and not counted, so that all K share one compilation where they can.
    """
    noising, recalling = jr.split(key)
    spoil = corrupt or (lambda key, patterns, noise: flip_bits(patterns, noise, key=key))
    queries = spoil(noising, patterns, noise)
    states = recall(memory, queries, update, max_steps, key=recalling, record=False).state
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


def effective_sample_size(values: ArrayLike) -> float:
    """How many independent samples some chains are worth for the mean of a number.

    Chains are halved, and their autocorrelations summed while sums of neighbouring pairs stay positive, and
    made to fall (Geyer's initial monotone sequence). NaN where nothing varies.

    **Arguments:** `values` (chains, S): the number of interest at each sample, say `samples.energies`; S at
    least 8. Raises `ValueError` for other shapes, NaN or infinity.

    Geyer, Statistical Science 7 (1992); Vehtari, Gelman, Simpson, Carpenter & Bürkner, Bayesian Analysis 16
    (2021).
    """
    chains = _halves(values)
    M, S = chains.shape
    within, pooled = _variances(chains)
    if pooled == 0:
        return float("nan")
    correlation = 1 - (within - _autocovariances(chains).mean(axis=0)) / pooled
    correlation[0] = 1
    pairs = correlation[: S // 2 * 2].reshape(-1, 2).sum(axis=1)
    end = np.argmax(pairs < 0) if (pairs < 0).any() else pairs.size
    pairs = np.minimum.accumulate(pairs[:end])
    time = max(2 * pairs.sum() - 1, 1 / np.log10(M * S))
    return float(M * S / time)


def split_rhat(values: ArrayLike) -> float:
    """Split-R̂ of ranks: by how much the spread of all chains exceeds that within their halves.

    √((S−1)/S + B/W) for halves of S samples, B the variance of their means and W the mean of their variances,
    once of the values' normal scores and once of those of |value − median|, the larger of the two. So chains
    that differ in scale alone, or whose variance is infinite, are found too. Below 1.01 is the usual demand;
    values that agree prove nothing. NaN where nothing varies.

    **Arguments:** `values` (chains, S), S at least 8. Raises `ValueError` for other shapes, NaN or infinity.

    Gelman & Rubin, Statistical Science 7 (1992); Vehtari, Gelman, Simpson, Carpenter & Bürkner, Bayesian
    Analysis 16 (2021).
    """
    chains = _halves(values)
    folded = np.abs(chains - np.median(chains))
    return float(np.fmax(*(_rhat(_normal_scores(each)) for each in (chains, folded))))  # passes over a NaN


def _rhat(chains):
    within, pooled = _variances(chains)
    if within == 0:
        return float("nan") if pooled == 0 else float("inf")
    return float(np.sqrt(pooled / within))


def _normal_scores(chains: Float[np.ndarray, "M S"]) -> Float[np.ndarray, "M S"]:
    """Φ⁻¹((r − 3/8) / (n + 1/4)) of the rank r of each of all n values; equal ones share their mean rank."""
    _, which, counts = np.unique(chains, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    shares = (ranks - 0.375) / (chains.size + 0.25)
    scores = np.asarray([NormalDist().inv_cdf(share) for share in shares.tolist()])
    return scores[which].reshape(chains.shape)


def _halves(values: ArrayLike) -> Float[np.ndarray, "M S"]:
    array = np.asarray(checks.as_floats("values", values, "chains S"), np.float64)
    half = array.shape[1] // 2
    if half < 4:
        raise ValueError(f"values must hold at least 8 samples of each chain; got shape {array.shape}")
    return np.concatenate([array[:, :half], array[:, -half:]])


def _variances(chains: Float[np.ndarray, "M S"]) -> tuple[float, float]:
    """The mean variance within the chains, and the estimate of the whole variance."""
    S = chains.shape[1]
    within = chains.var(axis=1, ddof=1).mean()
    return float(within), float(within * (S - 1) / S + chains.mean(axis=1).var(ddof=1))


def _autocovariances(chains: Float[np.ndarray, "M S"]) -> Float[np.ndarray, "M S"]:
    """Σ_t (x_t − x̄)(x_{t+k} − x̄) / S for each lag k, by Fourier transform."""
    S = chains.shape[1]
    spectrum = np.fft.rfft(chains - chains.mean(axis=1, keepdims=True), 2 * S)
    return np.fft.irfft(np.abs(spectrum) ** 2, 2 * S)[:, :S] / S


__all__, __dir__ = public_names(
    __name__,
    also="KINDS OUTCOMES Retrieved cosines expectation log_partition nearest_pattern "
    "outcome retrieved sample_exactly",
)
