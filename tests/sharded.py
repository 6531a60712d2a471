"""Runs outside pytest, for test_sharding.py: recalls and reads over many devices, or over two processes.

    python tests/sharded.py devices FOLDER              eight virtual devices, one process
    python tests/sharded.py process FOLDER PORT RANK    one of two processes, four virtual devices each
    python tests/sharded.py endless FOLDER PORT RANK    the same, recalling until it is killed

Prints one line of JSON: what it found. The environment says how many virtual devices a process has:
XLA_FLAGS=--xla_force_host_platform_device_count=8.
"""

import inspect
import json
import pathlib
import re
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.experimental import multihost_utils

import energyam as eam
from energyam import sharding

MODE, FOLDER, *PLACE = sys.argv[1:]


def join(port, rank):
    known = inspect.signature(jax.distributed.initialize).parameters
    fast = {"heartbeat_timeout_seconds": 10} if "heartbeat_timeout_seconds" in known else {}
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(rank), initialization_timeout=60, **fast)


if MODE != "devices":
    join(*PLACE)

K, D, B = 40, 24, 6
PATTERNS = np.asarray(jr.rademacher(jr.key(0), (K, D), dtype="int8"))
QUERIES = PATTERNS[:B] * np.where(np.arange(D) % 8 == 0, -1, 1).astype(np.int8)
PAIRS = eam.KeyValueMemory(
    PATTERNS.astype(np.float32), PATTERNS[:, :5].astype(np.float32), eam.LogSumExp(0.3)
)
NEAREST = eam.KeyValueMemory(PAIRS.keys, PAIRS.values, eam.TopK(eam.LogSumExp(0.3), 3))
RECALLS = {
    "exponential_synchronous": (eam.ExponentialDenseAM(PATTERNS, 0.5), eam.Synchronous()),
    "exponential_asynchronous": (eam.ExponentialDenseAM(PATTERNS, 0.5), eam.Asynchronous()),
    "polynomial_synchronous": (eam.PolynomialDenseAM(PATTERNS, 5), eam.Synchronous()),
    "chn_asynchronous": (eam.CHN(PATTERNS[:8]), eam.Asynchronous()),
    "network_asynchronous": (eam.HopfieldNetwork(eam.hebbian(PATTERNS[:8])), eam.Asynchronous()),
    "network_synchronous": (eam.HopfieldNetwork(eam.hebbian(PATTERNS[:8])), eam.Synchronous()),
}


REAL = {
    "gaussian": eam.GaussianDenseAM(PATTERNS * 1.0, 0.3),
    "epanechnikov": eam.EpanechnikovDenseAM(PATTERNS * 1.0, 2 / 70),
    "entmax": eam.DenseAM(PATTERNS * 1.0, eam.Entmax(0.3), eam.Continuous()),
    "subsets": eam.DenseAM(PATTERNS * 1.0, eam.KSubsets(0.2, 2), eam.Continuous()),
}


def host(array):
    """The whole array on this host, whatever holds it."""
    if array.is_fully_addressable:
        return np.asarray(array)
    everywhere = jax.sharding.NamedSharding(array.sharding.mesh, jax.sharding.PartitionSpec())
    return np.asarray(jax.jit(lambda a: a, out_shardings=everywhere)(array))


@eqx.filter_jit
def reads(memory, queries):
    return jax.vmap(memory)(queries)


def collectives(memory, queries):
    """The collectives that reading takes, with the numbers each moves at most."""
    return sizes_of(reads.lower(memory, queries).compile().compiled.as_text())


def sizes_of(text):
    found = re.findall(r"= (.*?) (all-\w+|reduce-scatter|collective-permute)(?:-start)?\(", text)
    sizes = {name: 0 for _, name in found}
    for shapes, name in found:
        lengths = [
            np.prod([int(n) for n in dims.split(",") if n]) for dims in re.findall(r"\[(.*?)\]", shapes)
        ]
        sizes[name] = max(sizes[name], int(max(lengths)))
    return sizes


def sweep_collectives(mesh):
    """The same of asynchronous recall over 2 MB of int8 patterns."""
    memory = sharding.shard_patterns(eam.CHN(jnp.ones((2**15, 64), jnp.int8)), mesh, "patterns")

    def state_after(memory, query):
        return eam.recall(memory, query, eam.Asynchronous("sequential"), 2, record=False).state

    return sizes_of(jax.jit(state_after).lower(memory, jnp.ones(64)).compile().as_text())


