"""Wrong use of moves: optional methods, other values, neurons that no rule moves, one-hot rows, clamps."""

from typing import Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from enumerated import of_layers
from zoo import entries

import energyam as eam
from energyam.dynamics.moves import ready, view_of
from energyam.flips import sweep
from energyam.flips.plan import as_on
from energyam.memories.neurons import is_movable

X = entries(0, 4, 9, (-1, 1))
Kind = TypeVar("Kind")


def none(*args, **kwargs):
    return None


def with_method(base, written, name, method):
    """An object of a class like `base` that has `written` as it must, and one method more."""
    return type("Mine", (base,), dict(written, **{name: method}))


SEPARATION = {"potential": lambda self, similarities: jnp.sum(similarities**2)}
SIMILARITY = {"of": lambda self, pattern, state: pattern @ state}
RULE = {"step": lambda self, prepared, state, carry, tick, clamp: None}
NEURONS = {
    "check": lambda self, name, states, dims: jnp.asarray(states),
    "energy": lambda self, state: jnp.zeros((), state.dtype),
    "respond": lambda self, field, state, curvature=0.0: jnp.sign(field),
    "retract": lambda self, state: jnp.sign(state),
}
SIGNATURES = [
    (
        eam.AbstractSeparation,
        SEPARATION,
        "gain",
        lambda self, s, d: None,
        "gain.*similarities, direction, step",
    ),
    (eam.AbstractSeparation, SEPARATION, "bounds", lambda self, s: None, "bounds.*similarities, step"),
    (eam.AbstractSeparation, SEPARATION, "blocks", lambda self, s: None, r"blocks\(self\)"),
    (eam.AbstractSimilarity, SIMILARITY, "moved", lambda self, X, x, i: None, "moved.*step, before"),
    (eam.AbstractSimilarity, SIMILARITY, "field", lambda self, X, w: None, "field.*weights, state"),
    (eam.AbstractNeurons, NEURONS, "others", lambda self: None, "others.*state"),
    (eam.AbstractNeurons, NEURONS, "draw", lambda self, field, key: None, "draw.*temperature, key"),
    (eam.AbstractUpdate, RULE, "init", lambda self, state: None, "init.*prepared, state, tick"),
    (eam.AbstractUpdate, RULE, "step", lambda self, state: None, "step.*carry, tick, clamp"),
    (eam.AbstractUpdate, RULE, "check", lambda self, memory: None, "check.*memory, num_steps"),
]


@pytest.mark.parametrize(
    ("base", "written", "name", "method", "message"), SIGNATURES, ids=lambda p: str(p)[:20]
)
def test_an_optional_method_of_another_signature_is_refused(base, written, name, method, message):
    with pytest.raises(ValueError, match=f"{name} of Mine must be {message}.*; got {name}"):
        with_method(base, written, name, method)()
    type("Right", (base,), written)()
    with_method(base, written, name, none)()  # takes anything


def test_parts_may_be_generic():
    class Scaled(eam.AbstractSeparation, Generic[Kind]):
        by: Kind

        def potential(self, similarities):
            return self.by * jnp.sum(similarities**2)

    assert Scaled[float](2.0).potential(jnp.ones(3)) == 6


class Bits(eam.AbstractNeurons):
    """A user's own neurons 0/1, with other values as `way` says."""

    way: str = eqx.field(static=True, default="derived")
    values = (0, 1)

    def check(self, name, states, dims):
        return jnp.asarray(states)

    def energy(self, state):
        return jnp.zeros((), state.dtype)

    def respond(self, field, state, curvature=0.0):
        return (field > 0).astype(field.dtype)

    def retract(self, state):
        return (state > 0.5).astype(state.dtype)

    def others(self, state):
        wrong = {"itself": state, "sign": -state, "shape": state[:1], "rows": jnp.stack([state, 1 - state])}
        return wrong.get(self.way, 1 - state)


class Units(eam.AbstractNeurons):
    """A user's own units of three values, likewise."""

    way: str = eqx.field(static=True, default="right")
    unit = 3

    def check(self, name, states, dims):
        return jnp.asarray(states)

    def energy(self, state):
        return jnp.zeros((), state.dtype)

    def respond(self, field, state, curvature=0.0):
        return jax.nn.one_hot(jnp.argmax(field, axis=-1), 3)

    def retract(self, state):
        return self.respond(state, state)

    def others(self, state):
        rows = jnp.stack([jnp.roll(state, 1), jnp.roll(state, 2)])
        wrong = {"itself": jnp.stack([state, state]), "shape": rows[:1], "one": rows[0]}
        return wrong.get(self.way, rows)


