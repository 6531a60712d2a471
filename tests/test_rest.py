"""Implicit gradients at rest, beside those through all the steps."""

import importlib

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import energyam as eam
from energyam import nn

# jax 0.7 has it in `experimental` alone, newer ones warn of it there.
enable_x64 = (jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")).enable_x64


@pytest.mark.parametrize("update", [eam.Blockwise(), eam.Relaxation(0.7)], ids=["blockwise", "relaxation"])
def test_implicit_gradients_equal_those_of_a_long_recall(update):
    with enable_x64(True):
        layers = {"seen": eam.Tanh(1.0, shape=(4,)), "hidden": eam.Sigmoid(2.0, shape=(3,))}
        query = {"seen": jnp.array([0.5, -0.2, 0.1, 0.3]), "hidden": jnp.full(3, 0.5)}
        clamp = {"seen": jnp.array([True, True, False, False])}
        W, target = jr.normal(jr.key(0), (4, 3)), jr.normal(jr.key(1), (4,))

        def loss(parts, end):
            W, query = parts
            memory = eam.HierarchicalMemory(layers, [(eam.synapses.Dense(W), ("seen", "hidden"))])
            return jnp.sum((end(memory, query)["seen"] - target) ** 2)

        long = lambda m, q: eam.recall(m, q, update, 150, clamp=clamp, record=False).state  # noqa: E731
        short = lambda m, q: eam.recall(m, q, update, 2, clamp=clamp, record=False).state  # noqa: E731
        rest = lambda m, q: nn.recall_at_rest(m, q, update, 300, clamp=clamp, tol=1e-12)  # noqa: E731
        unrolled, truncated, implicit = (
            jax.jit(jax.grad(lambda parts, end=end: loss(parts, end)))((W, query))
            for end in (long, short, rest)
        )
        for got, wanted in zip(jax.tree.leaves(implicit), jax.tree.leaves(unrolled), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=2e-6)
        assert np.abs(truncated[0] - unrolled[0]).max() > 1e-3
