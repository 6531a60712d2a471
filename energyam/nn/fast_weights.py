"""Fast weights: a recurrent network that stores its recent past in a Hopfield-like memory, and an LSTM.

    z_t = W h_{t-1} + C x_t                     slow weights W and C
    A_t = λ A_{t-1} + η h_{t-1} h_{t-1}ᵀ        fast weights: Hebb's step (or Storkey's)
    s ← relu(z_t), then s ← relu(LN(z_t + A_t s)), num_inner times;   h_t = s

A_t s = Σ_{τ<t} η λ^{t-1-τ} h_τ (h_τ · s) is linear attention to the past, so that the memory can be stored as
a matrix or as the past states themselves: with the same result, and H² or T·H numbers stored for each step.
Ba, Hinton, Mnih, Leibo & Ionescu, "Using fast weights to attend to the recent past", NeurIPS 2016.
"""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from energyam import checks
from energyam.learning import hebbian_step, storkey_step
from energyam.linalg import dot

Vector = Float[Array, " H"]
Matrix = Float[Array, "H H"]
_start = jax.nn.initializers.glorot_uniform()
_WRITES = {"hebb": hebbian_step, "storkey": storkey_step}


class FastWeightsCell(eqx.Module):
    """One step of a recurrent network with fast weights (the formulas of the module).

    W starts at .05 I, C as Glorot's uniform initialisation, and the layer norms at gain 1 and bias 0.

    **Arguments:** `input_size`: I; `hidden_size`: H; `num_inner`: inner steps, at least 1; `separate_norms`:
    one layer norm for each inner step instead of one for all; `write`: `"hebb"` or `"storkey"`; `decay`: λ in
    0..1; `rate`: η > 0, neither trained; `key`. Raises `ValueError` for others.

    Ba et al. 2016, equations 1 and 2; layer norm as in its section 3.2.

        >>> cell = eam.nn.FastWeightsCell(2, 4, key=jr.key(0))
        >>> memory, hidden = cell(jnp.zeros((4, 4)), jnp.ones(4), jnp.array([1.0, 0.0]))
        >>> np.asarray(memory[0]).round(2)  # what the last hidden state wrote: ½ of 1 · 1
        array([0.5, 0.5, 0.5, 0.5], dtype=float32)
    """

    recurrent: Float[Array, "H H"]
    inputs: Float[Array, "H I"]
    norms: tuple[eqx.nn.LayerNorm, ...]
    decay: Float[Array, ""] = eqx.field(converter=partial(checks.fraction, "decay", dims=""))
    rate: Float[Array, ""] = eqx.field(converter=partial(checks.positive_float, "rate"))
    num_inner: int = eqx.field(static=True, converter=partial(checks.count, "num_inner"))
    write: str = eqx.field(static=True, converter=partial(checks.one_of, "write", choices=_WRITES))

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_inner: int = 1,
        separate_norms: bool = False,
        write: str = "hebb",
        decay: ArrayLike = 0.9,
        rate: ArrayLike = 0.5,
        key: PRNGKeyArray,
    ):
        self.write = write
        self.decay = checks.fraction("decay", decay, "").astype(float)
        checks.key("key", key)
        H = checks.count("hidden_size", hidden_size)
        self.recurrent = 0.05 * jnp.eye(H)
        self.inputs = _start(key, (H, checks.count("input_size", input_size)))
        self.num_inner = checks.count("num_inner", num_inner)
        separate_norms = checks.flag("separate_norms", separate_norms)
        self.norms = tuple(eqx.nn.LayerNorm(H) for _ in range(num_inner if separate_norms else 1))
        self.rate = checks.positive_float("rate", rate).astype(float)

    def __call__(self, weights: ArrayLike, hidden: ArrayLike, x: ArrayLike) -> tuple[Matrix, Vector]:
        """(A_{t-1}, h_{t-1}) and an input (I,) to (A_t, h_t); raises `ValueError` for other shapes."""
        H, I = self.inputs.shape  # noqa: E741
        weights = checks.as_floats("weights", weights, f"{H} {H}")
        hidden, x = checks.as_vector("hidden", hidden, H), checks.as_vector("x", x, I)
        rate, decay = lax.stop_gradient((self.rate, self.decay))
        weights = _WRITES[self.write](weights, hidden, rate=rate, decay=decay)
        return weights, self.settle(hidden, x, lambda state: dot(weights, state))

    def settle(self, hidden: Vector, x: Float[Array, " I"], read: Callable[[Vector], Vector]) -> Vector:
        """h_t after the inner steps, with `read(s)` instead of A_t s."""
        drive = self.recurrent @ hidden + self.inputs @ x
        state = jax.nn.relu(drive)
        for inner in range(self.num_inner):
            norm = self.norms[min(inner, len(self.norms) - 1)]
            state = jax.nn.relu(norm(drive + read(state)))
        return state.astype(hidden.dtype)


