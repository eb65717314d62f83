"""Faces from Parquet files: pictures or FER2013's pixels in one column, labels in another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.config import EMOTIONS
from fer_features.data.csv_rows import PIXELS, RowError, decode_pixels
from fer_features.data.faces import IMAGE_SIZE, BadRow, FaceIndex
from fer_features.data.labels import IGNORED, ORDER
from fer_features.data.parquet_columns import (
    BAD,
    NUMBER,
    SUFFIX,
    Columns,
    Texts,
    file_version,
    find_columns,
    is_part,
    label_error,
    list_columns,
    open_parquet,
    part_of,
    usage_code,
    usage_error,
)
from fer_features.data.pictures import PictureSource, read_picture
from fer_features.data.unpack import file_errors
from fer_features.errors import FerError
from fer_features.runtime.text import plain_text

TOGETHER = 64
"""Rows of pictures in memory at once, whatever the size of the file's row groups."""

LABELS_TOGETHER = 65_536


@dataclass(frozen=True)
class _Scan:
    """Codes of each row's emotion and usage, int8 (N,); bad rows; and where each file's rows end.

    The emotion of a row that is left out is negative.
    """

    emotion: NDArray[np.int8]
    usage: NDArray[np.int8]
    bad: dict[int, RowError]
    notes: tuple[str, ...]
    stops: list[int]
    versions: list[tuple[int, int]]


