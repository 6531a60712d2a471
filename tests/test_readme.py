"""The examples of the README and of the pages in docs run as they stand."""

import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# Not the page whose example needs a mesh of eight devices, nor pages without any.
UNTRIED = {"distributed.md", "citing.md", "faq.md", "learning_energies.md", "memories.md"}
UNTRIED |= {"notebooks.md", "style.md"}
PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in UNTRIED]


def examples(page):
    """The blocks marked as `python`; older code, which is there to compare with, is marked as `py`."""
    return re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


README = examples(ROOT / "README.md")


@pytest.mark.parametrize("code", README, ids=range(len(README)))
def test_example(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_a_page_run_one_after_another(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    for code in examples(page):
        exec(compile(code, page.name, "exec"), names)


def test_the_architecture_names_files_and_classes_that_exist():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    sources = {str(path.relative_to(ROOT / "energyam")): path for path in (ROOT / "energyam").rglob("*.py")}
    files = re.findall(r"`([a-z_]+/[a-z_]+\.py)`", text)
    assert files and {name for name in files if not name.startswith("tests/")} <= sources.keys()
    code = "".join(path.read_text("utf-8") for path in sources.values())
    assert all(f"class {name}(" in code for name in re.findall(r"\bAbstract\w+", text))


def costs(page, keys):
    """The rows of a page's table of costs: (case, what is shown, what the command printed under `keys`)."""
    kept = json.loads((ROOT / "benchmarks" / "results" / "costs.json").read_text("utf-8"))
    printed = {(row["memory"], row["queries"]): row for row in kept["results"]}
    table = re.search(r"\| to rest, ms .*?\n\n", page.read_text("utf-8"), re.DOTALL)[0]
    for line in table.strip().splitlines()[2:]:
        case, *numbers = (cell.strip() for cell in line.split("|")[1:-1])
        memory, queries = re.fullmatch(r"(.+), (\d+) quer(?:y|ies)", case).groups()
        row = printed[memory, int(queries)]
        yield case, numbers, [f"{row[k]:.3g}" if row[k] < 1000 else f"{row[k]:,.0f}" for k in keys]


@pytest.mark.parametrize(
    ("page", "keys", "num_rows"),
    [
        ("README.md", ("twin ms", "energyam ms", "twin / energyam"), 3),
        ("docs/memories.md", ("naive ms", "twin ms", "energyam ms", "floor ms", "twin / energyam"), 10),
    ],
)
def test_every_cost_on_a_page_is_one_that_its_command_printed(page, keys, num_rows):
    rows = list(costs(ROOT / page, keys))
    assert len(rows) == num_rows
    for case, shown, printed in rows:
        assert shown == printed, case


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 100


def test_there_are_examples():
    assert README and all(map(examples, PAGES))
