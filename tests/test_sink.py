"""A log-sum-exp with a sink: one more similarity of 0 in the sums, against that similarity written out."""

import itertools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import patterns

import energyam as eam
from energyam.memories.reads import read
from energyam.nn import HopfieldAttention

X = np.array(patterns(0, 4, 10))
STATES = np.array(list(itertools.product((-1.0, 1.0), repeat=10)))
SIMILARITIES = np.random.default_rng(0).normal(size=(3, 40)) * np.array([[1.0], [300.0], [30.0]]) - 5


def by_hand(beta, s, divided):
    """Potential and weights in double precision, with the 0 as a similarity of its own."""
    s = np.append(np.asarray(s, np.float64), 0)
    e = np.exp(beta * (s - s.max()))
    potential = beta * s.max() + np.log(e.sum())
    return (potential / beta, (e / e.sum())[:-1]) if divided else (potential, beta * (e / e.sum())[:-1])


@pytest.mark.parametrize("divided", [True, False])
def test_potential_weights_blocks_and_gradients(divided):
    separation = eam.LogSumExp(0.7, divided, sink=True)
    for s in (*SIMILARITIES, -np.abs(SIMILARITIES[1]) - 900):
        potential, weights = by_hand(0.7, s, divided)
        s = jnp.asarray(s, jnp.float32)
        np.testing.assert_allclose(separation.potential(s), potential, rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(separation.weights(s), weights, rtol=2e-4, atol=1e-6)
        np.testing.assert_allclose(jax.grad(separation.potential)(s), weights, rtol=2e-4, atol=1e-6)
        rows = jnp.asarray(np.random.default_rng(1).normal(size=(40, 3)), jnp.float32)
        for block in (7, 40):
            found, sums = read(
                separation, lambda s, v: s[:, 0], lambda w, s, v: w @ v, (s[:, None], rows), block
            )
            np.testing.assert_allclose(found, potential, rtol=2e-5, atol=1e-6)
            np.testing.assert_allclose(sums, weights @ np.asarray(rows), rtol=1e-3, atol=1e-5)
    plain = eam.LogSumExp(0.7, divided)
    s = jnp.asarray(SIMILARITIES[0], jnp.float32)
    assert (
        abs(plain.potential(s) - by_hand(0.7, SIMILARITIES[0], divided)[0]) > 1e-3
    )  # which the test rejects


def test_flips_are_decided_as_by_enumeration():
    for beta, shift in ((0.3, 0), (2.0, 0), (0.3, 8)):
        separation = eam.LogSumExp(beta, sink=True)
        kept = jnp.asarray(X[0, :4] @ X[:3, :4].T, jnp.float32) - shift
        for step, direction in itertools.product((1, 2), itertools.product((-1, 0, 1), repeat=3)):
            change = np.array(direction) * step
            wanted = by_hand(beta, kept + change, True)[0] - by_hand(beta, kept, True)[0]
            gain = separation.gain(kept, jnp.asarray(direction), step)
            np.testing.assert_allclose(gain.value, wanted, rtol=1e-4, atol=1e-6)
            if 0 not in direction:
                bounds = separation.bounds(kept, step)
                found = bounds.enclose(jnp.asarray([direction], jnp.float32) @ bounds.weights)
                assert found.low - 1e-5 <= wanted <= found.high + 1e-5
                assert found.high - found.low < 1e-3 or beta > 1
    memory = eam.DenseAM(X, eam.LogSumExp(0.3, sink=True), eam.Binary())
    energies = np.array([-by_hand(0.3, x @ X.T, True)[0] for x in STATES])
    minima = np.ones(1024, bool)
    for i in range(10):
        minima &= energies <= energies[np.arange(1024) ^ (1 << (9 - i))] + 1e-9
    assert (np.asarray(eam.is_local_minimum(memory, STATES)) == minima).all()
    result = eam.recall(memory, STATES[::37], key=jr.key(0))
    np.testing.assert_allclose(result.energies[:, -1], [memory.energy(x) for x in result.state], rtol=1e-4)
    assert result.converged.all()


def test_reads_and_layers_answer_nothing_where_nothing_is_similar():
    keys, values = jnp.eye(4), jnp.arange(8.0).reshape(4, 2) + 1
    memory = eam.KeyValueMemory(keys, values, eam.LogSumExp(20.0, sink=True))
    np.testing.assert_allclose(memory(keys[2]), values[2], rtol=1e-4)
    np.testing.assert_allclose(memory(-jnp.ones(4)), 0, atol=1e-6)
    layer = HopfieldAttention(4, separation=eam.LogSumExp(0.5, sink=True))
    queries, stored = jr.normal(jr.key(0), (3, 4)), jr.normal(jr.key(1), (6, 4))
    found = jax.jit(lambda *given: layer(*given))(queries, stored)
    powers = np.exp(0.5 * np.asarray(queries @ stored.T, np.float64))
    wanted = powers / (1 + powers.sum(1, keepdims=True)) @ np.asarray(stored)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
    narrow = layer(queries.astype(jnp.bfloat16), stored.astype(jnp.bfloat16))
    np.testing.assert_allclose(np.asarray(narrow, np.float32), wanted, rtol=0.1, atol=0.1)
    some = jnp.arange(6) < 3
    masked = powers[:, :3] / (1 + powers[:, :3].sum(1, keepdims=True)) @ np.asarray(stored[:3])
    np.testing.assert_allclose(layer(queries, stored, mask=some), masked, rtol=1e-3, atol=1e-5)


def test_saved_files_and_what_a_sink_rules_out(tmp_path):
    eam.save(tmp_path / "memory", eam.DenseAM(X, eam.LogSumExp(0.3, sink=True), eam.Binary()))
    assert eam.load(tmp_path / "memory").separation.sink
    with pytest.raises(ValueError, match="hidden units"):
        memory = eam.load(tmp_path / "memory")
        eam.sample(memory, X[0], eam.BlockGibbs(1.0), 2, key=jr.key(0))
    with pytest.raises(ValueError, match="sink must be True or False"):
        eam.LogSumExp(1.0, sink=0)
