"""The published set-up of few-shot characters with a memory that subtracts, and what its controls reach.

The set-up is that of github.com/PCJohn/attractors, folder fewshot (2020): five convolutions, Adam at 1e-4
without a schedule, 100,000 steps of one 5-way 1-shot episode with two queries a class, squared error of
probabilities that go through the softmax twice. Omniglot's 1,623 classes are shuffled, 1,100 to train and 423
to test, alphabets shared; each class of each episode is turned by its own quarter turns, in tests too.
Pictures are 28 × 28, the nearest pixel of each. The published figures are .907 ± .11 without the memory and
.981 ± .04 with it, ± one standard deviation over episodes.

Columns, all with the same embedding: no memory; the program's memory M, which subtracts the support from the
query, in front of a layer norm; the layer norm alone; Storkey's rule as it was published; the support's mean
subtracted in place of M; and a multiple of M, learned from 0. Then the first two with no alphabet shared.

ENERGYAM_OMNIGLOT names a folder with images_background.zip and images_evaluation.zip. A run that was cut off
is resumed from benchmarks/checkpoints/, or from the folder that ENERGYAM_CHECKPOINTS names; with
ENERGYAM_FINISHED set, only what is finished is reported. All trainings together take about eight hours of one
core. With ENERGYAM_ADD set, those that results/few_shot_seed.json holds to their last step are taken from
there, and only the others are run.
"""

import datetime
import functools
import io
import json
import os
import pathlib
import zipfile
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Bool, Float
from PIL import Image

import energyam
from benchmarks.progress import CHECKPOINTS, kept
from energyam.datasets.episodes import sample_episode
from energyam.datasets.strokes import stroke_characters
from energyam.nn import AbstractRead, AttractorRead, ConvEmbedding, FewShotClassifier, train

SIZE, WAYS, QUERIES = 64, 5, 2
STEPS = (1000, 2500, 5000, 10_000, *range(20_000, 100_001, 5000))
EPISODES, LAST_EPISODES, TOGETHER = 600, 2000, 20
NONE, MEMORY, NORM = "no memory", "the program's memory", "layer norm alone"
STORKEY, MEAN, LEARNED = "published Storkey", "support's mean subtracted", "learned multiple"
PUBLISHED = {NONE: "0.907 ± 0.11", MEMORY: "0.981 ± 0.04"}


class Row(NamedTuple):
    """One training: which column, which start, and whether alphabets are shared between training and test."""

    column: str
    start: int = 0
    split: str = "shared alphabets"


ROWS = [Row(column) for column in (MEMORY, NONE, NORM, STORKEY, MEAN, LEARNED)]
ROWS += [Row(column, start) for start in (1, 2) for column in (MEMORY, NONE)]
ROWS += [Row(column, 0, "new alphabets") for column in (MEMORY, NONE)]


class SeedRead(AbstractRead):
    """The probabilities of the classes, softmax(X q') summed over each, of a query that the memory changed.

    q' = relu(g · (z − mean z)/(sd z + 1e-5) + b),   z = q + m A q;    without a memory q' = q
    """

    gain: Float[Array, " D"]
    bias: Float[Array, " D"]
    multiple: Float[Array, ""]
    column: str = eqx.field(static=True)

    def __init__(self, column: str):
        self.gain, self.bias, self.multiple = jnp.ones(SIZE), jnp.zeros(SIZE), jnp.zeros(())
        self.column = column

    def __call__(
        self, support: Float[Array, "S D"], member: Bool[Array, "S N"], query: Float[Array, " D"]
    ) -> Float[Array, " N"]:
        if self.column != NONE:
            changed = query + self.pull(support, query)
            normed = (changed - changed.mean()) / (jnp.std(changed) + 1e-5)
            query = jax.nn.relu(self.gain * normed + self.bias)
        return jax.nn.softmax(support @ query) @ member.astype(query.dtype)

    def pull(self, support: Float[Array, "S D"], query: Float[Array, " D"]) -> Float[Array, " D"]:
        """What is added to the query in front of the layer norm."""
        if self.column == NORM:
            return jnp.zeros_like(query)
        if self.column == MEAN:
            return -support.mean(axis=0)
        rule = "storkey" if self.column == STORKEY else "subtracting"
        pull = AttractorRead(SIZE, rule).weights(support) @ query
        return self.multiple * pull if self.column == LEARNED else pull


class SeedLoss(eqx.Module):
    """The mean squared error of one fresh episode of training classes, as `train` wants it."""

    images: Bool[Array, "classes drawers 28 28"]

    def __call__(self, model, key):
        chances, answers = answered(model, self.images, key)
        return jnp.mean((jax.nn.softmax(chances) - jax.nn.one_hot(answers, WAYS)) ** 2)


def answered(model, images, key):
    """The probabilities (10, 5) that an episode's queries get, and the right answers."""
    draw_key, turn_key = jr.split(key)
    episode = sample_episode(images, WAYS, 1, QUERIES, key=draw_key)
    turns = jr.randint(turn_key, (WAYS,), 0, 4)
    support, queries = turned(episode.support, turns), turned(episode.queries, turns[episode.answers])
    return model(support, episode.labels, queries, WAYS), episode.answers


def turned(pictures, turns):
    """Each picture turned by its own number of quarter turns."""
    every = jnp.stack([jnp.rot90(pictures, quarter, axes=(1, 2)) for quarter in range(4)])
    return every[turns, jnp.arange(len(pictures))]


@eqx.filter_jit
def _shares_right(model, images, keys):
    def one(key):
        chances, answers = answered(model, images, key)
        return jnp.mean(chances.argmax(axis=1) == answers)

    return jax.vmap(one)(keys)


