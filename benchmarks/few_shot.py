"""Few-shot characters on the whole of Omniglot: an attractor memory against its controls.

Every network has the same embedding, and learns from the 964 background classes turned four ways (3,856
classes of 20 pictures). Tests are 1,000 episodes of the 659 evaluation classes, five queries a class. A step
embeds the pictures of ten classes and draws ten 5-way episodes from them (Adam, from 2e-3 down to 0); the
best reads have one 20-way episode of distorted pictures a step.

ENERGYAM_OMNIGLOT names a folder with images_background.zip and images_evaluation.zip; without it they are
fetched. A run that was cut off is resumed from benchmarks/checkpoints/; with ENERGYAM_FINISHED set, only what
is finished is reported.
"""

import functools
import os
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from benchmarks.damage import Restored, damaged, distorted, flipped, masked
from benchmarks.progress import CHECKPOINTS, kept
from energyam.datasets.episodes import add_rotations, split_classes
from energyam.datasets.omniglot import omniglot
from energyam.datasets.strokes import stroke_characters
from energyam.nn import (
    AttractorRead,
    ConvEmbedding,
    CosineRead,
    DotRead,
    EpisodeLoss,
    FewShotClassifier,
    NearestRead,
    PrototypeRead,
    SettledRead,
    episode_accuracy,
    train,
)

SIZE, SHARED, LONG, SHORT = 64, 10, 100_000, 40_000
READS = {
    "no memory": DotRead,
    "layer norm alone": lambda: AttractorRead(SIZE, "none"),
    "Storkey memory": lambda: AttractorRead(SIZE, "storkey"),
    "Hopfield memory, layer norm": lambda: AttractorRead(SIZE, "hopfield"),
    "cosine": CosineRead,
    "settled, then cosine": lambda: SettledRead(CosineRead()),
    "prototypes": PrototypeRead,
}
PUBLISHED = {"no memory": "0.907 ± 0.11", "Storkey memory": "0.981 ± 0.04"}


class Row(NamedTuple):
    """How one network is trained."""

    read: str
    loss: str = "cross_entropy"
    episodes: int = SHORT
    queries: str = "clean"
    ways: int = 5
    start: int = 0

    def name(self):
        """The row as it is called in the results, whatever its start."""
        trained = f"1-shot, {self.queries} queries, {self.episodes} episodes"
        wide = "" if self.ways == 5 else f", {self.ways}-way, distorted"
        return f"{self.read}, {self.loss}, {trained}{wide}"


