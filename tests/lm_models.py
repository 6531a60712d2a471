"""The tiny models of the language-model tests, and where SmolLM2 lies if it was fetched."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from lm_reference import Reference

from energyam import lm

DATA = Path(__file__).parent / "data"
FOLDERS = {name: DATA / f"tiny_{name}" for name in ("gpt2", "llama")}


def tiny(name, dtype=jnp.float32):
    return lm.load(FOLDERS[name], dtype=dtype)


def reference(name):
    return Reference(FOLDERS[name])


def expected(name):
    """Token ids and the logits that `transformers` gave for them."""
    arrays = np.load(FOLDERS[name] / "expected.npz")
    return arrays["token_ids"], arrays["logits"]


def tokens(seed, count, vocabulary=61):
    return np.random.default_rng(seed).integers(0, vocabulary, count)


def close(got, wanted, tolerance):
    np.testing.assert_allclose(np.asarray(got), wanted, rtol=0, atol=tolerance)
