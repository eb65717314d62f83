"""The journal: the file to which an extraction appends what it has computed, batch after batch.

A journal is only ever appended to, and each record carries its own SHA-256. Whatever ends the
writing (a kill, a power cut, a full disk), the records before that moment are intact, and an
incomplete one at the end is recognised. `fer_features.cache.writer` merges a journal into a cache.

A record is a frame (magic, length, SHA-256) and its content. That of the first is JSON: what the
journal belongs to, and its columns. That of the others is a batch of rows: the columns' arrays, one
after the other.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fer_features.cache.format import OpenFile, parallel, to_json
from fer_features.cache.record import ROW_DTYPES, Columns, Header, Rows, RowSelection
from fer_features.errors import UPDATE, FerError

JOURNAL_VERSION = 2
SYNC_EVERY_S = 10.0
"""A power cut costs at most about this much work."""

_FRAME = struct.Struct("<4sQ32s")
_MAGIC = b"FER2"
_FORMAT_1 = b"FERj"


class JournalWriter(OpenFile):
    """A new journal, open for appending; use it as a context manager.

    Leaving the block keeps what was written, even after an exception.

    Args:
        path: the file; an existing one is replaced.
        header: the cache that the journal belongs to.
        selection: the rows and features that were requested.
        software: versions, engine and device.
        columns: shape of one row and dtype of each column that will be appended.

    Raises:
        FerError: it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        header: Header,
        selection: RowSelection,
        software: dict[str, str],
        columns: Columns,
    ) -> None:
        self.path, self._layout = path, _layout(columns)
        try:
            self._file: BinaryIO = path.open("wb", buffering=0)
        except OSError as error:
            raise FerError(
                f"{path} cannot be written: {error.strerror or error}", hint="name another folder"
            ) from error
        self._synced = time.monotonic()
        about = {
            "version": JOURNAL_VERSION,
            "header": asdict(header),
            "selection": selection.to_dict(),
            "rows": selection.rows.tolist(),
            "software": software,
            "columns": [[name, *spec] for name, spec in columns.items()],
        }
        self._append([memoryview(to_json(about).encode())])

    def append(self, rows: Rows, columns: Mapping[str, NDArray[Any]]) -> None:
        """Append a batch: its rows, and all columns of the journal, each (len(rows), ...).

        Raises:
            FerError: the disk is full.
        """
        arrays = {**vars(rows), **columns}
        parts = [
            arrays[name].astype(self._layout[name].base, copy=False)
            for name in self._layout.names or ()
        ]
        self._append([one.reshape(-1).view("u1").data for one in parts])
        if time.monotonic() - self._synced > SYNC_EVERY_S:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def _append(self, parts: Sequence[memoryview]) -> None:
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        frame = _FRAME.pack(_MAGIC, sum(map(len, parts)), digest.digest())
        try:
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
        header: the cache that it belongs to; with an empty key if its first record is not intact.
        selections: what was requested.
        software: versions, engine and device.
        rows: metadata of all rows of its batches.
        columns: shape of one row and dtype of each column.

    Raises:
        FerError: it is of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = Header({}, {}, "")
        self.selections: tuple[RowSelection, ...] = ()
        self.software: list[dict[str, str]] = []
        self.columns: Columns = {}
        self._file = path.open("rb")
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self.rows)

    def _read(self) -> None:
        frames = self._frames()
        intact = parallel(functools.partial(_is_intact, self.path), frames)
        frames = frames[: (*intact, False).index(False)]
        self.torn = not frames or sum(frames[-1][:2]) < os.fstat(self._file.fileno()).st_size
        if frames:
            self._file.seek(frames[0][0])
            about = json.loads(self._file.read(frames[0][1]))
            if about["version"] != JOURNAL_VERSION:
                version = about["version"]
                raise FerError(f"{self.path}: journal format {version} is newer", hint=UPDATE)
            self.header, self.software = Header(**about["header"]), [about["software"]]
            rows = np.array(about["rows"], np.int64)
            self.selections = (RowSelection.from_dict(about["selection"], rows),)
            self.columns = {name: (tuple(shape), dtype) for name, shape, dtype in about["columns"]}
        self._layout = _layout(self.columns)
        self._batches = [
            (start, length // self._layout.itemsize) for start, length, _ in frames[1:]
        ]
        self._starts = np.cumsum([0, *(n for _, n in self._batches)])
        self.rows = Rows.concatenate(
            [
                Rows(**{name: self._load(name, at, 0, n) for name in ROW_DTYPES})
                for at, (_, n) in enumerate(self._batches)
            ]
        )

    def _frames(self) -> list[tuple[int, int, bytes]]:
        """Start, length and SHA-256 of what seem to be records."""
        size, start = os.fstat(self._file.fileno()).st_size, 0
        frames: list[tuple[int, int, bytes]] = []
        while start + _FRAME.size <= size:
            self._file.seek(start)
            magic, length, digest = _FRAME.unpack(self._file.read(_FRAME.size))
            if magic == _FORMAT_1:
                raise FerError(
                    f"{self.path}: journal format 1, of an earlier version, cannot be read",
                    hint="finish that extraction with the version that began it; or move the file "
                    "away, and what it holds is computed again",
                )
            start += _FRAME.size
            if magic != _MAGIC or start + length > size:
                break
            frames.append((start, length, digest))
            start += length
        return frames

    def _load(self, column: str, batch: int, first: int, last: int) -> NDArray[Any]:
        """Rows `first` to before `last` of a batch."""
        assert self._layout.fields is not None  # noqa: S101  it has the row metadata
        dtype, before = self._layout.fields[column][:2]
        start, n = self._batches[batch]
        self._file.seek(start + n * before + first * dtype.itemsize)
        content = self._file.read((last - first) * dtype.itemsize)
        return np.frombuffer(content, dtype.base).reshape(-1, *dtype.shape)

    def done(self, columns: Sequence[str]) -> NDArray[np.bool_]:
        """Whether a row has all of `columns`: bool (N,)."""
        return np.full(len(self), set(columns) <= set(self.columns))

    def gather(self, column: str, places: NDArray[np.int64]) -> NDArray[Any]:
        """Rows of a column at ascending indices into `rows`."""
        parts = []
        batch = np.searchsorted(self._starts, places, side="right") - 1
        for number in np.unique(batch).tolist():
            at = places[batch == number] - self._starts[number]
            part = self._load(column, number, int(at[0]), int(at[-1]) + 1)
            parts.append(part[at - at[0]])
        return np.concatenate(parts)


def _layout(columns: Columns) -> np.dtype[np.void]:
    """The arrays of a batch, one after the other, with offsets and sizes for one row."""
    fields = [
        *ROW_DTYPES.items(),
        *((name, dtype, shape) for name, (shape, dtype) in columns.items()),
    ]
    return np.dtype(fields)


def row_bytes(columns: Columns) -> int:
    """Bytes of one row in a journal."""
    return _layout(columns).itemsize


def _is_intact(path: Path, frame: tuple[int, int, bytes]) -> bool:
    start, length, digest = frame
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.sha256(file.read(length)).digest() == digest
