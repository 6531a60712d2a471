"""Writing whole or not at all: kills, full disks, links, long names, several writers, and reservations."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from energyam import files
from energyam.files import check_target, replacing, reserved
from energyam.tensor_files import opened_tensors, write_tensors

CHILD = """
import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("files", {files!r})
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)  # alone: it needs neither jax nor NumPy

def write(path, byte, length=2_000_000):
    with files.replacing(path) as file:
        for _ in range(10):
            file.write(bytes([byte]) * (length // 10))
"""


def start(code, *arguments):
    """A Python process that runs `code`, with `files` and `write` at hand."""
    command = [sys.executable, "-c", CHILD.format(files=files.__file__) + code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_killed_writer_leaves_the_old_file_or_the_new_and_its_leftovers_go(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes([0]) * 2_000_000)
    for kill in range(8):
        child = start("print(flush=True)\nfor n in range(10**6): write(sys.argv[1], n % 256)", path)
        child.stdout.readline()
        time.sleep(0.005 + 0.007 * kill)
        child.kill()
        child.communicate()
        content = path.read_bytes()
        assert len(content) == 2_000_000 and len(set(content)) == 1
        assert len(names(tmp_path)) <= 2
    (tmp_path / f"{files._prefix(path)}-0.part").write_bytes(b"half")
    (tmp_path / f"{files._prefix(tmp_path / 'other')}-0.part").write_bytes(b"another file's")
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == [f"{files._prefix(tmp_path / 'other')}-0.part", "file"]


def test_writers_at_the_same_time_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "file"
    code = "for _ in range(60): write(sys.argv[1], int(sys.argv[2]), 20_000)"
    children = [start(code, path, byte) for byte in (1, 2, 3)]
    for child in children:
        assert child.wait(60) == 0, child.stderr.read()
        child.communicate()
    assert len(path.read_bytes()) == 20_000 and len(set(path.read_bytes())) == 1
    assert names(tmp_path) == ["file"]


def test_a_full_disk_is_an_os_error_with_the_path_and_the_old_file_stays(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n"
    child = start(limit + "write(sys.argv[1], 1)", path)
    _, told = child.communicate(timeout=60)
    assert child.returncode == 1 and "OSError" in told.splitlines()[-1] and str(path) in told.splitlines()[-1]
    assert path.read_bytes() == b"old" and names(tmp_path) == ["file"]


def test_a_disk_that_fails_in_the_flush(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"), replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["file"]


def test_an_error_or_an_interrupt_in_the_block_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), replacing(path) as file:
            file.write(b"half")
            raise error
    assert path.read_bytes() == b"old" and names(tmp_path) == ["file"]


def test_links_are_followed_and_stay(tmp_path):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "target", tmp_path / "link"
    for made in ("dangling", "old"):
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.join("far", "target"))
        with replacing(link) as file:
            file.write(made.encode())
        assert link.is_symlink() and target.read_bytes() == made.encode()
    assert names(tmp_path) == ["far", "link"] and names(tmp_path / "far") == ["target"]
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        check_target(tmp_path / "a")


@pytest.mark.parametrize("name", ["x" * 250, "é" * 125, "x" * 255])
def test_long_names_work(tmp_path, name):
    with reserved(tmp_path / name), replacing(tmp_path / name) as file:
        file.write(b"new")
    assert names(tmp_path) == [name]


def test_the_mode_of_the_old_file_is_kept_and_a_new_one_follows_the_umask(tmp_path):
    path = tmp_path / "file"
    old = os.umask(0o027)
    try:
        with replacing(path):
            pass
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    with replacing(path):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_targets_are_checked_beforehand(tmp_path, monkeypatch, no_hook):
    with pytest.raises(FileNotFoundError, match=r"checkpoint must lie in a folder that exists; .*no/file"):
        check_target(tmp_path / "no" / "file", "checkpoint")
    with pytest.raises(ValueError, match=r"path must name a file; got .*, which is a folder or a device"):
        check_target(tmp_path)
    with pytest.raises(ValueError, match="got /dev/null, which is a folder or a device"):
        check_target("/dev/null")
    with pytest.raises(OSError, match="too long"):
        check_target(tmp_path / ("x" * 256))
    for wrong in (3, None, b"bytes", "", "a\0b", np.ones(2)):
        with pytest.raises(ValueError, match="path must be the path of a file"):
            check_target(wrong)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path / "file")
    with pytest.raises(PermissionError, match="must not be write-protected"):
        check_target(tmp_path / "file")
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    with pytest.raises(PermissionError, match="a folder that can be written to"):
        check_target(tmp_path / "new")


def test_a_reservation_keeps_others_out_until_it_ends_or_its_process_dies(tmp_path):
    path = tmp_path / "run"
    with reserved(path) as target:
        assert target == path
        with pytest.raises(ValueError, match=r"checkpoint must not be in use by another run; got .*run"):
            with reserved(path, "checkpoint"):
                pass
        with reserved(tmp_path / "other"):
            pass
    assert names(tmp_path) == []
    child = start("with files.reserved(sys.argv[1]): print('mine', flush=True); time.sleep(60)", path)
    assert child.stdout.readline() == "mine\n"
    with pytest.raises(ValueError, match="in use"), reserved(path):
        pass
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with reserved(path):
        pass
    assert names(tmp_path) == []


def test_systems_without_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "fcntl", None)
    path = tmp_path / "file"
    (tmp_path / f"{files._prefix(path)}-0.part").write_bytes(b"half")
    with reserved(path), replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new" and names(tmp_path) == ["file"]


def test_file_systems_without_locks(tmp_path, monkeypatch):
    def refuse(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    path = tmp_path / "file"
    with reserved(path), replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new" and names(tmp_path) == ["file"]


TENSORS = {
    "half": np.arange(6).reshape(2, 3).astype(jnp.bfloat16),
    "small": np.array(5, np.int8),
    "empty": np.zeros((0, 3)),
    "big_endian": np.arange(6, dtype=">f4").reshape(2, 3).T,
    "bits": np.array([True, False]),
    "ξ": np.arange(3, dtype=np.float16),
}


def test_tensors_come_back_and_others_can_read_them(tmp_path):
    write_tensors(tmp_path / "file", TENSORS, {"made": "by a test, ±1"})
    with opened_tensors(tmp_path / "file") as file:
        assert file.metadata["made"] == "by a test, ±1" and file.names == TENSORS.keys()
        found = file.tensors()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype.newbyteorder("=") and found[name].shape == tensor.shape
        np.testing.assert_array_equal(found[name], tensor)
    plain = {name: tensor for name, tensor in TENSORS.items() if name != "half"}
    write_tensors(tmp_path / "file", plain, {})
    assert load_file(tmp_path / "file").keys() == plain.keys()
    with pytest.raises(ValueError, match="text must have a dtype among bool"):
        write_tensors(tmp_path / "file", {"text": np.array(["a"])}, {})


def test_tensors_of_others_are_opened_and_missing_ones_are_named(tmp_path):
    save_file({"a": np.ones(2)}, tmp_path / "file")
    with opened_tensors(tmp_path / "file") as file:
        np.testing.assert_array_equal(file.tensor("a"), np.ones(2))
        with pytest.raises(ValueError, match="file has no tensor 'b'"):
            file.tensor("b")
        with pytest.raises(ValueError, match="file is damaged: its checksums are missing"):
            file.want_checksums()
