"""Asynchronous recall against brute force over all states, for every binary memory and every order."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from zoo import BINARY, OWN_BINARY, all_states, patterns

import energyam as eam

D, K = 7, 4


class Counted(eqx.Module):
    """A user's own memory: nothing but an energy."""

    patterns: jax.Array
    size: Callable[[jax.Array], jax.Array] = jnp.abs  # a leaf that is no array

    def energy(self, x):
        return -jnp.sum(self.size(self.patterns @ x) ** 1.5)


OWN = ("sdm", "float_patterns", "own_separation", "own_similarity")  # one for each way to flip
MEMORIES = BINARY | {name: OWN_BINARY[name] for name in OWN}
MEMORIES |= {"counted": lambda X: Counted(X.astype(float))}


def lowest_neighbour(memory, states):
    """The energies of all states, and those of the best of their D neighbours."""
    energies = np.asarray(jax.vmap(memory.energy)(states))
    return energies, energies[index(states)[:, None] ^ 2 ** np.arange(D)].min(axis=1)


def index(states):
    """Where each state stands among all states."""
    return (np.asarray(states) < 0) @ (2 ** np.arange(D))


CASES = [
    (name, "permutation") for name in MEMORIES if name not in ("float_quadratic", "distances", "energy_alone")
]
CASES += [(name, order) for name in ("chn", "counted") for order in ("uniform", "sequential")]


@pytest.mark.parametrize(("name", "order"), CASES)
def test_recall_goes_downhill_to_a_local_minimum(name, order, getkey):
    memory, states = MEMORIES[name](patterns(1, K, D)), all_states(D)
    energies, neighbours = lowest_neighbour(memory, states)
    slack = 1e-5 * np.abs(energies).max()

    result = eam.recall(memory, states, eam.Asynchronous(order), 30, key=getkey())
    assert result.converged.all()
    ends = index(result.state)
    assert (energies[ends] <= neighbours[ends] + slack).all()
    assert (np.diff(result.energies, axis=-1) <= 0).all()
    assert (result.energies[:, 0] <= result.initial_energy).all()
    frames = result.frames(every=1)
    assert frames.shape == (2**D, result.energies.shape[1] + 1, D)
    full = jax.vmap(jax.vmap(memory.energy))(frames)
    recorded = np.concatenate([result.initial_energy[:, None], result.energies], axis=1)
    np.testing.assert_allclose(recorded, full, atol=slack)
    np.testing.assert_array_equal(frames[:, 0], states)
    np.testing.assert_array_equal(frames[:, -1], result.state)

    clamp = jnp.arange(D) < 3
    completed = eam.recall(memory, states, eam.Asynchronous(order), 30, key=getkey(), clamp=clamp)
    assert completed.converged.all()
    np.testing.assert_array_equal(completed.state[:, :3], states[:, :3])
    assert (np.diff(completed.energies, axis=-1) <= 0).all()


