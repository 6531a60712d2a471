"""The pages of the site that are made from other files: API, benchmarks, claims, tutorials, changelog.

Nothing here needs the site's generator: `scripts/mkdocs_hooks.py` hands these pages to it.
"""

import ast
import inspect
import json
import pathlib
import re
import tomllib

from claims_page import claims_page
from corrected_page import corrected_page

import energyam

ROOT = pathlib.Path(__file__).parents[1]
SPACES = (
    *("datasets", "evaluation", "hypercube", "ising", "learning", "lm", "nn", "plotting", "sharding"),
    *("sklearn", "synapses", "theory"),
)
IMPORTS = """import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

import energyam as eam
"""
MOST_ROWS, MOST_LETTERS = 25, 60  # of a table on the page of benchmarks, and of a text in it


def repository() -> str:
    """The address of the repository."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project["urls"]["Repository"]


def groups() -> dict[str, list[str]]:
    """The public names, under the comments of `__init__.py` that head them, abstract ones last."""
    found, names = {}, []
    for line in (ROOT / "energyam" / "__init__.py").read_text("utf-8").splitlines():
        if line.startswith("# ") and "import" not in line.lower():
            names = found.setdefault(line.removeprefix("# "), [])
        else:
            names += re.findall(r"\b(\w+) as \1\b", line)
    shown = {title: [n for n in names if n not in SPACES] for title, names in found.items() if names}
    return {title: sorted(names, key=lambda n: n.startswith("Abstract")) for title, names in shown.items()}


def api_pages() -> dict[str, str]:
    """Address → Markdown: a page for each group of names at the top, and one for each space below it."""
    pages = {}
    for title, names in groups().items():
        lines = [f"# {title[0].upper()}{title[1:]}\n"] + [f"::: energyam.{name}\n" for name in names]
        pages[f"api/{_slug(title)}.md"] = "\n".join(lines)
    for space in SPACES:
        module = getattr(energyam, space)
        lines = [f"# energyam.{space}\n", f"{inspect.getdoc(module)}\n"]
        lines += [f"::: {module.__name__}.{name}\n" for name in module.__all__]
        pages[f"api/{space}.md"] = "\n".join(lines)
    listed = [f"- [{page.splitlines()[0][2:]}]({name[4:]})" for name, page in pages.items()]
    head = (
        "# API\n\nEvery public name, with its formula, shapes, errors, source and an example, from its "
        f"docstring. The examples run as tests, and begin with these imports:\n\n```python\n{IMPORTS}```\n\n"
    )
    return {"api/index.md": head + "\n".join(listed) + "\n", **pages}


def tutorials() -> dict[str, tuple[str, str]]:
    """File name → title and first sentences, of the notebooks that are there."""
    found = {}
    for path in sorted((ROOT / "tutorials").glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        first = "".join(cells[0]["source"]).strip().split("\n\n")
        found[path.name] = first[0].lstrip("# ").strip(), first[2] if len(first) > 2 else ""
    return found


def tutorials_page() -> str:
    """The list of tutorials."""
    head = (
        "# Tutorials\n\nNotebooks with the outputs of a full run; each opens in Colab from its badge. "
        "[Open a tutorial](../notebooks.md) says how to run them there and on your own machine.\n\n"
    )
    return head + "\n".join(
        f"**[{name[:2]} · {title}]({name})**\n:   {' '.join(text.split())}\n"
        for name, (title, text) in tutorials().items()
    )


def benchmarks_page() -> str:
    """Commands, figures and tables of everything in benchmarks/results but the claims."""
    page = [
        "# Benchmarks\n",
        "Each section is one command, and shows the results of its last run, with the version of energyam "
        "that was measured and the date. Costs change with the code.\n",
    ]
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        if path.stem != "claims":
            page.append(_benchmark(path))
    return "\n".join(page)


def _benchmark(path):
    kept = json.loads(path.read_text("utf-8"))
    module = ROOT / "benchmarks" / f"{path.stem}.py"
    summary = ast.get_docstring(ast.parse(module.read_text("utf-8"))).split("\n")[0]
    machine = kept["machine"]
    of, versions = machine["versions"], f"jax {machine['versions'].get('jax', '?')}"
    measured = f"energyam {of.get('energyam', '?')}"
    if of.get("energyam") != energyam.__version__:
        measured = f"**{measured}** (this is the site of {energyam.__version__})"
    lines = [
        f"## {path.stem.replace('_', ' ')}\n",
        f"{summary}\n",
        f"`{kept['command']}`, measured with {measured} and {versions} on {machine['date'][:10]}, on "
        f"{machine['cores']} cores of {machine['cpu'] or 'a CPU'}. [All numbers]({path.name}).\n",
    ]
    if path.with_suffix(".png").exists():
        lines.append(f"[![{summary}]({path.stem}.png)]({path.stem}.png)\n")  # alone, it can be enlarged
    results = kept["results"]
    tables = {"": results} if isinstance(results, list) else results
    for title, rows in tables.items():
        if isinstance(rows, list) and rows and isinstance(rows[0], dict):
            lines.append(_folded(title or "results", table(by_memory(rows))))
    return "\n".join(lines)


def by_memory(rows: list[dict]) -> list[dict]:
    """Rows of one score each, a row for each memory with a column for each test; other rows as they are."""
    if not {"memory", "test", "score", "failure"} <= rows[0].keys():
        return rows
    found = {}
    for row in rows:
        score = row["failure"] or (row["detail"] if row["score"] is None else row["score"])
        name = row["memory"].split(":")[-1].replace("_", " ")
        found.setdefault(name, {"memory": name})[f"{row['test']} ({row['unit']})"] = score
    return list(found.values())


def _folded(title, text):
    return f'??? note "{title}"\n\n' + "\n".join(f"    {line}" for line in text.splitlines()) + "\n"


def table(rows: list[dict]) -> str:
    """Rows as a Markdown table: the first ones if there are many, and no column of lists."""
    names = dict.fromkeys(key for row in rows for key in row)
    columns = [name for name in names if not any(isinstance(row.get(name), list) for row in rows)]
    lines = ["| " + " | ".join(map(cell, columns)) + " |", "|" + "---|" * len(columns)]
    for row in rows[:MOST_ROWS]:
        lines.append("| " + " | ".join(cell(_shortened(row.get(column, ""))) for column in columns) + " |")
    if len(rows) > MOST_ROWS:
        lines.append(f"\nThe first {MOST_ROWS} of {len(rows)} rows.")
    return "\n".join(lines)


def _shortened(value):
    """Long texts by their beginning; all of them are in the JSON."""
    return f"{value[:MOST_LETTERS]} …" if isinstance(value, str) and len(value) > MOST_LETTERS else value


def cell(value: object) -> str:
    """A value as a cell of a table."""
    text = "–" if value is None else str(value)
    if isinstance(value, float):
        text = f"{value:,.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
    text = text.replace("\n", " ").replace("<", "&lt;")
    return re.sub(r"([|$*_])", r"\\\1", text)


def changelog_page() -> str:
    """CHANGELOG.md, its links as seen from docs/."""
    return (ROOT / "CHANGELOG.md").read_text("utf-8").replace("](docs/", "](")


def pages() -> dict[str, str]:
    """Every page that is made, by its address within the site."""
    made = {
        **api_pages(),
        "tutorials/index.md": tutorials_page(),
        "benchmarks/index.md": benchmarks_page(),
        "changelog.md": changelog_page(),
    }
    if (ROOT / "benchmarks" / "results" / "claims.json").exists():
        made["claims.md"] = claims_page()
        made["corrected.md"] = corrected_page()
    return made


def files() -> dict[str, pathlib.Path]:
    """Every file that is taken as it is, by its address within the site."""
    found = {f"tutorials/{name}": ROOT / "tutorials" / name for name in tutorials()}
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.*")):
        found[f"benchmarks/{path.name}"] = path
    return found


def _slug(title):
    return re.sub(r"\W+", "-", title.lower()).strip("-")
