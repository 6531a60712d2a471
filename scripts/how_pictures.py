"""Draw the pictures of the how-to pages, docs/how/NAME.png, each from what the page's own code computes.

    python scripts/how_pictures.py [NAME …]     all pages unless some are named

A picture is either a file that the page's code writes, or drawn here from the variables of one block.
"""

import os
import pathlib
import re
import shutil
import sys
import tempfile
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import energyam as eam

HOW = pathlib.Path(__file__).parents[1] / "docs" / "how"


def new(columns=1, width=6.0, height=2.7, **options):
    """A figure and its axes."""
    return plt.subplots(1, columns, figsize=(width, height), layout="constrained", squeeze=False, **options)


def as_images(titles, *arrays, aspect="equal"):
    """Arrays (H, W) as grey pictures beside one another."""
    figure, axes = new(len(arrays))
    for axis, title, array in zip(axes[0], titles, arrays, strict=True):
        axis.imshow(np.asarray(array), cmap="Greys", aspect=aspect, interpolation="nearest")
        axis.set(title=title, xticks=[], yticks=[])
    return figure


def anneal(page):
    energies = np.asarray(page.annealed.energies)
    steps = np.arange(energies.shape[1]) / page.start.shape[1]
    figure, ((axis,),) = new()
    axis.plot(steps, energies.T, color="C0", alpha=0.4, linewidth=0.7)
    axis.axhline(page.lowest.energy, color="C3", linestyle=":", label="ising.minimize")
    axis.set(xlabel="steps; T falls from 1 to 0 within 60", ylabel="energy of 16 chains")
    axis.legend()
    return figure


def beta(page):
    figure, axes = new(2, sharey=True)
    for axis, (name, value) in zip(
        axes[0], [("β = 1", 1.0), (f"β = {page.beta:.1f}", page.beta)], strict=True
    ):
        state = eam.recall(eam.ModernHopfield(page.patterns, value), page.query).state
        axis.bar(np.arange(100), eam.LogSumExp(value).weights(page.patterns @ state), width=1)
        axis.set(title=name, xlabel="pattern", yscale="log", ylim=(1e-4, 1.5))
    axes[0, 0].set_ylabel("weight at the end")
    return figure


def boltzmann(page):
    states = (np.arange(16)[:, None] >> np.arange(4)[None]) & 1
    p = jax.nn.softmax(-jax.vmap(lambda x: page.machine.free_energy({"seen": x}))(jnp.asarray(states, float)))
    known = [(state == np.asarray(page.seen)).all(axis=1).any() for state in states]
    figure, ((axis,),) = new()
    axis.bar(np.arange(16), p, color=np.where(known, "C0", "C1"))
    axis.axhline(1 / 6, color="black", linestyle=":", label="1/6")
    axis.set(xlabel="states of the visible layer; blue: the six pictures", ylabel="probability", xticks=[])
    axis.legend()
    return figure


def cycles(page):
    figure, ((axis,),) = new()
    frames = np.asarray(page.result.frames(10))
    axis.plot(np.arange(len(frames)), frames)  # ten steps of 0.1
    axis.set(xlabel="time", ylabel="activity of five neurons", xlim=(0, 25))
    return figure


def inputs(page):
    figure, ((axis,),) = new()
    axis.plot(page.path - page.path[0], label="angle of the bump")
    axis.plot(
        np.arange(1, 151), 0.1 * np.cumsum(page.velocity), linestyle=":", label="integral of the velocity"
    )
    axis.set(xlabel="step", ylabel="angle")
    axis.legend()
    return figure


def layer(page):
    figure, axes = new(2, height=1.8)
    for axis, head in zip(axes[0], page.found.weights, strict=True):
        axis.imshow(head, cmap="Greys", aspect="auto")
        axis.set(xlabel="64 learned patterns", yticks=[])
    axes[0, 0].set(ylabel="five inputs", title="head 0")
    axes[0, 1].set(title="head 1")
    return figure


def layers(page):
    figure, axes = new(4, width=7.5, height=2.2)
    axes[0, 0].imshow(page.pictures[1].reshape(8, 8), cmap="Greys")
    axes[0, 1].bar(range(3), page.named.state["label"])
    axes[0, 2].bar(range(3), [0, 0, 1], color="C1")
    axes[0, 3].imshow(page.shown.state["picture"].reshape(8, 8), cmap="Greys")
    titles = {"picture 1, held": [], "its label": range(3), "label 2, held": range(3), "its picture": []}
    for axis, (title, ticks) in zip(axes[0], titles.items(), strict=True):
        axis.set(title=title, yticks=[], xticks=ticks)
    return figure


def learn_while_reading(page):
    figure, ((axis,),) = new()
    for place, (name, weights) in enumerate([("delta rule", page.by_delta), ("Hebb's rule", page.by_hebb)]):
        missed = np.linalg.norm(weights @ page.keys - page.new.T, axis=0)
        axis.bar(np.arange(8) + 0.4 * place, missed, width=0.4, label=name)
    axis.set(xlabel="key, written a second time", ylabel="distance to its new value")
    axis.legend()
    return figure


def nearest(page):
    scores = np.asarray(page.embeddings @ page.query)
    figure, ((axis,),) = new()
    axis.hist(scores, bins=60, color="C0")
    axis.plot(page.found.scores, np.ones(3), "v", color="C3", markersize=8, label="the three nearest")
    axis.set(xlabel="similarity to the query", ylabel="stored vectors", yscale="log")
    axis.legend()
    return figure


