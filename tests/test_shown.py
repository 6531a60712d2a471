"""What memories, their parts and answers print: names, shapes, and what is small by value."""

import types
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import energyam as eam
from energyam import shown
from energyam.evaluation import KINDS, retrieved


@pytest.fixture(scope="module")
def memory():
    return eam.ExponentialDenseAM(eam.datasets.random_patterns(5, 16, key=jr.key(0)), beta=0.5)


@pytest.fixture(scope="module")
def result(memory):
    queries = jnp.concatenate([memory.patterns, memory.patterns])
    return eam.recall(memory, queries, eam.Synchronous())


@shown.shown(kind=KINDS, index="pattern")
class Answer(NamedTuple):
    """What is shown in the tests below."""

    kind: object
    index: object = None


def shown_of(array):
    """How an array alone is shown."""
    return repr(Answer(None, array)).removeprefix("Answer(pattern=").removesuffix(")")


def test_a_memory_says_its_patterns_and_its_beta(memory):
    assert repr(eam.CHN(memory.patterns)) == (
        "CHN(patterns=int8 (5, 16) from -1 to 1, separation=Quadratic(), neurons=Binary())"
    )
    text = repr(memory).split("\n")
    assert text[0] == "ExponentialDenseAM" and "LogSumExp(beta=0.5, divided=False)" in text[2]
    assert str(memory) == repr(memory)


@pytest.mark.parametrize(
    "part, text",
    [
        (eam.LogSumExp(2.0), "LogSumExp(beta=2, divided=True)"),
        (eam.Asynchronous(), "Asynchronous(order='colours')"),
        (eam.Tanh(1.0, shape=(64,)), "Tanh(beta=1, shape=(64,))"),
        (eam.Cosine(), "Cosine()"),
    ],
)
def test_parts_are_shown_by_name_and_value(part, text):
    assert repr(part) == text


def test_the_classes_of_users_are_shown_too():
    class Fourth(eam.AbstractSeparation):
        width: jax.Array

        def potential(self, similarities):
            return jnp.sum((similarities / self.width) ** 4)

    assert repr(Fourth(jnp.asarray(2.0))) == "Fourth(width=2)"


def test_a_recall_says_how_it_ended(result):
    lines = dict(line.split(maxsplit=1) for line in repr(result).split("\n")[1:])
    assert repr(result).startswith("Recall\n") and lines["status"] == "10 settled"
    assert lines["state"] == "int8 (10, 16) from -1 to 1"
    stopped = eam.recall(eam.CHN(jnp.ones((1, 4))), jnp.ones(4), eam.Synchronous(), max_steps=0)
    assert repr(stopped).split("\n")[1].endswith("out of steps")


def test_a_recall_without_an_energy_shows_none():
    class Ring:
        neurons, state_shape = eam.Binary(), (3,)

        def field(self, x):
            return jnp.roll(x, 1)

    text = repr(eam.recall(Ring(), jnp.array([1, -1, -1]), eam.Synchronous(), max_steps=12))
    assert "energies" not in text and "cycle" in text


def test_what_was_retrieved_is_named(memory):
    text = repr(retrieved(memory, memory.patterns[3]))
    assert text.startswith("Retrieved(pattern=3, weight=") and text.endswith("kind=pattern)")


def test_a_batch_of_answers_is_listed_and_a_large_one_counted():
    assert repr(Answer(np.array([0, 2, 0]))) == "Answer(kind=pattern, mixture, pattern)"
    assert repr(Answer(np.array([0, 2, 0] * 10))) == "Answer(kind=20 pattern, 10 mixture)"


def test_the_lowest_state_says_whether_it_is_a_minimum(memory):
    network = eam.HopfieldNetwork(eam.hebbian(memory.patterns))
    found = eam.ising.minimize(network, 4, 5, key=jr.key(1))
    first = repr(found).splitlines()[2].split()
    assert first[:3] == [f"{float(found.energy):.10g}", str(found.counts[0]), "yes"]


def test_traced_arrays_are_shown_by_their_shape(memory):
    seen = []

    @eqx.filter_jit
    def energy(memory, state):
        seen.append(repr(memory) + repr(retrieved(memory, state)))
        return memory.energy(state)

    energy(memory, memory.patterns[0])
    assert (
        "patterns    int8 (5, 16)\n" in seen[0]
        and "beta=float32 ()" in seen[0]
        and "kind=int32 ()" in seen[0]
    )
    assert "float32 (3,)" in repr(jax.eval_shape(lambda: Answer(None, jnp.ones(3))))


def test_large_arrays_are_not_read(monkeypatch):
    read = []
    watched = vars(np) | {"asarray": lambda array: read.append(array.size) or np.array(array)}
    monkeypatch.setattr(shown, "np", types.SimpleNamespace(**watched))
    assert shown_of(jnp.zeros((100, 1000))) == "float32 (100, 1000)" and not read
    assert shown_of(jnp.zeros(100)) == "float32 (100,) from 0 to 0" and read == [100]


@pytest.mark.parametrize(
    "array, text",
    [
        (np.float64(0.5), "0.5"),
        (jnp.asarray([1.5, -2.0], jnp.bfloat16), "[1.5, -2]"),
        (jnp.arange(9, dtype=jnp.bfloat16), "bfloat16 (9,) from 0 to 8"),
        (np.array([[True], [False]]), "[[True], [False]]"),
        (np.zeros((0, 3)), "float64 (0, 3)"),
        (np.array([np.nan, np.inf]), "[nan, inf]"),
        (np.array([1 + 2j]), "complex128 (1,)"),
        (np.zeros(2, jax.dtypes.float0), "[('float0', 'V')] (2,)"),
        (jr.key(0), "key<fry> ()"),
    ],
)
def test_arrays_of_every_kind_are_shown(array, text):
    assert shown_of(array) == text


def test_deleted_arrays_and_double_precision_are_shown(x64):
    array = jnp.ones(3)
    assert shown_of(array) == "[1, 1, 1]" and shown_of(jnp.ones(9)) == "float64 (9,) from 1 to 1"
    array.delete()
    assert shown_of(array) == "float64 (3,)"


def test_notebooks_get_a_table(result):
    text = result._repr_html_()
    assert text.startswith("<table><caption>Recall</caption><tr><th>status</th><td>10 settled</td></tr>")
    assert Answer(None, {"<b>": 1})._repr_html_().count("&lt;b&gt;") == 1
