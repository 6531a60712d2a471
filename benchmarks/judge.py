"""A judge of memories: how much they hold, how far they reach, what it costs, and whether they say so.

`python -m benchmarks.judge module:function …` asks any callable `recall(patterns, queries)`, numpy in and
numpy out, the fixed questions of `benchmarks/judging.py`, each in a process of its own with a time limit. A
callable that raises, answers with another shape or NaN, or never ends gets a row that says so.
`python -m benchmarks --only judge --json` keeps the table of `benchmarks/contestants.py`.
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

NAMES = ("capacity", "basin", "noise", "correlated", "inverse", "admits", "cost")
CONTESTANTS = ("chn", "polynomial", "exponential", "pseudo_inverse", "plain_numpy")
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


def run(quick: bool) -> list[dict]:
    """Every test of every contestant, with time enough for a machine that does other things too."""
    names = CONTESTANTS[-1:] if quick else CONTESTANTS
    return [
        judged(f"benchmarks.contestants:{name}", test, 10 * LIMIT)
        for name in names
        for test in (NAMES[2:3] if quick else NAMES)
    ]


def figure(rows):
    """Scores as bars, a panel for each test that has any."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(NAMES), figsize=(16, 2.6), sharey=True, layout="constrained")
    for axis, test in zip(axes, NAMES, strict=True):
        mine = [row for row in rows if row["test"] == test][::-1]
        labels = [row["memory"].split(":")[-1].replace("_", " ") for row in mine]
        axis.barh(labels, [row["score"] or 0 for row in mine])
        axis.set(title=test, xlabel=next((row["unit"] for row in mine if row["unit"]), ""))
        if test in ("capacity", "cost"):
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
