"""What an accelerator would have to launch: kernels, loop turns and branches of one recall, and of sampling.

At some microseconds for each launch, these and not the arithmetic decide how fast an accelerator is.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

import energyam as eam
from benchmarks.launch_counter import Launches, count
from energyam.flips.plan import as_on

SWEEPS = 10  # of sampling


@contextlib.contextmanager
def as_accelerator() -> Iterator[None]:
    """Within it, blocks of neurons are decided as accelerators do: in rounds rather than by bounds."""
    with as_on("accelerator"):
        yield


def memories(X: jax.Array) -> dict[str, Callable[[], Any]]:
    """How to make the memories whose recall is counted, of patterns (K, D)."""
    D = X.shape[1]
    return {
        "CHN": lambda: eam.CHN(X),
        "HopfieldNetwork": lambda: eam.HopfieldNetwork(eam.hebbian(X)),
        "exponential 50": lambda: eam.ExponentialDenseAM(X, 50.0),
        "exponential .05": lambda: eam.ExponentialDenseAM(X, 0.05),
        "polynomial 3": lambda: eam.PolynomialDenseAM(X, 3),
        "polynomial 30": lambda: eam.PolynomialDenseAM(X, 30),
        "PatternSDM": lambda: eam.PatternSDM(X, round(800 / 2304 * D)),
    }


def spin_glass(n: int) -> eam.HopfieldNetwork:
    """Couplings of Sherrington and Kirkpatrick: symmetric normal numbers over √n, none with itself."""
    weights = jr.normal(jr.key(2), (n, n))
    weights = (weights + weights.T) / n**0.5
    return eam.HopfieldNetwork(weights - jnp.diag(jnp.diag(weights)))


def launches_of_recall(memory: Any, queries: jax.Array) -> Launches:
    """What one recall by the default rule launches, of at most 20 steps."""

    def recalled(queries):
        result = eam.recall(memory, queries, max_steps=20, key=jr.key(0))
        return result.state, result.energies, result.num_steps

    return count(recalled, queries)


def launches_of_sampling(memory: Any, start: jax.Array, temperature: float = 0.5) -> Launches:
    """What ten sweeps of a heat bath launch."""
    update = eam.HeatBath(temperature)
    return count(lambda start: eam.sample(memory, start, update, SWEEPS, key=jr.key(0)).states, start)


def cases(quick: bool) -> dict[str, tuple[int, Callable[[], Launches]]]:
    """By name the number of queries or chains of each cell, and what counts it."""
    K, D, B, n, chains = (32, 128, 3, 40, 2) if quick else (1024, 2304, 100, 2000, 32)
    X = jnp.asarray(eam.datasets.glyphs().reshape(1024, -1)[:K, :D], float)
    queries = eam.datasets.flip_bits(X[:B], 0.25, key=jr.key(1))
    start = jnp.sign(jr.normal(jr.key(3), (chains, n)))
    counted = {
        name: (B, lambda make=make: launches_of_recall(make(), queries)) for name, make in memories(X).items()
    }
    return counted | {"SK": (chains, lambda: launches_of_sampling(spin_glass(n), start))}


def run(quick: bool = False) -> list[dict]:
    """{memories} recalling 100 glyphs (K = 1024, D = 2304) at 25 % noise; ten sweeps of a spin glass."""
    rows = []
    for name, (batch, counted) in cases(quick).items():
        with as_accelerator():
            rows.append({"memory": name, "batch": batch} | counted()._asdict())
        print(", ".join(map(str, rows[-1].values())), flush=True)
    return rows
