"""The command line: the demo on 1,024 glyphs, `recall` on your own pictures, and `lm`.

`python -m energyam` runs the demo; `energyam recall --patterns FOLDER --query FILE --noise 0.25` recalls.
"""

import shutil
import sys
import time
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, cast

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import typer
from jaxtyping import Array, PRNGKeyArray
from tqdm import tqdm

import energyam as eam
from energyam import checks, pictures
from energyam.console import errors_in_one_line

_HELP = "Associative memories: a memory is an energy, and recall goes downhill on it."
app = typer.Typer(help=_HELP, add_completion=False, pretty_exceptions_enable=False)

_DEMO_FOLDER, _RECALL_FILE = Path("energyam-demo"), Path("recall.gif")
_VIDEOS = (".mp4", ".webm")
_MAX_SWEEPS = 20
_HEADER = ("memory", "stored", "noise", "exact recalls", "bits right", "sweeps", "seconds")
_WIDTHS = (8, 7, 15, 12, 8, 9)


Memory = StrEnum("Memory", ["chn", "polynomial", "exponential"])
Side = StrEnum("Side", ["top", "bottom", "left", "right"])  # the half of a picture that `--mask` takes away

_CASES = (  # memory, how many it stores, and its n where the demo's own --n is not meant
    (Memory.chn, 2, None),
    (Memory.chn, 1024, None),
    (Memory.polynomial, 100, 6),
    (Memory.polynomial, 1024, None),
    (Memory.exponential, 1024, None),
)


def _memory_of(name: str) -> Memory:
    """A memory by its short name or its class, in letters of either case."""
    short = name.lower().removesuffix("denseam")
    if short not in list(Memory):
        raise typer.BadParameter(f"must be CHN, PolynomialDenseAM or ExponentialDenseAM; got {name!r}")
    return Memory(short)


Noise = Annotated[float, typer.Option(min=0, max=1, help="share of the bits to flip")]
Beta = Annotated[float, typer.Option(help="inverse temperature of the exponential memory")]
Degree = Annotated[int, typer.Option("--n", min=1, help="order of the polynomial memory")]
Seed = Annotated[int, typer.Option(help="seed of the noise and of the order of updates")]


def _show_version(asked: bool) -> bool:
    if asked:
        print(f"energyam {version('energyam')}")
        raise typer.Exit
    return asked


@app.callback()
def common(
    asked: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="print it and stop")
    ] = False,
) -> None:
    """Associative memories: a memory is an energy, and recall goes downhill on it."""


@app.command()
def demo(
    noise: Noise = 0.25,
    queries: Annotated[int, typer.Option(min=1, max=1024, help="how many glyphs to ask for")] = 100,
    n: Degree = 30,
    beta: Beta = 50.0,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="folder for the animation and the figure")] = _DEMO_FOLDER,
) -> None:
    """Store 1,024 glyphs, corrupt some, and recall them with three memories (the default command)."""
    with errors_in_one_line("energyam"):
        key = _key(seed)
        out.mkdir(parents=True, exist_ok=True)
        _demo(noise, queries, n, beta, key, out)


@app.command()
def recall(
    patterns: Annotated[Path, typer.Option(help="folder of the pictures to store")],
    query: Annotated[Path, typer.Option(help="the picture to start from")],
    noise: Noise = 0.0,
    mask: Annotated[Side | None, typer.Option(help="half of the query to take away")] = None,
    binary: Annotated[
        bool, typer.Option("--binary", help="cut the pictures into black and white, as for stencils and text")
    ] = False,
    memory: Annotated[
        Memory | None,
        typer.Option(
            parser=_memory_of,
            metavar="CLASS",
            help="for black and white pictures: CHN (the classical Hopfield network), PolynomialDenseAM or"
            " ExponentialDenseAM; for grey ones it is always GaussianDenseAM",
        ),
    ] = None,
    n: Degree = 30,
    beta: Annotated[
        float | None, typer.Option(help="inverse temperature; chosen from the pictures by default")
    ] = None,
    size: Annotated[int, typer.Option(min=2, max=512, help="side of the stored pictures, in pixels")] = 48,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="a .gif, .mp4 or .webm, or a .png figure")] = _RECALL_FILE,
) -> None:
    """Store a folder of your own pictures and recall one of them from a damaged copy.

    Pictures are recalled in grey; with --binary or --memory they are cut into black and white.
    """
    with errors_in_one_line("energyam"):
        damage, order = jr.split(_key(seed))
        _make_ready(out)
        binary = binary or memory is not None
        stored = pictures.stored_pictures(patterns, (size, size), binary)
        shades = "cut into black and white" if binary else "in grey; colours are dropped"
        print(f"stored {len(stored.names)} pictures of {size} x {size} pixels, {shades}")
        picture = eam.datasets.load_image(query, (size, size), binary=binary)
        picture = picture if binary else pictures.evened(picture)
        built: Any = None if binary else pictures.grey_memory(stored.patterns, beta)
        if binary:
            built = _build(memory or Memory.exponential, stored.patterns, n, 50.0 if beta is None else beta)
        print(f"recalling {query.name} ...", flush=True)
        side = None if mask is None else cast(Any, mask.value)
        state, known = pictures.damaged(jnp.asarray(picture), noise, side, binary, key=damage)
        result = pictures.recalled(built, state, known, _MAX_SWEEPS, key=order)
        print("\n".join(pictures.described(built, stored, result)))
        pictures.draw(result, type(built).__name__, stored, out)
        print(f"wrote {out}")


