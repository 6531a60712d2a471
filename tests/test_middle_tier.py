"""Between an energy alone and flips of one's own: energies linear in every neuron, and fields without an
energy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import published_memories as published
import pytest

import energyam as eam

RNG = np.random.default_rng(5)
CALLS = []


def real(a):
    return jnp.asarray(a, float)


def three_spin():
    J = np.zeros((6, 6, 6))
    places = [(i, j, k) for i in range(6) for j in range(i + 1, 6) for k in range(j + 1, 6)]
    J[tuple(np.transpose(places))] = RNG.normal(size=len(places))
    return published.ThreeSpin(real(J))


def boltzmann_machine():
    within = real(np.triu(RNG.normal(size=(4, 4)), 1))
    bias = {"hidden": real(RNG.normal(size=3)), "visible": real(RNG.normal(size=4))}
    return published.Boltzmann(real(RNG.normal(size=(3, 4))), within, bias)


def potts():
    J = RNG.normal(size=(3, 3, 3, 3))
    J = J + J.transpose(2, 3, 0, 1)
    return published.Potts(published.between_units(real(J)), real(RNG.normal(size=(3, 3))))


class Differing(eqx.Module):
    """The same memory, asked for differences of energies; and whether it says so or not, its calls
    counted."""

    memory: eqx.Module
    multilinear: bool = eqx.field(static=True, default=False)

    @property
    def state_shape(self):
        return self.memory.state_shape

    @property
    def neurons(self):
        return getattr(self.memory, "neurons", eam.Binary())

    def energy(self, state):
        jax.debug.callback(lambda: CALLS.append(1))
        return self.memory.energy(state)


LINEAR = {
    "three spins": three_spin,
    "bidirectional": lambda: published.Bidirectional(real(RNG.normal(size=(3, 4)))),
    "bits in layers": boltzmann_machine,
    "units": potts,
}


def start_of(memory, count, key):
    """Random states."""
    layers = jax.tree.map(lambda shape: shape, memory.state_shape, is_leaf=lambda n: isinstance(n, tuple))
    neurons = getattr(memory, "neurons", eam.Binary())
    noise = lambda shape: neurons.retract(jr.normal(key, (count, *shape)))  # noqa: E731
    return jax.tree.map(noise, layers, is_leaf=lambda node: isinstance(node, tuple))


@pytest.mark.parametrize("name", LINEAR)
def test_one_gradient_gives_the_moves_of_differences(name):
    memory = LINEAR[name]()
    start = start_of(memory, 10, jr.key(1))
    for rule in (eam.Asynchronous("sequential"), eam.Asynchronous("uniform"), eam.HeatBath(0.7)):
        found, wanted = (eam.recall(m, start, rule, 15, key=jr.key(2)) for m in (memory, Differing(memory)))
        np.testing.assert_array_equal(found.record.indices, wanted.record.indices)
        jax.tree.map(np.testing.assert_array_equal, found.state, wanted.state)
        np.testing.assert_allclose(found.energies, wanted.energies, rtol=1e-4, atol=1e-4)
    assert (found.record.indices >= 0).any()


def evaluations(memory, start):
    """How often a recall asks for the energy, with or without its gradient."""
    CALLS.clear()
    result = eam.recall(memory, start, eam.Asynchronous("sequential"), 10, record=False)
    jax.block_until_ready(result.state)
    jax.effects_barrier()
    assert result.converged
    return len(CALLS), int(result.num_steps)


def test_gradients_are_fewer_than_energies():
    """A sweep of differences asks for an energy of each neuron, one of gradients for one of each move."""
    memory = three_spin()
    start = start_of(memory, 1, jr.key(3))[0]
    many, sweeps = evaluations(Differing(memory), start)
    few, same = evaluations(Differing(memory, multilinear=True), start)
    assert same == sweeps and many >= sweeps * 6
    assert few < many / 2, (few, many)


class Squared(eqx.Module):
    """Not linear in its neurons, and says that it is: what comes out is not its descent."""

    multilinear: bool = eqx.field(static=True)
    neurons = eam.ZeroOne()
    state_shape = (4,)

    def energy(self, state):
        return jnp.sum((state - 0.4) ** 2)


def test_the_test_of_moves_notices_an_energy_that_is_not_linear():
    start = jnp.array([[1.0, 1, 0, 0]])
    found, wanted = (
        eam.recall(Squared(linear), start, eam.Asynchronous("sequential"), 4) for linear in (True, False)
    )
    np.testing.assert_array_equal(wanted.state, np.zeros((1, 4)))
    assert (found.record.indices[:, :1] != wanted.record.indices[:, :1]).any()


W = np.round(4 * RNG.normal(size=(7, 7))) / 4
np.fill_diagonal(W, 0)


def field_only():
    return published.Asymmetric(real(W))


@pytest.mark.parametrize(
    "rule",
    [
        eam.Asynchronous(),
        eam.Synchronous(),
        eam.Relaxation(0.5, leak="output"),
        eam.Relaxation(0.5),
        eam.Blockwise(),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_without_an_energy_there_are_none_and_stop_receives_none(rule):
    memory, seen = field_only(), []

    def stop(state, energy):
        seen.append(energy)
        return jnp.zeros((), bool)

    start = real(RNG.choice([-1, 1], (3, 7)))
    for progress in (False, True):
        result = eam.recall(memory, start, rule, 6, key=jr.key(0), stop=stop, progress=progress)
        assert result.energies is None and result.initial_energy is None
        assert np.isfinite(result.state).all()
    assert seen and all(energy is None for energy in seen)
    at_once = eam.recall(memory, start, rule, 6, key=jr.key(0), stop=lambda state, energy: energy is None)
    assert (at_once.num_steps == 0).all() and (at_once.status == 1).all()


def test_asynchronous_recall_of_a_field_follows_it_one_by_one():
    start = RNG.choice([-1, 1], (6, 7)).astype(float)
    result = eam.recall(field_only(), real(start), eam.Asynchronous("sequential"), 3)
    x = start.copy()
    for _ in range(3):
        for i in range(7):
            field = x @ W[i]
            x[:, i] = np.where(field == 0, x[:, i], np.sign(field))
    np.testing.assert_array_equal(result.state, x)
    frames = result.frames(every=1)
    np.testing.assert_array_equal(frames[:, -1], x)


SYMMETRIC = 0.3 * (W + W.T)


def euler(start, rate, beta, steps, bias):
    """s ← s + rate (tanh(β (W s + b)) − s)."""
    s = start
    for _ in range(steps):
        s = s + rate * (np.tanh(beta * (s @ SYMMETRIC + bias)) - s)
    return s


def test_relaxation_with_a_leak_at_the_output_takes_the_steps_of_euler():
    bias = np.linspace(-0.4, 0.4, 7)
    memory = eam.HopfieldNetwork(SYMMETRIC, bias, eam.Tanh(0.8))
    start = RNG.uniform(-0.9, 0.9, (4, 7))
    for steps in (1, 12):
        rule = eam.Relaxation(0.2, leak="output", tol=0.0)
        result = eam.recall(memory, real(start), rule, steps)
        np.testing.assert_allclose(result.state, euler(start, 0.2, 0.8, steps, bias), atol=1e-5)
        np.testing.assert_allclose(result.energies[:, -1], jax.vmap(memory.energy)(result.state), rtol=1e-4)
        for wrong in (0.2 * 1.15, -0.2):
            assert np.abs(result.state - euler(start, wrong, 0.8, steps, bias)).max() > 1e-3
    # The inputs leak otherwise: another way, to the same rest.
    inputs = eam.recall(memory, real(start), eam.Relaxation(0.2, tol=0.0), 12).state
    assert np.abs(inputs - result.state).max() > 1e-3
    rest = [
        eam.recall(memory, real(start), eam.Relaxation(0.2, leak=leak), 400) for leak in ("input", "output")
    ]
    assert all(result.converged.all() for result in rest)
    np.testing.assert_allclose(rest[0].state, rest[1].state, atol=1e-3)


def test_a_held_layer_keeps_its_output_under_a_leak_there():
    memory = eam.HopfieldNetwork(SYMMETRIC, None, eam.Tanh(0.8))
    start, clamp = real(RNG.uniform(-0.9, 0.9, 7)), np.arange(7) < 3
    result = eam.recall(memory, start, eam.Relaxation(0.3, leak="output"), 5, clamp=clamp)
    np.testing.assert_array_equal(result.state[:3], start[:3])
    assert (result.state[3:] != start[3:]).all()
