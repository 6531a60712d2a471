"""NeuronSDM: hard locations against a plain NumPy memory, and against PatternSDM on average."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import patterns

import energyam as eam


def bits_of(memory):
    """The hard locations' addresses as ±1, unpacked."""
    raw = np.asarray(memory.addresses).view(np.uint8)
    return 2 * np.unpackbits(raw, axis=1, bitorder="little")[:, : memory.dim].astype(int) - 1


def plain_active(memory, address):
    return (bits_of(memory) != np.asarray(address)[None]).sum(1) <= int(memory.radius)


@pytest.mark.parametrize(("N", "D", "radius"), [(50, 20, 8), (3000, 33, 12), (20_000, 64, 24)])
def test_activation_writing_and_reading_equal_a_plain_memory(N, D, radius):
    memory = eam.NeuronSDM.random(N, D, radius, word_dim=7, key=jr.key(0))
    addresses, words = patterns(1, 5, D), patterns(2, 5, 7)
    counters = np.zeros((N, 7), int)
    for address, word in zip(addresses, words, strict=True):
        near = plain_active(memory, address)
        np.testing.assert_array_equal(memory.active(address), near)
        counters[near] += np.asarray(word, int)
    written = memory.write(addresses, words)
    np.testing.assert_array_equal(written.counters, counters)
    sums = counters[plain_active(memory, addresses[3])].sum(0)
    np.testing.assert_array_equal(written.read(addresses[3]), np.sign(sums))
    assert not memory.counters.any()  # writing makes a new memory


def test_activation_of_a_batch_equals_one_by_one():
    memory, queries = eam.NeuronSDM.random(300, 40, 17, key=jr.key(3)), patterns(4, 6, 40)
    batch = jax.vmap(memory.active)(queries)
    np.testing.assert_array_equal(batch, np.stack([memory.active(q) for q in queries]))


def test_given_addresses_are_kept_and_words_add_up_in_any_order():
    locations = patterns(5, 30, 45)
    memory = eam.NeuronSDM(locations, 20)
    np.testing.assert_array_equal(bits_of(memory), locations)
    words = patterns(6, 9, 45)
    at_once, one_by_one = memory.write(words), memory
    for word in words[::-1]:
        one_by_one = one_by_one.write(word)
    np.testing.assert_array_equal(at_once.counters, one_by_one.counters)


def test_counters_stop_at_their_limit():
    memory = eam.NeuronSDM(patterns(7, 1, 10), 10, counter_limit=3)
    assert memory.counters.dtype == jnp.int8
    word = patterns(8, 1, 10)[0]
    for _ in range(5):
        memory = memory.write(word)
    np.testing.assert_array_equal(memory.counters[0], 3 * word)
    assert memory.counters.nbytes == 10 and eam.NeuronSDM(word[None], 1).counters.dtype == jnp.int32


def test_addresses_take_a_bit_each():
    memory = eam.NeuronSDM.random(100, 1024, 400, key=jr.key(0))
    assert memory.addresses.nbytes == 100 * 1024 // 8


def test_iterated_read_recalls_and_finds_its_fixed_point():
    memory, words = eam.NeuronSDM.random(5000, 128, 51, key=jr.key(9)), patterns(10, 10, 128)
    memory = memory.write(words)
    queries = jnp.where(jnp.arange(128)[None] < 14, -words, words)
    result = eam.recall(memory, queries)
    assert result.converged.all() and (result.state == words).mean() > 0.99
    np.testing.assert_array_equal(memory.read(result.state[0]), result.state[0])


def test_a_query_that_activates_nothing_reads_itself():
    memory = eam.NeuronSDM(patterns(11, 1, 50), 3).write(patterns(12, 4, 50))
    far = patterns(13, 1, 50)[0]
    np.testing.assert_array_equal(memory.read(far), far)
    np.testing.assert_array_equal(eam.recall(memory, far).state, far)
    assert not eam.NeuronSDM(patterns(11, 1, 50), 3, word_dim=4).read(far).any()


def fields(D, radius, N, X, query, seeds):
    """What each of several memories with random locations sums for one query."""

    def field(key):
        memory = eam.NeuronSDM.random(N, D, radius, key=key).write(X)
        return memory.field(query)

    return np.stack([field(jr.key(seed)) for seed in range(seeds)])


