"""Update rules written from outside: their own carry, noise, schedule and record, alone and in batches."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from jax.scipy.special import logit
from jaxtyping import Array
from single_moves import change, flip, flips_of
from zoo import patterns

import energyam as eam


class HeatBath(eam.AbstractUpdate):
    """Every neuron once, in an order that the batch shares, with noise of each chain's own."""

    temperature: Array
    moves_neurons = True

    def prepare(self, memory):
        return flips_of(memory)

    def init(self, prepared, state, tick):
        return jnp.zeros((), int)  # uphill moves so far

    def step(self, prepared, state, carry, tick, clamp):
        order = jr.permutation(tick.shared, state.size)
        noise = self.temperature * logit(jr.uniform(tick.own, state.shape))

        def visit(at, tried):
            state, kept, energy, uphill = at
            i, threshold = tried
            gain = change(prepared, kept, state, i).value
            flips = (gain > threshold) & ~clamp[i]
            kept = jax.tree.map(lambda a, b: jnp.where(flips, a, b), flip(prepared, kept, state, i), kept)
            state = state.at[i].multiply(jnp.where(flips, -1, 1))
            energy = jnp.where(flips, energy - gain, energy)
            return (state, kept, energy, uphill + (flips & (gain < 0))), (energy, jnp.where(flips, i, -1))

        kept = prepared.start(state)
        start = state, kept, prepared.energy(kept, state), carry
        (state, _, _, uphill), (energies, flipped) = jax.lax.scan(visit, start, (order, noise))
        return eam.Step(state, uphill, energies, eam.Flips(flipped), jnp.zeros((), bool))


class Momentum(eam.AbstractUpdate):
    """A rule: its own state, a schedule, noise of each chain's own."""

    step_size: optax.Schedule
    noise: float

    def prepare(self, memory):
        return jax.value_and_grad(memory.energy)

    def init(self, prepared, state, tick):
        return jnp.zeros_like(state)

    def step(self, prepared, state, carry, tick, clamp):
        carry = 0.9 * carry - self.step_size(tick.index) * prepared(state)[1]
        new = jnp.where(clamp, state, state + carry + self.noise * jr.normal(tick.own, state.shape))
        return eam.Step(new, carry, prepared(new)[0][None], eam.States(new[None]), jnp.zeros((), bool))


class Adam(eam.AbstractUpdate):
    """Any optimiser of optax, on the neurons' own states. It needs no key, and serves any pytree.

    Slopes are those along the states that the neurons can take: Adam divides each neuron's slope by its size,
    so a part that leads off the sphere would turn the others.
    """

    optimiser: optax.GradientTransformation = eqx.field(static=True)

    def prepare(self, memory):
        neurons = getattr(memory, "neurons", None)
        retract = neurons.retract if isinstance(neurons, eam.AbstractNeurons) else lambda x: x
        return retract, lambda x: memory.energy(retract(x))

    def init(self, prepared, state, tick):
        return self.optimiser.init(state)

    def step(self, prepared, state, carry, tick, clamp):
        retract, energy = prepared
        change, carry = self.optimiser.update(jax.grad(energy)(state), carry, state)
        new = jax.tree.map(jnp.where, clamp, state, retract(optax.apply_updates(state, change)))
        still = jax.tree.map(lambda a, b: jnp.abs(a - b).max() < 1e-6, new, state)
        record = eam.States(jax.tree.map(lambda leaf: leaf[None], new))
        return eam.Step(new, carry, energy(new)[None], record, jnp.stack(jax.tree.leaves(still)).all())


class Backtracking(eam.AbstractUpdate):
    """Halve the step until the energy falls by a tenth of what the slope promises (Armijo)."""

    def prepare(self, memory):
        return memory.energy

    def init(self, prepared, state, tick):
        return prepared(state)

    def step(self, prepared, state, carry, tick, clamp):
        slope = jnp.where(clamp, 0, jax.grad(prepared)(state))
        promised = 0.1 * jnp.sum(slope**2)

        def too_long(size):
            return (prepared(state - size * slope) > carry - size * promised) & (size > 1e-8)

        size = jax.lax.while_loop(too_long, lambda size: size / 2, jnp.ones(()))
        new = state - size * slope
        energy = prepared(new)
        record = {"step_size": size, "slope": jnp.sqrt(jnp.sum(slope**2))}
        return eam.Step(new, energy, energy[None], record, record["slope"] < 1e-4)


