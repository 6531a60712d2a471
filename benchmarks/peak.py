"""The largest size in memory of a process."""

import pathlib
import sys


def peak_mb() -> float:
    """The largest size in memory of this process so far, in units of 10^6 bytes.

    Linux hands `ru_maxrss` on from parent to child, so that a small child of a large process seems as large;
    what `/proc` says is the child's own.
    """
    try:
        status = pathlib.Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    except (OSError, IndexError):
        import resource  # not on Windows

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6
