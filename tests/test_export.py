"""The page on `jax.export`: what it writes runs in a process in which energyam can't be imported."""

import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "how" / "export.md"
WITHOUT = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("energyam", "equinox"):
            raise ImportError(f"{name} must not be needed")

sys.meta_path.insert(0, Refuse())
"""


def run(code, folder):
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)


def test_what_was_exported_runs_where_energyam_is_missing(tmp_path):
    write, use = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    exec(compile(write.replace('Path(f"', f'Path(f"{tmp_path}/'), PAGE.name, "exec"), {})
    seen = "\nassert not {'energyam', 'equinox'} & sys.modules.keys()\nprint(answer['state'].shape)"
    done = run(WITHOUT + use + seen, tmp_path)
    assert done.stdout == "(7, 64)\n", done.stderr
    assert "energyam must not be needed" in run(WITHOUT + "import energyam", tmp_path).stderr
