"""Limit cycles: a recall that repeats says so, with the period; sequences run on; nothing random is a
cycle."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import published_memories as published
import pytest
from zoo import patterns

import energyam as eam

SETTLED, STOPPED, OUT_OF_STEPS, NOT_FINITE, CYCLE = range(5)
PAIR = eam.HopfieldNetwork(jnp.array([[0.0, -1.0], [-1.0, 0.0]]))


class Level(eqx.Module):
    """An energy that is the same everywhere, or not finite where the first neuron is up."""

    broken: bool = eqx.field(static=True, default=False)

    def energy(self, state):
        return jnp.where(state[0] > 0, jnp.inf, 0.0) if self.broken else jnp.zeros(())


class Turn(eam.AbstractUpdate):
    """Neurons change places in a circle; with a `wait`, it counts that many steps between two turns."""

    wait: int = eqx.field(static=True, default=1)
    settles_at: int = eqx.field(static=True, default=10**6)
    looks_at_index: bool = eqx.field(static=True, default=False)

    @property
    def repeats(self):
        return not self.looks_at_index

    def init(self, prepared, state, tick):
        return jnp.zeros((), int), jnp.zeros((), int)

    def step(self, prepared, state, carry, tick, clamp):
        waited = (carry[0] + 1) % self.wait
        new = jnp.where(waited == 0, jnp.roll(state, 1), state)
        energy = prepared.energy(new)[None]
        settled = tick.index + 1 == self.settles_at
        return eam.Step(new, (waited, carry[1]), energy, eam.States(new[None]), settled)


def started(period):
    """A state that comes back after so many turns."""
    return jnp.where(jnp.arange(period) == 0, 1.0, -1.0)


@pytest.mark.parametrize("progress", [False, True])
def test_a_pair_that_inhibits_itself_ends_in_a_cycle_of_two(progress):
    for max_steps in (4, 100):
        result = eam.recall(PAIR, jnp.ones(2), eam.Synchronous(), max_steps, progress=progress)
        assert eam.STATUSES[int(result.status)] == "cycle" and not result.converged
        assert result.period == 2 and result.num_steps <= 4
        assert result.period.dtype == result.num_steps.dtype and not result.period.weak_type
    few = eam.recall(PAIR, jnp.ones(2), eam.Synchronous(), 1, progress=progress)
    assert (few.status, few.period) == (OUT_OF_STEPS, 0)


def test_of_a_batch_each_has_its_own_ending():
    query = jnp.array([[[1.0, 1], [1, -1]], [[-1, -1], [-1, 1]]])
    result = eam.recall(PAIR, query, eam.Synchronous(), 30)
    np.testing.assert_array_equal(result.status, [[CYCLE, SETTLED]] * 2)
    np.testing.assert_array_equal(result.period, [[2, 0]] * 2)
    np.testing.assert_array_equal(result.state[:, 1], query[:, 1])


def test_synchronous_recall_of_symmetric_networks_settles_or_goes_in_twos():
    """By the theorem of Goles: and the states of each recall, step by step in numpy, say which."""
    W = np.random.default_rng(0).normal(size=(12, 12))
    W = np.round(8 * (W + W.T)) / 8
    np.fill_diagonal(W, 0)
    states = np.asarray(patterns(1, 40, 12), float)
    result = eam.recall(eam.HopfieldNetwork(W), jnp.asarray(states, float), eam.Synchronous(), 200)
    before = x = states
    for _ in range(400):
        before, x = x, np.where(x @ W == 0, x, np.sign(x @ W))
    settles = (before == x).all(axis=1)
    np.testing.assert_array_equal(result.status, np.where(settles, SETTLED, CYCLE))
    np.testing.assert_array_equal(result.period, np.where(settles, 0, 2))
    assert settles.any() and not settles.all()


@pytest.mark.parametrize(("turns", "wait"), [(1, 1), (2, 1), (5, 1), (7, 3), (16, 1), (17, 1)])
def test_the_period_is_that_of_state_and_carry(turns, wait):
    period = turns * wait
    result = eam.recall(Level(), started(turns), Turn(wait), 200)
    assert (result.status, result.period) == (CYCLE, period)
    # Brent's algorithm sees it within three times the period.
    assert period <= result.num_steps <= 3 * period + 1
    longer = eam.recall(Level(), started(turns), Turn(wait), period - 1)
    assert (longer.status, longer.period, longer.num_steps) == (OUT_OF_STEPS, 0, period - 1)


def test_a_state_that_comes_back_with_another_carry_is_no_cycle():
    """Three steps of waiting: the state repeats at once, but what the rule keeps does not."""
    result = eam.recall(Level(), started(4), Turn(3), 2)
    np.testing.assert_array_equal(result.state, started(4))
    assert (result.status, result.period) == (OUT_OF_STEPS, 0)


def test_the_way_into_a_cycle_does_not_count():
    """Sequential descent on a field that is not symmetric: three neurons run after each other."""
    W = np.zeros((5, 5))
    W[1, 0], W[0, 1], W[2, 4], W[3, 2] = 1.0, -1.0, 1.0, 1.0
    rule = eam.Asynchronous("sequential")
    result = eam.recall(published.Asymmetric(jnp.asarray(W, float)), jnp.ones(5), rule, 50)
    x, seen = np.ones(5), []
    while x.tolist() not in seen:
        seen.append(x.tolist())
        for i in range(5):
            x[i] = np.sign(W[i] @ x) or x[i]
    assert result.period == len(seen) - seen.index(x.tolist()) > 1
    assert (result.status, result.num_steps) == (CYCLE, 50)  # without an energy it runs on


def test_sequences_run_on_and_tell_their_length():
    X = patterns(2, 5, 60)
    order = jnp.roll(jnp.eye(5), 1, axis=0)
    memory = eam.DenseSequence(X, eam.Polynomial(3), order)
    for max_steps, status, period in ((30, CYCLE, 5), (4, OUT_OF_STEPS, 0)):
        result = eam.recall(memory, memory.window(X[0]), eam.Synchronous(), max_steps)
        assert (result.status, result.num_steps) == (status, max_steps)
        assert result.period == period and result.energies is None


def test_nothing_is_a_cycle_under_a_random_rule_or_a_schedule():
    """At no temperature worth the name states repeat often; by permutations the pair goes round for ever."""
    asymmetric = published.Asymmetric(jnp.array([[0.0, 1.0], [-1.0, 0.0]]))
    cases = [
        (eam.HopfieldNetwork(jnp.zeros((2, 2))), eam.HeatBath(1.0)),
        (PAIR, eam.HeatBath(lambda step: 1e-3)),
        (asymmetric, eam.Asynchronous("permutation")),
        (asymmetric, eam.Asynchronous("uniform")),
        (Level(), Turn(looks_at_index=True)),
    ]
    for memory, rule in cases:
        result = eam.recall(memory, jnp.ones(2), rule, 40, key=jr.key(0))
        assert result.status == OUT_OF_STEPS and result.period == 0 and result.num_steps == 40
    sequential = eam.recall(asymmetric, jnp.ones(2), eam.Asynchronous("sequential"), 40)
    assert sequential.period > 1


def test_not_finite_stopped_and_settled_come_before_a_cycle():
    period, start = 4, jnp.roll(started(4), 1)
    seen = int(eam.recall(Level(), start, Turn(), 50).num_steps)
    settled = eam.recall(Level(), start, Turn(settles_at=seen), 50)
    assert settled.status == SETTLED and settled.num_steps == seen
    # The state that it had where the cycle is seen, and that it does not have again before.
    there = jnp.roll(start, seen)
    calls = seen - (seen - 1) % period - 1  # steps that lead there before; none may stop it
    assert calls >= 0
    stop = lambda state, energy: jnp.all(state == there)  # noqa: E731
    stopped = eam.recall(Level(), start, Turn(), 50, stop=stop)
    assert stopped.status == STOPPED and stopped.num_steps <= seen
    broken = eam.recall(Level(broken=True), start, Turn(), 50)
    assert broken.status == NOT_FINITE and broken.num_steps < seen


def test_stop_and_cycle_at_the_same_step_is_stopped():
    """Of a cycle of one, seen at its first step, a `stop` that waits for a negative state."""
    result = eam.recall(Level(), started(1), Turn(), 5)
    assert (result.status, result.num_steps, result.period) == (CYCLE, 1, 1)

    class Falling(eam.AbstractUpdate):
        repeats = True

        def step(self, prepared, state, carry, tick, clamp):
            new = -jnp.abs(state)
            return eam.Step(new, (), prepared.energy(new)[None], None, jnp.zeros((), bool))

    stop = lambda state, energy: state[1] < 0  # noqa: E731
    assert eam.recall(Level(), jnp.array([-1.0, 1.0]), Falling(), 5, stop=stop).status == STOPPED
    assert eam.recall(Level(), jnp.array([-1.0, 1.0]), Falling(), 5).status == CYCLE


def test_cycles_inside_jit():
    found = jax.jit(lambda x: eam.recall(PAIR, x, eam.Synchronous(), 9).period)(jnp.ones(2))
    assert found == 2
