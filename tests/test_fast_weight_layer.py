"""The layer that learns while it reads, against its formulas in plain numpy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from numpy.testing import assert_allclose

from energyam.nn import FastWeightLayer

T, D = 11, 6
INPUTS = np.random.default_rng(0).normal(size=(T, D))
KINDS = [("hebb", False), ("hebb", True), ("delta", False), ("delta", True), ("oja", True), ("network", True)]
MASK = np.arange(T) % 4 != 1


def layer(rule="delta", gated=True, chunk=4, **options):
    options = dict(num_heads=2, value_size=8) | options
    return FastWeightLayer(D, rule=rule, gated=gated, chunk=chunk, key=jr.key(0), **options)


def unit(x):
    return x / np.sqrt((x**2).sum(-1, keepdims=True) + 1e-12)


class MatrixByHand:
    """A matrix of one head that learns by a rule, in numpy."""

    def __init__(self, made, head):
        self.rule, self.W = made.rule, np.zeros((4, 3))

    def write(self, k, v, rate, decay=1.0):
        v, W = unit(v) if self.rule == "oja" else v, decay * self.W
        change = {"hebb": (v, k), "delta": (v - W @ k, k), "oja": (v, k - W.T @ v)}[self.rule]
        self.W = W + rate * np.outer(*change)

    def read(self, q):
        return self.W @ q


class NetworkByHand:
    """A hidden layer of SiLU units of one head, whose gradients are taken where a chunk starts."""

    def __init__(self, made, head):
        first, last = made.networks.layers
        self.now = [np.asarray(a[head], float) for a in (first.weight, first.bias, last.weight, last.bias)]
        self.speed, self.t, self.chunk = [0.0] * 4, 0, made.chunk

    def forward(self, parts, k):
        A, a, B, b = parts
        z = A @ k + a
        s = 1 / (1 + np.exp(-z))
        return z, s, z * s, B @ (z * s) + b

    def write(self, k, v, rate, decay, momentum):
        if self.t % self.chunk == 0:
            self.at = self.now
        self.t += 1
        z, s, hidden, out = self.forward(self.at, k)
        error = out - v
        inner = (self.at[2].T @ error) * (s + z * s * (1 - s))
        slopes = np.outer(inner, k), inner, np.outer(error, hidden), error
        self.speed = [momentum * u - 0.1 * rate * g for u, g in zip(self.speed, slopes, strict=True)]
        self.now = [decay * w + u for w, u in zip(self.now, self.speed, strict=True)]

    def read(self, q):
        return self.forward(self.now, q)[3]


def by_hand(made, inputs):
    """The formulas at the head of the file, head by head and input by input."""
    numbers = lambda array: np.asarray(array, float)  # noqa: E731
    gates = 1 / (1 + np.exp(-(inputs @ numbers(made.to_gates.weight).T + numbers(made.to_gates.bias))))
    reads = []
    for head in range(2):
        keys, queries = (
            unit((inputs @ numbers(w).T)[:, 3 * head : 3 * head + 3]) for w in (made.to_key, made.to_query)
        )
        values = (inputs @ numbers(made.to_value).T)[:, 4 * head : 4 * head + 4]
        memory = (NetworkByHand if made.rule == "network" else MatrixByHand)(made, head)
        rows = []
        for t in range(len(inputs)):
            memory.write(keys[t], values[t], *gates[t, head::2])
            read = memory.read(queries[t])
            rows.append(read / np.sqrt((read**2).mean() + 1e-6))
        reads.append(rows)
    return np.concatenate(reads, axis=1) @ numbers(made.to_out).T


@pytest.mark.parametrize("rule, gated", KINDS)
def test_the_layer_is_its_formulas(rule, gated):
    """In chunks that do not divide the length; padding anywhere changes nothing for the others."""
    made = layer(rule, gated)
    assert_allclose(made(INPUTS), by_hand(made, INPUTS), atol=2e-4)
    padded = made(np.where(MASK[:, None], INPUTS, 1e3), MASK)
    assert_allclose(padded[MASK], by_hand(made, INPUTS[MASK]), atol=2e-4)
    assert not padded[~MASK].any()


@pytest.mark.parametrize("rule", ["delta", "network"])
def test_one_input_after_another_is_the_same(rule):
    made = layer(rule, chunk=None)
    step = lambda memory, x: made.step(memory, x)  # noqa: E731
    if rule == "delta":
        outputs = jax.lax.scan(step, made.start(), jnp.asarray(INPUTS, jnp.float32))[1]
    else:
        memory, outputs = made.start(), []
        for x in INPUTS[:3]:
            memory, out = made.step(memory, x)
            outputs.append(out)
        outputs = jnp.stack(outputs)
    assert_allclose(outputs, made(INPUTS)[: len(outputs)], atol=1e-5)


@pytest.mark.parametrize("rule, gated", [("delta", True), ("network", True)])
def test_slopes_batches_and_16_bits(rule, gated):
    made = layer(rule, gated)
    loss = lambda made, x: jnp.sum(jax.vmap(made)(x) ** 2)  # noqa: E731
    batch = jnp.stack([jnp.asarray(INPUTS, jnp.float32), jnp.zeros((T, D), jnp.float32)])
    slopes = eqx.filter_jit(eqx.filter_grad(loss))(made, batch)
    for leaf in jax.tree.leaves(slopes):
        assert jnp.isfinite(leaf).all()
    assert slopes.to_gates.weight.any() and slopes.to_key.any()
    half = made(jnp.asarray(INPUTS, jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    assert_allclose(half.astype(float), made(INPUTS), atol=0.2)


def test_outputs_do_not_see_what_comes_later():
    made = layer()
    assert_allclose(made(INPUTS)[:7], made(np.concatenate([INPUTS[:7], INPUTS[:4]]))[:7], atol=1e-6)


def test_wrong_use_is_named():
    made = layer()
    for named, call in {
        "num_heads must divide value_size": lambda: layer(value_size=7),
        "num_heads must divide key_size": lambda: layer(key_size=5),
        "rule must be one of": lambda: layer("hopfield"),
        "chunk must be": lambda: layer(chunk=0),
        "gated must be": lambda: layer(gated=1),
        "inputs must be": lambda: made(INPUTS[:, 1:]),
        "mask must be bool": lambda: made(INPUTS, np.ones(T)),
        r"mask must be \(11\)": lambda: made(INPUTS, MASK[1:]),
        r"x must be \(6,\)": lambda: made.step(made.start(), INPUTS[0, 1:]),
    }.items():
        with pytest.raises(ValueError, match=named):
            call()