CORRUPT = {"clean": None, "flipped": flipped, "masked": masked, "damaged": damaged}
# What the published figures compare, from three starts each, and the control they lack.
COMPARED = [
    Row(read, "squared_error", LONG, start=start)
    for start in range(3)
    for read in ("no memory", "Storkey memory", "layer norm alone")[: 2 if start else 3]
]
PLAIN = [Row(read, episodes=LONG) for read in ("cosine", "settled, then cosine")]
# One 20-way episode a step, its pictures turned, sheared, scaled and shifted a little.
BEST = [Row(read, episodes=LONG // SHARED, ways=20) for read in ("cosine", "settled, then cosine")]
ENTROPY = [
    Row(read)
    for read in (
        "no memory",
        "layer norm alone",
        "Storkey memory",
        "Hopfield memory, layer norm",
        "prototypes",
    )
]
DAMAGED = [Row(read, queries="damaged") for read in ("cosine", "settled, then cosine", "Storkey memory")]
ROWS = BEST + PLAIN + COMPARED + ENTROPY + DAMAGED
# How networks are tested: ways, shots, and what happens to the queries.
TESTS = {
    "5-way 1-shot": (5, 1, "clean"),
    "20-way 1-shot": (20, 1, "clean"),
    "5-way 5-shot": (5, 5, "clean"),
    "a quarter flipped": (5, 1, "flipped"),
    "half masked": (5, 1, "masked"),
}
QUICK_TESTS = ("5-way 1-shot", "a quarter flipped")


@functools.cache
def sets(quick):
    """The training classes and those to test on, (classes, drawers, 28, 28) each; `quick`: strokes."""
    if quick:
        train_images, test_images = split_classes(stroke_characters(60, 7, key=jr.key(0)), 30, key=jr.key(1))
    else:
        background, evaluation = characters("images_background.zip"), characters("images_evaluation.zip")
        apart(background.names, evaluation.names)
        train_images, test_images = add_rotations(background.images), evaluation.images
    return jnp.asarray(train_images), jnp.asarray(test_images)


def characters(name):
    """One of Omniglot's two zips, from the folder that ENERGYAM_OMNIGLOT names, or fetched."""
    folder = os.environ.get("ENERGYAM_OMNIGLOT")
    return omniglot(name if folder is None else pathlib.Path(folder) / name)


def apart(trained, tested):
    """Raise `ValueError` if a class is trained and tested on."""
    if both := sorted(set(trained) & set(tested)):
        raise ValueError(f"no class may be trained and tested on; both have {both[:3]}")


def learn(row, quick):
    """The network of a row, trained, and resumed if the run was cut off."""
    images, wide = sets(quick)[0], row.ways > 5
    num_steps = 4 if quick else row.episodes // (1 if wide else SHARED)
    embed = ConvEmbedding(SIZE, key=jr.fold_in(jr.key(2), row.start))
    file = f"few_shot {row.name()} {row.start}.safetensors".replace(",", "").replace(" ", "_")
    return train(
        FewShotClassifier(embed, READS[row.read]()),
        optax.adam(optax.cosine_decay_schedule(2e-3, num_steps)),
        EpisodeLoss(
            images,
            row.loss,
            num_ways=row.ways,
            num_episodes=1 if wide else SHARED,
            num_classes=None if wide else SHARED,
            augment=distorted if wide else None,
            corrupt=CORRUPT[row.queries],
        ),
        num_steps,
        every=2 if quick else 500,
        checkpoint=None if quick else CHECKPOINTS / file,
        scan=jax.default_backend() != "cpu",
        key=jr.fold_in(jr.key(3), row.start),
    )


def tested(model, quick):
    """Accuracy and the half-width of its 95 % interval in every test."""
    found = {}
    for name in QUICK_TESTS if quick else TESTS:
        ways, shots, queries = TESTS[name]
        counts = dict(num_ways=ways, num_shots=shots, num_queries=1 if quick else 5)
        episodes, corrupt = 10 if quick else 1000, CORRUPT[queries]
        accuracy = episode_accuracy(model, sets(quick)[1], episodes, **counts, corrupt=corrupt, key=jr.key(4))
        found |= {name: round(accuracy.mean, 4), f"{name} ±": round(accuracy.half_width, 4)}
    return found


def trained_row(row, quick):
    """One network, trained and tested, with its learning curve: mean losses of 20 parts of the training."""
    trained = learn(row, quick)
    curve = [round(float(part.mean()), 4) for part in np.array_split(trained.losses, 20) if len(part)]
    learned = {}
    if isinstance(trained.model.read, SettledRead):
        read = trained.model.read
        learned = {"share of the memory": round(float(jax.nn.sigmoid(read.logit_share)), 3)}
        learned |= {"beta of the memory": round(float(jnp.exp(read.log_beta)), 2)}
    return tested(trained.model, quick) | learned | {"losses": curve}


def restored_rows(quick):
    """Flipped queries restored by a memory of 2,000 windows, for networks trained on clean queries or not."""
    restored = Restored(sets(quick)[0], 50 if quick else 2000, key=jr.key(5))
    rows = []
    for row in (PLAIN[0], DAMAGED[0]):
        counts = dict(num_ways=5, num_queries=1 if quick else 5, corrupt=restored)
        model, images = learn(row, quick).model, sets(quick)[1]
        accuracy = episode_accuracy(model, images, 10 if quick else 1000, **counts, key=jr.key(4))
        found = {"a quarter flipped": round(accuracy.mean, 4)}
        found |= {"a quarter flipped ±": round(accuracy.half_width, 4)}
        rows.append(row._asdict() | found)
    return rows


def untrained_rows(quick):
    """Nearest neighbours of raw pixels and in an untrained network, the first start of all trainings."""
    embeds = {"pixels": jnp.ravel, "untrained network": ConvEmbedding(SIZE, key=jr.fold_in(jr.key(2), 0))}
    return [
        {"read": f"nearest neighbour, {of}", "loss": "none", "episodes": 0}
        | tested(FewShotClassifier(embed, NearestRead()), quick)
        for of, embed in embeds.items()
    ]


def run(quick):
    """The table, every start of every row, and what the published figures are."""
    rows = {f"{row.name()}, start {row.start}": row for row in (ROWS[1:3] if quick else ROWS)}
    parts = {part: functools.partial(trained_row, row, quick) for part, row in rows.items()}
    parts |= {"untrained": functools.partial(untrained_rows, quick)}
    parts |= {"restored": functools.partial(restored_rows, quick)}
    found = {}
    for part, compute in parts.items():
        found[part] = compute() if quick else kept("few_shot.json", part, compute)
        print(part, found[part], flush=True)
    left_out = [part for part, results in found.items() if results is None]
    untrained, restored = (found.pop(part) or [] for part in ("untrained", "restored"))
    each = untrained + [rows[part]._asdict() | row for part, row in found.items() if row is not None]
    published = {"published (100,000 episodes of Omniglot)": PUBLISHED}
    return {"rows": means(each), "restored": restored, "each start": each, "not run": left_out} | published


def means(each):
    """One row for all starts of a row: mean accuracies, with those of every start kept beside them."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in each:
        rows.setdefault(" ".join(str(row.get(field)) for field in Row._fields[:-1]), []).append(row)
    found = []
    for starts in rows.values():
        tests = [test for test in TESTS if test in starts[0]]
        mean = {test: round(float(np.mean([row[test] for row in starts])), 4) for test in tests}
        width = {f"{test} ±": max(row[f"{test} ±"] for row in starts) for test in tests}
        by_start = {f"{test} by start": [row[test] for row in starts] for test in tests}
        described = {field: starts[0][field] for field in Row._fields[:-1] if field in starts[0]}
        found.append(described | {"starts": len(starts)} | mean | width | by_start)
    return found


def figure(results):
    """Accuracies as bars with their intervals, a panel for each test; orange: with a memory."""
    import matplotlib.pyplot as plt

    rows = results["rows"][::-1]
    labels = [label(row) for row in rows]
    colours = [
        "tab:orange"
        if "memory" in row["read"].replace("no memory", "") or "settled" in row["read"]
        else "tab:blue"
        for row in rows
    ]
    tests = [test for test in TESTS if test in rows[0]]
    figure, axes = plt.subplots(1, len(tests), figsize=(15, 0.28 * len(rows) + 1.2), sharey=True)
    for axis, test in zip(axes, tests, strict=True):
        errors = [row[f"{test} ±"] for row in rows]
        axis.barh(labels, [row[test] for row in rows], xerr=errors, color=colours)
        axis.axvline(1 / TESTS[test][0], color="grey", linestyle=":")
        axis.set(xlim=(0, 1), xlabel="accuracy", title=test)
    figure.tight_layout()
    return figure


def label(row):
    """What a row is called in a table or a figure."""
    if row["loss"] == "none":
        return row["read"]
    words = [row["read"], {"squared_error": "squared error", "cross_entropy": "cross-entropy"}[row["loss"]]]
    words += ["20-way, distorted"] * (row["ways"] == 20)
    words += ["damaged queries"] * (row["queries"] == "damaged")
    return f"{', '.join(words)}, {row['episodes'] // 1000},000"
