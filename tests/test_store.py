"""Stores of rows: what they hold after any writes, crashes between any two steps, kills, and wrong use."""

import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import energyam as eam
from energyam import on_disk, row_files, store as store_module

D = 4
KILLS = 50 if os.environ.get("ENERGYAM_FULL") == "1" else 3


def rows_of(ids):
    """The pattern of each id, and of no other."""
    ids = np.asarray(ids, np.float32).reshape(-1, 1)
    return np.concatenate([ids, np.sin(ids), np.ones_like(ids), -ids], axis=1)


def payload_of(i):
    return [None, {"of": int(i)}, f"±{i}"][i % 3]


def write(store, op):
    """The write number `op`: most add some rows, some delete, a few compact."""
    if op % 5 == 3:
        store.delete(store.ids[[0, -1]])
    elif op % 23 == 22:
        store.compact()
    else:
        ids = np.arange(store._next_id, store._next_id + 1 + op % 3)
        assert (store.append(rows_of(ids), [payload_of(i) for i in ids]) == ids).all()


def ids_after(num_ops):
    """The ids that are left after that many writes, in plain Python."""
    live, following = [], 0
    for op in range(num_ops):
        if op % 5 == 3:
            live = live[1:-1]
        elif op % 23 != 22:
            live += range(following, following + 1 + op % 3)
            following += 1 + op % 3
    return live


def content_of(store):
    """The ids of a store; its rows and payloads must be those of the ids."""
    ids = store.ids
    assert store.payloads(ids) == [payload_of(i) for i in ids]
    if len(ids):
        np.testing.assert_array_equal(store.patterns.block(0, len(ids)), rows_of(ids))
    return ids.tolist()


def test_a_store_holds_what_was_written_and_not_deleted(tmp_path):
    store = eam.Store(tmp_path / "store")
    assert len(store) == 0 and not store.folder.exists()
    for op in range(60):
        write(store, op)
        assert store.ids.tolist() == ids_after(op + 1)
        assert len(list(store.folder.glob("*.safetensors"))) <= 2 + np.log2(op + 1)
    assert content_of(store) == content_of(eam.Store(store.folder)) == ids_after(60)
    assert content_of(store) != ids_after(61) and len(ids_after(60)) > 60
    store.compact()
    assert [path.name for path in store.folder.glob("*.safetensors")] == ["00000000-00000057.safetensors"]
    assert content_of(store) == ids_after(60)
    assert store.append(rows_of([store._next_id]))[0] == store._next_id - 1 > store.ids[-2]


def crash_at_each_step(folder, num_ops, monkeypatch):
    """The folder as it is before each call that changes what is on the disk: (copy, writes acknowledged)."""
    copies, acknowledged = [], [0]

    def copied_before(called):
        def call(*args, **options):
            copy = folder.with_name(f"copy {len(copies)}")
            shutil.copytree(folder, copy)
            copies.append((copy, acknowledged[0]))
            return called(*args, **options)

        return call

    store = eam.Store(folder)
    store._open_to_write()
    for name in ("replace", "unlink", "fsync"):
        monkeypatch.setattr(os, name, copied_before(getattr(os, name)))
    for op in range(num_ops):
        write(store, op)
        acknowledged[0] = op + 1
    monkeypatch.undo()
    return copies


def lost_after(copies):
    """Of the copies, those that open as neither what was acknowledged nor that and the write that ran."""
    lost = []
    for copy, done in copies:
        try:
            fine = content_of(eam.Store(copy)) in (ids_after(done), ids_after(done + 1))
        except ValueError:
            fine = False
        lost += [] if fine else [copy]
    return lost


def test_a_crash_between_any_two_steps_loses_nothing_acknowledged(tmp_path, monkeypatch):
    copies = crash_at_each_step(tmp_path / "store", 26, monkeypatch)
    assert len(copies) > 75 and not lost_after(copies)
    copy, done = copies[-2]
    store = eam.Store(copy)
    store.append(rows_of([store._next_id]))
    assert len(store) in (len(ids_after(done)) + 1, len(ids_after(done + 1)) + 1)


