"""Sentiment of SmolLM2 with texts about cats in its memory: VADER scores over seeds, with controls.

It needs the file that `energyam lm fetch` brings, and the extra `sentiment`. Type 3 with the parameters
of the write-up's table 1, in layers 18 to 22 of 30.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from benchmarks.medium_term_memory import TEMPERATURE, TOP_K, smollm2
from benchmarks.memory_texts import CATS, CATS_PROMPT
from energyam import lm

LAYERS = [18, 19, 20, 21, 22]  # from 1
SETTINGS = (5, 5.0, 0.9, 0.01, 0.33)
AT_ONCE = 20


def sentiment(reader, memories, seeds, tokens, cached):
    """Quartiles over seeds of VADER's compound score of what follows the prompt, for each memory."""
    rows = []
    for name in ("none", *memories):
        memory = ()
        if name != "none":
            memory = reader.remember(CATS[name], LAYERS), lm.Lookup.type3(*SETTINGS, causal=cached)
        texts = write_many(reader, memory, seeds, tokens, cached)
        scores = lm.sentiment(texts)
        low, median, high = np.quantile(scores.compound, [0.25, 0.5, 0.75])
        rows.append(
            {
                "form": "causal, cached" if cached else "as published",
                "memory": name,
                "seeds": seeds,
                "tokens": tokens,
                "compound Q1": low,
                "compound median": median,
                "compound Q3": high,
                "positive share": float(scores.positive.mean()),
                "negative share": float(scores.negative.mean()),
                "texts that say cat": sum("cat" in text.lower() for text in texts) / seeds,
                "first text": texts[0],
            }
        )
    return rows


def write_many(reader, memory, seeds, tokens, cached):
    """One text a seed, some at a time."""
    prompt = jnp.array(reader.ids("\n" + CATS_PROMPT))
    write = lm.generate_cached if cached else lm.generate
    sampling = dict(max_new_tokens=tokens, temperature=TEMPERATURE, top_k=TOP_K)

    @eqx.filter_jit
    def some(model, memory, keys):
        return jax.vmap(lambda key: write(model, prompt, *memory, **sampling, key=key))(keys)

    keys = jr.split(jr.key(1337), seeds)
    batches = [some(reader.model, memory, keys[i : i + AT_ONCE]) for i in range(0, seeds, AT_ONCE)]
    return [reader.tokenizer.decode(row.tolist()) for row in np.concatenate(batches)]


def run(quick: bool) -> list[dict]:
    """The causal form over 100 seeds for each memory, and the published form over 16."""
    reader = smollm2()
    if quick:
        return sentiment(reader, ["positive"], 2, 3, True)
    rows = sentiment(reader, list(CATS), 100, 30, True)
    return rows + sentiment(reader, ["positive"], 16, 20, False)


def figure(rows):
    """Medians and quartiles by memory."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    low, median, high = (np.array([r[f"compound {q}"] for r in rows]) for q in ("Q1", "median", "Q3"))
    x = np.arange(len(rows))
    ax.errorbar(x, median, [median - low, high - median], fmt="o", capsize=4)
    ax.axhline(0, color="grey", lw=0.5)
    ax.set_xticks(x, [f"{r['memory']}\n{r['form']}\n{r['seeds']} seeds" for r in rows], fontsize=7)
    ax.set(ylabel="VADER compound", title=f'After "{CATS_PROMPT}": median and quartiles, by memory')
    return fig