class FastWeightsRNN(eqx.Module):
    """A fast-weights cell over a sequence, then a dense layer of relu units and the logits of the answer.

    **Arguments:** `cell`; `output_size`: O; `head_size`: units of the dense layer; `form`: store the memory
    as a `"matrix"`, or store the past hidden states and attend to them (`"attention"`, only for Hebb's write:
    the same answers, with T·H instead of H² numbers per step stored for the gradient); `vocabulary`: if
    given, inputs are (T, vocabulary) and go through a learned linear map into the cell; `key`. Raises
    `ValueError` for sizes below 1, another form, and attention with Storkey's write.

        >>> cell = eam.nn.FastWeightsCell(37, 8, key=jr.key(0))
        >>> network = eam.nn.FastWeightsRNN(cell, 37, 8, key=jr.key(1))
        >>> inputs, answer = eam.datasets.associative_retrieval(4, key=jr.key(2))
        >>> network(inputs).shape  # a logit for each token
        (37,)
    """

    embedding: Float[Array, "I V"] | None
    cell: FastWeightsCell = eqx.field(converter=partial(checks.instance, "cell", cls=FastWeightsCell))
    dense: eqx.nn.Linear
    answer: eqx.nn.Linear
    form: str = eqx.field(
        static=True, converter=partial(checks.one_of, "form", choices=("matrix", "attention"))
    )

    def __init__(
        self,
        cell: FastWeightsCell,
        output_size: int,
        head_size: int = 100,
        form: str = "matrix",
        vocabulary: int | None = None,
        *,
        key: PRNGKeyArray,
    ):
        cell = checks.instance("cell", cell, FastWeightsCell)
        checks.key("key", key)
        form = checks.one_of("form", form, ("matrix", "attention"))
        if form == "attention" and cell.write != "hebb":
            raise ValueError("form 'attention' needs a cell with write='hebb', a sum over the past")
        embedding_key, head_key = jr.split(key)
        words = None if vocabulary is None else checks.count("vocabulary", vocabulary)
        self.embedding = None if words is None else _start(embedding_key, (cell.inputs.shape[1], words))
        self.cell = cell
        self.dense, self.answer = _head(cell.recurrent.shape[0], head_size, output_size, head_key)
        self.form = form

    def __call__(self, inputs: ArrayLike) -> Float[Array, " O"]:
        """The logits (O,) after a sequence (T, I), T ≥ 1; raises `ValueError` for another shape."""
        run = self._with_matrix if self.form == "matrix" else self._with_attention
        return _logits(self, run(self._embedded(inputs))[0])

    def memories(self, inputs: ArrayLike) -> Float[Array, "T H H"]:
        """The fast weights A_t after each of the T inputs (T, I)."""
        return self._with_matrix(self._embedded(inputs))[1]

    def _embedded(self, inputs):
        first = self.cell.inputs if self.embedding is None else self.embedding
        inputs = checks.as_floats("inputs", inputs, f"T {first.shape[1]}")
        return inputs if self.embedding is None else dot(inputs, self.embedding.T)

    @eqx.filter_jit
    def _with_matrix(self, inputs: Float[Array, "T I"]) -> tuple[Vector, Float[Array, "T H H"]]:
        def step(carry, x):
            weights, hidden = self.cell(carry[0], carry[1], x)
            return (weights, hidden), weights

        weights = jnp.zeros_like(self.cell.recurrent)
        (_, hidden), memories = lax.scan(step, (weights, weights[0]), inputs)
        return hidden, memories

    @eqx.filter_jit
    def _with_attention(self, inputs: Float[Array, "T I"]) -> tuple[Vector, Float[Array, "T H"]]:
        rate, decay = lax.stop_gradient((self.cell.rate, self.cell.decay))
        T, H = inputs.shape[0], self.cell.recurrent.shape[0]

        def step(carry, now):
            (past, hidden), (t, x) = carry, now
            past = past.at[t].set(hidden)
            age = t - jnp.arange(T)
            strengths = jnp.where(age >= 0, rate * decay ** jnp.maximum(age, 0).astype(float), 0)
            hidden = self.cell.settle(hidden, x, lambda state: dot(strengths * dot(past, state), past))
            return (past, hidden), None

        past = jnp.zeros((T, H), self.cell.recurrent.dtype)
        (past, hidden), _ = lax.scan(step, (past, past[0]), (jnp.arange(T), inputs))
        return hidden, past


