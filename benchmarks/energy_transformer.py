"""Energy transformer: half of a stroke character's patches completed, beside an ordinary block and controls.

8,000 pictures of 28 × 28 in 16 patches. Every network has the same embedding, decoder, optimizer and batches,
and is trained on masked patches; errors are squared errors on the hidden half of unseen drawers' pictures, in
units of the pictures' variance. The ordinary block is tied over its 12 steps and has as many parameters. A
run that was cut off is resumed from benchmarks/checkpoints/; with ENERGYAM_FINISHED set, only what is
finished is reported. ENERGYAM_STEPS says how many training steps a network gets (3,000).
"""

import functools
import os
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array

from benchmarks.progress import CHECKPOINTS, kept
from benchmarks.token_models import PATCH, SIZE, STEPS, FedTokens, OrdinaryBlock, decoded, num_parameters
from energyam import datasets, nn

NUM_TOKENS, BATCH, TESTS = 16, 64, 400
# Without weight decay, which would shrink the step size α too.
OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.linear_schedule(0.0, 2e-3, 100)))
TIMES = (0, 3, 12, 24, 48, 200)  # T at which a network is tested
REST = 40  # steps, and rounds for gradients, of training at rest
TRANSFORMER, BLOCK = "energy transformer", "ordinary block"
FED, AT_REST = "tokens fed, unrolled", "tokens fed, at rest"


def model_of(name, start):
    """An untrained network."""
    key = jr.fold_in(jr.key(1), start)
    if name == TRANSFORMER:
        return nn.EnergyTransformer(NUM_TOKENS, PATCH, SIZE, key=key)
    if name == BLOCK:
        return OrdinaryBlock(NUM_TOKENS, SIZE, key=key)
    return FedTokens(NUM_TOKENS, name == AT_REST, REST if name == AT_REST else STEPS, key=key)


def trained_numbers(model):
    """How many numbers of a network play a part; an ordinary block has no energy."""
    if isinstance(model, OrdinaryBlock):
        outer = model.outer
        unused = outer.query_weights, outer.key_weights, outer.patterns, outer.gain, outer.offset
        return num_parameters(model, (*unused, outer.step_size))
    return num_parameters(model) - 1  # α is not trained


@functools.cache
def pictures(quick):
    """Patches to train on, of unseen drawers, and of unseen characters: (pictures, 16, 49) each."""
    known, new, drawers, more = (6, 2, 4, 2) if quick else (400, 40, 20, 2)
    path = CHECKPOINTS / f"strokes_{known + new}_{drawers + more}.npy"
    if not path.exists():
        drawn = datasets.stroke_characters(known + new, drawers + more, key=jr.key(0))
        path.parent.mkdir(exist_ok=True)
        np.save(path, np.asarray(drawn))
    drawn = np.load(path)
    parts = drawn[:known, :drawers], drawn[:known, drawers:], drawn[known:]
    return [nn.as_patches(part.reshape(-1, 28, 28), 7) for part in parts]


def hidden_halves(count):
    """Which half of the patches of each test picture is hidden, (count, 16) bool."""
    order = jax.vmap(lambda key: jr.permutation(key, NUM_TOKENS))(jr.split(jr.key(2), count))
    return order < NUM_TOKENS // 2


def error(completed, patches, hidden, scale):
    """The squared error on hidden patches in units of the variance `scale`."""
    squares = jnp.mean((completed - patches) ** 2, axis=-1)
    return float(jnp.sum(squares * hidden) / jnp.sum(hidden) / scale)


class Course(NamedTuple):
    """What test pictures go through: a T → completed patches, energies (pictures, T+1), who is at rest."""

    completed: dict[int, Array]
    energies: Array | None
    settled: Array | None


def course(model, patches, hidden, times=TIMES):
    """Completed patches after each of `times` steps; up to the last of them, all states are on one way."""
    decode = jax.jit(jax.vmap(lambda x: decoded(outer_of(model), x)))
    if isinstance(model, FedTokens):
        run = jax.jit(jax.vmap(lambda x, h: model.settle(x, h, max(times))))
        settled, energies, tokens = run(patches, hidden)
        return Course({T: decode(tokens[:, T]) for T in times}, energies, settled)
    step = jax.jit(jax.vmap(step_of(model)))
    x = jax.jit(jax.vmap(outer_of(model).tokens))(patches, hidden)
    completed, energies = {}, []
    for T in range(max(times) + 1):
        if T in times:
            completed[T] = decode(x)
        x, energy = step(x)
        energies.append(energy)
    return Course(completed, None if energy is None else jnp.stack(energies, axis=1), None)


def outer_of(model):
    """What embeds and decodes."""
    return model if isinstance(model, nn.EnergyTransformer) else model.outer


def step_of(model):
    """One step of tokens: where they go, and the energy from which they went, if there is one."""
    if isinstance(model, OrdinaryBlock):
        return lambda x: (model.step(x), None)

    def step(x):
        descent = model.descend(x, num_steps=1)
        return descent.tokens, descent.energies[0]

    return step