@pytest.mark.parametrize("name", MEMORIES)
def test_certificate_equals_brute_force(name):
    memory, states = MEMORIES[name](patterns(2, K, D)), all_states(D)
    energies, neighbours = lowest_neighbour(memory, states)
    certified = np.asarray(eam.is_local_minimum(memory, states))
    clear = np.abs(neighbours - energies) > 1e-5 * np.abs(energies).max()
    np.testing.assert_array_equal(certified[clear], (energies < neighbours)[clear])
    assert clear.any()
    assert eam.is_local_minimum(memory, states.reshape(4, -1, D)).shape == (4, 2**D // 4)


def whole_number_recall(X, n, state, orders):
    """Flips of a polynomial memory decided in Python's integers."""
    flips = []
    overlaps = [int(s) for s in X @ state]
    for i in orders:
        after = [s - 2 * int(state[i]) * int(x) for s, x in zip(overlaps, X[:, i], strict=True)]
        falls = sum(max(s, 0) ** n if n > 2 else s**n for s in after) > sum(
            max(s, 0) ** n if n > 2 else s**n for s in overlaps
        )
        if falls:
            state[i] *= -1
            overlaps = after
        flips.append(int(i) if falls else -1)
    return flips


@pytest.mark.parametrize(
    ("n", "K", "D"), [(2, 40, 64), (3, 60, 64), (6, 200, 64), (6, 30, 500), (30, 12, 200)]
)
def test_decisions_equal_whole_number_arithmetic(n, K, D):
    # Overloaded: full of near ties. Two copies of a pattern and its inverse add exact ones.
    X = np.array(patterns(n, K, D))
    X[1], X[2] = X[0], -X[3]
    memory = eam.CHN(X) if n == 2 else eam.PolynomialDenseAM(X, n)
    queries = np.array(patterns(7, 6, D))
    result = eam.recall(memory, queries, eam.Asynchronous("sequential"), 2)
    sweeps = result.energies.shape[1] // D
    for query, flips in zip(queries, np.asarray(result.record.indices).reshape(6, -1), strict=True):
        assert list(flips) == whole_number_recall(X, n, query.copy(), list(range(D)) * sweeps)


def test_a_batch_recalls_like_its_queries_alone(getkey):
    key, X = getkey(), patterns(3, 5, 30)
    memory = eam.ExponentialDenseAM(X, 0.2)
    queries = eam.datasets.flip_bits(X, 0.2, key=getkey()).reshape(5, 1, 30)
    batch = eam.recall(memory, queries, key=key)
    assert batch.state.shape == (5, 1, 30) and batch.converged.shape == (5, 1)
    for b in range(5):
        alone = eam.recall(memory, queries[b, 0], key=key)
        T = alone.energies.shape[0]
        np.testing.assert_array_equal(batch.state[b, 0], alone.state)
        np.testing.assert_array_equal(batch.num_steps[b, 0], alone.num_steps)
        steps = alone.num_steps
        np.testing.assert_array_equal(batch.record.indices[b, 0, :steps], alone.record.indices)
        np.testing.assert_allclose(batch.energies[b, 0, :T], alone.energies, rtol=1e-6)


@pytest.mark.parametrize("beta", [0.05, 0.3, 2.0, 50.0])
def test_the_short_cut_behind_a_leader_takes_the_same_flips(beta, getkey):
    from single_moves import descended

    X = patterns(4, 20, 200)
    memory = eam.ExponentialDenseAM(X, beta)
    query = eam.datasets.flip_bits(X[0], 0.3, key=getkey()).astype(float)
    free = ~jnp.zeros(200, bool).at[::7].set(True)
    order, energy = jax.random.permutation(getkey(), 200), memory.energy(query)
    fast, slow = (
        eqx.filter_jit(descended)(memory.flips(), query, energy, order, free, once) for once in (True, False)
    )
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6)


def test_order_clamp_and_record(getkey):
    X = patterns(5, 3, 40)
    memory, key = eam.CHN(X), getkey()
    frozen = eam.recall(memory, X[0] * -1, key=key, clamp=jnp.ones(40, bool))
    np.testing.assert_array_equal(frozen.state, -X[0])
    assert frozen.converged and frozen.num_steps == 1
    bare = eam.recall(memory, X, key=key, record=False)
    assert bare.record is None and bare.energies.shape == (3, 0)
    np.testing.assert_array_equal(bare.state, eam.recall(memory, X, key=key).state)
    with pytest.raises(ValueError, match="record=False"):
        bare.frames()
    nothing = eam.recall(memory, X, key=key, max_steps=0)
    np.testing.assert_array_equal(nothing.state, X)
    assert not nothing.converged.any() and nothing.frames().shape == (3, 1, 40)


def test_history_is_small_and_frames_are_spaced(getkey):
    X = patterns(6, 10, 300)
    result = eam.recall(
        eam.ExponentialDenseAM(X, 1.0), eam.datasets.flip_bits(X, 0.2, key=getkey()), key=getkey()
    )
    tried = int(result.num_steps.max()) * 300
    history = result.energies.nbytes + result.record.indices.nbytes
    assert history <= 16 * tried * 10
    frames = result.frames(every=64)
    assert frames.shape == (10, -(-tried // 64) + 1, 300) and frames.dtype == jnp.int8


def test_chn_is_even_and_indifferent_to_order(getkey):
    X = patterns(8, 6, 20)
    x = patterns(9, 1, 20)[0]
    energy = eam.CHN(X).energy(x)
    assert energy == eam.CHN(X).energy(-x)
    assert energy == eam.CHN(X[jax.random.permutation(getkey(), 6)]).energy(x)
    neurons = jax.random.permutation(getkey(), 20)
    assert energy == eam.CHN(X[:, neurons]).energy(x[neurons])
