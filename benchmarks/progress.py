"""Finished parts of a long benchmark, kept in benchmarks/checkpoints/ so that a rerun goes on after them.

ENERGYAM_CHECKPOINTS names another folder for them.
"""

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

CHECKPOINTS = pathlib.Path(
    os.environ.get("ENERGYAM_CHECKPOINTS", pathlib.Path(__file__).parent / "checkpoints")
)


def kept(file: str, part: str, compute: Callable[[], Any]) -> Any:
    """The finished `part` in checkpoints/`file`, or what `compute` gives, which is then kept there.

    With ENERGYAM_FINISHED set nothing is computed: None for a part that is not finished.
    """
    path = CHECKPOINTS / file
    parts = json.loads(path.read_text()) if path.exists() else {}
    if part not in parts and "ENERGYAM_FINISHED" in os.environ:
        return None
    if part not in parts:
        found = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        # Read again: another process may have finished a part meanwhile.
        parts = (json.loads(path.read_text()) if path.exists() else {}) | {part: found}
        written = path.with_suffix(".part")
        written.write_text(json.dumps(parts, default=float))
        os.replace(written, path)
    return parts[part]
