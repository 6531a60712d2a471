"""How a recall ended: settled, stopped, out of steps, not finite; and what is never a minimum."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import all_states, patterns

import energyam as eam

SETTLED, STOPPED, OUT_OF_STEPS, NOT_FINITE = range(4)
X = patterns(5, 3, 8)


class Quartic(eqx.Module):
    """A steep energy: long steps of gradient descent diverge."""

    def energy(self, x):
        return jnp.sum(x**4)


class Holes(eqx.Module):
    """The energy of states ±1, but for those whose first neuron is up, or last is down."""

    first: float = eqx.field(static=True)
    last: float = eqx.field(static=True)

    def energy(self, x):
        pull = -jnp.sum(x[1:] * x[:-1])
        return jnp.where(x[0] > 0, self.first, jnp.where(x[-1] < 0, self.last, pull))


def low(state, energy):
    return energy < -30


def always(state, energy):
    return jnp.array(True)


def never(state, energy):
    return jnp.array(False)


def test_the_endings_have_names():
    assert eam.STATUSES == ("settled", "stopped", "out of steps", "not finite", "cycle")
    settled = eam.recall(eam.CHN(X), X, key=jr.key(0))
    assert (settled.status == SETTLED).all() and settled.converged.all()
    assert settled.status.dtype == jnp.int32 and not settled.status.weak_type
    # Sweeps of one step can't show that nothing moves any more.
    few = eam.recall(eam.CHN(X), all_states(8), eam.Asynchronous("sequential"), 1)
    moved = (few.state != all_states(8)).any(axis=1)
    np.testing.assert_array_equal(few.status, jnp.where(moved, OUT_OF_STEPS, SETTLED))
    assert moved.any() and not moved.all()


def test_no_steps_at_all_are_out_of_steps_unless_stopped():
    for progress in (False, True):
        result = eam.recall(eam.CHN(X), X, key=jr.key(0), max_steps=0, progress=progress)
        assert (result.status == OUT_OF_STEPS).all() and (result.num_steps == 0).all()
        assert result.energies.shape == (3, 0)
        np.testing.assert_array_equal(result.state, X)
    assert eam.recall(eam.CHN(X), X[0], key=jr.key(0), max_steps=0, stop=always).status == STOPPED


@pytest.mark.parametrize("progress", [False, True])
def test_stop_is_asked_before_the_first_step_and_after_each(progress):
    memory, key = eam.CHN(X), jr.key(3)
    before = jax.vmap(memory.energy)(all_states(8))
    result = eam.recall(memory, all_states(8), key=key, stop=low, progress=progress)
    plain = eam.recall(memory, all_states(8), key=key)
    at_once = before < -30
    assert at_once.any() and not at_once.all()
    np.testing.assert_array_equal(result.num_steps == 0, at_once)
    np.testing.assert_array_equal(result.state[at_once], all_states(8)[at_once])
    # The others stop after the first step that takes them there, settled or not.
    T = np.asarray(plain.energies[:, 7::8])
    reached = (T < -30).any(axis=1)
    np.testing.assert_array_equal(result.status == STOPPED, at_once | reached)
    first = np.argmax(T < -30, axis=1) + 1
    later = np.asarray(reached & ~at_once)
    np.testing.assert_array_equal(np.asarray(result.num_steps)[later], first[later])
    np.testing.assert_array_equal(np.asarray(result.status)[~reached], np.asarray(plain.status)[~reached])


def test_stop_sees_one_query_and_its_state():
    def alike(state, energy):
        assert state.shape == (8,) and energy.shape == ()
        return (state == X[0]).all()

    result = eam.recall(eam.CHN(X), jnp.stack([X[0], -X[0]]), key=jr.key(0), stop=alike)
    assert result.status[0] == STOPPED and result.num_steps[0] == 0 and result.status[1] != STOPPED
    same = eam.recall(eam.CHN(X), X, key=jr.key(0), stop=never)
    np.testing.assert_array_equal(same.status, eam.recall(eam.CHN(X), X, key=jr.key(0)).status)


RULES = {
    "asynchronous": eam.Asynchronous(),
    "uniform": eam.Asynchronous("uniform"),
    "sequential": eam.Asynchronous("sequential"),
}


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rule", RULES)
def test_an_energy_that_is_not_finite_is_neither_settled_nor_a_minimum(rule, hole):
    memory, states = Holes(hole, np.nan), all_states(8)
    result = eam.recall(memory, states, RULES[rule], 30, key=jr.key(1))
    ends = jax.vmap(memory.energy)(result.state)
    np.testing.assert_array_equal(result.status == NOT_FINITE, ~jnp.isfinite(ends))
    assert jnp.isfinite(ends[result.converged]).all() and result.converged.any()
    minima = eam.is_local_minimum(memory, states)
    energies = np.asarray(jax.vmap(memory.energy)(states))
    assert not minima[~np.isfinite(energies)].any() and minima.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_energy_that_is_never_finite_ends_at_the_first_step(value):
    class Nowhere(eqx.Module):
        def energy(self, x):
            return jnp.sum(x) * 0 + value

    stopped = eam.recall(Nowhere(), X, key=jr.key(1), stop=always)
    assert (stopped.status == NOT_FINITE).all() and (stopped.num_steps == 0).all()
    result = eam.recall(Nowhere(), X, key=jr.key(1))
    assert (result.status == NOT_FINITE).all() and (result.num_steps == 1).all()
    assert not eam.is_local_minimum(Nowhere(), X).any()
    real = eam.recall(Nowhere(), X * 1.0, eam.GradientDescent(0.1))
    assert (real.status == NOT_FINITE).all()


def test_a_gradient_descent_that_diverges_is_not_finite():
    result = eam.recall(Quartic(), jnp.array([[3.0, 1.0], [0.1, 0.2]]), eam.GradientDescent(0.5), 400)
    assert result.status[0] == NOT_FINITE and result.status[1] != NOT_FINITE
    assert result.num_steps[0] < 20
    # Precedence: not finite before stopped, stopped before settled, settled before out of steps.
    stopped = eam.recall(
        Quartic(), jnp.array([3.0, 1.0]), eam.GradientDescent(0.5), 400, stop=lambda x, e: ~jnp.isfinite(e)
    )
    assert stopped.status == NOT_FINITE


def test_stopped_goes_before_settled_and_settled_before_out_of_steps():
    memory, still = eam.CHN(X[:1]), X[:1]
    energy = memory.energy(still[0])
    assert eam.is_local_minimum(memory, still[0])

    class Tries(eam.AbstractUpdate):
        def prepare(self, memory):
            return memory

        def init(self, prepared, state, tick):
            return jnp.zeros((), int)

        def step(self, prepared, state, carry, tick, clamp):
            new = state.at[0].add(jnp.where(tick.index == 0, 0.0, 1.0))
            record = eam.States(new[None])
            return eam.Step(
                new, carry, jnp.where(tick.index == 1, -1.0, energy)[None], record, tick.index == 1
            )

    assert eam.recall(memory, still, Tries(), 2).status == SETTLED  # at the last step
    assert eam.recall(memory, still, Tries(), 1).status == OUT_OF_STEPS
    result = eam.recall(memory, still, Tries(), 5, stop=lambda state, energy: energy == -1.0)
    assert result.status == STOPPED and result.num_steps == 2


@pytest.mark.parametrize("scale", [1e19, 1e20, 1e37])
def test_patterns_beyond_the_range_of_floats_are_not_finite_or_right(scale):
    R = jr.normal(jr.key(0), (5, 8))
    result = eam.recall(eam.ModernHopfield(R * scale, 1.0), R * scale, max_steps=10)
    finite = jnp.isfinite(result.state).all(axis=1) & jnp.isfinite(result.energies[:, -1])
    np.testing.assert_array_equal(result.status == NOT_FINITE, ~finite)
    assert not result.converged[~finite].any() and not finite.all()


def test_a_sequence_without_an_energy_is_out_of_steps():
    Y = patterns(6, 3, 40)
    network = eam.SequenceNetwork(eam.sequence_weights(Y, np.roll(np.eye(3), 1, axis=1), 3.0))
    result = eam.recall(network, Y, eam.Synchronous(), 4)
    assert result.energies is None and result.initial_energy is None
    assert (result.status == OUT_OF_STEPS).all() and (result.num_steps == 4).all()


def test_energies_after_the_end_repeat_the_last_inside_jit():
    def run(query):
        return eam.recall(eam.ModernHopfield(X * 1e20, 1.0), query, max_steps=6)

    result = jax.jit(run)(X * 1e20)
    assert (result.status == NOT_FINITE).all() and result.energies.shape == (3, 6)
