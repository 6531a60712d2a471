"""The files of a store: each holds what some writes one after another added and deleted.

A file is named by the first and the last of the writes that it stands for. It is written whole or not at all,
so that a write is there as soon as its file has its name, and not before. A file that stands for the writes
of several others replaces them: they are removed after it is there, and left out of account where that did
not happen. So a program may die between any two steps, and the folder means one thing before and after.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Int, Num, UInt8

from energyam import checks
from energyam.row_files import Part, check_dtype, part_of_safetensors
from energyam.tensor_files import Streamed, opened_tensors, write_tensors

_KIND = "row store"
_NAME = re.compile(r"(\d{8,})-(\d{8,})\.safetensors")
_BLOCK_BYTES = 2**22  # of rows or payloads that are copied at a time


class Content(NamedTuple):
    """n rows, each with its number and a line of JSON for its payload, and the numbers of deleted rows.

    `lines`: all of these lines, the bytes of one after those of another; `ends`: where each ends, which is
    where it begins for a row without a payload; `ones`: whether all entries of the rows are ±1.
    """

    patterns: Num[np.ndarray, "n D"] | Streamed
    ids: Int[np.ndarray, " n"]
    lines: UInt8[np.ndarray, " bytes"] | Streamed
    ends: Int[np.ndarray, " n"]
    deleted: Int[np.ndarray, " m"]
    next_id: int
    ones: bool

    @property
    def size(self) -> int:
        """How many rows it adds and deletes."""
        return len(self.ids) + len(self.deleted)

    @property
    def nbytes(self) -> int:
        """The bytes of its rows and payloads."""
        return self.patterns.nbytes + self.lines.nbytes


class Segment(NamedTuple):
    """A file of a store: its writes, from the first to the last, where its rows lie, and what it holds.

    The content is mapped, so it can be read also once the file, of `nbytes`, is gone from its folder.
    """

    path: Path
    first: int
    last: int
    part: Part
    content: Content
    nbytes: int

    def check_length(self) -> None:
        """Raise `ValueError` where the file has become shorter: to look at what is gone ends the program."""
        base: Any = self.content.ends.base
        if isinstance(self.content.ends, np.memmap) and base.size() < self.nbytes:
            raise ValueError(f"{self.path} has become shorter while it was read")


def write_segment(folder: Path, first: int, last: int, content: Content) -> Segment:
    """Write a file that stands for these writes, whole or not at all."""
    path = folder / f"{first:08d}-{last:08d}.safetensors"
    *tensors, next_id, ones = content
    about = {"format": f"energyam {_KIND} 2", "store": json.dumps({"next_id": next_id, "ones": ones})}
    write_tensors(path, dict(zip(Content._fields, tensors, strict=False)), about)
    return read_segment(path)


def read_segment(path: Path) -> Segment:
    """The content of a file; rows and payloads stay there. Raises `ValueError` for a file that is damaged."""
    first, last = map(int, path.name.removesuffix(".safetensors").split("-"))
    with opened_tensors(path) as file:
        file.version_of(_KIND)
        about = json.loads(file.metadata["store"])
        held: dict[str, Any] = {name: file.tensor(name) for name in ("ids", "deleted")}
    large = {name: part_of_safetensors(path, name) for name in ("patterns", "lines", "ends")}
    held |= {name: part.mapped() for name, part in large.items()} | about
    return Segment(path, first, last, large["patterns"], Content(**held), path.stat().st_size)


def paths_of(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files of a store in the order of their writes, and those that later ones stand for.

    Raises `ValueError` where one is missing.
    """
    found = [(path, _NAME.fullmatch(path.name)) for path in folder.glob("*.safetensors")]
    ranges = sorted((int(match[1]), -int(match[2]), path) for path, match in found if match)
    files, leftovers, following = [], [], 0
    for first, last, path in ranges:
        if -last < following:
            leftovers.append(path)
            continue
        if first != following:
            raise ValueError(f"{folder}: the file of the writes {following} to {first - 1} is missing")
        files.append(path)
        following = 1 - last
    return files, leftovers


def deleted_rows(contents: Sequence[Content]) -> list[Int[np.ndarray, " h"]]:
    """The rows of each content that it or another one deletes, by their place."""
    deleted = np.unique(np.concatenate([content.deleted for content in contents]))
    return [places_of(content.ids, deleted)[1] for content in contents]


def places_of(
    ids: Int[np.ndarray, " n"], wanted: Int[np.ndarray, " m"]
) -> tuple[Int[np.ndarray, " h"], Int[np.ndarray, " h"]]:
    """Which of the `wanted` are among the rising `ids`: their places among the wanted, and among the ids."""
    places = np.searchsorted(ids, wanted)
    at = np.flatnonzero(ids[np.minimum(places, len(ids) - 1)] == wanted) if len(ids) else np.arange(0)
    return at, places[at]


