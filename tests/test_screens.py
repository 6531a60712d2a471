"""Screens: what they tell of a flip's gain is true, and they tell most of it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from energyam.dynamics.sweeps import increments_of, try_each
from energyam.memories.products import BLOCK, weighed
from zoo import BINARY, patterns

import energyam as eam

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


def of_patterns(separation, X, state):
    """Gains of all flips of a state, and what the screen tells of them."""
    similarities = X.astype(float) @ state
    gain = lambda row, x: separation.gain(similarities, -x * row.astype(float), 2)  # noqa: E731
    told = separation.screen(similarities, 2).signs(X, -state)
    return jax.vmap(gain, in_axes=(1, 0))(X, state), told


@pytest.mark.parametrize("name", SEPARATIONS)
@pytest.mark.parametrize("K", [1, 30, 2 * BLOCK + 5])
def test_what_is_told_is_the_sign_of_the_gain(name, K):
    X = patterns(K, K, D)
    # From a stored pattern, near one, and from anywhere: most signs are clear, and many are close.
    states = jnp.stack([X[0], eam.datasets.flip_bits(X[0], 0.2, key=jr.key(1)), patterns(3, 1, D)[0]])
    both = eqx.filter_jit(jax.vmap(of_patterns, in_axes=(None, None, 0)))
    gains, told = both(SEPARATIONS[name], X, states.astype(float))
    np.testing.assert_array_equal(told[gains > 0] >= 0, True)
    np.testing.assert_array_equal(told[gains <= 0] <= 0, True)
    assert (told != 0).mean() > (0.5 if K < BLOCK else 0.2), (told != 0).mean()


def test_two_patterns_that_change_places_are_left_open():
    X = jnp.array([[1] * 4, [1, 1, 1, -1]], jnp.int8)
    for separation in SEPARATIONS.values():
        gains, told = of_patterns(separation, X, jnp.ones(4))
        assert gains[3] == 0 and told[3] <= 0


@pytest.mark.parametrize("name", ["quadratic", "relu", "order 6", "cubic"])
def test_close_calls_of_many_neurons_are_told_right(name):
    # Squares of these similarities don't fit float32, and their changes nearly cancel.
    rng, power = np.random.default_rng(0), {"order 6": 6, "cubic": 3}.get(name, 2)
    away = 2 * rng.integers(1000, 10**6, 200)
    near = away + 2 * rng.integers(-3, 2, 200)
    told = jax.vmap(lambda s: SEPARATIONS[name].screen(s, 2).signs(jnp.array([[1], [-1]]), jnp.ones(1))[0])(
        jnp.stack([near, away], axis=1).astype(jnp.float32)
    )
    gains = [
        (a + 2) ** power - a**power + (b - 2) ** power - b**power
        for a, b in zip(near.tolist(), away.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(told[np.array(gains) > 0] >= 0, True)
    np.testing.assert_array_equal(told[np.array(gains) <= 0] <= 0, True)
    assert (np.array(gains) > 0).any() and (np.array(gains) <= 0).any()


@pytest.mark.parametrize("dtype", ["int8", "bfloat16", "float32"])
@pytest.mark.parametrize("K", [1, 100, BLOCK, 3 * BLOCK + 7])
def test_weighed_is_a_product(dtype, K):
    X, weights = patterns(K, K, 5), jr.normal(jr.key(K), (K,))
    exact = np.asarray(weights, np.float64) @ np.asarray(X, np.float64)
    X = X.astype(dtype)
    np.testing.assert_allclose(jax.jit(weighed)(X, weights), exact, atol=1e-6 * K)
    by_neuron = jax.jit(lambda X, w: weighed(X, w, axis=1))
    np.testing.assert_allclose(by_neuron(X.T, weights), exact, atol=1e-6 * K)


def plainly(increments, state, order, clamp):
    """The flips of a gain for every neuron, one after another."""

    def try_one(at, i):
        state, currents = at
        falls = (increments.gain(currents, state, i) > 0) & ~clamp[i]
        flipped = state.at[i].multiply(-1), increments.flip(currents, state, i)
        at = jax.tree.map(lambda new, old: jnp.where(falls, new, old), flipped, at)
        return at, jnp.where(falls, i, -1)

    return jax.lax.scan(try_one, (state, increments.currents(state)), order)[1]


@pytest.mark.parametrize("name", BINARY)
def test_chunks_take_the_flips_of_one_by_one(name, getkey):
    memory = BINARY[name](patterns(6, 12, 31))
    states = patterns(7, 9, 31).astype(float)
    order, clamp = jr.randint(getkey(), (45,), 0, 31), jnp.arange(31) % 5 == 0  # with repetitions
    increments = increments_of(memory)
    plain = jax.jit(jax.vmap(lambda x: plainly(increments, x, order, clamp)))(states)
    alone = jax.jit(lambda x: try_each(memory, x, memory.energy(x), order, clamp))
    state, energy, energies, flips = jax.jit(jax.vmap(alone))(states)
    np.testing.assert_array_equal(flips, plain)
    np.testing.assert_array_equal(alone(states[0])[3], plain[0])
    assert (plain >= 0).any()
    np.testing.assert_allclose(energy, jax.vmap(memory.energy)(state), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(energies[:, -1], energy)
    assert (np.diff(energies, axis=1) <= 0).all()
