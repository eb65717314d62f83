"""Faces from a folder of pictures, one folder for each emotion."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fer_features.data.csv import CsvFaces
from fer_features.data.faces import BadRow, FaceIndex, FaceSource
from fer_features.data.folder_listing import Listing, Picture
from fer_features.data.labels import KNOWN
from fer_features.data.pictures import PictureSource
from fer_features.data.unpack import read_columns
from fer_features.errors import FerError
from fer_features.runtime.text import plain_text

FILE = "file"
"""The column of a table with the pictures' paths or names."""

NO_GROUP = "(none)"
"""The group of rows of which the column is empty, or that the table does not list."""


class FolderFaces(PictureSource):
    """The pictures in class folders, as in the folder form of FER2013 on Kaggle.

    ``angry/ disgust/ fear/ happy/ sad/ surprise/ neutral/`` or ``0/`` to ``6/``, also in other
    spellings (``anger``, ``happiness``, …) and in upper case, side by side or under ``train/``,
    ``val/`` and ``test/``. A picture's usage is the prefix of its file name (``Training_``,
    ``PublicTest_``, ``PrivateTest_``), or else that of its part: train is Training, val PublicTest,
    test PrivateTest. Folders in a class folder belong to the class, links to folders too. Files
    that are not read, hidden ones included, are counted in `FaceIndex.notes`; pipes and devices
    are never opened.

    Pictures whose names contain the same official part and number (``Training_3908.jpg``,
    ``Training_3908_flip.jpg``) are copies of one photograph: their `FaceIndex.family` is the same.

    A row's number is its index in the sorted list of the pictures' paths. See `read_picture` for
    the conversion to 48×48 grey levels.
    """

    @property
    def name(self) -> str:
        """The folder's own name, with unprintable characters escaped."""
        return plain_text(self._path.resolve().name)

    def digest(self) -> str:
        """Hex SHA-256 over all pictures in row order, combined with `ignore` and `classes`.

        For each picture: its path, a zero byte, and the SHA-256 of the file's bytes.

        Raises:
            FerError: a file cannot be read, or the folder cannot be used.
        """
        content = hashlib.sha256()
        for row, picture in enumerate(self._listing.pictures):
            with self.errors(row), self._file(row).open("rb") as file:
                inner = hashlib.file_digest(file, "sha256")
            content.update(os.fsencode(picture.path) + b"\0" + inner.digest())
        return self._labels.folder_digest(content.hexdigest())

    @property
    def paths(self) -> list[str]:
        """Each picture's path in the folder, with slashes, by row number."""
        return [picture.path for picture in self._listing.pictures]

    def file_name(self, row: int) -> str:
        """The picture's path in the folder, with unprintable characters escaped."""
        return plain_text(self._listing.pictures[row].path)

    def files(self, rows: NDArray[np.int64]) -> Iterator[Path]:
        """The paths of the pictures of `rows`."""
        return map(self._file, rows.tolist())

    def _file(self, row: int) -> Path:
        return self._path / self._listing.pictures[row].path

    @cached_property
    def _listing(self) -> Listing:
        try:
            listing = Listing(self._path, self._labels)
        except OSError as error:
            raise FerError(f"{error.filename} cannot be listed: {error.strerror}") from error
        if not listing.counts:
            raise FerError(f"{self.name} has no class folders", hint=KNOWN)
        self._labels.notes(listing.counts, source=self.name, unit="pictures")  # checks the rules
        if not listing.pictures:
            raise FerError(f"{self.name}: all of its classes are left out (--ignore)")
        return listing

    def index_without(self, bad: Mapping[int, str]) -> FaceIndex:
        """The index without some rows; `bad` are the reasons, by row number.

        Raises:
            FerError: a folder in it is no known class, is empty, or cannot be listed.
        """
        listing = self._listing
        rows = [row for row in range(len(listing.pictures)) if row not in bad]
        if not rows:
            raise FerError(f"{self.name} has no usable picture; row 0: {bad[0]}")
        pictures = [listing.pictures[row] for row in rows]
        family = _families(pictures)
        rules = self._labels.notes(listing.counts, source=self.name, unit="pictures")
        return FaceIndex(
            row=np.array(rows, np.int64),
            emotion=np.array([picture.emotion for picture in pictures], np.int8),
            usage=np.array([picture.usage for picture in pictures], np.int8),
            family=family,
            bad=tuple(BadRow(*one) for one in bad.items()),
            notes=(*rules, *listing.notes(), *_family_notes(pictures, family)),
        )


def _families(pictures: Sequence[Picture]) -> NDArray[np.int64]:
    """The same number from 0 for pictures of one official part and number, -1 for all others."""
    keys = [picture.official for picture in pictures]
    counts = Counter(keys)
    numbers: dict[tuple[str, int], int] = {}
    return np.array(
        [numbers.setdefault(key, len(numbers)) if key and counts[key] > 1 else -1 for key in keys],
        np.int64,
    )


def _family_notes(pictures: Sequence[Picture], family: NDArray[np.int64]) -> Iterator[str]:
    members = np.flatnonzero(family >= 0)
    if len(members):
        example = plain_text(pictures[members[0]].path)
        yield (
            f"{family.max() + 1:,} photographs have several pictures each, {len(members):,} in "
            f"all, by the official part and number in their names (for example {example})"
        )


def read_groups(source: FaceSource, column: str, *, table: Path | None = None) -> NDArray[np.str_]:
    """The group of each usable row of a source.

    Args:
        source: a CSV file, or a folder of pictures.
        column: the column's name, in any case.
        table: for a folder: a CSV file with a column ``file``, which holds paths in the folder, or
            names of files where these are unique, and the column of groups.

    Returns:
        (N,), in the order of the source's `index`; `NO_GROUP` where there is none.

    Raises:
        FerError: there is no such column, or the table lists no picture of the folder.
    """
    if isinstance(source, CsvFaces) and table is None:
        found = [one[0] for one in read_columns(source.path, column)]
        return np.array([one or NO_GROUP for one in found])[source.index().row]
    if not isinstance(source, FolderFaces) or table is None:
        raise FerError(
            f"{source.name} has no column {plain_text(column)}",
            hint="--group names a column of a CSV file; for a folder of pictures give --table "
            f"FILE.csv with the columns {FILE} and {plain_text(column)}",
        )
    listed = {file: group for group, file in read_columns(table, column, FILE)}
    paths = [source.paths[row] for row in source.index().row]
    names = Counter(PurePosixPath(path).name for path in paths)
    groups = []
    for path in paths:
        name = PurePosixPath(path).name
        group = listed.get(path, listed.get(name) if names[name] == 1 else None)
        groups.append(group or NO_GROUP)
    if not set(groups) - {NO_GROUP}:
        raise FerError(
            f"{table} lists no picture of {source.name}",
            hint=f"its column {FILE} holds paths in the folder, such as {plain_text(paths[0])}",
        )
    return np.array(groups)
