"""Few-shot characters, 5-way 1-shot: attractor memory against its controls, on strokes and on Omniglot.

Every row has the same embedding, starts, episodes and number of steps (Adam at 1e-3, 4 episodes a step), and
is the mean over its starts. Tests are 1,000 episodes of classes that training never saw. Set
ENERGYAM_OMNIGLOT to a local zip of Omniglot (say images_background_small1.zip) for the rows on handwritten
characters; without it they are left out. A run that was cut off is resumed from benchmarks/checkpoints/; with
ENERGYAM_FINISHED set, only what is finished is reported.
"""

import functools
import os

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

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
    episode_accuracy,
    train,
)

SIZE, WIDTH, STEPS = 64, 16, 1500
READS = {
    "no memory": lambda size: DotRead(),
    "layer norm alone": lambda size: AttractorRead(size, "none"),
    "Storkey memory": lambda size: AttractorRead(size, "storkey"),
    "Storkey memory, rate 0.2": lambda size: AttractorRead(size, "storkey", rate=0.2),
    "Hopfield read": lambda size: AttractorRead(size, "hopfield"),
    "cosine, learned temperature": lambda size: CosineRead(),
    "prototypes": lambda size: PrototypeRead(),
}
# The squared error is what the published figures were reached with.
SQUARED = [(read, "squared_error") for read in ("no memory", "layer norm alone", "Storkey memory")]
# Kernels as small as Equinox starts them, .58 of Glorot's: what the memory is worth from a poor start.
SMALL = [(f"{read}, small start", kind) for read, kind in SQUARED]
NARROW = [(f"{read}, width {WIDTH}", kind) for read, kind in SQUARED]
ENTROPY = [(read, "cross_entropy") for read, _ in SQUARED]
COSINE = ("cosine, learned temperature", "cross_entropy")
OTHERS = [("Hopfield read", "squared_error"), ("prototypes", "cross_entropy")]
# Writes without Storkey's 1/D: the memory as it was first tried here.
LARGE = [("Storkey memory, rate 0.2", kind) for kind in ("squared_error", "cross_entropy")]
TRAINED = {
    "strokes": [*SQUARED, *SMALL, *NARROW, *ENTROPY, *LARGE, COSINE, *OTHERS],
    "omniglot": [*SQUARED, *ENTROPY, COSINE],
}
# Networks trained from different starts: three where the memory is compared with its absence.
STARTS = {(name, *row): 3 for name in TRAINED for row in SQUARED + SMALL}
SHORT = {"squared_error": ", sq", "cross_entropy": ", ce", "none": ""}
PUBLISHED = {"no memory": "0.907 ± 0.11", "Storkey memory": "0.981 ± 0.04"}


