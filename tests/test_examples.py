"""The examples in docstrings: every public callable has one, and it shows what it says that it shows."""

import doctest
import inspect
import math
import re

import equinox as eqx
import example_files
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from right_calls import public_names

import energyam as eam

NAMES = {"eam": eam, "eqx": eqx, "jax": jax, "jnp": jnp, "jr": jr, "np": np, "optax": optax}
CALLABLES = {id(value): (name, value) for name, value in reversed([*public_names()])}  # each thing once
NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?![\w.])")


class Checker(doctest.OutputChecker):
    """What is printed must be what is written, but for spaces, and numbers to one part in a thousand."""

    def check_output(self, want, got, optionflags):
        texts = [re.sub(r"\s+", "", NUMBER.sub("#", text)) for text in (want, got)]
        numbers = [map(float, NUMBER.findall(text)) for text in (want, got)]
        return texts[0] == texts[1] and all(
            math.isclose(*pair, rel_tol=1e-3, abs_tol=1e-4) for pair in zip(*numbers, strict=True)
        )


def failures(name, text):
    """What the examples of a text print where it is not what they say."""
    found = []
    test = doctest.DocTestParser().get_doctest(text, dict(NAMES, __name__=name), name, None, 0)
    doctest.DocTestRunner(Checker(), verbose=False).run(test, out=found.append)
    return "".join(found)


@pytest.fixture
def folder(fetched, monkeypatch):
    """A folder with the models that examples load, where all that can be fetched has been."""
    example_files.models(fetched)
    (fetched / "smollm2.gguf").touch()
    monkeypatch.setenv("ENERGYAM_SMOLLM2", str(fetched / "smollm2.gguf"))


def test_every_public_callable_has_an_example():
    assert not [name for name, value in CALLABLES.values() if ">>>" not in inspect.getdoc(value)]


@pytest.mark.parametrize("name, value", CALLABLES.values(), ids=[name for name, _ in CALLABLES.values()])
def test_an_example_shows_what_it_says(name, value, folder):
    assert not failures(name, inspect.getdoc(value))


@pytest.mark.parametrize(
    "text", ["1.0\n1.002", "'a'\n'b'", "[1, 2]\n[1]", "1 / 0\n0", "jnp.ones(2)\n[1, 1]", "print()\n0"]
)
def test_a_wrong_example_is_found(text):
    assert failures("wrong", f">>> {text}")


@pytest.mark.parametrize("text", ["x = 1", "0.1 * 3\n0.3", "jnp.ones(2)\nArray([ 1.0, 1.],\n dtype=float32)"])
def test_a_right_example_is_no_failure(text):
    assert not failures("right", f">>> {text}")
