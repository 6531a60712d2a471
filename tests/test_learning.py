"""Learning rules against their definitions, and what they store."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from numpy.testing import assert_allclose

import energyam as eam
from energyam import learning
from energyam.least_squares import projection

RULES = [eam.hebbian, eam.storkey, eam.pseudo_inverse]


@pytest.fixture
def patterns():
    return zoo.patterns(0, 5, 60)


def storkey_by_definition(patterns):
    """The published sums, written out entry by entry."""
    D = patterns.shape[1]
    W = np.zeros((D, D))
    for x in patterns:
        fields = W @ x
        h = fields[:, None] - np.diag(W)[:, None] * x[:, None] - W * x[None, :]
        change = np.outer(x, x) - x[:, None] * h.T - h * x[None, :]
        W = W + np.where(np.eye(D, dtype=bool), 0, change / D)
    return W


def without_diagonal(matrix):
    return matrix - np.diag(np.diag(matrix))


@pytest.mark.parametrize(
    "rule, definition",
    [
        (eam.hebbian, lambda x: without_diagonal(x.T @ x / x.shape[1])),
        (eam.storkey, storkey_by_definition),
        (eam.pseudo_inverse, lambda x: without_diagonal(np.linalg.pinv(x) @ x)),
    ],
)
def test_rule_is_its_definition(rule, definition, patterns):
    weights = rule(patterns)
    assert_allclose(weights, definition(np.asarray(patterns, float)), atol=1e-5)
    assert_allclose(weights, weights.T, atol=1e-6)
    assert not jnp.any(jnp.diagonal(weights))


def test_storkey_field_leaves_out_both_neurons():
    """One entry of the second step by hand: h_01 sums over neurons 2 and 3 alone."""
    first, second = np.array([1, 1, -1, 1.0]), np.array([1, -1, -1, -1.0])
    W = without_diagonal(np.outer(first, first) / 4)
    h_01, h_10 = W[0, 2:] @ second[2:], W[1, 2:] @ second[2:]
    expected = W[0, 1] + (second[0] * second[1] - second[0] * h_10 - h_01 * second[1]) / 4
    assert_allclose(eam.storkey(np.stack([first, second]))[0, 1], expected, rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_stored_patterns_are_fixed_points(rule, patterns):
    weights = rule(patterns)
    assert_allclose(jnp.sign(patterns @ weights), patterns)


@pytest.mark.parametrize("K", [30, 58])
def test_pseudo_inverse_holds_nearly_as_many_patterns_as_neurons(K):
    patterns = zoo.patterns(1, K, 64)
    assert_allclose(jnp.sign(patterns @ eam.pseudo_inverse(patterns)), patterns)


def test_pseudo_inverse_takes_dependent_patterns(patterns):
    doubled = jnp.concatenate([patterns, -patterns, patterns])
    assert_allclose(eam.pseudo_inverse(doubled), eam.pseudo_inverse(patterns), atol=1e-5)


def flipped_copies(seed, K, D, share):
    """Patterns that differ from one another in about twice this share of neurons: correlated ones."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], D) * np.where(rng.random((K, D)) < share, -1, 1)


LONE_FLIPS = np.ones((3, 16))
LONE_FLIPS[1, 0] = LONE_FLIPS[2, 1] = -1

PROJECTED = {
    "lone flips": LONE_FLIPS,
    "correlation .9": flipped_copies(0, 60, 200, 0.025),
    "correlation .99": flipped_copies(1, 30, 200, 0.0025),
    "one": flipped_copies(2, 1, 16, 0.5),
    "doubled": np.concatenate([flipped_copies(3, 20, 64, 0.05)] * 2),
    "with negatives": np.concatenate([LONE_FLIPS, -LONE_FLIPS]),
    "K = D - 1": flipped_copies(4, 99, 100, 0.5),
    "K = D": flipped_copies(5, 100, 100, 0.5),
    "K > D": flipped_copies(6, 150, 64, 0.5),
    "K > D, dependent": np.tile(flipped_copies(7, 10, 32, 0.5), (5, 1)),
}


@pytest.mark.parametrize("name", PROJECTED)
def test_pseudo_inverse_keeps_every_pattern(name):
    X = PROJECTED[name]
    weights = eam.pseudo_inverse(X)
    memory = eam.HopfieldNetwork(weights)
    assert (weights == weights.T).all() and (jnp.diagonal(weights) == 0).all()
    assert (jax.jit(eam.pseudo_inverse)(X) == weights).all()
    for update in (eam.Asynchronous(), eam.Synchronous()):
        assert (eam.recall(memory, X, update, max_steps=1, key=jax.random.key(0)).state == X).all()
    assert eam.is_local_minimum(memory, X).all()


