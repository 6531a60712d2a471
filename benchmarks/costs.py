"""The README's table of costs: naive way, ten lines, energyam and a floor, on glyphs."""

from benchmarks.twin_cells import cases_of, patterns_of, queries_of
from benchmarks.twins import cell, size_of

SHOWN = ("CHN", "HopfieldNetwork", "polynomial 30", "exponential 50", "own potential")


def run(quick: bool = False) -> list[dict]:
    """Five memories × {1, 100 queries} at K = 1024, D = 2304: some of the cells of `twins`."""
    sizes, repeats = ((1, 3), 1) if quick else ((1, 100), 3)
    X = patterns_of("glyphs", *size_of("glyphs", quick))
    queries, cases = queries_of("glyphs", X, max(sizes)), cases_of("glyphs", X)
    return [cell(name, "glyphs", cases[name], queries[:B], repeats) for name in SHOWN for B in sizes]