@functools.cache
def stroke_sets(quick):
    """Stroke classes to train on, and 100 others to test on."""
    classes, drawers = (40, 4) if quick else (500, 20)
    images = stroke_characters(classes, drawers, key=jr.key(0))
    return split_classes(images, 4 * classes // 5, key=jr.key(1))


@functools.cache
def omniglot_sets():
    """Training alphabets, turned four ways, test alphabets, and all as they are."""
    characters = omniglot(os.environ["ENERGYAM_OMNIGLOT"])
    images, alphabet = characters.images, np.array([name.split("/")[0] for name in characters.names])
    names = sorted(set(alphabet))
    trains = np.isin(alphabet, names[: (len(names) + 1) // 2])
    return add_rotations(images[trains]), images[~trains], images


def sets_of(name, quick):
    """The training classes called so, and the sets that its networks are tested on."""
    if name == "omniglot":
        return omniglot_sets()[0], {"omniglot": omniglot_sets()[1]}
    tests = {"strokes": stroke_sets(quick)[1]}
    if "ENERGYAM_OMNIGLOT" in os.environ:
        tests["omniglot"] = omniglot_sets()[2]
    return stroke_sets(quick)[0], tests


def learn(name, read, kind, start, images, num_steps):
    """A classifier trained on these classes from this start, resumed if the run was cut off."""
    file = f"few_shot_{name}_{read}_{kind}_{start}.safetensors".replace(" ", "_")
    size = WIDTH if read.endswith(f", width {WIDTH}") else SIZE
    embed = ConvEmbedding(size, key=jr.fold_in(jr.key(2), start))
    if read.endswith(", small start"):
        embed = jax.tree.map(lambda kernel: 3**-0.5 * kernel, embed)
    make_read = READS[read.removesuffix(", small start").removesuffix(f", width {WIDTH}")]
    return train(
        FewShotClassifier(embed, make_read(size)),
        optax.adam(1e-3),
        EpisodeLoss(images, kind),
        num_steps,
        every=100,
        checkpoint=CHECKPOINTS / file if num_steps > 100 else None,
        scan=jax.default_backend() != "cpu",
        key=jr.fold_in(jr.key(3), start),
    )


def trained_rows(name, read, kind, start, quick):
    """One network, trained and tested. That of the cosine read is tested by nearest neighbours too."""
    num_steps, num_tests = (4, 20) if quick else (STEPS, 1000)
    images, tests = sets_of(name, quick)
    trained = learn(name, read, kind, start, images, num_steps)
    row = {"trained on": name, "read": read, "loss": kind}
    row |= {"last losses": round(float(trained.losses[-100:].mean()), 4)}
    rows = [row | tested(trained.model, tests, num_tests)]
    if (read, kind) == COSINE:
        nearest = FewShotClassifier(trained.model.embed, NearestRead())
        row = {"trained on": name, "read": "nearest neighbour, network of the cosine read", "loss": "none"}
        rows.append(row | tested(nearest, tests, num_tests))
    return rows


def mean_rows(starts):
    """The rows of one part from several starts, as their means, with the accuracies of each start kept."""
    rows = []
    for same in zip(*starts, strict=True):
        numbers = [name for name, value in same[0].items() if not isinstance(value, str)]
        means = {name: round(float(np.mean([row[name] for row in same])), 4) for name in numbers}
        each = {f"{w} by start": [row[w] for row in same] for w in ("strokes", "omniglot") if w in means}
        rows.append(same[0] | means | each)
    return rows


def untrained_rows(name, quick):
    """Nearest neighbours of raw pixels and in an untrained network, the first start of all trainings."""
    _, tests = sets_of(name, quick)
    rows, start = [], jr.fold_in(jr.key(2), 0)
    for of, embed in {"pixels": jnp.ravel, "untrained network": ConvEmbedding(SIZE, key=start)}.items():
        row = {"trained on": name, "read": f"nearest neighbour, {of}", "loss": "none"}
        rows.append(row | tested(FewShotClassifier(embed, NearestRead()), tests, 20 if quick else 1000))
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
    """The table, and what the published figures are."""
    parts = {}
    for name in TRAINED if "ENERGYAM_OMNIGLOT" in os.environ else ["strokes"]:
        parts[name, "untrained", 0] = functools.partial(untrained_rows, name, quick)
        for read, kind in TRAINED[name]:
            for start in range(1 if quick else STARTS.get((name, read, kind), 1)):
                compute = functools.partial(trained_rows, name, read, kind, start, quick)
                parts[name, f"{read}, {kind}, {STEPS} steps", start] = compute
    found, left_out = {}, []
    for (name, what, start), compute in sorted(parts.items(), key=lambda part: part[0][2]):
        part = f"{name}: {what}, start {start}"
        rows = compute() if quick else kept("few_shot.json", part, compute)
        print(part, rows, flush=True)
        if rows:
            found.setdefault((name, what), []).append(rows)
        else:
            left_out.append(part)
    rows = [row for starts in found.values() for row in mean_rows(starts)]
    published = {"published (100,000 episodes of Omniglot)": PUBLISHED}
    return {"rows": rows, "steps": STEPS, "not run": left_out} | published


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
