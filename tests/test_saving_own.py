"""Files of users' own modules: their classes, what fields may hold, fields added later, and their checks."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

import energyam as eam

X = jnp.array([[1, -1, 1, 1], [1, 1, -1, 1]], jnp.int8)


class Place(NamedTuple):
    """A named tuple of the user's own."""

    at: Any
    name: str


class Holder(eqx.Module):
    """A module that holds anything."""

    content: Any


class Still(eqx.Module):
    """A module whose content is part of its structure."""

    state_shape: Any = eqx.field(static=True)
    name: str = "still"


def through_file(tmp_path, module, classes):
    eam.save(tmp_path / "own", module)
    return eam.load(tmp_path / "own", classes=classes)


CONTENTS = {
    "memory": eam.ModernHopfield(X * 1.0, 0.5),
    "own part": Holder(Still((3,))),
    "layer and separation": [eqx.nn.Linear(2, 2, key=jr.key(0)), eam.Linear()],
    "dictionary": {"seen": {"a.b": X, "a": {"b": -X}}, 'a "quoted" ü': 1.5, "": (None, [True, "text"])},
    "named tuple": (Place(X, "here"), Place({"x": X}, "there")),
    "key": jr.key(3),
    "keys": {"several": jr.split(jr.key(3), (2, 3)), "of another kind": jr.key(1, impl="rbg")},
    "complex": jnp.array([1 + 2j, complex(1, float("inf"))], jnp.complex64),
    "special numbers": (float("inf"), float("-inf"), 10**30),
    "no rows": jnp.zeros((0, 3)),
    "numpy": np.array([2**40, -(2**33)]),
    "unsigned": np.array([2**63, 1], np.uint64),
    "doubles": {"one": np.array(0.1), "none": np.zeros((2, 0)), "columns": np.asfortranarray(np.eye(3)[:2])},
    "complex numpy": np.array([1 + 2j, complex(0.1, float("inf"))]),
    "bools of numpy": np.array([True, False]),
    **{
        str(jnp.dtype(dtype)): X.astype(dtype)
        for dtype in (jnp.bfloat16, jnp.float16, jnp.int8, jnp.uint8, jnp.int32, bool)
    },
}


@pytest.mark.parametrize("name", CONTENTS)
def test_contents_come_back(tmp_path, name):
    module = Holder(CONTENTS[name])
    again = through_file(tmp_path, module, (Holder, Still, Place))
    assert jax.tree.structure(again) == jax.tree.structure(module)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(module), strict=True):
        assert type(a) is type(b)
        if isinstance(a, jax.Array | np.ndarray):
            assert a.dtype == b.dtype and a.shape == b.shape and (a == b).all()
        else:
            assert a == b


def test_64_bits_come_back_or_are_refused(tmp_path, x64):
    """A memory of doubles is not one of singles, without a word."""
    memory = eam.ModernHopfield(jnp.array([[0.1, 0.2]]), 0.3)
    assert memory.patterns.dtype == jnp.float64
    assert eqx.tree_equal(through_file(tmp_path, memory, ()), memory)
    with (
        x64(False),
        pytest.raises(ValueError, match=r"own: patterns has dtype float64, .*'jax_enable_x64', True"),
    ):
        eam.load(tmp_path / "own")


def test_what_a_converter_made_is_not_converted_again(tmp_path):
    class Grey(eqx.Module):
        picture: Any = eqx.field(converter=lambda pixels: pixels / 255)

    class Strict(eqx.Module):
        picture: Any = eqx.field(converter=lambda pixels: 1 / 0)

    grey = Grey(X * 51.0)
    assert eqx.tree_equal(through_file(tmp_path, grey, (Grey,)), grey)
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        eam.load(tmp_path / "own", classes=(renamed("Grey", Strict),))


def test_a_file_is_read_where_transfers_are_guarded(tmp_path):
    memory = eam.ExponentialDenseAM(X, 0.5)
    eam.save(tmp_path / "own", memory)
    with jax.transfer_guard("disallow"):
        again = eam.load(tmp_path / "own")
    assert eqx.tree_equal(again, memory)


@pytest.mark.parametrize("shape", [(), (3,), {"seen": (4,), "hidden": ()}])
def test_shapes_come_back_as_tuples_of_whole_numbers(tmp_path, shape):
    again = through_file(tmp_path, Still(shape), [Still])
    assert again.state_shape == shape and again.name == "still"
    again = through_file(tmp_path, Holder((np.int64(2), np.bool_(True))), [Holder])
    assert again.content == (2, True) and [type(n) for n in again.content] == [int, bool]


def test_a_loaded_key_draws_the_same(tmp_path):
    again = through_file(tmp_path, Holder(jr.key(5, impl="rbg")), (Holder,))
    assert (jr.normal(again.content, (4,)) == jr.normal(jr.key(5, impl="rbg"), (4,))).all()


def test_own_separations_in_our_memories(tmp_path):
    class Cosh(eam.AbstractSeparation):
        width: jax.Array

        def potential(self, similarities):
            return jnp.sum(jnp.cosh(similarities / self.width))

        def weights(self, similarities):
            return jnp.sinh(similarities / self.width) / self.width

        def gain(self, similarities, direction, step):
            return self.potential(similarities) - self.potential(similarities - step * direction)

    memory = eam.DenseAM(X, Cosh(jnp.array(2.0)), eam.Binary())
    assert eqx.tree_equal(through_file(tmp_path, memory, (Cosh,)), memory)
    with pytest.raises(ValueError, match=r"own: the class Cosh .*pass classes=\(Cosh,\)"):
        eam.load(tmp_path / "own")