OTHERS = [
    (Bits("itself"), r"others of Bits must turn each of \(0, 1\) into the other"),
    (Bits("sign"), r"others of Bits must turn each of \(0, 1\) into the other"),
    (Bits("shape"), "others of Bits must be like the state, elementwise"),
    (Bits("rows"), "others of Bits must be like the state, elementwise"),
    (Units("itself"), "others of Units must leave out the value that the unit has"),
    (Units("shape"), r"others of Units must be \(2, 3\) for a row of 3 values; got \(1, 3\)"),
    (Units("one"), r"others of Units must be \(2, 3\) for a row of 3 values; got \(3,\)"),
]
ASKED = {
    "recall": lambda memory, x: eam.recall(memory, x, eam.Asynchronous(), key=jr.key(0)),
    "sample": lambda memory, x: eam.sample(memory, x, eam.HeatBath(1.0), 2, key=jr.key(0)),
    "minimum": eam.is_local_minimum,
    "loss": eam.nn.pseudo_likelihood,
    "minimize": lambda memory, x: eam.ising.minimize(memory, 2, 2, key=jr.key(0)),
}
ONE_HOT = jnp.asarray(np.eye(3)[[0, 2, 1]].reshape(9), float)


@pytest.mark.parametrize("off", [0, 1e-3])
def test_others_may_be_rounded_and_no_more(off):
    class Shifted(Bits):  # 0.64885795 in place of 0.64885796 comes out of −0.35114204
        values = (-0.3511420355902778, 0.6488579644097222)

        def others(self, state):
            return sum(self.values) - state + off

    def asked():
        return is_movable(Shifted())

    if off:
        with pytest.raises(ValueError, match="others of Shifted must turn each of"):
            asked()
    else:
        assert asked()


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(("neurons", "message"), OTHERS, ids=lambda part: getattr(part, "way", ""))
def test_others_that_are_none_or_of_another_shape_are_refused(neurons, message, asked):
    memory = eam.HopfieldNetwork(jnp.zeros((9, 9)), None, neurons)
    with pytest.raises(ValueError, match=message):
        ASKED[asked](memory, ONE_HOT)


class Half(eqx.Module):
    """Layers of which the second does not move from value to value."""

    state_shape = {"bits": (2,), "reals": (3,)}  # noqa: RUF012
    neurons = {"bits": eam.ZeroOne(), "reals": eam.Continuous()}  # noqa: RUF012

    def energy(self, state):
        return jnp.sum(state["bits"]) * jnp.sum(state["reals"]) + 0.5 * jnp.sum(state["reals"] ** 2)


def test_layers_that_a_rule_cannot_move_are_named_with_rules_that_can():
    state = {"bits": jnp.ones(2), "reals": jnp.ones(3)}
    for call in (ASKED["recall"], ASKED["sample"]):
        with pytest.raises(
            ValueError, match=r"\['reals'\], Continuous.*clamp the whole layer.*eam\.Langevin"
        ):
            call(Half(), state)
    some = {"reals": np.array([True, True, False])}
    with pytest.raises(ValueError, match=r"Asynchronous can't move the neurons of layer \['reals'\]"):
        eam.recall(Half(), state, eam.Asynchronous("sequential"), clamp=some)
    held = eam.recall(Half(), state, eam.Asynchronous("sequential"), clamp={"reals": True})
    np.testing.assert_array_equal(held.state["bits"], [0, 0])
    assert held.converged


@pytest.mark.parametrize("name", ["Asynchronous", "HeatBath", "Metropolis", "DiscreteLangevin"])
def test_neurons_that_do_not_move_are_named_with_rules_for_them(name):
    rule = eam.Asynchronous() if name == "Asynchronous" else getattr(eam, name)(1.0)
    memory = eam.ModernHopfield(X * 1.0, 1.0)
    with pytest.raises(ValueError, match=f"for {name}.*; those of ModernHopfield are Continuous .use eam"):
        eam.recall(memory, X[0] * 1.0, rule, key=jr.key(0))


def test_units_under_a_rule_for_two_values_are_refused():
    with pytest.raises(ValueError, match=r"DiscreteLangevin.*two values.*HopfieldNetwork.*eam\.HeatBath"):
        memory = eam.HopfieldNetwork(jnp.eye(9), None, eam.Categorical(3))
        eam.sample(memory, ONE_HOT, eam.DiscreteLangevin(0.5), 2, key=jr.key(0))


