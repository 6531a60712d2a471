"""Damaged files of rows, clamps that hold nothing, functions that return no numbers, and NaN."""

import json

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import energyam as eam
from energyam import learning, nn

KEY = jr.key(0)
X = np.array(eam.datasets.random_patterns(3, 8, key=KEY))
W, NAN = np.zeros((8, 8)), np.full(8, np.nan)
LAYERS = eam.HierarchicalMemory(
    {"a": eam.Tanh(1.0, (4,)), "b": eam.Tanh(1.0, (3,))}, [(eam.synapses.Dense(np.ones((4, 3))), ("a", "b"))]
)
HALF = {"a": np.full((2, 4), 0.5), "b": np.zeros((2, 3))}
COST = lambda state, target: jnp.sum(state["b"] - target)  # noqa: E731


@pytest.mark.parametrize(
    "line", ["{'descr': '<f4', (", "{'descr': '<f4', 'fortran_order': False, 'shape': (9" * 2]
)
def test_headers_of_npy_that_are_no_python_are_refused_with_the_path(tmp_path, line):
    np.save(tmp_path / "rows.npy", X.astype(np.float32))
    data = bytearray((tmp_path / "rows.npy").read_bytes())
    data[10 : 10 + len(line)] = line.encode()
    (tmp_path / "rows.npy").write_bytes(data)
    with pytest.raises(ValueError, match=r"rows.npy is not a whole .npy file of rows"):
        eam.OnDisk(tmp_path / "rows.npy")


def test_a_shape_beyond_all_files_is_refused_with_the_path(tmp_path):
    np.save(tmp_path / "rows.npy", X.astype(np.float32))
    data = (
        (tmp_path / "rows.npy")
        .read_bytes()
        .replace(b"(3, 8), }" + b" " * 20, b"(3, 99999999999999999999), }" + b" ")
    )
    (tmp_path / "rows.npy").write_bytes(data)
    with pytest.raises(ValueError, match=r"rows.npy is not a whole .npy file of rows"):
        eam.OnDisk(tmp_path / "rows.npy")


@pytest.mark.parametrize(
    "entry",
    [
        {},
        3,
        {"dtype": [], "shape": [3, 8], "data_offsets": [0, 24]},
        {"dtype": "I8", "shape": "38", "data_offsets": [0, 24]},
        {"dtype": "I8", "shape": [3, -8], "data_offsets": [0, 24]},
        {"dtype": "I8", "shape": [3, 8], "data_offsets": []},
        {"dtype": "I8", "shape": [3, 2**70], "data_offsets": [0, 24]},
    ],
)
def test_headers_of_safetensors_that_say_no_place_are_refused(tmp_path, entry):
    header = json.dumps({"patterns": entry}).encode()
    (tmp_path / "rows.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + X.tobytes())
    with pytest.raises(ValueError, match=r"rows.safetensors is damaged: its header does not say where"):
        eam.OnDisk(tmp_path / "rows.safetensors")


@pytest.mark.parametrize("clamp", [{}, {"a": False}, {"a": np.zeros(4, bool), "b": False}])
def test_clamps_that_hold_nothing_are_refused(clamp):
    """Nothing followed from the input, and the loss was 0."""
    for name, loss in (
        ("clamp", lambda: nn.predictive_coding(LAYERS, HALF, clamp=clamp)),
        ("clamp", lambda: nn.equilibrium_propagation(LAYERS, HALF, HALF["b"], COST, clamp=clamp)),
        ("outputs", lambda: nn.contrastive_hebbian(LAYERS, HALF, inputs={"a": True}, outputs=clamp)),
    ):
        with pytest.raises(ValueError, match=f"{name} must hold a layer"):
            loss()


def test_functions_that_return_no_numbers_are_refused():
    memory, none = eam.CHN(X), lambda *state: None
    for call, message in (
        (lambda: eam.evaluation.expectation(memory, none, 1.0), "function must return numbers"),
        (lambda: eam.evaluation.expectation(memory, lambda x: "x", 1.0), "function must return numbers"),
        (lambda: eam.HeatBath(lambda step: True), "temperature must be a number for each step"),
        (
            lambda: nn.Nudged(LAYERS, none, np.zeros(3), 0.5).energy({"a": np.ones(4), "b": np.ones(3)}),
            "cost must",
        ),
        (lambda: learning.stream(W, X, X, X, lambda *pair: None), "step must return a memory"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize(
    "call",
    [
        eam.CHN(X).energy,
        eam.CHN(X).field,
        eam.HopfieldNetwork(W).potential,
        eam.SequenceNetwork(W).field,
        eam.SequenceNetwork(W).window,
        eam.Scaffold(X, (3, 4), 9, key=KEY).field,
        eam.NeuronSDM(X, 2).write(X, X).field,
        lambda x: eam.HierarchicalMemory({"a": eam.Binary((8,))}, []).energy({"a": x}),
    ],
)
def test_states_of_nan_have_no_energy_or_field(call):
    with pytest.raises(ValueError, match=r"state(\['a'\])? must be .*(finite|±1)"):
        call(NAN)


def test_answers_that_lack_a_variable_break_no_constraint_silently():
    problem = eam.ising.from_qubo({("a", "a"): -1.0, ("b", "b"): -2.0, ("c", "c"): -3.0})
    limited = eam.ising.at_most(problem, ["a", "b", "c"], 2, penalty=10.0)
    assert (
        limited.broken({"a": 1, "b": 1, "c": 0}) == [] and len(limited.broken({"a": 1, "b": 1, "c": 1})) == 1
    )
    for answer in ({}, {"a": 1, "b": 1}, {"a": 1, "b": None, "c": 0}, {"a": 1, "b": 2, "c": 0}):
        with pytest.raises(ValueError, match="answer must"):
            limited.broken(answer)