def renamed(name, cls):
    """The class under another name, as if it had been defined under it."""
    cls.__name__ = name
    return cls


def test_classes_are_looked_up_before_ours(tmp_path):
    class Own(eqx.Module):
        patterns: jax.Array

    chn = renamed("CHN", Own)
    eam.save(tmp_path / "own", chn(X))
    assert type(eam.load(tmp_path / "own", classes=(chn,))) is chn
    with pytest.raises(ValueError, match=r"the class CHN .*pass classes=\(CHN,\)"):
        eam.load(tmp_path / "own")
    with pytest.raises(ValueError, match=r"content\.1 must not have parts of two classes .* CHN"):
        eam.save(tmp_path / "own", Holder([eam.CHN(X), chn(X)]))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (Holder, r"must be a tuple of classes, such as \(MyMemory,\); got Holder"),
        (3, "must be a tuple of classes.*; got int"),
        ("Holder", "must be a tuple of classes.*; got str"),
        ((Holder(1),), "must be subclasses of eqx.Module, or named tuples; got Holder"),
        ((int,), "must be subclasses of eqx.Module, or named tuples; got <class 'int'>"),
        (
            (Still, renamed("Still", type("Another", (eqx.Module,), {}))),
            "must have different names; got two .* Still",
        ),
    ],
)
def test_wrong_classes(tmp_path, no_hook, classes, message):
    eam.save(tmp_path / "own", Holder(1))
    with pytest.raises(ValueError, match=f"classes {message}"):
        eam.load(tmp_path / "own", classes=classes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (jnp.tanh, "content must be .*got tanh: functions and schedules can't be saved"),
        (optax.linear_schedule(1.0, 0.1, 10), "content must be .*: functions and schedules can't be saved"),
        ({"rate": [lambda step: 0.1]}, r"content\[\"rate\"\]\.0 must be .*functions and schedules"),
        ({1: X}, "content must be a dictionary with strings as keys; got the key 1"),
        ({"a": {2, 3}}, r"content\[\"a\"\] must be .*; got set"),
        (np.ma.array([1.0, 2.0], mask=[True, False]), "content must be an array.*; got MaskedArray"),
        (np.array(["text"]), "content must be an array of numbers that files can hold; got <U4"),
    ],
)
def test_what_files_cannot_hold_is_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        eam.save(tmp_path / "own", Holder(content))
    assert list(tmp_path.iterdir()) == []


def test_saving_inside_jit_is_an_error_that_names_the_field(tmp_path):
    def inside(x):
        eam.save(tmp_path / "own", Holder(x))

    with pytest.raises(ValueError, match="content must be an array with values; got one inside jit"):
        jax.jit(inside)(X)


def test_fields_added_later_take_their_defaults(tmp_path):
    class Early(eqx.Module):
        weights: jax.Array

    class Later(eqx.Module):
        weights: jax.Array
        beta: Any = eqx.field(default=2, converter=jnp.asarray)
        names: list = eqx.field(default_factory=list)

    class Lacking(eqx.Module):
        weights: jax.Array
        act: Callable

    eam.save(tmp_path / "own", renamed("Growing", Early)(X))
    again = eam.load(tmp_path / "own", classes=(renamed("Growing", Later),))
    assert type(again) is Later and isinstance(again.beta, jax.Array) and again.beta == 2
    assert again.names == [] and (again.weights == X).all()
    with pytest.raises(ValueError, match="own: the field act of Growing is not in the file"):
        eam.load(tmp_path / "own", classes=(renamed("Growing", Lacking),))
    eam.save(tmp_path / "own", again)
    with pytest.raises(ValueError, match="own: the class Growing has no field beta, names, which the file"):
        eam.load(tmp_path / "own", classes=(Early,))


def test_every_check_of_a_class_is_made(tmp_path):
    seen = []

    class AbstractBase(eqx.Module):
        values: eqx.AbstractVar[jax.Array]

        def __check_init__(self):
            seen.append("base")

    class Checked(AbstractBase):
        values: jax.Array
        inner: Any = None

        def __check_init__(self):
            seen.append("own")
            if not (self.values > 0).all():
                raise ValueError("values must be positive")

    good = Checked(jnp.ones(2), Checked(jnp.ones(1)))
    made, seen[:] = seen[:], []
    assert eqx.tree_equal(through_file(tmp_path, good, (Checked,)), good)
    assert seen == made
    for part in ("values", "inner.values"):
        bad = eqx.tree_at(lambda m, part=part: eval(f"m.{part}", {"m": m}), good, jnp.zeros(1))
        eam.save(tmp_path / "own", bad)
        with pytest.raises(ValueError, match=r"own: values must be positive"):
            eam.load(tmp_path / "own", classes=(Checked,))


def test_a_check_that_fails_in_another_way_is_told_with_the_path(tmp_path):
    class Failing(eqx.Module):
        values: Any

        def __check_init__(self):
            assert len(self.values) == 2, "two of them"

    eam.save(tmp_path / "own", eqx.tree_at(lambda m: m.values, Failing(X), X[:1]))
    with pytest.raises(ValueError, match=r"own: .*refused by its class \(AssertionError: two of them"):
        eam.load(tmp_path / "own", classes=(Failing,))