def test_pseudo_inverse_is_zero_where_it_is_zero():
    """A neuron that no other follows from has no weights, and with all D dimensions none has."""
    weights = np.asarray(eam.pseudo_inverse(LONE_FLIPS))
    assert not weights[:2].any() and not weights[:, :2].any()
    assert_allclose(weights[2:, 2:], (1 - np.eye(14)) / 14, atol=1e-8)
    for name in ("K = D", "K > D"):
        assert not eam.pseudo_inverse(PROJECTED[name]).any()


def test_pseudo_inverse_in_batches_and_its_slope(getkey):
    batch = np.stack([flipped_copies(seed, 5, 20, 0.5) for seed in range(3)])
    each = jnp.stack([eam.pseudo_inverse(X) for X in batch])
    assert (jax.vmap(eam.pseudo_inverse)(batch) == each).all()
    assert (jax.jit(jax.vmap(eam.pseudo_inverse))(batch) == each).all()
    x, way = jax.random.normal(getkey(), (2, 3, 8))
    cubes = lambda x: jnp.sum(projection(x) ** 3)  # noqa: E731
    slope = (cubes(x + 0.01 * way) - cubes(x - 0.01 * way)) / 0.02
    assert_allclose(jnp.sum(jax.grad(cubes)(x) * way), slope, rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, float])
@pytest.mark.parametrize("step", [learning.hebbian_step, learning.storkey_step])
def test_whole_numbers_are_written_as_floats(step, dtype):
    """A rate of 1/D is no whole number, and 200² is no int8."""
    states = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 1]])
    states = 2 * states - 1 if dtype == np.int8 else 200 * states
    expected = learning.store(jnp.zeros((5, 5)), states * 1.0, step)
    assert_allclose(learning.store(np.zeros((5, 5), dtype), states.astype(dtype), step), expected, rtol=1e-6)
    once = step(jnp.zeros((5, 5), dtype), states[0].astype(dtype))
    assert jnp.issubdtype(once.dtype, jnp.floating) and once.any()
    assert_allclose(once, step(jnp.zeros((5, 5)), states[0] * 1.0), rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64, np.float16, np.float32])
def test_rules_of_any_dtype_agree(rule, dtype):
    patterns = flipped_copies(8, 9, 300, 0.5)
    assert_allclose(rule(patterns.astype(dtype)), rule(patterns), atol=1e-7)


def test_whole_weights_forget_what_is_not_whole():
    weights = learning.forget(np.ones((4, 4), int), np.array([1, -1, 1, -1], np.int8))
    assert_allclose(weights[0], [0, 1.25, 0.75, 1.25])


def test_hebbian_is_invariant_under_the_group_of_the_hypercube(patterns):
    weights = eam.hebbian(patterns)
    assert_allclose(eam.hebbian(-patterns[::-1]), weights)
    assert_allclose(eam.hebbian(patterns[:, ::-1]), weights[::-1, ::-1])


def test_forgetting_undoes_hebbian_storing(patterns):
    weights = learning.forget(eam.hebbian(patterns), patterns[2])
    assert_allclose(weights, eam.hebbian(jnp.delete(patterns, 2, axis=0)), atol=1e-6)


def test_store_writes_one_by_one(patterns):
    empty = jnp.zeros((60, 60))
    assert_allclose(learning.store(empty, patterns), eam.storkey(patterns), atol=1e-6)
    written = learning.store(empty, patterns, learning.hebbian_step)
    assert_allclose(written - jnp.diag(jnp.diagonal(written)), eam.hebbian(patterns), atol=1e-6)
    assert_allclose(learning.store(eam.storkey(patterns[:3]), patterns[3:]), eam.storkey(patterns), atol=1e-6)


def test_a_thousand_patterns_compile_one_step():
    """Weights that forget: the newest patterns stay, the oldest are gone."""
    patterns = zoo.patterns(2, 1000, 64)
    traces = []

    def step(weights, key, value, rate, decay):
        traces.append(1)
        return learning.hebbian_step(weights, key, value, rate=rate, decay=decay)

    weights = learning.store(jnp.zeros((64, 64)), patterns, step, decay=0.8)
    assert len(traces) <= 3
    expected = sum(0.8**age * np.outer(x, x) / 64 for age, x in enumerate(np.asarray(patterns[::-1], float)))
    assert_allclose(weights, expected, atol=1e-5)
    fades = jnp.sign(patterns @ (weights - jnp.diag(jnp.diagonal(weights)))) == patterns
    assert fades[-1].all() and fades[:900].mean() < 0.9


