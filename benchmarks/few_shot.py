"""Few-shot characters, 5-way 1-shot: attractor memory against its controls, on strokes and on Omniglot.

Every row has the same embedding, start, episodes and number of steps (Adam at 1e-3, 4 episodes a step). Tests
are 1,000 episodes of classes that training never saw. Set ENERGYAM_OMNIGLOT to a local zip of Omniglot (say
images_background_small1.zip) for the rows on handwritten characters; without it they are left out. A run that
was cut off is resumed from benchmarks/checkpoints/.
"""

import os
import pathlib

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

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
    episode_accuracy,
    train,
)

CHECKPOINTS = pathlib.Path(__file__).parent / "checkpoints"
SIZE = 64
READS = {
    "no memory": DotRead,
    "layer norm alone": lambda: AttractorRead(SIZE, "none"),
    "Storkey memory": lambda: AttractorRead(SIZE, "storkey"),
    "Hopfield read": lambda: AttractorRead(SIZE, "hopfield"),
    "cosine, learned temperature": CosineRead,
    "prototypes": PrototypeRead,
}
# The squared error is what the published figures were reached with.
SQUARED = [(read, "squared_error") for read in ("no memory", "layer norm alone", "Storkey memory")]
COSINE = ("cosine, learned temperature", "cross_entropy")
OTHERS = [("Hopfield read", "squared_error")]
OTHERS += [(read, "cross_entropy") for read in ("layer norm alone", "Storkey memory", "prototypes")]
TRAINED = {"strokes": [*SQUARED, COSINE, *OTHERS], "omniglot": [*SQUARED, COSINE]}
SHORT = {"squared_error": ", sq", "cross_entropy": ", ce", "none": ""}
PUBLISHED = {"no memory": "0.907 ± 0.11", "Storkey memory": "0.981 ± 0.04"}


def stroke_sets(quick):
    """Stroke classes to train on, and 100 others to test on."""
    classes, drawers = (20, 4) if quick else (500, 20)
    images = stroke_characters(classes, drawers, key=jr.key(0))
    return split_classes(images, 4 * classes // 5, key=jr.key(1))


def omniglot_sets():
    """Training alphabets, turned four ways, test alphabets, and all as they are; None without the file."""
    source = os.environ.get("ENERGYAM_OMNIGLOT")
    if source is None:
        return None
    characters = omniglot(source)
    images, alphabet = characters.images, np.array([name.split("/")[0] for name in characters.names])
    names = sorted(set(alphabet))
    trains = np.isin(alphabet, names[: (len(names) + 1) // 2])
    return add_rotations(images[trains]), images[~trains], images


def learn(name, read, kind, images, num_steps):
    """A classifier trained on these classes, resumed if the run was cut off."""
    file = f"few_shot_{name}_{read}_{kind}.safetensors".replace(" ", "_")
    return train(
        FewShotClassifier(ConvEmbedding(SIZE, key=jr.key(2)), READS[read]()),
        optax.adam(1e-3),
        EpisodeLoss(images, kind),
        num_steps,
        every=100,
        checkpoint=CHECKPOINTS / file if num_steps > 100 else None,
        scan=jax.default_backend() != "cpu",
        key=jr.key(3),
    )


def rows_of(name, train_images, test_sets, num_steps, num_tests):
    """Every trained read and the nearest neighbours, tested on every set of `test_sets`."""
    untrained = ConvEmbedding(SIZE, key=jr.key(2))
    nearest = {"pixels": jnp.ravel, "untrained network": untrained}
    rows = []
    for read, kind in TRAINED[name]:
        trained = learn(name, read, kind, train_images, num_steps)
        last = round(float(trained.losses[-100:].mean()), 4)
        rows.append({"trained on": name, "read": read, "loss": kind, "last losses": last})
        rows[-1] |= tested(trained.model, test_sets, num_tests)
        print(rows[-1], flush=True)
        if read.startswith("cosine"):
            nearest["network of the cosine read"] = trained.model.embed
    for of, embed in nearest.items():
        rows.append({"trained on": name, "read": f"nearest neighbour, {of}", "loss": "none"})
        rows[-1] |= tested(FewShotClassifier(embed, NearestRead()), test_sets, num_tests)
    return rows


def tested(model, test_sets, num_tests):
    """Mean accuracy, the half-width of its 95 % interval, and the spread between episodes, for every set."""
    row = {}
    for where, images in test_sets.items():
        found = episode_accuracy(model, images, num_tests, key=jr.key(4))
        row |= {where: round(found.mean, 4), f"{where} ±": round(found.half_width, 4)}
        row |= {f"{where} std": round(found.std, 3)}
    return row


def run(quick):
    """The table, and what the figures of the seed are."""
    num_steps, num_tests = (4, 20) if quick else (400, 1000)
    train_strokes, test_strokes = stroke_sets(quick)
    tests, found = {"strokes": test_strokes}, omniglot_sets()
    if found is not None:
        tests["omniglot"] = found[2]
    rows = rows_of("strokes", train_strokes, tests, num_steps, num_tests)
    if found is not None:
        rows += rows_of("omniglot", found[0], {"omniglot": found[1]}, num_steps, num_tests)
    return {"rows": rows, "steps": num_steps, "published (100,000 episodes of Omniglot)": PUBLISHED}


def figure(results):
    """Accuracies as bars with their intervals, one panel for what was trained and tested on."""
    import matplotlib.pyplot as plt

    rows = results["rows"][::-1]
    sets = list(dict.fromkeys(row["trained on"] for row in results["rows"]))
    pairs = [(a, b) for a in sets for b in ("strokes", "omniglot")]
    panels = [(a, b) for a, b in pairs if any(b in row for row in rows if row["trained on"] == a)]
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels) + 3, 5), sharey=True, squeeze=False)
    for axis, (trained_on, tested_on) in zip(axes[0], panels, strict=True):
        shown = [row for row in rows if row["trained on"] == trained_on]
        labels = [row["read"] + SHORT[row["loss"]] for row in shown]
        colours = ["tab:orange" if "Storkey" in label else "tab:blue" for label in labels]
        errors = [row[f"{tested_on} ±"] for row in shown]
        axis.barh(labels, [row[tested_on] for row in shown], xerr=errors, color=colours)
        axis.axvline(0.2, color="grey", linestyle=":")
        axis.set(xlim=(0, 1), xlabel="accuracy", title=f"trained on {trained_on}, tested on {tested_on}")
    figure.tight_layout()
    return figure
