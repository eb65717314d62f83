"""The journal: where an extraction writes what it has computed, batch after batch.

Nothing in it is ever changed, only added, and every record carries a SHA-256 of its own. Whatever
ends the writing (a kill, a power cut, a full disk), the records before that moment are whole, and a
torn one at the end is recognised. `fer_features.cache.compact` makes a cache of a journal.

A record is a header (magic, length of the description, length of the payload, SHA-256 of both), a
description in JSON, and the payload: arrays one after the other, as NumPy keeps them. The first
record says what the journal is about.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fer_features.cache.record import (
    ROW_DTYPES,
    Header,
    HoldsFile,
    OutputSpecs,
    Rows,
    RowSelection,
    parallel,
    row_bytes,
    to_json,
)
from fer_features.errors import UPDATE, FerError

JOURNAL_VERSION = 1
SYNC_EVERY_S = 10.0
"""A power cut costs at most about this much work."""

_HEADER = struct.Struct("<4sIQ32s")
_MAGIC = b"FERj"


@dataclass(frozen=True)
class JournalHeader:
    """What a journal is about.

    Attributes:
        header: the cache that it will become part of.
        choice: what was asked for.
        outputs: the features that its records hold.
        software: versions, engine and device.
    """

    header: Header
    choice: RowSelection
    outputs: OutputSpecs
    software: dict[str, str]


@dataclass(frozen=True)
class Record:
    """One batch of a journal.

    Attributes:
        rows: who its rows are.
        computed: bool, which of them it holds features of; the others are copies of images that
            stand before them.
        start: where its features begin in the file, by feature.
    """

    rows: Rows
    computed: NDArray[np.bool_]
    start: dict[str, int]


class JournalWriter(HoldsFile):
    """A new journal, open for adding to; use it as a context manager.

    Leaving the block keeps what was written, whether by an exception or not.

    Args:
        path: the file; one that is there is replaced.
        opening: what it is about.

    Raises:
        FerError: it cannot be written.
    """

    def __init__(self, path: Path, opening: JournalHeader) -> None:
        self.path = path
        self._outputs = opening.outputs
        about = {
            "version": JOURNAL_VERSION,
            "header": asdict(opening.header),
            "choice": opening.choice.to_dict(),
            # a list: the features stand in this order in every record, and JSON objects have none
            "outputs": [[name, *spec] for name, spec in opening.outputs.items()],
            "software": opening.software,
        }
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("wb", buffering=0)
        except OSError as error:
            raise FerError(f"{path} cannot be written: {error.strerror or error}") from error
        self._synced = time.monotonic()
        self._add(about, [opening.choice.rows.astype("<i8")])

    def append(
        self, rows: Rows, computed: NDArray[np.bool_], features: Mapping[str, NDArray[Any]]
    ) -> None:
        """Add a batch.

        Args:
            rows: who its rows are.
            computed: bool (len(rows),), which of them `features` are of.
            features: an array for each output, (computed.sum(), *shape).

        Raises:
            FerError: a feature is not a number, or the disk is full.
        """
        for name, array in features.items():
            _check_finite(name, array, rows.source_row[computed])
        arrays = [getattr(rows, name).astype(dtype) for name, dtype in ROW_DTYPES.items()]
        arrays.append(computed.astype("?"))
        for name, (shape, dtype) in self._outputs.items():
            arrays.append(features[name].astype(dtype, copy=False).reshape(-1, *shape))
        self._add({"rows": len(rows), "images": int(computed.sum())}, arrays)
        if time.monotonic() - self._synced > SYNC_EVERY_S:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def _add(self, about: dict[str, Any], arrays: list[NDArray[Any]]) -> None:
        parts: list[Any] = [to_json(about).encode()]
        parts += [np.ascontiguousarray(one).data for one in arrays]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        sizes = [memoryview(part).nbytes for part in parts]
        head = _HEADER.pack(_MAGIC, sizes[0], sum(sizes[1:]), digest.digest())
        try:
            for part in (head, *parts):
                _write_all(self._file, part)
        except OSError as error:
            raise FerError(
                f"{self.path} cannot be written: {error.strerror or error}",
                hint="what was computed before is kept; make room, and the same command goes on",
            ) from error


class Journal(HoldsFile):
    """A journal, open for reading; use it as a context manager.

    Args:
        path: the file.
        fresh: whether this process has just written it to its end. Its records are then taken for
            whole, and `check` looks at their contents while other work goes on.

    Attributes:
        opening: what it is about; None if the first record is not whole.
        records: its whole records.

    Raises:
        FerError: it is of a newer version, or no journal at all.
    """

    def __init__(self, path: Path, *, fresh: bool = False) -> None:
        self.path = path
        self.opening: JournalHeader | None = None
        self.records: list[Record] = []
        self._unchecked: list[_Place] = []
        self._file = path.open("rb")
        try:
            self._scan(fresh=fresh)
        except BaseException:
            self._file.close()
            raise

    def _scan(self, *, fresh: bool) -> None:
        places = list(self._places())
        if fresh:
            self._unchecked = places
        else:
            whole = zip(places, self._whole(places), strict=True)
            places = [place for place, _ in takewhile(itemgetter(1), whole)]
        if not places:
            return
        about, payload = self._parts(places[0], places[0].n_payload)
        if about["version"] > JOURNAL_VERSION:
            raise FerError(
                f"{self.path}: journal format {about['version']} is newer than this program's "
                f"{JOURNAL_VERSION}",
                hint=UPDATE,
            )
        self.opening = JournalHeader(
            header=Header(**about["header"]),
            choice=RowSelection.from_dict(about["choice"], np.frombuffer(payload, "<i8")),
            outputs={name: (tuple(shape), dtype) for name, shape, dtype in about["outputs"]},
            software=about["software"],
        )
        self.records = [self._record(place, self.opening.outputs) for place in places[1:]]

    def check(self) -> None:
        """Look at the contents of a fresh journal's records.

        Raises:
            FerError: one of them is not what was written.
        """
        if not all(self._whole(self._unchecked)):
            raise FerError(
                f"{self.path} is damaged: it is not what was written",
                hint="the same command takes up what is whole, and goes on; look after the disk",
            )

    def _whole(self, places: list[_Place]) -> list[bool]:
        return parallel(functools.partial(_is_whole, self.path), places)

    def _places(self) -> Iterator[_Place]:
        """Where records seem to stand; their contents have not been looked at."""
        size, start = os.fstat(self._file.fileno()).st_size, 0
        while start + _HEADER.size <= size:
            self._file.seek(start)
            magic, n_about, n_payload, digest = _HEADER.unpack(self._file.read(_HEADER.size))
            start += _HEADER.size
            if magic != _MAGIC or start + n_about + n_payload > size:
                return
            yield _Place(start, n_about, n_payload, digest)
            start += n_about + n_payload

    def _parts(self, place: _Place, n: int) -> tuple[dict[str, Any], bytes]:
        """A record's description, and the first `n` bytes of its payload."""
        self._file.seek(place.start)
        return json.loads(self._file.read(place.n_about)), self._file.read(n)

    def _record(self, place: _Place, outputs: OutputSpecs) -> Record:
        about, _ = self._parts(place, 0)
        fields = {**ROW_DTYPES, "computed": "?"}
        read = {name: self._array(dtype, about["rows"]) for name, dtype in fields.items()}
        computed, start = read.pop("computed"), self._file.tell()
        starts = {}
        for name, (shape, dtype) in outputs.items():
            starts[name] = start
            start += about["images"] * row_bytes(shape, dtype)
        return Record(rows=Rows(**read), computed=computed, start=starts)

    def _array(self, dtype: str, n: int) -> NDArray[Any]:
        return np.frombuffer(self._file.read(n * np.dtype(dtype).itemsize), dtype)

    def read(self, name: str, record: int, first: int, last: int) -> NDArray[Any]:
        """Images `first` to before `last` of a record: one feature, (last - first, *shape)."""
        assert self.opening is not None  # noqa: S101  only a journal with records is read
        shape, dtype = self.opening.outputs[name]
        size = row_bytes(shape, dtype)
        self._file.seek(self.records[record].start[name] + first * size)
        content = self._file.read((last - first) * size)
        return np.frombuffer(content, dtype).reshape(last - first, *shape)


