"""The site's pages: every public name is on one, and their code runs."""

import ast
import functools
import importlib
import json
import pathlib
import re
import sys

import pytest

import energyam as eam

ROOT = pathlib.Path(__file__).parents[1]
HOW = sorted(path for path in (ROOT / "docs" / "how").glob("*.md") if path.name != "index.md")


@pytest.fixture(scope="module")
def pages():
    sys.path.insert(0, str(ROOT / "scripts"))
    yield importlib.import_module("pages")
    sys.path.remove(str(ROOT / "scripts"))


def examples(page):
    return re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", HOW, ids=lambda page: page.stem)
def test_each_block_of_a_how_to_page_runs_by_itself(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert examples(page)
    for code in examples(page):
        exec(compile(code, page.name, "exec"), {"__name__": page.stem})


# Where there is nothing to see.
WITHOUT_PICTURE = set("change debug devices export libraries save spreadsheet".split())


def test_pages_show_what_their_code_computes(pages, tmp_path):
    pictures = importlib.import_module("how_pictures")
    own = {page.stem for page in HOW} - WITHOUT_PICTURE - {"which-memory"}  # whose chart is tested below
    assert own == pictures.PICTURES.keys()
    for name, (block, _) in pictures.PICTURES.items():
        text = (ROOT / "docs" / "how" / f"{name}.md").read_text("utf-8")
        behind = text.split("```python\n")[block + 1].split("```\n")[1]
        assert re.match(rf"\n!\[.+\]\({name}\.png\)\n", behind), name
        assert (ROOT / "docs" / "how" / f"{name}.png").stat().st_size < 120_000
    pictures.draw("cycles", tmp_path / "cycles.png")
    assert (tmp_path / "cycles.png").stat().st_size > 5000


def test_the_chart_of_memories_is_drawn_from_names_that_exist(pages):
    chart = importlib.import_module("which_memory")
    assert (ROOT / "docs" / "which-memory.svg").read_text("utf-8") == chart.chart()
    names = ", ".join(name for rows in chart.CHART.values() for name in rows.values())
    for name in re.findall(r"[A-Za-z.]+", names.replace("a class with energy(x)", "")):
        assert functools.reduce(getattr, name.split("."), eam), name


def test_every_how_to_page_is_listed():
    index = (ROOT / "docs" / "how" / "index.md").read_text("utf-8")
    menu = (ROOT / "mkdocs.yml").read_text("utf-8")
    for page in HOW:
        assert f"({page.name})" in index and f": how/{page.name}\n" in menu


def lines_of(code, node):
    """How many lines a class takes, without those that are blank."""
    return sum(bool(line.strip()) for line in code.splitlines()[node.lineno - 1 : node.end_lineno])


def shortest_examples():
    """Name of an abstract class → lines of the shortest class on a how-to page that inherits from it."""
    found = {}
    for code in (code for page in HOW for code in examples(page)):
        for node in ast.walk(ast.parse(code)):
            for base in node.bases if isinstance(node, ast.ClassDef) else []:
                name, lines = ast.unparse(base).removeprefix("eam."), lines_of(code, node)
                found[name] = min(lines, found.get(name, lines))
    return found


def test_every_public_abstract_class_has_an_example_of_at_most_ten_lines():
    abstract, found = {name for name in eam.__all__ if name.startswith("Abstract")}, shortest_examples()
    assert len(abstract) >= 7 and abstract <= found.keys()
    assert not {name for name in abstract if found[name] > 10}


def documented(pages):
    return re.findall(r"^::: energyam\.([\w.]+)$", "\n".join(pages.api_pages().values()), re.MULTILINE)


def test_every_public_name_is_documented_once(pages):
    listed = documented(pages)
    assert len(listed) == len(set(listed))
    top = {name for name in dir(eam) if not name.startswith("_")}
    modules = {name for name in top if type(getattr(eam, name)).__name__ == "module"}
    second = {name for name in top if getattr(getattr(eam, name), "__name__", name) != name} - modules
    assert second == {"Linear"}  # another name of `Quadratic`, whose docstring says so
    assert {name for name in listed if "." not in name} == top - modules - second
    assert set(pages.SPACES) <= modules


def test_every_name_of_a_space_is_documented(pages):
    spaces = [getattr(eam, space) for space in pages.SPACES]
    own = {f"{space.__name__}.{name}".removeprefix("energyam.") for space in spaces for name in space.__all__}
    assert own == {name for name in documented(pages) if "." in name}


def test_a_name_that_is_missing_would_be_found(pages):
    assert "recall" in documented(pages) and "theory.replica_capacity" in documented(pages)
    assert "memories.synapses.Dense" in documented(pages) and "no_such_name" not in documented(pages)


def test_the_made_pages_hold_what_they_are_made_from(pages):
    made = pages.pages()
    assert made["tutorials/index.md"].count(".ipynb)**") == len(list((ROOT / "tutorials").glob("*.ipynb")))
    assert made["claims.md"].count("python -m benchmarks") > 40
    kept = json.loads((ROOT / "benchmarks" / "results" / "claims.json").read_text("utf-8"))["results"]
    assert made["claims.md"].count("<span data-claim ") == len(kept)
    published = [row for row in kept if row["nature"] == "published"]
    assert f"**{len(published)}** test a number that somebody published" in made["claims.md"]
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        assert path.stem == "claims" or f"]({path.name})" in made["benchmarks/index.md"]
    assert "](architecture.md)" in made["changelog.md"] or "](changes.md)" in made["changelog.md"]


def test_tables_are_escaped(pages):
    text = pages.table([{"a": "x|y<z", "b": 1.23456, "c": [1, 2]}])
    assert text.splitlines() == ["| a | b |", "|---|---|", r"| x\|y&lt;z | 1.235 |"]
    text = pages.table([{"of |E|": 139512.3, "t": "long " * 20}])
    assert text.splitlines() == [r"| of \|E\| | t |", "|---|---|", f"| 139,512 | {'long ' * 12} … |"]


def test_scores_have_a_row_for_each_memory_and_a_column_for_each_test(pages):
    row = {"detail": "", "failure": "", "unit": "MB"}
    rows = [row | {"memory": f"a.b:{name}", "test": "memory", "score": 1.5} for name in ("one", "no_two")]
    rows += [
        row | {"memory": "a.b:one", "test": "admits", "unit": "of all", "score": None, "detail": "silent"}
    ]
    rows += [
        row | {"memory": "a.b:no_two", "test": "admits", "unit": "of all", "score": None, "failure": "died"}
    ]
    assert pages.by_memory(rows) == [
        {"memory": "one", "memory (MB)": 1.5, "admits (of all)": "silent"},
        {"memory": "no two", "memory (MB)": 1.5, "admits (of all)": "died"},
    ]
    assert pages.by_memory([{"K": 3}]) == [{"K": 3}]
