"""How a sweep decides its neurons, and how many together: one table, measured, by platform and batch.

On a processor arithmetic is dear: one product bounds the changes of a few neurons, and what it leaves open is
looked at exactly. On an accelerator launching a kernel is dear: a large block is decided exactly, several
times over, until nothing changes. Flips that interact by couplings go by rounds everywhere.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Literal, NamedTuple

import jax

# Neurons of a block whose flips interact by couplings: on a processor for one query, few and many.
COUPLED = {"one": 32, "few": 32, "many": 64, "accelerator": 512}
FEW = 32
# Neurons of a bounded block: fewer among many patterns, so that few are bounded twice.
BOUNDED, FEWEST_BOUNDED, CACHED = 16, 4, 2**19  # CACHED: floats of a block that stays in a core's cache
# Neurons decided in rounds by their similarities, of which one query's block may hold WIDEST.
IN_ROUNDS, FEWEST_IN_ROUNDS, WIDEST = 256, 8, 2**18
_asked_for: list[str] = []
_queries: ContextVar[int] = ContextVar("queries", default=FEW)  # each thread traces its own batch


class Plan(NamedTuple):
    """`how` a block is decided, its `size`, and whether to look first if anything moves in it at all."""

    how: Literal["rounds", "bounds"]
    size: int
    looks_first: bool = False


def plan(pairs: bool, rounds: bool, bounds: bool, width: int, tries: int) -> Plan | None:
    """The plan for a sweep of so many `tries`; None for neurons that go one after another.

    **Arguments:** `pairs`: flips interact by couplings; `rounds` and `bounds`: what the flips offer; `width`:
    floats that are kept, such as the number of patterns.
    """
    accelerator = _platform() == "accelerator"
    if pairs:
        queries = _queries.get()
        number = "one" if queries == 1 else "few" if queries < FEW else "many"
        size = COUPLED["accelerator" if accelerator else number]
        return Plan("rounds", min(size, tries), looks_first=queries == 1 and not accelerator)
    if rounds and (accelerator or not bounds):
        return Plan("rounds", min(IN_ROUNDS, max(FEWEST_IN_ROUNDS, WIDEST // width), tries))
    if bounds:
        return Plan("bounds", min(BOUNDED, max(FEWEST_BOUNDED, CACHED // width), tries))
    return None


@contextlib.contextmanager
def for_queries(number: int) -> Iterator[None]:
    """Within it, what is traced is for a batch of so many queries."""
    before = _queries.set(number)
    try:
        yield
    finally:
        _queries.reset(before)


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
