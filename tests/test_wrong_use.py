"""Wrong use of every public name: an error that names the argument, from the tables in `wrong_use_rows`.

A new public name needs rows, or `test_every_public_name_has_rows` fails. Add them to a table there, such as

    (lambda v: eam.NewMemory(X, v), "beta", ONE_POSITIVE)

or write a file `test_wrong_use_<part>.py` of your own that calls the name (`eam.NewMemory(`): the test looks
for the name in all these files. Names that can't be called wrongly need none: see `needs_rows`.
"""

import importlib
import pathlib
import pkgutil
import re

import pytest
import wrong_use_rows
from right_calls import needs_rows, public_names

HERE = pathlib.Path(__file__).parent
MODULES = [found.name for found in pkgutil.iter_modules(wrong_use_rows.__path__)]
TABLES = {name: getattr(importlib.import_module(f"wrong_use_rows.{name}"), "ROWS", []) for name in MODULES}
ROWS = [(name, index) for name, rows in TABLES.items() for index in range(len(rows))]


@pytest.mark.parametrize(("table", "index"), ROWS, ids=lambda part: str(part))
def test_wrong_values_are_refused_by_the_name_of_the_argument(table, index):
    call, argument, values = TABLES[table][index]
    word = re.compile(rf"(?<!\w){re.escape(argument)}(?!\w)")
    for value in values:
        try:
            result = call(value)
        except (ValueError, TypeError, OSError) as error:
            assert word.search(str(error)), f"{argument} = {value!r:.80}: {error}"
            assert len(str(error)) < 700, str(error)
        else:
            raise AssertionError(f"{argument} = {value!r:.80} gave {result!r:.200}")


def test_there_are_at_least_500_rows():
    assert sum(len(values) for rows in TABLES.values() for _, _, values in rows) >= 500


def test_every_public_name_has_rows():
    files = [*HERE.glob("test_wrong_use*.py"), *HERE.glob("wrong_use_rows/*.py")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    names = dict(public_names())
    assert len(names) > 150
    missing = [
        name
        for name, value in names.items()
        if needs_rows(name, value) and not re.search(rf"\.{name.split('.')[-1]}\b", text)
    ]
    assert not missing, f"no rows of wrong use for {missing}: see the head of {pathlib.Path(__file__).name}"


def test_abstract_classes_say_what_must_be_written():
    for name, value in public_names():
        if isinstance(value, type) and getattr(value, "__abstractmethods__", ()):
            with pytest.raises(TypeError, match=f"abstract class {value.__name__}"):
                value()
            assert value.__name__ == name.split(".")[-1]
