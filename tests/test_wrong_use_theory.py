"""Wrong use of theory, hypercube and learning: each a ValueError that names the argument."""

import math
import pathlib
from inspect import isfunction

import jax.numpy as jnp
import numpy as np
import pytest

import energyam as eam

theory, hc, learning = eam.theory, eam.hypercube, eam.learning
HUGE = 10**400
X = np.array([[1.0, -1, 1, -1], [1, 1, -1, -1]])
W = np.zeros((4, 4))

WHOLE = [0, -1, 2.0, 2.5, math.nan, math.inf, 2**40, HUGE, 1j, "3", None, True, [3]]  # no dimension
COUNT = [v for v in WHOLE if v not in (2**40,)]  # no number of neurons in a capacity
RADIUS = [-1, 17, 2.0, 2.5, math.nan, 2**40, HUGE, 1j, "3", None, True, [3]]  # for n = 16
NUMBER = [math.nan, math.inf, HUGE, 1j, "3", [1.0, 2.0]]  # no one real number
MANY = [0, 0.5, -3, math.nan, math.inf, 1j, "3", None, True, [3]]  # no number of patterns
NAME = ["another", 3, None, ["paper"], math.nan]
FLAG = ["yes", 1, 0.0, None]
PATTERNS = [0.0, [[1.0, 2.0]], [[math.nan, 1]], [[1j, 1]], "text", [[1, -1], [1]], np.zeros((0, 4)), [[True]]]
FLOATS = [[[math.nan, 1, 1, 1]], [[1j, 1, 1, 1]], "text", [[1, 2], [1]], np.zeros((0, 4)), [[[1.0]]]]
FLOATS += [[[HUGE, 1, 1, 1]]]
DISTANCES = [[0], [1, 1], [0, 17], [0.5, 1], "ab", 3, [0, 11]]
TRANSITIONS = [np.eye(3), np.ones(2), "text", np.eye(2) * 1j, np.full((2, 2), np.inf)]
NETWORK = learning.GradientMemory(jnp.tanh)
STEPS = (learning.delta_step, learning.hebbian_step, learning.storkey_step)
STATE = [np.ones(3), [math.nan, 1, 1, 1], [1j, 1, 1, 1], "text", 1.0, np.ones((1, 4)), None]
WEIGHTS = [np.ones((4, 3)), np.ones(4), np.full((4, 4), math.nan), np.ones((4, 4)) * 1j, "text", None]
COSINE = [1.5, -2, math.nan, math.inf, 1j, "1", np.array([0.5, 1.1]), jnp.array([0.5, jnp.nan]), HUGE]
DISTANCE = [-1, 17, math.nan, 1j, "3", [3, 17], jnp.array([-1.0]), HUGE]

pytestmark = pytest.mark.usefixtures("no_hook")

