"""Writing a file whole or not at all, whatever kills the program meanwhile, and keeping a file to oneself.

The new content goes to a temporary file beside the target, is flushed to the disk, and takes the target's
place in one step. A temporary file is locked while its writer lives, so that the next writer can tell a dead
one's leftovers from the work of a living one. Where the system has no such locks (Windows), it refuses to
delete a file that is open, which serves as well.
"""

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]


def as_path(path: str | os.PathLike, name: str = "path") -> Path:
    """`path` as a `Path`; raises `ValueError` for anything but a string or a path."""
    if not isinstance(path, str | os.PathLike) or "\0" in str(path) or not str(path):
        shown = repr(path) if isinstance(path, str | bytes | int) else type(path).__name__
        raise ValueError(f"{name} must be the path of a file, a string or a Path; got {shown}")
    return Path(path)


def check_target(path: str | os.PathLike, name: str = "path") -> Path:
    """The file that writing to `path` would replace: `path` itself, or where its symbolic links lead.

    Call this before long work whose result is to be written. Raises `ValueError` for what is not a path or
    names a folder or a device, `FileNotFoundError` for a folder that is missing, `PermissionError` for one
    that can't be written to or a file that is write-protected, and `OSError` for a name that is too long.
    """
    path = as_path(path, name)
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{name} must lie in a folder that exists; got {path}: no {target.parent}")
    with suppress(FileNotFoundError):
        os.stat(target)  # raises for a name too long, and for links that go round in a circle
        if not target.is_file():
            raise ValueError(f"{name} must name a file; got {path}, which is a folder or a device")
        if not os.access(target, os.W_OK):
            raise PermissionError(f"{name} must not be write-protected; got {path}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{name} must lie in a folder that can be written to; got {path}")
    return target


@contextmanager
def replacing(path: str | os.PathLike, name: str = "path") -> Iterator[IO[bytes]]:
    """A new file to write to, which takes the place of `path` when the block ends well.

    If the block raises, or the program dies, the old file stays. Raises as `check_target` does before the
    block, and `OSError` with the path where the disk is full.
    """
    target = check_target(path, name)
    remove_leftovers(target.parent, _prefix(target))
    file = _new_file(target)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if target.exists():
                os.chmod(file.name, stat.S_IMODE(target.stat().st_mode))
            if fcntl is None:
                file.close()  # Windows moves no file that is open
            os.replace(file.name, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(file.name)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    _flush_folder(target.parent)


@contextmanager
def reserved(path: str | os.PathLike, name: str = "path") -> Iterator[Path]:
    """Keep `path` to this program until the block ends, or the program dies; gives the file it stands for.

    Only those who ask for the same reservation are kept out: nothing stops other writers. Where the system
    or the file system has no locks, nobody is kept out. Raises `ValueError` where another program, or this
    one, has reserved the path already, and as `check_target` does.
    """
    target = check_target(path, name)
    lock = target.with_name(f"{_prefix(target)}.lock")
    file = _locked(lock)
    if file is None:
        raise ValueError(f"{name} must not be in use by another run; got {path}, which one is writing to")
    try:
        yield target
    finally:
        if fcntl is None:
            file.close()
        with suppress(OSError):
            os.unlink(lock)  # while it is locked, so that nobody else's lock is removed
        file.close()


def _prefix(target: Path) -> str:
    """How names of files beside `target` begin: short, however long its own name is."""
    return f".energyam-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}"


def _new_file(target: Path) -> IO[bytes]:
    """A new, locked, empty file beside `target`."""
    while True:
        path = target.with_name(f"{_prefix(target)}-{secrets.token_hex(4)}.part")
        file = open(path, "x+b")
        if _lock(file) and _is_at(file, path):
            return file
        file.close()  # a writer that removes leftovers took it for one before it was locked


def remove_leftovers(folder: Path, prefix: str = ".energyam") -> None:
    """Remove temporary files that dead writers left in a folder; `prefix`: how those of one target begin."""
    for path in folder.glob(f"{prefix}-*.part"):
        with suppress(OSError), open(path, "r+b") as file:
            if fcntl is None:
                file.close()  # Windows deletes no file that is open, here or in its writer
                os.unlink(path)
            elif _lock(file, if_unsupported=False):
                os.unlink(path)


def _locked(path: Path) -> IO[bytes] | None:
    """The file at `path`, made where it is missing, and locked; None where another holder lives."""
    while True:
        file = open(path, "a+b")
        if not _lock(file):
            file.close()
            return None
        if _is_at(file, path):
            return file
        file.close()  # its holder removed it between the opening and the locking


def _lock(file: IO[bytes], if_unsupported: bool = True) -> bool:
    """Lock a file until it is closed or the process dies; False where it is locked already."""
    if fcntl is None:
        return if_unsupported
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems have no locks
        return if_unsupported
    return True


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether `path` still leads to the open `file`."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    return False


def _flush_folder(folder: Path) -> None:
    """Bring a folder's new entry to the disk, where the system lets folders be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
