"""States of any shape, and energies and separations of a user's own, written as the documentation shows."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array
from zoo import Cosh, all_states, patterns

import energyam as eam


class SpinGlass(eqx.Module):
    """An energy alone."""

    couplings: Array

    def energy(self, state):
        return -0.5 * state @ self.couplings @ state


class Autoencoder(eqx.Module):
    """Two layers: states are dictionaries, batch axes in front of each leaf."""

    weights: Array
    neurons = {"seen": eam.Continuous(), "hidden": eam.Continuous()}  # noqa: RUF012
    state_shape = {"seen": (6,), "hidden": (3,)}  # noqa: RUF012

    def energy(self, state):
        drive = state["hidden"] @ self.weights @ state["seen"]
        return sum(n.energy(state[name]) for name, n in self.neurons.items()) - drive


class Boltzmann(eqx.Module):
    """A restricted Boltzmann machine of ±1 layers."""

    weights: Array
    bias: Array
    neurons = eam.Binary()
    state_shape = {"seen": (4,), "hidden": (3,)}  # noqa: RUF012

    def energy(self, state):
        return -state["hidden"] @ self.weights @ state["seen"] - self.bias @ state["seen"]


class Mixed(eqx.Module):
    """A layer of spins that a real layer pulls at."""

    weights: Array
    neurons = {"spins": eam.Binary(), "drive": eam.Continuous()}  # noqa: RUF012
    state_shape = {"spins": (5,), "drive": (2, 2)}  # noqa: RUF012

    def energy(self, state):
        drive = state["drive"].reshape(-1)
        return 0.5 * jnp.sum(drive**2) - state["spins"] @ self.weights @ drive


class Tokens(eqx.Module):
    """A state of N tokens of D entries, that agree with one another."""

    state_shape: tuple = eqx.field(static=True)

    def energy(self, tokens):
        return 0.5 * jnp.sum(tokens**2) + 0.5 * jnp.sum((tokens - tokens.mean(0, keepdims=True)) ** 2)


def glass(seed, D):
    W = jr.normal(jr.key(seed), (D, D))
    return SpinGlass(W + W.T)


def neighbours(energies, D):
    """The lowest energy among the D neighbours of each of the 2^D states."""
    return energies[np.arange(2**D)[:, None] ^ 2 ** np.arange(D)].min(axis=1)


def test_an_energy_alone_recalls_to_local_minima(getkey):
    D = 7
    memory, states = glass(0, D), all_states(D)
    result = eam.recall(memory, states, key=getkey())
    energies = np.asarray(jax.vmap(memory.energy)(states))
    minima = energies <= neighbours(energies, D)
    ends = (np.asarray(result.state) < 0) @ 2 ** np.arange(D)
    assert result.converged.all() and minima[ends].all()
    np.testing.assert_array_equal(eam.is_local_minimum(memory, states), minima)
    # It declares no neurons, so it serves rules of real states as well.
    assert (np.diff(eam.recall(memory, states * 0.1, eam.GradientDescent(1e-3), 3).energies) < 0).all()


def test_a_potential_alone_recalls_like_brute_force(getkey):
    D, X = 7, patterns(3, 4, 7)
    memory, states = eam.DenseAM(X, Cosh(jnp.array(2.0)), eam.Binary()), all_states(D)
    energies = -np.cosh(np.asarray(X, float) @ np.asarray(states).T / 2).sum(0)
    np.testing.assert_allclose(jax.vmap(memory.energy)(states), energies, rtol=1e-5)

    # One sweep, decision by decision.
    expected, index = np.asarray(states).copy(), np.arange(2**D)
    for i in range(D):
        falls = energies[index ^ 2**i] < energies[index] - 1e-5 * np.abs(energies[index])
        index, expected[:, i] = np.where(falls, index ^ 2**i, index), np.where(falls, -1, 1) * expected[:, i]
    swept = eam.recall(memory, states, eam.Asynchronous("sequential"), 1)
    np.testing.assert_array_equal(swept.state, expected)
    np.testing.assert_allclose(swept.energies[:, -1], energies[index], rtol=1e-5)

    clear = np.abs(neighbours(energies, D) - energies) > 1e-4 * np.abs(energies)
    minima = eam.is_local_minimum(memory, states)
    np.testing.assert_array_equal(minima[clear], (energies < neighbours(energies, D))[clear])


def test_a_potential_alone_serves_synchronous_recall_reads_and_gradients(getkey):
    X, separation = patterns(3, 4, 7), Cosh(jnp.array(2.0))
    memory = eam.DenseAM(X, separation, eam.Binary())
    query = jr.rademacher(getkey(), (6, 7), dtype=float)
    stepped = eam.recall(memory, query, eam.Synchronous(), 1)
    field = (jnp.sinh(query @ X.T / 2) / 2) @ X
    np.testing.assert_array_equal(stepped.state, jnp.where(field == 0, query, jnp.sign(field)))

    keys, values = jr.normal(getkey(), (5, 3)), jr.normal(getkey(), (5, 2))
    read = eam.KeyValueMemory(keys, values, separation)(keys[0])
    np.testing.assert_allclose(read, jnp.sinh(keys @ keys[0] / 2) / 2 @ values, rtol=1e-5)

    slope = jax.grad(lambda width: eam.DenseAM(X, Cosh(width), eam.Binary()).energy(query[0]))(2.0)
    s = X @ query[0]
    np.testing.assert_allclose(slope, jnp.sum(jnp.sinh(s / 2) * s / 4), rtol=1e-5)


def test_a_clamped_layer_drives_the_others(getkey):
    weights = jr.normal(getkey(), (3, 6)) / 4
    memory = Autoencoder(weights)
    x, h = jr.normal(getkey(), (6,)), jnp.zeros(3)
    known = jnp.arange(6) < 4
    result = eam.recall(
        memory,
        {"seen": x, "hidden": h},
        eam.GradientDescent(0.2),
        300,
        clamp={"seen": known, "hidden": False},
    )
    assert result.converged
    np.testing.assert_array_equal(result.state["seen"][:4], x[:4])
    np.testing.assert_allclose(result.state["hidden"], weights @ result.state["seen"], atol=1e-4)
    np.testing.assert_allclose(result.state["seen"][4:], (weights.T @ result.state["hidden"])[4:], atol=1e-4)
    steps = result.energies.shape[0]
    frames = result.frames(every=1)
    assert frames["seen"].shape == (steps + 1, 6) and frames["hidden"].shape == (steps + 1, 3)
    np.testing.assert_array_equal(frames["hidden"][0], h)
    np.testing.assert_allclose(jax.vmap(memory.energy)(frames)[1:], result.energies, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
def test_any_leading_axes_on_every_leaf(batch, getkey):
    memory = Autoencoder(jr.normal(getkey(), (3, 6)) / 4)
    query = {"seen": jr.normal(getkey(), (*batch, 6)), "hidden": jr.normal(getkey(), (*batch, 3))}
    clamp = {"seen": jnp.broadcast_to(jnp.arange(6) < 4, (*batch, 6))}
    result = eam.recall(memory, query, eam.GradientDescent(0.2), 5, clamp=clamp)
    assert result.status.shape == batch and result.energies.shape[:-1] == batch
    assert jax.tree.map(jnp.shape, result.state) == {"seen": (*batch, 6), "hidden": (*batch, 3)}
    F = result.energies.shape[-1] // 2 + 1 + result.energies.shape[-1] % 2
    assert jax.tree.map(jnp.shape, result.frames(2)) == {"seen": (*batch, F, 6), "hidden": (*batch, F, 3)}
    np.testing.assert_array_equal(result.state["seen"][..., :4], query["seen"][..., :4])


@pytest.mark.parametrize("clamp", ["shared", "own", "layer", "missing", "all", "prefix of one leaf"])
def test_clamps_hold_what_they_say(clamp, getkey):
    memory = Autoencoder(jr.normal(getkey(), (3, 6)) / 4)
    query = {"seen": jr.normal(getkey(), (2, 6)), "hidden": jr.normal(getkey(), (2, 3))}
    own = jnp.arange(6)[None] < jnp.array([[2], [4]])
    given, seen, hidden = {
        "shared": ({"seen": own[0], "hidden": False}, own[0], False),
        "own": (
            {"seen": own, "hidden": jnp.array([True, False, False])},
            own,
            jnp.array([True, False, False]),
        ),
        "layer": ({"seen": True, "hidden": False}, True, False),
        "missing": ({"hidden": True}, False, True),
        "all": (True, True, True),
        "prefix of one leaf": ({"seen": jnp.array([[True], [False]])}, jnp.array([[True], [False]]), False),
    }[clamp]
    result = eam.recall(memory, query, eam.GradientDescent(0.2), 4, clamp=given)
    for name, held in (("seen", seen), ("hidden", hidden)):
        stays = result.state[name] == query[name]
        np.testing.assert_array_equal(stays, np.broadcast_to(held, stays.shape))


def test_two_layers_of_spins_equal_enumeration(getkey):
    memory = Boltzmann(jr.normal(getkey(), (3, 4)), 0.3 * jr.normal(getkey(), (4,)))
    states = {"hidden": all_states(7)[:, :3], "seen": all_states(7)[:, 3:]}
    energies = np.asarray(jax.vmap(memory.energy)(states))
    lowest = neighbours(energies, 7)
    minima = np.asarray(eam.is_local_minimum(memory, states))
    np.testing.assert_array_equal(minima, energies < lowest)
    assert 0 < minima.sum() < 2**7

    result = eam.recall(memory, states, key=getkey())  # asynchronous by default
    assert result.converged.all() and eam.is_local_minimum(memory, result.state).all()
    np.testing.assert_allclose(result.energies[:, -1], jax.vmap(memory.energy)(result.state), rtol=1e-5)
    frames = result.frames(every=7)
    np.testing.assert_array_equal(frames["seen"][:, -1], result.state["seen"])
    np.testing.assert_array_equal(frames["hidden"][:, 0], states["hidden"])
    assert frames["hidden"].shape[2:] == (3,)

    # With one layer held, the other is at its best: the sign of its field.
    held = eam.recall(memory, states, key=getkey(), clamp={"seen": True})
    np.testing.assert_array_equal(held.state["seen"], states["seen"])
    np.testing.assert_array_equal(held.state["hidden"], jnp.sign(states["seen"] @ memory.weights.T))
    best = eam.is_local_minimum(memory, states, clamp={"seen": True})
    assert best.sum() == 2**4 and best[minima].all()


def test_of_mixed_layers_flips_move_the_spins_alone(getkey):
    memory = Mixed(jr.normal(getkey(), (5, 4)))
    query = {"spins": jr.rademacher(getkey(), (3, 5), dtype="int8"), "drive": jr.normal(getkey(), (3, 2, 2))}
    with pytest.raises(
        ValueError, match=r"Asynchronous can.t move the neurons of layer .*drive.*, Continuous"
    ):
        eam.recall(memory, query, eam.Asynchronous(), key=getkey())
    result = eam.recall(memory, query, eam.Asynchronous(), key=getkey(), clamp={"drive": True})
    assert result.converged.all() and result.state["spins"].dtype == jnp.int8
    np.testing.assert_array_equal(result.state["drive"], query["drive"])
    field = query["drive"].reshape(3, 4) @ memory.weights.T
    np.testing.assert_array_equal(result.state["spins"], jnp.sign(field))
    assert eam.is_local_minimum(memory, result.state).all()
    frames = result.frames(5)
    assert frames["drive"].shape == (3, 3, 2, 2) and frames["spins"].shape == (3, 3, 5)


def test_tokens_have_a_shape_of_two_axes(getkey):
    memory = Tokens((4, 3))
    query = jr.normal(getkey(), (2, 4, 3))
    result = eam.recall(memory, query, eam.GradientDescent(0.2), 200)
    np.testing.assert_allclose(result.state, 0, atol=1e-4)
    assert result.converged.shape == (2,) and result.frames(100).shape[-2:] == (4, 3)
    clamp = jnp.zeros((4, 3), bool).at[0].set(True)
    held = eam.recall(memory, query[0], eam.GradientDescent(0.2), 10, clamp=clamp)
    np.testing.assert_array_equal(held.state[0], query[0, 0])
    row = eam.recall(memory, query, eam.GradientDescent(0.2), 10, clamp=jnp.array([[True], [False]] * 2))
    np.testing.assert_array_equal(row.state[:, ::2], query[:, ::2])


class Well(eqx.Module):
    """One number, in a well of two bottoms."""

    state_shape = ()

    def energy(self, x):
        return (x**2 - 1) ** 2


def test_a_state_of_one_number(getkey):
    single = eam.recall(Well(), 0.3, eam.GradientDescent(0.05), 200)
    assert single.state.shape == () and single.converged
    np.testing.assert_allclose(single.state, 1, atol=1e-4)
    many = eam.recall(Well(), jnp.array([0.3, -0.2, 2.0]), eam.GradientDescent(0.02), 300)
    np.testing.assert_allclose(many.state, [1, -1, 1], atol=1e-4)
    assert many.frames(300).shape == (3, 2)
    held = eam.recall(
        Well(), jnp.array([0.3, -0.2]), eam.GradientDescent(0.02), 5, clamp=jnp.array([True, False])
    )
    np.testing.assert_array_equal(held.state == jnp.array([0.3, -0.2]), [True, False])


class Counts(eqx.Module):
    """An energy in whole numbers: how many neurons differ from the one before."""

    def energy(self, state):
        return jnp.sum(state[1:] != state[:-1])


def test_an_energy_in_whole_numbers_is_a_float_in_the_answer(getkey):
    result = eam.recall(Counts(), jnp.array([1, 1, -1, 1, 1, -1]), key=getkey())
    assert jnp.issubdtype(result.energies.dtype, jnp.floating)
    np.testing.assert_array_equal(result.energies[-1], 0)
    assert jnp.issubdtype(result.state.dtype, jnp.integer)


class Compass(eqx.Module):
    """A unit vector in a field, beside real neurons."""

    field: Array
    neurons = {"needle": eam.Spherical(), "rest": eam.Continuous()}  # noqa: RUF012
    state_shape = {"needle": (3,), "rest": (2,)}  # noqa: RUF012

    def energy(self, state):
        return -self.field @ state["needle"] + 0.5 * jnp.sum(state["rest"] ** 2)


@pytest.mark.parametrize("clamp", [None, {"rest": jnp.array([True, False])}, {"needle": True}])
def test_gradient_descent_keeps_a_sphere_a_sphere(clamp, getkey):
    memory = Compass(jnp.array([0.0, 3.0, 4.0]))
    needle = jr.normal(getkey(), (4, 3))
    query = {"needle": needle / jnp.linalg.norm(needle, axis=1, keepdims=True), "rest": jnp.ones((4, 2))}
    result = eam.recall(memory, query, eam.GradientDescent(0.1), 200, clamp=clamp)
    norms = jnp.linalg.norm(result.frames(1)["needle"], axis=-1)
    np.testing.assert_allclose(norms, 1, atol=1e-5)
    if clamp is None or "rest" in clamp:
        assert result.converged.all()
        np.testing.assert_allclose(result.state["needle"], jnp.tile(memory.field / 5, (4, 1)), atol=1e-4)
    else:
        np.testing.assert_array_equal(result.state["needle"], query["needle"])
    np.testing.assert_allclose(result.state["rest"][:, 1], 0, atol=1e-4)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "float16"])
def test_states_come_back_in_the_dtype_of_the_query(dtype):
    """So that what is computed with them does not wrap: in int8, 300 ones add up to 44."""
    X = jnp.ones((1, 300), jnp.int8)
    query = np.asarray(X[0], dtype)
    result = eam.recall(eam.CHN(X), query, key=jr.key(0))
    assert result.state.dtype == result.query.dtype == dtype
    if dtype != "int8":
        assert result.state @ result.state == 300
    states = eam.sample(eam.CHN(X), query, eam.HeatBath(1.0), 2, key=jr.key(0)).states
    assert states.dtype == dtype
