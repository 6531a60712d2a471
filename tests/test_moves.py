"""Single moves of neurons 0/1, of units of three values, and of layers of several kinds, by enumeration."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from enumerated import WHOLE, of_bits, of_layers, of_units
from zoo import POTTS, ZERO_ONE, entries

import energyam as eam
from energyam.dynamics.moves import ready, view_of
from energyam.flips.abstract import Moving
from energyam.flips.plan import as_on
from energyam.flips.sweep import descend, exceeds, visit

FEW = (0, 3, 5, 3)  # moves before the change that is looked at


def view_at(memory, state, free=True):
    clamp = jax.tree.map(lambda leaf: jnp.full(leaf.shape, not free), state)
    return view_of(ready(memory), state, clamp)


@eqx.filter_jit
def changes_of(memory, states):
    """All changes (n, U, k) of each state as it is."""
    return jax.vmap(lambda state: view_at(memory, state).changes()[0])(states)


@eqx.filter_jit
def changes_after(memory, states, before):
    """Changes and errors (n, N) of neurons of two values, after other neurons have moved."""

    def of_state(state):
        view = view_at(memory, state)
        flips = view.flips.laid_out()
        (x, steps, _), kept = view.neurons, flips.start(view.neurons.state)
        for i in before:
            kept = flips.move(kept, x, jnp.array([i]), steps[i][None])
            x, steps = x.at[i].add(steps[i]), steps.at[i].multiply(-1)
        return jax.vmap(lambda i, step: flips.change(kept, x, i[None], step[None]))(jnp.arange(x.size), steps)

    return jax.vmap(of_state)(states)


def check_changes(value, truth, error=0.0):
    """Changes are the true ones in size and sign; their errors are honest, and small."""
    value, error, size = np.asarray(value), np.asarray(error), np.abs(truth).max()
    np.testing.assert_allclose(value, truth, rtol=2e-5, atol=2e-5 * size)
    assert (error <= 1e-3 * size).all()
    clear = np.abs(truth) > 1e-4 * size
    assert (truth[clear] > 0).any() and (truth[clear] < 0).any()
    np.testing.assert_array_equal(np.sign(value)[clear], np.sign(truth)[clear])


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("name", ZERO_ONE)
def test_changes_of_zero_one_neurons_are_differences_of_energies(name, kind):
    known = of_bits(name, kind)
    truth, size = known.changes[:, :, 0], np.abs(known.changes).max()
    check_changes(changes_of(known.memory, known.states)[:, :, 0], truth)
    after = np.arange(len(truth))
    for i in FEW:
        after = known.neighbours[after, i, 0]
    value, error = changes_after(known.memory, known.states, FEW)
    check_changes(value, truth[after], error)
    assert (np.abs(value - truth[after]) <= error + 2e-6 * (np.abs(truth[after]) + 0.1 * size)).all()


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("name", POTTS)
def test_changes_of_units_are_differences_of_energies(name, kind):
    known = of_units(name, kind)
    check_changes(changes_of(known.memory, known.states), known.changes)


def test_changes_of_layers_beside_each_other():
    known = of_layers()
    present = known.neighbours >= 0
    value = np.where(present, changes_of(known.memory, known.states), 0)
    check_changes(value, known.changes)


WRONG = {
    "half": lambda change: change / 2,
    "a flipped sign": lambda change: -change,
    "falls in half": lambda change: np.where(change > 0, change / 2, change),
    "rises in half": lambda change: np.where(change < 0, change / 2, change),
    "others in another order": lambda change: change[..., ::-1],
}


@pytest.mark.parametrize("name", WRONG)
def test_the_test_of_changes_rejects_wrong_ones(name):
    truth = of_layers().changes
    check_changes(truth, truth)
    with pytest.raises(AssertionError):
        check_changes(WRONG[name](truth), truth)


BOUNDED = ("relu", "polynomial_3", "polynomial_4_plain", "polynomial_2.5", "exponential", "steep", "sdm")


def enclosed(flips, states):
    def of_state(x):
        kept, some = flips.start(x), np.array([4, 0, 5])
        steps = 1 - 2 * x
        seen = (flips, steps), (flips.laid_out().block(jnp.asarray(some)), steps[some])
        return [flips.enclosure(kept, steps) for flips, steps in seen]

    return jax.vmap(of_state)(states)


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("name", BOUNDED)
def test_enclosures_hold_the_true_changes_of_zero_one_neurons(name, kind):
    known = of_bits(name, kind, seed=22)
    truth = known.changes[:, :, 0]
    found = eqx.filter_jit(enclosed)(known.memory.flips(), known.states)
    for edges, true in zip(found, (truth, truth[:, [4, 0, 5]]), strict=True):
        check_enclosure(edges, true)
        if name != "steep":  # where bounds know the sign alone; others that lie too low are noticed
            with pytest.raises(AssertionError):
                check_enclosure([edge - 0.3 * np.abs(true).max() for edge in edges], true)


def check_enclosure(edges, true):
    low, high = (np.asarray(edge, np.float64) for edge in edges)
    rounding = 1e-6 * np.abs(true) + 1e-7 * np.abs(true).max()
    assert (low <= true + rounding).all() and (true <= high + rounding).all()


def plainly(flips, neurons, order, thresholds):
    """One after another, each try by `change` and `move`."""

    def try_one(at, tried):
        state, steps, kept = at
        i, threshold = tried
        change = flips.change(kept, state, i[None], steps[i][None])
        falls = exceeds(change, threshold) & neurons.free[i]
        moved = jnp.where(falls, steps[i], 0)
        after = flips.move(kept, state, i[None], moved[None])
        return (state.at[i].add(moved), steps.at[i].add(-2 * moved), after), jnp.where(falls, i, -1)

    start = neurons.state, neurons.steps, flips.start(neurons.state)
    return jax.lax.scan(try_one, start, (order, thresholds))[1]


def in_blocks(memory, states, free, order, noise):
    """The moves of a sweep of descent, and of one at random, and how far off the energy of the first is."""
    flips = memory.flips()

    def of_state(x):
        neurons = Moving(x, 1 - 2 * x, free)
        fallen = descend(flips, neurons, memory.energy(x), order, False)
        visited = visit(flips, flips.start(x), neurons, order, noise, False)[0]
        return fallen.flips, visited.flips, fallen.energy - memory.energy(fallen.state)

    return jax.vmap(of_state)(states)


def one_by_one(memory, states, free, order, noise):
    flips, none = memory.flips(), jnp.zeros(order.shape)
    plain = lambda x, theta: plainly(flips, Moving(x, 1 - 2 * x, free), order, theta)  # noqa: E731
    return [jax.vmap(lambda x, theta=theta: plain(x, theta))(states) for theta in (none, noise)]


EXACT = ("quadratic", "relu", "polynomial_3", "exponential", "wide_sdm", "hopfield")
MADE = ZERO_ONE | {
    "wide_sdm": lambda X: eam.DenseAM(X, eam.CircleIntersection(X.shape[1], 12), eam.ZeroOne())
}


@pytest.mark.parametrize("name", EXACT)
def test_blocks_take_the_moves_of_one_after_another(name):
    """By bounds and in rounds, with neurons that come several times in a block, and some that may not
    move."""
    D, free = 31, jnp.arange(31) % 5 != 0
    rest = free, jr.randint(jr.key(2), (45,), 0, D), 2 * jr.logistic(jr.key(3), (45,))
    states = entries(7, 9, D, (0, 1)).astype(float)
    memories = [MADE[name](entries(6, 12, D, WHOLE[kind])) for kind in ("signs", "zeros")]
    plain = eqx.filter_jit(one_by_one)
    expected = [plain(memory, states, *rest) for memory in memories]
    assert all((moves >= 0).any() for both in expected for moves in both)
    for platform in ("cpu", "accelerator"):
        with as_on(platform):
            blocks = eqx.filter_jit(in_blocks)
            for memory, wanted in zip(memories, expected, strict=True):
                *found, gap = blocks(memory, states, *rest)
                jax.tree.map(np.testing.assert_array_equal, found, wanted)
                np.testing.assert_allclose(gap, 0, atol=1e-3)  # energies here are whole numbers, or small


@eqx.filter_jit
def swept_once(flips, states, order):
    """A sweep of descent with each neuron once, and whether a pattern leads."""

    def of_state(x):
        leader = flips.leader(flips.start(x))
        neurons = Moving(x, 1 - 2 * x, jnp.ones(x.shape, bool))
        swept = descend(flips, neurons, jnp.asarray(jnp.inf), order, True)
        return swept, jnp.asarray(leader is not None) if leader is None else leader.leads

    return jax.vmap(of_state)(states)


@pytest.mark.parametrize(
    "separation", [eam.Polynomial(80), eam.LogSumExp(3.0)], ids=["powers", "exponential"]
)
def test_the_short_cut_behind_a_leader_changes_no_move_of_zero_one_neurons(separation, monkeypatch):
    D, X = 40, entries(8, 3, 40, (-1, 1))
    flips = eam.DenseAM(X, separation, eam.ZeroOne()).flips()
    near, order = (X > 0).astype(float).at[:, :6].set(0), jr.permutation(jr.key(1), D)
    behind, leads = swept_once(flips, near, order)
    monkeypatch.setattr(type(flips), "leader", lambda self, kept: None)
    jax.clear_caches()
    alone, none = swept_once(flips, near, order)
    assert leads.all() and not none.any() and (behind.flips >= 0).any()
    np.testing.assert_array_equal(behind.flips, alone.flips)
    np.testing.assert_array_equal(behind.state, alone.state)
    np.testing.assert_allclose(behind.energies, alone.energies, rtol=1e-5)