def learn(name, start, patches, num_steps, every):
    """A network trained from this start, resumed if the run was cut off, and CPU seconds for each step."""
    file = f"energy_transformer_{name}_{start}.safetensors".replace(" ", "_").replace(",", "")
    clocks = []

    def clock(model, key):
        clocks.append(time.process_time())
        return {}

    trained = nn.train(
        model_of(name, start),
        OPTIMIZER,
        nn.MaskedCompletion(patches, BATCH),
        num_steps,
        every=every,
        evaluate=clock,
        checkpoint=CHECKPOINTS / file if num_steps > 4 else None,
        scan=jax.default_backend() != "cpu",
        key=jr.fold_in(jr.key(3), start),
    )
    return trained, float(np.median(np.diff(clocks))) / every if len(clocks) > 1 else float("nan")


def trained_row(name, start, num_steps, quick):
    """One network: what it cost, and its errors against T, on new characters, and with shuffled patches."""
    train, drawers, characters = pictures(quick)
    num_steps, every = (4, 2) if quick else (num_steps, 50)
    trained, seconds = learn(name, start, train, num_steps, every)
    model, scale = trained.model, jnp.var(train)
    row = {"model": name, "start": start, "parameters": trained_numbers(model)}
    row |= {"steps": len(trained.losses), "CPU s per step": round(seconds, 4)}
    row |= {"last losses": float(trained.losses[-100:].mean())}
    tests, news = drawers[:TESTS], characters[:TESTS]
    hidden = hidden_halves(len(tests))
    found = course(model, tests, hidden)
    row |= {f"T = {T}": error(x, tests, hidden, scale) for T, x in found.completed.items()}
    completed = course(model, news, hidden[: len(news)], (STEPS,)).completed[STEPS]
    row["new characters"] = error(completed, news, hidden[: len(news)], scale)
    # The patches of each picture in other places.
    places = jax.vmap(lambda key: jr.permutation(key, NUM_TOKENS))(jr.split(jr.key(4), len(tests)))
    shuffled = jnp.take_along_axis(tests, places[..., None], axis=1)
    completed = course(model, shuffled, hidden, (STEPS,)).completed[STEPS]
    row["shuffled"] = error(completed, tests, hidden, scale)
    if found.energies is not None:
        row["share of steps that rise"] = share_of_rises(found.energies)
    if found.settled is not None:
        row["share at rest"] = float(found.settled.mean())
    return row


def share_of_rises(energies):
    """Of all steps, those after which the energy (pictures, T+1) is higher by more than its rounding."""
    rises = jnp.diff(energies, axis=1) > 1e-6 * jnp.nanmax(jnp.abs(energies))
    return float(rises.mean())


def controls(quick):
    """What needs no training: the mean picture, the nearest one, and a softmax over all of them."""
    train, drawers, _ = pictures(quick)
    tests, hidden = drawers[:TESTS], hidden_halves(len(drawers[:TESTS]))
    scale = jnp.var(train)

    x, every, seen = (
        array.reshape(len(array), -1) for array in (tests, train, jnp.repeat(~hidden, PATCH, 1))
    )

    @jax.jit
    def read(beta):
        # Distances over what is seen, less what all pictures share.
        distances = seen @ (every**2).T - 2 * (seen * x) @ every.T
        return (jax.nn.softmax(-beta * distances, axis=1) @ every).reshape(tests.shape)

    betas = (0.03, 0.1, 0.3, 1.0, 3.0)
    reads = {beta: error(read(beta), tests, hidden, scale) for beta in betas}
    best = min(reads, key=reads.get)
    mean = jnp.broadcast_to(train.mean(0), tests.shape)
    found = {"mean picture": mean, "nearest picture": read(1e4), f"softmax read, beta {best}": read(best)}
    return [{"model": name} | {"T = 12": error(x, tests, hidden, scale)} for name, x in found.items()]


def run(quick: bool) -> list[dict]:
    """Networks and controls, one row each."""
    num_steps = int(os.environ.get("ENERGYAM_STEPS", "3000"))
    order = [(TRANSFORMER, 0), (BLOCK, 0), (FED, 0), (AT_REST, 0)]
    order += [(name, start) for start in (1, 2) for name in (TRANSFORMER, BLOCK)]
    parts = {"controls": lambda: controls(quick)}
    for name, start in order[:4] if quick else order:
        compute = functools.partial(trained_row, name, start, num_steps, quick)
        parts[f"{name}, start {start}, {num_steps} steps"] = lambda compute=compute: [compute()]
    rows = []
    for part, compute in parts.items():
        found = compute() if quick else kept("energy_transformer.json", part, compute)
        print(part, found, flush=True)
        rows += found or []
    return rows


def figure(rows):
    """Errors against T, one curve for each network, and the controls as lines."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(8.5, 4), layout="constrained")
    names = list(dict.fromkeys(row["model"] for row in rows))
    for colour, name in enumerate(names):
        of = [row for row in rows if row["model"] == name]
        if "T = 0" in of[0]:
            for i, row in enumerate(of):
                errors = [row[f"T = {T}"] for T in TIMES]
                ax.plot(range(len(TIMES)), errors, "o-", color=f"C{colour}", label=None if i else name)
        else:
            ax.axhline(of[0]["T = 12"], color=f"C{colour}", ls=":", label=name)
    ax.set_xticks(range(len(TIMES)), TIMES)
    ax.set(xlabel="steps T at the test", ylabel="error on hidden patches, of the variance", ylim=(0.4, 1.5))
    fig.legend(loc="outside right center", frameon=False, fontsize=8)
    return fig
