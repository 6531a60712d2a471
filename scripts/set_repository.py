"""Set the address of the repository: in pyproject.toml, and in every badge, install cell and file with it.

python scripts/set_repository.py OWNER/NAME
"""

import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).parents[1]
HOSTS = ("https://github.com/", "https://raw.githubusercontent.com/", "research.google.com/github/")


def renamed(text: str, old: str, new: str) -> str:
    """The text with addresses of the repository `old` replaced by those of `new`."""
    hosts = "|".join(map(re.escape, HOSTS))
    return re.sub(rf"({hosts}){re.escape(old)}(?![\w-])", rf"\g<1>{new}", text)


def main(new: str) -> None:
    """Replace the address in all files that git tracks."""
    if not re.fullmatch(r"[\w-]+/[\w.-]+", new):
        raise SystemExit(f"the address must be OWNER/NAME; got {new!r}")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    old = project["urls"]["Repository"].removeprefix(HOSTS[0])
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in names.stdout.split("\0"):
        path = ROOT / name
        if (
            path.suffix in {".py", ".md", ".ipynb", ".toml", ".yml", ".yaml", ".cff", ".sh"}
            and path.is_file()
        ):
            text = path.read_text("utf-8")
            if (changed := renamed(text, old, new)) != text:
                path.write_text(changed, "utf-8")
                print(name)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
