"""`energyam lm`: write on from a prompt, with a text in the model's memory and without."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import jax.random as jr
import typer

from energyam.lm.fetch import fetch_smollm2
from energyam.lm.generate import stream
from energyam.lm.load import load
from energyam.lm.lookup import Lookup
from energyam.lm.remember import remember
from energyam.lm.store import MemoryStore
from energyam.lm.tokenizer import load_tokenizer
from energyam.lm.transformer import AbstractLanguageModel

app = typer.Typer(
    help="A language model with a text in its memory.", invoke_without_command=True, no_args_is_help=True
)


@app.callback()
def write(
    prompt: Annotated[str | None, typer.Option(help="what to write on from")] = None,
    memory: Annotated[Path | None, typer.Option(help="a text file to remember, or a saved store")] = None,
    model: Annotated[str, typer.Option(help="folder, .gguf file, hub name, or smollm2")] = "smollm2",
    layers: Annotated[str, typer.Option(help="such as 7,8,9, from 0; by default one at 4/5 depth")] = "",
    kind: Annotated[int, typer.Option(help="the look-up's type, 1, 2 or 3", min=1, max=3)] = 2,
    k: Annotated[int, typer.Option(help="memories read at each place")] = 5,
    mem_frac: Annotated[float, typer.Option(help="0: the first token alone reads")] = 5.0,
    bookkeeping_frac: Annotated[float, typer.Option(help="1: the first token never reads")] = 0.9,
    softmax_scale: Annotated[float, typer.Option(help="large: the best memory alone")] = 1000.0,
    tokens: Annotated[int, typer.Option(help="how many to write")] = 40,
    temperature: Annotated[float, typer.Option(help="0: always the likeliest")] = 0.8,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
    save: Annotated[Path | None, typer.Option(help="where to keep the memory, a .safetensors file")] = None,
) -> None:
    """Write on from --prompt, with --memory and plain."""
    if prompt is None:
        return  # a command of its own follows, or help was shown
    with _told_plainly():
        brain, tokenizer = load(model), load_tokenizer(model)
        ids = tokenizer.encode("\n" + prompt).ids
        settings: dict[str, Any] = dict(max_new_tokens=tokens, temperature=temperature, key=jr.key(seed))
        if memory is not None:
            lookup_of = {1: Lookup.type1, 2: Lookup.type2, 3: Lookup.type3}[kind]
            lookup = lookup_of(k, mem_frac, bookkeeping_frac, softmax_scale)
            store = _store(brain, tokenizer, memory, layers)
            print(f"{len(store)} memories in layers {list(store.layers)}", file=sys.stderr)
            if save is not None:
                store.save(save)
            _show("with the memory", prompt, tokenizer, stream(brain, ids, store, lookup, **settings))
        _show("plain", prompt, tokenizer, stream(brain, ids, **settings))


@app.command()
def fetch() -> None:
    """Bring SmolLM2-135M-Instruct (98 MB) into the cache folder, unless it is on this machine."""
    with _told_plainly():
        print(fetch_smollm2())


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Errors of the input as one line, and exit code 2."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        print(f"energyam lm: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def _store(model: AbstractLanguageModel, tokenizer: Any, memory: Path, layers: str) -> MemoryStore:
    """A saved store, or a text read with a line break in front, whose vector is dropped."""
    if memory.suffix == ".safetensors":
        return MemoryStore.load(memory, model)
    chosen = [int(n) for n in layers.split(",")] if layers else [round(0.8 * model.num_layers) - 1]
    ids = tokenizer.encode("\n" + memory.read_text(encoding="utf-8").strip()).ids
    return remember(model, ids, chosen, name=memory.name)


def _show(title: str, prompt: str, tokenizer: Any, tokens: Iterator[int]) -> None:
    """Print a text as it grows; a character of several tokens appears with the last of them."""
    print(f"-- {title}\n{prompt}", end="", flush=True)
    written: list[int] = []
    shown = ""
    for token in tokens:
        written.append(token)
        text = tokenizer.decode(written)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            print(text[len(shown) :], end="", flush=True)
            shown = text
    print()
