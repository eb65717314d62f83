"""Faces from ``fer2013.csv``, the form in which FER2013 was published and Kaggle distributes it."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.data.csv_pixels import BLOCK_ROWS, decode_pixels
from fer_features.data.csv_rows import PIXELS, VALUES, RowError, Table
from fer_features.data.faces import IMAGE_SIZE, BadRow, FaceIndex, Faces
from fer_features.data.labels import IGNORED, Labels
from fer_features.data.unpack import Member, file_errors, find_member, open_csv
from fer_features.errors import FerError
from fer_features.runtime.text import plain_text

_LOOK_AHEAD = 200  # rows that are checked for the same fault as the first
_LONGEST_LINE = 1 << 20  # bytes; a row of FER2013 has at most 9.3 kB


class CsvFaces:
    """The rows of a ``fer2013.csv``: plain, or in a ``.gz``, ``.xz``, ``.zip`` or ``.tar``.

    Columns ``emotion`` (0 to 6 or names, see `Labels`), ``pixels`` (2,304 grey levels from 0 to 255
    with blanks between) and optionally ``Usage``, in any order and case; other columns are not
    read. See `find_member` for archives with several CSV files.

    `index` reads the file once without decoding pixels; `read` reads it again and decodes the
    requested rows. Memory grows by some 40 bytes a row.

    Args:
        path: the file.
        skip_bad: let `index` decode every row and leave the bad ones out.
        ignore: labels whose rows are left out.
        classes: the emotion that other labels count as, by label.

    Raises:
        FerError: `ignore` and `classes` contradict each other, or name no emotion.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        skip_bad: bool = False,
        ignore: Sequence[str] = (),
        classes: Mapping[str, str] | None = None,
    ) -> None:
        self._path = Path(path)
        self._skip_bad = skip_bad
        self._labels = Labels(ignore, classes)

    @property
    def name(self) -> str:
        """The file's name, with unprintable characters escaped."""
        return plain_text(self._path.name)

    def digest(self) -> str:
        """Hex SHA-256 of the unpacked text, combined with `ignore` and `classes` if given.

        Raises:
            FerError: the file cannot be used.
        """
        return self._scanned[1]

    def index(self) -> FaceIndex:
        """Labels and row numbers of all usable rows; reads the file at the first call only.

        Each row's number of fields, emotion, number of pixels and usage are checked; with
        ``skip_bad`` also every pixel. Blank lines are not rows.

        Raises:
            FerError: the file cannot be used, or, without ``skip_bad``, a row of it cannot.
        """
        return self._scanned[0]

    def read(self, rows: NDArray[np.int64], *, batch_size: int = 1024) -> Iterator[Faces]:
        """Decode `rows` (ascending row numbers of `index`), `batch_size` at a time.

        Raises:
            FerError: a row is not in the index or has a pixel that is no whole number from 0 to
                255, the batch size is below 1, or the file has changed since it was indexed.
        """
        return self._decode(self.index().batches(rows, batch_size=batch_size, name=self.name))

    def _decode(self, batches: list[NDArray[np.int64]]) -> Iterator[Faces]:
        index, _, stat = self._scanned
        if self._stat() != stat:
            raise FerError(f"{self.name} has changed since it was indexed", hint="open it again")
        lines = self._lines()
        table = Table(next(lines)[1], self._labels, name=self.name)
        next_row = 0
        for places in batches:
            texts, numbers = [], []
            for row in index.row[places].tolist():
                number, line = next(islice(lines, row - next_row, None), (0, b""))
                next_row = row + 1
                texts.append(table.pixels(line))
                numbers.append(number)
            images = np.empty((len(places), PIXELS), np.uint8)
            wrong = decode_pixels(texts, images)
            for at, reason in wrong.items():
                error = RowError(reason, remedy=VALUES)
                alike = places[0] == 0 and len(wrong) == len(places)
                raise self._row_error(int(index.row[places[at]]), numbers[at], error, alike=alike)
            yield index.faces(places, images.reshape(-1, IMAGE_SIZE, IMAGE_SIZE))

    @cached_property
    def _scanned(self) -> tuple[FaceIndex, str, tuple[int, int]]:
        """The index, the digest, and the file's size and time of change."""
        stat, hasher = self._stat(), hashlib.sha256()
        lines = self._lines(hasher)
        header = next(lines, None)
        if header is None:
            raise FerError(f"{self.name} is empty")
        table = Table(header[1], self._labels, name=self.name)
        found = array("q")  # three numbers a row; a list of tuples would take five times the memory
        bad: dict[int, RowError] = {}
        unchecked: dict[int, bytes] = {}
        for row, (number, line) in enumerate(lines):
            try:
                emotion, usage, pixels = table.parse(line)
            except RowError as error:
                if not self._skip_bad:
                    rest = (table.fault(one) for _, one in islice(lines, _LOOK_AHEAD))
                    alike = row == 0 and all(remedy == error.remedy for remedy in rest)
                    raise self._row_error(row, number, error, alike=alike) from None
                bad[row] = error
                continue
            found.extend((row, emotion, usage))
            if self._skip_bad and emotion != IGNORED:
                unchecked[row] = pixels
                if len(unchecked) == BLOCK_ROWS:
                    _check_pixels(unchecked, bad)
        _check_pixels(unchecked, bad)
        rows = np.array(found, np.int64).reshape(-1, 3)
        return self._index(rows, bad, table), self._labels.digest(hasher.hexdigest()), stat

    def _index(self, rows: NDArray[np.int64], bad: dict[int, RowError], table: Table) -> FaceIndex:
        """The index of `rows`, int64 (N, 3), without those that are bad or ignored."""
        ignored = rows[:, 1] == IGNORED
        usable = rows[~ignored & ~np.isin(rows[:, 0], list(bad))].T.copy()
        if not usable.size:
            raise self._no_rows(int(ignored.sum()), bad)
        return FaceIndex(
            row=usable[0],
            emotion=usable[1].astype(np.int8),
            usage=usable[2].astype(np.int8),
            bad=tuple(BadRow(row, str(error)) for row, error in sorted(bad.items())),
            notes=self._labels.notes(table.counts(), source=self.name, unit="rows"),
            ignored=int(ignored.sum()),
        )

    def _no_rows(self, ignored: int, bad: dict[int, RowError]) -> FerError:
        if bad:
            row, remedies = min(bad), {error.remedy for error in bad.values()}
            return FerError(
                f"{self.name} has no usable row; row {row}: {bad[row]}",
                hint=remedies.pop() if len(remedies) == 1 else "",
            )
        if ignored:
            return FerError(f"{self.name}: all {ignored:,} rows are left out by --ignore")
        return FerError(f"{self.name} has a header and no rows")

    def _lines(self, hasher: Any = None) -> Iterator[tuple[int, bytes]]:
        """Lines that are not blank, with their numbers from 1; `hasher` is updated with all."""
        with open_csv(self._path, self._member) as file:
            for number in count(1):
                line = file.readline(_LONGEST_LINE)
                if not line:
                    return
                if hasher is not None:
                    hasher.update(line)
                if len(line) == _LONGEST_LINE:
                    raise FerError(
                        f"{self.name} is no table of faces: line {number} has more than "
                        f"{len(line)} bytes"
                    )
                if not line.isspace():
                    yield number, line

    def _row_error(self, row: int, line: int, error: RowError, *, alike: bool) -> FerError:
        """The error for a bad row; `alike` if the rows after it have the same fault."""
        more = "; so are the rows after it" if alike else ""
        skip = "fix it, or leave bad rows out: --skip-bad"
        hint = f"{error.hint}; or skip all bad rows: --skip-bad" if error.hint else skip
        return FerError(
            f"{self.name}, row {row} (line {line}): {error}{more}",
            hint=error.remedy if alike else hint,
        )

    @cached_property
    def _member(self) -> Member:
        return find_member(self._path)

    def _stat(self) -> tuple[int, int]:
        with file_errors(self._path):
            stat = self._path.stat()
        return stat.st_size, stat.st_mtime_ns


def _check_pixels(unchecked: dict[int, bytes], bad: dict[int, RowError]) -> None:
    """Decode the pixels of rows, by row number; move the rows that cannot be decoded to `bad`."""
    rows = list(unchecked)
    images = np.empty((len(rows), PIXELS), np.uint8)
    for place, reason in decode_pixels(list(unchecked.values()), images).items():
        bad[rows[place]] = RowError(reason, remedy=VALUES)
    unchecked.clear()
