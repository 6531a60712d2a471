"""A kNN memory inside SmolLM2's attention: recall by layer, and its controls.

It needs the file that `energyam lm fetch` brings. Probabilities are exact, of the sampling that the
published method draws with: temperature 0.8, the 200 likeliest tokens.
"""

import dataclasses

import numpy as np

from benchmarks.memory_texts import CATS, CITIES, QUESTION, VANCOUVER
from energyam import lm

TEMPERATURE, TOP_K = 0.8, 200
RECALL = {  # the layer (from 1) and the look-up of each recall setting
    "M_F 5": (24, lm.Lookup.type2, (5, 5.0, 0.9, 1000.0, 0.1)),
    "first token": (30, lm.Lookup.type2, (5, 0.0, 0.0, 1000.0, 0.1)),
}


@dataclasses.dataclass
class Reader:
    """A model and its tokenizer."""

    model: lm.LanguageModel
    tokenizer: object

    def ids(self, text):
        return self.tokenizer.encode(text).ids

    def remember(self, text, layers, rotated=False):
        """A text in some layers, counted from 1, with the line break in front that is dropped."""
        return lm.remember(self.model, self.ids("\n" + text), [n - 1 for n in layers], rotated=rotated)

    def probabilities(self, prompt, answers, *memory):
        """P of the first token of each answer after a prompt."""
        logits = np.asarray(self.model(self.ids(prompt), *memory)[-1]) / TEMPERATURE
        logits[logits < np.sort(logits)[-TOP_K]] = -np.inf
        shares = np.exp(logits - logits.max())
        return [float(shares[self.ids(" " + answer)[0]] / shares.sum()) for answer in answers]


def smollm2():
    return Reader(lm.load("smollm2"), lm.load_tokenizer("smollm2"))


def layer_sweep(reader, layers):
    """P(" Vancouver") with the paragraph in one layer at a time, keys before and after rotation."""
    rows = []
    for rotated in (False, True):
        store = reader.remember(VANCOUVER, layers, rotated)
        for name, (_, kind, settings) in RECALL.items():
            for n in layers:
                memory = store.only([n - 1]), kind(*settings)
                (p,) = reader.probabilities("\n" + QUESTION, ["Vancouver"], *memory)
                rows.append(dict(experiment="layers", lookup=name, rotated=rotated, layer=n, P=p))
    return rows


def recall_controls(reader, cities):
    """P of the city and of its substitute: no memory, the text in the context, the memory, another topic."""
    ask, rows = "\n" + QUESTION, []
    for city in ("Vancouver", *cities):
        text = VANCOUVER.replace("Vancouver", city)
        measured = {"nothing": (ask,), "text in the context": (text + ask,)}
        for name, (layer, kind, settings) in RECALL.items():
            measured[f"memory, {name}"] = (ask, reader.remember(text, [layer]), kind(*settings))
            if city == "Vancouver":
                about_cats = reader.remember(CATS["neutral"], [layer])
                measured[f"other topic, {name}"] = (ask, about_cats, kind(*settings))
                turned = reader.remember(text, [layer], rotated=True)
                measured[f"memory, {name}, rotated"] = (ask, turned, kind(*settings))
        for condition, arguments in measured.items():
            own, substitute = reader.probabilities(arguments[0], ["Vancouver", city], *arguments[1:])
            row = {"experiment": "recall", "text says": city, "condition": condition}
            rows.append(row | {"P(Vancouver)": own, "P(substitute)": substitute})
    return rows


def run(quick: bool) -> list[dict]:
    """Recall by layer and its controls, on SmolLM2-135M-Instruct."""
    reader = smollm2()
    if quick:
        return layer_sweep(reader, [24, 30]) + recall_controls(reader, [])
    return layer_sweep(reader, list(range(1, 31))) + recall_controls(reader, CITIES)


def figure(rows):
    """The layer sweep and the substitution table."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained")
    for ax, show, name in zip(axes, (show_layers, show_substitutes), ("layers", "recall"), strict=True):
        show(ax, [row for row in rows if row["experiment"] == name])
    return fig


def show_layers(ax, rows):
    for i, name in enumerate(RECALL):
        for rotated, style in ((False, "-"), (True, "--")):
            line = [r for r in rows if (r["lookup"], r["rotated"]) == (name, rotated)]
            label = f"{name}, keys {'after' if rotated else 'before'} rotation"
            ax.plot([r["layer"] for r in line], [r["P"] for r in line], style, color=f"C{i}", label=label)
    ax.set(xlabel="layer that remembers (from 1)", ylabel='P(" Vancouver")', title="Recall by layer")
    ax.legend(fontsize=8)


def show_substitutes(ax, rows):
    conditions = ["nothing", "text in the context", *(f"memory, {name}" for name in RECALL)]
    cities = list(dict.fromkeys(r["text says"] for r in rows))
    for i, condition in enumerate(conditions):
        line = [next(r for r in rows if (r["condition"], r["text says"]) == (condition, c)) for c in cities]
        x = np.arange(len(cities)) + 0.2 * (i - 1.5)
        ax.bar(x, [r["P(substitute)"] for r in line], 0.18, color=f"C{i}", label=condition)
        ax.scatter(x, [r["P(Vancouver)"] for r in line], s=10, color="black", zorder=3)
    ax.set(ylabel="P of the city in the text", title="Vancouver replaced (dots: P of Vancouver)")
    ax.set_xticks(range(len(cities)), cities, rotation=30, ha="right", fontsize=8)
    ax.legend(fontsize=8)
