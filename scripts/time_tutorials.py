"""How long each tutorial takes in full, written into its first cell: for a machine that does nothing else.

python scripts/time_tutorials.py [NAME ...]     names such as 00_dense_storage; all of them unless given
"""

import json
import pathlib
import re
import sys
import time

ROOT = pathlib.Path(__file__).parents[1]
PLACE = re.compile(r"(\*\*On a CPU\*\* .*? )?(?=\*\*On a GPU\*\*)")


def sentence(seconds: float, machine: dict) -> str:
    """What a tutorial says of the time that it took."""
    taken = f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{max(1, round(seconds / 60))} minute"
    cores, cpu = machine["cores"], machine["cpu"] or "a CPU"
    version, date = machine["versions"]["energyam"], machine["date"][:10]
    return f"**On a CPU** a full run took {taken} ({cores} cores of {cpu}, energyam {version}, {date}). "


def with_time(first: str, line: str) -> str:
    """The text of a first cell with its line about the CPU put in or renewed."""
    return PLACE.sub(lambda _: line, first, count=1)


def seconds_of(path: pathlib.Path) -> float:
    """How long a run of a tutorial takes, in a fresh kernel and in full; raises where a cell fails."""
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=None, resources={"metadata": {"path": path.parent}})
    start = time.perf_counter()
    client.execute()
    return time.perf_counter() - start


def main(names: list[str]) -> None:
    """Run tutorials one after another, and write down how long each took."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.harness import machine

    for path in sorted((ROOT / "tutorials").glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        seconds = seconds_of(path)
        kept = json.loads(path.read_text("utf-8"))
        first = "".join(kept["cells"][0]["source"])
        kept["cells"][0]["source"] = with_time(first, sentence(seconds, machine())).splitlines(keepends=True)
        path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(f"{path.stem}: {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
