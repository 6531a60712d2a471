"""`energyam lm` continues a prompt, with and without a text in the model's memory."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import jax.random as jr
import typer

from energyam.console import errors_in_one_line
from energyam.files import check_target
from energyam.lm.fetch import fetch_smollm2
from energyam.lm.generate import stream
from energyam.lm.load import load
from energyam.lm.lookup import Lookup
from energyam.lm.remember import remember
from energyam.lm.store import MemoryStore
from energyam.lm.tokenizer import decode_after, load_tokenizer
from energyam.lm.transformer import LanguageModel

if TYPE_CHECKING:
    from typer import Context
else:
    Context = typer.Context.__base__  # typer passes one of these, and marks them by a class of its own

_HELP = (
    "Continue a prompt with a language model, once with a text in its memory and once without.\n\n"
    "Recall works best for a name that the model knows and the text repeats, if the prompt leads up to it."
    " The default model, SmolLM2, is small: with the default options it names a city that three sentences"
    " mention, but rarely a name that the text mentions once. Other models may need other --layers."
)

app = typer.Typer(help=_HELP, invoke_without_command=True, no_args_is_help=True)


@app.callback()
def write(
    context: Context,
    prompt: Annotated[str | None, typer.Option(help="the text to continue")] = None,
    memory: Annotated[Path | None, typer.Option(help="a text file to remember, or a saved store")] = None,
    model: Annotated[str, typer.Option(help="folder, .gguf file, hub name, or smollm2")] = "smollm2",
    tokenizer: Annotated[str | None, typer.Option(help="folder of the tokenizer, if not the model's")] = None,
    layers: Annotated[
        str,
        typer.Option(help="layers with a memory, such as 7,8,9, from 0; by default 4/5 deep and the last"),
    ] = "",
    kind: Annotated[int, typer.Option(help="type of the look-up: 1, 2 or 3", min=1, max=3)] = 2,
    k: Annotated[int, typer.Option(help="memories that each token reads", min=1)] = 5,
    mem_frac: Annotated[
        float,
        typer.Option(help="a token with 1/(this · length) of the attention reads; 0: only the first token"),
    ] = 5.0,
    bookkeeping_frac: Annotated[
        float, typer.Option(help="the first token reads above this share of the attention; 1: never")
    ] = 0.0,
    softmax_scale: Annotated[
        float, typer.Option(help="sharpness of the read; large values read only the best memory")
    ] = 1000.0,
    tokens: Annotated[int, typer.Option(help="the most tokens to write", min=1)] = 40,
    temperature: Annotated[
        float, typer.Option(help="randomness of the text; 0 always takes the most likely token")
    ] = 0.8,
    seed: Annotated[int, typer.Option(help="seed of the random draws")] = 0,
    save: Annotated[Path | None, typer.Option(help="file to save the memory in, .safetensors")] = None,
) -> None:
    """Continue --prompt with --memory, and without it."""
    if context.invoked_subcommand is not None:
        return
    with errors_in_one_line("energyam lm"):
        if prompt is None:
            raise ValueError("--prompt must be given, the text to continue (--help lists all options)")
        _check_options(memory, layers, save)
        if save is not None:
            check_target(save, "--save")
        brain, words = load(model), load_tokenizer(tokenizer or model)
        ids = words.encode("\n" + prompt).ids
        settings: dict[str, Any] = dict(max_new_tokens=tokens, temperature=temperature, key=jr.key(seed))
        if memory is not None:
            lookup_of = {1: Lookup.type1, 2: Lookup.type2, 3: Lookup.type3}[kind]
            lookup = lookup_of(k, mem_frac, bookkeeping_frac, softmax_scale)
            store = _store(brain, words, memory, layers)
            print(f"{len(store)} memories in layers {list(store.layers)}", file=sys.stderr)
            if save is not None:
                store.save(save)
            _show("with the memory", prompt, brain, words, ids, stream(brain, ids, store, lookup, **settings))
        _show("plain", prompt, brain, words, ids, stream(brain, ids, **settings))


@app.command()
def fetch() -> None:
    """Download SmolLM2-135M-Instruct (98 MB) into the cache folder, unless it is already on this machine."""
    with errors_in_one_line("energyam lm"):
        print(fetch_smollm2())


def _check_options(memory: Path | None, layers: str, save: Path | None) -> None:
    for name, value in (("--layers", layers), ("--save", save)):
        if value and memory is None:
            raise ValueError(f"{name} needs a memory: add --memory with a text file or a saved store")
    if save is not None and save.suffix != ".safetensors":
        raise ValueError(f"--save must end in .safetensors, so that --memory can read it; got {str(save)!r}")


def _store(model: LanguageModel, tokenizer: Any, memory: Path, layers: str) -> MemoryStore:
    """A saved store, or a text read with a line break in front, whose vector is dropped."""
    chosen = _layers(layers, model.num_layers)
    if memory.suffix == ".safetensors":
        store = MemoryStore.load(memory, model)
        return store.only(chosen) if chosen else store
    ids = tokenizer.encode("\n" + _text(memory)).ids
    # At 4/5 of the depth and the last: of SmolLM2's, those that recall best together.
    usual = sorted({max(0, round(0.8 * model.num_layers) - 1), model.num_layers - 1})
    return remember(model, ids, chosen or usual, name=memory.name)


def _layers(layers: str, num_layers: int) -> list[int]:
    try:
        chosen = [int(n) for n in layers.split(",")] if layers.strip() else []
    except ValueError:
        chosen = [-1]
    if any(not 0 <= n < num_layers for n in chosen) or len(set(chosen)) < len(chosen):
        wanted = f"different numbers from 0 to {num_layers - 1}, with commas between them, such as 0,1"
        raise ValueError(f"--layers must be {wanted}; got {layers!r}")
    return chosen


def _text(memory: Path) -> str:
    try:
        text = memory.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError:
        wanted = "a text in UTF-8 or a saved .safetensors store"
        raise ValueError(f"--memory must be {wanted}; got {memory}") from None
    if not text:
        raise ValueError(f"--memory must be a text to remember; {memory} is empty")
    return text


def _show(title, prompt, model: LanguageModel, tokenizer: Any, ids: list[int], tokens: Iterator[int]) -> None:
    """Print a text as it grows; a character of several tokens appears with the last of them."""
    print(f"-- {title}\n{prompt}", end="", flush=True)
    written: list[int] = []
    shown = ""
    for token in tokens:
        if token in model.end_tokens:
            break
        written.append(token)
        text = decode_after(tokenizer, ids, written)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            print(text[len(shown) :], end="", flush=True)
            shown = text
    print()
