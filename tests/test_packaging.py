"""The package as others get it: its address, what wheel and sdist hold, and the files for those who help."""

import importlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest
from hatchling import build
from twine.commands.check import check

import energyam as eam

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OURS = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")
# Repositories that are named beside this one.
OTHERS = {"jax-ml/jax", "patrick-kidger/equinox", "brendenlake/omniglot", "bhoov/amtutorial"} | {
    "PCJohn/attractors",
    "MTMTransformer/MTMTransformer",
    "ml-jku/hopfield-layers",
}
NAMED = re.compile(r"(?:github\.com|githubusercontent\.com|google\.com/github)/([\w-]+/[\w-]+)")
TEXTS = {".py", ".md", ".ipynb", ".toml", ".yml", ".yaml", ".cff", ".sh"}


def tracked():
    """The text files of the repository: what git tracks, or what lies there where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split("\0") if listed.returncode == 0 else ROOT.rglob("[!.]*")
    return [ROOT / name for name in names if name and pathlib.Path(name).suffix in TEXTS]


def repositories_named(text):
    return {name.removesuffix(".git") for name in NAMED.findall(text)}


def test_every_address_of_the_repository_is_the_one_in_pyproject():
    others = [path for path in tracked() if path.is_file() and path.name != "test_packaging.py"]
    found = {path.name: repositories_named(path.read_text("utf-8")) for path in others}
    assert not {name: wrong for name, names in found.items() if (wrong := names - OTHERS - {OURS})}
    assert OURS in set.union(*found.values())


def test_a_wrong_address_would_be_found():
    wrong = f"{'someone'}/energyam"  # in two pieces, so that it isn't found in this file
    badge = f"badge](https://colab.research.google.com/github/{wrong}/blob/main/x.ipynb)"
    assert repositories_named(badge) == repositories_named(f"git+https://github.com/{wrong}.git") == {wrong}


def test_the_address_is_set_in_badges_install_cells_and_files(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    setting, new = importlib.import_module("set_repository"), f"{'someone'}/memories"
    for path in (ROOT / "pyproject.toml", ROOT / "CITATION.cff", *(ROOT / "tutorials").glob("*.ipynb")):
        text = path.read_text("utf-8")
        changed = setting.renamed(text, OURS, new)
        assert repositories_named(changed) == repositories_named(text) - {OURS} | {new}
    assert setting.renamed(f"https://github.com/{OURS}-other", OURS, new).endswith(f"{OURS}-other")


@pytest.mark.parametrize("path", sorted((ROOT / "tutorials").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_tutorial_opens_itself_in_colab_and_installs_this_repository(path):
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text("utf-8"))["cells"]]
    assert f"(https://colab.research.google.com/github/{OURS}/blob/main/tutorials/{path.name})" in cells[0]
    assert cells[0].count("**On a GPU**") == 1
    install = next(cell for cell in cells if "%pip" in cell)
    assert 'find_spec("energyam") is None' in install and f"git+https://github.com/{OURS}" in install


def test_the_time_that_a_tutorial_took_is_put_in_once(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    timing = importlib.import_module("time_tutorials")
    machine = {"cores": 2, "cpu": "X", "versions": {"energyam": "0.3.0"}, "date": "2026-11-29T10:00"}
    first = timing.with_time("# T\n\n**On a GPU** more.", timing.sentence(60, machine))
    again = timing.with_time(first, timing.sentence(200, machine))
    assert "**On a CPU** a full run took 1 minute (2 cores of X, energyam 0.3.0, 2026-11-29). **On" in first
    assert again == first.replace("1 minute", "3 minutes")


def imported(path):
    """The packages that a notebook imports, apart from Python's own, by the names that pip knows."""
    cells = [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    lines = [line.strip() for cell in cells for line in "".join(cell["source"]).splitlines()]
    found = {name for line in lines for name in re.findall(r"^(?:import|from) (\w+)", line)}
    other = {"PIL": "pillow", "IPython": "jupyterlab", "sklearn": "scikit-learn", "faiss": "faiss-cpu"}
    return {other.get(name, name) for name in found - sys.stdlib_module_names}


@pytest.mark.parametrize("path", sorted((ROOT / "tutorials").glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_extra_of_tutorials_has_all_that_a_tutorial_imports(path):
    extra = PROJECT["optional-dependencies"]["tutorials"]
    asked = {re.match(r"[\w-]+", line)[0] for line in [*PROJECT["dependencies"], *extra]}
    assert {"jax", "numpy"} <= imported(path) <= asked
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text("utf-8"))["cells"]]
    assert "scikit-learn" not in imported(path) or any(
        "%pip install -q scikit-learn" in cell for cell in cells
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and sdist of this checkout, made in this process by the build backend itself."""
    folder = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return [folder / make(str(folder)) for make in (build.build_wheel, build.build_sdist)]


def test_the_wheel_is_the_package_and_small(built):
    names = zipfile.ZipFile(built[0]).namelist()
    assert {name.split("/")[0] for name in names} == {"energyam", f"energyam-{eam.__version__}.dist-info"}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "energyam").rglob("*.py")}
    assert sources <= set(names) and "energyam/py.typed" in names
    assert {pathlib.PurePath(name).suffix for name in names if name.startswith("energyam/")} - {".py"} == {
        pathlib.PurePath(path).suffix for path in (ROOT / "energyam").rglob("*.*") if path.is_file()
    } - {".py", ".pyc"}
    assert built[0].stat().st_size < 600_000


def test_the_sdist_holds_what_the_wheel_needs_and_no_notebooks(built):
    with tarfile.open(built[1]) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    own = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "PKG-INFO", ".gitignore"}
    assert {name for name in names if not name.startswith("energyam/")} == own
    assert built[1].stat().st_size < 600_000


WHEEL = """
import pathlib, sys, energyam as eam, jax, numpy as np
assert pathlib.Path(eam.__file__).is_relative_to(sys.argv[1]), eam.__file__
patterns = eam.datasets.glyphs()[:20].reshape(20, -1)
memory = eam.ExponentialDenseAM(patterns, beta=50.0)
queries = eam.datasets.flip_bits(patterns, 0.2, key=jax.random.key(0))
result = eam.recall(memory, queries, key=jax.random.key(1))
assert result.converged.all() and (result.state == patterns).all()
eam.save("memory.safetensors", memory)
assert (np.asarray(eam.load("memory.safetensors").patterns) == patterns).all()
eam.plotting.animate(result, shape=(48, 48)).save("recall.gif")
import energyam.cli, energyam.evaluation, energyam.ising, energyam.lm, energyam.nn, energyam.theory
"""


def test_the_installed_wheel_recalls_saves_and_draws(built, tmp_path):
    site = tmp_path / "site"
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(built[0])], check=True)
    own = os.environ | {"PYTHONPATH": str(site), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", WHEEL, str(site)], cwd=tmp_path, env=own, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "recall.gif").stat().st_size > 10_000


def test_both_pass_the_check_of_the_index(built):
    assert not check([str(path) for path in built], strict=True)


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert PROJECT["version"] == eam.__version__
    assert f"\nversion: {eam.__version__}\n" in citation
    assert f"version = {{{eam.__version__}}}" in (ROOT / "docs" / "citing.md").read_text("utf-8")
    assert (ROOT / "CHANGELOG.md").read_text("utf-8").startswith(f"# Changelog\n\n## {eam.__version__}")


def test_the_workflow_runs_what_everybody_runs():
    workflow = (ROOT / ".github" / "workflows" / "checks.yml").read_text("utf-8")
    assert "- run: .ci/run\n" in workflow
    script = (ROOT / "scripts" / "check.sh").read_text("utf-8")
    assert script.index("install --quiet") < script.index("PYTHONWARNINGS=default")
    assert 'rm -rf "$venv"' in script