def test_many_neurons_read_as_pattern_sdm_within_the_sampling_error():
    D, radius, N, seeds = 64, 24, 40_000, 4
    X = patterns(14, 6, D)
    query = jnp.where(jnp.arange(D) < 6, -X[0], X[0]).astype(float)
    memory = eam.PatternSDM(X, radius, N)
    expected = np.asarray(memory.field(query))
    sums = fields(D, radius, N, X, query, seeds)
    # A location that shares k patterns with the query adds at most k² ≤ K k to the variance of a sum; N(h_μ)
    # of them share pattern μ on average.
    shared = memory.separation.weights(X.astype(float) @ query)
    bound = math.sqrt(X.shape[0] * shared.sum())
    assert np.abs(sums.mean(0) - expected).max() < 5 * bound / math.sqrt(seeds)
    assert np.abs(sums - expected[None]).max() < 5 * bound
    sure = np.abs(expected) > 5 * bound
    assert sure.mean() > 0.5 and (np.sign(sums[:, sure]) == np.sign(expected[sure])).all()


def test_the_read_is_a_gradient_on_average_only():
    D, X = 12, patterns(15, 3, 12)

    def asymmetry(field):
        """How far ∂f_i/∂x_j, as differences over flips of one neuron, is from ∂f_j/∂x_i."""
        state = 1.0 * X[0]
        flips = state[None] * (1 - 2 * jnp.eye(D))
        slopes = (field(state)[None] - jax.vmap(field)(flips)) / (2 * state[:, None])
        return float(jnp.abs(slopes - slopes.T).max() / jnp.abs(slopes).max())

    def read_of(memory):
        return jax.jit(lambda state: memory.field(state))

    few = eam.NeuronSDM.random(40, D, 4, key=jr.key(16)).write(X)
    every = 1 - 2 * ((jnp.arange(2**D)[:, None] >> jnp.arange(D)[None]) & 1)
    assert asymmetry(read_of(few)) > 0.2
    all_neurons = read_of(eam.NeuronSDM(every, 4).write(X))
    pattern = read_of(eam.PatternSDM(X, 4, 2**D))
    state = 1.0 * X[1]
    np.testing.assert_allclose(all_neurons(state), pattern(state), rtol=1e-5)


def test_saved_and_loaded(tmp_path):
    memory = eam.NeuronSDM.random(20, 40, 15, key=jr.key(0)).write(patterns(17, 3, 40))
    eam.save(tmp_path / "memory", memory)
    loaded = eam.load(tmp_path / "memory")
    assert (loaded.addresses == memory.addresses).all() and (loaded.counters == memory.counters).all()


MEMORY = eam.NeuronSDM(jnp.ones((2, 8), jnp.int8), 3)
HETERO = eam.NeuronSDM(jnp.ones((2, 8), jnp.int8), 3, word_dim=5)
ONES = jnp.ones((2, 8), jnp.int8)


@pytest.mark.parametrize(
    "call",
    [
        lambda: eam.NeuronSDM(jnp.zeros((2, 8)), 3),
        lambda: eam.NeuronSDM(ONES, 9),
        lambda: eam.NeuronSDM(ONES, 3, counter_limit=0),
        lambda: eam.NeuronSDM.random(0, 8, 3, key=jr.key(0)),
        lambda: MEMORY.write(ONES, jnp.ones((2, 9), jnp.int8)),
        lambda: MEMORY.write(ONES, jnp.ones((3, 8), jnp.int8)),
        lambda: MEMORY.write(0 * ONES),
        lambda: MEMORY.read(jnp.ones(7)),
        lambda: MEMORY.read(0.5 * jnp.ones(8)),
        lambda: HETERO.write(ONES),
        lambda: eam.recall(HETERO, ONES),
        lambda: eam.recall(MEMORY, ONES, eam.HeatBath(1.0), key=jr.key(0)),
    ],
)
def test_wrong_use(call):
    with pytest.raises(ValueError, match="must"):
        call()


def selected_by(memory):
    """Which coordinates each location looks at, unpacked."""
    raw = np.asarray(memory.selected).view(np.uint8)
    return np.unpackbits(raw, axis=1, bitorder="little")[:, : memory.dim].astype(bool)


