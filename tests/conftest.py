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