TABLE = [
    (lambda v: hc.hamming_to_cosine(v, 16), "distance", DISTANCE),
    (lambda v: hc.hamming_to_cosine(0, v), "n", COUNT),
    (lambda v: hc.cosine_to_hamming(v, 16), "cosine", COSINE),
    (lambda v: hc.cosine_to_hamming(0.5, v), "n", COUNT),
    (lambda v: hc.fraction_for_radius(v, 0), "n", WHOLE),
    (lambda v: hc.fraction_for_radius(16, v), "radius", RADIUS),
    (lambda v: hc.radius_for_fraction(v, 0.5), "n", WHOLE),
    (lambda v: hc.radius_for_fraction(16, v), "p", [0, -0.1, 1.1, *NUMBER]),
    (lambda v: hc.radius_for_log_fraction(v, -1.0), "n", WHOLE),
    (lambda v: hc.radius_for_log_fraction(16, v), "log_p", [5.0, 1e-3, True, *NUMBER]),
    (hc.log_fractions, "n", WHOLE),
    (hc.log_binomials, "n", WHOLE[1:]),
    (lambda v: hc.circle_intersection(v, 0), "n", WHOLE),
    (lambda v: hc.circle_intersection(16, v), "radius", RADIUS),
    (lambda v: hc.log_circle_intersection(v, 0), "n", WHOLE),
    (lambda v: hc.log_circle_intersection(16, v), "radius", RADIUS),
    (lambda v: hc.kanerva_circle_intersection(v, 0), "n", WHOLE),
    (lambda v: hc.kanerva_circle_intersection(16, v), "radius", [9, *RADIUS]),
    (lambda v: hc.kanerva_circle_intersection(16, 5, v), "continuity", NUMBER),
    (lambda v: hc.log_weighted_circle_intersection(v, 0, 0), "n", WHOLE),
    (lambda v: hc.log_weighted_circle_intersection(16, v, 3), "radius", RADIUS),
    (lambda v: hc.log_weighted_circle_intersection(16, 3, v), "distance", RADIUS),
    (lambda v: hc.log_weighted_circle_intersection(16, 3, 1, v), "weighting", NAME),
    (lambda v: hc.log_weighted_circle_intersection(16, 3, 1, "exponential", v), "rate", NUMBER),
    (lambda v: hc.check_radius(16, v), "radius", RADIUS),
    (hc.check_dimension, "n", WHOLE),
    (hc.check_cosine, "cosine", COSINE),
    (lambda v: hc.log_number("m", v), "m", MANY),
    (hc.gauss_legendre, "points", [v for v in WHOLE if v != [3]]),
    *[
        row
        for cap in (hc.cap_intersection, hc.log_cap_intersection, hc.log_cap_integral)
        for row in [
            (lambda v, cap=cap: cap(v, 1, 0.5), "n", [1, *COUNT]),
            (lambda v, cap=cap: cap(8, v, 0.5), "radius", [-1, 8.5, math.nan, 1j, "3", HUGE]),
            (lambda v, cap=cap: cap(8, 2, v), "cosine", COSINE),
        ]
    ],
    (lambda v: theory.fit_beta(v, 3), "n", WHOLE),
    (theory.suggest_beta, "patterns", [None, "text", [[1, 2], [1]], 1j, np.ones(4), np.ones((3, 4))]),
    (lambda v: theory.suggest_beta(np.eye(4), v), "noise", [-0.1, math.nan, "3", None, [1.0, 2.0], 1e6]),
    (lambda v: theory.fit_beta(16, v), "radius", RADIUS),
    (lambda v: theory.fit_beta(16, 5, v), "kind", NAME),
    (lambda v: theory.fit_beta(16, 5, distances=v), "distances", DISTANCES),
    (lambda v: theory.fit_softmax_beta(v, 3), "n", WHOLE),
    (lambda v: theory.fit_softmax_beta(16, v), "radius", RADIUS),
    (lambda v: theory.fit_softmax_beta(16, 5, v), "kind", NAME),
    (lambda v: theory.fit_softmax_beta(16, 5, steps=v), "steps", WHOLE),
    (lambda v: theory.effective_beta(v, X), "queries", FLOATS),
    (lambda v: theory.effective_beta(X, v), "keys", [np.ones((2, 3)), *FLOATS]),
    *[
        row
        for bound in (
            theory.log_lower_bound,
            theory.log_upper_bound,
            theory.log_normal_approximation,
            theory.exponent_beta,
        )
        for row in [
            (lambda v, bound=bound: bound(v, 0), "n", WHOLE),
            (lambda v, bound=bound: bound(16, v), "radius", RADIUS),
        ]
    ],
    (lambda v: theory.log_normal_approximation(16, 5, v), "taylor", FLAG),
    (theory.query_key_norm_betas, "task", ["de-en", 3, ["ar-en"], math.nan]),
    (lambda v: theory.query_key_norm_betas(attention=v), "attention", ["self", 3, ["cross"]]),
    *[
        row
        for read in (theory.signal_to_noise, theory.next_distance, theory.critical_distance)
        for row in [
            (lambda v, read=read: read(v, 0, 10, 10), "n", WHOLE),
            (lambda v, read=read: read(16, v, 10, 10), "radius", RADIUS),
            (lambda v, read=read: read(16, 5, v, 10), "num_patterns", MANY),
            (lambda v, read=read: read(16, 5, 10, v), "num_neurons", MANY),
            (lambda v, read=read: read(16, 5, 10, 10, v), "noise", NAME),
        ]
    ],
    (lambda v: theory.sdm_capacity(v, 0, 10), "n", WHOLE),
    (lambda v: theory.sdm_capacity(16, v, 10), "radius", RADIUS),
    (lambda v: theory.sdm_capacity(16, 5, v), "num_neurons", MANY),
    (lambda v: theory.sdm_capacity(16, 5, 10, v), "probability", [0, 1, 1e-9, -1, 2, *NUMBER]),
    (lambda v: theory.sdm_capacity(16, 5, 10, noise=v), "noise", ["corrected", "book", *NAME]),
    (lambda v: theory.optimal_radius(v, 10, 10), "n", WHOLE),
    (lambda v: theory.optimal_radius(16, v, 10), "num_patterns", MANY),
    (lambda v: theory.optimal_radius(16, 10, v), "num_neurons", MANY),
    (lambda v: theory.optimal_radius(16, 10, 10, v), "criterion", NAME),
    *[
        (lambda v, c=c: theory.optimal_radius(16, 10, 10, c, v), "noise", ["another", 3, ["paper"]])
        for c in ("snr", "capacity", "critical_distance")
    ],
    (lambda v: theory.optimal_radius(16, 10, 10, probability=v), "probability", [0, 1, 2, *NUMBER]),
    (lambda v: theory.neuron_distance_distribution(v, 10), "n", WHOLE),
    (lambda v: theory.neuron_distance_distribution(16, v), "num_neurons", MANY),
    (lambda v: theory.neuron_distance_distribution(16, 10, v), "published", FLAG),
    (lambda v: theory.bit_error(v, 10), "num_neurons", COUNT),
    (lambda v: theory.bit_error(100, v), "num_patterns", [0, -1, *NUMBER]),
    (lambda v: theory.bit_error(100, 10, v), "n", [1, 10**20, *COUNT]),
    (lambda v: theory.polynomial_capacity(v, 3), "num_neurons", [1, *COUNT]),
    (lambda v: theory.polynomial_capacity(100, v), "n", [1, *COUNT]),
    (lambda v: theory.polynomial_capacity(100, 3, v), "error", [0, 0.5, -1, *NUMBER]),
    (theory.hopfield_capacity, "num_neurons", [1, *COUNT]),
    (lambda v: theory.hopfield_capacity(100, v), "error", [0, 0.5, *NUMBER]),
    (theory.replica_capacity, "num_neurons", COUNT),
    (theory.storkey_capacity, "num_neurons", [1, *COUNT]),
    (theory.gardner_capacity, "margin", [-1, *NUMBER]),
    (theory.gardner_margin, "load", [-1, 0, 2.5, *NUMBER]),
    (lambda v: theory.willshaw_capacity(v, 3), "num_neurons", COUNT),
    (lambda v: theory.willshaw_capacity(100, v), "num_active", [0, 101, *NUMBER]),
    (lambda v: theory.sparse_capacity(v, 0.1), "num_neurons", COUNT),
    (lambda v: theory.sparse_capacity(100, v), "activity", [0, 1, -1, *NUMBER]),
    (lambda v: theory.potts_capacity(v, 3), "num_neurons", COUNT),
    (lambda v: theory.potts_capacity(100, v), "q", [1, *COUNT]),
    (theory.pseudo_inverse_capacity, "num_neurons", COUNT),
    (theory.log_exponential_capacity, "num_neurons", COUNT),
    (lambda v: theory.log_exponential_capacity(100, v), "noise", [0.5, -0.1, *NUMBER]),
    *[
        row
        for load in (theory.exponential_load, theory.log_exponential_load)
        for row in [
            (lambda v, load=load: load(v, 1.0), "dim", COUNT),
            (lambda v, load=load: load(10, v), "beta", [-1, *NUMBER]),
        ]
    ],
    (lambda v: theory.dense_transition_capacity(v, 2), "num_neurons", [1, *COUNT]),
    (lambda v: theory.dense_transition_capacity(100, v), "degree", COUNT),
    (theory.log_exponential_transition_capacity, "num_neurons", [1, *COUNT]),
    (theory.log_exponential_sequence_capacity, "num_neurons", COUNT),
    *[
        row
        for step in (*STEPS, learning.forget)
        for row in [
            (lambda v, step=step: step(v, np.ones(4)), "weights", WEIGHTS),
            (lambda v, step=step: step(W, v), "state" if step is learning.forget else "key", STATE),
            (lambda v, step=step: step(W, np.ones(4), rate=v), "rate", NUMBER),
        ]
    ],
    *[(lambda v, step=step: step(W, np.ones(4), decay=v), "decay", NUMBER) for step in STEPS],
    (lambda v: learning.oja_step(W, v), "key", STATE),
    (lambda v: learning.oja_step(W, np.ones(4), np.ones(4), rate=v), "rate", [-1, 3.0, *NUMBER]),
    (lambda v: learning.gradient_step(v, np.ones(4), np.ones(4), rate=0.1), "memory", ["text", None, W]),
    (lambda v: learning.gradient_step(NETWORK, np.ones(4), np.ones(4), rate=v), "rate", [-1, *NUMBER]),
    (lambda v: learning.write(W, v, step=learning.delta_step), "keys", [np.ones((2, 3)), *FLOATS]),
    (lambda v: learning.stream(W, X, X, v), "queries", [np.ones((2, 3)), *FLOATS]),
    (lambda v: learning.store(v, X), "weights", WEIGHTS),
    (lambda v: learning.store(W, v), "patterns", [np.ones((2, 3)), *FLOATS]),
    (lambda v: learning.store(W, X, v), "step", ["storkey", None, 3]),
    (lambda v: learning.store(W, X, rate=v), "rate", NUMBER),
    (lambda v: learning.store(W, X, decay=v), "decay", NUMBER),
    (learning.hebbian, "patterns", PATTERNS),
    (lambda v: learning.hebbian(X, v), "strengths", [np.ones(3), 1.0, [math.nan, 1], [1j, 1], "text"]),
    (lambda v: learning.hebbian(X > 0, activity=v), "activity", [0, 1, -1, *NUMBER]),
    (lambda v: learning.hebbian(v, activity=0.5), "patterns", [X, 0.0, [[math.nan, 1]], "text", [[0.5, 1]]]),
    (learning.storkey, "patterns", PATTERNS),
    (learning.minover, "patterns", PATTERNS),
    (lambda v: learning.minover(X, v), "num_steps", COUNT),
    (lambda v: learning.minover(X, margin=v), "margin", [-1, *NUMBER]),
    (lambda v: learning.minover(X, symmetric=v), "symmetric", FLAG),
    (lambda v: learning.dreaming(v, 1.0), "patterns", PATTERNS),
    (lambda v: learning.dreaming(X, v), "sleep", [-1, *NUMBER]),
    (lambda v: learning.stability(v, X), "weights", WEIGHTS),
    (lambda v: learning.stability(W, v), "patterns", [np.ones((2, 3)), *PATTERNS]),
    (learning.pseudo_inverse, "patterns", PATTERNS),
    (lambda v: learning.transition_weights(v, np.eye(2)), "patterns", PATTERNS),
    (lambda v: learning.transition_weights(X, v), "transitions", TRANSITIONS),
    (lambda v: learning.sequence_weights(v, np.eye(2), 1.0), "patterns", PATTERNS),
    (lambda v: learning.sequence_weights(X, v, 1.0), "transitions", TRANSITIONS),
    (lambda v: learning.sequence_weights(X, np.eye(2), v), "strength", NUMBER),
    *[
        row
        for associate in (learning.correlation_matrix_memory, learning.optimal_linear_associator)
        for row in [
            (lambda v, associate=associate: associate(v, X), "keys", [np.ones((3, 4)), *FLOATS]),
            (lambda v, associate=associate: associate(X, v), "values", [np.ones((3, 4)), *FLOATS]),
        ]
    ],
    (lambda v: learning.optimal_linear_associator(v, X), "keys", [np.zeros((2, 4))]),
    (lambda v: learning.optimal_linear_associator(X, X, v), "ridge", [-1, *NUMBER]),
]