class Langevin(eam.AbstractUpdate):
    """Samples of a state of any layers: its record is a pytree of its own."""

    step_size: Array

    def prepare(self, memory):
        return memory.energy

    def init(self, prepared, state, tick):
        return jr.normal(tick.own)  # a start may be random too

    def step(self, prepared, state, carry, tick, clamp):
        leaves, structure = jax.tree.flatten(state)
        keys = jax.tree.unflatten(structure, list(jr.split(tick.own, len(leaves))))
        noise = jax.tree.map(lambda key, leaf: jr.normal(key, leaf.shape), keys, state)
        slope = jax.grad(prepared)(state)
        h = self.step_size
        new = jax.tree.map(
            lambda c, x, g, n: jnp.where(c, x, x - h * g + jnp.sqrt(2 * h) * n), clamp, state, slope, noise
        )
        return eam.Step(new, carry, prepared(new)[None], {"sample": new, "start": carry}, jnp.zeros((), bool))


class Pair(eqx.Module):
    """Two real layers that pull at each other."""

    weights: Array
    state_shape = {"a": (2,), "b": (3,)}  # noqa: RUF012

    def energy(self, state):
        return 0.5 * sum(jnp.sum(x**2) for x in state.values()) - state["a"] @ self.weights @ state["b"]


class Bowl(eqx.Module):
    """A bowl ten times as steep along the last neuron."""

    centre: Array

    def energy(self, x):
        return jnp.sum(jnp.linspace(1, 10, x.size) * (x - self.centre) ** 2)


SCHEDULE = optax.exponential_decay(0.02, 10, 0.9)
CHN = eam.CHN(patterns(1, 3, 9))
PAIR, BOWL = Pair(jnp.array([[0.3, 0.2, 0], [0, -0.4, 0.1]])), Bowl(jnp.arange(3.0))
SPINS = jnp.tile(patterns(2, 1, 9), (6, 1))
RULES = {
    "heat bath": (HeatBath(jnp.array(9.0)), CHN, SPINS),
    "momentum": (Momentum(SCHEDULE, 0.05), BOWL, jnp.zeros((6, 3))),
    "langevin": (Langevin(jnp.array(0.1)), PAIR, {"a": jnp.zeros((6, 2)), "b": jnp.ones((6, 3))}),
    "backtracking": (Backtracking(), BOWL, jnp.linspace(-3, 3, 18).reshape(6, 3)),
    "adam": (Adam(optax.adam(0.1)), PAIR, {"a": jnp.ones((6, 2)), "b": jnp.linspace(0, 1, 18).reshape(6, 3)}),
}
RANDOM = ("heat bath", "momentum", "langevin")


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", RULES)
def test_a_chain_alone_and_the_first_of_a_batch_are_as_in_the_batch(name, getkey):
    (rule, memory, query), key = RULES[name], getkey()
    if name not in RANDOM:
        key = None
    batch = eam.recall(memory, query, rule, 8, key=key)
    states = np.concatenate([leaf.reshape(6, -1) for leaf in jax.tree.leaves(batch.state)], axis=1)
    assert len(np.unique(states, axis=0)) == 6  # from one start, by noise of their own
    some = eam.recall(memory, jax.tree.map(lambda q: q[:2], query), rule, 8, key=key)
    alone = eam.recall(memory, jax.tree.map(lambda q: q[0], query), rule, 8, key=key)
    for n, other in ((slice(2), some), (0, alone)):
        for field in ("state", "energies", "status", "num_steps", "record"):
            assert_same(jax.tree.map(lambda leaf, n=n: leaf[n], getattr(batch, field)), getattr(other, field))


@pytest.mark.parametrize("name", RULES)
def test_jit_and_progress_change_nothing(name, getkey):
    rule, memory, query = RULES[name]
    key = getkey() if name in RANDOM else None
    plain = eam.recall(memory, query, rule, 130, key=key)  # more steps than a bar has chunks
    T = plain.energies.shape[-1]
    inside = eqx.filter_jit(lambda m, q, k: eam.recall(m, q, rule, 130, key=k))(memory, query, key)
    shown = eam.recall(memory, query, rule, 130, key=key, progress=True)
    for other in (inside, shown):
        assert_same(other.state, plain.state)
        assert_same(other.energies[..., :T], plain.energies)
        np.testing.assert_array_equal(other.status, plain.status)
        np.testing.assert_array_equal(other.num_steps, plain.num_steps)
    assert_same(shown.record, plain.record)
    assert shown.energies.shape == plain.energies.shape


