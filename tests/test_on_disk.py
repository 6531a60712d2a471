"""Patterns that stay on disk: what an array answers, of every kind of file, and files that are not right."""

import json
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import ml_dtypes
import numpy as np
import pytest
import zoo
from safetensors.numpy import save_file

import energyam as eam
from energyam import on_disk

K, D = 5000, 16
SIGNS = np.array(zoo.patterns(0, K, D))
REALS = np.asarray(jr.normal(jr.key(1), (K, D)))
VALUES = np.asarray(jr.normal(jr.key(2), (K, 3)))
QUERIES = jr.normal(jr.key(3), (4, D))


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Three blocks of 2,048 rows, the last one smaller."""
    monkeypatch.setattr(on_disk, "_BLOCK_BYTES", 1)


@pytest.fixture
def on_file(tmp_path):
    """A function that writes rows to a new file, and leaves them there."""

    def write(rows):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.rows"
        rows.tofile(path)
        return eam.OnDisk(np.memmap(path, rows.dtype, "r", shape=rows.shape))

    return write


def check_alike(function, here, there, rtol=2e-5):
    """A function of memories answers alike; the indices that it gives are equal."""
    answers = [eqx.filter_jit(jax.vmap(lambda q, m=m: function(m, q)))(QUERIES) for m in (here, there)]
    for one, other in zip(*map(jax.tree.leaves, answers), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * np.abs(one).max())


SEPARATIONS = {
    "softmax": eam.LogSumExp(0.7),
    "quadratic": eam.Quadratic(),
    "cubic": eam.Polynomial(3),
    "nearest": eam.TopK(eam.LogSumExp(0.7), 5),
    "sparse": eam.Entmax(0.3),
    "subsets": eam.KSubsets(0.3, 4),
}


@pytest.mark.parametrize("name", SEPARATIONS)
def test_reads_of_keys_and_values_on_disk(name, on_file):
    here = eam.KeyValueMemory(REALS, VALUES, SEPARATIONS[name])
    there = eam.KeyValueMemory(on_file(REALS), on_file(VALUES), SEPARATIONS[name])
    check_alike(lambda memory, q: memory(q), here, there)
    mixed = eam.KeyValueMemory(on_file(REALS), VALUES, SEPARATIONS[name])
    check_alike(lambda memory, q: memory(q), here, mixed)


MEMORIES = {
    "exponential": (lambda X: eam.ExponentialDenseAM(X, 0.4), SIGNS),
    "chn": (eam.CHN, SIGNS),
    "modern": (lambda X: eam.ModernHopfield(X, 2.0), REALS),
    "gaussian": (lambda X: eam.GaussianDenseAM(X, 2.0), REALS),
    "epanechnikov": (lambda X: eam.EpanechnikovDenseAM(X, 0.1), REALS),
    "narrow": (lambda X: eam.ModernHopfield(X, 2.0), REALS.astype(ml_dtypes.bfloat16)),
}


@pytest.mark.parametrize("name", MEMORIES)
def test_energies_fields_nearest_and_recall_of_patterns_on_disk(name, on_file):
    make, rows = MEMORIES[name]
    here, there = make(jnp.asarray(rows)), make(on_file(rows))
    check_alike(lambda memory, x: (memory.energy(x), memory.field(x)), here, there)
    check_alike(lambda memory, x: jax.grad(memory.energy)(x), here, there, rtol=1e-4)
    found, wanted = eam.nearest(there, QUERIES, 3), eam.nearest(here, QUERIES, 3)
    np.testing.assert_array_equal(found.indices, wanted.indices)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-5)
    queries = jnp.asarray(rows[4990:4994]) if rows is SIGNS else QUERIES
    ends = [eam.recall(memory, queries, eam.Synchronous(), 3) for memory in (here, there)]
    np.testing.assert_allclose(ends[1].state, ends[0].state, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ends[1].energies, ends[0].energies, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["exponential", "modern"])
def test_what_was_retrieved_from_patterns_on_disk(name, on_file):
    make, rows = MEMORIES[name]
    states = jnp.concatenate(
        [jnp.asarray(rows[[3, 4999]], float), -jnp.asarray(rows[:1], float), QUERIES[:2]]
    )
    found = [
        jax.vmap(lambda x, m=m: eam.evaluation.retrieved(m, x))(states)
        for m in (make(rows), make(on_file(rows)))
    ]
    for one, other in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)
    assert found[1].index[0] == 3 and (rows is REALS or found[1].index[1] == 4999)


def test_every_block_is_read_once_for_all_queries(on_file, monkeypatch):
    memory, asked = eam.ModernHopfield(on_file(REALS), 1.0), []
    read = memory.patterns.file.block
    monkeypatch.setattr(memory.patterns.file, "block", lambda *block: asked.append(block) or read(*block))
    jax.block_until_ready(eqx.filter_jit(lambda queries: jax.vmap(memory.field)(queries))(QUERIES))
    blocks = [(0, 2048), (2048, 2048), (4096, 904)]
    assert sorted(asked) == blocks
    asked.clear()
    result = jax.block_until_ready(eam.recall(memory, QUERIES, max_steps=2))
    assert sorted(asked) == sorted(blocks * (1 + int(result.num_steps.max())))


def test_the_next_block_is_on_its_way(on_file):
    rows = on_file(REALS)
    rows.file.block(0, 2048)
    (wanted, coming) = rows.file.ahead
    assert wanted == (2048, 2048)
    np.testing.assert_array_equal(coming.result(), REALS[2048:4096])
    rows.file.block(4096, 904)  # another one than was expected
    assert rows.file.ahead is None


def test_memory_of_a_block_is_used_again_once_nobody_holds_it(on_file):
    file = on_file(REALS).file
    held = [file.block(start, 800) for start in range(0, 4800, 800)]
    for i, rows in enumerate(held):
        np.testing.assert_array_equal(rows, REALS[800 * i : 800 * i + 800])
    part, places = held.pop()[:3], {rows.ctypes.data for rows in held}
    del held, rows
    again = [file.block(start, 800).ctypes.data for start in (2000, 0, 2000, 0)]
    assert len(set(again) | places) < 4 + len(places)
    np.testing.assert_array_equal(part, REALS[4000:4003])


def test_all_kinds_of_files_hold_the_same_rows(tmp_path):
    np.save(tmp_path / "rows.npy", SIGNS)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    save_file({"other": VALUES, "patterns": SIGNS}, tmp_path / "rows.safetensors")
    memory = eam.ExponentialDenseAM(jnp.asarray(SIGNS), 0.4)
    eam.save(tmp_path / "saved", memory)
    mesh = jax.make_mesh((1,), ("patterns",))
    eam.sharding.save_shards(tmp_path / "shards", eam.sharding.shard_patterns(memory, mesh, "patterns"))
    sources = [
        tmp_path / "rows.npy",
        mapped,
        tmp_path / "rows.safetensors",
        tmp_path / "saved",
        tmp_path / "shards",
    ]
    for source in sources:
        rows = eam.OnDisk(source)
        assert rows.shape == (K, D) and rows.dtype == np.int8
        np.testing.assert_array_equal(rows.block(3000, 2000), SIGNS[3000:])
        np.testing.assert_array_equal(rows[jnp.array([[0, 4999], [7, 7]])], SIGNS[[[0, 4999], [7, 7]]])
    np.testing.assert_array_equal(eam.OnDisk(mapped[100:200]).block(90, 10), SIGNS[190:200])
    np.testing.assert_array_equal(eam.OnDisk(tmp_path / "rows.safetensors", "other").block(0, 5), VALUES[:5])


def test_shards_are_read_across_their_ends(tmp_path):
    for i, rows in enumerate(np.split(SIGNS, [1000, 1500, 4000])):
        save_file({"patterns": rows}, tmp_path / f"{i:05d}-of-00004.safetensors")
    rows = eam.OnDisk(tmp_path)
    np.testing.assert_array_equal(rows.block(900, 3500), SIGNS[900:4400])
    (tmp_path / "00002-of-00004.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="3 shards here"):
        eam.OnDisk(tmp_path)


def test_derivatives_of_what_is_read(on_file):
    def loss(keys):
        def of(beta, query):
            return jnp.sum(eam.KeyValueMemory(keys, VALUES, eam.LogSumExp(beta))(query) ** 2)

        return jax.jit(jax.grad(of, argnums=(0, 1)))(jnp.float32(0.7), QUERIES[0])

    for one, other in zip(loss(REALS), loss(on_file(REALS)), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


LIMITED = """
import json, resource, sys
import jax, jax.numpy as jnp, numpy as np, energyam as eam

