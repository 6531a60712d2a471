"""What a rule's step must return: each failure is a `ValueError`, raised when the step is traced."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from energyam.dynamics.update import AbstractUpdate, Flips, States, Step

Recordable = jax.Array | np.ndarray | np.generic | bool | int | float


def checked_step(update: AbstractUpdate, before: Any, step: Any) -> Step:
    """The step with states and carries in their dtypes; raises `ValueError` for other shapes."""
    name = type(update).__name__
    if not isinstance(step, Step):
        raise ValueError(f"{name}.step must return an energyam.Step; got {type(step).__name__}")
    if step.energies is None and before.energy is not None:
        raise ValueError(f"energies of {name}.step must be (t,), as the memory has an energy; got None")
    energies: Any = None if step.energies is None else jnp.asarray(step.energies)
    if energies is not None:
        _check_energies(energies, name)
    settled = one_bool(step.settled, f"settled of {name}.step must be one bool")
    _check_record(step.record, before.state, energies, f"record of {name}.step")
    return step._replace(
        state=_like(before.state, step.state, f"state of {name}.step"),
        carry=_like(before.carry, step.carry, f"carry of {name}.step"),
        energies=energies if before.energy is None else energies.astype(before.energy.dtype),
        settled=settled,
    )


def _check_energies(energies, name):
    if energies.ndim != 1 or energies.shape[0] == 0:
        raise ValueError(f"energies of {name}.step must be (t,), t at least 1; got shape {energies.shape}")
    if jnp.issubdtype(energies.dtype, jnp.complexfloating):
        raise ValueError(f"energies of {name}.step must be real; got dtype {energies.dtype}")


def _check_record(record, state, energies, name):
    """Raise `ValueError` unless flips are (t,), states (t, …) like the state, and all else arrays."""
    leaves = jax.tree.leaves(record)
    updates = jnp.shape(leaves[0])[:1] if energies is None and leaves else jnp.shape(energies)
    if isinstance(record, Flips):
        indices = jnp.asarray(record.indices)
        if indices.shape != updates or not jnp.issubdtype(indices.dtype, jnp.integer):
            raise ValueError(
                f"{name} must hold one whole number for each of the energies, {updates}; got flips of shape "
                f"{indices.shape}, dtype {indices.dtype}"
            )
    elif isinstance(record, States):
        got = jax.tree.map(jnp.shape, record.states)
        wanted = jax.tree.map(lambda leaf: updates + leaf.shape, state)
        if wanted != got:
            raise ValueError(
                f"{name} must hold one state for each of the energies, {wanted}; got states of {got}"
            )
    elif not all(isinstance(leaf, Recordable) for leaf in jax.tree.leaves(record)):
        raise ValueError(f"{name} must be Flips, States or a pytree of arrays; got {record!r}")


def _like(old, new, name):
    """`new` in the dtypes of `old`; raises `ValueError` unless structure, shapes and kinds agree."""
    wanted, got = map(jax.tree.structure, (old, new))
    if wanted != got:  # type: ignore[operator]
        raise ValueError(f"{name} must keep its structure, {wanted}; got {got}")

    def convert(path, before, after):
        before, after = jnp.asarray(before), jnp.asarray(after)
        floats = all(jnp.issubdtype(x.dtype, jnp.floating) for x in (before, after))
        if before.shape != after.shape or not (floats or before.dtype == after.dtype):
            raise ValueError(
                f"{name}{jax.tree_util.keystr(path)} must keep shape {before.shape} and dtype "
                f"{before.dtype}; got shape {after.shape}, dtype {after.dtype}"
            )
        return after.astype(before.dtype)

    return jax.tree_util.tree_map_with_path(convert, old, new)


def one_bool(value: Any, message: str) -> Bool[Array, ""]:
    """`value` as one bool; raises `ValueError` with this message for anything else."""
    if not isinstance(value, bool | np.bool_ | jax.Array | np.ndarray):
        raise ValueError(f"{message}; got {value!r}")
    value = jnp.asarray(value)
    if value.shape != () or value.dtype != bool:
        raise ValueError(f"{message}; got shape {value.shape}, dtype {value.dtype}")
    return value
