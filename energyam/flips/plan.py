"""How a sweep decides its neurons, and how many together: one table, measured, by platform.

On a processor arithmetic is dear: one product bounds the changes of a few neurons, and what it leaves open is
looked at exactly. On an accelerator launching a kernel is dear: a large block is decided exactly, several
times over, until nothing changes. Flips that interact by couplings go by rounds everywhere.
"""

import contextlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

import jax

# Neurons of a block. Of bounded ones there are fewer among many patterns, so that few are bounded twice.
COUPLED = {"cpu": 64, "accelerator": 512}
BOUNDED, FEWEST_BOUNDED, CACHED = 16, 4, 2**19  # CACHED: floats of a block that stays in a core's cache
IN_ROUNDS, FEWEST_IN_ROUNDS, WIDEST = 256, 8, 2**18  # WIDEST: similarities that one query's block may hold
_asked_for: list[str] = []


class Plan(NamedTuple):
    """`how` a block is decided, and its `size`; None for neurons that go one after another."""

    how: Literal["rounds", "bounds"]
    size: int


def plan(pairs: bool, rounds: bool, bounds: bool, width: int, tries: int) -> Plan | None:
    """The plan for a sweep of so many `tries`.

    **Arguments:** `pairs`: flips interact by couplings; `rounds` and `bounds`: what the flips offer; `width`:
    floats that are kept, such as the number of patterns.
    """
    if pairs:
        return Plan("rounds", min(COUPLED[_platform()], tries))
    if rounds and (_platform() == "accelerator" or not bounds):
        return Plan("rounds", min(IN_ROUNDS, max(FEWEST_IN_ROUNDS, WIDEST // width), tries))
    if bounds:
        return Plan("bounds", min(BOUNDED, max(FEWEST_BOUNDED, CACHED // width), tries))
    return None


@contextlib.contextmanager
def as_on(platform: Literal["cpu", "accelerator"]) -> Iterator[None]:
    """Within it, sweeps decide as they do on another platform: for tests and benchmarks.

    What was compiled before is forgotten, and so is what is compiled within.
    """
    jax.clear_caches()
    _asked_for.append(platform)
    try:
        yield
    finally:
        _asked_for.pop()
        jax.clear_caches()


def _platform() -> str:
    if _asked_for:
        return _asked_for[-1]
    return "cpu" if jax.default_backend() == "cpu" else "accelerator"
