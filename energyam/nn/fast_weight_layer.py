"""A layer that learns while it reads: linear attention, DeltaNet, gated DeltaNet, test-time training, Titans.

For every head, with keys and queries of norm 1 and gates between 0 and 1 that depend on the input:

    k, q = unit(K x_t), unit(Q x_t),    v = V x_t,    rate, decay = sigmoid(gates x_t)
    memory <- step(memory, k, v, rate, decay),    y_t = O norm(memory(q))
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from energyam import checks
from energyam.learning import GradientMemory, delta_step, gradient_step, hebbian_step, oja_step, stream
from energyam.linalg import dot, float_dtype, unit
from energyam.nn.hopfield_layers import in_dtype_of

_RULES: dict[str, Callable[..., Any]] = {
    "hebb": hebbian_step,
    "delta": delta_step,
    "oja": oja_step,
    "network": gradient_step,
}
_RATE_OF_NETWORKS = 0.1  # the largest, times the sizes of the gradients of a small network


def _as_chunk(chunk):
    return None if chunk is None else checks.count("chunk", chunk)


class FastWeightLayer(eqx.Module):
    """A causal layer whose heads write the past into a memory of fixed size, and read it at every position.

    `"hebb"` is linear attention, with `gated` one with a forget gate; `"delta"` a DeltaNet, gated or not;
    `"oja"` bounds the memory by Oja's rule; `"network"` learns a network of one hidden layer by gradient
    while it reads, as test-time training and Titans do (with `gated`, with momentum and weight decay that
    depend on the input). A head holds key_size · value_size numbers, however long the sequence is;
    `"network"` twice as many for each of its key_size hidden units, and as many again for their velocity.

    **Arguments:** `size`: D, of an input and an output; `num_heads`: H; `key_size` and `value_size`: of all
    heads together, by default D, divisible by H; `rule`: one of the four; `gated`: whether decays (and
    momenta) also depend on the input; they start near 1 (near 0.1); `chunk`: how many positions are computed
    at once, None for one after another; `key`. Raises `ValueError` for sizes below 1 or that the heads do not
    divide, another rule, and a chunk below 1.

    Katharopoulos et al. 2020; Schlag, Irie & Schmidhuber 2021; Yang et al. 2024; Sun et al. 2024; Behrouz,
    Zhong & Mirrokni 2025.

        >>> layer = eam.nn.FastWeightLayer(4, num_heads=2, chunk=None, key=jr.key(0))
        >>> inputs = jr.normal(jr.key(1), (6, 4))
        >>> whole, start = layer(inputs), layer(inputs[:3])
        >>> bool(jnp.allclose(whole[:3], start, atol=1e-5))  # what comes later changes nothing before
        True
    """

    to_query: Float[Array, "Dk D"]
    to_key: Float[Array, "Dk D"]
    to_value: Float[Array, "Dv D"]
    to_out: Float[Array, "D Dv"]
    to_gates: eqx.nn.Linear  # of the rates, and with `gated` of the decays and momenta, of each head
    gains: Float[Array, "H Dh"]  # of what each head reads, divided by its root mean square
    networks: PyTree  # what each head's network starts from, or None
    num_heads: int = eqx.field(static=True, converter=partial(checks.count, "num_heads"))
    rule: str = eqx.field(static=True, converter=partial(checks.one_of, "rule", choices=_RULES))
    chunk: int | None = eqx.field(static=True, converter=_as_chunk)

    def __init__(
        self,
        size: int,
        *,
        num_heads: int = 1,
        key_size: int | None = None,
        value_size: int | None = None,
        rule: str = "delta",
        gated: bool = False,
        chunk: int | None = 64,
        key: PRNGKeyArray,
    ):
        D, self.num_heads = checks.count("size", size), checks.count("num_heads", num_heads)
        self.rule = checks.one_of("rule", rule, _RULES)
        self.chunk = chunk
        Dk = D if key_size is None else checks.count("key_size", key_size)
        Dv = D if value_size is None else checks.count("value_size", value_size)
        for name, number in (("key_size", Dk), ("value_size", Dv)):
            if number % num_heads:
                raise ValueError(f"num_heads must divide {name}; got {num_heads} for a size of {number}")
        checks.key("key", key)
        keys = jax.random.split(key, 6)
        start = lambda key, rows, columns: jax.random.normal(key, (rows, columns)) / columns**0.5  # noqa: E731
        self.to_query, self.to_key = start(keys[0], Dk, D), start(keys[1], Dk, D)
        self.to_value, self.to_out = start(keys[2], Dv, D), start(keys[3], D, Dv)
        self.to_gates = _gates(D, self.num_heads, checks.flag("gated", gated), rule == "network", keys[4])
        self.gains = jnp.ones((self.num_heads, Dv // num_heads))
        self.networks = None
        if rule == "network":
            width = Dk // num_heads
            make = lambda key: eqx.nn.MLP(width, Dv // num_heads, 2 * width, 1, jax.nn.silu, key=key)  # noqa: E731
            self.networks = eqx.filter_vmap(make)(jax.random.split(keys[5], num_heads))

    def __call__(self, inputs: ArrayLike, mask: ArrayLike | None = None) -> Float[Array, "T D"]:
        """The outputs (T, D) for a sequence of inputs (T, D); each depends on its own input and the earlier
        ones.

        `mask` (T,) bool: False for padding, which writes nothing and gets outputs of 0, wherever it stands.
        The computation and the memory are in float32 or wider, and the outputs in the dtype of the inputs.
        Raises `ValueError` for other shapes.
        """
        x = checks.as_floats("inputs", inputs, f"T {self.to_query.shape[1]}")
        if mask is None:
            return in_dtype_of(inputs, self._run(self.start(), x, self.chunk)[1])
        present = checks.as_array("mask", mask, f"{len(x)}")
        if present.dtype != bool:
            raise ValueError(f"mask must be bool, True for what takes part; got dtype {present.dtype}")
        order = jnp.argsort(~present, stable=True)  # padding behind all else, where nothing reads it
        read = self._run(self.start(), jnp.where(present[:, None], x, 0)[order], self.chunk)[1]
        return in_dtype_of(inputs, jnp.where(present[:, None], jnp.zeros_like(read).at[order].set(read), 0))

    def start(self) -> PyTree:
        """The memories of all heads before the first input, for `step`."""
        width = self.to_key.shape[0] // self.num_heads, self.gains.shape[1]
        if self.networks is None:
            dtype = float_dtype(self.to_key.dtype, least=jnp.float32)
            return jnp.zeros((self.num_heads, width[1], width[0]), dtype)
        return eqx.filter_vmap(GradientMemory)(self.networks)

    def step(self, memory: PyTree, x: ArrayLike) -> tuple[PyTree, Float[Array, " D"]]:
        """The memories after one more input (D,), and its output (D,): the same as a call, one at a time."""
        row, started = checks.as_vector("x", x, self.to_query.shape[1]), self.start()
        if _form(memory) != _form(started):
            raise ValueError(f"memory must be one of this layer's, such as its start(); got {memory!r:.80}")
        memory, out = self._run(memory, row[None], None)
        return memory, in_dtype_of(x, out)[0]

    def _run(self, memory, x, chunk):
        """The memories of all heads after inputs (T, D), and the outputs."""
        x = x.astype(float_dtype(x.dtype, self.to_key.dtype, least=jnp.float32))
        heads = lambda weights: jnp.stack(jnp.split(dot(x, weights.T), self.num_heads, axis=1))  # noqa: E731
        queries, keys, values = heads(self.to_query), heads(self.to_key), heads(self.to_value)
        values = unit(values) if self.rule == "oja" else values
        gates = jax.nn.sigmoid(jax.vmap(self.to_gates)(x))
        names = ("rate", "decay", "momentum")[: gates.shape[1] // self.num_heads]
        options = dict(zip(names, jnp.split(gates.T, len(names)), strict=True))
        if self.rule == "network":
            options["rate"] = _RATE_OF_NETWORKS * options["rate"]

        def of_head(memory, keys, values, queries, options):
            return stream(memory, keys, values, queries, _RULES[self.rule], chunk=chunk, **options)

        memory, reads = eqx.filter_vmap(of_head)(memory, unit(keys), values, unit(queries), options)
        size = jnp.sqrt(jnp.mean(reads**2, axis=-1, keepdims=True) + 1e-6)
        scaled = reads / size * self.gains.astype(reads.dtype)[:, None]
        return memory, dot(jnp.concatenate(scaled, axis=1), self.to_out.T)


def _form(memory):
    """What two memories of one layer have in common: structure, shapes, and floats."""
    leaves, structure = jax.tree.flatten(eqx.filter(memory, eqx.is_array))
    return structure, [(leaf.shape, jnp.issubdtype(leaf.dtype, jnp.floating)) for leaf in leaves]


def _gates(size: int, num_heads: int, gated: bool, of_network: bool, key: PRNGKeyArray) -> eqx.nn.Linear:
    """The layer of rates (½ at the start) and, if `gated`, of decays near 1 and, for a network, momenta near
    .1."""
    starts = ([0.0] + gated * [4.0] + (gated and of_network) * [-2.2]) * num_heads
    linear = eqx.nn.Linear(size, len(starts), key=key)
    bias = jnp.asarray(starts).reshape(num_heads, -1).T.reshape(-1)
    return eqx.tree_at(lambda m: m.bias, linear, bias)
