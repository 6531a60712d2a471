"""Learning while reading: every rule against plain numpy, and in chunks as one pair after another."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from numpy.testing import assert_allclose

import energyam as eam
from benchmarks.launch_counter import count
from energyam import learning
from energyam.learning import delta_step, gradient_step, hebbian_step, oja_step, stream

T, DK, DV = 13, 5, 4
random = np.random.default_rng(0)
KEYS, VALUES, QUERIES = (random.normal(size=(T, D)) for D in (DK, DV, DK))
KEYS /= np.linalg.norm(KEYS, axis=1, keepdims=True)
VALUES /= np.linalg.norm(VALUES, axis=1, keepdims=True)
START = random.normal(size=(DV, DK))
GATES = dict(rate=random.uniform(0.1, 1.5, T), decay=random.uniform(0.3, 1, T))
GATES["decay"][6] = 0.0  # everything is forgotten at once
ROWS = KEYS, VALUES, QUERIES

# W before the pair, and its key, value and rate: what the rule adds.
RULES = {
    hebbian_step: lambda W, k, v, rate: rate * np.outer(v, k),
    delta_step: lambda W, k, v, rate: rate * np.outer(v - W @ k, k),
    oja_step: lambda W, k, v, rate: rate * np.outer(v, k - W.T @ v),
}


def by_hand(rule, W, gates):
    """The recurrence in double precision: the last weights, and what is read after each pair."""
    reads = []
    for t in range(T):
        W = gates["decay"][t] * W
        W = W + RULES[rule](W, KEYS[t], VALUES[t], gates["rate"][t])
        reads.append(W @ QUERIES[t])
    return W, np.array(reads)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("chunk", [None, 4, 13, 64])
def test_a_stream_is_the_recurrence(rule, chunk):
    found = stream(START, *ROWS, rule, chunk=chunk, **GATES)
    W, reads = by_hand(rule, START, GATES)
    assert_allclose(found.memory, W, atol=2e-6)
    assert_allclose(found.reads, reads, atol=4e-6)
    late = by_hand(rule, START, GATES | {"decay": np.roll(GATES["decay"], 1)})[1]
    assert np.abs(found.reads - late).max() > 0.1  # decays one pair too late are another rule


@pytest.mark.parametrize("rule", RULES)
def test_slopes_of_chunks_are_those_of_the_recurrence(rule):
    """Of starts, keys, values, queries, rates and decays above 0; and of a batch by `vmap`."""

    def loss(chunk, start, rows, gates):
        found = stream(start, *rows, rule, chunk=chunk, **gates)
        return jnp.sum(found.reads**3) + jnp.sum(found.memory**2)

    given = jax.tree.map(
        lambda a: jnp.asarray(a, jnp.float32), (START, ROWS, GATES | {"decay": GATES["decay"] + 0.05})
    )
    slope = lambda chunk: jax.jit(jax.grad(lambda given: loss(chunk, *given)))(given)  # noqa: E731
    jax.tree.map(lambda a, b: assert_allclose(a, b, atol=3e-4), slope(None), slope(5))
    batch = jax.tree.map(lambda a: jnp.stack([a, 0.5 * a]), given)
    each = jax.vmap(lambda given: loss(5, *given))(batch)
    assert_allclose(each[0], loss(None, *given), rtol=1e-4)


def test_double_precision_and_16_bits():
    with jax.enable_x64(True):
        for rule in RULES:
            found = stream(START, *ROWS, rule, chunk=4, **GATES)
            assert found.reads.dtype == jnp.float64
            assert_allclose(found.reads, by_hand(rule, START, GATES)[1], atol=1e-13)
    half = [jnp.asarray(a, jnp.bfloat16) for a in (START, *ROWS)]
    for rule in RULES:
        found = stream(*half, rule, chunk=4, **GATES)
        assert found.reads.dtype == found.memory.dtype == jnp.bfloat16
        assert_allclose(found.reads.astype(float), by_hand(rule, START, GATES)[1], atol=0.15)


def network_by_hand(gates, chunk):
    """A matrix and a bias by gradient with momentum, whose gradients are taken where a chunk starts."""
    M, b = START.copy(), np.zeros(DV)
    V, c, reads = np.zeros_like(M), np.zeros(DV), []
    for t in range(T):
        if t % chunk == 0:
            at = M.copy(), b.copy()
        error = at[0] @ KEYS[t] + at[1] - VALUES[t]
        V = gates["momentum"][t] * V - gates["rate"][t] * np.outer(error, KEYS[t])
        c = gates["momentum"][t] * c - gates["rate"][t] * error
        M, b = gates["decay"][t] * M + V, gates["decay"][t] * b + c
        reads.append(M @ QUERIES[t] + b)
    return M, np.array(reads)


@pytest.mark.parametrize("chunk", [None, 4])
def test_a_network_learns_by_momentum_and_weight_decay(chunk):
    gates = GATES | dict(rate=0.2 * GATES["rate"], momentum=random.uniform(0, 0.9, T))
    layer = eqx.nn.Linear(DK, DV, key=jr.key(0))
    layer = eqx.tree_at(lambda m: (m.weight, m.bias), layer, (jnp.asarray(START, float), jnp.zeros(DV)))
    found = stream(learning.GradientMemory(layer), *ROWS, gradient_step, chunk=chunk, **gates)
    M, reads = network_by_hand(gates, chunk or 1)
    assert_allclose(found.memory.network.weight, M, atol=1e-5)
    assert_allclose(found.reads, reads, atol=1e-5)
    assert np.abs(found.reads - network_by_hand(gates, 4 if chunk is None else 1)[1]).max() > 1e-3


def test_chunks_of_a_deep_network_are_steps_whose_gradients_wait():
    memory = deep()
    gates, reads = dict(rate=0.1, decay=0.95, momentum=0.5), []
    found = stream(memory, *ROWS, gradient_step, chunk=5, **gates)
    for t in range(T):
        at = memory if t % 5 == 0 else at
        memory = gradient_step(memory, KEYS[t], VALUES[t], at=at, **gates)
        reads.append(memory(QUERIES[t]))
    assert_allclose(found.reads, jnp.stack(reads), atol=1e-5)
    jax.tree.map(
        lambda a, b: assert_allclose(a, b, atol=1e-5),
        *(eqx.filter(m, eqx.is_array) for m in (found.memory, memory)),
    )


def test_the_delta_rule_is_a_gradient_of_the_squared_error():
    slope = jax.grad(lambda W: 0.5 * jnp.sum((VALUES[0] - W @ KEYS[0]) ** 2))(jnp.asarray(START))
    assert_allclose(delta_step(START, KEYS[0], VALUES[0], rate=0.7), START - 0.7 * slope, atol=1e-6)


def test_at_the_default_rate_a_pair_is_stored_exactly_and_a_key_of_zeros_writes_nothing():
    W = delta_step(START, 3 * KEYS[0], VALUES[0])
    assert_allclose(W @ (3 * KEYS[0]), VALUES[0], atol=1e-6)
    assert_allclose(delta_step(START, np.zeros(DK), VALUES[0]), START, atol=1e-7)
    assert_allclose(stream(START, np.zeros((T, DK)), VALUES, QUERIES, chunk=4).memory, START, atol=1e-7)
    assert_allclose(oja_step(START, KEYS[0], VALUES[0]).T @ VALUES[0], KEYS[0], atol=1e-6)


def test_ojas_rows_span_the_principal_subspace():
    """Keys of variances 4, 1 and .1 on a turned basis: the rows' projector is that of the first two."""
    basis, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    keys = np.random.default_rng(2).normal(size=(4000, 3)) * [2, 1, 0.3] @ basis.T
    W = learning.write(0.3 * np.eye(2, 3), keys, step=oja_step, rate=0.01)
    first = basis[:, :2] @ basis[:, :2].T
    assert_allclose(W.T @ W, first, atol=0.05)


