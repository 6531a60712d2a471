"""The atlas of claims: every row runs at a small size, and a verdict is what the numbers say."""

import dataclasses
import json
import math
import pathlib

import numpy as np
import pytest

from benchmarks import claims
from benchmarks.atlas import CLAIMS, NATURES, VERDICTS, Claim, NotTestedError
from benchmarks.atlas.sources import GARDNER
from benchmarks.intervals import Ours, at_infinity, mean_of, share_of

KEPT = pathlib.Path(claims.__file__).parent / "results" / "claims.json"
ROWS = {row["name"]: row for row in json.loads(KEPT.read_text("utf-8"))["results"]}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_small_version_of_each_row_runs(name):
    row = CLAIMS[name].row(quick=True)
    if row["verdict"] == "not tested":
        assert row["ours"] is None and row["why"]
        return
    assert math.isfinite(row["ours"])
    if row["low"] is None:  # a closed form: the small version is the full one
        assert row["verdict"] == ROWS[name]["verdict"]
        assert row["ours"] == pytest.approx(ROWS[name]["ours"], rel=1e-2, abs=1e-3)
    else:
        assert row["low"] <= row["ours"] <= row["high"]


def test_the_kept_rows_are_those_that_the_code_has():
    assert list(ROWS) == list(CLAIMS)
    for name, row in ROWS.items():
        assert row["verdict"] in VERDICTS and row["nature"] in NATURES, name
        if row["ours"] is not None:
            limit = row["limit"] and Ours(*row["limit"])
            assert row["verdict"] == CLAIMS[name].verdict(
                Ours(row["ours"], row["low"], row["high"], limit)
            ), name
        for verdict in ("corrected", "other set-up", "finite size", "not tested"):
            assert row["verdict"] != verdict or row["why"], name
        assert all(row[key] for key in ("claim", "source", "formula", "command")), name


def test_eighty_rows_have_a_number_that_somebody_published():
    published = [claim for claim in CLAIMS.values() if claim.nature == "published"]
    assert len(published) >= 80


@pytest.mark.parametrize("name", CLAIMS)
def test_a_source_can_be_found(name):
    source = CLAIMS[name].source
    assert all(source) and 1950 < source.year < 2030 and len(source.title) > 8
    assert f"“{source.title}”" in ROWS[name]["source"] and str(source.year) in ROWS[name]["source"]


def a_claim(**changes):
    row = Claim("x", "f", "c", GARDNER, "f", 1.0, 0.1, lambda quick: Ours(1.0))
    return dataclasses.replace(row, **changes)


def test_a_verdict_is_what_the_numbers_say():
    assert a_claim().verdict(Ours(1.05)) == "reproduced"
    assert a_claim().verdict(Ours(1.2)) == "not reproduced"
    assert a_claim().verdict(Ours(1.0, 0.95, 1.05)) == "reproduced"
    assert a_claim().verdict(Ours(1.0, 0.95, 1.15)) == "undecided"
    assert a_claim().verdict(Ours(1.2, 1.05, 1.35)) == "undecided"
    assert a_claim().verdict(Ours(1.2, 1.15, 1.35)) == "not reproduced"
    assert a_claim().verdict(Ours(1.0, -math.inf, math.inf)) == "undecided"
    assert a_claim(kind="at least").verdict(Ours(1.0, 0.5, math.inf)) == "undecided"
    assert a_claim(correction="because").verdict(Ours(1.2)) == "corrected"
    assert a_claim(correction="because").verdict(Ours(1.2, 1.0, 1.4)) == "undecided"
    assert a_claim(setup="another").verdict(Ours(1.0)) == "other set-up"


