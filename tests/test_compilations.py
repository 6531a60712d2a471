"""What compiles, and how often: calls with other numbers of the same shapes compile nothing."""

import logging

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest

import energyam as eam

D, K = 12, 5
CALLS = {
    "flips": lambda patterns, beta, state, key: (
        eam.recall(eam.ExponentialDenseAM(patterns, beta), state, key=key).state
    ),
    "steps": lambda patterns, beta, state, key: (
        eam.recall(eam.ModernHopfield(patterns, beta), state.astype(float)).state
    ),
    "energy": lambda patterns, beta, state, key: eam.ExponentialDenseAM(patterns, beta).energy(state),
    "minimum": lambda patterns, beta, state, key: eam.is_local_minimum(eam.CHN(patterns), state),
    "read": lambda patterns, beta, state, key: eam.KeyValueMemory(patterns, patterns, eam.LogSumExp(beta))(
        state
    ),
    "weights": lambda patterns, beta, state, key: eam.LogSumExp(beta).weights(state * beta),
    "samples": lambda patterns, beta, state, key: (
        eam.sample(eam.CHN(patterns), state, eam.HeatBath(beta), 3, key=key).states
    ),
}


def compilations(caplog, call, count):
    """How many programs were compiled while `call` ran with `count` sets of numbers."""
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        caplog.clear()
        for seed in range(count):
            first, second, key = jr.split(jr.key(seed), 3)
            patterns, state = jr.rademacher(first, (K, D), "int8"), jr.rademacher(second, (D,), "int8")
            jax.block_until_ready(call(patterns, 0.1 + seed / 7, state, key))
        return sum("Finished XLA compilation" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("name", CALLS)
def test_other_numbers_of_the_same_shapes_compile_nothing(name, caplog):
    call = CALLS[name]
    for _ in range(2):  # what is compiled once: also for the shapes of a record cut to its length
        compilations(caplog, call, 8)
    assert compilations(caplog, call, 8) == 0


def test_the_count_sees_what_compiles(caplog):
    assert compilations(caplog, lambda patterns, beta, state, key: jnp.ones(int(beta * 70)), 3) > 0


def test_a_recall_traces_its_step_once():
    class Counted(eam.AbstractUpdate):
        def prepare(self, memory):
            return memory

        def init(self, prepared, state, tick):
            return jnp.zeros(())

        def step(self, prepared, state, carry, tick, clamp):
            traces.append(tick.index)
            energies = prepared.energy(state)[None]
            return eam.Step(state, carry, energies, eam.States(state[None]), jnp.ones((), bool))

    traces = []
    for query in (jnp.ones(D), jnp.ones((2, D))):
        traces.clear()
        eam.recall(eam.ModernHopfield(jnp.ones((K, D)), 1.0), query, Counted())
        assert len(traces) == 1
