"""Numbers of Python and NumPy on their way to the device, and checks that look at arrays on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import energyam as eam
from energyam import checks
from energyam.learning import steps
from energyam.memories import categorical, graded, hidden, hopfield, neurons
from energyam.sending import as_jax

ROWS = {
    "bools": np.array([True, False]),
    "int8": np.array([[-128, 127]], np.int8),
    "uint8": np.array([0, 255], np.uint8),
    "int64": np.arange(-3, 3),
    "float16": np.array([0.1, 65504.0], np.float16),
    "float32": np.array([[0.1], [1e38]], np.float32),
    "float64": np.array([0.1, -1 / 3]),
    "a number": np.float64(0.1),
    "a list": [[1, 2], [3, 4]],
    "a list of floats": [0.1, 2],
    "a list of bools": [True, False],
    "bfloat16": np.array([0.1, 3.0], jnp.bfloat16),
}


@pytest.mark.parametrize("name", ROWS)
def test_arrays_are_those_of_jax(name):
    sent, wanted = as_jax(ROWS[name]), jnp.asarray(ROWS[name])
    assert sent.dtype == wanted.dtype and not sent.weak_type
    np.testing.assert_array_equal(sent, wanted)


def test_whole_numbers_that_do_not_fit_become_floats():
    for value in (2**40, [1, 2**40], np.array([1, 2**40]), np.uint64(2**63), [2**70]):
        sent = as_jax(value)
        assert sent.dtype == jnp.result_type(float)
        np.testing.assert_allclose(sent, np.asarray(value, np.float64), rtol=1e-6)


def test_an_array_that_changes_later_changes_no_memory():
    patterns = np.ones((64, 64), np.float32)  # large and aligned, so that it could be shared
    memory = eam.ModernHopfield(patterns, 1.0)
    patterns[:] = 2
    assert (memory.patterns == 1).all()


TESTS = {
    "bits": (neurons._are_bits, [[0, 1, 1]], [[0.0, 0.5]], [[0.0, np.nan]]),
    "near one": (neurons.near_one, [[1.001]], [[0.9]], [[np.nan]]),
    "one 1": (categorical._have_one_1, [np.eye(3)], [np.ones((2, 3))]),
    "no bits": (steps._no_bits, [[0, 1]], [[1, -1]], [[0.0, 0.0]], [[1, 1]]),
    "symmetric": (hopfield._symmetric, [np.ones((2, 2))], [[[0.0, 1.0], [2.0, 3.0]]]),
    "whole copies": (hidden._all_whole, [2.0, [1.0, 0.5]], [2.0, [0.7]]),
    "within": (graded._lie_within, [[0.5, -1], -1, 1], [[1.5], -1, 1], [[np.nan], -1, 1]),
}


@pytest.mark.parametrize("name", TESTS)
def test_the_host_finds_what_the_device_finds(name, monkeypatch):
    test, *calls = TESTS[name]
    calls = [
        [x if type(x) is int else jax.device_put(np.asarray(x, np.float32)) for x in call] for call in calls
    ]
    on_host = [checks.passes(test, *call) for call in calls]
    monkeypatch.setattr(checks, "_on_host", lambda value: None)
    assert on_host == [checks.passes(test, *call) for call in calls]
    assert len(set(on_host)) == 2  # each test passes some and refuses others
