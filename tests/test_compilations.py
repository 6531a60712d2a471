"""What compiles, and how often: calls with other numbers of the same shapes compile nothing."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from compiled_programs import compiled

import energyam as eam

D, K = 12, 5
TWO_PATTERNS = jnp.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, -1, -1, -1]])  # two kinds of neurons
COOLING = optax.linear_schedule(2.0, 0.0, 4)
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
    "schedule": lambda patterns, beta, state, key: (
        eam.recall(eam.CHN(patterns), state, eam.HeatBath(COOLING), 4, key=key).state
    ),
    "lowest": lambda patterns, beta, state, key: (
        eam.ising.minimize(eam.CHN(patterns), 2, 4, schedule=COOLING, key=key).states
    ),
    "few patterns": lambda patterns, beta, state, key: jnp.asarray(
        eam.evaluation.log_partition(eam.PolynomialDenseAM(TWO_PATTERNS, 2 + int(7 * beta)), beta)
    ),
    "all states": lambda patterns, beta, state, key: jnp.asarray(
        eam.evaluation.log_partition(eam.HopfieldNetwork(eam.learning.hebbian(patterns) * beta), 1.0)
    ),
    "independent samples": lambda patterns, beta, state, key: eam.evaluation.sample_exactly(
        eam.ExponentialDenseAM(patterns, beta), 3, key=key
    ),
    "map": lambda patterns, beta, state, key: jnp.asarray(
        eam.plotting.show_landscape(eam.ModernHopfield(patterns[:, :2] * 1.0, beta), resolution=8).dpi
    ),
    "samples": lambda patterns, beta, state, key: (
        eam.sample(eam.CHN(patterns), state, eam.HeatBath(beta), 3, key=key).states
    ),
}


def compilations(caplog, call, count):
    """How many programs were compiled while `call` ran with `count` sets of numbers."""

    def calls():
        for seed in range(count):
            first, second, key = jr.split(jr.key(seed), 3)
            patterns, state = jr.rademacher(first, (K, D), "int8"), jr.rademacher(second, (D,), "int8")
            jax.block_until_ready(call(patterns, 0.1 + seed / 7, state, key))

    return len(compiled(caplog, calls))


@pytest.mark.parametrize("name", CALLS)
def test_other_numbers_of_the_same_shapes_compile_nothing(name, caplog):
    call = CALLS[name]
    for _ in range(2):  # what is compiled once: also for the shapes of a record cut to its length
        compilations(caplog, call, 8)
    assert compilations(caplog, call, 8) == 0


def programs(caplog, call):
    """The names of the programs that a call compiles."""
    jax.clear_caches()
    return sorted(compiled(caplog, call))


def test_checks_and_arrays_of_numpy_compile_nothing(caplog):
    signs = np.sign(np.random.default_rng(0).normal(size=(K, D))).astype(np.int8)
    calls = {
        "CHN": lambda: eam.CHN(signs).patterns,
        "PolynomialDenseAM": lambda: eam.PolynomialDenseAM(signs, 3).patterns,
        "ModernHopfield": lambda: eam.ModernHopfield(signs * 1.0, 0.5).patterns,
        "KeyValueMemory": lambda: eam.KeyValueMemory(signs * 1.0, signs * 2.0, eam.LogSumExp(1.0)).keys,
        "PatternSDM": lambda: eam.PatternSDM(signs, 4).patterns,
    }
    assert {name: programs(caplog, call) for name, call in calls.items()} == {name: [] for name in calls}


@pytest.mark.parametrize("make", [eam.CHN, lambda X: eam.PolynomialDenseAM(X, 3)])
def test_a_first_recall_compiles_itself_and_the_cut_of_its_record(make, caplog):
    signs, key = np.sign(np.random.default_rng(0).normal(size=(K, D))).astype(np.int8), jr.key(0)
    memory = make(signs)
    assert programs(caplog, lambda: eam.recall(memory, signs[0], key=key).state) == ["_first", "_run_arrays"]


def test_sizes_of_a_curve_share_all_but_the_recall(caplog):
    draw = lambda key, K: eam.datasets.random_patterns(K, D, key=key)  # noqa: E731
    curve = lambda: eam.evaluation.success_curve(eam.CHN, draw, (2, 3, 4), (0.0, 0.2), 3, key=jr.key(0))  # noqa: E731
    found = programs(caplog, lambda: curve().exact.rate)
    assert [found.count(name) for name in ("_queries", "_recalled", "_scores")] == [1, 3, 1]


def test_the_count_sees_what_compiles(caplog):
    assert compilations(caplog, lambda patterns, beta, state, key: jnp.ones(int(beta * 70)), 3) > 0


def test_a_recall_traces_its_step_once_and_prepares_once():
    class Counted(eam.AbstractUpdate):
        def prepare(self, memory):
            prepared.append(memory)
            return memory

        def init(self, prepared, state, tick):
            return jnp.zeros(())

        def step(self, prepared, state, carry, tick, clamp):
            traces.append(tick.index)
            energies = prepared.energy(state)[None]
            return eam.Step(state, carry, energies, eam.States(state[None]), jnp.ones((), bool))

    traces, prepared = [], []
    for query in (jnp.ones(D), jnp.ones((2, D))):
        traces.clear()
        prepared.clear()
        eam.recall(eam.ModernHopfield(jnp.ones((K, D)), 1.0), query, Counted())
        assert len(traces) == len(prepared) == 1