def tested(model, images, episodes):
    """The mean accuracy of so many episodes, the half-width of its 95 % interval, and their deviation."""
    keys = jr.split(jr.key(4), (episodes // TOGETHER, TOGETHER))
    shares = np.concatenate([np.asarray(_shares_right(model, images, part), float) for part in keys])
    half = 1.96 * shares.std() / len(shares) ** 0.5
    return {
        "accuracy": round(float(shares.mean()), 4),
        "±": round(float(half), 4),
        "sd": round(float(shares.std()), 3),
    }


@functools.cache
def sets(split, quick):
    """Training and test classes, (classes, drawers, 28, 28) of ink or none; `quick`: strokes."""
    if quick:
        images = stroke_characters(30, 4, key=jr.key(0)) > 0.5
        return jnp.asarray(images[:20]), jnp.asarray(images[20:])
    background, evaluation = nearest_pixels("images_background.zip"), nearest_pixels("images_evaluation.zip")
    if split == "new alphabets":
        return jnp.asarray(background), jnp.asarray(evaluation)
    images = np.concatenate([background, evaluation])
    order = np.random.default_rng(1).permutation(len(images))
    return jnp.asarray(images[order[:1100]]), jnp.asarray(images[order[1200:]])


def nearest_pixels(name):
    """The pictures (classes, drawers, 28, 28) of one of Omniglot's zips, resized as one-bit pictures are."""
    path = pathlib.Path(os.environ.get("ENERGYAM_OMNIGLOT", ".")) / name
    classes = {}
    with zipfile.ZipFile(path) as archive:
        for file in sorted(file for file in archive.namelist() if file.endswith(".png")):
            with Image.open(io.BytesIO(archive.read(file))) as picture:
                small = picture.convert("1").resize((28, 28), Image.Resampling.NEAREST)
            classes.setdefault(pathlib.PurePosixPath(file).parent, []).append(~np.asarray(small, bool))
    return np.array(list(classes.values()))


def curve(row, quick):
    """The accuracies of one training after so many steps each, kept one by one."""
    train_images, test_images = sets(row.split, quick)
    embed = ConvEmbedding(SIZE, key=jr.fold_in(jr.key(2), row.start))
    model = FewShotClassifier(embed, SeedRead(row.column))
    loss, optimizer = SeedLoss(train_images), optax.adam(1e-4)
    name = f"few_shot_seed {row.column} {row.start} {row.split}".replace(" ", "_").replace("'", "")
    found = {}
    before = {} if quick else whole_before(row)
    for steps in (2, 4) if quick else STEPS:

        def part(steps=steps):
            trained = train(
                model,
                optimizer,
                loss,
                steps,
                every=2 if quick else 2500,
                checkpoint=None if quick else CHECKPOINTS / f"{name}.safetensors",
                scan=jax.default_backend() != "cpu",
                progress=False,
                key=jr.fold_in(jr.key(3), row.start),
            )
            episodes = LAST_EPISODES if steps == STEPS[-1] else EPISODES
            reached = tested(trained.model, test_images, TOGETHER if quick else episodes)
            if row.column == LEARNED:
                reached["multiple"] = round(float(trained.model.read.multiple), 4)
            measured = f"{datetime.date.today()}, energyam {energyam.__version__}"
            return reached | {"loss": round(float(trained.losses[-2500:].mean()), 5), "measured": measured}

        if quick:
            found[steps] = part()
        else:
            found[steps] = before.get(steps) or kept("few_shot_seed.json", f"{name} {steps}", part)
        print(row, steps, found[steps], flush=True)
    return found


def whole_before(row):
    """The points of a training by their steps, if ENERGYAM_ADD is set and the kept results hold them all."""
    path = pathlib.Path(__file__).parent / "results" / "few_shot_seed.json"
    if "ENERGYAM_ADD" not in os.environ or not path.exists():
        return {}
    points = json.loads(path.read_text())["results"]["curves"]
    own = [point for point in points if Row(point["column"], point["start"], point["split"]) == row]
    by_steps = {point.pop("steps"): point for point in own}
    return by_steps if STEPS[-1] in by_steps else {}


def run(quick):
    """The last accuracies of every training, and the whole curves."""
    curves, rows = [], []
    for row in [Row(MEMORY), Row(LEARNED)] if quick else ROWS:
        found = {steps: reached for steps, reached in curve(row, quick).items() if reached is not None}
        curves += [row._asdict() | {"steps": steps} | reached for steps, reached in found.items()]
        last = [reached["accuracy"] for steps, reached in found.items() if steps >= 80_000]
        if found:
            late = {"mean of the last five": round(float(np.mean(last)), 4)} if len(last) == 5 else {}
            rows.append(curves[-1] | late | {"published": PUBLISHED.get(row.column)})
    return {"rows": rows, "curves": curves}


def figure(results):
    """Accuracy against steps, a line for every column; dotted: the published figures."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    columns = list(dict.fromkeys(point["column"] for point in results["curves"]))
    for number, column in enumerate(columns):
        for start in range(3):
            points = [
                (p["steps"], p["accuracy"])
                for p in results["curves"]
                if (p["column"], p["start"], p["split"]) == (column, start, "shared alphabets")
            ]
            if points:
                axis.plot(*zip(*points, strict=True), color=f"C{number}", label=None if start else column)
    for number, column in enumerate(columns):
        if column in PUBLISHED:
            published = float(PUBLISHED[column].split()[0])
            axis.axhline(published, color=f"C{number}", linestyle=":", label=f"{column}, published")
    axis.set(xlabel="episodes trained on", ylabel="accuracy, 5-way 1-shot", xscale="log", ylim=(0.55, 1))
    axis.legend(fontsize=8)
    return figure