def test_streams_of_other_memories_are_their_writes(getkey):
    """One shape of rule: a method that writes a pair is one."""
    pairs = KEYS.astype(np.float32), VALUES.astype(np.float32)
    online = learning.write(eam.OnlineAssociator(DK, DV), *pairs, step=eam.OnlineAssociator.write)
    assert_allclose(online.weights, eam.optimal_linear_associator(*pairs), atol=1e-4)
    addresses, words = eam.datasets.random_patterns(6, 16, key=getkey()), jnp.ones((6, 3))
    memory = eam.NeuronSDM.random(50, 16, 6, word_dim=3, key=getkey())
    one_by_one = learning.write(memory, addresses, words, step=eam.NeuronSDM.write)
    assert (one_by_one.counters == memory.write(addresses, words).counters).all()
    assert (learning.write(memory, addresses, words).counters == one_by_one.counters).all()


def test_every_memory_is_written_by_one_verb(getkey):
    X, more = jnp.split(eam.datasets.random_patterns(6, 16, key=getkey()), 2)
    both = jnp.concatenate([X, more])
    assert (learning.write(eam.CHN(X), more).patterns == both).all()
    pairs = eam.KeyValueMemory(X, X, eam.LogSumExp(1.0)).write(more, -more)
    assert (pairs.keys == both).all() and (pairs.values[3:] == -more).all()
    network = eam.HopfieldNetwork(jnp.zeros((16, 16)))
    assert_allclose(learning.write(network, both).weights, eam.storkey(both), atol=1e-6)
    assert_allclose(network.write(both, step=hebbian_step).weights, eam.hebbian(both), atol=1e-6)
    ring = jnp.roll(jnp.eye(6), 1, axis=1)
    weights = eam.SequenceNetwork(jnp.zeros((16, 16))).write(both, jnp.roll(both, -1, axis=0)).weights
    assert_allclose(weights, learning.transition_weights(both, ring), atol=1e-6)
    late = eam.SequenceNetwork(weights, jnp.zeros((16, 16)), 2).write(both, jnp.roll(both, -1, axis=0))
    assert_allclose(late.delayed_weights, weights, atol=1e-6)
    longer = eam.DenseSequence(X, eam.LogSumExp(1.0)).write(more, X)
    assert_allclose(longer.drive(more[1].astype(float), more[1].astype(float)), X[1], atol=1e-3)


