"""Faces from ``fer2013.csv``, the form in which FER2013 was published and Kaggle distributes it."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fer_features.data.csv_rows import (
    BLOCK_ROWS,
    PIXELS,
    WANTED,
    RowError,
    Table,
    decode_pixels,
)
from fer_features.data.faces import IMAGE_SIZE, BadRow, FaceIndex, Faces, FileSource
from fer_features.data.labels import IGNORED
from fer_features.data.unpack import (
    AGAIN,
    Member,
    file_errors,
    find_member,
    open_csv,
    read_columns,
)
from fer_features.errors import FerError
from fer_features.runtime.text import plain_text

_LOOK_AHEAD = 200  # rows that are checked if the first is bad
_LONGEST_LINE = 1 << 20  # bytes; a row of FER2013 has at most 9.3 kB
_Line = tuple[int, int, bytes]


class CsvFaces(FileSource):
    """The rows of a ``fer2013.csv``: plain, or in a ``.gz``, ``.xz``, ``.zip`` or ``.tar``.

    Columns ``emotion`` (0 to 6 or names, see `Labels`), ``pixels`` (2,304 grey levels from 0 to 255
    with blanks between) and optionally ``Usage``, in any order and case; other columns are not
    read. See `find_member` for archives with several CSV files.

    `index` reads the file once without decoding pixels; `read` decodes the requested rows. A packed
    file is unpacked again for that. Memory grows by some 80 bytes a row.
    """

    @property
    def name(self) -> str:
        """The file's name, with unprintable characters escaped."""
        return plain_text(self._path.name)

    def digest(self) -> str:
        """Hex SHA-256 of the unpacked text, combined with `ignore` and `classes` if given.

        Raises:
            FerError: the file cannot be used.
        """
        return self._scanned.digest

    def index(self) -> FaceIndex:
        """Labels and row numbers of all usable rows; reads the file at the first call only.

        Each row's number of fields, emotion, number of pixels and usage are checked; with
        ``skip_bad`` also every pixel. Blank lines are not rows.

        Raises:
            FerError: the file cannot be used, or, without ``skip_bad``, a row of it cannot.
        """
        return self._scanned.index

    def column(self, name: str) -> list[str]:
        """A column's values by row, in any case of its name; empty where there is none.

        Raises:
            FerError: there is no such column.
        """
        return [one for (one,) in read_columns(self._path, name)]

    def _decode(self, batches: list[NDArray[np.int64]]) -> Iterator[Faces]:
        scan = self._scanned
        if self._version() != scan.version:
            raise FerError(f"{self.name} has changed since it was indexed", hint="open it again")
        with open_csv(self._path, scan.member) as file:
            for places in batches:
                texts = []
                for start, size in scan.pixels[places].tolist():
                    file.seek(start)  # in a packed file, unpacks and drops what is between
                    texts.append(file.read(size).strip())
                images = np.empty((len(places), PIXELS), np.uint8)
                wrong = decode_pixels(texts, images)
                for at, error in wrong.items():
                    row, line = int(scan.index.row[places[at]]), int(scan.line[places[at]])
                    alike = places[0] == 0 and len(wrong) == len(places)
                    raise self._row_error(row, line, error, all_rows=alike)
                yield scan.index.faces(places, images.reshape(-1, IMAGE_SIZE, IMAGE_SIZE))

    @cached_property
    def _scanned(self) -> _Scan:
        version, member, hasher = self._version(), find_member(self._path), hashlib.sha256()
        with open_csv(self._path, member) as file:
            lines = _lines(file, hasher, name=self.name)
            header = next(lines, None)
            if header is None:
                raise FerError(f"{self.name} is empty", hint=AGAIN)
            table = Table(header[2], self._labels, name=self.name)
            found, bad = self._check_rows(lines, table)
        ignored = found[:, 1] == IGNORED
        usable = found[~ignored & ~np.isin(found[:, 0], list(bad))].T.copy()
        if not usable.size:
            raise self._no_rows(int(ignored.sum()), bad)
        index = FaceIndex(
            row=usable[0],
            emotion=usable[1].astype(np.int8),
            usage=usable[2].astype(np.int8),
            bad=tuple(BadRow(row, str(error)) for row, error in sorted(bad.items())),
            notes=self._labels.notes(table.counts(), source=self.name, unit="row"),
            ignored=int(ignored.sum()),
        )
        digest = self._labels.digest(hasher.hexdigest())
        return _Scan(index, digest, version, member, line=usable[3], pixels=usable[4:].T)

    def _check_rows(
        self, lines: Iterator[_Line], table: Table
    ) -> tuple[NDArray[np.int64], dict[int, RowError]]:
        """The good rows, int64 (N, 6), and the bad ones.

        A good row's numbers are its row, emotion, usage, line, and its pixels' offset and length.
        """
        found = array("q")  # six numbers a row; a list of tuples would take five times the memory
        bad: dict[int, RowError] = {}
        texts: dict[int, bytes] = {}
        for row, (number, offset, line) in enumerate(lines):
            try:
                emotion, usage, start, stop = table.parse(line)
            except RowError as error:
                if not self._skip_bad:
                    alike = row == 0 and _all_bad(islice(lines, _LOOK_AHEAD), table)
                    raise self._row_error(row, number, error, all_rows=alike) from None
                bad[row] = error.with_traceback(None)  # its frames hold the row
                continue
            found.extend((row, emotion, usage, number, offset + start, stop - start))
            if self._skip_bad and emotion != IGNORED:
                texts[row] = line[start:stop].strip()
                if len(texts) == BLOCK_ROWS:
                    bad |= _undecodable(texts)
                    texts.clear()
        return np.array(found, np.int64).reshape(-1, 6), bad | _undecodable(texts)

    def _row_error(self, row: int, line: int, error: RowError, *, all_rows: bool) -> FerError:
        hint = error.hint if all_rows else f"{error.hint}; or leave bad rows out: --skip-bad"
        return FerError(f"{self.name}, row {row} (line {line}): {error}", hint=hint)

    def _no_rows(self, ignored: int, bad: dict[int, RowError]) -> FerError:
        if bad:
            row = min(bad)
            text = f"{self.name} has no usable row; row {row}: {bad[row]}"
            return FerError(text, hint=bad[row].hint)
        if ignored:
            return FerError(f"{self.name}: all {ignored:,} rows are left out by --ignore")
        return FerError(f"{self.name} has a header and no rows", hint=AGAIN)

    def _version(self) -> tuple[int, int]:
        with file_errors(self._path):
            stat = self._path.stat()
        return stat.st_size, stat.st_mtime_ns


