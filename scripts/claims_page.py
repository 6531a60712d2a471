"""The page of the atlas of claims, from what `python -m benchmarks --only claims --json` kept."""

import json
import pathlib
import re

KEPT = pathlib.Path(__file__).parents[1] / "benchmarks" / "results" / "claims.json"
VERDICTS = {
    "reproduced": "the whole interval of ours lies within the tolerance",
    "undecided": "the interval is too wide to tell, or lies across the edge of the tolerance",
    "finite size": "the claim is about a limit; ours differs at its size, and what it tends to agrees",
    "other set-up": "ours differs from what was published in the way that is said, so that it is no test",
    "corrected": "the published number is off, and we know why",
    "not reproduced": "ours differs, and we don't know why",
    "not tested": "its training has not been run to its end",
}
NATURES = {
    "published": "a number that somebody published",
    "identity": "an equality or a bound that must hold exactly",
    "own check": "a number that we worked out ourselves, to test a published statement",
}
# Two lists that hide the rows of other fields, years and verdicts; without it the page is all rows.
FILTER = """
<script>
(() => {
  const marks = [...document.querySelectorAll("[data-claim]")];
  const rows = marks.map((mark) => [mark.closest("tr"), mark.dataset]);
  const bar = document.getElementById("claims-filter");
  for (const key of ["verdict", "field", "year", "nature"]) {
    const list = document.createElement("select");
    list.setAttribute("aria-label", key);
    list.add(new Option("any " + key, ""));
    [...new Set(rows.map(([, of]) => of[key]))].sort().forEach((value) => list.add(new Option(value, value)));
    list.onchange = () => {
      const lists = [...bar.querySelectorAll("select")];
      const chosen = lists.map((one) => [one.getAttribute("aria-label"), one.value]);
      for (const [row, of] of rows)
        row.hidden = chosen.some(([name, value]) => value && of[name] !== value);
    };
    bar.append(list, " ");
  }
})();
</script>
"""


def claims_page() -> str:
    """The whole page as Markdown."""
    kept = json.loads(KEPT.read_text("utf-8"))
    rows = kept["results"]
    lines = ["# The atlas of claims\n", summary(rows), _legend(), '<div id="claims-filter"></div>\n']
    lines.append(
        f"`{kept['command']}` makes this page's numbers, and `python -m benchmarks.claims NAME` any row. "
        "A value of ours has a 95 % interval where it was sampled (of trained networks: the lowest and the "
        "highest start); closed forms have none. A control is the same measurement where the claim must "
        "fail, or a comparison that it needs.\n"
    )
    for field in dict.fromkeys(row["field"] for row in rows):
        lines += [f"\n## {field[0].upper()}{field[1:]}\n", "| verdict | claim | published | ours |"]
        lines += ["|---|---|---|---|"] + [line(row) for row in rows if row["field"] == field]
    return "\n".join(lines) + "\n" + FILTER


def summary(rows: list[dict]) -> str:
    """How many rows there are, and their verdicts, the published numbers apart from all others."""
    parts = []
    for nature, meaning in NATURES.items():
        mine = [row["verdict"] for row in rows if row["nature"] == nature]
        counts = ", ".join(f"{mine.count(verdict)} {verdict}" for verdict in VERDICTS if verdict in mine)
        parts.append(f"- **{len(mine)}** test {meaning}: {counts}.")
    head = "Statements about associative memories from the literature, each computed again with energyam.\n\n"
    return head + "\n".join(parts) + "\n"


def _legend():
    lines = [f"- *{verdict}*: {meaning}" for verdict, meaning in VERDICTS.items()]
    return "\n".join(["What the verdicts mean:\n", *lines]) + "\n"


def line(row: dict) -> str:
    """A row of the table: the verdict first, then what was said, what was published and what is ours."""
    data = {key: row[key] for key in ("verdict", "field", "year", "nature")}
    mark = " ".join(f'data-{key}="{value}"' for key, value in data.items())
    verdict = f"<span data-claim {mark}>**{row['verdict']}**</span>"
    if row["nature"] != "published":
        verdict += f"<br>{row['nature']}"
    said = [f"**{cell(row['claim'])}**", cell(row["formula"]), f"*{cell(row['source'])}*"]
    said += [cell(row["why"])] * bool(row["why"])
    said += [f"Control: {cell(row['control'])}"] * bool(row["control"])
    said.append(f"`{row['command']}`, {row['seconds']:.1f} s")
    return f"| {verdict} | {'<br>'.join(said)} | {published(row)} | {ours(row)} |"


def published(row: dict) -> str:
    """The published number and its tolerance."""
    value = row["published"] if isinstance(row["published"], str) else f"{row['published']:.6g}"
    return cell(value) + (f" ± {row['tolerance']:.2g}" if row["tolerance"] else "")


def ours(row: dict) -> str:
    """Our number, its interval, and what it tends to."""
    if row["ours"] is None:
        return "–"
    text = f"{row['ours']:.6g}"
    if row["low"] is not None:
        text = f"{row['ours']:.4g} ({row['low']:.4g} to {row['high']:.4g})"
    if row["limit"]:
        value, low, high = row["limit"]
        text += f"<br>limit {value:.4g}" + (f" ({low:.4g} to {high:.4g})" if low != high else "")
    return text.replace("e-", "e\N{NON-BREAKING HYPHEN}")


def cell(text: str) -> str:
    """A text as a part of a cell of a table."""
    return re.sub(r"([|$*_])", r"\\\1", text.replace("\n", " ").replace("<", "&lt;"))
