"""Synchronous and gradient recall: descent, attention, fixed points, derivatives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import BINARY, CONTINUOUS, patterns

import energyam as eam

CONVEX = {name: make for name, make in BINARY.items() if name != "hopfield"} | CONTINUOUS


class Bowl(eqx.Module):
    """A user's own energy, with its lowest point at `centre`."""

    centre: jax.Array

    def energy(self, x):
        return jnp.sum((x - self.centre) ** 2)


@pytest.mark.parametrize("clamped", [False, True])
@pytest.mark.parametrize("name", CONVEX)
def test_synchronous_recall_never_rises_where_the_potential_is_convex(name, clamped, getkey):
    X = patterns(1, 5, 16)
    memory = CONVEX[name](X)
    query = jr.rademacher(getkey(), (8, 16), dtype=float) / (4 if name == "sphere" else 1)
    clamp = jnp.arange(16) < 6 if clamped and name != "sphere" else None
    result = eam.recall(memory, query, eam.Synchronous(), 200, clamp=clamp)
    energies = np.concatenate([result.initial_energy[:, None], result.energies], axis=1)
    assert (np.diff(energies, axis=1) <= 1e-5 * np.abs(energies).max()).all()
    assert result.converged.all()
    np.testing.assert_allclose(result.energies[:, -1], jax.vmap(memory.energy)(result.state), rtol=1e-5)
    if clamp is not None:
        np.testing.assert_array_equal(result.state[:, :6], query[:, :6])


def test_one_synchronous_step_is_attention(getkey):
    X, x = jr.normal(getkey(), (6, 4)), jr.normal(getkey(), (4,))
    result = eam.recall(eam.ModernHopfield(X, 1.7), x, max_steps=1)
    np.testing.assert_allclose(result.state, jax.nn.softmax(1.7 * X @ x) @ X, rtol=1e-5)


def test_the_field_is_minus_the_gradient_of_the_energy(getkey):
    for make in BINARY.values():
        memory = make(patterns(2, 4, 10))
        x = jr.normal(getkey(), (10,))
        np.testing.assert_allclose(memory.field(x), -jax.grad(memory.energy)(x), rtol=1e-4)


def test_a_cycle_of_two_does_not_converge():
    network = eam.HopfieldNetwork(jnp.array([[0.0, -1.0], [-1.0, 0.0]]))
    result = eam.recall(network, jnp.array([1.0, 1.0]), eam.Synchronous(), 7)
    assert not result.converged and eam.STATUSES[result.status] == "cycle" and result.period == 2


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
def test_any_leading_axes(batch, getkey):
    memory = eam.ModernHopfield(jr.normal(getkey(), (4, 5)), 2.0)
    result = eam.recall(memory, jr.normal(getkey(), (*batch, 5)), max_steps=9)
    T = result.energies.shape[-1]
    assert result.state.shape == (*batch, 5) and result.converged.shape == batch
    assert result.frames(every=1).shape == (*batch, T + 1, 5)


def test_gradient_descent_finds_the_lowest_point(getkey):
    centre = jr.normal(getkey(), (3,))
    result = eam.recall(Bowl(centre), jnp.zeros((2, 3)), eam.GradientDescent(0.3), 100)
    assert result.converged.all() and (np.diff(result.energies, axis=1) <= 0).all()
    np.testing.assert_allclose(result.state, jnp.tile(centre, (2, 1)), atol=1e-5)


def test_gradient_descent_ends_where_synchronous_recall_does(getkey):
    X = jr.normal(getkey(), (4, 6))
    for memory in (eam.ModernHopfield(X, 4.0), eam.DenseAM(X / 3, eam.LogSumExp(4.0), eam.Continuous())):
        start = X[1] + 0.1
        slow = eam.recall(memory, start, eam.GradientDescent(0.5), 300)
        fast = eam.recall(memory, start, eam.Synchronous(), 300)
        np.testing.assert_allclose(slow.state, fast.state, atol=1e-4)


@pytest.mark.parametrize(
    "update", [eam.Synchronous(), eam.GradientDescent(0.4)], ids=["synchronous", "gradient"]
)
def test_recall_is_differentiable_in_reverse(update, getkey):
    X, x, direction = jr.normal(getkey(), (3, 4)), jr.normal(getkey(), (2, 4)), jr.normal(getkey(), (3, 4))

    def end(X):
        memory = eam.ModernHopfield(X, 1.5)
        return jnp.sum(eam.recall(memory, x, update, 4, record=False).state ** 2)

    slope = jnp.vdot(jax.jit(jax.grad(end))(X), direction)
    h = 1e-2
    numeric = (end(X + h * direction) - end(X - h * direction)) / (2 * h)
    np.testing.assert_allclose(slope, numeric, rtol=2e-2, atol=1e-3)


def test_jit_equals_eager_and_a_sweep_compiles_once(getkey):
    X = patterns(3, 5, 24)
    queries = eam.datasets.flip_bits(X, 0.25, key=getkey())
    traces = []

    @eqx.filter_jit
    def run(memory, queries, key):
        traces.append(1)
        return eam.recall(memory, queries, key=key, max_steps=6)

    key = getkey()
    for beta in np.linspace(0.1, 2.0, 10):
        memory = eam.ExponentialDenseAM(X, beta)
        inside = run(memory, queries, key)
        outside = eam.recall(memory, queries, key=key, max_steps=6)
        T = outside.energies.shape[1]
        np.testing.assert_array_equal(inside.state, outside.state)
        np.testing.assert_allclose(inside.energies[:, :T], outside.energies, rtol=1e-6)
        np.testing.assert_array_equal(inside.energies[:, T:], np.tile(outside.energies[:, -1:], 6 * 24 - T))
        np.testing.assert_array_equal(inside.num_steps, outside.num_steps)
    assert len(traces) == 1


def test_frames_inside_jit_repeat_the_end(getkey):
    memory = eam.ModernHopfield(jr.normal(getkey(), (3, 4)), 30.0)
    x = jr.normal(getkey(), (4,))
    frames = jax.jit(lambda x: eam.recall(memory, x, max_steps=12).frames(every=1))(x)
    assert frames.shape == (13, 4)
    np.testing.assert_allclose(frames[-1], eam.recall(memory, x, max_steps=12).state, atol=1e-6)
    np.testing.assert_array_equal(frames[-1], frames[-2])
