"""Networks of edges: the same as dense ones, their colours, and sweeps that decide a colour at once."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from boltzmann import boltzmann, energies_of, p_value, telling_temperature
from single_moves import moving
from test_boltzmann import D, check, samples
from zoo import patterns, ring

import energyam as eam
from energyam.flips.colouring import coloured, colours_of
from energyam.flips.noise import Noise, logit
from energyam.flips.sweep import visit

KEY = jr.key(0)


def random_edges(seed, num, dim):
    """Pairs of different neurons, each once."""
    pairs = np.random.default_rng(seed).integers(0, dim, (4 * num, 2))
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    return np.random.default_rng(seed).permutation(pairs)[:num]


def torus(side):
    """The edges of a square lattice that is closed in both directions."""
    at = np.arange(side**2).reshape(side, side)
    return np.concatenate([np.stack([at, np.roll(at, -1, axis)], -1).reshape(-1, 2) for axis in (0, 1)])


def pair(seed, num, dim, neurons):
    """A random sparse network, and the dense one of the same energy."""
    rng, edges = np.random.default_rng(seed), random_edges(seed, num, dim)
    weights, bias = rng.normal(size=len(edges)).astype(np.float32), rng.normal(size=dim).astype(np.float32)
    dense = np.zeros((dim, dim), np.float32)
    dense[tuple(edges.T)] = weights
    return eam.SparseNetwork(edges, weights, bias, neurons), eam.HopfieldNetwork(
        dense + dense.T, bias, neurons
    )


GRAPHS = {
    "none": (np.zeros((0, 2), int), 3),
    "torus": (torus(6), 36),
    "odd torus": (torus(5), 25),
    "star": (np.stack([np.zeros(40, int), np.arange(1, 41)], 1), 41),
    "complete": (np.stack(np.triu_indices(9, 1), 1), 11),
    "random": (random_edges(1, 300, 60), 60),
    "path": (np.stack([np.arange(999), np.arange(1, 1000)], 1), 1000),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_colouring_is_proper_and_holds_every_edge_from_both_ends(name):
    edges, dim = GRAPHS[name]
    colours, found = colours_of(edges, dim), coloured(edges, dim)
    assert (colours[edges[:, 0]] != colours[edges[:, 1]]).all()
    block = np.repeat(np.arange(len(found.sizes)), found.sizes)
    by_neuron = np.empty(dim, int)
    by_neuron[found.order] = block
    assert (by_neuron[edges[:, 0]] != by_neuron[edges[:, 1]]).all()
    step, term, at = np.nonzero(found.edges < len(edges))
    own = found.order[found.starts[found.blocks[step]] + at]
    seen = np.stack([own, found.order[found.neighbours[step, term, at]]], 1)
    assert sorted(map(tuple, seen)) == sorted(map(tuple, np.concatenate([edges, edges[:, ::-1]])))


def test_tables_grow_with_the_edges_even_about_a_hub():
    for number in (2000, 20000):
        star = np.stack([np.zeros(number, int), np.arange(1, number + 1)], 1)
        assert coloured(star, number + 1).edges.size <= 50 * number
    side = 64
    assert coloured(torus(side), side**2).edges.size == 4 * side**2  # each edge from both ends, and no more


@pytest.mark.parametrize(
    ("name", "number"), [("none", 1), ("torus", 2), ("star", 2), ("path", 2), ("complete", 9)]
)
def test_no_more_colours_than_needed(name, number):
    assert colours_of(*GRAPHS[name]).max() + 1 == number


@pytest.mark.parametrize("neurons", [eam.Binary(), eam.ZeroOne(), eam.Tanh(0.5)], ids=["±1", "0/1", "graded"])
def test_energy_field_and_gradients_are_those_of_the_dense_network(neurons):
    sparse, dense = pair(2, 60, 20, neurons)
    x = jnp.where(jr.bernoulli(KEY, 0.5, (20,)), 1.0, 0.0 if neurons.values == (0, 1) else -0.9)
    for ask in (lambda m: m.energy(x), lambda m: m.field(x), lambda m: jax.grad(m.energy)(x)):
        np.testing.assert_allclose(ask(sparse), ask(dense), rtol=1e-4, atol=1e-5)
    slope = eqx.filter_grad(lambda m: m.energy(x))(sparse)
    np.testing.assert_allclose(slope.weights, -x[sparse.edges[:, 0]] * x[sparse.edges[:, 1]], rtol=1e-6)
    np.testing.assert_allclose(slope.bias, -x, rtol=1e-6)


@pytest.mark.parametrize("neurons", [eam.Binary(), eam.ZeroOne()], ids=["±1", "0/1"])
def test_colours_decide_exactly_as_one_neuron_after_another(neurons):
    sparse, dense = pair(3, 90, 30, neurons)
    low, high = neurons.values
    x = jnp.where(jr.bernoulli(KEY, 0.5, (40, 30)), 1.0 * high, 1.0 * low)
    keys, free = jr.bits(jr.key(1), (40, 2), "uint32"), jr.bernoulli(jr.key(2), 0.8, (30,))
    flips, other = sparse.flips(), dense.flips()
    order = flips.colours()

    def sweep(flips, order):
        def of_one(x, key):
            neurons = moving(x, free)._replace(steps=low + high - 2 * x)
            noise = Noise(key, jnp.asarray(0.7), logit)
            thresholds = noise if order is None else noise.at(jnp.arange(30), x.dtype)
            return visit(flips, flips.start(x), neurons, order, thresholds, True)[0]

        return jax.jit(jax.vmap(of_one))(x, keys)

    at_once, in_turn, in_blocks = sweep(flips, None), sweep(flips, order), sweep(other, order)
    assert (at_once.flips >= 0).any() and (at_once.flips < 0).any()
    for wanted in (in_turn, in_blocks):
        np.testing.assert_array_equal(at_once.state, wanted.state)
        np.testing.assert_array_equal(at_once.flips, wanted.flips)
        np.testing.assert_allclose(at_once.energies, wanted.energies, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("order", ["colours", "permutation", "uniform", "sequential"])
def test_recall_ends_in_minima_of_the_dense_network_too(order):
    sparse, dense = pair(4, 60, 20, eam.Binary())
    x = jr.rademacher(KEY, (3, 20), dtype="int8")
    result = eam.recall(sparse, x, eam.Asynchronous(order), key=KEY)
    assert result.converged.all() and eam.is_local_minimum(dense, result.state).all()
    assert eam.is_local_minimum(sparse, result.state).all() and not eam.is_local_minimum(sparse, x).any()
    np.testing.assert_allclose(result.energies[:, -1], jax.vmap(dense.energy)(result.state), rtol=1e-4)


def test_a_chain_alone_is_the_first_of_many_and_holds_clamped_neurons():
    memory = pair(5, 60, 20, eam.Binary())[0]
    x = jr.rademacher(KEY, (70, 20), dtype="int8")  # three words
    clamp = jnp.arange(20) < 5
    many = eam.sample(memory, x, eam.HeatBath(1.5), 4, key=KEY, clamp=clamp)
    alone = eam.sample(memory, x[0], eam.HeatBath(1.5), 4, key=KEY, clamp=clamp)
    np.testing.assert_array_equal(alone.states, many.states[0])
    assert (many.states[:, :, :5] == x[:, None, :5]).all() and (many.states[:, :, 5:] != x[:, None, 5:]).any()
    energies = jax.vmap(jax.vmap(memory.energy))(many.states.astype(float))
    np.testing.assert_allclose(many.energies, energies, rtol=1e-4, atol=1e-4)


def test_networks_of_their_own_are_swept_under_one_vmap():
    edges, x = torus(4), jr.rademacher(KEY, (2, 16), dtype="float32")
    weights = jr.normal(KEY, (2, 32))
    recalled = lambda w, x: eam.recall(eam.SparseNetwork(edges, w), x).state  # noqa: E731
    both = jax.vmap(recalled)(weights, x)
    for k in range(2):
        np.testing.assert_array_equal(both[k], recalled(weights[k], x[k]))


RULES = {"heat bath": eam.HeatBath, "Metropolis": eam.Metropolis}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_coloured_sweeps_sample_all_states_and_a_wrong_colouring_is_rejected(rule, getkey):
    memory = ring(patterns(33, 3, D), eam.Binary())
    energies = energies_of(memory, D)
    T = telling_temperature(energies)
    check(samples(memory, rule(T), getkey()), energies, T)
    wrong = with_neighbours_at_once(memory)
    assert p_value(samples(wrong, rule(T), getkey()), boltzmann(energies, T), energies) < 1e-6


def with_neighbours_at_once(memory):
    """The same network, but neighbours are decided at once: all neurons are one block."""
    edges = np.asarray(memory.edges)
    one = coloured(np.zeros((0, 2), int), D)
    most = max(np.bincount(edges.reshape(-1)))
    neighbours, numbers = np.zeros((1, most, D), np.int32), np.full((1, most, D), len(edges), np.int32)
    for i in range(D):
        which, end = np.nonzero(edges == i)
        neighbours[0, : len(which), i], numbers[0, : len(which), i] = edges[which, 1 - end], which
    at_once = eqx.tree_at(lambda c: (c.neighbours, c.edges), one, (neighbours, numbers))
    return eqx.tree_at(lambda m: m.colouring, memory, jax.tree.map(jnp.asarray, at_once))


def test_a_file_is_read_again_and_a_wrong_colouring_refused(tmp_path):
    memory = ring(patterns(33, 3, D), eam.ZeroOne())
    eam.save(tmp_path / "sparse.safetensors", memory)
    assert eqx.tree_equal(eam.load(tmp_path / "sparse.safetensors"), memory)
    eam.save(tmp_path / "wrong.safetensors", with_neighbours_at_once(memory))
    with pytest.raises(ValueError, match="colouring must be that of"):
        eam.load(tmp_path / "wrong.safetensors")


def test_an_edge_that_comes_twice_counts_twice_and_minimize_finds_the_ground_state():
    memory = eam.SparseNetwork(np.array([[0, 1], [1, 0], [2, 1]]), np.array([1.0, 2.0, -1.0]))
    assert memory.num_neurons == 3 and memory.energy(jnp.array([1.0, 1, -1])) == -4
    np.testing.assert_array_equal(memory.weights, [3, -1])
    lattice = eam.SparseNetwork(torus(8), np.ones(128))
    found = eam.ising.minimize(lattice, 8, 100, key=KEY)
    assert found.energy == -128 and found.is_minimum


@pytest.mark.parametrize(("dtype", "rtol"), [("float16", 3e-6), ("bfloat16", 3e-6), ("float64", 1e-13)])
def test_energies_of_chains_and_searches_are_those_of_weights_of_any_width(dtype, rtol):
    """Weights of 16 bits are summed in 32, and no number of any width is promoted unasked."""
    with jax.enable_x64(dtype == "float64"), jax.numpy_dtype_promotion("strict"), jax.debug_nans(True):
        edges, rng = random_edges(6, 60, 20), np.random.default_rng(6)
        edges = edges[np.lexsort(edges.T[::-1])]
        weights, bias = (jnp.asarray(rng.normal(size=n), dtype) for n in (60, 20))
        memory = eam.SparseNetwork(edges, weights, bias)
        assert memory.weights.dtype == dtype
        start = jr.rademacher(KEY, (3, 20), dtype="int8")
        samples = eam.sample(memory, start, eam.HeatBath(1.5, "colours"), 4, key=KEY)
        found = eam.ising.minimize(memory, 4, 10, key=KEY)
        star = eam.SparseNetwork(GRAPHS["star"][0], jnp.full(40, 2000, dtype))
        assert star.energy(jnp.ones(41)) == -80_000  # beyond float16
    weights, bias = np.asarray(weights, np.float64), np.asarray(bias, np.float64)
    for states, energies in ((samples.states, samples.energies), (found.states, found.energies)):
        x = np.asarray(states, np.float64)
        exact = -(x[..., edges[:, 0]] * x[..., edges[:, 1]]) @ weights - x @ bias
        assert energies.dtype == ("float64" if dtype == "float64" else "float32")
        np.testing.assert_allclose(energies, exact, rtol=rtol, atol=20 * rtol)


def test_edges_must_be_known_when_the_network_is_made():
    with pytest.raises(ValueError, match="edges must be known"):
        jax.jit(lambda edges: eam.SparseNetwork(edges, jnp.ones(1)).energy(jnp.ones(2)))(jnp.array([[0, 1]]))