def test_chunks_launch_few_kernels():
    """At 512 pairs: eight turns of a chunk of 64 in place of 512 small steps."""
    keys, values = jr.normal(jr.key(0), (2, 512, 16)) / 4
    for rule in RULES:
        run = lambda chunk, rule=rule: count(  # noqa: E731
            lambda k, v: stream(jnp.zeros((16, 16)), k, v, k, rule, chunk=chunk, rate=0.5, decay=0.9),
            keys,
            values,
        )
        assert run(None).kernels >= 20 * run(64).kernels


def linear(bias=True):
    return learning.GradientMemory(eqx.nn.Linear(DK, DV, use_bias=bias, key=jr.key(0)))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("chunk", [None, 6])
def test_rates_of_networks_are_stable_up_to_what_is_said(bias, momentum, chunk):
    """One pair of ‖k‖ = 1 again and again: λ = 1, and 2 with a bias; 6 times as large in chunks of 6."""
    keys, values = np.repeat(KEYS[:1], 300, axis=0), np.repeat(VALUES[:1], 300, axis=0)
    momentum = momentum if chunk is None else 0.0  # within a chunk a momentum is another rule
    limit = 2 * (1 + momentum) / (1 + bias) / (chunk or 1)

    def error(rate):
        options = dict(rate=rate * limit, momentum=momentum)
        memory = stream(linear(bias), keys, values, keys, gradient_step, chunk=chunk, **options).memory
        return float(jnp.linalg.norm(memory(KEYS[0]) - VALUES[0]))

    assert error(0.95) < 0.1 and error(1.05) > 10


