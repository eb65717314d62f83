"""The journal: the file to which an extraction appends what it has computed, batch after batch.

A journal is only ever appended to, and each record carries its own SHA-256. Whatever ends the
writing (a kill, a power cut, a full disk), the records before that moment are intact, and an
incomplete one at the end is recognised. `fer_features.cache.writer` merges a journal into a cache.

A record is a frame (magic, length of the description, length of the arrays, SHA-256 of both), a
description in JSON, and the arrays' bytes. The first record says what the journal belongs to, the
others hold a batch each: the fields of `Rows`, and columns of the cache, by name.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fer_features.cache.cache import OpenFile
from fer_features.cache.format import parallel, to_json
from fer_features.cache.record import ROW_DTYPES, Header, Rows, RowSelection
from fer_features.errors import UPDATE, FerError

JOURNAL_VERSION = 2
SYNC_EVERY_S = 10.0
"""A power cut costs at most about this much work."""

_FRAME = struct.Struct("<4sIQ32s")
_MAGIC = b"FERj"


class JournalWriter(OpenFile):
    """A new journal, open for appending; use it as a context manager.

    Leaving the block keeps what was written, even after an exception.

    Args:
        path: the file; an existing one is replaced.
        header: the cache that the journal belongs to.
        selection: the rows and features that were requested.
        software: versions, engine and device.

    Raises:
        FerError: it cannot be written.
    """

    def __init__(
        self, path: Path, *, header: Header, selection: RowSelection, software: dict[str, str]
    ) -> None:
        self.path = path
        try:
            self._file: BinaryIO = path.open("wb", buffering=0)
        except OSError as error:
            raise FerError(f"{path} cannot be written: {error.strerror or error}") from error
        self._synced = time.monotonic()
        about = {"version": JOURNAL_VERSION, "header": asdict(header), "software": software}
        self._append({"rows": selection.rows}, about | {"selection": selection.to_dict()})

    def append(self, rows: Rows, columns: Mapping[str, NDArray[Any]]) -> None:
        """Append a batch: columns of the cache by name, each (len(rows), ...).

        Raises:
            FerError: the disk is full.
        """
        self._append({**vars(rows), **columns}, {})
        if time.monotonic() - self._synced > SYNC_EVERY_S:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def _append(self, arrays: Mapping[str, NDArray[Any]], about: dict[str, Any]) -> None:
        listed = [[name, array.dtype.str, array.shape] for name, array in arrays.items()]
        payload = [np.ascontiguousarray(one).reshape(-1).view("u1").data for one in arrays.values()]
        parts = [memoryview(to_json({**about, "arrays": listed}).encode()), *payload]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        n = sum(map(len, payload))
        try:
            frame = _FRAME.pack(_MAGIC, len(parts[0]), n, digest.digest())
            for part in (memoryview(frame), *parts):
                _write_all(self._file, part)
        except OSError as error:
            raise FerError(
                f"{self.path} cannot be written: {error.strerror or error}",
                hint="what was computed before is kept; make room, and the same command resumes",
            ) from error


def _write_all(file: BinaryIO, part: memoryview) -> None:
    """Write every byte: an unbuffered file may take fewer than it is given."""
    while part:
        part = part[file.write(part) :]


class Journal(OpenFile):
    """A journal, open for reading; use it as a context manager.

    Args:
        path: the file.

    Attributes:
        torn: whether records at the end are incomplete or damaged, and left out.
        header: the cache that it belongs to; None if not even the first record is intact.
        selection: the rows and features that were requested.
        software: versions, engine and device.
        rows: metadata of all rows of its batches.
        columns: shape of one row and dtype of each column that it holds.

    Raises:
        FerError: it is of another version.
    """

    header: Header | None = None
    selection: RowSelection
    software: dict[str, str]

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        self.rows = Rows.concatenate([])
        self.columns: dict[str, tuple[tuple[int, ...], str]] = {}
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        frames = list(self._frames())
        intact = parallel(functools.partial(_is_intact, self.path), frames)
        whole = [
            frame for frame, _ in takewhile(lambda one: one[1], zip(frames, intact, strict=True))
        ]
        size = os.fstat(self._file.fileno()).st_size
        self.torn = not whole or whole[-1].end < size
        if not whole:
            return
        about, arrays = self._describe(whole[0])
        if about["version"] != JOURNAL_VERSION:
            newer = about["version"] > JOURNAL_VERSION
            raise FerError(
                f"{self.path}: journal format {about['version']}, not {JOURNAL_VERSION}",
                hint=UPDATE
                if newer
                else "finish that extraction with the version that began it; or move the file "
                "away, and what it holds is computed again",
            )
        self.header, self.software = Header(**about["header"]), about["software"]
        self.selection = RowSelection.from_dict(about["selection"], self._load(arrays["rows"]))
        self._batches = [self._describe(frame)[1] for frame in whole[1:]]
        self.rows = Rows.concatenate(
            [Rows(**{name: self._load(one[name]) for name in ROW_DTYPES}) for one in self._batches]
        )
        self._starts = np.cumsum([0, *(one["source_row"].shape[0] for one in self._batches)])
        if self._batches:
            self.columns = {
                name: (array.shape[1:], array.dtype)
                for name, array in self._batches[0].items()
                if name not in ROW_DTYPES
            }

    def _frames(self) -> Iterator[_Frame]:
        """Where records seem to be; their contents have not been checked."""
        size, start = os.fstat(self._file.fileno()).st_size, 0
        while start + _FRAME.size <= size:
            self._file.seek(start)
            magic, about, payload, digest = _FRAME.unpack(self._file.read(_FRAME.size))
            frame = _Frame(
                start + _FRAME.size, about, start + _FRAME.size + about + payload, digest
            )
            if magic != _MAGIC or frame.end > size:
                return
            yield frame
            start = frame.end

    def _describe(self, frame: _Frame) -> tuple[dict[str, Any], dict[str, _Array]]:
        """A record's description, and where its arrays are."""
        self._file.seek(frame.start)
        about = json.loads(self._file.read(frame.about))
        start, arrays = frame.start + frame.about, {}
        for name, dtype, shape in about.get("arrays", ()):
            arrays[name] = _Array(start, dtype, tuple(shape))
            start += arrays[name].row_bytes * shape[0]
        return about, arrays

    def _load(self, array: _Array, first: int = 0, last: int | None = None) -> NDArray[Any]:
        """Rows `first` to `last` of an array."""
        last = array.shape[0] if last is None else last
        self._file.seek(array.start + first * array.row_bytes)
        content = self._file.read((last - first) * array.row_bytes)
        return np.frombuffer(content, array.dtype).reshape(last - first, *array.shape[1:])

    def gather(self, column: str, places: NDArray[np.int64]) -> NDArray[Any]:
        """Rows of a column at ascending indices into `rows`."""
        parts = []
        batch = np.searchsorted(self._starts, places, side="right") - 1
        for number in np.unique(batch).tolist():
            at = places[batch == number] - self._starts[number]
            part = self._load(self._batches[number][column], int(at[0]), int(at[-1]) + 1)
            parts.append(part[at - at[0]])
        return np.concatenate(parts)


@dataclass(frozen=True)
class _Frame:
    """A record: where it starts and ends, the length of its description, and its SHA-256."""

    start: int
    about: int
    end: int
    digest: bytes


@dataclass(frozen=True)
class _Array:
    """An array of a record: where it starts, its dtype and shape."""

    start: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        return row_bytes(self.shape[1:], self.dtype)


def row_bytes(shape: tuple[int, ...], dtype: str) -> int:
    """Bytes of one row of a column."""
    return math.prod(shape) * np.dtype(dtype).itemsize


def _is_intact(path: Path, frame: _Frame) -> bool:
    with path.open("rb") as file:
        file.seek(frame.start)
        return hashlib.sha256(file.read(frame.end - frame.start)).digest() == frame.digest
