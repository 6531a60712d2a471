"""The benchmark runner, and that the benchmarks of speed run at all."""

import json

import pytest

from benchmarks import harness
from benchmarks.__main__ import main, registry


def test_every_benchmark_says_what_it_is(capsys):
    main(["--list"])
    listed = capsys.readouterr().out.splitlines()
    assert {"reads", "sync", "sdm", "imports", "memory", "recall"} <= set(registry())
    assert len(listed) == len(registry()) and all(registry().values())


def test_an_unknown_benchmark_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--only", "speed"])
    assert "invalid choice: 'speed'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["reads", "separations", "sync", "sdm"])
def test_benchmarks_run_and_keep_their_results(name, tmp_path, capsys):
    main(["--quick", "--only", name, "--json", str(tmp_path)])
    kept = json.loads((tmp_path / f"{name}.json").read_text())
    assert kept["benchmark"] == name and {"device", "cores", "versions"} <= set(kept["machine"])
    assert all(value is not None for row in kept["results"] for value in row.values())
    assert f"kept in {tmp_path}" in capsys.readouterr().out


def test_ways_are_timed_in_turns():
    calls = []
    timings = harness.time_all({name: lambda name=name: calls.append(name) for name in "ab"}, repeats=3)
    assert calls == list("ab" + 3 * "aabb")
    assert len(timings["a"].seconds) == 3 and timings["a"].best <= timings["a"].median


def test_tables_have_a_column_for_every_key():
    text = harness.table([{"way": "one", "ms": 1.23456}, {"way": "two", "extra": 3}])
    assert [line.split() for line in text.splitlines()] == [
        ["way", "ms", "extra"],
        ["one", "1.235"],
        ["two", "3"],
    ]
