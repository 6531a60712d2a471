"""What look-ups cost SmolLM2: processor time of a pass, against the length of context and of memory.

It needs the file that `energyam lm fetch` brings. In the published form each new token takes one pass over
the context. Times are of the processor, all threads together, so that other work on the machine counts
little.
"""

import dataclasses
import time

import jax
import jax.random as jr
import numpy as np

from benchmarks.medium_term_memory import RECALL, smollm2
from energyam import lm


def costs(model, contexts, sizes, repeats):
    """Milliseconds of one pass over a context, plain and with a random memory of each size in one layer."""
    rows = []
    layer, kind, settings = RECALL["M_F 5"]
    lookups = {"all": kind(*settings), "first": kind(settings[0], 0.0, 0.0, *settings[3:])}
    for context in contexts:
        ids = np.arange(context) % 1000
        for size in sizes:
            store = random_store(model, layer, size)
            ways = {"plain": lambda ids=ids: model(ids)}
            for name, lookup in lookups.items():
                ways[name] = lambda ids=ids, store=store, lookup=lookup: model(ids, store, lookup)
            plain, everywhere, first = processor_ms(ways, repeats).values()
            rows.append(
                {
                    "context": context,
                    "memories": size,
                    "plain ms": plain,
                    "extra ms, all": everywhere - plain,
                    "extra ms, first": first - plain,
                    "extra %, all": 100 * (everywhere / plain - 1),
                    "extra %, first": 100 * (first / plain - 1),
                }
            )
    return rows


def processor_ms(ways, repeats):
    """The least processor time of each way, taken in turns."""
    times = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, call in ways.items():
            start = time.process_time()
            jax.block_until_ready(call())
            times[name].append((time.process_time() - start) * 1e3)
    return {name: min(taken[1:]) for name, taken in times.items()}  # the first compiles


def random_store(model, layer, size):
    """A store of one text, repeated with noise up to `size` memories."""
    base = lm.remember(model, np.arange(2, 42), [layer - 1])
    index = np.arange(size) % len(base)
    shape = (2, *base.bank.keys[:, :, index].shape)
    keys, values = jr.normal(jr.key(size), shape)
    bank = dataclasses.replace(
        base.bank,
        keys=base.bank.keys[:, :, index] + keys,
        values=base.bank.values[:, :, index] + values,
        tokens=base.bank.tokens[index],
        sources=base.bank.sources[index],
    )
    return dataclasses.replace(base, bank=bank)


def run(quick: bool) -> list[dict]:
    """Contexts of 16 to 256 tokens, memories from 100 to 100,000."""
    model = smollm2().model
    if quick:
        return costs(model, [16], [100], 1)
    return costs(model, [16, 64, 256], [100, 1000, 10_000, 100_000], 4)


def figure(rows):
    """Extra time over the size of the memory, for each length of context."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for i, context in enumerate(dict.fromkeys(r["context"] for r in rows)):
        line = [r for r in rows if r["context"] == context]
        sizes = [r["memories"] for r in line]
        for which, style in (("all", "-"), ("first", "--")):
            label = f"{context} tokens, {which} look{'' if which == 'all' else 's'} up"
            ax.plot(
                sizes, [r[f"extra %, {which}"] for r in line], style, marker=".", color=f"C{i}", label=label
            )
    ax.set_yscale("symlog", linthresh=5)
    ax.axhline(0, color="grey", lw=0.5)
    ax.set(xscale="log", xlabel="memories", ylabel="extra processor time, % of a plain pass")
    ax.legend(fontsize=8)
    return fig
