"""A judge of memories: how much they hold, how far they reach, what it costs, and whether they say so.

`python -m benchmarks.judge module:function …` asks any callable `recall(patterns, queries)`, numpy in and
numpy out, the fixed questions of `benchmarks/judging.py`, each in a process of its own with a time limit. A
callable that raises, answers with another shape or NaN, or never ends gets a row that says so.
`python -m benchmarks --only judge --json` keeps the table of `benchmarks/contestants.py` and of the other
libraries in `benchmarks/peers.py`, where they are installed. Speed is not kept: it is asked on a machine that
does nothing else, by `python -m benchmarks.judge module:function --only speed`.
"""

import argparse
import contextlib
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

NAMES = ("capacity", "basin", "noise", "correlated", "inverse", "admits", "memory", "speed")
TITLES = {"noise": "a fifth flipped", "correlated": "correlated patterns", "inverse": "inverted patterns"}
TITLES |= {"admits": "says when it failed"}
CONTESTANTS = ("chn", "polynomial", "exponential", "pseudo_inverse", "plain_numpy")
PEERS = ("hopfield_layers", "torchhd_hopfield", "torchhd_modern", "torchhd_sdm")
LIMIT = 120.0  # seconds for one test
COLUMNS = ("memory", "test", "score", "low", "high", "unit", "failure", "detail", "seconds")


def judged(callable_name: str, test: str, limit: float = LIMIT) -> dict[str, Any]:
    """One row: a callable, "module:function", in one test."""
    with tempfile.TemporaryDirectory() as folder:
        answer = pathlib.Path(folder) / "answer.json"
        command = [sys.executable, "-m", "benchmarks.judge", callable_name, "--only", test]
        start = time.perf_counter()
        failure = _finished([*command, "--answer", str(answer)], limit)
        seconds = time.perf_counter() - start
        found = json.loads(answer.read_text("utf-8")) if answer.exists() else {"failure": failure}
    row = dict.fromkeys(COLUMNS) | {"memory": callable_name, "test": test, "failure": "", "detail": ""}
    return row | found | {"seconds": round(seconds, 1)}


def _finished(command, limit):
    """Why the command left no answer, once it has ended, or has been ended with all that it started."""
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, start_new_session=True, **silent) as process:
        try:
            return f"ended with code {process.wait(limit)} and no answer"
        except subprocess.TimeoutExpired:
            return f"did not end within {limit:g} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _answer(callable_name, test, path):
    """The child's part: run one test and write what it found, whatever happens in it."""
    from benchmarks.judging import TESTS, AnswerError

    try:
        module, function = callable_name.split(":")
        recall = getattr(importlib.import_module(module), function)
    except Exception as error:
        found = {"failure": f"could not be loaded: {type(error).__name__}: {error}"}
    else:
        try:
            found = TESTS[test](recall)
        except AnswerError as error:
            found = {"failure": str(error)}
        except BaseException as error:
            found = {"failure": f"raised {type(error).__name__}: {error}"}
    written = path.with_suffix(".part")
    written.write_text(json.dumps(found), "utf-8")
    os.replace(written, path)
    os._exit(0)  # whatever threads the callable has left behind


def run(quick: bool) -> dict[str, list[dict]]:
    """The questions, and all contestants' answers, with time enough for a machine that does other things."""
    from benchmarks.judging import TESTS

    names = [f"benchmarks.contestants:{name}" for name in CONTESTANTS]
    names += [f"benchmarks.peers:{name}" for name in PEERS]
    kept = [test for test in NAMES if test != "speed"]
    pairs = [(name, test) for name in names for test in kept]
    if quick:
        pairs = [(names[4], "noise"), (names[5], "noise")]
    scores = [judged(name, test, 10 * LIMIT) for name, test in pairs]
    for row in scores:
        del row["seconds"]
    questions = [{"test": test, "asks": " ".join((TESTS[test].__doc__ or "").split())} for test in kept]
    return {"scores": scores, "questions": questions}


def figure(results):
    """Scores as bars, a panel for each test that has any, and words where a memory gives no score."""
    import matplotlib.pyplot as plt

    rows = [row for row in results["scores"] if not row["failure"]]
    tests = [test for test in NAMES if any(row["test"] == test for row in rows)]
    names = list(dict.fromkeys(row["memory"] for row in rows))[::-1]
    figure, axes = plt.subplots(
        1, len(tests), figsize=(2.5 * len(tests), 3), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, test in zip(axes[0], tests, strict=True):
        of = {row["memory"]: row for row in rows if row["test"] == test}
        scores = [of[name]["score"] if name in of else None for name in names]
        axis.barh([name.split(":")[-1].replace("_", " ") for name in names], [score or 0 for score in scores])
        for place, score in enumerate(scores):
            if score is None:
                axis.text(0, place, " does not say", va="center", fontsize=8)
        axis.set(title=TITLES.get(test, test), xlabel=next(row["unit"] for row in of.values()))
        if test in ("capacity", "memory"):
            axis.set_xscale("log")
    return figure


def main(arguments: list[str] | None = None) -> None:
    """Judge callables and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=__doc__.split("\n")[0])
    parser.add_argument("callables", nargs="+", metavar="module:function")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="TEST")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for one test")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="keep the rows there too")
    parser.add_argument("--answer", type=pathlib.Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.answer:
        _answer(chosen.callables[0], chosen.only[0], chosen.answer)
        return
    from benchmarks import harness

    rows = [judged(name, test, chosen.limit) for name in chosen.callables for test in chosen.only]
    print(harness.table([{key: "" if row[key] is None else row[key] for key in COLUMNS} for row in rows]))
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