def own(page):
    return as_images(["query", "recalled"], *(x.reshape(4, 16) for x in (page.query, page.result.state)))


def rows_of_codes(codes, worn, recalled):
    titles = ["stored", "a part is lost", "recalled"]
    return as_images(titles, codes, worn, recalled, aspect="auto")


def progress(page):
    figure, ((axis,),) = new()
    axis.plot(np.asarray(page.result.energies).T)
    axis.axhline(-2000, color="black", linestyle=":", label="stop")
    axis.set(xlabel="neurons tried", ylabel="energy of five queries")
    axis.legend()
    return figure


def published(page):
    figure, ((axis,),) = new()
    for name, weights in [("Hebb", eam.hebbian(page.patterns)), ("minover", page.couplings)]:
        margins = np.asarray(page.learning.stability(weights, page.patterns)).ravel()
        axis.hist(margins, bins=np.linspace(-3, 4, 71), alpha=0.7, label=name)
    axis.axvline(0, color="black", linestyle=":")
    axis.set(xlabel="stability of a neuron in a pattern, unstable below 0", ylabel="neurons")
    axis.legend()
    return figure


def separations(page):
    figure, ((axis,),) = new()
    scale = np.linspace(-2, 2, 101)
    for sink in (False, True):
        weights = eam.LogSumExp(20.0, sink=sink).weights
        total = [weights(page.keys @ (s * page.keys[3])).sum() for s in scale]
        axis.plot(scale, total, label="with a sink" if sink else "without")
    axis.set(xlabel="query, in multiples of a key", ylabel="sum of the weights")
    axis.legend()
    return figure


def sweep(page):
    figure, ((axis,),) = new()
    for column, level in enumerate(page.noise):
        share = jax.tree.map(lambda values, column=column: np.asarray(values)[:, column], page.curve.exact)
        axis.plot(page.sizes, share.rate, marker="o", label=f"{level:.0%} of the neurons flipped")
        axis.fill_between(page.sizes, share.low, share.high, alpha=0.2)
    axis.set(xlabel="stored patterns K, of 64 neurons", ylabel="recalled exactly")
    axis.legend()
    return figure


def train(page):
    figure, ((axis,),) = new()
    axis.plot(page.trained.losses)
    axis.set(xlabel="step", ylabel="loss", ylim=(0, None))
    return figure


def troubleshoot(page):
    counts = np.bincount(np.asarray(page.kinds), minlength=len(eam.evaluation.KINDS))
    figure, ((axis,),) = new()
    axis.barh(eam.evaluation.KINDS, counts)
    axis.set(xlabel="of 30 recalls, all of which settled", title="where they ended")
    return figure


def your_data(page):
    figure, axes = new(10, height=0.9)
    for axis, picture in zip(axes[0], page.images.patterns, strict=True):
        axis.imshow(picture.reshape(32, 32), cmap="gray")
        axis.axis("off")
    return figure


def agent(page):
    notes = page.Notes("notes")
    found = notes.recall("when is the meeting with Anna?", 4)
    figure, ((axis,),) = new()
    axis.barh([text for _, _, text in found][::-1], [weight for weight, _, _ in found][::-1])
    figure.suptitle("“when is the meeting with Anna?”")
    axis.set(xlabel="weight", xlim=(0, 1))
    notes.store.close()
    return figure


# Of each page: the block whose variables are drawn, and how, or the file that it writes.
PICTURES = {
    "agent": (0, agent),
    "anneal": (0, anneal),
    "beta": (0, beta),
    "boltzmann": (0, boltzmann),
    "compare": (0, "compared.png"),
    "complete": (0, "completed.png"),
    "cycles": (2, cycles),
    "inputs": (1, inputs),
    "landscape": (0, "landscape.png"),
    "layer": (0, layer),
    "layers": (0, layers),
    "learn-while-reading": (0, learn_while_reading),
    "nearest": (0, nearest),
    "own": (4, own),
    "own_neurons": (1, lambda page: rows_of_codes(page.codes, page.worn, page.result.state)),
    "progress": (0, progress),
    "published": (4, published),
    "retrieved": (0, lambda page: page.figure),
    "sample": (1, "chains.png"),
    "separations": (0, separations),
    "states": (0, lambda page: rows_of_codes(page.codes, page.worn, page.result.state)),
    "sweep": (0, sweep),
    "train": (0, train),
    "troubleshoot": (0, troubleshoot),
    "your-data": (2, your_data),
}


def draw(name: str, path: pathlib.Path) -> None:
    """Run the block of a page in an empty folder, and write the picture to `path`."""
    block, how = PICTURES[name]
    code = re.findall(r"```python\n(.*?)```", (HOW / f"{name}.md").read_text("utf-8"), re.DOTALL)[block]
    names: dict = {"__name__": name}
    before = pathlib.Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            exec(compile(code, f"{name}.md", "exec"), names)
            if isinstance(how, str):
                shutil.copy(how, path)
            else:
                how(SimpleNamespace(**names)).savefig(path, dpi=100)
        finally:
            os.chdir(before)
    plt.close("all")


if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        draw(name, HOW / f"{name}.png")
        print(HOW / f"{name}.png", flush=True)