class LSTMRNN(eqx.Module):
    """The baseline: an LSTM over a sequence, then the same dense layer and logits as `FastWeightsRNN`.

    **Arguments:** `input_size`: I; `hidden_size`: H; `output_size`: O; `head_size`: units of the dense layer;
    `key`. Raises `ValueError` for sizes below 1.

    Hochreiter & Schmidhuber, Neural Computation 9 (1997).

        >>> network = eam.nn.LSTMRNN(37, 8, 37, 8, key=jr.key(1))
        >>> inputs, answer = eam.datasets.associative_retrieval(4, key=jr.key(2))
        >>> network(inputs).shape  # a logit for each token
        (37,)
    """

    cell: eqx.nn.LSTMCell
    dense: eqx.nn.Linear
    answer: eqx.nn.Linear

    def __init__(
        self, input_size: int, hidden_size: int, output_size: int, head_size: int = 100, *, key: PRNGKeyArray
    ):
        checks.key("key", key)
        cell_key, head_key = jr.split(key)
        input_size = checks.count("input_size", input_size)
        self.cell = eqx.nn.LSTMCell(input_size, checks.count("hidden_size", hidden_size), key=cell_key)
        self.dense, self.answer = _head(hidden_size, head_size, output_size, head_key)

    def __call__(self, inputs: ArrayLike) -> Float[Array, " O"]:
        """The logits (O,) after a sequence (T, I), T ≥ 1; raises `ValueError` for another shape."""
        inputs = checks.as_floats("inputs", inputs, f"T {self.cell.input_size}")
        return _logits(self, _last_hidden(self.cell, inputs))


@eqx.filter_jit
def _last_hidden(cell, inputs):
    start = jnp.zeros(cell.hidden_size, cell.weight_hh.dtype)
    (hidden, _), _ = lax.scan(lambda carry, x: (cell(x, carry), None), (start, start), inputs)
    return hidden


def _head(hidden_size: int, head_size: int, output_size: int, key: PRNGKeyArray):
    """The dense layer, and the one of the answer."""
    dense_key, answer_key = jr.split(key)
    head_size, output_size = checks.count("head_size", head_size), checks.count("output_size", output_size)
    dense = eqx.nn.Linear(hidden_size, head_size, key=dense_key)
    return dense, eqx.nn.Linear(head_size, output_size, key=answer_key)


def _logits(model: FastWeightsRNN | LSTMRNN, hidden: Vector) -> Float[Array, " O"]:
    return model.answer(jax.nn.relu(model.dense(hidden)))
