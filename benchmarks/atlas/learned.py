"""Claims about trained networks, whose figures other benchmarks have kept: read, not run again."""

import json
import pathlib

from benchmarks.atlas.claim import Ours, claim

FIELD = "trained networks"
RESULTS = pathlib.Path(__file__).parents[1] / "results"
BA = "Ba, Hinton, Mnih, Leibo & Ionescu, NeurIPS 2016; figures of a published reimplementation"
MEDIUM = "the paper of a kNN memory inside GPT-2 (medium-term memory)"
FAST = "python -m benchmarks --only fast_weights --json"
FEW = "python -m benchmarks --only few_shot --json"
TERM = "python -m benchmarks --only medium_term_memory --json"


def kept(name):
    """What a benchmark last kept."""
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["results"]


def among(values):
    """The mean of a few runs, between the lowest and the highest."""
    return Ours(sum(values) / len(values), min(values), max(values))


def curves(model, length=8):
    return [c for c in kept("fast_weights")["curves"] if c["model"] == model and c["length"] == length]


@claim(
    FIELD,
    "Eight symbols: the fast-weights network is above .95 after 2,000 steps",
    BA,
    "validation accuracy at step 2,000; three seeds, lowest and highest",
    0.95,
    0.0,
    kind="at least",
    command=FAST,
)
def fast_weights_early(quick):
    return among([c["accuracy"][c["steps"].index(2000)] for c in curves("fast weights")])


@claim(
    FIELD,
    "Eight symbols: the fast-weights network reaches 1.0",
    BA,
    "accuracy after 10,000 steps",
    1.0,
    0.005,
    command=FAST,
)
def fast_weights_end(quick):
    return among([c["accuracy"][-1] for c in curves("fast weights")])


@claim(
    FIELD,
    "Eight symbols: the LSTM stays at the .25 of a guess for 30,000 steps",
    BA,
    "accuracy at step 30,000",
    0.25,
    0.05,
    command=FAST,
    note="Our LSTM, of the same size and head, leaves the plateau sooner.",
)
def lstm_plateau(quick):
    return among([c["accuracy"][c["steps"].index(30000)] for c in curves("LSTM")])


@claim(
    FIELD,
    "Eight symbols: the LSTM climbs to .97 by step 50,000",
    BA,
    "accuracy at step 50,000",
    0.97,
    0.02,
    command=FAST,
    note="None of our three seeds is there by then.",
)
def lstm_end(quick):
    return among([c["accuracy"][-1] for c in curves("LSTM")])


def _noise(model, std, published):
    @claim(
        FIELD,
        f"Noise of {std:g} on the query leaves {model} at {published:g}",
        BA,
        "test accuracy, eight symbols",
        published,
        0.05,
        command=FAST,
        name=f"{model.lower().replace(' ', '-')}-noise-{std:g}",
        note=""
        if model != "LSTM"
        else "Ours, after 50,000 steps, has not learned the task as well without noise.",
    )
    def noise(quick):
        rows = kept("fast_weights")["noise"]
        return next(r["accuracy"] for r in rows if (r["model"], r["length"], r["std"]) == (model, 8, std))


for case in (
    ("fast weights", 0.1, 0.95),
    ("fast weights", 0.2, 0.67),
    ("LSTM", 0.05, 0.72),
    ("LSTM", 0.2, 0.34),
):
    _noise(*case)


def _few_shot(read, published, name):
    @claim(
        FIELD,
        f"5-way 1-shot Omniglot, {name}: {published}",
        "a published Storkey memory on Omniglot, 100,000 episodes",
        "accuracy on new characters, squared error",
        published,
        0.01,
        command=FEW,
        name=f"few-shot-{name.replace(' ', '-')}",
        note="Ours is the mean of three starts, between the lowest and the highest, on the 659 evaluation "
        "classes; ten episodes share the pictures of one step. With the memory or without it ours is about "
        "the same, and so is the layer norm alone, which the published comparison lacks as a control.",
    )
    def few_shot(quick):
        starts = [r for r in kept("few_shot")["each start"] if r["read"] == read]
        return among([r["5-way 1-shot"] for r in starts if r["loss"] == "squared_error"])


_few_shot("no memory", 0.907, "without memory")
_few_shot("Storkey memory", 0.981, "with memory")


def recalled(condition):
    rows = [
        r for r in kept("medium_term_memory") if r["experiment"] == "recall" and r["text says"] == "Vancouver"
    ]
    return next(r["P(Vancouver)"] for r in rows if r["condition"] == condition)


OTHER_MODEL = "Another model, SmolLM2-135M-Instruct for GPT-2; ours is exact, theirs is of 100 samples."


@claim(
    FIELD,
    "The question alone brings the city in 15 of 100",
    MEDIUM,
    "P(first token)",
    0.15,
    0.05,
    command=TERM,
    note=OTHER_MODEL,
)
def city_question(quick):
    return recalled("nothing")


@claim(
    FIELD,
    "With the text in the context: 53 of 100",
    MEDIUM,
    "P(first token)",
    0.53,
    0.05,
    command=TERM,
    note=OTHER_MODEL,
)
def city_context(quick):
    return recalled("text in the context")


@claim(
    FIELD,
    "With the text in the memory of one layer, first token alone: 94 of 100",
    MEDIUM,
    "P(first token)",
    0.94,
    0.05,
    command=TERM,
    note=OTHER_MODEL,
)
def city_memory(quick):
    return recalled("memory, first token")


@claim(
    FIELD,
    "The memory recalls as well as the text in the context, or better",
    MEDIUM,
    "ratio of the two probabilities of the answer",
    1.0,
    0.0,
    kind="at least",
    command=TERM,
)
def memory_beats_context(quick):
    return recalled("memory, first token") / recalled("text in the context")


@claim(
    FIELD,
    "A positive memory raises the median compound sentiment to .99",
    MEDIUM,
    "VADER compound, 100 texts",
    0.99,
    0.05,
    command="python -m benchmarks --only medium_term_sentiment --json",
    note="Another model, and 30 tokens for 50, and the compound saturates with length. Without: 0.",
)
def sentiment(quick):
    return next(r for r in kept("medium_term_sentiment") if r["memory"] == "positive")["compound median"]
