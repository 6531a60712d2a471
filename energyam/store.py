"""Patterns in a folder that can grow and shrink, each with an id and an optional payload."""

import json
import math
import os
import weakref
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Int

from energyam import checks
from energyam.files import as_path, remove_leftovers, reserved
from energyam.memories.rows import as_whole
from energyam.memories.search import Table
from energyam.memories.similarity import AbstractSimilarity, Dot
from energyam.on_disk import OnDisk, Opened
from energyam.row_files import RowsInFiles, Versions
from energyam.segments import (
    Content,
    Segment,
    as_lines,
    as_rows,
    check_whole,
    deleted_rows,
    merged,
    paths_of,
    places_of,
    read_segment,
    write_segment,
)
from energyam.shown import counted

_MERGED_BYTES = 2**26  # a write joins the smaller ones before it, as far as their files are no larger


class Store:
    """Patterns (K, D) in a folder, to which you can add patterns and from which you can delete them.

        store = eam.Store("notes")
        ids = store.append(embeddings, payloads=[{"title": "…"}, …])
        found = eam.nearest(store, query, 5)
        store.payloads(store.ids[found.indices])

    Each pattern has a number, its id, which never changes: 0 for the first one that was ever appended, and so
    on. Its payload is anything that JSON can hold, or None.

    When `append`, `delete` or `compact` returns, its work is on the disk and survives a crash of the program;
    an unfinished write leaves nothing behind. Only one program at a time can write to a store: from its first
    write on it locks out others, until `close` or until it ends in any way. Other programs may read
    meanwhile, and see the store as it was when they opened it.

    `patterns` stands for the rows in any memory, as `OnDisk` does, and `energyam.nearest` searches the store
    itself. Neither the search nor a `KeyValueMemory` with a `capacity` compiles anew for each write. Later
    writes don't change a memory that was made before.

    **Arguments:** `folder`: a store, an empty folder, or one that does not exist yet; `similarity`: how
    `energyam.nearest` compares. Raises `ValueError` for a folder of other files, or with a file that is
    damaged or missing.

        >>> store = eam.Store("notes")
        >>> ids = store.append(np.eye(3, dtype=np.float32), payloads=["tea", "jam", "bread"])
        >>> found = eam.nearest(store, np.array([0.1, 0.9, 0.0], np.float32), 1)
        >>> store.payloads(store.ids[np.asarray(found.indices)])
        ['jam']
    """

    def __init__(self, folder: str | os.PathLike, similarity: AbstractSimilarity = Dot()):  # noqa: B008
        self.folder = as_path(folder, "folder")
        self.similarity = checks.instance("similarity", similarity, AbstractSimilarity)
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"folder must be a folder; got {str(folder)!r}, which is a file")
        self._versions, self._number = Versions(), 0
        self._version: Any = None
        self._lock: weakref.finalize | None = None  # what lets others write, while this one does
        self._take(_segments_in(self.folder))

    def __repr__(self) -> str:
        files = counted(len(self._segments), "file")
        return f"Store({str(self.folder)!r}: {len(self):,} patterns in {files})"

    def __len__(self) -> int:
        return sum(part.num_rows for part in self._parts)

    @property
    def ids(self) -> Int[np.ndarray, " K"]:
        """The numbers of the patterns, in the order of the rows: rising."""
        each = zip(self._segments, self._parts, strict=True)
        ids = [s.content.ids if part.kept is None else s.content.ids[part.kept] for s, part in each]
        return np.concatenate([np.empty(0, np.int64), *ids])

    @property
    def patterns(self) -> OnDisk:
        """The rows (K, D) as they are now, for a memory. Raises `ValueError` where there are none."""
        if not len(self):
            raise ValueError(f"store must not be empty to be read; got no patterns in {self.folder}")
        states, leaf = self._versions.states, self._version
        if int(leaf) not in states:
            parts = [part for part in self._parts if part.num_rows]
            rows = states[int(leaf)] = RowsInFiles(parts, parts[0].shape[1], parts[0].dtype)
            rows.passed |= {"finite", *(["ones"] if all(s.content.ones for s in self._segments) else [])}
            weakref.finalize(leaf, states.pop, int(leaf), None)
        part = self._parts[0]
        return OnDisk(Opened(self._versions, (len(self), part.shape[1]), part.dtype, leaf))

    def tables(self) -> tuple[Table, ...]:
        """The patterns, for `energyam.nearest`, with room for an eighth more, so that it rarely compiles."""
        step = 1 << max(0, len(self).bit_length() - 4)
        rows = self.patterns.padded(step * math.ceil(len(self) / step))
        patterns: Any = rows
        return (Table(patterns, self.similarity, None, checks.sent(len(self))),)

    def append(self, patterns: ArrayLike, payloads: Sequence[Any] | None = None) -> Int[np.ndarray, " n"]:
        """Add patterns (n, D), and return their ids (n,).

        The first ones decide D and the dtype: whole numbers that are all ±1 become int8. Later ones take
        that dtype, save that an `np.memmap` must have it. `payloads`: n values that JSON holds (None for
        none), such as texts, dictionaries or numbers of rows elsewhere.

        Raises `ValueError` for others, and while another program writes; `OSError` if the disk is full. The
        store is then unchanged.
        """
        self._open_to_write()
        rows, ones = as_rows(patterns, self._parts[0] if self._parts else None)
        lines = as_lines(payloads, len(rows))
        ends = np.cumsum([len(line) for line in lines], dtype=np.int64)
        start = self._next_id
        ids = np.arange(start, start + len(rows))
        text = np.frombuffer(b"".join(lines), np.uint8)
        self._write(Content(rows, ids, text, ends, ids[:0], start + len(rows), ones))
        return ids

    def delete(self, ids: ArrayLike | Sequence[int]) -> None:
        """Delete the patterns of some ids, with their payloads; the other ids stay.

        The bytes stay in their file until `compact`, or until a later write joins it with another. Raises
        `ValueError` for ids that the store doesn't have or that are already deleted, and as `append` does.
        """
        self._open_to_write()
        gone = np.unique(self._found(ids)[0])
        if gone.size:
            rows = np.empty((0, self._parts[0].shape[1]), self._parts[0].dtype)
            none = np.empty(0, np.int64)
            self._write(Content(rows, none, np.empty(0, np.uint8), none, gone, self._next_id, True))

    def compact(self) -> None:
        """Replace all files by one without the deleted patterns, after a check that none is damaged.

        The disk needs room for the new file beside the old ones. Raises `ValueError` for damaged files, and
        as `append` does.
        """
        self._open_to_write()
        if len(self._segments) > 1:
            self._replace(self._segments, [], self._segments[-1].last)

    def payloads(self, ids: ArrayLike | Sequence[int]) -> Any:
        """The payload of an id, or the list of those of many, nested as the ids (*batch, k) are.

        Raises `ValueError` for ids that the store doesn't have, or that are deleted.
        """
        wanted, which, places = self._found(ids)
        answers = np.empty(len(wanted), object)
        for i, (segment, place) in enumerate(zip(which, places, strict=True)):
            self._segments[segment].check_length()
            content = self._segments[segment].content
            begin, end = int(content.ends[place - 1]) if place else 0, int(content.ends[place])
            answers[i] = json.loads(bytes(content.lines[begin:end])) if end > begin else None
        return answers.reshape(np.shape(ids)).tolist()

    def close(self) -> None:
        """Let other programs write. This store can still be read."""
        if self._lock is not None:
            self._lock()
        self._lock = None

    @property
    def _next_id(self):
        return self._segments[-1].content.next_id if self._segments else 0

    def _open_to_write(self):
        """Keep other writers out, and take what they have written."""
        if self._lock is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        held = ExitStack()
        held.enter_context(reserved(self.folder / "store", "folder"))
        self._lock = weakref.finalize(self, held.close)
        remove_leftovers(self.folder)
        self._take(_segments_in(self.folder))

    def _write(self, new):
        """Write what is new, joined with the smaller writes before it: of n rows there are log n files."""
        joined: list[Segment] = []
        size = new.size
        for segment in reversed(self._segments):
            if segment.content.size > size or segment.content.nbytes > _MERGED_BYTES:
                break
            joined, size = [segment, *joined], size + segment.content.size
        last = self._segments[-1].last if self._segments else -1
        self._replace(joined, [new], last + 1)

    def _replace(self, segments, new, last):
        for segment in segments:
            check_whole(segment)
        first = segments[0].first if segments else last
        contents = [*(segment.content for segment in segments), *new]
        content = merged(contents, first == 0) if segments else contents[0]
        written = write_segment(self.folder, first, last, content)
        self._take([*self._segments[: len(self._segments) - len(segments)], written])
        for path in paths_of(self.folder)[1]:
            with suppress(OSError):  # the next write tries again
                os.unlink(path)

    def _take(self, segments: list[Segment]):
        """Make these files the state of the store."""
        self._segments, self._number = segments, self._number + 1
        self._earlier = self._version  # whose rows a search that is still running may need
        self._version = checks.sent(self._number)
        self._parts = []
        gone = deleted_rows([segment.content for segment in segments]) if segments else []
        for segment, rows in zip(segments, gone, strict=True):
            kept = np.delete(np.arange(len(segment.content.ids)), rows) if len(rows) else None
            self._parts.append(segment.part._replace(kept=kept))

    def _found(self, ids):
        """The ids as one array, and for each its file and its place there."""
        wanted = as_whole("ids", ids).reshape(-1)
        which, places = np.full(wanted.shape, -1), np.zeros(wanted.shape, np.int64)
        for i, (segment, part) in enumerate(zip(self._segments, self._parts, strict=True)):
            at, rows = places_of(segment.content.ids, wanted)
            if part.kept is not None:
                there = places_of(part.kept, rows)[0]
                at, rows = at[there], rows[there]
            which[at], places[at] = i, rows
        if (which < 0).any():
            first = int(wanted[which < 0][0])
            known = "one that was deleted" if 0 <= first < self._next_id else "one that never was there"
            raise ValueError(f"ids must be of patterns in the store; got {first}, {known}")
        return wanted, which, places


def _segments_in(folder: Path) -> list[Segment]:
    """The files of a store. A writer may replace some while they are listed: then they are listed anew."""
    for attempt in range(10):
        try:
            paths = paths_of(folder)[0]
            if not paths and folder.is_dir() and any(p.name[0] != "." for p in folder.iterdir()):
                raise ValueError(f"folder must be a store's, or empty; got {folder}, which has other files")
            return [read_segment(path) for path in paths]
        except FileNotFoundError:
            if attempt == 9:
                raise
    return []