@pytest.mark.parametrize("asked", ["recall", "sample", "minimum", "loss"])
def test_rows_that_are_not_one_hot_are_refused(asked):
    known = of_layers()
    state = jax.tree.map(lambda leaf: leaf[0], known.states)
    for wrong in (jnp.zeros((2, 3)), jnp.ones((2, 3)), 0.5 * jnp.ones((2, 3)), -state["units"]):
        with pytest.raises(
            ValueError, match=r"(query|start|state|states)\['units'\] must (be one-hot|have entr)"
        ):
            ASKED[asked](known.memory, state | {"units": wrong})
    with pytest.raises(ValueError, match=r"must be one-hot in each unit of 3 values.*one_hot"):
        ASKED[asked](eam.HopfieldNetwork(jnp.eye(9), None, eam.Categorical(3)), jnp.roll(ONE_HOT, 1))


def test_a_clamp_of_a_part_of_a_unit_is_refused():
    known = of_layers()
    state = jax.tree.map(lambda leaf: leaf[0], known.states)
    part = np.array([[True, False, False], [False, False, False]])
    for call in (eam.recall, eam.is_local_minimum):
        with pytest.raises(
            ValueError, match=r"clamp\['units'\] must hold all neurons .* or none.*Categorical"
        ):
            call(known.memory, state, clamp={"units": part})
    flat = eam.HopfieldNetwork(jnp.eye(9), None, eam.Categorical(3))
    with pytest.raises(ValueError, match=r"clamp must hold all neurons .* or none"):
        eam.is_local_minimum(flat, ONE_HOT, clamp=np.arange(9) < 4)
    held = eam.recall(flat, ONE_HOT, eam.Asynchronous(), key=jr.key(0), clamp=np.arange(9) < 3)
    np.testing.assert_array_equal(held.state[:3], ONE_HOT[:3])


def test_block_gibbs_names_the_ability_that_neurons_lack():
    memory = eam.DenseAM(X, eam.LogSumExp(1.0), Bits())
    with pytest.raises(ValueError, match=r"those of DenseAM are Bits, which have no `draw`.*eam.HeatBath"):
        eam.sample(memory, jnp.ones(9), eam.BlockGibbs(1.0), 2, key=jr.key(0))


class Signs(eam.AbstractNeurons):
    """`Binary` written again, with no more than must be."""

    values = (-1, 1)

    def check(self, name, states, dims):
        return jnp.asarray(states)

    def energy(self, state):
        return jnp.zeros((), state.dtype)

    def respond(self, field, state, curvature=0.0):
        return jnp.where(field == 0, state, jnp.sign(field))

    def retract(self, state):
        return jnp.where(state < 0, -1.0, 1.0)


MADE = {
    "quadratic": lambda neurons: eam.DenseAM(X, eam.Quadratic(), neurons),
    "polynomial": lambda neurons: eam.DenseAM(X, eam.Polynomial(3), neurons),
    "exponential": lambda neurons: eam.DenseAM(X, eam.LogSumExp(0.5), neurons),
    "sdm": lambda neurons: eam.DenseAM(X, eam.CircleIntersection(9, 3), neurons),
    "topk": lambda neurons: eam.DenseAM(X, eam.TopK(eam.LogSumExp(0.5), 2), neurons),
    "floats": lambda neurons: eam.DenseAM(X * 0.5, eam.LogSumExp(0.5), neurons),
    "network": lambda neurons: eam.HopfieldNetwork(eam.hebbian(X), None, neurons),
}


def chosen(memory, x):
    """The classes of a memory's flips, of all in them, and the plan of a sweep, as a recall traces them."""
    found = []

    def trace(memory, x):
        view = view_of(ready(memory), x, jnp.zeros(x.shape, bool))
        how = sweep.planned(view.flips, view.flips.start(x), view.neurons, jnp.arange(x.size), True)
        found.append((jax.tree.structure(view.flips), jax.tree.map(lambda leaf: leaf.dtype, view.flips), how))

    eqx.filter_eval_shape(trace, memory, x)
    return found[0]


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize(
    ("ours", "own"), [(eam.Binary(), Signs()), (eam.ZeroOne(), Bits())], ids=["±1", "0/1"]
)
def test_neurons_written_again_get_the_same_flips_and_plan(name, ours, own):
    x = own.retract(jr.normal(jr.key(0), (9,)))
    for platform in ("cpu", "accelerator"):
        with as_on(platform):
            assert chosen(MADE[name](own), x) == chosen(MADE[name](ours), x)
    if name != "topk":
        assert chosen(MADE[name](own), x) != chosen(MADE["topk"](ours), x)


def test_whole_patterns_of_other_entries_are_refused_under_neurons_of_ones_own():
    with pytest.raises(ValueError, match=r"patterns must be .* −1 or 1 under Signs.*makes floats"):
        eam.DenseAM(X * 0, eam.Quadratic(), Signs())
    with pytest.raises(ValueError, match=r"patterns must be .* −1, 0 or 1 under Bits"):
        eam.DenseAM(X * 3, eam.Quadratic(), Bits())
