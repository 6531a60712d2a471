"""Diagnostics of chains: R̂, autocorrelations, and the effective number of independent samples."""

from statistics import NormalDist

import numpy as np
from jaxtyping import ArrayLike, Float

from energyam import checks


def effective_sample_size(values: ArrayLike) -> float:
    """The effective number of independent samples in some chains, for the mean of a number.

    Chains are halved, and autocorrelations summed as long as sums of neighbouring pairs are positive, each
    bounded by the one before (Geyer's initial monotone sequence). NaN where nothing varies.

    **Arguments:** `values` (chains, S): the number of interest at each sample, say `samples.energies`; S at
    least 8. Raises `ValueError` for other shapes, NaN or infinity.

    Geyer, Statistical Science 7 (1992); Vehtari, Gelman, Simpson, Carpenter & Bürkner, Bayesian Analysis 16
    (2021).

        >>> noise = np.random.default_rng(0).normal(size=(4, 100))
        >>> slow = np.cumsum(noise, axis=1)  # a random walk
        >>> [eam.evaluation.effective_sample_size(chains) > 100 for chains in (noise, slow)]
        [True, False]
    """
    chains = _halves(values)
    M, S = chains.shape
    correlation = _correlations(chains)
    if np.isnan(correlation[0]):
        return float("nan")
    pairs = correlation[: S // 2 * 2].reshape(-1, 2).sum(axis=1)
    end = np.argmax(pairs < 0) if (pairs < 0).any() else pairs.size
    pairs = np.minimum.accumulate(pairs[:end])
    time = max(2 * pairs.sum() - 1, 1 / np.log10(M * S))
    return float(M * S / time)


def autocorrelations(values: ArrayLike) -> Float[np.ndarray, " S"]:
    """The correlation of samples k steps apart, for each lag k below half their number: 1 at k = 0.

    It is computed over the halves of all chains together, as in `effective_sample_size`: if chains disagree,
    it does not fall to 0. Arguments, NaN and errors are those of `effective_sample_size`.
    """
    return _correlations(_halves(values))


def split_rhat(values: ArrayLike) -> float:
    """Split-R̂ of ranks: by how much the spread of all chains exceeds that within their halves.

    √((S−1)/S + B/W) for halves of S samples, B the variance of their means and W the mean of their variances,
    once of the values' normal scores and once of those of |value − median|, the larger of the two. So chains
    that differ in scale alone, or whose variance is infinite, are found too. Values below 1.01 are usually
    required, and don't prove that chains have converged. NaN where nothing varies.

    **Arguments:** `values` (chains, S), S at least 8. Raises `ValueError` for other shapes, NaN or infinity.

    Gelman & Rubin, Statistical Science 7 (1992); Vehtari, Gelman, Simpson, Carpenter & Bürkner, Bayesian
    Analysis 16 (2021).

        >>> noise = np.random.default_rng(0).normal(size=(4, 100))
        >>> apart = noise + np.arange(4)[:, None]  # chains that have not met
        >>> [eam.evaluation.split_rhat(chains) < 1.1 for chains in (noise, apart)]
        [True, False]
    """
    chains = _halves(values)
    folded = np.abs(chains - np.median(chains))
    return float(np.fmax(*(_rhat(_normal_scores(each)) for each in (chains, folded))))  # passes over a NaN


def _correlations(chains):
    within, pooled = _variances(chains)
    if pooled == 0:
        return np.full(chains.shape[1], np.nan)
    correlation = 1 - (within - _autocovariances(chains).mean(axis=0)) / pooled
    correlation[0] = 1
    return correlation


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
