"""The command line: the demo, recall of one's own pictures, and errors told in one line."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import energyam as eam
from energyam.cli import Memory, app


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of twelve pictures, 24 pixels a side."""
    folder = tmp_path_factory.mktemp("pictures")
    for i, glyph in enumerate(eam.datasets.glyphs()[10:22]):
        Image.fromarray(np.where(glyph > 0, 255, 0).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def test_the_demo_prints_its_table_and_draws(tmp_path, monkeypatch):
    monkeypatch.setattr("energyam.cli._CASES", [(Memory.chn, 2, None), (Memory.exponential, 1024, None)])
    result = run("demo", "--queries", 4, "--out", tmp_path / "new" / "demo")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[1].split("  ")[0] == "memory" and lines[2].split()[:5] == ["CHN", "2", "25%", "2", "of"]
    assert "4 of 4" in lines[3] and "100.00%" in lines[3]
    assert len({len(line) for line in lines[1:4]}) == 1
    names = sorted(file.name for file in (tmp_path / "new" / "demo").iterdir())
    assert names == ["memories.png", "recall.gif"]


@pytest.mark.parametrize("memory", ["chn", "polynomial", "exponential"])
def test_recall_of_a_picture_of_ones_own(memory, folder, tmp_path):
    out = tmp_path / "answer.png"
    flags = ["--memory", memory, "--noise", 0.2, "--size", 16, "--out", out]
    result = run("recall", "--patterns", folder, "--query", folder / "3.png", *flags)
    assert result.exit_code == 0, result.output
    assert "stored 12 pictures of 256 bits" in result.output and "sweeps: " in result.output
    assert ("recalled 3.png: 256 bits of it, all" in result.output) == (memory != "chn")
    assert out.stat().st_size > 1000


def test_half_a_picture_is_completed_and_animated(folder, tmp_path):
    out = tmp_path / "animation.gif"
    flags = ["--mask", "bottom", "--size", 16, "--out", out]
    result = run("recall", "--patterns", folder, "--query", folder / "5.png", *flags)
    assert "recalled 5.png: 256 bits of it, all" in result.output
    with Image.open(out) as animation:
        assert animation.format == "GIF" and 2 <= animation.n_frames <= 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--patterns", "nowhere", "--query", "{folder}/0.png"], "'nowhere'"),
        (["--patterns", "{folder}", "--query", "nothing.png"], "'nothing.png'"),
        (["--patterns", "{folder}", "--query", "{folder}/0.png", "--out", "a.bmp"], "a.bmp"),
        (["--patterns", "{folder}", "--query", "{folder}/0.png", "--beta", "-1"], "beta must be positive"),
        (["--patterns", "{folder}", "--query", "{folder}/0.png", "--noise", "2"], "--noise"),
        (["--patterns", "{folder}", "--query", "{folder}/0.png", "--mask", "middle"], "--mask"),
        (["--patterns", "{folder}"], "--query"),
    ],
)
def test_wrong_input_is_named_without_a_traceback(arguments, message, folder):
    result = run("recall", *(argument.format(folder=folder) for argument in arguments))
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit)
    assert message in result.output and "Traceback" not in result.output


def test_the_demo_says_where_it_cannot_write(tmp_path):
    file = tmp_path / "file"
    file.touch()
    result = run("demo", "--out", file / "demo")
    assert result.exit_code == 2 and str(file) in result.output


def test_language_models_get_their_own_options(monkeypatch):
    calls = []
    module = type(sys)("energyam.lm.command")
    module.app = lambda arguments, prog_name: calls.append((arguments, prog_name))
    monkeypatch.setitem(sys.modules, "energyam.lm.command", module)
    assert run("lm", "--prompt", "Hello", "--help", "-x").exit_code == 0
    assert calls == [(["--prompt", "Hello", "--help", "-x"], "energyam lm")]


def test_help_lists_the_commands_and_loads_neither_matplotlib_nor_language_models():
    code = (
        "import sys; from energyam.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: print({'matplotlib', 'energyam.lm', 'tokenizers'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(word in output for word in ("demo", "recall", "lm")) and output.endswith("set()\n")


def test_the_module_runs():
    command = [sys.executable, "-m", "energyam", "recall", "--patterns", "nowhere", "--query", "nothing.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("energyam: folder must be a folder of pictures")
