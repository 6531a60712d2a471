"""exp(−E/T) of few ±1 neurons by enumeration, and a test of samples against it: for the tests of samplers."""

import jax
import numpy as np
from scipy.stats import chi2, norm
from zoo import all_states


def energies_of(memory, D):
    """E of all 2^D states."""
    return np.asarray(jax.jit(jax.vmap(memory.energy))(all_states(D)), float)


def boltzmann(energies, T):
    """exp(−E/T)/Z of all states."""
    weights = np.exp(-(energies - energies.min()) / T)
    return weights / weights.sum()


def variance(energies, T):
    """Of E/T: what a wrong temperature shows by."""
    p = boltzmann(energies, T)
    return (p @ energies**2 - (p @ energies) ** 2) / T**2


def telling_temperature(energies):
    """A temperature low enough that one wrong by a tenth shows, and no lower, so that short chains mix."""
    grid = np.ptp(energies) * np.geomspace(1, 0.02, 60)
    tells = np.array([variance(energies, T) for T in grid]) > 2
    assert tells.any(), "no temperature tells"
    return float(grid[np.argmax(tells)])


def counted(states):
    """How often each of the 2^D states came."""
    flat = np.asarray(states).reshape(-1, states.shape[-1])
    return np.bincount((flat < 0) @ (2 ** np.arange(flat.shape[1])), minlength=2 ** flat.shape[1])


def p_value(counts, p, energies):
    """The smaller p-value, doubled, of two tests: Pearson's over all states, and that of the mean energy.

    States expected less than 5 times count as one.
    """
    expected = counts.sum() * p
    rare = expected < 5
    pool = lambda a: np.append(a[~rare], a[rare].sum())  # noqa: E731
    observed, wanted = pool(counts), pool(expected)
    by_states = chi2.sf(((observed - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum(), observed.size - 1)
    mean = p @ energies
    error = np.sqrt((p @ energies**2 - mean**2) / counts.sum())
    by_mean = 2 * norm.sf(abs(counts @ energies / counts.sum() - mean) / error)
    return min(1, 2 * min(by_states, by_mean))