@dataclass(frozen=True)
class _Place:
    """Where a record's description begins in the file, how long its parts are, and their hash."""

    start: int
    n_about: int
    n_payload: int
    digest: bytes


def _is_whole(path: Path, place: _Place) -> bool:
    with path.open("rb") as file:
        file.seek(place.start)
        content = file.read(place.n_about + place.n_payload)
    return hashlib.sha256(content).digest() == place.digest


def _write_all(file: BinaryIO, part: bytes | memoryview) -> None:
    """Write every byte: an unbuffered file may take fewer than it is given."""
    left = memoryview(part).cast("B")
    while left:
        left = left[file.write(left) :]


def _check_finite(name: str, array: NDArray[Any], source_row: NDArray[np.int64]) -> None:
    if _all_finite(array):
        return
    finite = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    row = int(source_row[np.flatnonzero(~finite)[0]])
    raise FerError(
        f"{name} of row {row} is not a number",
        hint="the weights or the preprocessing do not fit the network",
    )


def _all_finite(array: NDArray[Any]) -> bool:
    """Whether every number is one; of float16 by the bits of the exponent, which is much faster."""
    if array.dtype != np.float16:
        return bool(np.isfinite(array).all())
    exponent = np.uint16(0x7C00)
    return not array.size or bool((array.view(np.uint16) & exponent).max() < exponent)
