"""Inputs over time: each step on E(x) − u · x, against plain numpy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import patterns

import energyam as eam

X = np.array(patterns(0, 3, 12))
RNG = np.random.default_rng(0)
W = np.asarray(eam.hebbian(X), np.float64)
QUERIES = np.array(patterns(1, 2, 12)).astype(np.float64)
SHARED = RNG.normal(size=(5, 12))
OWN = RNG.normal(size=(5, 2, 12))
REAL = RNG.normal(size=(3, 12)).astype(np.float32)


class Ring(eqx.Module):
    """Rates on a ring: a velocity v turns the couplings cos(a − b) into cos(a − b) + v sin(a − b)."""

    angles: jax.Array
    velocity: jax.Array
    neurons = eam.Rectified()
    input_shape = ()

    def field(self, rates):
        apart = self.angles[:, None] - self.angles[None]
        couplings = 3 * (jnp.cos(apart) + self.velocity * jnp.sin(apart)) - 1
        return 2 / rates.size * (couplings @ rates) + 1

    def driven(self, velocity):
        return Ring(self.angles, velocity)


def heading(rates, angles):
    return np.angle(rates @ np.exp(1j * angles))


def test_a_ring_attractor_goes_where_its_velocity_leads():
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False).astype(np.float32)
    velocity = np.zeros((100, 2), np.float32)
    velocity[:, 0], velocity[20:80, 1] = 0.2, -0.3
    ring, rule = Ring(jnp.asarray(angles), jnp.zeros(())), eam.Relaxation(0.1, leak="output")
    bump = np.asarray(eam.recall(ring, np.maximum(np.cos(angles - 1), 0), rule, 400).state)
    result = eam.recall(ring, np.stack([bump, bump]), rule, 100, inputs=velocity)
    apart = angles[:, None] - angles[None]
    for query, own in enumerate(velocity.T):
        rates = bump.astype(float)
        for v in own:
            field = 2 / 32 * (3 * (np.cos(apart) + v * np.sin(apart)) - 1) @ rates + 1
            rates = rates + 0.1 * (np.maximum(field, 0) - rates)
        np.testing.assert_allclose(result.state[query], rates, atol=1e-3)
        turned = np.angle(np.exp(1j * (heading(rates, angles) - heading(bump, angles))))
        np.testing.assert_allclose(turned, 0.1 * own.sum(), rtol=0.05)
    frames = result.frames(1)
    assert frames.shape == (2, 101, 32) and (frames[:, -1] == result.state).all()
    alone = eam.recall(ring, bump, rule, 100, inputs=velocity[:, 1], progress=True)
    np.testing.assert_allclose(alone.state, result.state[1], atol=1e-4)


def synchronous(x, u):
    field = x @ W + u
    return np.where(field == 0, x, np.sign(field))


def one_by_one(x, u):
    x = x.copy()
    for row, extra in zip(x, np.broadcast_to(u, x.shape), strict=True):
        for i in range(12):
            if row[i] * (W[i] @ row + extra[i]) < 0:
                row[i] *= -1
    return x


RULES = {
    "synchronous": (eam.Synchronous(), synchronous),
    "async": (eam.Asynchronous("sequential"), one_by_one),
}
MEMORIES = {
    "network": lambda: eam.HopfieldNetwork(W),
    "biased": lambda: eam.HopfieldNetwork(W, np.zeros(12)),
    "sparse": lambda: eam.SparseNetwork(np.argwhere(np.triu(W)), W[np.triu(W) != 0], dim=12),
    "dense": lambda: eam.DenseAM(X / 12**0.5, eam.Quadratic(), eam.Binary()),  # W_ii adds a constant
}
CASES = "network/synchronous network/async biased/async sparse/async dense/async".split()


@pytest.mark.parametrize("inputs", [SHARED, OWN], ids=["shared", "own"])
@pytest.mark.parametrize("case", CASES)
def test_each_step_has_its_own_field(case, inputs):
    memory, rule = case.split("/")
    (update, step), made = RULES[rule], MEMORIES[memory]()
    result = eam.recall(made, QUERIES, update, 5, inputs=inputs)
    x, energies = QUERIES, []
    for u in inputs:
        x = step(x, u)
        energies.append([float(made.energy(one)) for one in x] - (x * u).sum(axis=1))
    assert (result.state == x).all() and (result.num_steps == 5).all()
    last = np.asarray(result.energies).reshape(2, 5, -1)[:, :, -1].T
    np.testing.assert_allclose(last, energies, rtol=1e-4, atol=1e-4)
    first = [float(made.energy(one)) for one in QUERIES] - (QUERIES * inputs[0]).sum(axis=1)
    np.testing.assert_allclose(result.initial_energy, first, rtol=1e-4, atol=1e-4)
    assert (np.asarray(result.frames(1))[:, -1] == x).all()


def test_real_states_gradients_and_jit():
    def recalled(inputs, rule):
        return eam.recall(eam.ModernHopfield(REAL, 2.0), REAL[0], rule, 4, inputs=inputs).state

    def by_hand(inputs, rate):
        x = jnp.asarray(REAL[0])
        for u in inputs:
            field = jax.nn.softmax(2.0 * REAL @ x) @ REAL + u
            x = x + rate * (field - x)
        return x

    inputs = jnp.asarray(RNG.normal(size=(4, 12)), jnp.float32)
    for rule, rate in ((eam.Synchronous(), 1.0), (eam.GradientDescent(0.5), 0.5), (eam.Relaxation(0.5), 0.5)):
        np.testing.assert_allclose(recalled(inputs, rule), by_hand(inputs, rate), rtol=1e-4, atol=1e-5)
    found = jax.jit(jax.grad(lambda u: jnp.sum(recalled(u, eam.Synchronous()) ** 2)))(inputs)
    wanted = jax.grad(lambda u: jnp.sum(by_hand(u, 1.0) ** 2))(inputs)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    narrow = jax.vmap(lambda u: recalled(u, eam.Synchronous()))(inputs[None].astype(jnp.bfloat16))
    assert narrow.dtype == jnp.float32
    np.testing.assert_allclose(narrow[0], by_hand(inputs.astype(jnp.bfloat16), 1.0), rtol=1e-2, atol=1e-2)


def test_a_dictionary_may_leave_layers_out_and_stops_are_asked():
    stored = X[:, :8].astype(float)
    memory = eam.HierarchicalMemory(
        {"seen": eam.Tanh(1.0, (8,)), "label": eam.Softmax(1.0, (3,))},
        [(eam.synapses.Dense(stored.T), ("seen", "label"))],
    )
    query = {"seen": np.zeros(8), "label": np.ones(3) / 3}
    label = np.zeros((6, 3))
    label[:3, 1], label[3:, 2] = 30.0, 30.0
    result = eam.recall(memory, query, max_steps=6, inputs={"label": label})
    frames = result.frames(2)["seen"]
    assert (np.sign(frames[3]) == stored[1]).all() and (np.sign(frames[-1]) == stored[2]).all()
    stopped = eam.recall(memory, query, max_steps=6, inputs={"label": label}, stop=_is_first)
    assert 0 < stopped.num_steps < 4 and eam.STATUSES[int(stopped.status)] == "stopped"


def _is_first(state, energy):
    return state["seen"] @ X[1, :8].astype(float) > 5


def test_double_precision(x64):
    u = jnp.asarray(SHARED)
    result = eam.recall(eam.HopfieldNetwork(W), QUERIES, eam.Asynchronous("sequential"), 5, inputs=u)
    assert result.state.dtype == np.float64 and result.energies.dtype == np.float64


class Momentum(eam.AbstractUpdate):
    def init(self, memory, state, tick):
        return jnp.zeros_like(state)

    def step(self, memory, state, velocity, tick, clamp):
        velocity = 0.5 * velocity - 0.1 * jax.grad(memory.energy)(state)
        new = state + velocity
        return eam.Step(new, velocity, memory.energy(new)[None], eam.States(new[None]), jnp.ones((), bool))


class Bowl(eqx.Module):
    def energy(self, x):
        return 0.5 * jnp.sum(x**2)


def test_rules_of_ones_own_keep_what_they_carry_and_none_settles_before_the_last_input():
    inputs, x, velocity = RNG.normal(size=(4, 3)), np.ones(3), 0.0
    result = eam.recall(Bowl(), np.ones(3), Momentum(), 4, inputs=inputs)
    for u in inputs:
        velocity = 0.5 * velocity - 0.1 * (x - u)
        x = x + velocity
    np.testing.assert_allclose(result.state, x, rtol=1e-5)
    assert result.num_steps == 4 and result.converged


def test_free_neurons_are_sampled_by_the_input_of_their_step():
    """P(x_i = 1) = 1/(1 + e^(−2u_i/T)) with the input u of the step that the sample was taken after."""
    inputs, free = RNG.normal(size=(2 + 3 * 2, 6)), eam.HopfieldNetwork(np.zeros((6, 6)))
    start, rule = np.ones((20_000, 6), np.int8), eam.HeatBath(0.7)
    samples = eam.sample(free, start, rule, 3, key=jr.key(0), every=2, discard=2, inputs=inputs)
    seen = inputs[[3, 5, 7]]
    share = np.mean(np.asarray(samples.states) == 1, axis=0)
    np.testing.assert_allclose(share, 1 / (1 + np.exp(-2 * seen / 0.7)), atol=0.015)
    wanted = -(np.asarray(samples.states) * seen).sum(axis=-1)
    np.testing.assert_allclose(samples.energies, wanted, rtol=1e-4, atol=1e-4)


SAMPLERS = {
    "heat_bath": (eam.HeatBath(1.0), lambda bias: eam.HopfieldNetwork(W, bias), QUERIES),
    "colours": (
        eam.HeatBath(1.0),
        lambda bias: eam.SparseNetwork(np.argwhere(np.triu(W)), W[np.triu(W) != 0], bias, dim=12),
        QUERIES,
    ),
    "discrete_langevin": (eam.DiscreteLangevin(2.0, 1.0), lambda bias: eam.HopfieldNetwork(W, bias), QUERIES),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_input_that_stays_the_same_is_a_bias(name):
    rule, made, start = SAMPLERS[name]
    options = dict(key=jr.key(1), every=3, discard=2)
    biased = eam.sample(made(SHARED[0]), start, rule, 8, **options)
    inputs = np.broadcast_to(SHARED[0], (26, 12))
    driven = eam.sample(made(np.zeros(12)), start, rule, 8, inputs=inputs, **options)
    np.testing.assert_array_equal(driven.states, biased.states)
    np.testing.assert_allclose(driven.energies, biased.energies, rtol=1e-4, atol=1e-4)
    both = np.stack([inputs, -inputs], axis=1)
    own = eam.sample(made(np.zeros(12)), start, rule, 8, inputs=both, progress=True, **options)
    np.testing.assert_array_equal(own.states[0], biased.states[0])
    assert (own.states[1] != biased.states[1]).any()


def test_a_walk_of_real_neurons_follows_its_inputs():
    """Langevin on ½‖x‖² − u_t · x: the mean of x is (1 − step) x + step · u after a step; and under jit."""
    inputs, bowl = RNG.normal(size=(6, 3)), Bowl()
    start, rule = np.zeros((20_000, 3)), eam.Langevin(0.2)
    run = jax.jit(lambda u: eam.sample(bowl, start, rule, 6, key=jr.key(2), inputs=u).states)
    mean = np.zeros(3)
    for t, u in enumerate(inputs):
        mean = 0.8 * mean + 0.2 * u
        np.testing.assert_allclose(np.asarray(run(inputs))[:, t].mean(axis=0), mean, atol=0.02)


def test_samples_under_inputs_in_double_precision(x64):
    memory, inputs = eam.HopfieldNetwork(W), jnp.asarray(OWN)
    samples = eam.sample(memory, QUERIES, eam.HeatBath(1.0), 5, key=jr.key(3), inputs=inputs)
    assert samples.energies.dtype == jnp.float64
    wanted = [
        [memory.energy(x) - x @ u for x, u in zip(own, OWN[:, chain], strict=True)]
        for chain, own in enumerate(np.asarray(samples.states))
    ]
    np.testing.assert_allclose(samples.energies, wanted, rtol=1e-12)


WRONG_OF_SAMPLES = [
    (SHARED[:3], r"one slice for each of discard \+ num_samples · every = 5 steps; got 3 slices"),
    (SHARED[:, :5], r"inputs must be \(5, 12\), or \(5, 2, 12\)"),
    (SHARED * np.nan, "inputs must be finite"),
]


@pytest.mark.parametrize(("inputs", "message"), WRONG_OF_SAMPLES)
def test_wrong_inputs_of_samples(inputs, message, no_hook):
    with pytest.raises(ValueError, match=message):
        eam.sample(
            eam.HopfieldNetwork(W),
            QUERIES,
            eam.HeatBath(1.0),
            2,
            every=2,
            discard=1,
            key=jr.key(0),
            inputs=inputs,
        )


WRONG = [
    (SHARED[:3], {}, "inputs must have one slice for each of max_steps = 5 steps; got 3 slices"),
    (np.repeat(SHARED, 2, axis=0), {}, "max_steps = 5 steps; got 10 slices"),
    (SHARED[:, :5], {}, r"must be \(5, 12\), or \(5, 2, 12\) for each .*; got shape \(5, 5\)"),
    (1.0, {}, r"inputs must be \(5, 12\)"),
    (SHARED * np.nan, {}, "inputs must be finite"),
    (SHARED[:0], {"max_steps": 0}, "inputs must be None where max_steps is 0"),
    ("abc", {}, "inputs must be a numeric array"),
    ({"a": SHARED}, {}, "inputs must be a numeric array"),
    (
        SHARED,
        {"update": eam.Tempering([1.0, 2.0], eam.HeatBath(1.0)), "key": jr.key(0)},
        "inputs must be None",
    ),
]


@pytest.mark.parametrize(("inputs", "options", "message"), WRONG)
def test_wrong_inputs(inputs, options, message, no_hook):
    options = {"update": eam.Synchronous(), "max_steps": 5} | options
    with pytest.raises(ValueError, match=message):
        eam.recall(eam.HopfieldNetwork(W), QUERIES, inputs=inputs, **options)
