"""Checkpoints of a training run: one safetensors file, replaced as a whole."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from energyam.files import as_path, reserved
from energyam.tensor_files import opened_tensors, write_tensors

_KIND = "training checkpoint"


class History(NamedTuple):
    """The history of a run: its key, the loss of every step, and the metrics of every evaluation."""

    key: np.ndarray
    losses: np.ndarray
    evaluated_at: np.ndarray
    metrics: Mapping[str, np.ndarray]

    @classmethod
    def empty(cls, *, key: PRNGKeyArray) -> "History":
        return cls(_key_data(key), np.zeros(0), np.zeros(0, np.int64), {})

    @property
    def num_steps(self) -> int:
        return len(self.losses)

    def extended(self, losses: np.ndarray, metrics: Mapping[str, float]) -> "History":
        """This history with more steps, evaluated after the last of them."""
        losses = np.append(self.losses, losses)
        added = {name: np.append(self.metrics.get(name, ()), value) for name, value in metrics.items()}
        evaluated_at = np.append(self.evaluated_at, len(losses)) if metrics else self.evaluated_at
        return History(self.key, losses, evaluated_at, {**self.metrics, **added})

    def latest(self) -> dict[str, str]:
        """The newest metrics, for a progress bar."""
        return {name: f"{values[-1]:.4f}" for name, values in self.metrics.items()}


@contextmanager
def reserved_checkpoint(path: str | Path | None) -> Iterator[None]:
    """Reserve a checkpoint for this run until the block ends; its folder is created if it is missing.

    Raises `ValueError` if another run writes to it, and `OSError` if it can't be written.
    """
    if path is None:
        yield
        return
    as_path(path, "checkpoint").parent.mkdir(parents=True, exist_ok=True)
    with reserved(path, "checkpoint"):
        yield


def write_checkpoint(path: str | Path, state: PyTree, history: History) -> None:
    """Replace the file by one with this state and history; if the process is killed, either the old or the
    new file is left."""
    tensors = {f"state{name}": _plain(leaf) for name, leaf in _leaves(state)}
    tensors |= {f"metrics.{name}": values for name, values in history.metrics.items()}
    tensors |= {"key": history.key, "losses": history.losses, "evaluated_at": history.evaluated_at}
    write_tensors(path, tensors, {"format": f"energyam {_KIND} 2"})


def read_checkpoint(path: str | Path, state: PyTree, *, key: PRNGKeyArray) -> tuple[PyTree, History]:
    """The state and history in a checkpoint, for a run that starts from such a state and with this key.

    Raises `ValueError` for a file that is no complete checkpoint, or of another model, optimizer or key.
    """
    with opened_tensors(path) as file:
        file.version_of(_KIND)
        tensors = file.tensors()
    expected = {f"state{name}": leaf for name, leaf in _leaves(state)}
    found = {name: tensor.shape for name, tensor in tensors.items() if name.startswith("state")}
    wanted = {name: leaf.shape for name, leaf in expected.items()}
    if found != wanted:
        name = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))[0]
        got = f"{name} of shape {found.get(name)}, expected {wanted.get(name)}"
        raise ValueError(f"checkpoint {path} must be of the same model and optimizer; got {got}")
    metrics = {n.removeprefix("metrics."): v for n, v in tensors.items() if n.startswith("metrics.")}
    history = History(tensors["key"], tensors["losses"], tensors["evaluated_at"], metrics)
    if not np.array_equal(history.key, _key_data(key)):
        raise ValueError(f"checkpoint {path} must be of a run with the same key; got one of another key")
    leaves = [jnp.asarray(tensors[name], leaf.dtype) for name, leaf in expected.items()]
    return jax.tree.unflatten(jax.tree.structure(state), leaves), history


def _leaves(state: PyTree) -> list[tuple[str, jax.Array]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(state)]


def _plain(leaf: jax.Array) -> np.ndarray:
    """A leaf in a dtype that NumPy knows; bfloat16 fits float32 exactly."""
    return np.asarray(leaf, np.float32) if leaf.dtype == jnp.bfloat16 else np.asarray(leaf)


def _key_data(key: PRNGKeyArray) -> np.ndarray:
    return np.asarray(jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key)
