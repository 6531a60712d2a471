"""What it costs to begin: importing energyam beside jax, and compiling a first recall."""

import subprocess
import sys

import numpy as np

RECALL = """
import time, jax, jax.random as jr, energyam as eam
X = jr.rademacher(jr.key(0), (64, 256), dtype="int8")
memory = eam.{memory}
start = time.perf_counter()
eam.recall(memory, X[:8] * {one}, key=jr.key(1)).state.block_until_ready()
print(time.perf_counter() - start)
"""
PROGRAMS = {
    "python": "",
    "import jax": "import jax",
    "import jax, equinox": "import jax, equinox",
    "import energyam": "import energyam",
}
RECALLS = {
    "exponential, asynchronous": RECALL.format(memory="ExponentialDenseAM(X, 0.5)", one="1"),
    "polynomial, asynchronous": RECALL.format(memory="PolynomialDenseAM(X, 5)", one="1"),
    "modern Hopfield, synchronous": RECALL.format(memory="ModernHopfield(X * 1.0, 0.5)", one="1.0"),
}
CLOCK = "import time; start = time.perf_counter()\n{}\nprint(time.perf_counter() - start)"


def run(quick: bool) -> list[dict]:
    repeats = 1 if quick else 5
    rounds = [{name: seconds(CLOCK.format(code)) for name, code in PROGRAMS.items()} for _ in range(repeats)]
    rows = [row_of(name, [each[name] for each in rounds]) for name in PROGRAMS]
    return rows + [row_of(f"first recall: {name}", [seconds(code)]) for name, code in RECALLS.items()]


def row_of(name, times) -> dict:
    return {"what": name, "seconds": float(np.median(times)), "best": min(times), "runs": len(times)}


def seconds(program: str) -> float:
    """What the program prints, run in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
