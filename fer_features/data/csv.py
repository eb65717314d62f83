"""Faces out of ``fer2013.csv``, the form in which FER2013 was published and Kaggle hands it out."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_features.data.batches import find_places, in_batches, make_faces
from fer_features.data.csv_bad import PIXEL_VALUES, BadRows, all_alike, bad_row
from fer_features.data.csv_file import (
    Packing,
    find_packing,
    open_unpacked,
    translated_errors,
)
from fer_features.data.csv_labels import IGNORED, Labels, RowError
from fer_features.data.csv_row import bare, read_header
from fer_features.data.pixel_text import PixelDecoder
from fer_features.data.record import IMAGE_SIZE, FaceIndex, Faces
from fer_features.errors import FerError
from fer_features.runtime.text import plain_text

_PIXELS = IMAGE_SIZE * IMAGE_SIZE
_LOOK_AHEAD = 200  # rows, to see whether a fault is one of all rows
_LONGEST_LINE = 1 << 20  # a row of FER2013 has at most 9.3 kB


class Digest(Protocol):
    """A hash that is told of bytes as they come."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""


class CsvFaces:
    """The rows of a ``fer2013.csv``: plain, or in a ``.gz``, ``.xz``, ``.zip`` or ``.tar``.

    Columns ``emotion`` (0 to 6 or names, see `Labels`), ``pixels`` (2,304 grey levels from 0 to 255
    with blanks between) and, if there is one, ``Usage``, in any order and case; other columns are
    not looked at. Of an archive with several CSV files, ``fer2013.csv`` is taken, or else
    ``icml_face_data.csv``. A ``.tar`` may itself be packed as ``.gz`` or ``.xz``.

    `index` reads the file once without decoding pixels; `read` decodes the rows asked for. In a
    plain file it goes straight to them; a packed one is unpacked again from its start. Memory does
    not grow with the file, but for some 80 bytes a row.

    Args:
        path: the file.
        skip_bad: let `index` decode every row and leave the bad ones out.
        ignore: labels whose rows are left out.
        classes: for other labels the emotion that they count as.

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
        """The file's name, with what cannot be printed as escapes."""
        return plain_text(self._path.name)

    def digest(self) -> str:
        """Hex SHA-256 of the text, however it is packed; found while the file is indexed.

        It is another one where `ignore` or `classes` changes a row.

        Raises:
            FerError: the file cannot be used.
        """
        return self._table.digest

    def index(self) -> FaceIndex:
        """Labels and row numbers of all usable rows; reads the file at the first call only.

        Checked for each row: the number of fields, the emotion, the number of pixels, the usage;
        with ``skip_bad`` also every pixel. Blank lines are not rows.

        Raises:
            FerError: the file cannot be used, or, without ``skip_bad``, a row of it cannot.
        """
        return self._table.index

    def read(self, rows: NDArray[np.int64], *, batch_size: int = 1024) -> Iterator[Faces]:
        """Decode `rows` (ascending row numbers out of `index`), `batch_size` at a time.

        Raises:
            FerError: a row is not in the index or has a pixel that is no whole number from 0 to
                255, the batch size is below 1, or the file has changed since it was indexed.
        """
        places = find_places(self.index(), rows, name=self.name)
        return self._decode(in_batches(places, batch_size=batch_size, name=self.name), places)

    def _decode(
        self, batches: Iterator[NDArray[np.int64]], places: NDArray[np.int64]
    ) -> Iterator[Faces]:
        table = self._table
        decoder = PixelDecoder(_PIXELS)
        with closing(_fields(self._path, table, places)) as fields:
            for batch in batches:
                images = np.empty((len(batch), _PIXELS), np.uint8)
                wrong = decoder.decode(list(islice(fields, len(batch))), images)
                for at, reason in wrong.items():
                    row, line = table.index.row[batch[at]], table.line[batch[at]]
                    every = len(wrong) == len(batch) and batch[0] == places[0]
                    hint = PIXEL_VALUES if every else ""
                    raise bad_row(self._path, row=row, line=line, reason=reason, hint=hint)
                yield make_faces(table.index, batch, images)

    @cached_property
    def _table(self) -> _Table:
        return _scan(self._path, self._labels, skip_bad=self._skip_bad)


