"""The atlas of claims: every row runs at a small size, and a verdict is what the numbers say."""

import dataclasses
import json
import math
import pathlib

import pytest

from benchmarks import claims
from benchmarks.atlas import CLAIMS, Claim, Ours
from benchmarks.atlas.claim import mean_of, share_of

KEPT = pathlib.Path(claims.__file__).parent / "results" / "claims.json"
ROWS = {row["name"]: row for row in json.loads(KEPT.read_text("utf-8"))["results"]}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_small_version_of_each_row_runs(name):
    row = CLAIMS[name].row(quick=True)
    assert math.isfinite(row["ours"])
    if row["low"] is None:  # a closed form: the small version is the full one
        assert row["verdict"] == ROWS[name]["verdict"]
        assert row["ours"] == pytest.approx(ROWS[name]["ours"], rel=1e-2, abs=1e-3)
    else:
        assert row["low"] <= row["ours"] <= row["high"]


def test_the_kept_rows_are_those_that_the_code_has():
    assert list(ROWS) == list(CLAIMS) and len(CLAIMS) >= 40
    for name, row in ROWS.items():
        kept = Ours(row["ours"], row["low"], row["high"])
        assert row["verdict"] == CLAIMS[name].verdict(kept), name
        assert row["verdict"] != "corrected" or row["why"], name
        assert row["verdict"] != "not reproduced" or row["why"], name
        assert all(row[key] for key in ("claim", "source", "formula", "command")), name


def a_claim(**changes):
    return dataclasses.replace(Claim("x", "f", "c", "s", "f", 1.0, 0.1, lambda quick: Ours(1.0)), **changes)


def test_a_verdict_is_what_the_numbers_say():
    assert a_claim().verdict(Ours(1.05)) == "reproduced"
    assert a_claim().verdict(Ours(1.2)) == "not reproduced"
    assert a_claim().verdict(Ours(1.2, 1.05, 1.35)) == "reproduced"
    assert a_claim(correction="because").verdict(Ours(1.2)) == "corrected"
    assert a_claim(kind="at most").verdict(Ours(-9.0)) == "reproduced"
    assert a_claim(kind="at most").verdict(Ours(1.2)) == "not reproduced"
    assert a_claim(kind="at least").verdict(Ours(9.0)) == "reproduced"
    assert a_claim(kind="at least").verdict(Ours(0.8)) == "not reproduced"


@pytest.mark.parametrize(
    "name", ["replica-load", "hebb-error-0.01", "sphere-constant-20", "beta-as-published"]
)
def test_a_slightly_wrong_published_number_would_not_be_reproduced(name):
    wrong = dataclasses.replace(CLAIMS[name], published=1.02 * CLAIMS[name].published)
    assert (
        CLAIMS[name].row(True)["verdict"] == "reproduced" and wrong.row(True)["verdict"] == "not reproduced"
    )


def test_intervals_are_those_of_the_textbooks():
    assert mean_of([1.0, 3.0]) == pytest.approx((2.0, 2 - 1.96, 2 + 1.96))
    low, high = share_of([True] * 8 + [False] * 2)[1:]  # Wilson's, to three digits
    assert (round(low, 3), round(high, 3)) == (0.49, 0.943)


def test_one_row_by_name(capsys):
    claims.main(["replica-load", "--quick"])
    assert "verdict: reproduced" in capsys.readouterr().out