@pytest.mark.parametrize("row", range(len(TABLE)), ids=lambda i: f"{i}-{TABLE[i][1]}")
def test_wrong_values_are_refused_by_name(row):
    call, name, values = TABLE[row]
    for value in values:
        try:
            result = call(value)
        except ValueError as error:
            message = str(error)
            assert name in message.replace("(", " ").replace(",", " ").split(), (value, message)
            assert "must" in message or "need" in message, (value, message)
            assert len(message) < 600, message
        else:
            raise AssertionError(f"{name} = {value!r} gave {result!r}")


def test_every_public_name_is_in_the_table():
    """Functions of the three modules are called above, or take no argument that can be wrong."""
    source = pathlib.Path(__file__).read_text(encoding="utf-8")
    for module, short in ((theory, "theory"), (hc, "hc"), (learning, "learning")):
        for name in module.__all__:
            if isfunction(getattr(module, name)):
                assert f"{short}.{name}" in source, f"{short}.{name} is not in the table"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: hc.hamming_to_cosine(3, 2**40), 1 - 6 / 2**40),
        (lambda: hc.log_number("m", HUGE), 400 * math.log(10)),
        (lambda: hc.radius_for_log_fraction(16, np.float32(-1)), 7),
        (lambda: hc.fraction_for_radius(np.int64(4), np.int32(2)), 11 / 16),
        (lambda: hc.cosine_to_hamming(np.float32(1.000001), 16), 0),
        (lambda: theory.critical_distance(64, 15, HUGE, HUGE), 0),
        (lambda: theory.replica_capacity(2**40), 0.138 * 2**40),
        (lambda: learning.forget(np.zeros((2, 2)), [2**40, 1], 1.0)[0, 1], -(2.0**40)),
    ],
)
def test_large_and_odd_numbers_that_are_right(call, expected):
    assert float(call()) == pytest.approx(float(expected), rel=1e-6, abs=1e-5)


def test_whole_numbers_do_not_wrap_around():
    with pytest.raises(ValueError, match=r"patterns must be .* entries ±1"):
        learning.hebbian(np.array([[2**32 + 1, 1]]))