@app.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
def lm(
    arguments: Annotated[list[str] | None, typer.Argument(help="`energyam lm --help` lists them")] = None,
) -> None:
    """Continue a prompt with a language model that has a text in its memory."""
    from energyam.lm.command import app as language_models

    language_models(arguments or [], prog_name="energyam lm")


def main() -> None:
    """Run the command that was given, or the demo."""
    app(sys.argv[1:] or ["demo"], prog_name="energyam")


def _key(seed: int) -> PRNGKeyArray:
    return jr.key(checks.count("--seed", seed, least=0, most=2**32 - 1))


def _make_ready(out: Path) -> None:
    """Raise an error, before any work, where the answer could not be written to `out`; make its folder."""
    suffix = out.suffix.lower()
    if suffix not in (".gif", ".png", *_VIDEOS):
        raise ValueError(f"--out must end in .gif, .mp4, .webm or .png; got {str(out)!r}")
    if suffix in _VIDEOS and shutil.which("ffmpeg") is None:
        raise ValueError(f"--out {out} needs ffmpeg, which is not installed; a .gif needs nothing")
    if out.is_dir():
        raise ValueError(f"--out must be a file; got {str(out)!r}, which is a folder")
    out.parent.mkdir(parents=True, exist_ok=True)


def _demo(noise: int | float, queries: int, n: int, beta: int | float, key: PRNGKeyArray, out: Path) -> None:
    """Fill the table line by line, then draw what each memory recalled and how the last one did."""
    picking, damage, order = jr.split(key, 3)
    glyphs = jr.permutation(picking, jnp.asarray(eam.datasets.glyphs().reshape(-1, 48 * 48)))
    noisy = eam.datasets.flip_bits(glyphs[:queries], noise, key=damage)
    print("Pictures of 48 x 48 bits, recalled from copies with bits flipped; seconds after compilation.")
    print(_line(*_HEADER), flush=True)
    answers, names = [], []
    for memory, stored, fixed in tqdm(_CASES, desc="memories", leave=False, disable=None):
        degree = fixed or n
        built = _build(memory, glyphs[:stored], degree, beta)
        result, seconds = _timed_recall(built, noisy[:stored], order)
        name, scores = _name(memory, degree, beta), _score(result, glyphs)
        tqdm.write(_line(name, f"{stored:,}", f"{noise:.0%}", *scores, f"{seconds:.2f}"))
        sys.stdout.flush()
        answers.append(result)
        names.append(f"{name}\n{stored:,} stored")
    _draw_demo(glyphs, noisy, answers[1:], names[1:], out)


def _draw_demo(glyphs: Array, noisy: Array, answers: list[eam.Recall], names: list[str], out: Path) -> None:
    shown = min(10, len(noisy))
    rows = jnp.concatenate([glyphs[:shown], noisy[:shown], *(answer.state[:shown] for answer in answers)])
    named = ["stored", "query", *names]
    eam.plotting.show_patterns(rows, columns=shown, rows=named).savefig(out / "memories.png")
    eam.plotting.animate(answers[-1]).save(out / "recall.gif")
    print(f"wrote {out / 'recall.gif'} and {out / 'memories.png'}")


def _timed_recall(memory: Any, queries: Array, key: PRNGKeyArray) -> tuple[eam.Recall, float]:
    """A batch of recalls and their seconds; a first run of the same call is there to compile."""
    jax.block_until_ready(eam.recall(memory, queries, key=key, max_steps=_MAX_SWEEPS))
    begin = time.perf_counter()
    result = eam.recall(memory, queries, key=key, max_steps=_MAX_SWEEPS)
    jax.block_until_ready(result)
    return result, time.perf_counter() - begin


def _score(result: eam.Recall, originals: Array) -> tuple[str, str, str]:
    """Exact recalls, bits right, and mean sweeps, as the table shows them."""
    right = np.asarray(result.state == originals[: len(result.state)])
    exact, sweeps = int(right.all(axis=1).sum()), float(result.num_steps.mean())
    return f"{exact} of {len(right)}", f"{right.mean():.2%}", f"{sweeps:.1f}"


def _line(name: str, *cells: str) -> str:
    return name.ljust(17) + "".join(cell.rjust(w) for cell, w in zip(cells, _WIDTHS, strict=True))


def _name(memory: Memory, n: int, beta: int | float) -> str:
    return {"chn": "CHN", "polynomial": f"polynomial {n}", "exponential": f"exponential {beta:g}"}[memory]


def _build(memory: Memory, patterns: Any, n: int, beta: int | float) -> Any:
    if memory is Memory.chn:
        return eam.CHN(patterns)
    if memory is Memory.polynomial:
        return eam.PolynomialDenseAM(patterns, n)
    return eam.ExponentialDenseAM(patterns, beta)