def deep():
    return learning.GradientMemory(eqx.nn.MLP(DK, DV, 6, 1, key=jr.key(1)))


WRONG = {
    "rate must be stable, 0 < rate · ‖key‖² < 2 .below 2 here.; got 2.5": lambda: stream(
        START, *ROWS, rate=2.5
    ),
    "rate must be stable.*got less than 0": lambda: delta_step(START, KEYS[0], VALUES[0], rate=-0.5),
    "‖value‖²": lambda: stream(START, *ROWS, oja_step, rate=3.0),
    r"rate must be \(13\)": lambda: stream(START, *ROWS, rate=np.ones(T - 1)),
    "chunk must be an integer of at least 1": lambda: stream(START, *ROWS, chunk=0),
    "chunk must be None": lambda: stream(START, *ROWS, lambda W, k, v: W, chunk=2),
    r"queries must be \(13, 5\)": lambda: stream(START, KEYS, VALUES, QUERIES[1:]),
    r"keys must be \(T, 5\)": lambda: stream(START, KEYS[:, 1:], VALUES, QUERIES),
    r"values must be \(T, 4\)": lambda: learning.write(START, KEYS, KEYS, step=delta_step),
    "keys .* and values .* must agree": lambda: learning.write(START, KEYS, VALUES[1:], step=delta_step),
    "step must be given": lambda: learning.write(START, KEYS, VALUES),
    "weights must be symmetric": lambda: eam.HopfieldNetwork(np.zeros((5, 5))).write(
        KEYS, step=delta_step, rate=0.5
    ),
    "step must return a memory of the same shapes": lambda: learning.write(
        START, KEYS, VALUES, step=lambda W, k, v: jnp.concatenate([W, W])
    ),
    r"values must be \(3, 16\)": lambda: eam.DenseSequence(np.ones((2, 16)), eam.LogSumExp(1.0)).write(
        np.ones((3, 16)), np.ones((2, 16))
    ),
    "decay must be finite and not negative": lambda: stream(START, *ROWS, rate=0.1, decay=-0.5, chunk=4),
    "decay must be finite and not negative; got -1": lambda: delta_step(
        START, KEYS[0], VALUES[0], decay=-1.0
    ),
    "rate must be finite and not negative": lambda: stream(linear(), *ROWS, gradient_step, rate=-0.1),
    "decay must lie between 0 and 1": lambda: learning.write(
        linear(), KEYS, VALUES, step=gradient_step, rate=0.1, decay=1.5
    ),
    "momentum must lie between 0 and 1": lambda: stream(
        linear(), *ROWS, gradient_step, chunk=4, rate=0.1, momentum=np.linspace(0, 1.1, T)
    ),
    "step must keep the memory and its reads finite; these pairs did not .try a smaller rate": lambda: (
        learning.write(deep(), *ROWS[:2], step=gradient_step, rate=1e4)
    ),
    "step must keep the memory": lambda: stream(deep(), *ROWS, gradient_step, rate=1e4),
    "must keep the memory and its reads": lambda: stream(deep(), *ROWS, gradient_step, rate=1e6, chunk=4),
    "the memory and its reads finite": lambda: learning.write(
        START, *ROWS[:2], step=hebbian_step, decay=1e30
    ),
    "value must be None": lambda: learning.storkey_step(np.eye(5), KEYS[0], KEYS[0]),
    "network must be": lambda: learning.GradientMemory(3.0),
    r"value must be \(4,\)": lambda: gradient_step(
        learning.GradientMemory(eqx.nn.Linear(DK, DV, key=jr.key(0))), KEYS[0], KEYS[0], rate=0.1
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_use_is_named(message):
    with pytest.raises(ValueError, match=message):
        WRONG[message]()
