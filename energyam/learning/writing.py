"""Writing many pairs, one after another, in one compiled loop."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, PyTree, ScalarLike

from energyam import checks
from energyam.learning.networks import gradient_step
from energyam.learning.steps import (
    Rate,
    Step,
    Weights,
    as_decay,
    delta_step,
    hebbian_step,
    must_be_stable,
    must_have_signs,
    must_not_erase,
    oja_step,
    rate_or,
    storkey_step,
)
from energyam.wording import in_words


def write(
    memory: Any, keys: ArrayLike, values: ArrayLike | None = None, *, step: Step | None = None, **options: Any
) -> Any:
    """A memory after one step for each pair of keys (T, Dk) and values (T, Dv), in the order given.

        memory <- step(memory, key_t, value_t, **options_t)    for t = 1 … T

    One compiled loop (`lax.scan`), whatever T. Without a step it is `memory.write(keys, values)`, which every
    memory that can grow has, and which may write all pairs at once.

    **Arguments:** `memory`: a matrix, or any pytree that the step takes; `keys`, `values`: real numbers;
    without values, the keys are also the values; `step`: `delta_step` and the like, a method such as
    `eam.NeuronSDM.write`, or your own function that returns a memory of the same shapes; `options`: keyword
    arguments of the step, each one number, or (T,) with one for each pair.

    Raises `ValueError` for keys and values that are empty, not finite or of different T, for options of
    another length, for pairs that the step refuses, and where a finite memory does not stay finite.

        >>> keys, values = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[3.0], [5.0]])
        >>> eam.learning.write(jnp.zeros((1, 2)), keys, values, step=eam.learning.delta_step)
        Array([[3., 5.]], dtype=float32)
    """
    if step is None:
        if not checks.has_method(memory, "write"):
            raise ValueError("step must be given for a matrix (say energyam.learning.delta_step); got None")
        return memory.write(keys, *(() if values is None else (values,)), **options)
    memory, keys, values = as_stream(memory, keys, values)
    options = per_pair(options, keys, values, checks.function("step", step))
    return still_finite(*_write(memory, keys, values, options, step))


def store(
    weights: ArrayLike,
    patterns: ArrayLike,
    step: Step = storkey_step,
    rate: Rate = None,
    decay: ScalarLike = 1.0,
) -> Weights:
    """Write patterns (K, D) into `weights` one after another, in the order given: `write` without values.

        W <- step(W, ξ_μ, rate=rate, decay=decay)    for μ = 1 … K

    `step` is `hebbian_step`, `storkey_step` or your own. With a decay below 1, old patterns fade and there is
    always room for new ones. Raises `ValueError` for patterns that are not (K, D), empty or not finite, for
    weights that are not (D, D), for a step that is no function, for a rate or decay that is not one finite
    number or is negative, and for patterns of 0s and 1s alone.

        >>> patterns = eam.datasets.random_patterns(50, 32, key=jr.key(0))
        >>> weights = eam.learning.store(jnp.zeros((32, 32)), patterns, decay=0.7)
        >>> bool((jnp.sign(weights @ patterns[-1]) == patterns[-1]).all())  # the last of far too many
        True
    """
    weights = checks.as_square("weights", weights)
    states = checks.as_floats("patterns", patterns, f"K {weights.shape[0]}").astype(weights.dtype)
    must_have_signs("patterns", states)
    options = {"rate": rate_or(rate, states[0]), "decay": as_decay(decay, weights)}
    return write(weights, states, step=checks.function("step", step), **options)


def as_stream(
    memory: Any, keys: ArrayLike, values: ArrayLike | None
) -> tuple[Any, Float[Array, "T Dk"], Float[Array, "T Dv"] | None]:
    """A memory with its keys (T, Dk) and values (T, Dv) as floats; raises `ValueError` for others."""
    width: tuple[Any, Any] = "Dv", "Dk"
    if isinstance(memory, jax.Array | np.ndarray | list):
        memory = checks.as_floats("memory", memory, "Dv Dk")
        width = memory.shape
    elif not any(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves(memory)):
        wanted = "a matrix (Dv, Dk), or one of arrays that the step takes"
        raise ValueError(f"memory must be {wanted}; got {in_words(memory)}")
    k = _like(memory, checks.as_floats("keys", keys, f"T {width[1]}"))
    if values is None:
        return memory, k, None
    return memory, *checks.as_pairs(k, _like(memory, checks.as_floats("values", values, f"T {width[0]}")))


def _like(memory, rows):
    return rows.astype(memory.dtype) if isinstance(memory, jax.Array) else rows


def per_pair(options: dict[str, Any], keys: Any, values: Any, step: Step) -> dict[str, Any]:
    """Options as (T,), one number for each pair; raises `ValueError` for others, and out of its range."""

    def each(name: str, value: Any):
        array = checks.as_floats(name, value, "" if jnp.ndim(value) == 0 else f"{len(keys)}")
        return jnp.broadcast_to(array, (len(keys),))

    options = {name: value if value is None else each(name, value) for name, value in options.items()}
    for steps, name, check in _RANGES:
        if step in steps and options.get(name) is not None:
            check(name, options[name], "T")
    rate = options.get("rate")
    if step in (hebbian_step, storkey_step) and rate is not None:
        must_not_erase(rate)
    if step in (hebbian_step, storkey_step) and values is None:
        must_have_signs("keys", keys)
    if step is delta_step and rate is not None:
        must_be_stable(rate, jnp.sum(keys**2, axis=1), "‖key‖²")
    if step is oja_step and rate is not None and values is not None:
        must_be_stable(rate, jnp.sum(values**2, axis=1), "‖value‖²")
    return options


_RANGES = (
    ((hebbian_step, storkey_step, delta_step, oja_step), "decay", checks.not_negative),
    ((gradient_step,), "rate", checks.not_negative),
    ((gradient_step,), "decay", checks.fraction),
    ((gradient_step,), "momentum", checks.fraction),
)


@eqx.filter_jit
def _write(memory, keys, values, options, step):
    def one(memory, pair):
        key, value, options = pair
        return step(memory, key, value, **options), None

    written = scan_memory(one, memory, (keys, values, options))[0]
    return written, is_lost(memory, written)


def is_lost(before: Any, memory: Any) -> Bool[Array, ""]:
    """Whether a memory of finite numbers, or what it reads, no longer is finite."""

    def finite(memory):
        arrays = jax.tree.leaves(eqx.filter(memory, eqx.is_inexact_array))
        return jnp.stack([jnp.ones((), bool), *(jnp.isfinite(array).all() for array in arrays)]).all()

    return finite(before) & ~finite(memory)


def still_finite(value: Any, lost: Bool[Array, ""]) -> Any:
    """What was found, a memory among it; raises `ValueError` if that is lost."""
    if not checks.passes(np.logical_not, lost):
        hint = "try a smaller rate, or a decay below 1"
        raise ValueError(f"step must keep the memory and its reads finite; these pairs did not ({hint})")
    return value


def scan_memory(one: Callable[..., Any], memory: Any, rows: PyTree[Array]) -> tuple[Any, Any]:
    """`lax.scan`, with a memory as its carry that may hold functions and the like beside arrays."""
    arrays, fixed = eqx.partition(memory, eqx.is_array)

    def turn(arrays, row):
        memory, read = one(eqx.combine(arrays, fixed), row)
        after = eqx.filter(memory, eqx.is_array)
        if _shapes(after) != _shapes(arrays):
            hint = " (a KeyValueMemory needs a capacity)" * checks.has_method(memory, "with_pairs")
            raise ValueError(
                f"step must return a memory of the same shapes{hint}; got {_shapes(after)}"[:300]
            )
        return after, read

    arrays, reads = jax.lax.scan(turn, arrays, rows)
    return eqx.combine(arrays, fixed), reads


def _shapes(arrays):
    return [(leaf.shape, leaf.dtype.name) for leaf in jax.tree.leaves(arrays)]