def test_a_bound_holds_only_if_the_whole_interval_is_beyond_it():
    assert a_claim(kind="at most").verdict(Ours(-9.0)) == "reproduced"
    assert a_claim(kind="at most").verdict(Ours(1.2)) == "not reproduced"
    assert a_claim(kind="at most").verdict(Ours(1.05, 1.0, 1.2)) == "undecided"
    assert a_claim(kind="at least").verdict(Ours(9.0)) == "reproduced"
    assert a_claim(kind="at least").verdict(Ours(0.8)) == "not reproduced"
    assert a_claim(kind="at least").verdict(Ours(0.95, 0.8, 0.99)) == "undecided"


def test_a_finite_size_is_excused_by_its_limit_alone():
    assert a_claim().verdict(Ours(1.2, 1.19, 1.21, Ours(1.0, 0.95, 1.05))) == "finite size"
    assert a_claim().verdict(Ours(1.2, 1.19, 1.21, Ours(1.0, 0.5, 1.5))) == "undecided"
    assert a_claim().verdict(Ours(1.2, 1.19, 1.21, Ours(1.3, 1.25, 1.35))) == "not reproduced"


@pytest.mark.parametrize("kind", ["value", "at most", "at least"])
@pytest.mark.parametrize("more", [{}, {"correction": "because"}, {"setup": "another"}])
def test_a_noisier_measurement_never_turns_a_row_to_reproduced(kind, more):
    random = np.random.default_rng(0)
    for _ in range(2000):
        centre, published = random.normal(size=2)
        tolerance = random.choice([0.0, random.exponential()])
        row = a_claim(kind=kind, published=published, tolerance=tolerance, **more)
        widths = np.sort(random.exponential(size=(4, 2)), axis=0) * random.choice([0.01, 1.0, 10.0])
        limits = [None, *(Ours(centre, centre - low, centre + high) for low, high in widths[:3])]
        verdicts = [
            row.verdict(Ours(centre, centre - low, centre + high, limit))
            for (low, high), limit in zip(widths, limits, strict=True)
        ]
        good = [verdict == "reproduced" for verdict in verdicts]
        assert good == sorted(good, reverse=True), (row, widths)
        assert row.verdict(Ours(centre, -math.inf, math.inf)) != "reproduced"


def test_a_row_whose_results_nobody_kept_is_not_tested():
    def missing(quick):
        raise NotTestedError("run that first")

    row = a_claim(measure=missing).row(quick=True)
    assert (row["verdict"], row["ours"], row["why"]) == ("not tested", None, "run that first")


@pytest.mark.parametrize(
    "name", ["replica-load", "hebb-error-0.01", "sphere-constant-20", "beta-as-published"]
)
def test_a_slightly_wrong_published_number_would_not_be_reproduced(name):
    wrong = dataclasses.replace(CLAIMS[name], published=1.02 * CLAIMS[name].published)
    assert (
        CLAIMS[name].row(True)["verdict"] == "reproduced" and wrong.row(True)["verdict"] == "not reproduced"
    )


def test_intervals_are_those_of_the_textbooks():
    assert mean_of([1.0, 3.0])[:3] == pytest.approx((2.0, 2 - 12.706, 2 + 12.706))
    half = 2.0860 * math.sqrt(38.5 / 21)  # Student's, 20 degrees of freedom
    assert mean_of(np.arange(21))[1:3] == pytest.approx((10 - half, 10 + half), rel=1e-3)
    low, high = share_of([True] * 8 + [False] * 2)[1:3]  # Wilson's, to three digits
    assert (round(low, 3), round(high, 3)) == (0.49, 0.943)


def test_a_straight_line_is_followed_to_infinity():
    sizes = np.array([10.0, 20.0, 40.0])
    found = at_infinity(1 / sizes, [Ours(3 + 2 / D, 3 + 2 / D - 0.01, 3 + 2 / D + 0.01) for D in sizes])
    assert found.value == pytest.approx(3) and 0.01 < found.high - found.value < 0.05


def test_one_row_by_name(capsys):
    claims.main(["replica-load", "--quick"])
    assert "verdict: reproduced" in capsys.readouterr().out
