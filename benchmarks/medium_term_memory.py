"""A kNN memory inside SmolLM2's attention: recall by layer, its controls, and what look-ups cost.

It needs the file that `energyam lm fetch` brings. Probabilities are exact, of the sampling that the
published method draws with: temperature 0.8, the 200 likeliest tokens.
"""

import dataclasses

import jax.random as jr
import numpy as np

from benchmarks import harness
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

    model: lm.Llama
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


def costs(reader, contexts, sizes, repeats):
    """Milliseconds of one pass over a context, plain and with a random memory of each size in one layer."""
    rows = []
    layer, kind, settings = RECALL["M_F 5"]
    everywhere, first = kind(*settings), kind(settings[0], 0.0, 0.0, *settings[3:])
    for context in contexts:
        ids = np.arange(context) % 1000
        ways = {"plain": lambda ids=ids: reader.model(ids)}
        for size in sizes:
            store = random_store(reader.model, layer, size)
            ways[size, "all"] = lambda ids=ids, store=store: reader.model(ids, store, everywhere)
            ways[size, "first"] = lambda ids=ids, store=store: reader.model(ids, store, first)
        timings = harness.time_all(ways, repeats)
        plain = timings["plain"].best * 1e3
        for size in sizes:
            extra = {which: timings[size, which].best * 1e3 - plain for which in ("all", "first")}
            row = {"experiment": "cost", "context": context, "memories": size, "plain ms": plain}
            rows.append(row | {f"extra ms, {which}": ms for which, ms in extra.items()})
    return rows


def random_store(model, layer, size):
    """A store of one text, repeated with noise up to `size` memories."""
    base = lm.remember(model, np.arange(2, 42), [layer - 1])
    index = np.arange(size) % len(base)
    shape = (2, *base.bank.keys[:, :, index].shape)
    keys, values = np.asarray(jr.normal(jr.key(size), shape))
    bank = dataclasses.replace(
        base.bank,
        keys=base.bank.keys[:, :, index] + keys,
        values=base.bank.values[:, :, index] + values,
        tokens=base.bank.tokens[index],
        sources=base.bank.sources[index],
    )
    return dataclasses.replace(base, bank=bank)


def run(quick: bool) -> list[dict]:
    """Recall by layer, its controls, and costs, on SmolLM2-135M-Instruct."""
    reader = smollm2()
    if quick:
        return layer_sweep(reader, [24, 30]) + recall_controls(reader, []) + costs(reader, [16], [100], 1)
    rows = layer_sweep(reader, list(range(1, 31))) + recall_controls(reader, CITIES)
    return rows + costs(reader, [16, 64, 256], [100, 1000, 10_000, 100_000], 3)


def figure(rows):
    """The layer sweep, the substitution table, and the cost of a look-up."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 3, figsize=(16, 4.6), layout="constrained")
    for ax, show, name in zip(
        axes, (show_layers, show_substitutes, show_costs), ("layers", "recall", "cost"), strict=True
    ):
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


def show_costs(ax, rows):
    for i, context in enumerate(dict.fromkeys(r["context"] for r in rows)):
        line = [r for r in rows if r["context"] == context]
        sizes = [r["memories"] for r in line]
        for which, style in (("all", "-"), ("first", "--")):
            extra = [max(r[f"extra ms, {which}"], 0.1) for r in line]
            label = f"{context} tokens, {which} look{'' if which == 'all' else 's'} up"
            ax.plot(sizes, extra, style, marker=".", color=f"C{i}", label=label)
        ax.axhline(line[0]["plain ms"], color=f"C{i}", lw=0.7, ls=":")
    ax.set(xscale="log", yscale="log", xlabel="memories", ylabel="extra ms a pass")
    ax.set_title("Cost of look-ups in one layer (dotted: plain pass)")
    ax.legend(fontsize=7)
