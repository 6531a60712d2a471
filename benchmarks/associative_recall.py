"""Multi-query associative recall: the delta rule, linear attention and softmax attention, three starts each.

A sequence names pairs of a key and a value, and then asks for keys, one at each position. A model embeds the
tokens, hands each with the one before it to one layer, and answers from what that layer reads. The two layers
that learn while they read hold the same 32 × 32 numbers, whatever the length; attention keeps every position.
(Arora et al. 2023, "Zoology: measuring and improving recall in efficient language models".)

Each start of a model goes through the cells in turn, from few pairs to many, and is tested after each. One
start learns the last cell alone, for as many steps: from scratch, models stay at chance for long where pairs
are many. Finished starts are kept in benchmarks/checkpoints/, so that a run that was cut off goes on.
"""

import functools
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from benchmarks.progress import kept
from energyam.nn import FastWeightLayer, HopfieldAttention, train

KEYS, VALUES, WIDTH, STATE = 128, 64, 32, 32
CELLS = {(64, 4): 32, (64, 16): 32, (128, 32): 16, (512, 64): 4}  # sequences in a batch
MODELS = ("delta rule", "linear attention", "softmax attention")
STEPS, STARTS, FROM_FEW = 500, 3, "from few pairs to many"  # steps in each cell


def draw(length, pairs, key):
    """Tokens (length,) and the right value at each position, −1 where there is no question."""
    of_keys, of_values, of_questions = jr.split(key, 3)
    keys = jr.choice(of_keys, KEYS, (pairs,), replace=False)
    values = jr.randint(of_values, (pairs,), 0, VALUES)
    asked = jr.randint(of_questions, (length - 2 * pairs,), 0, pairs)
    stored = jnp.stack([keys, KEYS + values], axis=1).reshape(-1)
    answers = jnp.concatenate([jnp.full(2 * pairs, -1), values[asked]])
    return jnp.concatenate([stored, keys[asked]]), answers


class Recaller(eqx.Module):
    """Tokens (T,) to logits of the values (T, VALUES), by one layer that sees the present and the past."""

    embedding: jax.Array
    layer: FastWeightLayer | HopfieldAttention
    answer: eqx.nn.Linear

    def __init__(self, name, key):
        keys = jr.split(key, 3)
        self.embedding = jr.normal(keys[0], (KEYS + VALUES, WIDTH))
        if name == "softmax attention":
            sizes = dict(hidden_size=STATE, value_size=STATE, out_size=2 * WIDTH)
            self.layer = HopfieldAttention(2 * WIDTH, **sizes, key=keys[1])
        else:
            sizes = dict(key_size=STATE, value_size=STATE, rule="delta" if name == "delta rule" else "hebb")
            self.layer = FastWeightLayer(2 * WIDTH, **sizes, gated=True, chunk=32, key=keys[1])
        self.answer = eqx.nn.Linear(2 * WIDTH, VALUES, key=keys[2])

    def __call__(self, tokens):
        x = self.embedding[tokens]
        x = jnp.concatenate([x, jnp.pad(x[:-1], ((1, 0), (0, 0)))], axis=1)
        if isinstance(self.layer, FastWeightLayer):
            read = self.layer(x)
        else:
            read = self.layer(x, x, mask=jnp.tril(jnp.ones((len(x), len(x)), bool)))
        return jax.vmap(self.answer)(read)


def answered(model, length, pairs, key):
    """Logits and right values of a batch, and which positions are questions."""
    tokens, answers = jax.vmap(lambda key: draw(length, pairs, key))(jr.split(key, CELLS[length, pairs]))
    return jax.vmap(model)(tokens), answers, answers >= 0


@functools.cache  # the same function for every start, so that a model is compiled once for each cell
def loss_of(length, pairs):
    """The cross-entropy of the questions of a batch, as `train` wants it."""

    def loss(model, key):
        logits, answers, asked = answered(model, length, pairs, key)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(answers, 0))
        return jnp.sum(jnp.where(asked, losses, 0)) / jnp.sum(asked)

    return loss


@eqx.filter_jit
def accuracy(model, length, pairs, key):
    """The share of questions of fresh sequences that are answered right."""
    logits, answers, asked = answered(model, length, pairs, key)
    return jnp.sum((logits.argmax(axis=-1) == answers) & asked) / jnp.sum(asked)


@functools.cache
def optimizer_of(num_steps):
    """Adam with clipped gradients, whose rate rises for a tenth of the steps and then falls to 0."""
    rate = optax.warmup_cosine_decay_schedule(0.0, 1e-2, num_steps // 10, num_steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


def learn(name, start, num_steps, cells=tuple(CELLS)):
    """The rows of one start of a model, trained on one cell after another and tested after each."""
    model, optimizer, rows = Recaller(name, jr.key(start)), optimizer_of(num_steps), []
    for number, cell in enumerate(cells):
        options = dict(every=num_steps, progress=False, key=jr.key(100 + 10 * start + number))
        trained = train(model, optimizer, loss_of(*cell), num_steps, **options)
        model, (length, pairs) = trained.model, cell
        right = np.mean([accuracy(model, *cell, key) for key in jr.split(jr.key(7), 16)])
        state = 2 * STATE * length if name == "softmax attention" else STATE**2
        row = {"model": name, "length": length, "pairs": pairs, "start": start, "state": state}
        row |= {"accuracy": round(float(right), 4), "loss": round(float(trained.losses[-20:].mean()), 4)}
        print(*row.values(), sep="  ", flush=True)
        rows.append(row)
    return rows


def run(quick):
    """One row for each cell of each start of each model, and one for each model on the last cell alone."""
    cells, rows = tuple(CELLS), []
    plans = [
        (FROM_FEW, name, start, STEPS, cells) for start, name in itertools.product(range(STARTS), MODELS)
    ]
    plans += [("from scratch", name, 0, len(cells) * STEPS, cells[-1:]) for name in MODELS]
    if quick:
        plans = [(FROM_FEW, name, 0, 4, cells[:1]) for name in MODELS]
    for trained, name, start, steps, through in plans:
        compute = functools.partial(learn, name, start, steps, through)
        part = f"{name}, start {start}, {steps} steps"
        found = compute() if quick else kept("associative_recall.json", part, compute)
        rows += [row | {"steps": steps, "trained": trained} for row in found or []]
    return {"chance": 1 / VALUES, "rows": rows}


def figure(results):
    """Accuracy by model and cell, one point for each start; those from scratch are crosses."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
    cells = list(dict.fromkeys((row["length"], row["pairs"]) for row in results["rows"]))
    for (place, name), scratch in itertools.product(enumerate(MODELS), (False, True)):
        own = [r for r in results["rows"] if r["model"] == name and (r["trained"] != FROM_FEW) == scratch]
        at = [cells.index((row["length"], row["pairs"])) + 0.15 * (place - 1) for row in own]
        label = f"{name}, from scratch" if scratch else name
        axis.plot(
            at, [row["accuracy"] for row in own], "x" if scratch else "o", color=f"C{place}", label=label
        )
    axis.set_xticks(range(len(cells)), [f"{pairs} pairs,\nlength {length}" for length, pairs in cells])
    axis.axhline(results["chance"], color="grey", linestyle=":")
    axis.set(ylabel="questions answered right", ylim=(0, 1.03))
    axis.legend(fontsize=7)
    return figure
