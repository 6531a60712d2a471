"""Bounds of changes: they hold, they decide most flips, and blocks take the flips of one by one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from single_moves import change, descended, flip, flips_of, visited
from zoo import BINARY, patterns

import energyam as eam
from energyam.flips import plan
from energyam.flips.sweep import exceeds
from energyam.linalg import BLOCK, weighted_sum

D = 64
BETAS = [0.01, 0.3, 2.0, 50.0]
SEPARATIONS = {
    "quadratic": eam.Quadratic(),
    "relu": eam.ReLU(),
    "cubic": eam.Polynomial(3, rectified=False),
    "order 6": eam.Polynomial(6),
    "order 2.5": eam.Polynomial(2.5),
    "order 30": eam.Polynomial(30),
    "circle": eam.CircleIntersection(D, 24),
} | {f"beta {beta}": eam.LogSumExp(beta) for beta in BETAS}


def signs(low, high):
    """1 where a change must be above 0, −1 where it can't, 0 where that is open."""
    return jnp.where(low > 0, 1, jnp.where(high <= 0, -1, 0))


def of_patterns(separation, X, state):
    """Changes by all flips of a state, their bounds, and what these say of the sign."""
    similarities = X.astype(float) @ state
    gain = lambda row, x: separation.gain(similarities, -x * row.astype(float), 2).value  # noqa: E731
    bounds = separation.bounds(similarities, 2)
    low, high = bounds.enclose(-state * weighted_sum(X, bounds.weights))
    return jax.vmap(gain, in_axes=(1, 0))(X, state), low, high, signs(low, high)


of_one = eqx.filter_jit(of_patterns)  # here, so that separations that differ by numbers share a program
of_each = eqx.filter_jit(jax.vmap(of_patterns, in_axes=(None, None, 0)))


@pytest.mark.parametrize("name", SEPARATIONS)
@pytest.mark.parametrize("K", [1, 30, 2 * BLOCK + 5])
def test_bounds_hold_and_decide_most_flips(name, K):
    X = patterns(K, K, D)
    # From a stored pattern, near one, and from anywhere: most signs are clear, and many are close.
    states = jnp.stack([X[0], eam.datasets.flip_bits(X[0], 0.2, key=jr.key(1)), patterns(3, 1, D)[0]])
    gains, low, high, told = of_each(SEPARATIONS[name], X, states.astype(float))
    slack = 1e-4 * np.abs(gains) + 1e-6  # of the changes, which are good to that
    assert (low <= gains + slack).all() and (gains <= high + slack).all()
    np.testing.assert_array_equal(told[gains > 0] >= 0, True)
    np.testing.assert_array_equal(told[gains <= 0] <= 0, True)
    assert (told != 0).mean() > (0.5 if K < BLOCK else 0.2), (told != 0).mean()


def test_two_patterns_that_change_places_are_left_open():
    X = jnp.array([[1] * 4, [1, 1, 1, -1]], jnp.int8)
    for separation in SEPARATIONS.values():
        gains, _, _, told = of_one(separation, X, jnp.ones(4))
        assert gains[3] == 0 and told[3] <= 0