@dataclass(frozen=True)
class _Table:
    """A scanned file: its index, and where to find each usable row's pixels again.

    Attributes:
        index: the index.
        packing: how the file is packed.
        stamp: the file's size and time of change when the scan began.
        line: int64 (N,), the row's line, counted from 1.
        start: int64 (N,), the first byte of the row's pixels in the unpacked file.
        stop: int64 (N,), the byte after their last.
        digest: hex SHA-256 of the unpacked file.
    """

    index: FaceIndex
    packing: Packing
    stamp: tuple[int, int]
    line: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    digest: str


def _scan(path: Path, labels: Labels, *, skip_bad: bool) -> _Table:
    """Find and check all rows of a file."""
    stamp, packing = _stamp(path), find_packing(path)
    found = array("q")  # six numbers a row; a list of tuples would take five times the memory
    bad, digest = BadRows(_PIXELS), hashlib.sha256()
    with open_unpacked(path, packing) as file:
        lines = _lines(file, path, digest)
        header = next(lines, None)
        if header is None:
            raise FerError(f"{path.name} is empty")
        form = read_header(header[2], name=path.name)
        for row, (number, offset, line) in enumerate(lines):
            try:
                emotion, usage, start, stop = form.check(line, pixels=_PIXELS, labels=labels)
            except RowError as error:
                if not skip_bad:
                    rest = (text for _, _, text in islice(lines, _LOOK_AHEAD))
                    every = row == 0 and all_alike(rest, form, error, pixels=_PIXELS)
                    reason = f"{error}; so are the rows after it" if every else str(error)
                    hint = error.remedy if every else error.hint
                    raise bad_row(path, row=row, line=number, reason=reason, hint=hint) from None
                bad.add(row, error)
                continue
            if emotion == IGNORED:
                continue
            found.extend((row, emotion, usage, number, offset + start, offset + stop))
            if skip_bad:
                bad.check_pixels(row, bare(line[start:stop]))
    bad.finish()
    table = np.array(found, np.int64).reshape(-1, 6)
    usable = table[~np.isin(table[:, 0], [one.row for one in bad.rows])]
    if len(usable) == 0:
        raise _no_row(path, bad, labels)
    columns = usable.T.copy()
    index = FaceIndex(
        row=columns[0],
        emotion=columns[1].astype(np.int8),
        usage=columns[2].astype(np.int8),
        bad=tuple(bad.rows),
        notes=labels.notes(path.name),
        ignored=labels.ignored,
    )
    places = columns[3:]
    return _Table(
        index=index,
        packing=packing,
        stamp=stamp,
        line=places[0],
        start=places[1],
        stop=places[2],
        digest=labels.digest(digest.hexdigest()),
    )


def _no_row(path: Path, bad: BadRows, labels: Labels) -> FerError:
    if bad.rows:
        first = bad.rows[0]
        return FerError(
            f"{path.name} has no usable row; row {first.row}: {first.reason}", hint=bad.remedy
        )
    if labels.ignored:
        return FerError(f"{path.name}: all {labels.ignored:,} rows are left out by --ignore")
    return FerError(f"{path.name} has a header and no rows")


def _lines(file: BinaryIO, path: Path, digest: Digest) -> Iterator[tuple[int, int, bytes]]:
    """Each line that is not blank: its number from 1, its place in the file, and itself.

    `digest` is told of every line.
    """
    offset = 0
    for number in count(1):
        line = file.readline(_LONGEST_LINE)
        if not line:
            return
        digest.update(line)
        if len(line) == _LONGEST_LINE:
            raise FerError(
                f"{path.name} is no table of faces: line {number} has more than {len(line)} bytes"
            )
        if not line.isspace():
            yield number, offset, line
        offset += len(line)


def _fields(path: Path, table: _Table, places: NDArray[np.int64]) -> Generator[bytes]:
    """The text of the pixels at each of `places`, which ascend."""
    if _stamp(path) != table.stamp:
        raise FerError(f"{path.name} has changed since it was indexed", hint="open it again")
    starts, stops = table.start[places].tolist(), table.stop[places].tolist()
    with open_unpacked(path, table.packing) as file:
        for start, stop in zip(starts, stops, strict=True):
            file.seek(start)  # in a packed file: unpacks what lies between, and drops it
            yield bare(file.read(stop - start))


def _stamp(path: Path) -> tuple[int, int]:
    with translated_errors(path):
        found = path.stat()
    return found.st_size, found.st_mtime_ns
