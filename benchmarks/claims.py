"""The atlas of claims: published statements about associative memories, computed again.

`python -m benchmarks --only claims --json` runs all; `python -m benchmarks.claims NAME …` runs some.
"""

import argparse

from benchmarks import harness
from benchmarks.atlas import CLAIMS


def run(quick: bool) -> list[dict]:
    """Every row of the atlas."""
    return [claim.row(quick) for claim in CLAIMS.values()]


def main(arguments: list[str] | None = None) -> None:
    """Print some rows of the atlas, by their names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claims", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", choices=list(CLAIMS))
    parser.add_argument("--quick", action="store_true", help="small sizes")
    chosen = parser.parse_args(arguments)
    for name in chosen.names:
        print(
            "\n".join(
                f"{key:>10}: {harness.shown(value)}" for key, value in CLAIMS[name].row(chosen.quick).items()
            )
        )


if __name__ == "__main__":
    main()
