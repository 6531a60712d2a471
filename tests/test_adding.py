"""Patterns and pairs added and taken out: as if the memory had been made so; padded memories compile once."""

import logging

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax import lax
from zoo import BINARY, CONTINUOUS, patterns

import energyam as eam
from energyam import learning

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


def padded_with(rows, separation="softmax", capacity=8, dtype=jnp.float32):
    keys, values = KEYS[:rows].astype(dtype), VALUES[:rows].astype(dtype)
    return eam.KeyValueMemory(keys, values, SEPARATIONS[separation], capacity=capacity)


def by_age(rows, oldest):
    """The rows of a full memory from the oldest pair to the newest."""
    return jnp.roll(rows, -oldest, axis=0)


@pytest.mark.parametrize("name", ["softmax", "linear", "nearest"])
def test_a_stream_is_written_inside_a_scan_and_the_oldest_pairs_make_room(name):
    """At each time the reads are those of a memory of the last 8 pairs alone, built anew."""
    written = learning.stream(
        padded_with(1, name), KEYS[1:], VALUES[1:], KEYS[:-1], step=eam.KeyValueMemory.write
    )
    for t, read in enumerate(written.reads, start=2):
        last = slice(max(0, t - 8), t)
        fresh = eam.KeyValueMemory(KEYS[last], VALUES[last], SEPARATIONS[name])
        np.testing.assert_allclose(read, fresh(KEYS[t - 2]), rtol=1e-4, atol=1e-5)
    assert written.memory.capacity == 8 and written.memory.num_pairs == 8
    np.testing.assert_array_equal(by_age(written.memory.keys, written.memory.oldest), KEYS[-8:])
    np.testing.assert_array_equal(by_age(written.memory.values, written.memory.oldest), VALUES[-8:])
    # What is forgotten by its row, and written afterwards, leaves the others in their order.
    row = int(np.flatnonzero((np.asarray(written.memory.keys) == np.asarray(KEYS[-5])).all(axis=1))[0])
    fewer = written.memory.without([row])
    more = jax.jit(eam.KeyValueMemory.write)(fewer, KEYS[:2], VALUES[:2])
    wanted = jnp.concatenate([KEYS[-7:-5], KEYS[-4:], KEYS[:2]])
    np.testing.assert_array_equal(by_age(more.keys, more.oldest), wanted)
    larger = more.write(KEYS[2], VALUES[2])
    np.testing.assert_array_equal(larger.keys[:9], jnp.concatenate([wanted, KEYS[2:3]]))


