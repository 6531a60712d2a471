"""Learning by energy: equilibrium propagation, contrastive Hebbian learning and predictive coding."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import energyam as eam
from energyam import nn

S = eam.synapses


def pair(w):
    """E = ½x² + ½s² − w s x."""
    layers = {"x": eam.Continuous(shape=(1,)), "s": eam.Continuous(shape=(1,))}
    return eam.HierarchicalMemory(layers, [(S.Dense(jnp.reshape(w, (1, 1))), ("x", "s"))])


def squares(state, target):
    return 0.5 * jnp.sum((state["s"] - target) ** 2)


@pytest.mark.parametrize(("w", "x", "y", "b"), [(1.0, 1.0, 0.0, 0.1), (0.5, 2.0, -1.0, 0.3)])
def test_equilibrium_propagation_has_its_closed_form(w, x, y, b):
    query, target = {"x": jnp.full((2, 1), x), "s": jnp.zeros((2, 1))}, jnp.full((2, 1), y)

    def loss(w):
        return nn.equilibrium_propagation(pair(w), query, target, squares, clamp={"x": True}, strength=b)

    def lowest(b):  # of E + b C over s
        return x**2 / 2 - (w * x + b * y) ** 2 / (2 * (1 + b)) + b * y**2 / 2

    value, slope = jax.jit(jax.value_and_grad(loss))(w)
    np.testing.assert_allclose(slope, x * (w * x - y) / (1 - b**2), rtol=1e-4)
    np.testing.assert_allclose(value, (lowest(b) - lowest(-b)) / (2 * b), rtol=1e-4)
    np.testing.assert_allclose(value, (w * x - y) ** 2 / 2, rtol=1.5 * b**2)  # the cost at rest


def test_equilibrium_propagation_agrees_with_autodiff_through_recall():
    layers = {"x": eam.Tanh(1.0, shape=(3,)), "h": eam.Tanh(1.0, shape=(4,)), "s": eam.Tanh(1.0, shape=(2,))}
    V = jr.normal(jr.key(1), (4, 2)) / 2
    query = {"x": jr.uniform(jr.key(2), (3, 3)), "h": jnp.zeros((3, 4)), "s": jnp.zeros((3, 2))}
    targets = jr.uniform(jr.key(3), (3, 2))

    def memory(W):
        return eam.HierarchicalMemory(layers, [(S.Dense(W), ("x", "h")), (S.Dense(V), ("h", "s"))])

    def through(W):
        end = eam.recall(memory(W), query, max_steps=40, clamp={"x": True}, record=False).state
        return jax.vmap(squares)(end, targets).mean()

    def by_energy(W):
        return nn.equilibrium_propagation(
            memory(W), query, targets, squares, max_steps=40, clamp={"x": True}, strength=0.02
        )

    W = jr.normal(jr.key(0), (3, 4)) / 2
    wanted, got = (jax.jit(jax.grad(loss))(W) for loss in (through, by_energy))
    assert jnp.abs(wanted).max() > 1e-2
    np.testing.assert_allclose(got, wanted, atol=2e-2 * np.abs(wanted).max())


def test_contrastive_hebbian_learning_is_the_difference_of_two_products():
    query = {"x": jnp.array([[2.0], [1.0]]), "s": jnp.array([[0.5], [3.0]])}

    def loss(w):
        return nn.contrastive_hebbian(pair(w), query, inputs={"x": True}, outputs={"s": True})

    # ∂E/∂w is −s x: with s right, less that with s = w x.
    wanted = np.mean([0.7 * x * x - s * x for x, s in ((2.0, 0.5), (1.0, 3.0))])
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(0.7), wanted, rtol=1e-5)
    spelt_out = dict(inputs={"x": True, "s": False}, outputs={"x": False, "s": True})
    np.testing.assert_array_equal(nn.contrastive_hebbian(pair(0.7), query, **spelt_out), loss(0.7))


def chain(weights):
    """Linear layers that predict each other, from an input that costs nothing."""
    layers = {"x0": eam.Free(shape=(weights[0].shape[1],))}
    layers |= {f"x{i + 1}": eam.Continuous(shape=(W.shape[0],)) for i, W in enumerate(weights)}
    names = list(layers)
    synapses = [(S.Prediction(Times(W)), (names[i], names[i + 1])) for i, W in enumerate(weights)]
    return eam.HierarchicalMemory(layers, synapses)


class Times(eqx.Module):
    """x → W x."""

    weights: jax.Array

    def __call__(self, x):
        return self.weights @ x


def lowest(weights, x, y):
    """½ eᵀ S⁻¹ e."""
    through, S = jnp.eye(weights[-1].shape[0]), jnp.eye(weights[-1].shape[0])
    for W in weights[:0:-1]:
        through = through @ W
        S = S + through @ through.T
    e = y - through @ weights[0] @ x
    return 0.5 * e @ jnp.linalg.solve(S, e)


@pytest.mark.parametrize("kind", ["issue", "matrices"])
def test_predictive_coding_has_its_linear_optimum_and_its_gradient(kind):
    weights = [jnp.ones((1, 1)), jnp.full((1, 1), 2.0)]
    x, y = jnp.ones(1), jnp.ones(1)
    if kind == "matrices":
        weights = [jr.normal(jr.key(i), shape) / 2 for i, shape in enumerate([(3, 2), (4, 3), (2, 4)])]
        x, y = jr.normal(jr.key(5), (2,)), jr.normal(jr.key(6), (2,))
    last = f"x{len(weights)}"

    def loss(weights):
        memory = chain(weights)
        query = {name: jnp.zeros((1, *shape)) for name, shape in memory.state_shape.items()}
        query |= {"x0": x[None], last: y[None]}
        update = eam.GradientDescent(0.15)
        return nn.predictive_coding(memory, query, update, 400, clamp={"x0": True, last: True})

    value, slopes = jax.jit(jax.value_and_grad(loss))(weights)
    wanted, exact = jax.value_and_grad(lowest)(weights, x, y)
    np.testing.assert_allclose(value, wanted, rtol=1e-4)
    if kind == "issue":
        np.testing.assert_allclose(value, 0.1, rtol=1e-5)
    for slope, one in zip(slopes, exact, strict=True):
        np.testing.assert_allclose(slope, one, rtol=1e-3, atol=1e-4)
