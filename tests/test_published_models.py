"""Published memories, each in a few lines of the public contract, against plain numpy."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import published_memories as ours
import published_models as plain
import pytest
from boltzmann import p_value

import energyam as eam

BITS, SIGNS, VALUES = (0, 1), (-1, 1), (0, 1, 2)


@pytest.mark.parametrize("model", ours.WRITTEN, ids=lambda model: model.__name__)
def test_a_model_takes_few_lines(model):
    assert len(inspect.getsource(model).splitlines()) <= 15


class Model(NamedTuple):
    """A memory, and its energy in plain numpy as a function of labels (N,)."""

    memory: Any
    energy: Callable[[np.ndarray], float]
    values: Sequence[int]  # of a place
    num: int  # of places
    cue: Sequence[int]  # labels that should lead to
    answer: Sequence[int]
    to_state: Callable[[np.ndarray], Any] = lambda labels: jnp.asarray(labels, float)
    to_labels: Callable[[Any], np.ndarray] = lambda state: np.asarray(state).astype(int)

    def states(self) -> np.ndarray:
        return plain.all_states(self.num, self.values)

    def energies(self) -> np.ndarray:
        return np.array([self.energy(labels) for labels in self.states()])


def in_layers(sizes: dict[str, int]) -> dict[str, Callable]:
    """From labels to layers, and back: one layer after another by their names."""
    names, ends = sorted(sizes), np.cumsum([sizes[name] for name in sorted(sizes)])[:-1]

    def to_state(labels):
        parts = np.split(np.asarray(labels, float), ends, axis=-1)
        return {name: jnp.asarray(part, float) for name, part in zip(names, parts, strict=True)}

    back = lambda state: np.concatenate([np.asarray(state[name]) for name in names], -1).astype(int)  # noqa: E731
    return {"to_state": to_state, "to_labels": back}


ONE_HOT = {
    "to_state": lambda labels: jax.nn.one_hot(jnp.asarray(labels), len(VALUES)),
    "to_labels": lambda state: np.asarray(state).argmax(axis=-1),
}


def willshaw_model():
    X = np.array([[1, 1, 1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1, 0], [1, 1, 0, 0, 1, 0, 0, 0, 1]])
    memory = ours.willshaw(jnp.asarray(X, float), 2)
    energy = partial(plain.pair_energy, plain.willshaw_weights(X), np.full(9, -1.5))
    return Model(memory, energy, BITS, 9, cue=[0, 0, 0, 0, 1, 1, 1, 0, 0], answer=X[1])


def tsodyks_feigelman_model():
    X = np.array([[1, 1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 0, 0, 0]])
    memory = ours.tsodyks_feigelman(jnp.asarray(X, float), 1 / 3, 0.137)
    energy = partial(plain.pair_energy, plain.tsodyks_feigelman_weights(X, 1 / 3), np.full(9, -0.137))
    return Model(memory, energy, BITS, 9, cue=[1, 1, 0, 0, 0, 0, 0, 0, 1], answer=X[0])


def kanter_model():
    X = np.array([[0, 1, 2, 0, 1], [2, 0, 0, 1, 2]])
    # No two values of a unit are as good as each other, with a small field at each.
    bias = 0.01 * np.random.default_rng(0).normal(size=(5, 3))
    memory = ours.kanter(ONE_HOT["to_state"](X))
    memory = ours.Potts(memory.couplings, jnp.asarray(bias, float))
    energy = partial(plain.potts_energy, plain.kanter_couplings(X, 3), bias)
    return Model(memory, energy, VALUES, 5, [0, 1, 2, 0, 0], X[0], **ONE_HOT)


def bcpnn_model():
    X = np.array([[0, 1, 2, 0, 1], [2, 0, 0, 1, 2], [1, 2, 0, 1, 0], [0, 1, 1, 2, 1]])
    memory = ours.Potts(*ours.log_odds(ONE_HOT["to_state"](X)))
    energy = partial(plain.potts_energy, *plain.bcpnn_couplings(X, 3))
    return Model(memory, energy, VALUES, 5, [2, 0, 0, 1, 0], X[1], **ONE_HOT)


def three_spin_model():
    N, rng = 8, np.random.default_rng(1)
    x = rng.choice(SIGNS, N)
    triples = [(i, j, k) for i in range(N) for j in range(i + 1, N) for k in range(j + 1, N)]
    weights = {t: float(np.prod(x[list(t)]) + 0.3 * rng.normal()) for t in triples}
    couplings = np.zeros((N, N, N))
    couplings[tuple(np.transpose(triples))] = list(weights.values())
    memory = ours.ThreeSpin(jnp.asarray(couplings, float))
    cue = plain.with_value(x, 2, -x[2])
    return Model(memory, partial(plain.simplex_energy, weights), SIGNS, N, cue, x)


def simplicial_model():
    X = np.array(
        [[1, 1, 1, 1, 1, 1, 1, 1, 1], [1, -1, 1, -1, 1, -1, 1, -1, 1], [1, 1, 1, -1, -1, -1, 1, 1, 1]]
    )
    edges = [(i, (i + d) % 9) for i in range(9) for d in (1, 2)]
    triangles = [(i, (i + 1) % 9, (i + d) % 9) for i in range(9) for d in (3, 4, 5)]
    memory = ours.Simplicial(jnp.asarray(X, float), jnp.array(edges), jnp.array(triangles))
    energy = partial(plain.simplex_energy, plain.hebb_of_simplices(X, edges + triangles))
    return Model(memory, energy, SIGNS, 9, cue=[1, 1, 1, 1, -1, -1, 1, 1, 1], answer=X[2])


def bidirectional_model():
    first, second = (
        np.array([[1, 1, 1, -1, -1], [1, -1, 1, -1, 1]]),
        np.array([[1, -1, 1, -1], [-1, -1, 1, 1]]),
    )
    weights = first.T @ second
    none = np.zeros(5)
    energy = lambda x: plain.two_layer_energy(weights, none, none[:4], x[:5], x[5:])  # noqa: E731
    answer = np.concatenate([first[1], second[1]])
    cue = plain.with_value(answer, 3, 1)
    layers = in_layers({"first": 5, "second": 4})
    return Model(ours.Bidirectional(jnp.asarray(weights, float)), energy, SIGNS, 9, cue, answer, **layers)


def boltzmann_model():
    rng = np.random.default_rng(2)
    W, b, c = rng.normal(size=(3, 5)), rng.normal(size=3), rng.normal(size=5)
    within = np.triu(rng.normal(size=(5, 5)), 1)
    bias = {"hidden": jnp.asarray(b, float), "visible": jnp.asarray(c, float)}
    memory = ours.Boltzmann(jnp.asarray(W, float), jnp.asarray(within, float), bias)

    def energy(x):
        between = plain.two_layer_energy(W, b, c, x[:3], x[3:])
        return between + plain.pair_energy(within, np.zeros(5), x[3:])

    lowest = min(plain.all_states(8, BITS), key=energy)
    cue = plain.with_value(lowest, 0, 1 - lowest[0])
    return Model(memory, energy, BITS, 8, cue, lowest, **in_layers({"hidden": 3, "visible": 5}))


MODELS = {
    "willshaw": willshaw_model,
    "tsodyks_feigelman": tsodyks_feigelman_model,
    "kanter": kanter_model,
    "bcpnn": bcpnn_model,
    "three_spin": three_spin_model,
    "simplicial": simplicial_model,
    "bidirectional": bidirectional_model,
    "boltzmann": boltzmann_model,
}


def some_of(model, count):
    return np.random.default_rng(4).permutation(model.states())[:count]


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


def test_the_references_complete_what_is_stored(model):
    found = plain.descend(model.energy, np.array(model.cue), model.values)
    np.testing.assert_array_equal(found, model.answer)


def test_energies_are_those_of_the_formula(model):
    energies = jax.vmap(model.memory.energy)(model.to_state(model.states()))
    np.testing.assert_allclose(energies, model.energies(), rtol=1e-5, atol=1e-4)


def test_recall_is_the_descent_of_plain_numpy(model):
    starts = np.concatenate([[model.cue], some_of(model, 20)])
    update = eam.Asynchronous(order="sequential")
    result = eam.recall(model.memory, model.to_state(starts), update, max_steps=30)
    expected = [plain.descend(model.energy, start, model.values) for start in starts]
    assert result.converged.all()
    np.testing.assert_array_equal(model.to_labels(result.state), expected)


def test_local_minima_are_those_of_enumeration(model):
    found = eam.is_local_minimum(model.memory, model.to_state(model.states()))
    expected = [plain.is_minimum(model.energy, labels, model.values) for labels in model.states()]
    np.testing.assert_array_equal(found, expected)


def test_sums_over_states_are_those_of_enumeration(model):
    T, energies = 0.8, model.energies()
    Z = eam.evaluation.log_partition(model.memory, T)
    np.testing.assert_allclose(Z, plain.log_partition(energies, T), rtol=1e-5)
    found = eam.evaluation.expectation(model.memory, lambda state: state, T)
    p = plain.probabilities(energies, T)
    expected = jax.tree.map(lambda leaf: np.tensordot(p, leaf, 1), model.to_state(model.states()))
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-4), found, expected)


def test_samples_come_as_often_as_they_should(model):
    energies, chains = model.energies(), 3000
    T = max(0.8, float(np.ptp(energies)) / 8)
    start = model.to_state(np.random.default_rng(3).choice(model.values, (chains, model.num)))
    samples = eam.sample(model.memory, start, eam.HeatBath(T), 1, key=jr.key(1), discard=50)
    base = len(model.values) ** np.arange(model.num)[::-1]
    places = np.searchsorted(model.values, model.to_labels(samples.states)[:, 0]) @ base
    counts = np.bincount(places, minlength=len(energies))
    assert p_value(counts, plain.probabilities(energies, T), energies) > 1e-3


def test_pseudo_likelihoods_are_those_of_the_formula(model):
    T, labels = 0.8, some_of(model, 10)
    found = eam.nn.pseudo_likelihood(model.memory, model.to_state(labels), T)
    expected = plain.pseudo_likelihood(model.energy, labels, model.values, T)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
