"""The same code everywhere: lowering for accelerators, 64-bit floats, and a light import."""

import importlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax import export
from zoo import BINARY, CONTINUOUS, OWN_BINARY, patterns

import energyam as eam

# jax 0.7 has it in `experimental` alone, newer ones warn of it there.
enable_x64 = (jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")).enable_x64


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("name", ["chn", "polynomial_3", "exponential", "hopfield", "modern"])
def test_batched_recall_lowers_for_accelerators(name, platform):
    memory = (BINARY | CONTINUOUS)[name](patterns(0, 4, 16))

    def run(queries, key_data):
        result = eam.recall(memory, queries, max_steps=3, key=jr.wrap_key_data(key_data))
        return result.state, result.energies

    shapes = jax.ShapeDtypeStruct((5, 16), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.uint32)
    exported = export.export(jax.jit(run), platforms=[platform])(*shapes)
    assert exported.platforms == (platform,)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize(
    ("name", "rule"),
    [("hopfield", eam.HeatBath(1.0)), ("exponential", eam.Metropolis(1.0)), ("chn", eam.BlockGibbs(1.0))],
    ids=["heat_bath", "metropolis", "block_gibbs"],
)
def test_batched_sampling_lowers_for_accelerators(name, rule, platform):
    memory = BINARY[name](patterns(0, 4, 16))

    def run(start, key_data):
        return eam.sample(memory, start, rule, 2, key=jr.wrap_key_data(key_data)).states

    shapes = jax.ShapeDtypeStruct((5, 16), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.uint32)
    assert export.export(jax.jit(run), platforms=[platform])(*shapes).platforms == (platform,)


def test_a_network_of_edges_lowers_for_every_platform_at_once():
    """What the program answers where it runs is what the functions answer that it was made of."""
    memory = OWN_BINARY["sparse"](patterns(0, 4, 16))

    def run(states, key_data):
        key = jr.wrap_key_data(key_data)
        chains = eam.sample(memory, states, eam.HeatBath(1.0, "colours"), 2, key=key)
        cooled = eam.recall(memory, states, eam.HeatBath(lambda step: 1.0 - step / 3), 4, key=key)
        return eam.recall(memory, states, key=key).state, chains.states, cooled.state, cooled.energies

    given = patterns(1, 5, 16).astype(jnp.float32), jr.key_data(jr.key(0))
    exported = export.export(jax.jit(run), platforms=["cpu", "cuda", "tpu"])(*given)
    for found, wanted in zip(exported.call(*given), run(*given), strict=True):
        np.testing.assert_array_equal(found, wanted)


EVERYWHERE = BINARY | CONTINUOUS | {"sparse network": OWN_BINARY["sparse"]}


@pytest.mark.parametrize("name", EVERYWHERE)
def test_double_precision_recalls_the_same(name):
    make, X = EVERYWHERE[name], patterns(1, 6, 32)
    queries = np.array(eam.datasets.flip_bits(X, 0.2, key=jr.key(1)))
    start = np.array(X[:3]) / 32**0.5 if name == "sphere" else queries
    single = eam.recall(make(X), start, key=jr.key(2))
    with enable_x64(True):
        double = eam.recall(make(np.array(X)), start, key=jr.key(2))
    assert double.energies.dtype == jnp.float64
    np.testing.assert_allclose(single.state, np.asarray(double.state), atol=1e-4)


def test_import_is_light():
    code = (
        "import sys, jax, equinox, optax; import energyam; "
        "heavy = ('matplotlib', 'PIL', 'safetensors', 'typer', 'tqdm', 'tokenizers'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