def test_each_chain_of_a_heat_bath_has_uphill_moves_of_its_own(getkey):
    result = eam.recall(CHN, jnp.tile(SPINS[:1], (40, 1)), RULES["heat bath"][0], 10, key=getkey())
    energies = np.concatenate([result.initial_energy[:, None], result.energies], axis=1)
    rises = np.diff(energies, axis=1) > 0
    assert rises.any(axis=1).all() and len({tuple(chain) for chain in rises}) > 35
    frames = result.frames(every=9)
    assert frames.shape == (40, 11, 9) and set(np.unique(frames)) == {-1, 1}
    np.testing.assert_array_equal(frames[:, -1], result.state)
    np.testing.assert_allclose(result.energies[:, -1], jax.vmap(CHN.energy)(result.state), rtol=1e-5)
    # But the order is shared: where all is hot, each sweep tries the same neurons at the same places.
    hot = eam.recall(CHN, SPINS, HeatBath(jnp.array(1e9)), 4, key=getkey())
    tried = np.asarray(hot.record.indices)
    assert all(len(set(place[place >= 0])) <= 1 for place in tried.reshape(6, -1).T)


def test_momentum_and_adam_go_where_the_energy_is_lowest(getkey):
    momentum = eam.recall(BOWL, jnp.zeros(3), Momentum(SCHEDULE, 0.0), 200, key=getkey())
    np.testing.assert_allclose(momentum.state, BOWL.centre, atol=1e-3)
    assert momentum.status == eam.STATUSES.index("out of steps") and momentum.frames(1).shape == (201, 3)
    # The schedule is followed: the first step is 0.02 down the slope.
    slope = jax.grad(BOWL.energy)(jnp.zeros(3))
    np.testing.assert_allclose(momentum.frames(1)[1], -0.02 * slope, rtol=1e-5)

    adam = eam.recall(BOWL, jnp.zeros((2, 3)), Adam(optax.adam(0.1)), 400, clamp=jnp.array([[1], [0]], bool))
    np.testing.assert_array_equal(adam.state[0], 0)
    np.testing.assert_allclose(adam.state[1], BOWL.centre, atol=1e-3)


def test_adam_stays_on_the_sphere(getkey):
    X = jr.normal(getkey(), (5, 4))
    memory = eam.DenseAM(X / jnp.linalg.norm(X, axis=1, keepdims=True), eam.LogSumExp(8.0), eam.Spherical())
    query = memory.patterns[:2]
    result = eam.recall(memory, query, Adam(optax.adam(0.03)), 300)
    np.testing.assert_allclose(jnp.linalg.norm(result.frames(1), axis=-1), 1, atol=1e-5)
    best = eam.recall(memory, query, eam.Synchronous(), 300)
    np.testing.assert_allclose(result.state, best.state, atol=2e-3)
    assert (result.energies[:, -1] <= result.initial_energy).all()


def test_a_line_search_never_rises_and_records_what_it_likes():
    rule, memory, query = RULES["backtracking"]
    result = eam.recall(memory, query.reshape(2, 3, 3), rule, 300)
    assert result.converged.all()
    np.testing.assert_allclose(result.state, jnp.tile(BOWL.centre, (2, 3, 1)), atol=1e-4)
    assert (np.diff(result.energies, axis=-1) <= 0).all()
    steps = int(result.num_steps.max())
    assert jax.tree.map(jnp.shape, result.record) == {"step_size": (2, 3, steps), "slope": (2, 3, steps)}
    with pytest.raises(ValueError, match=r"frames need a record of Flips or States; .* recorded dict"):
        result.frames()


def test_samples_of_a_state_of_two_layers_are_recorded(getkey):
    rule, memory, _ = RULES["langevin"]
    query = {"a": jnp.zeros((3, 50, 2)), "b": jnp.zeros((3, 50, 3))}
    result = eam.recall(memory, query, rule, 60, key=getkey(), clamp={"b": True})
    samples = result.record["sample"]
    assert samples["a"].shape == (3, 50, 60, 2) and result.record["start"].shape == (3, 50, 60)
    np.testing.assert_array_equal(samples["a"][:, :, -1], result.state["a"])
    np.testing.assert_array_equal(samples["b"], 0)
    np.testing.assert_allclose(samples["a"][:, :, 30:].var(), 1, rtol=0.15)
    assert len(np.unique(result.record["start"][..., 0])) == 150
    with pytest.raises(ValueError, match="frames need a record of Flips or States"):
        result.frames()
    assert eam.recall(memory, query, rule, 3, key=getkey(), record=False).record is None


def test_a_bar_compiles_its_chunks_once():
    traces = []

    class Traced(eqx.Module):
        def energy(self, x):
            traces.append(1)
            return jnp.sum(x**2)

    eam.recall(Traced(), jnp.ones(2), Adam(optax.adam(0.01)), 3, progress=True)
    few = len(traces)
    traces.clear()
    eam.recall(Traced(), jnp.ones(2), Adam(optax.adam(0.01)), 50, progress=True)
    assert len(traces) <= few


@pytest.mark.parametrize("name", RANDOM)
def test_a_random_rule_asks_for_a_key(name):
    rule, memory, query = RULES[name]
    with pytest.raises(ValueError, match="key must be given, as the update rule is random"):
        eam.recall(memory, query, rule)
