"""Graded neurons: Fenchel–Young, answers as gradients, suprema, ranges, curvature, Hopfield 1984."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import all_states, patterns

import energyam as eam

GRADED = {
    "rectified": eam.Rectified(),
    "tanh": eam.Tanh(1.3),
    "sigmoid": eam.Sigmoid(2.1),
    "softmax": eam.Softmax(1.7),
    "layer_norm": eam.LayerNorm(1.4, 0.3, 0.2),
    "layer_norm_offsets": eam.LayerNorm(0.8, np.array([0.1, -0.2, 0.5, 0.0]), 0.5),
}
SHAPES = [(4,), (3, 4)]
over_all = pytest.mark.parametrize("neurons", GRADED.values(), ids=GRADED)
over_shapes = pytest.mark.parametrize("shape", SHAPES)


def widened(neurons):
    return jax.tree.map(lambda leaf: leaf.astype(float), neurons)


@over_shapes
@over_all
def test_the_answer_is_the_gradient_of_the_lagrangian(neurons, shape, x64):
    neurons = widened(neurons)
    field = 2 * jr.normal(jr.key(1), shape)
    answer = neurons.respond(field, jnp.zeros(shape))
    np.testing.assert_allclose(answer, jax.grad(neurons.lagrangian)(field), rtol=1e-9, atol=1e-12)


@over_shapes
@over_all
def test_energy_is_the_legendre_dual_of_the_lagrangian(neurons, shape, x64):
    neurons = widened(neurons)
    field = 2 * jr.normal(jr.key(2), shape)
    g = neurons.respond(field, jnp.zeros(shape))
    np.testing.assert_allclose(neurons.energy(g), jnp.vdot(field, g) - neurons.lagrangian(field), rtol=1e-9)


@over_shapes
@over_all
def test_no_other_field_makes_more_of_the_answer(neurons, shape, x64):
    """R(g) is the largest of x · g − L(x): ascent over x, which is concave, ends there."""
    neurons = widened(neurons)
    g = neurons.respond(jr.normal(jr.key(3), shape), jnp.zeros(shape))
    value = jax.jit(jax.value_and_grad(lambda x: jnp.vdot(x, g) - neurons.lagrangian(x)))
    x = jnp.zeros(shape)
    for _ in range(3000):
        found, slope = value(x)
        x = x + 0.3 * slope
    np.testing.assert_allclose(found, neurons.energy(g), rtol=1e-6)


@over_all
def test_the_answer_costs_least_of_all_states_also_under_a_curvature(neurons, x64):
    neurons = widened(neurons)
    field = 3 * jr.normal(jr.key(4), (4,))
    others = jax.vmap(neurons.retract)(field[None] + jr.normal(jr.key(5), (500, 4)))

    for curvature in (0.0, 0.4, 30.0):

        def cost(x, curvature=curvature):
            return neurons.energy(x) + 0.5 * curvature * jnp.sum(x**2) - jnp.vdot(field, x)

        answer = neurons.respond(field, jnp.zeros(4), curvature)
        near = jax.vmap(neurons.retract)(answer[None] + 1e-3 * jr.normal(jr.key(6), (200, 4)))
        for states in (others, near):
            assert (jax.vmap(cost)(states) >= cost(answer) - 1e-12 * abs(cost(answer))).all()
        np.testing.assert_allclose(neurons.retract(answer), answer, atol=1e-9)


@over_all
def test_answers_under_a_curvature_are_differentiable(neurons, x64):
    neurons = widened(neurons)
    field, way = jr.normal(jr.key(7), (2, 4))

    def answer(neurons, field, curvature):
        return jnp.vdot(way, neurons.respond(field, jnp.zeros(4), curvature))

    for curvature in (jnp.array(0.0), jnp.array(0.7)):
        slopes = jax.jit(jax.grad(answer, argnums=(0, 1, 2)))(neurons, field, curvature)
        h = 1e-5
        moved = lambda t, c=curvature: answer(  # noqa: E731
            jax.tree.map(lambda leaf: leaf * (1 + 0.3 * t), neurons), field + t * way[::-1], c + 0.2 * t
        )
        ahead = (moved(h) - moved(-h)) / (2 * h) if curvature > 0 else (moved(h) - moved(0.0)) / h
        along = jax.tree.map(lambda slope, leaf: jnp.sum(slope * 0.3 * leaf), slopes[0], neurons)
        expected = sum(jax.tree.leaves(along)) + jnp.vdot(slopes[1], way[::-1]) + 0.2 * slopes[2]
        np.testing.assert_allclose(expected, ahead, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    "neurons",
    [eam.Tanh(1000.0), eam.Sigmoid(1000.0), eam.Softmax(1000.0)],
    ids=["tanh", "sigmoid", "softmax"],
)
def test_finite_for_steep_neurons_and_large_fields(neurons):
    for field in (jnp.array([0.1, -0.1, 0.0]), jnp.array([100.0, -100.0, 3.0])):
        g = neurons.respond(field, field)
        values = neurons.energy(g), neurons.lagrangian(field), jnp.vdot(field, g)
        slopes = jax.grad(neurons.energy)(g), jax.grad(neurons.lagrangian)(field)
        for array in jax.tree.leaves((g, values, slopes, jax.grad(lambda n: n.energy(g))(neurons))):  # noqa: B023
            assert np.isfinite(array).all()
        np.testing.assert_allclose(values[0], values[2] - values[1], atol=2e-5 * (1 + abs(values[1])))


@over_all
def test_the_nearest_state_is_one_and_none_is_nearer(neurons, x64):
    neurons = widened(neurons)
    x = 3 * jr.normal(jr.key(8), (4,))
    nearest = neurons.retract(x)
    neurons.check("state", nearest, "D")
    assert np.isfinite(jax.grad(neurons.energy)(nearest)).all()
    states = jax.vmap(lambda f: neurons.respond(f, f))(5 * jr.normal(jr.key(9), (2000, 4)))
    distances = jnp.linalg.norm(states - x[None], axis=1)
    assert jnp.linalg.norm(nearest - x) <= distances.min() + 1e-9


@pytest.mark.parametrize(
    "update", [eam.Synchronous(), eam.GradientDescent(0.02)], ids=["synchronous", "gradient"]
)
@over_all
def test_recall_stays_in_range_and_synchronous_recall_never_rises(neurons, update):
    X = jr.normal(jr.key(10), (3, 4))
    memory = eam.DenseAM(X, eam.Quadratic(), neurons)
    if isinstance(neurons, eam.Rectified):  # a quadratic potential would outgrow R
        memory = eam.DenseAM(X, eam.LogSumExp(2.0), neurons)
    query = jax.vmap(neurons.retract)(jr.normal(jr.key(11), (5, 4)))
    result = eam.recall(memory, query, update, 100)
    neurons.check("end", result.state, "... D")
    energies = np.concatenate([result.initial_energy[:, None], result.energies], axis=1)
    assert np.isfinite(energies).all()
    if isinstance(update, eam.Synchronous):  # no step size of a gradient is small enough near the ends
        assert (np.diff(energies, axis=1) <= 1e-5 * (1 + np.abs(energies).max())).all()


def test_hopfields_graded_network_starts_from_corners():
    X = patterns(3, 2, 12)
    memory = eam.DenseAM(X, eam.Quadratic(), eam.Tanh(1.0))
    noisy = eam.datasets.flip_bits(X, 0.1, key=jr.key(12))
    for update in (eam.Synchronous(), eam.GradientDescent(0.01)):
        end = eam.recall(memory, noisy, update, 300)
        np.testing.assert_array_equal(np.sign(end.state), X)


@pytest.mark.parametrize("temperature", [0.5, 2.0, 8.0])
def test_free_energy_of_the_mean_field_bounds_minus_t_log_z_from_above(temperature, x64):
    """R(x) − ½ xᵀWx − T D ln 2, R the entropy's, over product measures of a network with zero diagonal."""
    D = 10
    W = eam.hebbian(patterns(4, 3, D)) * D

    class Graded(eqx.Module):
        neurons: eam.Tanh
        state_shape = (D,)

        def potential(self, x):
            return 0.5 * x @ W @ x

        def energy(self, x):
            return self.neurons.energy(x) - self.potential(x)

    memory = Graded(eam.Tanh(1 / temperature))
    states = all_states(D)
    network = eam.HopfieldNetwork(W)
    exact = -temperature * jax.nn.logsumexp(-jax.vmap(network.energy)(states) / temperature)
    ends = eam.recall(memory, 0.9 * states[:40], eam.GradientDescent(0.005), 400).state
    bounds = jax.vmap(memory.energy)(ends) - temperature * D * np.log(2)
    assert (bounds >= exact - 1e-9).all()
    assert bounds.min() <= exact + 0.2 * abs(exact)
    wrong = jax.vmap(Graded(eam.Tanh(1 / temperature / 1.3)).energy)(ends) - 1.3 * temperature * D * np.log(2)
    assert wrong.min() < bounds.min()


def test_numbers_of_a_layer_are_trained():
    memory = eam.DenseAM(jr.normal(jr.key(13), (3, 4)), eam.LogSumExp(2.0), eam.LayerNorm())
    x = memory.neurons.respond(jr.normal(jr.key(14), (4,)), jnp.zeros(4))
    slopes = eqx.filter_grad(lambda memory: memory.energy(0.5 * x))(memory).neurons
    assert all(abs(float(slope)) > 1e-7 for slope in (slopes.gain, slopes.eps))
    assert np.isfinite(slopes.offset)
    for neurons in (eam.Tanh(1.0), eam.Sigmoid(1.0), eam.Softmax(1.0)):
        g = neurons.retract(jnp.array([0.2, 0.3, 0.5]))
        assert float(jax.grad(lambda n: n.energy(g))(neurons).beta) != 0  # noqa: B023
