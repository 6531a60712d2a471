"""Of long tables of tests a few rows run, always the same ones for one seed, and at least one of each."""

from sampled_rows import sampled

TABLES = {
    "tests/test_a.py::test_long": 30,
    "tests/test_a.py::test_short": 3,
    "tests/test_wrong_use_of_a.py::test_cheap": 40,
}
NAMES = [f"{test}[{row}]" for test, rows in TABLES.items() for row in range(rows)]
NAMES += ["tests/test_a.py::test_alone"]


def number(kept, test):
    return sum(name.startswith(test) for name in kept)


def test_long_tables_are_sampled_and_others_run_whole():
    kept = sampled(NAMES, 4, "0")
    assert [number(kept, test) for test in TABLES] == [4, 3, 40]
    assert "tests/test_a.py::test_alone" in kept


def test_of_many_rows_one_in_twenty_runs():
    many = [f"tests/test_a.py::test_many[{row}]" for row in range(100)]
    assert len(sampled(many, 1, "0")) == 5 and len(sampled(many[:39], 1, "0")) == 1


def test_rows_depend_on_the_seed_and_on_no_other_test():
    long = [name for name in NAMES if "test_long" in name]
    assert sampled(NAMES, 4, "0") & set(long) == sampled(long, 4, "0")
    assert sampled(long, 4, "0") != sampled(long, 4, "1")


def test_every_row_runs_under_some_seed():
    long = [name for name in NAMES if "test_long" in name]
    assert set().union(*(sampled(long, 4, str(seed)) for seed in range(60))) == set(long)
