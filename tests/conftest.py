"""Strict settings for every test: no silent rank promotion, and a fresh key on demand."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("ENERGYAM_FAST", "1")

import jax
import jax.random as jr
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def getkey():
    """A function that gives a different, reproducible key at each call."""
    keys = iter(jr.split(jr.key(20261121), 1000))
    return lambda: next(keys)


def pytest_ignore_collect(collection_path, config):
    """Leave out what can't run here: the tests of wrong use under the type-checking hook, whose errors would
    come before ours (`scripts/check.sh` runs them without it), and those of a model that is not there."""
    if collection_path.name.startswith("test_wrong_use"):
        return True if config.getoption("jaxtyping_packages") else None
    if collection_path.name != "test_lm_smollm2.py":
        return None
    from energyam.lm import find_smollm2  # not above: the type-checking hook must come before energyam

    return True if find_smollm2() is None else None
