"""Flips: their changes of energy in size and in both signs, against energies by enumeration in float64."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from plain_energies import entmax_energy, log_sum_exp, on_ring, own_similarity, subsets_energy
from single_moves import change, flip, flips_of
from zoo import BINARY, OWN_BINARY, all_states, patterns

import energyam as eam

D, K = 7, 4
MEMORIES = BINARY | OWN_BINARY


def sdm_energy(X, S):
    """−Σ_μ C(h_μ), where a flip from h to h − 1 gains I(h − 1) + I(h), in units of I(0)."""
    circles = np.array([float(c) for c in eam.hypercube.circle_intersection(X.shape[1], 3)])
    circles /= circles[0]
    steps = circles[1:] + circles[:-1]
    running = np.append(np.cumsum(steps[::-1])[::-1], 0.0)
    return -running[((X.shape[1] - X @ S) / 2).round().astype(int)].sum(axis=0)


def hebb(X):
    W = X.T @ X / X.shape[1]
    return W - np.diag(np.diag(W))


# Energies (N,) of states S (D, N) in float64, from patterns X (K, D) and the ramp r (D,).
ENERGIES = {
    "chn": lambda X, S, r: -0.5 * ((X @ S) ** 2).sum(0),
    "polynomial_3": lambda X, S, r: -(np.maximum(X @ S, 0) ** 3).sum(0) / 3,
    "polynomial_4_plain": lambda X, S, r: -((X @ S) ** 4).sum(0) / 4,
    "polynomial_2.5": lambda X, S, r: -(np.maximum(X @ S, 0) ** 2.5).sum(0) / 2.5,
    "exponential": lambda X, S, r: -log_sum_exp(0.7 * X @ S),
    "relu": lambda X, S, r: -0.5 * (np.maximum(X @ S, 0) ** 2).sum(0),
    "topk": lambda X, S, r: -log_sum_exp(0.5 * np.sort(X @ S, axis=0)[-2:]) / 0.5,
    "hopfield": lambda X, S, r: -0.5 * np.einsum("in,ij,jn->n", S, hebb(X), S),
    "sdm": lambda X, S, r: sdm_energy(X, S),
    "hopfield_biased": lambda X, S, r: -0.5 * np.einsum("in,ij,jn->n", S, hebb(X), S) - r @ S,
    "sparse": lambda X, S, r: -0.5 * np.einsum("in,ij,jn->n", S, hebb(X) * on_ring(len(S)), S) - r @ S,
    "float_patterns": lambda X, S, r: -log_sum_exp(0.6 * (X + r) @ S) / 0.6,
    "float_quadratic": lambda X, S, r: -0.5 * (((X + r) @ S) ** 2).sum(0),
    "distances": lambda X, S, r: -log_sum_exp(0.7 * (X @ S - X.shape[1])) / 0.7,
    "product": lambda X, S, r: -log_sum_exp(0.7 * X[:, :3] @ S[:3]) - log_sum_exp(0.7 * X[:, 3:] @ S[3:]),
    "entmax": lambda X, S, r: entmax_energy(X @ S, 0.3),
    "subsets": lambda X, S, r: subsets_energy(X @ S, 0.2, 2),
    "cosine": lambda X, S, r: -log_sum_exp(9 * X @ S / X.shape[1]) / 9,
    "compact": lambda X, S, r: -99 * np.log((1 + (X @ S - X.shape[1]) / 99).sum(0)),
    "own_separation": lambda X, S, r: -np.cosh(X @ S / 3).sum(0),
    "own_similarity": lambda X, S, r: -log_sum_exp(0.8 * own_similarity(X, S)) / 0.8,
    "energy_alone": lambda X, S, r: -(np.abs(X @ S) ** 1.5).sum(0) - r @ S,
}


def true_changes(name, X):
    """E(x) − E(x with i flipped), (2^D, D) in float64."""
    X, S = np.asarray(X, np.float64), np.asarray(all_states(X.shape[1]), np.float64)
    energies = ENERGIES[name](X, S.T, np.linspace(-0.5, 0.5, X.shape[1]))
    flipped = np.arange(len(S))[:, None] ^ 2 ** np.arange(X.shape[1])
    return energies[:, None] - energies[flipped]


BEFORE = (0, 3, 5, 3)  # flips before the change that is looked at


@eqx.filter_jit
def changes_of(flips):
    """Changes and errors (2^D, D): of states as they are; after `BEFORE`; and that, laid out for a sweep."""

    def of_state(flips, before, state):
        kept = flips.start(state)
        for i in before:
            kept = flip(flips, kept, state, jnp.asarray(i))
            state = state.at[i].multiply(-1)
        return jax.vmap(lambda i: change(flips, kept, state, i))(jnp.arange(state.size))

    cases = (flips, ()), (flips, BEFORE), (flips.laid_out(), BEFORE)
    return [jax.vmap(lambda x, case=case: of_state(*case, x))(all_states(D)) for case in cases]


def check_changes(value, error, truth):
    """Changes are the true ones, in size and sign; their errors are honest, and small."""
    value, error, size = np.asarray(value), np.asarray(error), np.abs(truth).max()
    np.testing.assert_allclose(value, truth, rtol=2e-5, atol=2e-5 * size)
    assert (np.abs(value - truth) <= error + 2e-6 * (np.abs(truth) + 0.1 * size)).all()
    assert (error <= 1e-3 * size).all()
    clear = np.abs(truth) > 1e-4 * size
    assert (truth[clear] > 0).any() and (truth[clear] < 0).any()
    np.testing.assert_array_equal(np.sign(value)[clear], np.sign(truth)[clear])


@pytest.mark.parametrize("name", MEMORIES)
def test_changes_equal_differences_of_energies_in_size_and_sign(name):
    X = patterns(21, K, D)
    truth = true_changes(name, X)
    after = truth[np.arange(2**D) ^ sum(2**i for i in set(BEFORE) - {3})]
    for found, true in zip(changes_of(flips_of(MEMORIES[name](X))), (truth, after, after), strict=True):
        check_changes(*found, true)


@pytest.mark.parametrize("factors", [(0.5, 0.5), (1.0, 0.5), (0.5, 1.0), (-1, -1), (1, -1), (2, 1)])
def test_the_test_of_changes_rejects_wrong_factors_and_signs(factors):
    truth = true_changes("hopfield", patterns(21, K, D))
    check_changes(truth, 0 * truth, truth)
    with pytest.raises(AssertionError):
        check_changes(np.where(truth > 0, *factors) * truth, 0 * truth, truth)


BOUNDED = ("polynomial_3", "polynomial_4_plain", "polynomial_2.5", "exponential", "relu", "sdm", "product")


@pytest.mark.parametrize("name", BOUNDED)
def test_enclosures_hold_the_true_change_for_all_states_and_neurons(name):
    X = patterns(22, K, D)
    flips, truth = flips_of(MEMORIES[name](X)), true_changes(name, X)
    some = np.array([4, 0, 6])

    @eqx.filter_jit
    def enclosed(flips):
        def of_state(x):
            kept = flips.start(x)
            seen = flips.block(jnp.asarray(some)), flips.laid_out().block(jnp.asarray(some))
            return flips.enclosure(kept, -2 * x), *(block.enclosure(kept, -2 * x[some]) for block in seen)

        return jax.vmap(of_state)(all_states(D))

    for edges, true in zip(enclosed(flips), (truth, truth[:, some], truth[:, some]), strict=True):
        low, high = (np.asarray(edge, np.float64) for edge in edges)
        rounding = 1e-6 * np.abs(true)
        assert low.shape == true.shape
        assert (low <= true + rounding).all() and (true <= high + rounding).all()
        # And they say something: the sign of most changes.
        assert ((low > 0) | (high < 0))[true != 0].mean() > 0.5


@pytest.mark.parametrize("name", [name for name in MEMORIES if name.startswith(("chn", "hopfield"))])
def test_couplings_give_all_changes_at_once_and_what_a_flip_does_to_them(name):
    X = patterns(23, K, D)
    flips, truth = flips_of(MEMORIES[name](X)), true_changes(name, X)
    states = all_states(D)
    value, error = jax.vmap(lambda x: flips.changes(flips.start(x))(-2 * x, None))(states)
    size = np.abs(truth).max()
    np.testing.assert_allclose(value, truth, rtol=1e-5, atol=1e-5 * size)
    assert (np.asarray(error) <= 1e-4 * size).all()

    x, some = states[37], np.array([5, 2, 0])
    block, steps = flips.block(jnp.asarray(some)), -2 * x[some]
    changes = block.changes(flips.start(x))
    np.testing.assert_allclose(changes(steps, None).value, truth[37, some], rtol=1e-5, atol=1e-5 * size)
    # Two neurons move, one after the other: the changes of the later ones are those of the state by then.
    moved = jnp.array([steps[0], 0.0, steps[2]])
    by_then = [37, 37 ^ 2**5, 37 ^ 2**5]
    expected = truth[by_then, some]
    np.testing.assert_allclose(changes(steps, moved).value, expected, rtol=1e-5, atol=1e-5 * size)
    # And what is kept is that of the state that they lead to.
    after = block.move_all(flips.start(x), moved)
    afresh = flips.start(x.at[5].multiply(-1).at[0].multiply(-1))
    np.testing.assert_allclose(after, afresh, rtol=1e-5, atol=1e-5)
