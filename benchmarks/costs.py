"""The README's table of costs: naive way, ten lines, energyam and a floor, on glyphs."""

from benchmarks.twins import cases_of, cell, noisy, patterns_of

SHOWN = ("CHN", "HopfieldNetwork", "polynomial 30", "exponential 50", "own potential")


def run(quick: bool = False) -> list[dict]:
    """Five memories × {1, 100 queries} at K = 1024, D = 2304: some of the cells of `twins`."""
    K, D, sizes, repeats = (32, 128, (1, 3), 1) if quick else (1024, 2304, (1, 100), 3)
    X = patterns_of("glyphs", K, D)
    queries, cases = noisy(X, max(sizes)), cases_of(X)
    return [cell(name, "glyphs", *cases[name], queries[:B], repeats) for name in SHOWN for B in sizes]
