"""The judge: its questions answer known memories rightly, and no callable, however bad, stops it."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

from benchmarks import judge, judging
from benchmarks.contestants import plain_numpy

BAD = """
import os, time
import numpy as np

def raises(patterns, queries):
    raise RuntimeError("no memory today")

def leaves(patterns, queries):
    raise SystemExit(3)

def dies(patterns, queries):
    os._exit(7)

def of_another_shape(patterns, queries):
    return queries[:, :-1]

def of_nan(patterns, queries):
    return np.where(queries > 0, np.nan, queries)

def of_infinity(patterns, queries):
    return queries / 0.0

def of_ragged_rows(patterns, queries):
    return [row[: 1 + i] for i, row in enumerate(queries)]

def of_nothing(patterns, queries):
    pass

def crashes(patterns, queries):
    os.kill(os.getpid(), 11)

def goes_too_deep(patterns, queries):
    return goes_too_deep(patterns, queries)

def of_words(patterns, queries):
    return "patterns"

def of_three(patterns, queries):
    return queries, queries, queries

def unsure_of_too_many(patterns, queries):
    return queries, np.ones(len(queries) + 1)

def never_ends(patterns, queries):
    while True:
        time.sleep(1)

def fine(patterns, queries):
    print("to nobody")
    patterns[:] = 0
    return queries
"""


@pytest.fixture
def bad(tmp_path, monkeypatch):
    (tmp_path / "bad_callables.py").write_text(BAD, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("raises", "raised RuntimeError: no memory today"),
        ("leaves", "raised SystemExit: 3"),
        ("dies", "ended with code 7 and no answer"),
        ("of_another_shape", "returned states of shape (12, 63), not (12, 64)"),
        ("of_nan", "returned states with NaN or infinity"),
        ("of_infinity", "returned states with NaN or infinity"),
        ("of_ragged_rows", "returned states that are no array of numbers: list"),
        ("of_nothing", "returned states of shape (), not (12, 64)"),
        ("crashes", "ended with code -11 and no answer"),
        ("goes_too_deep", "raised RecursionError: maximum recursion depth exceeded"),
        ("of_words", "returned states that are no array of numbers: str"),
        ("of_three", "returned 3 things, not states or a pair (states, sure)"),
        ("unsure_of_too_many", "returned sure of shape (13,), not (12,)"),
        ("missing", "could not be loaded: AttributeError"),
        ("fine", ""),
    ],
)
def test_a_bad_callable_gets_a_row_that_says_so(bad, name, failure):
    row = judge.judged(f"bad_callables:{name}", "noise", limit=60)
    assert row["failure"].startswith(failure) and tuple(row) == judge.COLUMNS
    assert (row["score"] is None) == bool(failure)


def test_one_that_never_ends_is_ended(bad):
    row = judge.judged("bad_callables:never_ends", "noise", limit=3)
    assert (row["failure"], row["score"]) == ("did not end within 3 s", None)
    assert row["seconds"] < 30


def test_a_module_that_never_ends_loading_is_ended_with_all_that_it_started(tmp_path, monkeypatch):
    started = tmp_path / "pid"
    text = f"""
import pathlib, subprocess, time
child = subprocess.Popen(["sleep", "600"])
pathlib.Path({str(started)!r}).write_text(str(child.pid))
time.sleep(600)
"""
    (tmp_path / "never_loads.py").write_text(text, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    row = judge.judged("never_loads:recall", "noise", limit=5)
    assert row["failure"] == "did not end within 5 s"
    child = pathlib.Path("/proc", started.read_text())
    assert not child.exists() or "Z" in (child / "stat").read_text().split(") ")[1][:1]


def test_a_name_without_a_function_or_module_is_a_row_too(bad):
    for name in ("bad_callables", "no_such_module:recall", "bad_callables:raises:twice"):
        assert judge.judged(name, "noise", limit=60)["failure"].startswith("could not be loaded")


def test_the_table_of_many_goes_on_after_a_bad_one(bad, tmp_path, capsys):
    kept = tmp_path / "rows.json"
    judge.main(
        ["bad_callables:raises", "bad_callables:fine", "--only", "noise", "inverse", "--json", str(kept)]
    )
    rows = json.loads(kept.read_text("utf-8"))
    assert [bool(row["failure"]) for row in rows] == [True, True, False, False]
    assert "no memory today" in capsys.readouterr().out


def nearest(patterns, queries):
    """The pattern nearest to each query: what no memory beats; sure where it is near."""
    overlaps = queries @ patterns.T
    return patterns[overlaps.argmax(axis=1)], overlaps.max(axis=1) > 0.6 * patterns.shape[1]


def itself(patterns, queries):
    """A memory of nothing."""
    return queries


def test_the_questions_tell_a_perfect_memory_from_none():
    assert judging.capacity(nearest)["score"] == 2048 and judging.capacity(itself)["score"] == 0
    assert judging.basin(nearest)["score"] > 0.3 > 0.03 > judging.basin(itself)["score"] - 0.03
    assert judging.noise(nearest)["score"] == 1 and judging.noise(itself)["score"] == 0
    assert judging.correlated(nearest)["score"] > 0.9 and judging.correlated(itself)["score"] == 0
    assert judging.inverse(itself)["score"] == 1 and judging.inverse(nearest)["score"] == 0
    assert judging.admits(nearest)["score"] > 0.95 and judging.admits(itself)["score"] is None
    assert judging.speed(itself)["score"] > 0 and judging.memory(itself)["score"] >= 0


def test_a_memory_that_is_always_sure_does_not_say_when_it_failed():
    found = judging.admits(lambda patterns, queries: (nearest(patterns, queries)[0], np.ones(len(queries))))
    assert found["score"] == 0.5


def test_a_plain_network_is_as_good_as_hopfields():
    assert judging.capacity(plain_numpy)["score"] == 4
    assert 0.25 < judging.noise(plain_numpy)["score"] < 0.45
    assert judging.correlated(plain_numpy)["score"] < 0.05


def test_every_test_is_named_by_the_judge():
    assert judge.NAMES == tuple(judging.TESTS)


@pytest.mark.parametrize("name", judge.PEERS)
def test_a_library_that_is_not_installed_is_a_row_that_says_so(name):
    library = "hflayers" if name == "hopfield_layers" else "torchhd"
    failure = judge.judged(f"benchmarks.peers:{name}", "noise", limit=100)["failure"]
    there = all(importlib.util.find_spec(one) for one in (library, "torch"))
    assert failure == "" if there else failure.startswith("raised ModuleNotFoundError: No module named")
