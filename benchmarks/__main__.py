"""The runner: `python -m benchmarks [--list] [--only NAME ...] [--quick] [--json [FOLDER]]`."""

import argparse
import ast
import importlib
import pathlib
import sys

from benchmarks import harness

HERE = pathlib.Path(__file__).parent


def registry() -> dict[str, str]:
    """Every benchmark in this folder with its docstring's first line, none of them imported."""
    found = {}
    for path in sorted(HERE.glob("[a-z]*.py")):
        tree = ast.parse(path.read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
            found[path.stem] = (ast.get_docstring(tree) or "").split("\n")[0]
    return found


def run_one(name: str, quick: bool, folder: pathlib.Path | None) -> None:
    """Run one benchmark, print its table, and keep results and figure in `folder` if there is one."""
    module = importlib.import_module(f"benchmarks.{name}")
    print(f"\n{name}: {registry()[name]}", flush=True)
    results = module.run(quick)
    print(harness.table(results) if isinstance(results, list) else ", ".join(results))
    if folder is None:
        return
    print(f"kept in {harness.save(name, results, folder)}")
    if hasattr(module, "figure"):
        module.figure(results).savefig(folder / f"{name}.png", dpi=120, bbox_inches="tight")


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and run what it asks for."""
    known = registry()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the benchmarks and stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(known), default=list(known))
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
    parser.add_argument("--json", nargs="?", type=pathlib.Path, const=HERE / "results", metavar="FOLDER")
    chosen = parser.parse_args(arguments)
    if chosen.list:
        print("\n".join(f"{name:<20} {line}" for name, line in known.items()))
        return
    for name in chosen.only:
        run_one(name, chosen.quick, chosen.json)


if __name__ == "__main__":
    main(sys.argv[1:])
