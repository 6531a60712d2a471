"""What `recall` and `sample` share: the checks before a run, and runs in chunks that show their progress."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.typing import ArrayLike
from jaxtyping import PyTree

from energyam import checks
from energyam.dynamics import loop
from energyam.dynamics.moves import check_layers
from energyam.dynamics.states import Batch, Layers, checked_clamp, checked_states, layers_of
from energyam.dynamics.update import AbstractUpdate

_CHUNKS = 100  # of a run that shows its progress


class Checked(NamedTuple):
    """A run whose parts fit each other, the states that it starts from, and their layers."""

    run: loop.Run
    batch: Batch
    layers: Layers


def checked_run(
    memory: Any,
    states: PyTree[ArrayLike],
    name: str,
    update: AbstractUpdate,
    num_steps: int,
    clamp: Any,
    stop: loop.Stop | None,
    stops_early: bool,
) -> Checked:
    """A run of a rule on a memory, from states that the caller calls `name`.

    Raises `ValueError` for states, clamps or schedules that don't fit the memory or the rule.
    """
    update.check(memory, num_steps)
    layers = layers_of(memory, states, update.moves_neurons, name)
    batch = checked_states(layers, states, name)
    clamp, clamp_batched = checked_clamp(layers, clamp, batch.axes)
    if update.moves_neurons:
        check_layers(layers, clamp, type(update).__name__)
    run = loop.Run(memory, update, clamp, stop, len(batch.axes) > 0, clamp_batched, stops_early)
    return Checked(run, batch, layers)


def check_memory(memory: Any) -> None:
    """Raise `ValueError` unless `memory` is an object with an energy or a field."""
    if isinstance(memory, type):
        raise ValueError(f"memory must be an object, not the class {memory.__name__}; make one first")
    if not checks.has_method(memory, "energy") and not checks.has_method(memory, "field"):
        raise ValueError(f"memory must have an energy(state) method; got {type(memory).__name__}")


def in_chunks(
    what: str,
    unit: str,
    total: int,
    inputs: Any,
    at: Any,
    advance: Callable[[Any, int, int], tuple[Any, Any, bool]],
) -> tuple[Any, list[Any]]:
    """Run `advance(at, first, count) -> (at, found, whether all is done)` from the host, with a bar.

    Gives where it ended, and what each chunk found. Raises `ValueError` inside `jit`, where `inputs` are
    traced.
    """
    from tqdm import tqdm

    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(inputs)):
        raise ValueError("progress must be False inside jit; got True")
    chunk, parts = max(1, total // _CHUNKS), []
    with tqdm(total=total, desc=what, unit=unit) as bar:
        for first in range(0, total, chunk):
            count = min(chunk, total - first)
            at, found, done = advance(at, first, count)
            parts.append(found)
            bar.update(count)
            if done:
                break
    return at, parts