@pytest.mark.parametrize("more", [2, 5, 6, 13])
def test_writes_inside_jit_are_those_outside_it_less_the_oldest(more):
    """Fewer than there is room for, as many, one too many, and more than the whole room at once."""
    new = KEYS[3 : 3 + more], VALUES[3 : 3 + more]
    outside, inside = padded_with(3).write(*new), jax.jit(eam.KeyValueMemory.write)(padded_with(3), *new)
    kept = min(3 + more, 8)
    assert outside.num_pairs == 3 + more and inside.num_pairs == kept and inside.capacity == 8
    np.testing.assert_array_equal(by_age(inside.keys, inside.oldest)[:kept], KEYS[3 + more - kept : 3 + more])
    again = inside.write(KEYS[-1], VALUES[-1])  # outside again the room grows, and nothing is forgotten
    assert again.num_pairs == kept + 1 and again.capacity == (8 if kept < 8 else 16)
    fresh = eam.KeyValueMemory(
        jnp.concatenate([KEYS[3 + more - kept : 3 + more], KEYS[-1:]]),
        jnp.concatenate([VALUES[3 + more - kept : 3 + more], VALUES[-1:]]),
        SEPARATIONS["softmax"],
    )
    np.testing.assert_allclose(again(KEYS[0]), fresh(KEYS[0]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_streams_of_16_bits_stay_so(dtype):
    memory = learning.write(padded_with(2, dtype=dtype), KEYS[2:], VALUES[2:], step=eam.KeyValueMemory.write)
    assert memory.keys.dtype == memory.values.dtype == dtype
    np.testing.assert_array_equal(by_age(memory.keys, memory.oldest), KEYS[-8:].astype(dtype))


def test_streams_of_many_memories_and_in_double_precision(x64):
    keys, values = jr.normal(jr.key(1), (2, 11, 5)), jr.normal(jr.key(2), (2, 11, 3))
    assert keys.dtype == jnp.float64

    def last_of(keys, values):
        memory = eam.KeyValueMemory(keys[:1], values[:1], SEPARATIONS["softmax"], capacity=4)
        written = lax.scan(lambda m, pair: (m.write(*pair), m(pair[0])), memory, (keys[1:], values[1:]))[0]
        return by_age(written.keys, written.oldest), written.num_pairs, written(keys[0])

    found = jax.vmap(last_of)(keys, values)
    np.testing.assert_array_equal(found[0], keys[:, -4:])
    assert found[0].dtype == jnp.float64 and found[1].dtype == jnp.int32 and (found[1] == 4).all()
    for one in range(2):
        fresh = eam.KeyValueMemory(keys[one, -4:], values[one, -4:], SEPARATIONS["softmax"])
        np.testing.assert_allclose(found[2][one], fresh(keys[one, 0]), rtol=1e-12)


def test_what_was_written_inside_a_scan_can_be_learned():
    def loss(values):
        memory = learning.write(padded_with(1), KEYS[1:12], values, step=eam.KeyValueMemory.write)
        return jnp.sum(memory(KEYS[0]) ** 2)

    def by_hand(values):
        memory = eam.KeyValueMemory(KEYS[4:12], values[3:], SEPARATIONS["softmax"])
        return jnp.sum(memory(KEYS[0]) ** 2)

    values = VALUES[1:12]
    np.testing.assert_allclose(jax.grad(loss)(values), jax.grad(by_hand)(values), rtol=1e-4, atol=1e-6)


def test_a_write_inside_a_scan_moves_no_other_row():
    """The compiled loop neither copies the keys nor makes an array as large."""
    memory, rows = padded_with(1, capacity=4096), jnp.ones((50, 5))
    write = lambda m: lax.scan(lambda m, row: (m.write(row, row[:3]), None), m, rows)[0]  # noqa: E731
    needed = jax.jit(write).lower(memory).compile().memory_analysis()
    assert needed.temp_size_in_bytes < memory.keys.nbytes / 4


def test_wrong_pairs_of_a_stream():
    step = eam.KeyValueMemory.write
    with pytest.raises(ValueError, match=r"same shapes \(a KeyValueMemory needs a capacity\)"):
        learning.write(padded_with(3, capacity=None), KEYS, VALUES, step=step)
    with pytest.raises(ValueError, match=r"keys must be \(n, 5\)"):
        padded_with(3).write(np.ones(4), np.ones(3))
    with pytest.raises(ValueError, match="must agree in K"):
        padded_with(3).write(np.ones(5), np.ones((2, 3)))
    with pytest.raises(ValueError, match="values must be a numeric array"):
        padded_with(3).write(np.ones(5), "abc")
    with pytest.raises(ValueError, match=r"num_pairs must be known.*write pairs inside jit by write"):
        jax.jit(lambda m: m.with_pairs(KEYS, VALUES).keys)(padded_with(3))


def test_a_memory_without_room_has_a_gradient():
    memory, query = eam.KeyValueMemory(KEYS, VALUES, eam.LogSumExp(1.0)), KEYS[0]
    gradient = jax.grad(lambda memory: memory(query).sum())(
        memory
    )  # whole numbers among the leaves refuse it
    weights = jax.nn.softmax(KEYS @ query)
    np.testing.assert_allclose(gradient.values, jnp.broadcast_to(weights[:, None], VALUES.shape), rtol=1e-5)