def test_a_store_that_removes_files_before_the_new_one_is_there_would_be_found(tmp_path, monkeypatch):
    write_segment = store_module.write_segment

    def too_early(folder, first, last, content):
        content = content._replace(patterns=np.concatenate([rows_of([]), *_blocks_of(content.patterns)]))
        for path in folder.glob("*.safetensors"):
            if int(path.name[:8]) >= first:
                os.unlink(path)
        return write_segment(folder, first, last, content)

    def _blocks_of(rows):
        return [rows] if isinstance(rows, np.ndarray) else rows.blocks()

    monkeypatch.setattr(store_module, "write_segment", too_early)
    assert lost_after(crash_at_each_step(tmp_path / "store", 9, monkeypatch))


CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
import energyam as eam
from test_store import write
store = eam.Store(sys.argv[2])
store._open_to_write()
for op in range(int(sys.argv[3]), 10**6):
    print(op, flush=True)
    write(store, op)
"""


def test_a_killed_writer_loses_nothing_acknowledged_and_keeps_nobody_out(tmp_path):
    done, here = 0, os.path.dirname(__file__)
    for kill in range(KILLS):
        command = [sys.executable, "-c", CHILD, here, str(tmp_path / "store"), str(done)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = [child.stdout.readline() for _ in range(4 + 7 * kill % 9)]
        if kill == 0:
            with pytest.raises(ValueError, match="in use by another run"):
                eam.Store(tmp_path / "store").append(rows_of([0]))
        time.sleep(0.0007 * (7 * kill % 20))
        child.kill()
        lines += child.communicate()[0].splitlines()
        started = int(lines[-1])  # all writes before it were acknowledged
        found = content_of(eam.Store(tmp_path / "store"))
        assert found in (ids_after(started), ids_after(started + 1))
        done = started + (found != ids_after(started))
    (tmp_path / "store" / ".energyam-of a dead writer-1.part").write_bytes(b"half")
    store = eam.Store(tmp_path / "store")
    write(store, 0)
    assert len(store) == len(ids_after(done)) + 1 and done > KILLS
    assert not list(store.folder.glob(".*.part"))
    assert len(list(store.folder.glob("*.safetensors"))) == len(store._segments)


def test_the_nearest_and_reads_are_those_of_an_array_and_compile_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(on_disk, "_BLOCK_BYTES", 1)
    rng = np.random.default_rng(0)
    rows, query = rng.standard_normal((5000, 8), np.float32), rng.standard_normal(8, np.float32)
    store, live = eam.Store(tmp_path / "store", eam.NegativeDistance()), np.arange(4200)
    store.append(rows[:4200], range(4200))
    programs = 0
    for start in (4200, 4300, 4400):
        store.append(rows[start : start + 100], range(start, start + 100))
        gone = rng.choice(live, 40, replace=False)
        store.delete(gone)
        live = np.setdiff1d(np.append(live, np.arange(start, start + 100)), gone)
        memory = eam.KeyValueMemory(store.patterns, rows[live, :2], eam.LogSumExp(0.5), capacity=1)
        caplog.clear()
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            found, read = eam.nearest(store, query, 5), memory(query)
        programs += sum("compilation of jit(_nearest)" in r.getMessage() for r in caplog.records)
        programs += sum("compilation of jit(_read)" in r.getMessage() for r in caplog.records)
        here = eam.KeyValueMemory(rows[live], rows[live, :2], eam.LogSumExp(0.5))
        np.testing.assert_allclose(read, here(query), rtol=1e-4, atol=1e-5)
        wanted = np.argsort(np.square(rows[live] - query).sum(axis=1), kind="stable")[:5]
        assert found.indices.tolist() == wanted.tolist()
        assert store.payloads(store.ids[found.indices]) == live[wanted].tolist()
    assert programs == 2
    before = memory(query)
    store.delete(store.ids[:-1])
    store.compact()
    assert jnp.array_equal(memory(query), before)  # a memory keeps the patterns that it was made of
    modern = eam.ModernHopfield(store.patterns, 1.0)
    np.testing.assert_allclose(modern.field(query), rows[live[-1]], rtol=1e-5)


def test_rows_that_do_not_count_are_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(row_files, "_GAP", 2)
    store, rows = eam.Store(tmp_path / "store"), np.arange(40, dtype=np.int8)[:, None]
    store.append(rows)
    store.delete([0, 3, 4, 5, 10, 39])
    left = np.setdiff1d(np.arange(40), [0, 3, 4, 5, 10, 39])
    for start in range(34):
        assert store.patterns.block(start, 34 - start)[:, 0].tolist() == left[start:].tolist()
    assert store.patterns[np.array([[2, 33]])][0, :, 0].tolist() == [left[2], left[33]]
    assert store.patterns.padded(37).block(30, 7)[:, 0].tolist() == [*left[30:], 1, 1, 1]


def test_signs_take_a_byte_and_make_binary_memories(tmp_path):
    signs = np.sign(np.random.default_rng(1).standard_normal((30, 16))).astype(np.int64)
    store = eam.Store(tmp_path / "store")
    store.append(signs[:20])
    store.append(signs[20:].astype(float))
    assert store.patterns.dtype == np.int8
    result = eam.recall(eam.CHN(store.patterns), signs[0].astype(float), eam.Synchronous(), 3)
    assert eam.evaluation.retrieved(eam.CHN(signs), result.state).index == 0
    store.append(3 * signs[:1])
    with pytest.raises(ValueError, match=r"must hold rows of ±1; got .* in row 30"):
        eam.CHN(store.patterns)


def test_a_full_disk_leaves_the_store_as_it_was(tmp_path):
    store = eam.Store(tmp_path / "store")
    store.append(rows_of(range(3)))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: '.*store"):
            store.append(rows_of(range(3, 9000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(store) == len(eam.Store(store.folder)) == 3
    assert store.append(rows_of([3])).tolist() == [3] and len(list(store.folder.glob("*.part"))) == 0


def test_damaged_and_missing_files(tmp_path):
    store = eam.Store(tmp_path / "store")
    store.append(rows_of(range(9)), ["text"] * 9)
    store.append(rows_of([9]))
    path = tmp_path / "store" / "00000000-00000000.safetensors"
    whole = path.read_bytes()
    where = whole.index(rows_of([7]).tobytes())
    path.write_bytes(whole[:where] + b"\7" + whole[where + 1 :])
    with pytest.raises(ValueError, match=r"00000000.*is damaged: patterns is not what was written"):
        store.compact()
    path.write_bytes(whole[: where + 1])
    with pytest.raises(ValueError, match=r"00000000.* has become shorter while it was read"):
        store.payloads(3)
    with pytest.raises((ValueError, jax.errors.JaxRuntimeError), match="has become shorter"):
        jax.block_until_ready(eam.nearest(store, rows_of([3])[0], 2))
    with pytest.raises(ValueError, match=r"00000000.*not a whole safetensors file"):
        eam.Store(tmp_path / "store")
    path.unlink()
    with pytest.raises(ValueError, match=r"store: the file of the writes 0 to 0 is missing"):
        eam.Store(tmp_path / "store")


def test_wrong_use_of_a_store(tmp_path, no_hook):
    np.save(tmp_path / "wide.npy", rows_of([1]).astype(np.float64))
    np.save(tmp_path / "half.npy", rows_of([1]).astype(np.float16))
    np.save(tmp_path / "big_first.npy", rows_of([1]).astype(">f4"))
    mapped = lambda name: np.load(tmp_path / f"{name}.npy", mmap_mode="r")  # noqa: E731
    store, empty = eam.Store(tmp_path / "store"), eam.Store(tmp_path / "none")
    store.append(rows_of(range(4)), ["a", None, 2, {"b": []}])
    store.delete(2)
    two = rows_of([5, 6])
    small = eam.Store(tmp_path / "small")
    small.append([[1, -1]])
    for call, message in (
        (lambda: eam.Store(tmp_path), r"folder must be a store's, or empty; got .*, which has other files"),
        (lambda: eam.Store(tmp_path / "wide.npy"), r"folder must be a folder; got .*, which is a file"),
        (lambda: eam.Store(tmp_path / "x", "dot"), r"similarity must be an instance of AbstractSimilarity"),
        (lambda: eam.Store(store.folder).append(two), r"folder must not be in use by another run"),
        (lambda: eam.Store(store.folder).delete(0), r"folder must not be in use by another run"),
        (lambda: empty.patterns, r"store must not be empty to be read; got no patterns in .*none"),
        (lambda: eam.nearest(empty, two, 1), r"store must not be empty"),
        (lambda: eam.nearest(store, two, 4), r"k must be at most 3; got 4"),
        (lambda: store.append(two[:, :3]), r"patterns must be \(n, 4\); got shape \(2, 3\)"),
        (lambda: store.append(two[0]), r"patterns must be \(n, D\)|patterns must be \(n, 4\)"),
        (lambda: store.append(np.nan * two), r"patterns must be finite"),
        (lambda: store.append("text"), r"patterns must be a numeric array"),
        (lambda: store.append(two > 0), r"patterns must have whole numbers or floats.*got dtype bool"),
        (lambda: store.append(mapped("wide")), r"got dtype float64 .write it anew as float32"),
        (lambda: store.append(mapped("half")), r"the store's dtype, float32; got float16 .write it anew as"),
        (lambda: store.append(mapped("big_first")), r"dtype >f4.*its lowest byte first"),
        (lambda: empty.append(mapped("big_first")), r"dtype >f4.*its lowest byte first"),
        (lambda: small.append([[300, 1]]), r"numbers that the store's dtype int8 holds; got others"),
        (lambda: store.append(two, ["a"]), r"payloads must be as many as the patterns, 2; got 1"),
        (lambda: store.append(two, "ab"), r"payloads must be a list of what JSON holds.*; got str"),
        (lambda: store.append(two, [1, {2}]), r"payloads must be what JSON holds; got \{2\} at 1"),
        (lambda: store.append(two, [np.nan, 0]), r"payloads must be what JSON holds; got nan at 0"),
        (lambda: store.payloads(2), r"ids must be of patterns in the store; got 2, one that was deleted"),
        (lambda: store.delete([0, 2]), r"got 2, one that was deleted"),
        (lambda: store.payloads([0, 4]), r"got 4, one that never was there"),
        (lambda: store.payloads(-1), r"got -1, one that never was there"),
        (lambda: store.delete([True]), r"ids must be whole numbers; got dtype bool"),
        (lambda: store.delete(None), r"ids must be whole numbers; got dtype object"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert store.payloads([[0], [3]]) == [["a"], [{"b": []}]] and store.payloads(1) is None
    store.delete([])
    store.close()
    other = eam.Store(store.folder)
    assert other.append(two).tolist() == [4, 5]
    with pytest.raises(ValueError, match="in use"):
        store.append(two)
    other.close()
    assert store.append(two).tolist() == [6, 7] and len(store) == 7


def test_the_lines_of_a_store_are_json(tmp_path):
    store = eam.Store(tmp_path / "store")
    store.append(rows_of(range(2)), [{"title": "±"}, 3])
    lines = bytes(store._segments[0].content.lines).decode().splitlines()
    assert [json.loads(line) for line in lines] == [{"title": "±"}, 3]
