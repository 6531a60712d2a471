"""How a sweep decides its neurons, and how many together: one table, measured, by platform and batch.

On a processor arithmetic is dear: one product bounds the changes of a few neurons, and what it leaves open is
looked at exactly. On an accelerator launching a kernel is dear: a large block is decided exactly, several
times over, until nothing changes. Flips that interact by couplings go by rounds everywhere.
(`energyam.flips.sweep` reads the table.)
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Literal, NamedTuple

import jax

# Neurons of a block whose flips interact by couplings: on a processor for one query, few and many.
COUPLED = {"one": 32, "few": 32, "many": 64, "accelerator": 512}
FEW = 32
# Neurons of a block at the most and at the least, and the floats that it may hold: by bounds these stay in a
# core's cache, and few neurons are bounded twice; in rounds they are those of one query.
SIZES = {"bounds": (16, 4, 2**19), "rounds": (256, 8, 2**18)}
queries: ContextVar[int] = ContextVar("queries", default=FEW)  # each thread traces its own batch
asked_for: list[str] = []  # the platforms that `as_on` names


class Plan(NamedTuple):
    """`how` a block is decided, its `size`, whether to look first if anything moves in it at all, and whether
    the flips bound their changes."""

    how: Literal["rounds", "bounds"]
    size: int
    looks_first: bool = False
    bounded: bool = False


@contextlib.contextmanager
def as_on(platform: Literal["cpu", "accelerator"]) -> Iterator[None]:
    """Within it, sweeps decide as they do on another platform: for tests and benchmarks.

    What was compiled before is forgotten, and so is what is compiled within.
    """
    jax.clear_caches()
    asked_for.append(platform)
    try:
        yield
    finally:
        asked_for.pop()
        jax.clear_caches()
