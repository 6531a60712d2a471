"""Patterns and pairs added and taken out: as if the memory had been made so; padded memories compile once."""

import logging

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import BINARY, CONTINUOUS, patterns

import energyam as eam

X = patterns(0, 7, 16)
MEMORIES = {
    name: make for name, make in (BINARY | CONTINUOUS).items() if name not in ("hopfield", "product")
} | {
    "sdm": lambda X: eam.PatternSDM(X, 5),
    "continuous_sdm": lambda X: eam.ContinuousSDM(X / X.shape[1] ** 0.5, 5),
}


def same(one, other):
    return jax.tree.structure(one) == jax.tree.structure(other) and all(
        a.dtype == b.dtype and bool(jnp.array_equal(a, b))
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


@pytest.mark.parametrize("name", MEMORIES)
def test_a_memory_with_more_or_fewer_patterns_is_the_one_made_of_them(name):
    make, all_of_them = MEMORIES[name], MEMORIES[name](X)
    grown = make(X[:4]).with_patterns(all_of_them.patterns[4:])
    assert type(grown) is type(all_of_them) and same(grown, all_of_them)
    kept = np.array([0, 2, 3, 6])
    assert same(all_of_them.without([5, 1, 4, 1]), make(X[kept]))
    assert same(all_of_them.without(3), make(X[np.array([0, 1, 2, 4, 5, 6])]))
    assert same(all_of_them.without([]), all_of_them)


def test_new_patterns_take_the_dtype_of_those_there():
    assert eam.CHN(X[:3]).with_patterns(np.array(X[3:], np.float64)).patterns.dtype == jnp.int8
    real = eam.ModernHopfield(X[:3].astype(jnp.bfloat16), 1.0)
    assert real.with_patterns(X[3:]).patterns.dtype == jnp.bfloat16


def test_patterns_may_be_added_inside_jit():
    energy = jax.jit(lambda more, x: eam.CHN(X[:3]).with_patterns(more).without(0).energy(x))
    expected = eam.CHN(X[1:]).energy(X[0])
    np.testing.assert_allclose(energy(X[3:], X[0]), expected)


KEYS, VALUES = jr.normal(jr.key(1), (21, 5)), jr.normal(jr.key(2), (21, 3))
SEPARATIONS = {
    "softmax": eam.LogSumExp(3.0),
    "linear": eam.Linear(),
    "relu": eam.ReLU(),
    "cubic": eam.Polynomial(3, rectified=False),
    "nearest": eam.TopK(eam.LogSumExp(2.0), 4),
    "nearest_linear": eam.TopK(eam.Linear(), 6),
}


def test_pairs_are_added_and_taken_out():
    whole = eam.KeyValueMemory(KEYS, VALUES, eam.LogSumExp(3.0))
    grown = eam.KeyValueMemory(KEYS[:9], VALUES[:9], eam.LogSumExp(3.0)).with_pairs(KEYS[9:], VALUES[9:])
    assert same(grown, whole)
    assert same(whole.without(np.arange(9)), eam.KeyValueMemory(KEYS[9:], VALUES[9:], eam.LogSumExp(3.0)))


@pytest.mark.parametrize("name", SEPARATIONS)
def test_padded_reads_are_those_of_the_pairs_alone(name):
    """All similarities below 0 too, where a padding of zeros would lead; K = 1 … 5 and after forgetting."""
    keys = -jnp.abs(KEYS)
    queries = jnp.stack([jnp.ones(5), 40 * jnp.ones(5), KEYS[0]])
    padded = eam.KeyValueMemory(keys[:1], VALUES[:1], SEPARATIONS[name], capacity=3)
    assert padded.capacity == 4
    for k in range(2, 6):
        padded = padded.with_pairs(keys[k - 1 : k], VALUES[k - 1 : k])
        plain = eam.KeyValueMemory(keys[:k], VALUES[:k], SEPARATIONS[name])
        np.testing.assert_allclose(jax.vmap(padded)(queries), jax.vmap(plain)(queries), rtol=1e-5, atol=1e-6)
    assert padded.capacity == 8
    padded, plain = padded.without([0, 3]), plain.without([0, 3])
    assert padded.capacity == 8 and padded.num_pairs == 3
    np.testing.assert_allclose(jax.vmap(padded)(queries), jax.vmap(plain)(queries), rtol=1e-5, atol=1e-6)


def test_a_growing_memory_compiles_once_per_capacity(caplog):
    def grow(memory):
        for i in range(1, 17):
            memory = memory.with_pairs(KEYS[i : i + 1], VALUES[i : i + 1])
            memory(KEYS[0])

    def compilations(capacity):
        caplog.clear()
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            grow(eam.KeyValueMemory(KEYS[:1], VALUES[:1], eam.LogSumExp(2.5), capacity=capacity))
        return sum("Finished XLA compilation of jit(_read)" in r.getMessage() for r in caplog.records)

    assert compilations(1) == 5  # capacities 2, 4, 8, 16 and 32
    assert compilations(None) == 16


def test_padded_memories_are_saved_differentiated_and_read_inside_jit(tmp_path):
    padded = eam.KeyValueMemory(KEYS[:5], VALUES[:5], eam.LogSumExp(1.0), capacity=5)
    eam.save(tmp_path / "m.safetensors", padded)
    assert same(eam.load(tmp_path / "m.safetensors"), padded)
    np.testing.assert_allclose(jax.jit(lambda q: padded(q))(KEYS[0]), padded(KEYS[0]), rtol=1e-6)

    def read(memory):
        return lambda query: jnp.sum(memory(query) ** 2)

    plain = eam.KeyValueMemory(KEYS[:5], VALUES[:5], eam.LogSumExp(1.0))
    np.testing.assert_allclose(jax.grad(read(padded))(KEYS[0]), jax.grad(read(plain))(KEYS[0]), rtol=1e-4)
    with jax.numpy_dtype_promotion("strict"):
        assert padded(KEYS[0].astype(jnp.bfloat16)).shape == (3,)
