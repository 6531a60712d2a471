"""The command line: the demo, recall of one's own pictures, and errors told in one line."""

import shutil
import subprocess
import sys
from importlib.metadata import version

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


@pytest.mark.parametrize("memory", ["chn", "PolynomialDenseAM", "exponential"])
def test_recall_of_a_picture_of_ones_own(memory, folder, tmp_path):
    out = tmp_path / "answer.png"
    flags = ["--memory", memory, "--noise", 0.2, "--size", 16, "--out", out]
    result = run("recall", "--patterns", folder, "--query", folder / "3.png", *flags)
    assert result.exit_code == 0, result.output
    assert "stored 12 pictures of 16 x 16 pixels, cut into black and white" in result.output
    assert "steps: " in result.output
    assert "the query is most like 3.png 0." in result.output
    assert ("recalled 3.png: 256 of its 256 bits, all" in result.output) == (memory != "chn")
    if memory == "chn":
        assert "a mixture of pictures" in result.output or "a spurious answer" in result.output
    assert out.stat().st_size > 1000


def test_half_a_picture_is_completed_and_animated(folder, tmp_path):
    out = tmp_path / "animation.gif"
    flags = ["--mask", "bottom", "--binary", "--size", 16, "--out", out]
    result = run("recall", "--patterns", folder, "--query", folder / "5.png", *flags)
    assert "recalled 5.png: 256 of its 256 bits, all" in result.output
    with Image.open(out) as animation:
        assert animation.format == "GIF" and 2 <= animation.n_frames <= 100


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Ten smooth grey pictures of different brightness and contrast; the last two are equal."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    x, y = np.meshgrid(*2 * [np.linspace(0, 1, 40)])
    for i in range(10):
        if i < 9:
            waves = sum(np.sin(a * x + b * y + c) for a, b, c in rng.uniform(-9, 9, (4, 3)))
        grey = 60 + 15 * i + (6 + 2 * i) * waves
        Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB").save(folder / f"{i}.jpg")
    return folder


@pytest.mark.parametrize("i", [0, 4, 7])  # dark and pale, and bright with more contrast
def test_a_photograph_stays_grey_and_is_not_won_by_the_brightest(i, photographs, tmp_path):
    out, flags = tmp_path / "a.gif", ["--noise", 0.5, "--size", 20]
    result = run(
        "recall", "--patterns", photographs, "--query", photographs / f"{i}.jpg", *flags, "--out", out
    )
    assert result.exit_code == 0, result.output
    assert result.output.startswith("stored 10 pictures of 20 x 20 pixels, in grey; colours are dropped")
    assert f"the answer is most like {i}.jpg 1.00" in result.output
    assert f"recalled {i}.jpg, but for 0." in result.output and "resembles nothing" not in result.output
    with Image.open(out) as animation:
        assert 5 < animation.n_frames <= 61
        animation.seek(animation.n_frames - 1)
        assert len(set(np.asarray(animation.convert("L"))[:160, :160].ravel())) > 12  # shades


def test_half_a_photograph_is_completed(photographs, tmp_path):
    flags = ["--mask", "left", "--size", 20, "--out", tmp_path / "a.png"]
    result = run("recall", "--patterns", photographs, "--query", photographs / "6.jpg", *flags)
    assert "recalled 6.jpg, but for 0." in result.output, result.output


def test_a_query_that_resembles_nothing_is_told(photographs, tmp_path):
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 40)).astype(np.uint8)).save(
        tmp_path / "q.png"
    )
    flags = ["--size", 40, "--out", tmp_path / "a.png"]
    result = run("recall", "--patterns", photographs, "--query", tmp_path / "q.png", *flags)
    assert "it resembles nothing that is stored" in result.output, result.output