def compare(mesh):
    """Whether all recalls and reads over the mesh are those of one device."""
    same = {}
    queries = sharding.shard_queries(QUERIES, mesh, "queries")
    for name, (memory, rule) in RECALLS.items():
        sharded = sharding.shard_patterns(memory, mesh, "patterns")
        alone = eam.recall(memory, QUERIES, rule, 4, key=jr.key(1))
        spread = eam.recall(sharded, queries, rule, 4, key=jr.key(1))
        same[name] = bool((host(spread.state) == np.asarray(alone.state)).all())
    same["sampled"] = sampled(mesh)
    real = queries.astype(jnp.float32)
    for name, memory in REAL.items():
        sharded = sharding.shard_patterns(memory, mesh, "patterns")
        alone = eam.recall(memory, QUERIES.astype(np.float32), max_steps=2).state
        spread = eam.recall(sharded, real, max_steps=2).state
        same[name] = bool(np.allclose(host(spread), alone, rtol=1e-4, atol=1e-5))
    for name, memory in {"softmax": PAIRS, "nearest": NEAREST}.items():
        sharded = sharding.shard_patterns(memory, mesh, "patterns")
        alone, spread = reads(memory, QUERIES.astype(np.float32)), reads(sharded, real)
        same[f"read_{name}"] = bool(np.allclose(host(spread), alone, rtol=1e-5, atol=1e-6))
    return same


def sampled(mesh):
    """Whether chains spread over the mesh are those of one device, flip for flip."""
    memory, rule = RECALLS["chn_asynchronous"][0], eam.HeatBath(20.0)
    sharded = sharding.shard_patterns(memory, mesh, "patterns")
    alone = eam.sample(memory, QUERIES, rule, 3, key=jr.key(1)).states
    spread = eam.sample(sharded, sharding.shard_queries(QUERIES, mesh, "queries"), rule, 3, key=jr.key(1))
    moved = (np.asarray(alone[:, -1]) != QUERIES).any()
    return bool(moved and (host(spread.states) == np.asarray(alone)).all())


def refused(memory):
    """Whether `save` refuses a memory of which each process holds a part, and leaves no file."""
    path = pathlib.Path(FOLDER).parent / "one file"
    try:
        eam.save(path, memory)
    except ValueError as error:
        return bool(re.search(r"keys must be an array.*energyam\.sharding\.save_shards", str(error)))
    finally:
        assert not path.exists()


def shards(mesh):
    """Whether a memory saved in shards and loaded again is the same."""
    memory = sharding.shard_patterns(NEAREST, mesh, "patterns")
    if jax.process_count() > 1:
        assert refused(memory)
    sharding.save_shards(FOLDER, memory)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("saved")
    loaded = sharding.load_shards(FOLDER, mesh, "patterns")
    return bool((host(loaded.keys) == NEAREST.keys).all() and (host(loaded.values) == NEAREST.values).all())


def main():
    mesh = jax.make_mesh((4, 2), ("patterns", "queries"))
    if MODE == "endless":
        memory = sharding.shard_patterns(RECALLS["chn_asynchronous"][0], mesh, "patterns")
        queries = sharding.shard_queries(QUERIES, mesh, "queries")
        print("recalling", flush=True)
        while True:
            eam.recall(memory, queries, eam.Synchronous(), 4).state.block_until_ready()
    found = {"same": compare(mesh), "shards": shards(mesh), "devices": jax.device_count()}
    if MODE == "devices":
        whole = jax.make_mesh((8,), ("patterns",))
        queries = jnp.asarray(QUERIES, jnp.float32)
        for name, memory in {"softmax": PAIRS, "nearest": NEAREST}.items():
            found[f"collectives_{name}"] = collectives(
                sharding.shard_patterns(memory, whole, "patterns"), queries
            )
        found["collectives_sweep"] = sweep_collectives(whole)
        other = sharding.load_shards(FOLDER, whole, "patterns")
        found["other_mesh"] = bool((host(other.keys) == NEAREST.keys).all())
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