class ParquetFaces(PictureSource):
    """The rows of a Parquet file, or of all ``*.parquet`` files in a folder, in their names' order.

    The picture is in the column ``image`` or ``pixels``, or else in the only column that holds
    bytes: picture files (binary, or the struct of ``bytes`` and ``path`` of Hugging Face
    ``datasets``), or 2,304 grey levels as a list or as text. The label is in ``label``, ``labels``
    or ``emotion``: names, or numbers that the metadata of ``datasets`` name; other numbers are
    FER2013's, which a note says. The usage is in ``usage`` or ``split``, or else in the first word
    of the file's name (``train-00000-of-00002.parquet``). Case does not matter.

    Rows are numbered from 0 over all files. A few are in memory at a time.
    """

    @property
    def name(self) -> str:
        """The file's or folder's own name, with unprintable characters escaped."""
        return plain_text(self._path.resolve().name)

    @property
    def has_pictures(self) -> bool:
        """Whether the rows are picture files, not grey levels of cut faces."""
        return self._columns.kind in ("binary", "struct")

    def digest(self) -> str:
        """Hex SHA-256 over the files' usages and contents, with `ignore` and `classes` if given.

        Raises:
            FerError: a file cannot be read.
        """
        content = hashlib.sha256()
        for path in self._files:
            with file_errors(path), path.open("rb") as file:
                inner = hashlib.file_digest(file, "sha256")
            content.update(f"{part_of(path)}\0".encode() + inner.digest())
        return self._labels.digest(content.hexdigest())

    def index_without(self, bad: Mapping[int, str]) -> FaceIndex:
        """The index without some rows; `bad` are the reasons, by row number.

        Raises:
            FerError: a file cannot be read, its columns or labels are not understood, or, without
                ``skip_bad``, a row has no known label or usage.
        """
        scan = self._scan
        if scan.bad and not self._skip_bad:
            with self.errors(min(scan.bad)):
                raise scan.bad[min(scan.bad)]
        bad = dict(sorted({**{row: str(one) for row, one in scan.bad.items()}, **bad}.items()))
        usable = scan.emotion >= 0
        usable[list(bad)] = False
        row = np.flatnonzero(usable).astype(np.int64)
        if not len(row):
            first = next((f"; row {at}: {reason}" for at, reason in bad.items()), "")
            raise FerError(f"{self.name} has no usable row{first}")
        return FaceIndex(
            row=row,
            emotion=scan.emotion[row],
            usage=scan.usage[row],
            bad=tuple(BadRow(*one) for one in bad.items()),
            notes=scan.notes,
            ignored=int((scan.emotion == IGNORED).sum()),
        )

    def file_name(self, row: int) -> str:
        """The name of the row's file, where the source is a folder."""
        place = int(np.searchsorted(self._scan.stops, row, side="right"))
        return plain_text(self._files[place].name) if self._path.is_dir() else ""

    def files(self, rows: NDArray[np.int64]) -> Iterator[Any]:
        """Content of the picture files of `rows`, or their pixels as text or array; b"" if null.

        Raises:
            FerError: a file cannot be read, or has changed since it was indexed.
        """
        first = 0
        column = f"{self._columns.image}.bytes" if self._columns.kind == "struct" else None
        for path, version in zip(self._files, self._scan.versions, strict=True):
            if file_version(path) != version:
                raise FerError(
                    f"{path.name} has changed since it was indexed", hint="open it again"
                )
            with open_parquet(path) as file:
                for group in range(file.num_row_groups):
                    last = first + file.metadata.row_group(group).num_rows
                    wanted = rows[slice(*np.searchsorted(rows, (first, last)))] - first
                    batches = file.iter_batches(
                        TOGETHER,
                        row_groups=[group] if len(wanted) else [],
                        columns=[column or self._columns.image],
                    )
                    yield from self._values(batches, wanted)
                    first = last

    def column(self, name: str) -> list[str]:
        """A column's values as text, in any case of its name; empty where there is none.

        Raises:
            FerError: there is no such column.
        """
        found = [one for one in self._schema.names if one.lower() == name.lower()]
        if len(found) != 1:
            raise FerError(
                f"{self.name} has no column {plain_text(name)}, or more than one",
                hint=f"it has {list_columns(self._schema)}",
            )
        values = []
        for path in self._files:
            with open_parquet(path) as file:
                for batch in file.iter_batches(LABELS_TOGETHER, columns=found):
                    values += ["" if one is None else str(one) for one in batch[0].to_pylist()]
        return values

    def _image(self, file: Any) -> NDArray[np.uint8]:
        if self.has_pictures:
            return read_picture(file)
        if isinstance(file, str):
            pixels = np.empty((1, PIXELS), np.uint8)
            for error in decode_pixels([file.strip().encode()], pixels).values():
                raise error
        else:
            pixels = np.asarray(file)
            if pixels.size != PIXELS:
                raise ValueError(f"{pixels.size} pixels instead of {PIXELS}")
            if pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255:
                raise ValueError("its pixels are not whole numbers from 0 to 255")
        return pixels.astype(np.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE)

    def _values(self, batches: Any, wanted: NDArray[np.int64]) -> Iterator[Any]:
        """The values at `wanted`, places in the batches of one column together."""
        first = 0
        for batch in batches:
            last = first + len(batch)
            for place in wanted[slice(*np.searchsorted(wanted, (first, last)))] - first:
                value = batch[0][int(place)]
                if not value.is_valid:
                    yield b"" if self.has_pictures else np.empty(0, np.uint8)
                elif self._columns.kind == "list":
                    yield value.values.to_numpy(zero_copy_only=False)
                else:
                    content = value.as_py()
                    yield (content["bytes"] or b"") if isinstance(content, dict) else content
            first = last

    @cached_property
    def _files(self) -> list[Path]:
        if not self._path.is_dir():
            return [self._path]
        with file_errors(self._path):
            return sorted(part for part in self._path.iterdir() if is_part(part))

    @cached_property
    def _schema(self) -> Any:
        with open_parquet(self._files[0]) as file:
            return file.schema_arrow

    @cached_property
    def _columns(self) -> Columns:
        return find_columns(self._schema, self.name)

    @cached_property
    def _scan(self) -> _Scan:
        columns, labels, usages = self._columns, Texts(), Texts()
        wanted = [one for one in (columns.label, columns.usage) if one]
        stops, versions = [], [file_version(path) for path in self._files]
        for path in self._files:
            with open_parquet(path) as file:
                if find_columns(file.schema_arrow, path.name) != columns:
                    raise FerError(
                        f"{path.name} has other columns, or columns of other types, than "
                        f"{self._files[0].name}",
                        hint="put files of one form in a folder",
                    )
                for batch in file.iter_batches(LABELS_TOGETHER, columns=wanted):
                    for name, texts in zip(wanted, (labels, usages), strict=False):
                        texts.extend(batch.column(name).to_pylist(), columns.classes.get(name, ()))
            if not columns.usage:
                usages.extend([part_of(path)] * (len(labels) - len(usages)))
            stops.append(len(labels))
        notes = (*self._label_notes(labels), *self._folder_notes())
        emotion = labels.codes(
            lambda text: BAD if (code := self._labels.code(text)) is None else code
        )
        usage = usages.codes(lambda text: usage_code(text, named=not columns.usage))
        usage[emotion == IGNORED] = -1
        rows = np.flatnonzero((emotion == BAD) | (usage == BAD)).tolist()
        bad = {
            row: label_error(columns.label, labels.at(row))
            if emotion[row] == BAD
            else usage_error(str(columns.usage), usages.at(row))
            for row in (rows if self._skip_bad else rows[:1])
        }
        return _Scan(emotion, usage, bad, notes, stops, versions)

    def _label_notes(self, labels: Texts) -> Iterator[str]:
        """Notes on rules, and on numbers that no metadata name; refuses those it cannot place."""
        counts = labels.counts()
        yield from self._labels.notes(counts, source=self.name, unit="row")
        numbers = [text for text in counts if NUMBER.fullmatch(text)]
        unnamed = [text for text in numbers if not self._labels.has_rule(text)]
        if not unnamed:
            return
        others = [text for text in numbers if not 0 <= float(text) < len(EMOTIONS)]
        column = plain_text(self._columns.label)
        if others:
            raise FerError(
                f"{self.name}: column {column} holds numbers beyond FER2013's 0 to 6, such as "
                f"{others[0]}, and nothing says what {', '.join(unnamed[:10])} mean",
                hint=f"say it for each: --map {unnamed[0]}=neutral, or --ignore {unnamed[0]}",
            )
        yield f"numbers in column {column} are read in FER2013's order: {ORDER}"

    def _folder_notes(self) -> Iterator[str]:
        if self._path.is_dir():
            names = sorted(one.name for one in self._path.iterdir())
            others = [one for one in names if one[0] != "." and self._path / one not in self._files]
            if others:
                example = plain_text(others[0])
                yield f"skipped, not *{SUFFIX}: {len(others):,}, for example {example}"
