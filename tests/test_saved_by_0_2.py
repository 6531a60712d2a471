"""Files that energyam 0.2 saved (see `data/saved_by_0_2/write.py`): they load, and mean the same."""

import json
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import energyam as eam

FOLDER = pathlib.Path(__file__).parent / "data" / "saved_by_0_2"
KNOWN = json.loads((FOLDER / "values.json").read_text("utf-8"))
MEMORIES = [name for name, known in KNOWN.items() if known["kind"] != "rule"]
# Classes of today's under other names in those files.
RENAMED = {"Linear": "Quadratic", "PaddedKeyValueMemory": "KeyValueMemory"}


def arrays(states):
    """Lists as arrays, layer by layer."""
    is_list = lambda node: isinstance(node, list)  # noqa: E731
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), states, is_leaf=is_list)


def value_of(kind, memory, state):
    if kind == "energy":
        return memory.energy(state)
    method = getattr(memory, "read", None) or getattr(memory, "field", None)
    return memory(state) if method is None else method(state)


@pytest.mark.parametrize("name", MEMORIES)
def test_a_memory_gives_the_same_values(name):
    known, memory = KNOWN[name], eam.load(FOLDER / f"{name}.safetensors")
    found = jax.vmap(lambda state: value_of(known["kind"], memory, state))(arrays(known["states"]))
    np.testing.assert_allclose(found, known["values"], rtol=1e-5, atol=1e-5)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(1.01 * np.asarray(found) + 0.01, known["values"], rtol=1e-5, atol=1e-5)


def parts_of(module):
    """The names of the classes of a module and of all that it is made of."""
    is_part = lambda node: isinstance(node, eqx.Module) and node is not module  # noqa: E731
    found = {type(module).__name__}
    for leaf in jax.tree.leaves(module, is_leaf=is_part):
        found |= parts_of(leaf) if isinstance(leaf, eqx.Module) else set()
    return found


@pytest.mark.parametrize("name", KNOWN)
def test_the_class_of_the_file_comes_back(name):
    wanted = name.partition("-")[0]
    loaded = eam.load(FOLDER / f"{name}.safetensors")
    found = parts_of(loaded)
    static = (
        type(getattr(loaded, "similarity", None)).__name__,
        type(getattr(loaded, "neurons", None)).__name__,
    )
    assert RENAMED.get(wanted, wanted) in found | set(static)


@pytest.mark.parametrize("name", sorted(KNOWN.keys() - set(MEMORIES)))
def test_a_rule_comes_back_with_its_numbers(name):
    rule = eam.load(FOLDER / f"{name}.safetensors")
    assert isinstance(rule, eam.AbstractUpdate)
    found = [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(rule)]
    assert found == KNOWN[name]["values"]


def test_what_is_not_an_array_comes_back():
    load = lambda name: eam.load(FOLDER / f"{name}.safetensors")  # noqa: E731
    assert load("Asynchronous").order == "sequential" and load("HeatBath").order == "uniform"
    assert load("Relaxation").decay is False and load("Relaxation").leak == "input"
    assert load("Binary").neurons.shape == (5,) and load("Continuous").neurons.shape == (5,)
    assert isinstance(load("HopfieldNetwork").neurons, eam.Binary)
    assert load("TopK").separation.k == 2 and load("Polynomial-plain").separation.rectified is False


def test_a_loaded_memory_recalls_as_a_new_one():
    X = np.array(eam.load(FOLDER / "CHN.safetensors").patterns)
    for name, memory in {"CHN": eam.CHN(X), "Linear": eam.DenseAM(X, eam.Linear(), eam.Binary())}.items():
        loaded = eam.load(FOLDER / f"{name}.safetensors")
        assert eqx.tree_equal(loaded, memory)
        states = arrays(KNOWN[name]["states"])
        found, wanted = (eam.recall(m, states, eam.Asynchronous("sequential")) for m in (loaded, memory))
        np.testing.assert_array_equal(found.state, wanted.state)


def test_every_public_memory_separation_and_rule_of_0_2_is_here():
    names = {name.partition("-")[0] for name in KNOWN}
    parts = (eam.AbstractMemory, eam.AbstractSeparation, eam.AbstractUpdate, eam.AbstractNeurons)
    public = {name for name in eam.__all__ if isinstance(getattr(eam, name), type)}
    wanted = {
        name for name in public if issubclass(getattr(eam, name), parts) and not name.startswith("Abstract")
    }
    new = {"ZeroOne", "Categorical", "SparseNetwork"}
    inside = {"CapIntersection", "DenseAM"}  # parts of other files
    assert wanted - names - new - inside == set()
