"""Training: one loop for every trainable memory, in compiled chunks, which can be killed and resumed at any
time.

A run is a function of the model, the optimizer, the loss and one key: step t draws its batch from
`fold_in(key, t)`. A checkpoint therefore holds parameters, optimizer state and history, and no position in a
data set; a resumed run gives the same losses as an uninterrupted one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree
from tqdm import tqdm

from energyam import checks
from energyam.nn.checkpoint import History, read_checkpoint, reserved_checkpoint, write_checkpoint
from energyam.shown import shown

Loss = Callable[[Any, PRNGKeyArray], Float[Array, ""]]
Evaluate = Callable[[Any, PRNGKeyArray], dict[str, Any]]


@shown("losses evaluated_at metrics")
class Trained(NamedTuple):
    """The result of a training run.

    `model`: the trained model. `losses` (T,): the loss of every step. `evaluated_at` (N,): after how many
    steps each evaluation was made. `metrics`: a dictionary from names to the results of `evaluate`, (N,).

        >>> loss = lambda model, key: jnp.sum((model - 3.0) ** 2)
        >>> trained = eam.nn.train(jnp.zeros(2), optax.sgd(0.4), loss, 20, key=jr.key(0), progress=False)
        >>> bool(trained.losses[-1] < trained.losses[0])
        True
    """

    model: Any
    losses: np.ndarray
    evaluated_at: np.ndarray
    metrics: dict[str, np.ndarray]


def train(
    model: Any,
    optimizer: optax.GradientTransformation,
    loss: Loss,
    num_steps: int,
    *,
    every: int = 1000,
    evaluate: Evaluate | None = None,
    checkpoint: str | Path | None = None,
    scan: bool = True,
    progress: bool = True,
    key: PRNGKeyArray,
) -> Trained:
    """Train a model's floating-point leaves by gradient steps, `every` steps at a time.

        θ_{t+1} = θ_t + optimizer(∇ loss(θ_t, fold_in(key, t)))

    Optimizers that ask for them (`optax.lbfgs`, line searches, `optax.contrib.reduce_on_plateau`) get the
    value, the gradient and the loss of the step's own batch.

    **Arguments:** `model`: any PyTree with float leaves; `loss(model, key)` → scalar: draws its own batch
    from the key; `num_steps`: the total number of steps, including those of a resumed checkpoint; `every`:
    how many steps lie between two evaluations, which are also the moments of the checkpoints and of the
    progress bar; `evaluate(model, key)` → a dict of scalars, always called with the same key; `checkpoint`: a
    file that is replaced as a whole at each evaluation; if it exists, the run resumes from it; `scan`: run
    the steps between evaluations as one compiled loop (False: as one compiled step called again and again,
    which on the CPU is three times faster for convolutions).

    Raises `ValueError` for num_steps or every below 1, a model without float leaves, an optimizer or a
    function that is none, and for a checkpoint that is broken, belongs to another model, optimizer or key, or
    is being written by another run; `OSError`, before the first step, for one that can't be written;
    `FloatingPointError` when the loss stops being finite (the checkpoint then still holds the last good
    state).

        >>> loss = lambda model, key: jnp.sum((model - 3.0) ** 2)
        >>> trained = eam.nn.train(jnp.zeros(2), optax.sgd(0.4), loss, 20, key=jr.key(0), progress=False)
        >>> np.asarray(trained.model).round(3), trained.losses.shape
        (array([3., 3.], dtype=float32), (20,))
    """
    num_steps, every = checks.count("num_steps", num_steps), checks.count("every", every)
    scan, progress = checks.flag("scan", scan), checks.flag("progress", progress)
    if evaluate is not None:
        checks.function("evaluate", evaluate)
    checks.key("key", key)
    if not any(map(eqx.is_inexact_array, jax.tree.leaves(model))):
        raise ValueError(f"model must have arrays of floats to train; got {type(model).__name__} without any")
    if isinstance(optimizer, type) or not all(hasattr(optimizer, name) for name in ("init", "update")):
        got = type(optimizer).__name__
        raise ValueError(f"optimizer must be one of optax's, such as optax.adam(1e-3); got {got}")
    checks.function("loss", loss)
    params, rest = eqx.partition(model, eqx.is_inexact_array)
    state = params, optimizer.init(params)
    history = History.empty(key=key)
    with reserved_checkpoint(checkpoint):
        if checkpoint is not None and Path(checkpoint).exists():
            state, history = read_checkpoint(checkpoint, state, key=key)
        with tqdm(total=num_steps, initial=history.num_steps, disable=not progress, unit="step") as bar:
            while history.num_steps < num_steps:
                numbers = np.arange(history.num_steps, min(history.num_steps + every, num_steps))
                state, losses = _run(state, numbers, scan, rest, optimizer, loss, key)
                history = history.extended(losses, _measure(evaluate, eqx.combine(state[0], rest), key))
                if checkpoint is not None:
                    write_checkpoint(checkpoint, state, history)
                bar.update(len(numbers))
                bar.set_postfix(loss=f"{losses.mean():.4f}", **history.latest())
    metrics = {name: np.asarray(values) for name, values in history.metrics.items()}
    return Trained(eqx.combine(state[0], rest), history.losses, history.evaluated_at, metrics)


def _loss(found):
    return checks.as_array("loss(model, key)", found, "")


@eqx.filter_jit
def _steps(state, numbers, rest, optimizer, loss, key):
    """Gradient steps: a compiled loop over a vector of step numbers, or one step for a single number."""

    def step(state, number):
        params, memory = state
        step_key = jax.random.fold_in(key, number)

        def of_batch(params):
            return _loss(loss(eqx.combine(params, rest), step_key))

        value, gradient = jax.value_and_grad(of_batch)(params)
        known = {"value": value, "grad": gradient, "value_fn": of_batch}
        with jax.numpy_dtype_promotion("standard"):  # Adam of optax multiplies floats by whole numbers
            updates, memory = optax.with_extra_args_support(optimizer).update(
                gradient, memory, params, **known
            )
        return (optax.apply_updates(params, updates), memory), value

    return jax.lax.scan(step, state, numbers) if numbers.ndim else step(state, numbers)


def _run(state: PyTree, numbers: np.ndarray, scan: bool, *of_step: Any) -> tuple[PyTree, np.ndarray]:
    """Run the steps of these numbers; raises `FloatingPointError` unless every loss is finite."""
    found = []
    for part in [numbers] if scan else numbers:
        state, loss = _steps(state, jnp.asarray(part), *of_step)
        found.append(loss)
    losses = np.asarray(found, dtype=np.float64).ravel()
    if not np.isfinite(losses).all():
        first = int(numbers[np.argmin(np.isfinite(losses))])
        raise FloatingPointError(f"the loss of step {first} is not finite; try a smaller learning rate")
    return state, losses


def _measure(evaluate: Evaluate | None, model: Any, key: PRNGKeyArray) -> dict[str, float]:
    # No step has number 2^32 - 1, so no training batch shares this key.
    found = {} if evaluate is None else evaluate(model, jax.random.fold_in(key, 2**32 - 1))
    if not isinstance(found, Mapping):
        raise ValueError(f"evaluate must give a dictionary of numbers; got {found!r:.80}")
    return {name: float(value) for name, value in found.items()}