@pytest.mark.parametrize("step", [learning.hebbian_step, learning.storkey_step])
def test_steps_take_real_states_rates_decays_and_gradients(step, getkey):
    states = jax.random.normal(getkey(), (4, 8))

    def loss(rate, decay):
        def write(weights, state):
            return step(weights, state, rate=rate, decay=decay), None

        return jnp.sum(jax.lax.scan(write, jnp.zeros((8, 8)), states)[0] ** 3)

    rate, decay, eps = jnp.float32(0.3), jnp.float32(0.9), 1e-2
    slopes = jax.jit(jax.grad(loss, argnums=(0, 1)))(rate, decay)
    assert_allclose(slopes[0], (loss(rate + eps, decay) - loss(rate - eps, decay)) / (2 * eps), rtol=2e-2)
    assert_allclose(slopes[1], (loss(rate, decay + eps) - loss(rate, decay - eps)) / (2 * eps), rtol=2e-2)


def test_storkey_of_real_states_follows_its_definition(getkey):
    states = np.asarray(jax.random.normal(getkey(), (4, 8)))
    weights = learning.store(jnp.zeros((8, 8)), states)
    assert_allclose(weights, storkey_by_definition(states), atol=1e-5)


def test_storkey_needs_no_array_beyond_the_weights():
    """200 patterns of 512 neurons would make 200 MB as D×D×K; the compiled loop takes a few D×D."""
    D, patterns = 512, zoo.patterns(3, 200, 512)
    memory = jax.jit(eam.storkey).lower(patterns).compile().memory_analysis()
    if memory is not None:
        assert memory.temp_size_in_bytes < 8 * 4 * D**2


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "bad, message",
    [
        (np.ones((0, 8)), "must not be empty"),
        (np.zeros((3, 8)), "entries ±1"),
        (np.ones((3, 8), bool), "entries ±1"),
        (np.ones((3, 8, 3)), r"\(K, D\); got shape \(3, 8, 3\)"),
        (np.full((3, 8), np.nan), "±1|finite"),
        (np.ones(8), r"got shape \(8,\)"),
    ],
)
def test_bad_patterns_are_refused(rule, bad, message):
    with pytest.raises(ValueError, match=message):
        rule(bad)


@pytest.mark.parametrize("dtype", [bool, np.uint8, float])
def test_bits_are_no_states_of_rules_that_take_signs(dtype):
    """Written as they are they join neurons and hold none apart: each pattern drifts to all ones."""
    bits = np.array([[1, 0, 1, 1], [0, 1, 1, 0]], dtype)
    for write in (learning.hebbian_step, learning.storkey_step, learning.forget):
        with pytest.raises(ValueError, match=r"^(key|state) must have entries −1 and 1.*2 \* x - 1"):
            write(np.zeros((4, 4)), bits[0])
    with pytest.raises(ValueError, match=r"^keys must have entries −1 and 1.*2 \* x - 1"):
        learning.write(np.zeros((4, 4)), bits, step=learning.hebbian_step)
    assert learning.hebbian_step(np.zeros((4, 4)), bits[0], bits[1]).any()  # a pair may be of bits
    with pytest.raises(ValueError, match=r"^patterns must have entries −1 and 1.*2 \* x - 1"):
        learning.store(np.zeros((4, 4)), bits)
    assert not learning.hebbian_step(np.zeros((4, 4)), np.zeros(4)).any()  # of fast weights at rest
    ones = np.ones((1, 4))
    assert (learning.store(np.zeros((4, 4)), ones, learning.hebbian_step) == 0.25).all()


def test_a_rate_below_zero_is_refused_for_the_rule_that_takes_away(patterns):
    weights, state = eam.hebbian(patterns), np.asarray(patterns[2])
    for write in (learning.hebbian_step, learning.storkey_step, learning.forget):
        with pytest.raises(ValueError, match=r"^rate must not be negative; got -0.1 \(energyam.learning.f"):
            write(weights, state, rate=-0.1)
    with pytest.raises(ValueError, match=r"^rate must not be negative"):
        learning.store(weights, patterns, rate=-0.1)
    with pytest.raises(ValueError, match=r"^rate must not be negative"):
        learning.write(weights, patterns, step=learning.storkey_step, rate=np.array([0.1] * 4 + [-0.1]))
    by_hand = np.asarray(weights) - 0.01 * np.outer(state, state) * (1 - np.eye(60))
    assert_allclose(learning.forget(weights, state, 0.01), by_hand, atol=1e-6)


def test_bad_states_are_refused():
    weights = jnp.zeros((8, 8))
    with pytest.raises(ValueError, match=r"state must be \(8,\)"):
        learning.forget(weights, np.ones(7))
    with pytest.raises(ValueError, match=r"patterns must be \(K, 8\)"):
        learning.store(weights, np.ones((2, 7)))
    with pytest.raises(ValueError, match="finite"):
        learning.store(weights, np.full((2, 8), np.nan))