def held(what):
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(what)))

path, on_disk = sys.argv[1], sys.argv[2] == "True"
queries = jnp.ones((2, 64))
eam.ModernHopfield(jnp.ones((3, 64)), 1.0).energy(queries[0])  # JAX has its threads
small = 150 * 2**20
limit = held("VmData") + small
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
open("/proc/self/clear_refs", "w").write("5")
before = held("VmRSS")
try:
    patterns = eam.OnDisk(path) if on_disk else jnp.asarray(np.load(path, mmap_mode="r"))
    memory = eam.ExponentialDenseAM(patterns, 0.1)
    found = eam.nearest(memory, queries, 2).indices.tolist(), jax.vmap(memory.energy)(queries).tolist()
except (MemoryError, RuntimeError) as error:
    found = None
print(json.dumps([found, held("VmHWM") - before]))
"""


def test_resident_memory_stays_below_a_limit(tmp_path):
    """256 MB of patterns under a limit of 150 MB: on disk they are read, in memory there is no room."""
    patterns = np.ones((4_000_000, 64), np.int8)
    patterns[:, 0], patterns[7, 0] = -1, 1
    np.save(tmp_path / "patterns.npy", patterns)

    def run(on_disk):
        command = [sys.executable, "-c", LIMITED, str(tmp_path / "patterns.npy"), str(on_disk)]
        done = subprocess.run(command, capture_output=True, text=True)
        return json.loads(done.stdout) if done.stdout else [None, None]

    (indices, energies), peak = run(True)
    assert indices == [[7, 0], [7, 0]] and peak < 150e6
    np.testing.assert_allclose(energies, -0.1 * 62 - np.log(4e6 - 1 + np.exp(0.2)), rtol=1e-5)
    assert run(False)[0] is None


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path):
    np.save(tmp_path / "rows.npy", REALS)
    memory = eam.ModernHopfield(eam.OnDisk(tmp_path / "rows.npy"), 1.0)
    wanted = eam.nearest(memory, QUERIES, 2)
    with open(tmp_path / "rows.npy", "r+b") as file:
        file.truncate(128 + 3000 * D * 4)
    said = "rows.npy has become shorter while it was read"
    with pytest.raises((ValueError, jax.errors.JaxRuntimeError), match=said):
        jax.block_until_ready(eam.nearest(memory, QUERIES, 2))
    np.save(tmp_path / "rows.npy", REALS)
    np.testing.assert_array_equal(eam.nearest(memory, QUERIES, 2).indices, wanted.indices)


def test_what_no_file_of_rows_is(tmp_path, no_hook):
    def file(name, rows):
        np.save(tmp_path / name, rows)
        return tmp_path / name

    (tmp_path / "text").write_text("no rows here")
    save_file({"keys": SIGNS}, tmp_path / "keys.safetensors")
    np.save(tmp_path / "cut.npy", SIGNS)
    with open(tmp_path / "cut.npy", "r+b") as cut:
        cut.truncate(4000)
    mapped = np.load(file("rows.npy", SIGNS), mmap_mode="r")
    wrong = SIGNS.copy()
    wrong[4100, 3] = 0
    gap = np.where(wrong == 0, np.nan, wrong).astype(np.float32)
    big_first, wide, mask = REALS.astype(">f4"), REALS.astype("f8"), SIGNS > 0
    for call, message in (
        (lambda: eam.OnDisk(tmp_path / "none.npy"), r"none.npy: no such file"),
        (lambda: eam.OnDisk(tmp_path), r"0 shards here"),
        (lambda: eam.OnDisk(SIGNS), r"source must be an np.memmap, .*; got ndarray"),
        (lambda: eam.OnDisk(tmp_path / "text"), r"text must be a .npy file, a safetensors file"),
        (lambda: eam.OnDisk(tmp_path / "keys.safetensors"), r"name must be one of keys.*got 'patterns'"),
        (lambda: eam.OnDisk(tmp_path / "cut.npy"), r"cut.npy is not a whole .npy file"),
        (lambda: eam.OnDisk(mapped[:, :4]), r"source must lie in a file, rows one after another"),
        (lambda: eam.OnDisk(file("v.npy", SIGNS[0])), r"must hold rows \(K, D\); got shape \(16,\)"),
        (lambda: eam.OnDisk(file("b.npy", big_first)), r"got dtype >f4.*as .float32., its lowest byte first"),
        (lambda: eam.OnDisk(file("w.npy", wide)), r"got dtype float64 .write it anew as float32"),
        (lambda: eam.OnDisk(file("t.npy", mask)), r"must have whole numbers or floats.*got dtype bool"),
        (lambda: eam.CHN(eam.OnDisk(file("0.npy", wrong))), r"rows of ±1; got \[.*\] in row 4100"),
        (lambda: eam.ModernHopfield(eam.OnDisk(file("n.npy", gap)), 1.0), r"finite numbers.*in row 4100"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            call()


def test_what_needs_all_patterns_in_memory_says_so(on_file, tmp_path):
    memory, x = eam.ExponentialDenseAM(on_file(SIGNS), 0.4), jnp.asarray(SIGNS[:2], float)
    mesh = jax.make_mesh((1,), ("patterns",))
    for call in (
        lambda: eam.recall(memory, x, key=jr.key(0)),
        lambda: eam.sample(memory, x, eam.HeatBath(1.0), 2, key=jr.key(0)),
        lambda: eam.is_local_minimum(memory, x[0]),
        lambda: memory.with_patterns(SIGNS[:1]),
        lambda: memory.without(0),
        lambda: eam.sharding.shard_patterns(memory, mesh, "patterns"),
        lambda: np.asarray(memory.patterns),
        lambda: memory.patterns[:3],
    ):
        with pytest.raises(
            ValueError, match=r"rows on disk \(.*\) can't be used by this call.*eam.Synchronous"
        ):
            call()
    with pytest.raises(ValueError, match=r"patterns.file must be an array, .*got RowsInFiles"):
        eam.save(tmp_path / "memory", memory)