@pytest.mark.parametrize(("radius", "k"), [(0, 3), (2, 9), (17, 40)])
def test_selected_coordinates_alone_decide_what_is_active(radius, k):
    memory = eam.NeuronSDM.random(3000, 40, radius, word_dim=3, selected=k, key=jr.key(1))
    looked, address = selected_by(memory), patterns(2, 1, 40)[0]
    np.testing.assert_array_equal(looked.sum(1), k)
    near = ((bits_of(memory) != np.asarray(address)[None]) & looked).sum(1) <= radius
    np.testing.assert_array_equal(memory.active(address), near)
    word = patterns(3, 1, 3)[0]
    np.testing.assert_array_equal(memory.write(address, word).counters, near[:, None] * np.asarray(word))
    assert near.any() and not near.all()


def test_every_coordinate_is_selected_equally_often_and_no_pair_is_preferred():
    looked = selected_by(eam.NeuronSDM.random(40_000, 12, 0, 1, selected=4, key=jr.key(2))).astype(float)
    pairs = looked.T @ looked / 40_000
    wanted = np.where(np.eye(12), 4 / 12, 4 * 3 / (12 * 11))
    assert np.abs(pairs - wanted).max() < 5 * math.sqrt(wanted.max() / 40_000)


@pytest.fixture(scope="module")
def jaeckels():
    """A million neurons that look at 10 of 1000 coordinates each."""
    return eam.NeuronSDM.random(1_000_000, 1000, 0, word_dim=1, selected=10, key=jr.key(4))


@pytest.mark.parametrize("distance", [0, 100, 200])
def test_jaeckels_designs_are_active_together_as_often_as_he_says(jaeckels, distance):
    n, k, N = 1000, 10, 1_000_000
    x = np.asarray(patterns(5, 1, n)[0])
    y = np.where(np.arange(n) < distance, -x, x)
    share = 2.0**-k * math.comb(n - distance, k) / math.comb(n, k)
    both = np.sum(np.asarray(jaeckels.active(x)) & np.asarray(jaeckels.active(y)))
    assert abs(both - N * share) < 4 * math.sqrt(N * share)


def test_hyperplanes_are_active_where_all_their_bits_are_on():
    n, k, ones, N = 1000, 3, 100, 400_000
    drawn = eam.NeuronSDM.random(N, n, 0, word_dim=1, selected=k, key=jr.key(6))
    hyperplanes = eam.NeuronSDM(jnp.ones((2000, n)), 0, 1, selected=selected_by(drawn)[:2000])
    address = jnp.where(jnp.arange(n) < ones, 1, -1)
    found = hyperplanes.active(address)
    np.testing.assert_array_equal(found, selected_by(hyperplanes)[:, ones:].sum(1) == 0)
    share = math.comb(ones, k) / math.comb(n, k)  # nearly (ones/n)^k, a thousandth
    looked = selected_by(drawn)
    assert abs((~looked[:, ones:].any(1)).sum() - N * share) < 4 * math.sqrt(N * share)


def test_a_memory_of_selected_coordinates_recalls_and_is_saved(tmp_path):
    memory = eam.NeuronSDM.random(20_000, 128, 0, selected=5, key=jr.key(7))
    words = patterns(8, 10, 128)
    memory = memory.write(words)
    queries = jnp.where(jnp.arange(128)[None] < 14, -words, words)
    result = eam.recall(memory, queries)
    assert result.converged.all() and (result.state == words).mean() > 0.99
    eam.save(tmp_path / "memory", memory)
    again = eam.load(tmp_path / "memory")
    np.testing.assert_array_equal(again.selected, memory.selected)
    np.testing.assert_array_equal(again.read(queries[0]), memory.read(queries[0]))


def test_other_selections_are_refused():
    with pytest.raises(ValueError, match="selected"):
        eam.NeuronSDM(patterns(9, 4, 10), 0, selected=np.ones((4, 9), bool))
    for wrong in (0, 11, 2.5):
        with pytest.raises(ValueError, match="selected"):
            eam.NeuronSDM.random(4, 10, 0, selected=wrong, key=jr.key(0))
