"""The group of each row of a source, by a column of it or of a table of its pictures."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fer_features.data.csv import CsvFaces
from fer_features.data.faces import FaceSource
from fer_features.data.folder import FolderFaces
from fer_features.data.unpack import file_errors, find_member, open_csv
from fer_features.errors import FerError
from fer_features.runtime.text import plain_text

FILE = "file"
"""The column of a table with the pictures' paths or names."""

NO_GROUP = "(none)"
"""The group of rows of which the column is empty, or that the table does not list."""


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
        found = [one[0] for one in _columns(source.path, column)]
        return np.array([one or NO_GROUP for one in found])[source.index().row]
    if not isinstance(source, FolderFaces) or table is None:
        raise FerError(
            f"{source.name} has no column {plain_text(column)}",
            hint="--group names a column of a CSV file; for a folder of pictures give --table "
            f"FILE.csv with the columns {FILE} and {plain_text(column)}",
        )
    listed = {file: group for group, file in _columns(table, column, FILE)}
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


def _columns(path: Path, *names: str) -> Iterator[tuple[str, ...]]:
    """The columns of each row that is not blank, one row a line as in FER2013's files."""
    with file_errors(path), open_csv(path, find_member(path)) as file:
        texts = (line.decode("utf-8-sig", "replace") for line in file if not line.isspace())
        rows = (next(csv.reader([text]), []) for text in texts)
        header = [one.strip().lower() for one in next(rows, [])]
        for name in names:
            if header.count(name.lower()) != 1:
                raise FerError(
                    f"{path.name} has no column {plain_text(name)}, or more than one",
                    hint=f"it has {plain_text(', '.join(header))}",
                )
        places = [header.index(name.lower()) for name in names]
        for row in rows:
            yield tuple(row[at].strip() if at < len(row) else "" for at in places)