def test_an_inverse_is_called_so(folder, tmp_path):
    pixels = np.asarray(Image.open(folder / "4.png"))
    Image.fromarray(255 - pixels).save(tmp_path / "q.png")
    flags = ["--memory", "chn", "--size", 16, "--out", tmp_path / "a.png"]
    (tmp_path / "few").mkdir()
    for i in (4, 5):
        shutil.copy(folder / f"{i}.png", tmp_path / "few")
    result = run("recall", "--patterns", tmp_path / "few", "--query", tmp_path / "q.png", *flags)
    assert "recalled the inverse of 4.png: black for white" in result.output, result.output


def test_the_version_is_that_of_the_package():
    result = run("--version")
    assert result.exit_code == 0 and result.output == f"energyam {version('energyam')}\n"


@pytest.mark.parametrize(("name", "kind"), [("X.GIF", "GIF"), ("X.PNG", "PNG")])
def test_endings_in_capitals_are_endings(name, kind, folder, tmp_path):
    out = tmp_path / "new" / name
    flags = ["--noise", 0.1, "--binary", "--size", 8, "--out", out]
    result = run("recall", "--patterns", folder, "--query", folder / "5.png", *flags)
    assert result.exit_code == 0, result.output
    with Image.open(out) as picture:
        assert picture.format == kind


def test_ffmpeg_is_looked_for_before_the_work(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("energyam.cli.shutil.which", lambda name: None)
    monkeypatch.setattr("energyam.cli._build", lambda *arguments: pytest.fail("the work has begun"))
    for name in ("a.mp4", "a.WEBM"):
        result = run("recall", *(flag.format(folder=folder) for flag in BOTH), "--out", tmp_path / name)
        assert result.exit_code == 2 and f"{name} needs ffmpeg" in result.output


@pytest.mark.filterwarnings("default")
def test_files_that_are_no_pictures_are_told_in_a_line(folder, tmp_path):
    for i in range(3):
        shutil.copy(folder / f"{i}.png", tmp_path)
    (tmp_path / "paper.pdf").touch()
    flags = ["--query", folder / "0.png", "--size", 8, "--out", tmp_path / "new" / "a.png"]
    result = run("recall", "--patterns", tmp_path, *flags)
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.output.splitlines() if "paper.pdf" in line)
    assert line.startswith("energyam: skipped in ") and "stored 3 pictures" in result.output


BOTH = ["--patterns", "{folder}", "--query", "{folder}/0.png"]


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
        ([*BOTH, "--memory", "hopfield"], "must be CHN, PolynomialDenseAM or ExponentialDenseAM; got"),
        ([*BOTH, "--seed", "99999999999999999999"], "--seed must be at most 4,294,967,295"),
        ([*BOTH, "--seed", "-1"], "--seed must be an integer of at least 0; got -1"),
        ([*BOTH, "--seed", "one"], "--seed"),
        ([*BOTH, "--n", "9" * 30, "--memory", "polynomial"], "n must be at least 1 and at most 1000"),
        ([*BOTH, "--n", "9" * 5000], "--n"),
        ([*BOTH, "--beta", "1e400"], "beta must be positive and finite; got inf"),
        ([*BOTH, "--beta", "1e39"], "beta must be "),
        ([*BOTH, "--noise", "nan"], "--noise"),
        ([*BOTH, "--size", "9" * 30], "--size"),
        ([*BOTH, "--out", "{folder}"], "{folder}"),
        ([*BOTH, "--out", "{folder}/0.png/a.gif"], "0.png"),
        (["--patterns", "{folder}", "--query", "{folder}"], "file must be a picture"),
    ],
)
def test_wrong_input_is_named_without_a_traceback(arguments, message, folder):
    result = run("recall", *(argument.format(folder=folder) for argument in arguments))
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit)
    # The frame breaks long words anywhere, and sentences between words.
    lines = [line.strip("│") for line in result.output.splitlines()]
    outputs = "".join(lines), " ".join(" ".join(lines).split())
    assert (
        any(message.format(folder=folder) in output for output in outputs)
        and "Traceback" not in result.output
    )


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
