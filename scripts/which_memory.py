"""Draw docs/which-memory.svg: from what your data are and what you ask to the name of a class.

python scripts/which_memory.py
"""

import pathlib
import xml.sax.saxutils

CHART = {
    "Patterns of ±1, such as pictures or bits": {
        "Recall many patterns exactly": "ExponentialDenseAM",
        "Choose how fast the energy grows": "PolynomialDenseAM",
        "Keep couplings instead of patterns": "HopfieldNetwork",
        "Reproduce the network of 1982": "CHN",
        "Use a radius, as Kanerva does": "PatternSDM, NeuronSDM",
    },
    "Real vectors, such as embeddings": {
        "Recall as attention does": "ModernHopfield",
        "Denoise by distance": "GaussianDenseAM",
        "Ignore what lies beyond a radius": "EpanechnikovDenseAM",
        "Keep a memory of fixed size": "DistributedDenseAM",
    },
    "Keys with values": {
        "Look up a value, or find the nearest": "KeyValueMemory",
        "Search more than fits into memory": "KeyValueMemory, OnDisk",
    },
    "States that follow one another": {"Replay a sequence": "DenseSequence"},
    "A graph, a QUBO, or couplings": {
        "Find the lowest state": "ising.minimize",
        "Simulate it at a temperature": "SparseNetwork, sample",
    },
    "Other values": {
        "0/1, or one of q values": "ZeroOne, Categorical",
        "Several layers at once": "HierarchicalMemory",
        "An energy of your own": "a class with energy(x)",
    },
}
WIDTH, ROW, GAP = 560, 26, 16
STYLE = """
text { font: 15px system-ui, sans-serif; fill: #1f2430 }
.data { font-weight: 600 }
.name { font-family: ui-monospace, monospace; font-size: 14px; fill: #303f9f }
rect { fill: #eef0fa; stroke: #9fa8da }
path { fill: none; stroke: #9fa8da; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6e8f0 } .name { fill: #b3bdff }
  rect { fill: #262b3d; stroke: #5c6bc0 } path { stroke: #5c6bc0 }
}
"""


def chart() -> str:
    """The drawing as SVG: a box for each kind of data, an arrow to each question, and the class."""
    parts, y = [], GAP
    for data, questions in CHART.items():
        parts.append(f'<rect x="8" y="{y}" width="{WIDTH - 16}" height="{ROW + 4}" rx="6"/>')
        parts.append(_text("data", 20, y + 20, data))
        trunk, y = y + ROW + 4, y + ROW + 4
        for question, name in questions.items():
            y += ROW
            parts.append(f'<path d="M24 {trunk} V{y - 5} H40 M35 {y - 9} L40 {y - 5} L35 {y - 1}"/>')
            parts += [_text("asks", 48, y, question), _text("name", 334, y, name)]
        y += GAP
    title = "Which memory? From what your data are and what you ask to the name of a class."
    box = f'viewBox="0 0 {WIDTH} {y}" role="img" aria-label="{title}"'
    top = [f'<svg xmlns="http://www.w3.org/2000/svg" {box}>', f"<title>{title}</title><style>{STYLE}</style>"]
    return "\n".join([*top, *parts, "</svg>\n"])


def _text(kind, x, y, words):
    return f'<text class="{kind}" x="{x}" y="{y}">{xml.sax.saxutils.escape(words)}</text>'


if __name__ == "__main__":
    path = pathlib.Path(__file__).parents[1] / "docs" / "which-memory.svg"
    path.write_text(chart(), "utf-8")
    print(path)