@pytest.mark.parametrize("name", ["quadratic", "relu", "order 6", "cubic"])
def test_close_calls_of_many_neurons_are_told_right(name):
    # Squares of these similarities don't fit float32, and their changes nearly cancel.
    rng, power = np.random.default_rng(0), {"order 6": 6, "cubic": 3}.get(name, 2)
    away = 2 * rng.integers(1000, 10**6, 200)
    near = away + 2 * rng.integers(-3, 2, 200)
    separation = SEPARATIONS[name]

    @jax.vmap
    def told_of(s):
        bounds = separation.bounds(s, 2)
        products = jnp.dot(jnp.array([1.0, -1.0]), bounds.weights, precision="highest")
        return signs(*bounds.enclose(products[None]))[0]

    told = told_of(jnp.stack([near, away], axis=1).astype(jnp.float32))
    gains = [
        (a + 2) ** power - a**power + (b - 2) ** power - b**power
        for a, b in zip(near.tolist(), away.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(told[np.array(gains) > 0] >= 0, True)
    np.testing.assert_array_equal(told[np.array(gains) <= 0] <= 0, True)
    assert (np.array(gains) > 0).any() and (np.array(gains) <= 0).any()


@pytest.mark.parametrize("dtype", ["int8", "bfloat16", "float32"])
@pytest.mark.parametrize("K", [1, 100, BLOCK, 3 * BLOCK + 7])
def test_a_weighted_sum_is_a_product(dtype, K):
    X, weights = patterns(K, K, 5), jr.normal(jr.key(K), (K,))
    exact = np.asarray(weights, np.float64) @ np.asarray(X, np.float64)
    X = X.astype(dtype)
    np.testing.assert_allclose(jax.jit(weighted_sum)(X, weights), exact, atol=1e-6 * K)
    by_neuron = jax.jit(lambda X, w: weighted_sum(X, w, axis=1))
    np.testing.assert_allclose(by_neuron(X.T, weights), exact, atol=1e-6 * K)


def plainly(flips, state, order, free, thresholds):
    """The same one after another, each try by `change` and `flip`."""

    def try_one(at, tried):
        state, kept = at
        i, threshold = tried
        falls = exceeds(change(flips, kept, state, i), threshold) & free[i]
        flipped = state.at[i].multiply(-1), flip(flips, kept, state, i)
        at = jax.tree.map(lambda new, old: jnp.where(falls, new, old), flipped, at)
        return at, jnp.where(falls, i, -1)

    return jax.lax.scan(try_one, (state, flips.start(state)), (order, thresholds))[1]


@pytest.mark.parametrize("name", BINARY)
def test_blocks_take_the_flips_of_one_by_one(name, getkey):
    memory = BINARY[name](patterns(6, 12, 31))
    states = patterns(7, 9, 31).astype(float)
    order, free = jr.randint(getkey(), (45,), 0, 31), jnp.arange(31) % 5 != 0  # with repetitions
    flips, descent = flips_of(memory), jnp.zeros(45)
    noise = 2 * jr.logistic(getkey(), (45,))
    plain = jax.jit(jax.vmap(lambda x, theta: plainly(flips, x, order, free, theta), in_axes=(0, None)))
    alone = jax.jit(lambda x: descended(flips, x, memory.energy(x), order, free, once=False))
    state, energy, energies, flipped = jax.jit(jax.vmap(alone))(states)
    expected = plain(states, descent)
    np.testing.assert_array_equal(flipped, expected)
    np.testing.assert_array_equal(alone(states[0]).flips, expected[0])
    assert (expected >= 0).any()
    np.testing.assert_allclose(energy, jax.vmap(memory.energy)(state), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(energies[:, -1], energy)
    assert (np.diff(energies, axis=1) <= 0).all()

    heated = jax.jit(jax.vmap(lambda x: visited(flips, x, order, free, noise)))(states)
    np.testing.assert_array_equal(heated.flips, plain(states, noise))
    ends = jax.vmap(memory.energy)(heated.state)
    np.testing.assert_allclose(heated.energy, ends, rtol=1e-4, atol=1e-4)


USUAL = {}


def in_usual_blocks(name, run, states):
    """The flips in blocks of the usual size, once for each memory."""
    if name not in USUAL:
        USUAL[name] = np.asarray(jax.jit(jax.vmap(run))(states))
    return USUAL[name]


@pytest.mark.parametrize("size", [1, 8, 31])
@pytest.mark.parametrize("name", ["chn", "hopfield", "exponential", "polynomial_3"])
def test_the_size_of_a_block_changes_no_flip(name, size, monkeypatch):
    memory, order = BINARY[name](patterns(6, 12, 31)), jr.permutation(jr.key(2), 31)
    states, free = patterns(7, 5, 31).astype(float), jnp.ones(31, bool)
    run = lambda x: descended(memory.flips(), x, jnp.asarray(jnp.inf), order, free, once=False).flips  # noqa: E731
    expected = in_usual_blocks(name, run, states)
    monkeypatch.setattr(plan, "SIZES", plan.SIZES | {"bounds": (size, 4, 2**19)})
    monkeypatch.setattr(plan, "COUPLED", dict.fromkeys(plan.COUPLED, size))
    np.testing.assert_array_equal(jax.jit(jax.vmap(run))(states), expected)
