"""Which rows of the parametrized tests run where not all do: `scripts/check.sh` draws some of each."""

import fnmatch
import random

# Files that run whole: their rows cost next to nothing, or are the pages that users copy from.
WHOLE = (
    "claims_page docs downloads files house_rules names_in_prose packaging public_names saved_by_0_2 shown "
    "wrong_use*"
).split()


def sampled(names: list[str], rows: int, seed: str) -> set[str]:
    """Of the names of tests, `tests/test_x.py::test_y[row]`, so many rows of each test, or one in twenty.

    Which ones is drawn by the seed and the name of the test, so that a new row elsewhere changes nothing.
    """
    tables: dict[str, list[str]] = {}
    for name in names:
        tables.setdefault(name.split("[")[0], []).append(name)
    kept: set[str] = set()
    for test, table in tables.items():
        stem = test.split("::")[0].split("/")[-1].removeprefix("test_").removesuffix(".py")
        count = max(rows, len(table) // 20)
        whole = len(table) <= count or any(fnmatch.fnmatch(stem, file) for file in WHOLE)
        kept.update(table if whole else random.Random(test + seed).sample(table, count))
    return kept
