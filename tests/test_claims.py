"""The atlas of claims: every row runs at a small size, and a verdict is what the numbers say."""

import dataclasses
import json
import math
import pathlib
import re

import numpy as np
import pytest
from scipy.optimize import brentq

from benchmarks import claims
from benchmarks.atlas import CLAIMS, NATURES, VERDICTS, Claim, NotTestedError, physics, sources
from benchmarks.atlas.capacity import critical_y, load_of
from benchmarks.atlas.physics import GARDNER
from benchmarks.atlas.source import Source
from benchmarks.atlas.sparse_codes import largest_potts_load
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
    assert resolvable(source.place), source.place


def resolvable(place):
    """Whether a place of publication has an identifier of the right form, an ISBN with its check digit."""
    if isbn := re.search(r"ISBN ([\d-]+[\dX])", place):
        digits = [10 if digit == "X" else int(digit) for digit in isbn[1].replace("-", "")]
        return len(digits) == 10 and sum((10 - i) * d for i, d in enumerate(digits)) % 11 == 0
    sites = r"(github\.com|patents\.justia\.com)/\w+/\w+"
    return bool(re.search(rf"doi:10\.\d{{4,5}}/\S+\w|arXiv:\d{{4}}\.\d{{5}}\b|{sites}", place))


def test_a_place_without_an_identifier_or_with_a_wrong_one_would_be_found():
    assert resolvable("MIT Press, ISBN 0-262-11132-2") and not resolvable("MIT Press, ISBN 0-262-11123-2")
    assert not resolvable("Phys. Rev. A 32, 1007") and not resolvable("NeurIPS, arXiv:1606.011")


def test_no_source_is_kept_that_no_row_cites():
    cited = {claim.source for claim in CLAIMS.values()}
    named = [value for module in (physics, sources) for value in vars(module).values()]
    listed = {value for value in named if isinstance(value, Source)}
    assert listed == cited and len(listed) > 40


def excused(claim):
    """Whether a tolerance is at most half a unit of the last digit, .005 of 0, 1 and 2, or explained."""
    mantissa, _, exponent = f"{claim.published:.10g}".partition("e")
    half = 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    half = 0.005 if claim.published in (0, 1, 2) else half
    told = " ".join((claim.note, claim.setup, claim.where, claim.formula, claim.correction))
    return claim.tolerance <= 1.0001 * half or "tolerance" in told or "±" in told


@pytest.mark.parametrize(
    "name", [name for name, one in CLAIMS.items() if one.nature == "published" and one.kind == "value"]
)
def test_a_tolerance_is_half_a_unit_of_the_last_digit_or_is_explained(name):
    assert excused(CLAIMS[name])


def test_a_tolerance_that_is_too_wide_would_be_found():
    assert excused(a_claim(published=0.138, tolerance=0.0005))
    assert not excused(a_claim(published=0.138, tolerance=0.005))
    assert excused(a_claim(published=209, tolerance=0.5)) and not excused(a_claim(published=209, tolerance=5))
    assert not excused(a_claim(published=1.0, tolerance=0.05))
    assert excused(a_claim(published=1.0, tolerance=0.05, note="The tolerance is one in twenty."))


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


def test_iterating_the_replica_equations_gives_the_same_load_of_the_lowest_states():
    def gap(load):  # r = 1/(1 − C)² of the retrieval state, and of the spin glass, where √r = 1 + √(2/πα)
        m = r = 1.0
        for _ in range(3000):
            spread = math.sqrt(2 * load * r)
            C = 2 / (math.sqrt(math.pi) * spread) * math.exp(-((m / spread) ** 2))
            m, r = math.erf(m / spread), 1 / (1 - C) ** 2
        return 0.5 * (load - m**2 - load * r) - 0.5 * (load - load * (1 + math.sqrt(2 / math.pi / load)) ** 2)

    assert brentq(gap, 0.03, 0.1) == pytest.approx(ROWS["global-minima"]["ours"], abs=1e-9)


def test_units_of_two_values_hold_what_neurons_hold_by_the_replica_equations():
    assert largest_potts_load(2) == pytest.approx(load_of(critical_y()), abs=1e-6)


@pytest.mark.parametrize(("load", "kept"), [(0.40, True), (0.43, False)])
def test_iterating_the_replica_equations_of_units_of_three_values_has_the_same_largest_load(load, kept):
    """By a random draw of the noise, whose winner is found by argmax: no formula of the row is used."""
    g = np.random.default_rng(0).normal(size=(50_000, 3))
    m, C = 2 / 3, 0.0
    for _ in range(200):
        spread = math.sqrt(load * 2 / 27) / (1 - C)
        winner = np.argmax(g * spread + [m, 0, 0], axis=1)
        m = 0.5 * (m + np.mean(winner == 0) - 1 / 3)
        C = min(0.5 * (C + np.take_along_axis(g, winner[:, None], axis=1).mean() / (3 * spread)), 0.95)
    assert (m > 0.5) == kept