def merged(contents: Sequence[Content], is_first: bool) -> Content:
    """One content for several, one write after another, without the rows that they delete.

    Numbers that are deleted and not among them stay, unless it `is_first` in its store, where nothing comes
    before.
    """
    kept = []
    for content, gone in zip(contents, deleted_rows(contents), strict=True):
        keep = np.ones(len(content.ids), bool)
        keep[gone] = False
        kept.append(keep)
    pairs = list(zip(contents, kept, strict=True))
    all_ids = np.concatenate([content.ids for content in contents])
    ids = np.concatenate([content.ids[keep] for content, keep in pairs])
    lengths = np.concatenate([np.diff(content.ends, prepend=0)[keep] for content, keep in pairs])
    deleted = np.unique(np.concatenate([content.deleted for content in contents]))
    deleted = deleted[:0] if is_first else np.setdiff1d(deleted, all_ids)
    like: Any = contents[-1].patterns
    patterns = Streamed((len(ids), like.shape[1]), like.dtype, partial(_each, _kept_rows, pairs))
    lines = Streamed((int(lengths.sum()),), np.dtype(np.uint8), partial(_each, _kept_lines, pairs))
    ones = all(content.ones for content in contents)
    return Content(patterns, ids, lines, np.cumsum(lengths), deleted, contents[-1].next_id, ones)


def check_whole(segment: Segment) -> None:
    """Raise `ValueError` unless the rows and payloads of a file are those that were written."""
    with opened_tensors(segment.path) as file:
        for name in ("patterns", "lines", "ends"):
            file.check(name, getattr(segment.content, name))


def as_rows(patterns: ArrayLike, like: Part | None) -> tuple[Num[np.ndarray, "n D"], bool]:
    """Patterns in the dtype of a store's, and whether all entries are ±1; `like`: where others lie already.

    Raises `ValueError` for what the store can't hold.
    """
    rows: np.ndarray
    if isinstance(patterns, np.memmap):
        rows = patterns
        check_dtype("patterns", rows.dtype)
        if like is not None and rows.dtype != like.dtype:
            hint = f"write it anew as {like.dtype}"
            raise ValueError(f"patterns must have the store's dtype, {like.dtype}; got {rows.dtype} ({hint})")
    else:
        rows = np.asarray(checks.in_memory(checks.as_array("patterns", patterns, "n D")))
    check_dtype("patterns", rows.dtype)
    if rows.ndim != 2 or 0 in rows.shape or (like is not None and rows.shape[1] != like.shape[1]):
        width = "D" if like is None else like.shape[1]
        raise ValueError(f"patterns must be (n, {width}); got shape {rows.shape}")
    ones, finite = _entries(rows)
    if not finite:
        raise ValueError("patterns must be finite; got NaN or infinity")
    if like is None:
        narrow = ones and rows.dtype.kind in "iu" and not isinstance(rows, np.memmap)
        return (rows.astype(np.int8) if narrow else rows), ones
    with np.errstate(over="ignore"):
        cast = rows.astype(like.dtype, copy=False)
    if not (np.array_equal(cast, rows) if like.dtype.kind in "iu" else _entries(cast)[1]):
        raise ValueError(f"patterns must be numbers that the store's dtype {like.dtype} holds; got others")
    return cast, ones


def as_lines(payloads: Sequence[Any] | None, count: int) -> list[bytes]:
    """A line of JSON for each payload, empty for None; raises `ValueError` for others, or another number."""
    if payloads is None:
        return [b""] * count
    listed = payloads.tolist() if isinstance(payloads, np.ndarray) else payloads
    if isinstance(listed, str | bytes) or not isinstance(listed, Sequence):
        got = type(payloads).__name__
        raise ValueError(f"payloads must be a list of what JSON holds, one for each pattern; got {got}")
    if len(listed) != count:
        raise ValueError(f"payloads must be as many as the patterns, {count}; got {len(listed)}")
    return [_as_line(i, payload) for i, payload in enumerate(listed)]


def _as_line(i, payload):
    if payload is None:
        return b""
    try:
        return json.dumps(payload, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise ValueError(f"payloads must be what JSON holds; got {payload!r:.60} at {i} ({error})") from None


def _entries(rows: np.ndarray) -> tuple[bool, bool]:
    """Whether all entries are ±1, and whether all are finite, some rows at a time."""
    ones = finite = True
    step = max(1, 2**20 // rows.shape[1])
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        ones = ones and bool((np.abs(block) == 1).all())
        finite = finite and bool(np.isfinite(block).all())
    return ones, finite


def _each(blocks_of: Callable, pairs: Iterable) -> Iterator[np.ndarray]:
    for content, keep in pairs:
        yield from blocks_of(content, keep)


def _kept_rows(content, keep):
    step = max(1, _BLOCK_BYTES // max(1, content.patterns.nbytes // max(1, len(keep))))
    for start in range(0, len(keep), step):
        yield content.patterns[start : start + step][keep[start : start + step]]


def _kept_lines(content, keep):
    step = max(1, _BLOCK_BYTES // max(1, content.lines.nbytes // max(1, len(keep))))
    for start in range(0, len(keep) if content.lines.nbytes else 0, step):
        ends = content.ends[start : start + step]
        begin = int(content.ends[start - 1]) if start else 0
        lengths = np.diff(ends, prepend=begin)
        yield content.lines[begin : int(ends[-1])][np.repeat(keep[start : start + step], lengths)]
