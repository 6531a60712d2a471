"""What users see: `dir()` of energyam and of each of its spaces is its public names, and nothing else."""

import inspect
import json
import pathlib
import re
import types

import pytest

import energyam as eam

ROOT = pathlib.Path(__file__).parents[1]
SPACES = sorted({*eam._LAZY, "synapses"})
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("tutorials/*.ipynb"))]


def source(page):
    """What a page says; of a notebook its cells, without their outputs."""
    text = page.read_text("utf-8")
    if page.suffix == ".md":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


def used(page):
    """The names of the spaces that a page uses, as (space, name)."""
    text = source(page)
    named = re.findall(rf"\b(?:eam|energyam)\.({'|'.join(SPACES)})\.(\w+)", text)
    for space, names in re.findall(rf"from energyam\.({'|'.join(SPACES)}) import \(?([\w, ]+)", text):
        named += [(space, name.split()[0]) for name in names.split(",") if name.strip()]
    return set(named)


def is_ours(value):
    """Whether a value is of energyam: a function, a class, or a constant of plain Python."""
    home = getattr(value, "__module__", None)
    return not isinstance(value, types.ModuleType) and (home is None or home.startswith("energyam"))


@pytest.mark.parametrize("space", SPACES)
def test_dir_of_a_space_is_its_public_names(space):
    space = getattr(eam, space)
    assert dir(space) == space.__all__ == sorted(set(space.__all__)) and space.__all__
    for name in space.__all__:
        assert not name.startswith("_") and is_ours(getattr(space, name)), name
        assert inspect.getdoc(getattr(space, name)), name


def test_dir_of_energyam_is_its_public_names():
    assert dir(eam) == sorted({*eam.__all__, *SPACES})
    assert len(eam.__all__) == len(set(eam.__all__)) <= 100
    for name in {*eam.__all__} - {*SPACES}:
        assert not name.startswith("_") and is_ours(getattr(eam, name)), name
        assert inspect.getdoc(getattr(eam, name)), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_pages_and_tutorials_use_is_public(page):
    missing = {f"{space}.{name}" for space, name in used(page) if name not in getattr(eam, space).__all__}
    assert not missing


def test_names_that_pages_use_are_found():
    found = set().union(*map(used, PAGES))
    assert len(found) > 50 and {("datasets", "flip_bits"), ("synapses", "Dense")} <= found


def test_helpers_and_imports_are_not_shown():
    assert is_ours(eam.recall) and not is_ours(types) and not is_ours(json.loads)
    hidden = {
        "check_radius",
        "log_of",
        "opened_tensors",
        "bare_outcome",
        "public_names",
        "checks",
        "jnp",
        "np",
    }
    assert not [space for space in SPACES if hidden & {*dir(getattr(eam, space))}]
