"""Memories over many devices: eight virtual ones, and two processes that talk over gloo."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from conftest import HASTE, KNOWS_HASTE
from jax import export

import energyam as eam
from energyam import sharding

HERE = pathlib.Path(__file__).parent
MESH = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("patterns",))


def start(devices, *arguments):
    """A Python process that runs sharded.py on so many virtual devices."""
    flags = [f"--xla_force_host_platform_device_count={devices}"]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(HERE.parent)}
    if os.environ.get("ENERGYAM_FULL") != "1":  # most of the time is compiling, so compile in haste
        environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
        if KNOWS_HASTE:  # an XLA that doesn't know a flag stops
            flags += [f"--{flag}={str(value).lower()}" for flag, value in HASTE.items()]
    environment["XLA_FLAGS"] = " ".join(flags)
    command = [sys.executable, str(HERE / "sharded.py"), *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def found(process, seconds=600):
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, output
    return json.loads(output.splitlines()[-1])


def two_processes(mode, folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [start(4, mode, folder, port, rank) for rank in range(2)]


@pytest.fixture(scope="module")
def on_devices(tmp_path_factory):
    return found(start(8, "devices", tmp_path_factory.mktemp("shards") / "memory"))


def test_eight_devices_recall_and_read_what_one_does(on_devices):
    assert on_devices["devices"] == 8 and len(on_devices["same"]) == 13
    assert all(on_devices["same"].values()), on_devices["same"]


def test_a_read_moves_no_more_than_its_results(on_devices):
    # six queries: of eight lanes the largest sums are (6, 5), and the nearest 3 of each (6, 24)
    assert on_devices["collectives_softmax"] == {"all-reduce": 30}
    moved = on_devices["collectives_nearest"]
    assert moved["all-gather"] <= 6 * 24 and moved["all-reduce"] <= 6 * 3 * 5


def test_a_sweep_gathers_no_patterns(on_devices):
    # of 2¹⁵ patterns of 64 neurons no collective moves more than one, or the couplings of a block of 32
    assert max(on_devices["collectives_sweep"].values()) <= 32 * 32, on_devices["collectives_sweep"]


def test_shards_are_read_back_on_the_same_and_on_another_mesh(on_devices):
    assert on_devices["shards"] and on_devices["other_mesh"]


def test_two_processes_recall_and_read_what_one_device_does(tmp_path):
    for result in [found(process) for process in two_processes("process", tmp_path / "memory")]:
        assert result["devices"] == 8 and result["shards"]
        assert all(result["same"].values()), result["same"]


def test_a_killed_process_ends_the_other_with_an_error(tmp_path):
    staying, killed = two_processes("endless", tmp_path)
    try:
        for process in (staying, killed):
            lines = iter(process.stdout.readline, "")
            assert any("recalling" in line for line in lines)
        killed.kill()
        start_of_wait = time.monotonic()
        output, _ = staying.communicate(timeout=60)
        assert staying.returncode != 0, output
        assert time.monotonic() - start_of_wait < 60
    finally:
        for process in (staying, killed):
            process.kill()
            process.communicate()


def memory():
    return eam.KeyValueMemory(zoo.patterns(0, 6, 4) * 1.0, zoo.patterns(1, 6, 3) * 1.0, eam.Linear())


def test_unknown_axis():
    with pytest.raises(ValueError, match=r"axis must be one of the mesh's, \('patterns',\); got 'rows'"):
        sharding.shard_patterns(memory(), MESH, "rows")


def test_mesh_that_is_none():
    with pytest.raises(ValueError, match=r"mesh must be a jax\.sharding\.Mesh; got int"):
        sharding.shard_patterns(memory(), 8, "patterns")


def test_patterns_that_do_not_divide():
    four = jax.sharding.Mesh(np.array(jax.devices()[:1] * 4), ("patterns",))  # never used, only counted
    expected = "must be a multiple of the 4 devices along 'patterns'; got 6"
    with pytest.raises(ValueError, match=f"patterns {expected}"):
        sharding.shard_patterns(memory(), four, "patterns")
    with pytest.raises(ValueError, match=f"queries {expected}"):
        sharding.shard_queries(jnp.ones((6, 4)), four, "patterns")


def test_memories_without_rows_of_patterns(tmp_path):
    rows = r"memory must have patterns, keys and values, or couplings.*got SparseNetwork"
    with pytest.raises(ValueError, match=rows):
        sharding.shard_patterns(eam.SparseNetwork([(0, 1)], [1.0]), MESH, "patterns")
    network = sharding.shard_patterns(eam.HopfieldNetwork(jnp.eye(4)), MESH, "patterns")
    with pytest.raises(ValueError, match=r"memory must have .*; couplings are saved whole, by eam.save"):
        sharding.save_shards(tmp_path / "shards", network)
    assert not list(tmp_path.iterdir())


def test_a_single_query_is_not_spread():
    with pytest.raises(ValueError, match=r"queries must be \(\.\.\., B, D\); got shape \(4,\)"):
        sharding.shard_queries(jnp.ones(4), MESH, "patterns")


@pytest.fixture
def three_shards(tmp_path):
    """A folder of three files, as three devices would have left it."""
    whole = memory()
    for i in range(3):
        part = eam.KeyValueMemory(whole.keys[2 * i :][:2], whole.values[2 * i :][:2], whole.separation)
        eam.save(tmp_path / f"{i:05d}-of-00003.safetensors", part)
    return tmp_path


def test_shards_make_the_whole(three_shards):
    loaded = sharding.load_shards(three_shards, MESH, "patterns")
    np.testing.assert_array_equal(loaded.keys, memory().keys)
    np.testing.assert_array_equal(loaded.values, memory().values)


def test_a_shard_that_is_missing(three_shards):
    (three_shards / "00001-of-00003.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"00001-of-00003\.safetensors: no such file, one of 3"):
        sharding.load_shards(three_shards, MESH, "patterns")


def test_a_folder_without_shards(tmp_path):
    with pytest.raises(FileNotFoundError, match="no shards here"):
        sharding.load_shards(tmp_path, MESH, "patterns")


def test_shards_of_two_memories(three_shards):
    eam.save(three_shards / "00000-of-00001.safetensors", memory())
    with pytest.raises(ValueError, match=r"shards of different memories, cut in \[1, 3\]"):
        sharding.load_shards(three_shards, MESH, "patterns")


@pytest.mark.parametrize("index", [0, 2])
def test_a_shard_that_is_truncated(three_shards, index):
    path = three_shards / f"0000{index}-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="truncated"):
        sharding.load_shards(three_shards, MESH, "patterns")


def test_a_shard_that_is_damaged(three_shards):
    path = three_shards / "00002-of-00003.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 8
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"00002-of-00003\.safetensors is damaged: values is not what"):
        sharding.load_shards(three_shards, MESH, "patterns")


def test_shards_of_different_lengths(three_shards):
    eam.save(
        three_shards / "00002-of-00003.safetensors",
        eam.KeyValueMemory(memory().keys[:1], memory().values[:1], eam.Linear()),
    )
    with pytest.raises(ValueError, match="1 rows, and 2 in the first shard"):
        sharding.load_shards(three_shards, MESH, "patterns")


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.bfloat16])
def test_shards_keep_their_dtype(tmp_path, dtype):
    patterns = zoo.patterns(0, 6, 4).astype(dtype)
    sharding.save_shards(tmp_path, sharding.shard_patterns(eam.CHN(patterns), MESH, "patterns"))
    loaded = sharding.load_shards(tmp_path, MESH, "patterns")
    assert loaded.patterns.dtype == dtype and (loaded.patterns == patterns).all()


def test_shards_are_never_written_over(tmp_path):
    sharded = sharding.shard_patterns(memory(), MESH, "patterns")
    sharding.save_shards(tmp_path, sharded)
    with pytest.raises(ValueError, match="is already there; save to a new folder"):
        sharding.save_shards(tmp_path, sharded)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_a_sharded_recall_lowers_for_accelerators(platform):
    mesh = jax.sharding.AbstractMesh((4,), ("patterns",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("patterns"))
    patterns, query = jax.ShapeDtypeStruct((8, 6), jnp.float32, sharding=rows), jnp.ones(6)

    def recall(patterns, query):
        return eam.recall(eam.ModernHopfield(patterns, 1.0), query, max_steps=2).state

    exported = export.export(jax.jit(recall), platforms=[platform])(patterns, query)
    assert exported.nr_devices == 4
