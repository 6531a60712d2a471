"""Wrong use of states, clamps, rules and a user's own parts: each a `ValueError` that names the argument."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from zoo import patterns

import energyam as eam

X = np.array(patterns(0, 3, 8))
CHN, KEY, DESCENT = eam.CHN(X), jr.key(0), eam.GradientDescent(0.1)
QUERY = {"a": np.ones(2), "b": np.ones(3)}


class Layered(eqx.Module):
    """Any energy over any declared layers."""

    state_shape: Any = eqx.field(static=True, default=None)
    neurons: Any = None

    def energy(self, state):
        return sum(jnp.sum(x**2) for x in jax.tree.leaves(state))


PAIR = Layered({"a": (2,), "b": (3,)})


def refuses(message):
    return pytest.raises(ValueError, match=message)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (QUERY | {"b": np.ones(4)}, r"query\['b'\] must be \(\.\.\., 3\); got shape \(4,\)"),
        (QUERY | {"b": np.full(3, np.nan)}, r"query\['b'\] must be finite"),
        (QUERY | {"b": np.ones(3) * 1j}, r"query\['b'\] must be real"),
        (QUERY | {"b": "abc"}, r"query\['b'\] must be a numeric array"),
        (QUERY | {"b": None}, r"query\['b'\] must be a numeric array"),
        (QUERY | {"c": np.ones(3)}, "query must have the layers of the memory's state_shape"),
        ({"a": np.ones(2)}, r"query must have the layers of the memory's state_shape.*'b'"),
        (np.ones(5), "query must have the layers of the memory's state_shape"),
        ([np.ones(2), np.ones(3)], "query must have the layers of the memory's state_shape"),
        (
            {"a": np.ones((4, 2)), "b": np.ones((5, 3))},
            r"query\['b'\] must have leading axes \(4,\) like the others; got \(5,\)",
        ),
        ({"a": np.ones((4, 2)), "b": np.ones(3)}, r"query\['b'\] must have leading axes \(4,\) .*; got \(\)"),
    ],
)
def test_states_that_do_not_fit_name_the_layer(query, message):
    with refuses(message):
        eam.recall(PAIR, query, DESCENT)


@pytest.mark.parametrize(
    ("memory", "query", "message"),
    [
        (Layered((4, 3)), np.ones((3, 4)), r"query must be \(\.\.\., 4, 3\); got shape \(3, 4\)"),
        (Layered((4, 3)), np.ones(3), r"query must be \(\.\.\., 4, 3\); got shape \(3,\)"),
        (Layered(), QUERY, "memory must say state_shape, as query is a dict of layers; Layered has none"),
        (Layered(), [np.ones(2), np.ones(3)], "memory must say state_shape, as query is a list of layers"),
        (Layered(), np.ones((3, 0)), r"query must not be empty; got shape \(3, 0\)"),
        (Layered(), np.float32(1), r"query must be \(\.\.\., D\), or memory must say state_shape; got shape"),
        (Layered(3), np.ones(3), "state_shape must be a tuple of whole numbers of at least 1; got 3"),
        (Layered([3]), np.ones(3), r"state_shape\[0\] must be a tuple of whole numbers .*; got 3"),
        (Layered((3.0,)), np.ones(3), r"state_shape\[0\] must be a tuple of whole numbers .*; got 3\.0"),
        (Layered((-1,)), np.ones(3), r"state_shape.* must be a tuple of whole numbers .*; got -1"),
        (Layered({}), {}, "state_shape must have at least one layer; got {}"),
        (Layered((3,), "binary"), np.ones(3), "neurons of Layered must be neurons.*; got 'binary'"),
        (Layered((3,), eam.Continuous), np.ones(3), "neurons of Layered must be neurons"),
        (Layered((3,), [eam.Continuous()]), np.ones(3), "neurons of Layered must be .* one for each layer"),
        (Layered(PAIR.state_shape, {"a": eam.Free()}), QUERY, "neurons of Layered must be .* each layer"),
        (
            Layered((3,), eam.Continuous(shape=(4,))),
            np.ones(3),
            r"neurons of Layered must have the shape of state_shape, \(3,\); got \(4,\)",
        ),
    ],
)
def test_declarations_that_do_not_fit(memory, query, message):
    with refuses(message):
        eam.recall(memory, query, DESCENT)


@pytest.mark.parametrize(
    ("clamp", "message"),
    [
        ({"c": True}, r"clamp must name layers of the state, \['a', 'b'\]; got 'c'"),
        ({"a": {"x": True}}, r"clamp must be bools for each layer, like the state; got {'x': True}"),
        ([True, False], "clamp must have the layers of the state"),
        ({"a": np.ones(3, bool)}, r"clamp\['a'\] must be \(2,\) bool; got shape \(3,\)"),
        ({"a": np.ones((4, 2), bool)}, r"clamp\['a'\] must be \(2,\) bool; got shape \(4, 2\)"),
        ({"a": np.ones(2)}, r"clamp\['a'\] must be \(2,\) bool; .*dtype float"),
        ({"a": None}, r"clamp\['a'\] must be bools; got None"),
        ("a", r"clamp must be bools, or \"known\" to hold the known entries; got 'a'"),
        (1, r"clamp\['a'\] must be \(2,\) bool; .*dtype int"),
    ],
)
def test_clamps_of_another_structure(clamp, message):
    with refuses(message):
        eam.recall(PAIR, QUERY, DESCENT, clamp=clamp)


def test_clamps_of_one_layer():
    with refuses("clamp must be bools, as the state is one layer; got {'a': True}"):
        eam.recall(CHN, X, key=KEY, clamp={"a": True})
    with refuses(r"clamp must be \(8,\) bool, or with the leading axes \(3,\); got shape \(4, 8\)"):
        eam.recall(CHN, X, key=KEY, clamp=np.ones((4, 8), bool))
    with refuses(r"clamp must be \(8,\) bool, or .*; got shape \(3,\)"):
        eam.is_local_minimum(CHN, X, clamp=np.ones(3, bool))
    sphere = eam.DenseAM(np.eye(3), eam.LogSumExp(1.0), eam.Spherical())
    with refuses("clamp must hold all neurons of a state or none along the last axis, as those of Spherical"):
        eam.recall(sphere, np.eye(3), clamp=np.array([True, False, False]))


class Rule(eam.AbstractUpdate):
    """A rule that stays where it is, but for what `change` makes of its step."""

    change: Callable = eqx.field(static=True)

    def prepare(self, memory):
        return memory.energy

    def init(self, prepared, state, tick):
        return jnp.zeros(2)

    def step(self, prepared, state, carry, tick, clamp):
        record = eam.States(jax.tree.map(lambda leaf: leaf[None], state))
        step = eam.Step(state, carry, prepared(state)[None], record, jnp.zeros((), bool))
        return self.change(step)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"state": np.ones(4)},
            r"state of Rule.step must keep shape \(3,\) and dtype float32; got shape \(4,\)",
        ),
        ({"state": np.ones(3, int)}, "state of Rule.step must keep .* dtype float32; .* dtype int"),
        ({"state": (np.ones(3),)}, "state of Rule.step must keep its structure"),
        ({"carry": np.ones(3)}, r"carry of Rule.step must keep shape \(2,\) .*; got shape \(3,\)"),
        ({"carry": np.ones(2, int)}, "carry of Rule.step must keep .* dtype float32; .* dtype int"),
        ({"carry": None}, "carry of Rule.step must keep its structure"),
        ({"energies": np.zeros(())}, r"energies of Rule.step must be \(t,\), t at least 1; got shape \(\)"),
        ({"energies": np.zeros(0)}, r"energies of Rule.step must be \(t,\), t at least 1; got shape \(0,\)"),
        ({"energies": np.zeros((1, 1))}, r"energies of Rule.step must be \(t,\).*; got shape \(1, 1\)"),
        ({"energies": np.zeros(1) * 1j}, "energies of Rule.step must be real; got dtype complex"),
        ({"settled": np.zeros(3, bool)}, r"settled of Rule.step must be one bool; got shape \(3,\)"),
        ({"settled": 0.0}, r"settled of Rule.step must be one bool; got 0\.0"),
        ({"record": "x"}, "record of Rule.step must be Flips, States or a pytree of arrays; got 'x'"),
        ({"record": eam.States(jnp.ones(3))}, r"record of Rule.step must hold one state for each .*\(1, 3\)"),
        ({"record": eam.States(jnp.ones((2, 3)))}, "record of Rule.step must hold one state for each of the"),
        (
            {"record": eam.Flips(jnp.array(0))},
            r"record of Rule.step must hold one whole number for each .*\(1,\)",
        ),
    ],
)
def test_rules_that_return_what_they_must_not(change, message):
    with refuses(message):
        eam.recall(Layered(), np.ones((2, 3)), Rule(lambda step: step._replace(**change)))


def test_rules_may_return_narrow_floats_python_numbers_and_no_record():
    narrow = Rule(lambda s: s._replace(state=s.state.astype(jnp.bfloat16), energies=[1], settled=False))
    assert eam.recall(Layered(), np.ones(3, np.float32), narrow).state.dtype == jnp.float32
    bare = eam.recall(Layered(), np.ones((2, 3)), Rule(lambda s: s._replace(record=())))
    assert bare.record is None
    with refuses("frames need a record; there is none"):
        bare.frames()
    flips = eam.recall(Layered(), np.ones(3), Rule(lambda s: s._replace(record=eam.Flips(jnp.array([0])))))
    with refuses("frames of flips need ±1 neurons.*moves_neurons"):
        flips.frames()
    with refuses("record of Rule.step must hold one whole number .*dtype bool"):
        real = Rule(lambda step: step._replace(record=eam.Flips(jnp.zeros(1, bool))))
        eam.recall(Layered(), np.ones(3), real)
    with refuses("Rule.step must return an energyam.Step; got tuple"):
        eam.recall(Layered(), np.ones(3), Rule(tuple))


class Own(eqx.Module):
    """Any function as an energy."""

    function: Callable = eqx.field(static=True)

    def energy(self, state):
        return self.function(state)


class Wide(eam.AbstractSimilarity):
    """A similarity that is no number."""

    def of(self, pattern, state):
        return pattern * state


class Terms(eam.AbstractSeparation):
    """A potential that forgets its sum."""

    def potential(self, similarities):
        return similarities**2


class Field(eqx.Module):
    """A field that is too short, and no energy."""

    neurons = eam.Binary()

    def field(self, state):
        return state[:2]


def test_energies_similarities_potentials_and_fields_of_another_shape():
    for function, got in (
        (lambda x: x, r"got shape \(3,\)"),
        (lambda x: 1j * x.sum(), r"got shape \(\), dtype complex64"),
        (lambda x: None, "got None"),
        (lambda x: "low", "got 'low'"),
    ):
        for update in (eam.Asynchronous(), DESCENT):
            with refuses(f"energy of Own must be one real number for one state; {got}"):
                eam.recall(Own(function), np.ones(3), update, key=KEY)
        with refuses("energy of Own must be one real number"):
            eam.is_local_minimum(Own(function), np.ones(3))
    own = eam.DenseAM(X, eam.LogSumExp(1.0), eam.Binary(), Wide())
    for call in (own.energy, lambda x: eam.recall(own, x, key=KEY)):
        with refuses(r"similarity must give one number for each pattern, \(3,\) in all; got shape \(3, 8\)"):
            call(X[0])
    terms = eam.DenseAM(X, Terms(), eam.Binary())
    for call in (terms.energy, lambda x: eam.recall(terms, x, key=KEY)):
        with refuses(r"potential of Terms must be one real number .*; got shape \(3,\)"):
            call(X[0])
    with refuses(r"field of Field must be like the state, \(3,\); got \(2,\)"):
        eam.recall(Field(), np.ones(3))
    with refuses(r"similarity must be an instance of AbstractSimilarity.*call it: NegativeDistance\(\)"):
        eam.DenseAM(X, eam.LogSumExp(1.0), eam.Binary(), eam.NegativeDistance)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stop": lambda x, e: e}, r"stop must return one bool for one query; got shape \(\), dtype float32"),
        ({"stop": lambda x, e: x > 0}, r"stop must return one bool for one query; got shape \(8,\)"),
        ({"stop": lambda x, e: bool(e < 0)}, r"stop must be a function of jax.numpy alone.*no bool\(…\), if"),
        ({"stop": lambda x, e: e < 0 and e > -9}, "stop must be a function of jax.numpy alone"),
        ({"stop": lambda x, e: None}, "stop must return one bool for one query; got None"),
        ({"stop": 3}, "stop must be a function; got 3"),
        ({"key": 0}, "key must be a jax random key"),
        ({"key": jr.split(KEY, 2)}, "key must be one jax random key"),
        ({"update": eam.Asynchronous}, r"update must be an instance .*\(call it: Asynchronous\(\)\)"),
        ({"update": "sync"}, "update must be an instance of AbstractUpdate; got 'sync'"),
        ({"max_steps": 2.5}, "max_steps must be an integer"),
    ],
)
def test_options_of_recall(options, message):
    with refuses(message):
        eam.recall(CHN, X[0], **{"key": KEY} | options)


def test_memories_that_are_none_and_rules_that_must_be_chosen():
    for call in (eam.recall, eam.is_local_minimum):
        with refuses("memory must be an object, not the class CHN; make one first"):
            call(eam.CHN, X[0])
        with refuses(r"memory must have an energy\(state\) method; got ndarray"):
            call(X, X[0])
    for memory, query in ((PAIR, QUERY), (Layered((4, 3)), np.ones((4, 3)))):
        with refuses("update must be given for states of shape .* without neurons.*GradientDescent"):
            eam.recall(memory, query, key=KEY)
    with refuses("memory must have ±1 neurons for a local minimum, .* those of Layered are Continuous"):
        eam.is_local_minimum(Layered((3,), eam.Continuous()), np.ones(3))


def test_progress_is_for_the_host():
    bar = lambda x: eam.recall(CHN, x, key=KEY, progress=True).state  # noqa: E731
    for function in (jax.jit(bar), jax.vmap(bar)):
        with refuses("progress must be False inside jit; got True"):
            function(X * 1.0)


def test_gradients_through_flips_say_what_to_use():
    def end(beta, memory_of=lambda memory: memory):
        memory = memory_of(eam.ExponentialDenseAM(X, beta))
        return eam.recall(memory, X[0], key=KEY).energies.sum()

    for derivative in (jax.grad(end), jax.jit(jax.grad(end)), jax.jacfwd(end)):
        with refuses("update must be differentiable .* flips are not .*Synchronous.*energy.*stop_gradient"):
            derivative(1.0)
    assert jax.grad(lambda beta: end(beta, jax.lax.stop_gradient))(1.0) == 0
    minimum = lambda beta: eam.is_local_minimum(eam.ExponentialDenseAM(X, beta), X[0]) * 1.0  # noqa: E731
    assert jax.grad(minimum)(1.0) == 0
