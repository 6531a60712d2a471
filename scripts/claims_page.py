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
# Lists that hide the rows of other verdicts, fields, years and natures, and headings with no row left; an
# address may choose, as in claims/?verdict=corrected. Without it the page is all rows.
FILTER = """
<script>
(() => {
  const keys = ["verdict", "field", "year", "nature"];
  const marks = [...document.querySelectorAll("[data-claim]")];
  const rows = marks.map((mark) => [mark.closest("tr"), mark.dataset]);
  const parts = [];
  for (const one of document.querySelectorAll(".md-content h2, [data-claim]"))
    if (one.matches("h2")) parts.push([one, []]);
    else parts.at(-1)[1].push(one.closest("tr"));
  const bar = document.getElementById("claims-filter"), lists = {}, count = document.createElement("span");
  const asked = new URLSearchParams(location.search);
  const show = () => {
    for (const [row, of] of rows)
      row.hidden = keys.some((key) => lists[key].value && of[key] !== lists[key].value);
    for (const [heading, mine] of parts) {
      const none = mine.every((row) => row.hidden);
      heading.hidden = none;
      for (const row of mine) row.closest("table").hidden = none;
    }
    count.textContent = rows.filter(([row]) => !row.hidden).length + " of " + rows.length + " rows";
  };
  for (const key of keys) {
    const list = (lists[key] = document.createElement("select"));
    list.setAttribute("aria-label", key);
    list.add(new Option("any " + key, ""));
    [...new Set(rows.map(([, of]) => of[key]))].sort().forEach((value) => list.add(new Option(value, value)));
    list.value = asked.get(key) ?? "";
    list.onchange = show;
    bar.append(list, " ");
  }
  bar.append(count);
  show();
})();
</script>
"""


def kept() -> dict:
    """What the command kept."""
    return json.loads(KEPT.read_text("utf-8"))


def linked(text: str) -> str:
    """The same with a link at every DOI, number of arXiv and address of a site that is known."""
    text = re.sub(r"doi:(10\.[^\s,]+)", lambda m: f"[doi:{m[1]}](https://doi.org/{_plain(m[1])})", text)
    text = re.sub(r"arXiv:(\d{4}\.\d{5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    sites = r"((?:github\.com|patents\.justia\.com)/[\w/-]*\w)"
    return re.sub(sites, r"[\1](https://\1)", text)


def _plain(address):
    """An address without the marks of Markdown, its parentheses as a link wants them."""
    return address.replace("\\", "").replace("(", "%28").replace(")", "%29")


def claims_page() -> str:
    """The whole page as Markdown."""
    everything = kept()
    rows = everything["results"]
    lines = ["# The atlas of claims\n", summary(rows), _legend(), '<div id="claims-filter"></div>\n']
    lines.append(
        f"`{everything['command']}` makes this page's numbers, and `python -m benchmarks.claims NAME` any "
        f"row, in about the seconds of one core that are shown. A value of ours has a 95 % interval where it "
        f"was sampled (of trained networks: the lowest and the highest start); closed forms have none. A "
        f"control is the same measurement where the claim must fail, or a comparison that it needs.\n"
    )
    if KEPT.with_suffix(".png").exists():
        words = "Our curves, and the points that were published of them"
        lines.append(f"[![{words}](benchmarks/claims.png)](benchmarks/claims.png)\n\n*{words}.*\n")
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
    lines[list(VERDICTS).index("corrected")] += " ([all of them](corrected.md), each in five sentences)"
    return "\n".join(["What the verdicts mean:\n", *lines]) + "\n"


def line(row: dict) -> str:
    """A row of the table: the verdict first, then what was said, what was published and what is ours."""
    data = {key: row[key] for key in ("verdict", "field", "year", "nature")}
    mark = " ".join(f'data-{key}="{value}"' for key, value in data.items())
    verdict = f"<span data-claim {mark}>**{row['verdict']}**</span>"
    if row["nature"] != "published":
        verdict += f"<br>{row['nature']}"
    said = [f"**{cell(row['claim'])}**", cell(row["formula"]), f"*{linked(cell(row['source']))}*"]
    said += [cell(row["why"])] * bool(row["why"])
    said += [f"Control: {cell(row['control'])}"] * bool(row["control"])
    said.append(f"`{row['command']}`, {row['seconds']:.1f} s")
    return f"| {verdict} | {'<br>'.join(said)} | {published(row)} | {ours(row)} |"


def published(row: dict) -> str:
    """The published number and its tolerance."""
    value = row["published"] if isinstance(row["published"], str) else f"{row['published']:.6g}"
    return _unbroken(cell(value) + (f" ± {row['tolerance']:.2g}" if row["tolerance"] else ""))


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
    return _unbroken(text)


def _unbroken(number):
    return number.replace("e-", "e\N{NON-BREAKING HYPHEN}")


def cell(text: str) -> str:
    """A text as a part of a cell of a table."""
    return re.sub(r"([|$*_])", r"\\\1", text.replace("\n", " ").replace("<", "&lt;"))
