"""Unknown entries of a query: they start at the answer to the field of what is known, as in plain numpy."""

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
HIDDEN = RNG.random((4, 12)) < 0.4
SIGNS = np.where(HIDDEN, 0, X[[0, 1, 2, 0]]).astype(np.int8)
KEY = jr.key(0)
REAL = RNG.normal(size=(3, 12)).astype(np.float32)


def start(memory, query, **options):
    """Where a recall starts."""
    return np.asarray(eam.recall(memory, query, max_steps=0, key=KEY, **options).query)


def signs_of(field, zeroed):
    """The known entries, and the signs of the field elsewhere, +1 for a field of 0."""
    return np.where(zeroed != 0, zeroed, np.where(field < 0, -1, 1))


def softmax(s):
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class FieldAlone(eqx.Module):
    couplings: jax.Array
    neurons = eam.Binary()

    def field(self, x):
        return jnp.roll(self.couplings @ x, 1)


W = np.asarray(eam.hebbian(X))
SKEW = RNG.normal(size=(12, 12)).astype(np.float32)
FIELDS = {  # memory → its field at states with zeros
    "network": (lambda: eam.HopfieldNetwork(W, np.ones(12) / 3), lambda x: x @ W + 1 / 3),
    "CHN": (lambda: eam.CHN(X), lambda x: x @ X.T @ X),
    "exponential": (lambda: eam.ExponentialDenseAM(X, 0.3), lambda x: softmax(0.3 * x @ X.T) @ X),
    "field": (lambda: FieldAlone(jnp.asarray(SKEW)), lambda x: np.roll(x @ SKEW.T, 1, axis=-1)),
}


@pytest.mark.parametrize("name", FIELDS)
def test_zeros_start_at_the_signs_of_the_field_of_the_others(name):
    make, field = FIELDS[name]
    memory, wanted = make(), signs_of(field(SIGNS.astype(np.float32)), SIGNS)
    assert (start(memory, SIGNS) == wanted).all() and start(memory, SIGNS).dtype == np.int8
    assert (start(memory, np.ma.array(np.where(HIDDEN, 7, SIGNS), mask=HIDDEN)) == wanted).all()
    for dtype in (jnp.bfloat16, jnp.float16) if name == "CHN" else (jnp.float32,):
        found = eam.recall(memory, jnp.asarray(SIGNS, dtype), max_steps=0, key=KEY).query
        assert found.dtype == dtype and (found == wanted).all()
    assert (wanted != np.where(SIGNS > 0, 1, -1)).any()


def test_clamp_known_holds_the_rest_and_the_recall_goes_on_from_the_start():
    memory = eam.HopfieldNetwork(W)
    free, held = eam.recall(memory, SIGNS, key=KEY), eam.recall(memory, SIGNS, key=KEY, clamp="known")
    assert (held.state == SIGNS)[~HIDDEN].all() and held.converged.all()
    assert eam.is_local_minimum(memory, held.state, clamp=~HIDDEN).all()
    again = eam.recall(memory, start(memory, SIGNS), key=KEY, clamp=~HIDDEN)
    assert (again.state == held.state).all() and (again.record.indices == held.record.indices).all()
    assert (free.frames(1)[:, 0] == start(memory, SIGNS)).all()
    one = eam.recall(memory, SIGNS[1], eam.Synchronous(), clamp="known")
    many = eam.recall(memory, SIGNS.reshape(2, 2, 12), eam.Synchronous(), clamp="known")
    assert (one.state == many.state[0, 1]).all()


def test_inside_jit_and_vmap_zeros_are_seen_where_the_clamp_says_known():
    memory = eam.HopfieldNetwork(W)
    wanted = eam.recall(memory, SIGNS, eam.Synchronous(), clamp="known")
    recalled = lambda q: eam.recall(memory, q, eam.Synchronous(), clamp="known")  # noqa: E731
    for function in (jax.jit(recalled), jax.vmap(recalled)):
        found = function(SIGNS)
        assert (found.state == wanted.state).all() and (found.query == wanted.query).all()
    masked = np.ma.masked_equal(SIGNS, 0)
    shifted = jax.jit(lambda w: eam.recall(eam.HopfieldNetwork(w), masked, eam.Synchronous()).query)(-W)
    assert (shifted == signs_of(-(SIGNS.astype(np.float32) @ W), SIGNS)).all()


def test_nan_of_real_neurons_start_at_the_answer():
    memory, known = eam.ModernHopfield(REAL, 2.0), ~HIDDEN[:3]
    query = np.where(known, REAL, np.nan).astype(np.float32)
    zeroed = np.nan_to_num(query)
    wanted = np.where(known, REAL, softmax(2.0 * zeroed @ REAL.T) @ REAL)
    for clamp in (known, "known"):
        np.testing.assert_allclose(start(memory, query, clamp=clamp), wanted, rtol=1e-5)
    result = jax.jit(lambda q: eam.recall(memory, q, clamp="known"))(query)
    assert (result.state == query)[known].all() and result.converged.all()
    for clamp in (None, np.ones(12, bool), np.arange(12) < 6):
        with pytest.raises(ValueError, match="query must be finite; got NaN"):
            start(memory, np.where(np.arange(12) > 0, 1.0, np.nan), clamp=clamp)


