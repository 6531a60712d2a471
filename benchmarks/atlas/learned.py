"""Claims about trained networks, whose figures other benchmarks have kept: read, not run again."""

import json
import pathlib

from benchmarks.atlas.claim import NotTestedError, claim
from benchmarks.atlas.sources import ATTRACTORS, MEDIUM
from benchmarks.intervals import Ours

FIELD = "trained networks"
RESULTS = pathlib.Path(__file__).parents[1] / "results"
FAST = "python -m benchmarks --only fast_weights --json"
SEED = "python -m benchmarks --only few_shot_seed --json"
TERM = "python -m benchmarks --only medium_term_memory --json"
CURVES = "the curves of repro_fw, read off to ± .02, after Ba et al., arXiv:1610.06258, section 4.1"


def kept(name):
    """What a benchmark last kept; raises `NotTestedError` where it kept nothing."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise NotTestedError(f"`python -m benchmarks --only {name} --json` has not been kept yet.")
    return json.loads(path.read_text("utf-8"))["results"]


def among(values):
    """The mean of a few runs, between the lowest and the highest."""
    return Ours(sum(values) / len(values), min(values), max(values))


def curves(model, length=8):
    return [c for c in kept("fast_weights")["curves"] if c["model"] == model and c["length"] == length]


SHORT = "Ours trains for 10,000 steps in place of 150,000, on fresh sequences, its rate dropped at 7,000."
OTHER_LSTM = (
    "Ours has tanh where the program has relu, reads the hidden state where it reads the cell state, trains "
    "for 50,000 steps in place of 150,000, without the drop of the rate, on fresh sequences."
)


@claim(
    FIELD,
    "Eight symbols: the fast-weights network is above .95 after 2,000 steps",
    ATTRACTORS,
    "validation accuracy at step 2,000; three seeds, lowest and highest",
    0.95,
    0.0,
    kind="at least",
    where=CURVES,
    command=FAST,
    note="Of three seeds two are above.",
)
def fast_weights_early(quick):
    return among([c["accuracy"][c["steps"].index(2000)] for c in curves("fast weights")])


@claim(
    FIELD,
    "Eight symbols: the fast-weights network reaches 1.0",
    ATTRACTORS,
    "accuracy after training; three seeds, lowest and highest",
    1.0,
    0.005,
    where=CURVES,
    setup=SHORT,
    command=FAST,
)
def fast_weights_end(quick):
    return among([c["accuracy"][-1] for c in curves("fast weights")])


@claim(
    FIELD,
    "Eight symbols: the LSTM stays at the .25 of a guess for 30,000 steps",
    ATTRACTORS,
    "accuracy at step 30,000; three seeds, lowest and highest",
    0.25,
    0.02,
    where=CURVES,
    setup=OTHER_LSTM,
    command=FAST,
)
def lstm_plateau(quick):
    return among([c["accuracy"][c["steps"].index(30000)] for c in curves("LSTM")])


@claim(
    FIELD,
    "Eight symbols: the LSTM climbs to .97 by step 50,000",
    ATTRACTORS,
    "accuracy at step 50,000; three seeds, lowest and highest",
    0.97,
    0.02,
    where=CURVES,
    setup=OTHER_LSTM,
    command=FAST,
)
def lstm_end(quick):
    return among([c["accuracy"][-1] for c in curves("LSTM")])


def _noise(model, std, published):
    @claim(
        FIELD,
        f"Noise of {std:g} on the query leaves {model} at {published:g}",
        ATTRACTORS,
        "test accuracy, eight symbols; mean of three seeds",
        published,
        0.02,
        where="outputs/noise.png, read off the figure to ± .02",
        setup=SHORT if model != "LSTM" else OTHER_LSTM,
        command=FAST,
        name=f"{model.lower().replace(' ', '-')}-noise-{std:g}",
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


def _few_shot(column, published, name):
    @claim(
        FIELD,
        f"5-way 1-shot Omniglot, {name}: {published}",
        ATTRACTORS,
        "accuracy on 423 new characters, 80,000 to 100,000 episodes; all starts, lowest and highest",
        published,
        0.01,
        where="the table of its section 3",
        command=SEED,
        name=f"few-shot-{name.replace(' ', '-')}",
        note="The set-up of the program, whose memory subtracts. The tolerance is the 95 % interval of 1,000 "
        "episodes without the memory, ± .007, and a rounding. The published figure is one point of one "
        "training. Ours has five points of each of three starts, as neighbouring points differ by up to .04.",
    )
    def few_shot(quick):
        points = [p for p in kept("few_shot_seed")["curves"] if p["split"] == "shared alphabets"]
        ended = {(p["column"], p["start"]) for p in points if p["steps"] == 100_000}
        late = {}  # column → the last five points of each start
        for point in points:
            if point["steps"] >= 80_000 and (point["column"], point["start"]) in ended:
                late.setdefault(point["column"], []).append(point["accuracy"])
        if not late.get(column):
            raise NotTestedError(f"No start of {column!r} has been trained to its end yet.")
        others = {other: among(values).value for other, values in late.items() if other != column}
        control = ", ".join(f"{other}: {mean:.3f}" for other, mean in others.items())
        return among(late[column])._replace(control=control)


_few_shot("no memory", 0.907, "without memory")
_few_shot("the program's memory", 0.981, "with memory")


def recalled(condition, text="Vancouver"):
    """The probability of the city that a text says, under one condition."""
    rows = [r for r in kept("medium_term_memory") if r["experiment"] == "recall" and r["text says"] == text]
    return next(r["P(substitute)"] for r in rows if r["condition"] == condition)


OTHER_MODEL = "Another model, SmolLM2-135M-Instruct for GPT-2; ours is exact, theirs is of 100 samples."


@claim(
    FIELD,
    "The question alone brings the city in 15 of 100",
    MEDIUM,
    "P(first token)",
    0.15,
    0.005,
    where="table 4",
    setup=OTHER_MODEL,
    command=TERM,
)
def city_question(quick):
    return recalled("nothing")


@claim(
    FIELD,
    "With the text in the context: 53 of 100",
    MEDIUM,
    "P(first token)",
    0.53,
    0.005,
    where="table 4",
    setup=OTHER_MODEL,
    command=TERM,
)
def city_context(quick):
    return recalled("text in the context")


@claim(
    FIELD,
    "With the text in the memory of one layer, first token alone: 94 of 100",
    MEDIUM,
    "P(first token)",
    0.94,
    0.005,
    where="table 4",
    setup=OTHER_MODEL,
    command=TERM,
)
def city_memory(quick):
    return recalled("memory, first token")


@claim(
    FIELD,
    "The memory recalls as well as the text in the context, or better, in most cases",
    MEDIUM,
    "share of nine texts whose city the memory makes at least as likely as the context does",
    0.5,
    0.0,
    kind="at least",
    where="abstract",
    setup=OTHER_MODEL + " The control has each city: nothing, context, memory.",
    command=TERM,
)
def memory_beats_context(quick):
    rows = [r for r in kept("medium_term_memory") if r["experiment"] == "recall"]
    texts = dict.fromkeys(r["text says"] for r in rows)
    conditions = ("nothing", "text in the context", "memory, first token")
    found = {text: [recalled(condition, text) for condition in conditions] for text in texts}
    control = "; ".join(f"{text} {' / '.join(f'{p:.3f}' for p in each)}" for text, each in found.items())
    better = sum(memory >= context for _, context, memory in found.values())
    return Ours(better / len(found), control=control)


@claim(
    FIELD,
    "A memory recalls in layer 10 of 12",
    MEDIUM,
    "the layer whose memory makes the city likeliest, M_F = 5, keys before rotation, over all layers",
    10 / 12,
    1 / 24,
    where="abstract",
    setup="Another model, SmolLM2-135M-Instruct with its 30 layers for GPT-2 with its 12. The tolerance is "
    "half a layer of 12.",
    command=TERM,
)
def recall_layer(quick):
    rows = [r for r in kept("medium_term_memory") if r["experiment"] == "layers" and not r["rotated"]]
    by_layer = {r["layer"]: r["P"] for r in rows if r["lookup"] == "M_F 5"}
    best, second = sorted(by_layer, key=by_layer.get, reverse=True)[:2]
    first = max((r for r in rows if r["lookup"] == "first token"), key=lambda r: r["P"])["layer"]
    control = (
        f"P = {by_layer[best]:.2f} in layer {best}, {by_layer[second]:.2f} in layer {second}, the next best"
    )
    control += f"; where the first token alone looks up, layer {first} is the best"
    return Ours(best / len(by_layer), control=control)


@claim(
    FIELD,
    "A positive memory raises the median compound sentiment to .99",
    MEDIUM,
    "VADER compound, 100 texts",
    0.99,
    0.005,
    where="abstract and table 1",
    setup="Another model, and 30 tokens for 50, and the compound saturates with length. A memory of another "
    "topic raises it further, so that what the memory says is not what raises it.",
    command="python -m benchmarks --only medium_term_sentiment --json",
)
def sentiment(quick):
    rows = [r for r in kept("medium_term_sentiment") if r["form"] == "causal, cached"]
    median = {r["memory"]: r["compound median"] for r in rows}
    control = f"without a memory: {median['none']:.2f}; of another topic: {median['other topic']:.2f}"
    return Ours(median["positive"], control=control)
