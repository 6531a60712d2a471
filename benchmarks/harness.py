"""What the benchmarks share: fair timing, memory, tables and result files.

A benchmark is a module in this folder. Its docstring's first line is what `--list` shows, and it has

    run(quick: bool) -> list[dict]     one flat dict a row, numbers and strings; `quick` for tiny sizes
    figure(rows) -> Figure             if there is a picture to make of them

A `run` may return a dict of anything JSON holds instead; `--json` then keeps it and prints its keys.
"""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

import energyam

PACKAGES = ("energyam", "jax", "jaxlib", "equinox", "numpy")
PACKAGES += ("torch", "faiss-cpu", "torch-hd", "hopfieldkit", "dwave-samplers", "thrml")  # compared with


@dataclasses.dataclass
class Timing:
    """Seconds of one way to do a thing: the first call (with its compilation), and the calls after it."""

    first: float
    seconds: list[float]

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def best(self) -> float:
        return min(self.seconds)


def time_all(ways: Mapping[str, Callable[[], Any]], repeats: int = 7) -> dict[str, Timing]:
    """Time several ways of doing a thing in turns, round after round, so that they share what disturbs them.

    Each is called once for its compilation, then twice a round, the second time on the clock: the first
    outlives the threads of another library, which spin for a while after their work. JAX results are waited
    for.
    """
    timings = {name: Timing(seconds_of(call), []) for name, call in ways.items()}
    for _ in range(repeats):
        for name, call in ways.items():
            jax.block_until_ready(call())
            timings[name].seconds.append(seconds_of(call))
    return timings


def seconds_of(call: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call, its JAX results waited for."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def extra_bytes(function: Callable, *args: Any) -> int:
    """What the compiled function needs in memory beside its arguments and results, as XLA plans it."""
    return jax.jit(function).lower(*args).compile().memory_analysis().temp_size_in_bytes


def machine() -> dict[str, Any]:
    """The machine and the versions that a result was made with."""
    installed = {name: _version(name) for name in PACKAGES}
    installed["energyam"] = energyam.__version__  # of the code that ran; what is installed may be older
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name, version in installed.items() if version},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def table(rows: list[dict]) -> str:
    """Rows as aligned text, one column for every key that occurs."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns] + [[shown(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in cells)


def save(name: str, results: Any, folder: pathlib.Path) -> pathlib.Path:
    """Write results, with the machine and the command, to folder/name.json."""
    path = folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    content = {"benchmark": name, "command": _command(), "machine": machine(), "results": results}
    path.write_text(json.dumps(content, indent=1, default=float) + "\n")
    return path


def _command():
    return " ".join(["python -m benchmarks", *sys.argv[1:]])


def shown(value: Any) -> str:
    """A value as it stands in a table."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_name():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
