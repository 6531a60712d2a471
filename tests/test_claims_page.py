"""The pages of the atlas: every row is shown, and every corrected one is told in five sentences."""

import importlib
import json
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
KEPT = json.loads((ROOT / "benchmarks" / "results" / "claims.json").read_text("utf-8"))["results"]
ROWS = {row["name"]: row for row in KEPT}


@pytest.fixture(scope="module")
def corrected():
    sys.path.insert(0, str(ROOT / "scripts"))
    yield importlib.import_module("corrected_page")
    sys.path.remove(str(ROOT / "scripts"))


@pytest.fixture(scope="module")
def claims(corrected):
    return importlib.import_module("claims_page")


@pytest.fixture(scope="module")
def lessons(corrected):
    return (*corrected.LESSONS, *corrected.LAST_DIGITS)


def test_exactly_the_corrected_rows_are_told(lessons):
    told = [name for lesson in lessons for name in lesson.rows]
    assert len(told) == len(set(told))
    assert set(told) == {row["name"] for row in KEPT if row["verdict"] == "corrected"}


def test_each_lesson_has_five_sentences(lessons, corrected):
    for lesson in lessons:
        found = corrected.sentences(lesson, ROWS)
        assert len(found) == 5
        for place, sentence in enumerate(found):
            assert sentence[0].isupper() and sentence.endswith(".") and len(sentence) > 8, sentence
            if place != 1:  # the source has full stops of its own
                assert not re.search(r"[.!?:]\s+[A-Z]", sentence.replace("them: ", "them ")), sentence


def test_the_numbers_of_a_lesson_are_those_of_its_rows(lessons, corrected):
    for lesson in lessons:
        claimed, where, right, *_ = corrected.sentences(lesson, ROWS)
        for name in lesson.rows:
            row, wrong = ROWS[name], ROWS | {name: ROWS[name] | {"ours": 77.125, "published": 66.25}}
            assert row["source"].split(",")[0] in where
            changed = corrected.sentences(lesson, wrong)
            assert lesson.title.startswith("A lower bound") or changed[0] != claimed, name
            assert changed[2] != right, name


def test_what_else_the_lessons_count_agrees_with_the_atlas():
    for radius, part in ((5, 5 / 4), (11, 11 / 10), (15, 15 / 14)):
        row = ROWS[f"beta-circle-{radius}"]
        assert row["published"] / row["ours"] == pytest.approx(part, rel=2e-3)
    for bits in (0, 10, 100, 200):
        row = ROWS[f"shared-locations-{bits}"]
        assert row["ours"] / row["published"] == pytest.approx(1.07, abs=0.005)
    assert ROWS["critical-distance-book"]["ours"] / 209 == pytest.approx(1.1, abs=0.02)
    assert 164 / ROWS["critical-distance-paper"]["ours"] < 0.75
    assert ROWS["radius-snr-exact"]["ours"] == ROWS["radius-critical-distance"]["ours"]
    assert ROWS["radius-snr"]["ours"] == ROWS["radius-snr-exact"]["published"]
    assert 0.00625 / ROWS["nearest-location"]["ours"] == pytest.approx(0.9, abs=0.01)
    signal = ROWS["signal-to-noise-book"]
    assert signal["published"] / signal["ours"] == pytest.approx(1.03, abs=0.005)


def test_the_page_links_what_it_cites(corrected):
    page = corrected.corrected_page()
    assert page.count("\n## ") == len(corrected.LESSONS) + 1 and "](claims.md)" in page
    assert (
        page.count("](https://doi.org/") + page.count("](https://arxiv.org/abs/")
        >= len(corrected.LESSONS) - 4
    )
    for lesson in (*corrected.LESSONS, *corrected.LAST_DIGITS):
        assert all(f"| `{name}` |" in page for name in lesson.rows)


def test_identifiers_become_links(claims):
    assert claims.linked("doi:10.1016/0003-4916(87)90092-3 (1987)") == (
        "[doi:10.1016/0003-4916(87)90092-3](https://doi.org/10.1016/0003-4916%2887%2990092-3) (1987)"
    )
    assert claims.linked(claims.cell("x, doi:10.1162/neco_a_01084 (2018)")) == (
        r"x, [doi:10.1162/neco\_a\_01084](https://doi.org/10.1162/neco_a_01084) (2018)"
    )
    assert claims.linked("arXiv:1606.01164,") == "[arXiv:1606.01164](https://arxiv.org/abs/1606.01164),"
    address = "github.com/PCJohn/attractors"
    assert claims.linked(f"{address}, its README") == f"[{address}](https://{address}), its README"


def test_the_claims_page_shows_each_row_and_leads_to_the_corrections(claims):
    page = claims.claims_page()
    assert all(f"`{row['command']}`" in page for row in KEPT) and "](corrected.md)" in page
    assert page.count("<span data-claim ") == len(KEPT)
