"""Fast weights against an LSTM on associative retrieval: learning curves, noise, steps a second.

The settings are those of Ba et al. 2016, section 4.1: 30 hidden units, one inner step, λ = .9, η = .5, Adam
at 1e-3, batches of 64, here drawn afresh on the device. The rate of the fast weights drops to 1e-4 for the
last 30 % of their short runs, that of the LSTM never does. Three networks from different starts learn side by
side. A run that was cut off is resumed from benchmarks/checkpoints/; with
ENERGYAM_FINISHED set, only what is finished there is reported.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from benchmarks import harness
from benchmarks.progress import CHECKPOINTS, kept
from energyam.datasets.retrieval import TOKENS, associative_retrieval
from energyam.nn import LSTMRNN, FastWeightsCell, FastWeightsRNN, train

SIZE, HIDDEN, BATCH = len(TOKENS), 30, 64
SEEDS = 3
STEPS = {
    ("fast weights", 8): 10_000,
    ("LSTM", 8): 50_000,
    ("fast weights", 4): 10_000,
    ("LSTM", 4): 50_000,
    ("fast weights", 16): 20_000,
    ("LSTM", 16): 50_000,
}
STDS = np.arange(20) * 0.05
COLOURS = {"fast weights": "tab:blue", "LSTM": "tab:orange"}
STYLES = {4: ":", 8: "-", 16: "--"}
# Accuracies read off the figures of the repository that this experiment comes from.
PUBLISHED = {
    ("fast weights", 8): {0: 1.0, 0.05: 1.0, 0.1: 0.95, 0.15: 0.81, 0.2: 0.67, 0.25: 0.57, 0.3: 0.5}
    | {0.4: 0.42, 0.5: 0.37, 0.95: 0.3},
    ("LSTM", 8): {0: 1.0, 0.05: 0.72, 0.1: 0.52, 0.15: 0.42, 0.2: 0.34, 0.25: 0.29, 0.3: 0.26}
    | {0.4: 0.22, 0.5: 0.19, 0.95: 0.14},
    ("fast weights", 4): {0.05: 1.0, 0.1: 0.97, 0.2: 0.8, 0.3: 0.69, 0.5: 0.6, 0.95: 0.55},
    ("LSTM", 4): {0.05: 0.9, 0.1: 0.77, 0.2: 0.6, 0.3: 0.49, 0.5: 0.37, 0.95: 0.24},
}


def make_model(name, key):
    """The network of this name, all with 30 hidden units and the same head."""
    cell_key, key = jr.split(key)
    if name == "LSTM":
        return LSTMRNN(SIZE, HIDDEN, SIZE, key=key)
    return FastWeightsRNN(FastWeightsCell(SIZE, HIDDEN, key=cell_key), SIZE, form="attention", key=key)


def answer(model, length, std, size, key):
    """Logits and right answers of a batch of fresh sequences, the last input noisy."""
    draw_key, noise_key = jr.split(key)
    draw = jax.vmap(lambda key: associative_retrieval(length, key=key))
    inputs, answers = draw(jr.split(draw_key, size))
    inputs = inputs.at[:, -1].add(std * jr.normal(noise_key, (size, SIZE)))
    return jax.vmap(model)(inputs), answers


def loss_at(length):
    """The cross-entropy of a batch of this length, as `train` wants it."""

    def loss(model, key):
        logits, answers = answer(model, length, 0.0, BATCH, key)
        return optax.softmax_cross_entropy_with_integer_labels(logits, answers).mean()

    return loss


def summed(loss):
    """The same for networks stacked along the first axis, side by side: their gradients do not mix."""
    return lambda models, key: eqx.filter_vmap(loss, in_axes=(0, None))(models, key).sum()


@eqx.filter_jit
def accuracy(models, length, std, size, key):
    """The share of fresh sequences answered right, by each of the stacked networks."""

    def of_one(model):
        logits, answers = answer(model, length, std, size, key)
        return jnp.mean(logits.argmax(axis=1) == answers)

    return eqx.filter_vmap(of_one)(models)


def learn(name, length, num_steps, every):
    """One training run of three networks, resumed if it was cut off."""
    file = CHECKPOINTS / f"{name.replace(' ', '_')}_{length}.safetensors"
    rate = optax.piecewise_constant_schedule(1e-3, {} if name == "LSTM" else {7 * num_steps // 10: 0.1})

    def evaluate(models, key):
        accuracies = accuracy(models, length, jnp.asarray(0.0), 4096, key)
        return {f"accuracy {i}": value for i, value in enumerate(accuracies)}

    return train(
        eqx.filter_vmap(lambda key: make_model(name, key))(jr.split(jr.key(0), SEEDS)),
        optax.adam(rate),
        summed(loss_at(length)),
        num_steps,
        every=every,
        evaluate=evaluate,
        checkpoint=file if every > 100 else None,
        key=jr.key(1),
    )


def speed(length, num_steps):
    """Steps a second of `train` in chunks, and the share of its time that a bare compiled loop saves."""
    model, loss, optimizer = make_model("fast weights", jr.key(0)), loss_at(length), optax.adam(1e-3)
    checkpoint = CHECKPOINTS / "speed.safetensors"

    def chunked():
        checkpoint.unlink(missing_ok=True)
        options = {"every": num_steps // 4, "checkpoint": checkpoint, "key": jr.key(2)}
        return train(model, optimizer, loss, num_steps, progress=False, **options).losses

    def bare():
        return train(model, optimizer, loss, num_steps, every=num_steps, progress=False, key=jr.key(2)).losses

    timings = harness.time_all({"chunked": chunked, "bare": bare}, repeats=3)
    chunked_seconds, bare_seconds = timings["chunked"].best, timings["bare"].best
    return {
        "model": "fast weights",
        "length": length,
        "steps_per_second": num_steps / chunked_seconds,
        "host_share": max(0.0, 1 - bare_seconds / chunked_seconds),
    }


def noise_rows(name, length, models, size, stds):
    """The mean accuracy at every standard deviation of the noise, beside the published one."""
    published = PUBLISHED.get((name, length), {})
    for std in np.round(stds, 2).tolist():
        measured = accuracy(models, length, jnp.asarray(std), size, jr.key(3)).mean()
        row = {"model": name, "length": length, "std": std, "accuracy": round(float(measured), 4)}
        yield row | {"published": published.get(std)}


def length_part(name, length, steps, quick):
    """The learning curves of three networks, and the noise curve of their mean."""
    trained, curves = learn(name, length, 20 if quick else steps, 10 if quick else 500), []
    for curve in trained.metrics.values():
        good = trained.evaluated_at[curve >= 0.99]
        curves.append(
            {"model": name, "length": length, "first_99": int(good[0]) if good.size else None}
            | {"steps": trained.evaluated_at.tolist(), "accuracy": np.round(curve, 4).tolist()}
        )
    size, stds = (64, STDS[:2]) if quick else (10_000, STDS)
    return {"curves": curves, "noise": list(noise_rows(name, length, trained.model, size, stds))}


def run(quick):
    """Learning curves, noise curves and speed, as one dict."""
    results, left_out = {"curves": [], "noise": []}, []
    for (name, length), steps in STEPS.items():
        compute = functools.partial(length_part, name, length, steps, quick)
        part = compute() if quick else kept("fast_weights.json", f"{name}, {length}, {steps}", compute)
        if part is None:
            left_out.append(f"{name}, {length}")
            continue
        results = {key: rows + part[key] for key, rows in results.items()}
    compute = functools.partial(speed, 8, 8 if quick else 2000)
    results["speed"] = compute() if quick else kept("fast_weights.json", "speed", compute)
    return results | {"not run": left_out}


def figure(results):
    """Learning curves on the left, noise curves beside the published points on the right."""
    import matplotlib.pyplot as plt

    noisy = sorted({row["length"] for row in results["noise"] if row["published"] is not None})
    figure, axes = plt.subplots(1, 1 + len(noisy), figsize=(5 + 4.5 * len(noisy), 4), layout="constrained")
    for name, length in dict.fromkeys((row["model"], row["length"]) for row in results["curves"]):
        own = [row for row in results["curves"] if (row["model"], row["length"]) == (name, length)]
        steps, accuracies = own[0]["steps"], np.array([row["accuracy"] for row in own])
        axes[0].plot(
            steps, accuracies.mean(0), STYLES[length], color=COLOURS[name], label=f"{name}, {length}"
        )
        axes[0].fill_between(steps, accuracies.min(0), accuracies.max(0), color=COLOURS[name], alpha=0.15)
    axes[0].set(xlabel="training steps", ylabel="validation accuracy", title="Associative retrieval")
    axes[0].set_ylim(0, 1.03)
    axes[0].legend(fontsize=8, loc="lower right", ncols=3)
    for axis, length in zip(axes[1:], noisy, strict=True):
        plot_noise(axis, [row for row in results["noise"] if row["length"] == length])
        axis.set(xlabel="noise on the last input (std)", ylabel="accuracy", title=f"Length {length}")
    return figure


def plot_noise(axis, rows):
    """Accuracy against noise, measured as lines and published as rings."""
    for name, colour in COLOURS.items():
        own = [row for row in rows if row["model"] == name]
        if not own:
            continue
        axis.plot([row["std"] for row in own], [row["accuracy"] for row in own], color=colour, label=name)
        known = [(row["std"], row["published"]) for row in own if row["published"] is not None]
        axis.plot(*zip(*known, strict=True), "o", mfc="none", color=colour, label=f"{name}, published")
    axis.set_ylim(0, 1.03)
    axis.legend(fontsize=8)