def test_a_distance_is_taken_to_what_is_known():
    """The far pattern is the nearest one in the entries that are known."""
    stored = np.array([[1.0, 1, 1, 0, 0, 0], [2.0, 2, 2, 9, 9, 9]], np.float32)
    query = np.array([1.9, 1.9, 1.9, np.nan, np.nan, np.nan])
    apart = -0.5 * ((query[:3] - stored[:, :3]) ** 2).sum(1)
    wanted = softmax(20 * apart) @ stored
    memory = eam.GaussianDenseAM(stored, 20.0)
    np.testing.assert_allclose(start(memory, query, clamp="known")[3:], wanted[3:], rtol=1e-5)
    result = eam.recall(memory, query, eam.Synchronous(), clamp="known", max_steps=50)
    np.testing.assert_allclose(result.state, [1.9] * 3 + [9] * 3, rtol=1e-3)

    class Own(eam.AbstractSimilarity):
        def of(self, pattern, state):
            return -0.5 * jnp.sum((state - pattern) ** 2)

    derived = eam.DenseAM(np.sign(REAL), eam.LogSumExp(2.0), eam.Binary(), Own())
    known = eam.DenseAM(np.sign(REAL), eam.LogSumExp(2.0), eam.Binary())  # the same for ±1 states
    assert (start(derived, SIGNS[:1]) == start(known, SIGNS[:1])).all()


def test_gradients_pass_through_the_start():
    query = np.where(HIDDEN[0], np.nan, REAL[0])

    def loss(stored, recalled):
        return jnp.sum(recalled(stored) ** 2)

    by_recall = lambda s: eam.recall(eam.ModernHopfield(s, 2.0), query, max_steps=2, clamp="known").state  # noqa: E731

    def by_hand(stored):
        state = jnp.where(HIDDEN[0], 0, REAL[0])
        for _ in range(3):
            state = jnp.where(HIDDEN[0], jax.nn.softmax(2.0 * stored @ state) @ stored, REAL[0])
        return state

    found, wanted = (jax.grad(loss)(jnp.asarray(REAL), f) for f in (by_recall, by_hand))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_bits_and_categories_are_masked():
    bits = (X > 0).astype(np.int8)
    memory = eam.HopfieldNetwork(W, neurons=eam.ZeroOne())
    masked = np.ma.array(bits, mask=HIDDEN[:3])
    field = masked.filled(0) @ W
    wanted = np.where(HIDDEN[:3], field > 0, bits)
    assert (start(memory, masked) == wanted).all()
    held = eam.recall(memory, masked, key=KEY, clamp="known")
    assert (held.state == bits)[~HIDDEN[:3]].all()
    units = np.eye(3, dtype=np.int8)[[[0, 1, 2, 1], [2, 2, 0, 1]]].reshape(2, 12)
    potts = eam.DenseAM(units, eam.LogSumExp(1.0), eam.Categorical(3))
    hidden = np.repeat([[True, False, False, False], [False, False, True, True]], 3, axis=1)
    cue = np.ma.array(np.roll(units, 1, axis=1), mask=hidden)
    cue[~hidden] = units[~hidden]
    assert (start(potts, cue) == units).all()


def test_layers_may_be_unknown_altogether_and_are_found_from_the_others():
    stored = X[:, :8].astype(float)
    memory = eam.HierarchicalMemory(
        {"seen": eam.Binary((8,)), "label": eam.Softmax(1.0, (3,))},
        [(eam.synapses.Dense(stored.T), ("seen", "label"))],
    )
    cue = np.where(HIDDEN[:3, :8], 0, stored)
    query = {"seen": cue, "label": np.full((3, 3), np.nan)}
    found = eam.recall(memory, query, clamp="known", max_steps=0).query
    np.testing.assert_allclose(found["label"], softmax(cue @ stored.T), rtol=1e-5)
    assert (found["seen"] == signs_of(np.zeros((3, 8)), cue)).all()  # no label is known
    labelled = eam.recall(memory, {"seen": cue * 0, "label": np.eye(3)}, clamp={"label": True}, max_steps=0)
    assert (labelled.query["seen"] == stored).all()


def test_double_precision():
    with jax.enable_x64(True):
        memory = eam.HopfieldNetwork(W.astype(np.float64))
        found = eam.recall(memory, SIGNS.astype(np.float64), max_steps=0, key=KEY).query
        assert found.dtype == np.float64 and (found == signs_of(SIGNS @ W.astype(np.float64), SIGNS)).all()


def test_an_ordinary_recall_does_not_look_for_unknown_entries(monkeypatch):
    monkeypatch.setattr("energyam.dynamics.recall.completed", None)
    assert eam.recall(eam.CHN(X), X, key=KEY).converged.all()
