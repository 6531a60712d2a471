"""Products in 16 bits: in the programs for all platforms, beside the plain form, and without N × N scores."""

import re

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax import export

import energyam as eam
from energyam.linalg import dot
from energyam.nn import HopfieldAttention, hopfield_layers

LAYER = HopfieldAttention(8, hidden_size=16, value_size=8, out_size=4, num_heads=2, key=jr.key(0))


def products(function, *arguments):
    """The dtypes of factors and sums of all products, and whether their precision is the highest."""
    program = export.export(jax.jit(function), platforms=["cpu", "cuda", "tpu"])(*arguments).mlir_module()
    lines = [line for line in program.splitlines() if "stablehlo.dot_general" in line]
    types = [re.findall(r"tensor<[^>]*?(bf16|f16|f32|f64)>", line.rsplit(" : ", 1)[1]) for line in lines]
    assert lines
    return {(*kinds, "HIGHEST" in line) for kinds, line in zip(types, lines, strict=True)}


@pytest.mark.parametrize(("dtype", "name"), [(jnp.bfloat16, "bf16"), (jnp.float16, "f16")])
def test_layers_and_reads_multiply_in_the_dtype_of_their_inputs_and_sum_in_float32(dtype, name):
    rows, few = jnp.ones((5, 8), dtype), jnp.ones((3, 8), dtype)
    narrow, wide = {(name, name, "f32", False)}, {("f32", "f32", "f32", True)}
    assert products(lambda *sets: LAYER(*sets), few, rows) == narrow
    plain = HopfieldAttention(8)
    assert products(lambda *sets: plain(*sets), few.astype(float), rows.astype(float)) == wide

    def read(keys, query):
        return eam.KeyValueMemory(keys, keys, eam.LogSumExp(1.0))(query)

    assert products(read, rows, few[0]) == narrow
    assert products(read, rows, few[0].astype(float)) == products(read, rows.astype(float), few[0]) == wide
    assert jax.eval_shape(LAYER, few, rows).dtype == jax.eval_shape(read, rows, few[0]).dtype == dtype


def test_16_bit_layers_are_the_plain_form_to_rounding_with_gradients():
    queries, stored = (jr.normal(jr.key(i), (n, 8)).astype(jnp.bfloat16) for i, n in ((1, 5), (2, 9)))

    def plain(queries, stored):
        def mapped(rows, layer):
            return (rows @ layer.weight.T).reshape(len(rows), 2, -1)

        heads = mapped(queries, LAYER.to_query), mapped(stored, LAYER.to_key), mapped(stored, LAYER.to_value)
        weights = jax.nn.softmax(jnp.einsum("qhd,khd->hqk", *heads[:2]) / 8**0.5, axis=-1)
        return jnp.einsum("hqk,khd->qhd", weights, heads[2]).reshape(len(queries), -1) @ LAYER.to_out.weight.T

    def of(form):
        loss = lambda *sets: jnp.sum(jnp.sin(form(*sets).astype(jnp.float32)))  # noqa: E731
        return jax.jit(lambda *sets: (form(*sets), *jax.grad(loss, (0, 1))(*sets)))

    wide = of(plain)(queries.astype(float), stored.astype(float))
    for got, wanted in zip(of(LAYER)(queries, stored), wide, strict=True):
        assert got.dtype == jnp.bfloat16
        np.testing.assert_allclose(got.astype(float), wanted, atol=0.02 * float(jnp.abs(wanted).max()))


def test_products_of_signs_in_16_bits_are_those_of_float32_to_the_bit():
    signs = jr.rademacher(jr.key(0), (40, 3001), dtype=jnp.bfloat16)
    found = dot(signs, signs.T)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, np.asarray(signs, int) @ np.asarray(signs, int).T)


def test_large_weights_are_read_in_float16():
    keys = jnp.full((3, 8), 200.0, jnp.float16)
    memory = eam.KeyValueMemory(keys, 1e-3 * jnp.ones((3, 2), jnp.float16), eam.Quadratic())
    np.testing.assert_allclose(memory(keys[0]).astype(float), 960, rtol=2e-3)  # of weights of 320,000


@pytest.mark.parametrize("masks", [None, 1, 2])
@pytest.mark.parametrize("separation", [None, eam.Entmax(1.0)], ids=["softmax", "entmax"])
def test_queries_in_chunks_read_what_they_read_together(masks, separation, monkeypatch):
    queries, stored = jr.normal(jr.key(0), (5, 8)), jr.normal(jr.key(1), (7, 8))
    mask = None if masks is None else jr.bernoulli(jr.key(2), 0.6, ((5, 7), (7,))[masks == 1])
    layer = HopfieldAttention(8, num_heads=2, separation=separation, num_steps=1 + (masks is None))

    def answers(chunk):
        monkeypatch.setattr(hopfield_layers, "_CHUNK", chunk)
        loss = lambda q, s: (jnp.sum(jnp.sin(found := layer(q, s, mask=mask))), found)  # noqa: E731
        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(queries, stored)

    for one, other in zip(*map(jax.tree.leaves, (answers(2), answers(5))), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_no_array_has_an_entry_for_each_query_and_stored_pattern():
    def needed(N, chunk):
        mask = jax.ShapeDtypeStruct((N,), bool)
        sets = jax.ShapeDtypeStruct((N, 8), jnp.float32)
        loss = jax.grad(lambda q, s, mask: jnp.sum(HopfieldAttention(8)(q, s, mask=mask) ** 2), (0, 1))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hopfield_layers, "_CHUNK", chunk)
            compiled = jax.jit(loss).lower(sets, sets, mask).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert needed(4096, 128) < 2.2 * needed(2048, 128) < 4 * 2048**2 < needed(2048, 2048)