@dataclass(frozen=True)
class _Scan:
    """An indexed file: its digest and version, and where each usable row stands in it.

    `line` is int64 (N,), from 1; `pixels` is int64 (N, 2), the offset and length of their text.
    """

    index: FaceIndex
    digest: str
    version: tuple[int, int]
    member: Member
    line: NDArray[np.int64]
    pixels: NDArray[np.int64]


def _lines(file: BinaryIO, hasher: Any, *, name: str) -> Iterator[_Line]:
    """Lines that are not blank: number from 1, offset, bytes. `hasher` is updated with all."""
    offset = 0
    for number in count(1):
        line = file.readline(_LONGEST_LINE)
        if not line:
            return
        hasher.update(line)
        if len(line) == _LONGEST_LINE:
            raise FerError(f"{name}: line {number} has more than {len(line)} bytes", hint=WANTED)
        if not line.isspace():
            yield number, offset, line
        offset += len(line)


def _all_bad(lines: Iterable[_Line], table: Table) -> bool:
    for _, _, line in lines:
        with suppress(RowError):
            table.parse(line)
            return False
    return True


def _undecodable(texts: dict[int, bytes]) -> dict[int, RowError]:
    """The rows whose pixels cannot be decoded, of the `texts` of rows by row number."""
    rows = list(texts)
    wrong = decode_pixels(list(texts.values()), np.empty((len(rows), PIXELS), np.uint8))
    return {rows[at]: error for at, error in wrong.items()}
