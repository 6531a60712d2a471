"""Other libraries as the judge wants them; each function says where its library comes from.

None of these libraries is needed by energyam, and a row of one that is not installed says so. To have them,
in an environment made for it:

    pip install torch torch-hd    and    pip install git+https://github.com/ml-jku/hopfield-layers
"""

import importlib
from typing import Any

import numpy as np


def hopfield_layers(patterns: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """hopfield-layers (`hflayers`): its association without learned maps, β = 1, until nothing changes.

    Without `update_steps_max=None` it takes one step; its normalisation of patterns is left out, so that it
    is the softmax memory of Ramsauer et al.
    """
    torch, hflayers = _libraries("torch", "hflayers")
    plain = {f"{name}_as_static": True for name in ("stored_pattern", "state_pattern", "pattern_projection")}
    for name in ("stored_pattern", "state_pattern", "pattern_projection"):
        plain |= {f"normalize_{name}": False, f"normalize_{name}_affine": False}
    layer = hflayers.Hopfield(
        patterns.shape[1], scaling=1.0, update_steps_max=None, disable_out_projection=True, **plain
    ).eval()
    stored, state = (torch.as_tensor(x, dtype=torch.float32)[None] for x in (patterns, queries))
    with torch.no_grad():
        return layer((stored, state, stored))[0].numpy()


def torchhd_hopfield(patterns: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """torchhd (`torch-hd`): `memory.hopfield`, its sign taken thirty times."""
    return _thirty_times("hopfield", patterns, queries)


def torchhd_modern(patterns: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """torchhd (`torch-hd`): `memory.modern_hopfield`, its sign taken thirty times."""
    return _thirty_times("modern_hopfield", patterns, queries)


def torchhd_sdm(patterns: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """torchhd (`torch-hd`): Kanerva's memory of 10,000 locations, a hundredth of them active, read thrice."""
    torch, torchhd = _libraries("torch", "torchhd")
    torch.manual_seed(0)
    stored, states = (torch.as_tensor(x, dtype=torch.float32) for x in (patterns, queries))
    memory = torchhd.memory.SparseDistributed(10_000, patterns.shape[1], patterns.shape[1], p=0.01)
    memory.write(stored, stored)
    for _ in range(3):
        states = torch.where(memory.read(states).as_subclass(torch.Tensor) >= 0, 1.0, -1.0)
    return states.detach().numpy()


def _thirty_times(name, patterns, queries):
    torch, torchhd = _libraries("torch", "torchhd")
    stored, states = (torch.as_tensor(x, dtype=torch.float32) for x in (patterns, queries))
    for _ in range(30):
        states = torch.where(getattr(torchhd.memory, name)(states, stored) >= 0, 1.0, -1.0)
    return states.numpy()


def _libraries(*names: str) -> list[Any]:
    return [importlib.import_module(name) for name in names]
