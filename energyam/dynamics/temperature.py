"""Temperatures: a number, or a schedule of the step."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from energyam import checks
from energyam.sending import as_jax

Schedule = Callable[[Int[Array, ""]], ArrayLike]
Temperature = Float[ArrayLike, ""] | Schedule
_LOOKED_AT = 4096  # steps of a schedule that are looked at before a run


def as_temperature(temperature: ArrayLike | Schedule) -> Temperature:
    """A temperature above 0 as a float, or a schedule as it is; raises `ValueError` for others."""
    if callable(temperature):
        check_schedule(checks.function("temperature", temperature), 1)
        return temperature
    return checks.positive_float("temperature", temperature)


def at_step(temperature: Temperature, index: Int[Array, ""]) -> Float[Array, ""]:
    """T at step `index`. A schedule never goes below 0 here: a check before the run finds most that do.

    A scheduled temperature within the rounding of the first one counts as 0: compiled, a ramp ends at a (1 −
    n/n), where n/n is n times a rounded 1/n and not always 1. At T = 0 sweeps are descent.
    """
    if not callable(temperature):
        return jnp.asarray(temperature)
    found = [checks.as_array("temperature", temperature(i), "...") for i in (index, jnp.zeros_like(index))]
    if found[0].dtype == bool:
        raise ValueError("temperature must be a number for each step; got True or False from its schedule")
    now, first = (T.astype(float) for T in found)
    return jnp.where(jnp.abs(now) <= 8 * jnp.finfo(now.dtype).eps * first, 0, now)


def check_schedule(temperature: Temperature, num_steps: int) -> Float[Array, " n"]:
    """The temperatures of a run; raises `ValueError` if a schedule is below 0, or not finite, at a step.

    In long runs a few thousand steps are checked, including the first and the last.
    """
    if not callable(temperature):
        return jnp.asarray(temperature)[None]
    with jax.transfer_guard_host_to_device("allow"):  # the host checks, and a schedule has numbers of its own
        return _checked(temperature, num_steps)


def _checked(temperature, num_steps):
    steps = as_jax(np.linspace(0, num_steps - 1, min(num_steps, _LOOKED_AT)).astype(int))
    # Not compiled as a whole: a function made here would compile anew at each call.
    values = checks.now(jax.vmap(lambda step: at_step(temperature, step)), steps)
    if values.shape != steps.shape:
        got = f"shape {values.shape[1:]} from its schedule"
        raise ValueError(f"temperature must be a number for each step; got {got}")
    if not checks.passes(lambda values: ((values >= 0) & (values < np.inf)).all(), values):
        first = checks.now(lambda values: jnp.argmin((values >= 0) & (values < np.inf)), values)
        raise ValueError(
            f"temperature must be finite and not below 0; got {float(values[first]):.6g} from its schedule "
            f"at step {int(steps[first])} (say lambda step: jnp.maximum(schedule(step), 0))"
        )
    return values
