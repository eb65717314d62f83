"""Faces out of a folder of pictures, one folder for each emotion."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError
from fer_features.faces.batches import find_places, in_batches, make_faces
from fer_features.faces.picture import SUFFIXES, read_picture
from fer_features.faces.record import IMAGE_SIZE, USAGES, BadRow, FaceIndex, Faces
from fer_features.names import plain_text

_SPELLINGS = (
    ("angry", "anger"),
    ("disgust", "disgusted"),
    ("fear", "fearful"),
    ("happy", "happiness"),
    ("sad", "sadness"),
    ("surprise", "surprised"),
    ("neutral",),
)
_CLASSES = {name: code for code, names in enumerate(_SPELLINGS) for name in (*names, str(code))}
_PARTS = {
    "train": "Training",
    "training": "Training",
    "val": "PublicTest",
    "valid": "PublicTest",
    "validation": "PublicTest",
    "publictest": "PublicTest",
    "test": "PrivateTest",
    "testing": "PrivateTest",
    "privatetest": "PrivateTest",
}
_PREFIX = re.compile(f"({'|'.join(USAGES)})_", re.IGNORECASE)
_USAGE_CODES = {usage.lower(): code for code, usage in enumerate(USAGES)}
_KNOWN = f"known are {', '.join(name for names in _SPELLINGS for name in names)}, and 0 to 6"


@dataclass(frozen=True)
class _Picture:
    """A picture of a folder: its path from there with slashes, and what its path says of it."""

    path: str
    emotion: int
    usage: int


class FolderFaces:
    """The pictures in class folders, as in the folder form of FER2013 on Kaggle.

    ``angry/ disgust/ fear/ happy/ sad/ surprise/ neutral/`` or ``0/`` to ``6/``, also in other
    spellings (``anger``, ``happiness``, …) and in upper case, side by side or under ``train/``,
    ``val/`` and ``test/``. A picture's usage is what its file name starts with (``Training_``,
    ``PublicTest_``, ``PrivateTest_``), or else its part's: train is Training, val PublicTest, test
    PrivateTest. Folders in a class folder belong to the class. Hidden files, and those whose names
    do not end as a picture's, are not looked at.

    A row's number is its place in the sorted list of the pictures' paths, whatever the order in
    which the disk lists them. See `fer_features.faces.picture` for what is done to a picture.

    Args:
        path: the folder.
        skip_bad: let `index` decode every picture and leave the bad ones out.
    """

    def __init__(self, path: str | Path, *, skip_bad: bool = False) -> None:
        self._path = Path(path)
        self._skip_bad = skip_bad

    @property
    def name(self) -> str:
        """The folder's own name, with what cannot be printed as escapes."""
        return plain_text(self._path.resolve().name)

    def digest(self) -> str:
        """Hex SHA-256 over all pictures, in the order of their rows.

        For each: its path, a zero byte, and the SHA-256 of the file's bytes.

        Raises:
            FerError: a file cannot be read, or the folder's form is not as it should be.
        """
        content = hashlib.sha256()
        for row, picture in enumerate(self._pictures):
            try:
                with (self._path / picture.path).open("rb") as file:
                    inner = hashlib.file_digest(file, "sha256")
            except OSError as error:
                raise self._bad_picture(row, error.strerror or str(error)) from error
            content.update(os.fsencode(picture.path) + b"\0" + inner.digest())
        return content.hexdigest()

    def index(self) -> FaceIndex:
        """Labels and row numbers of all usable pictures; lists the folder at the first call only.

        Nothing is decoded, unless ``skip_bad`` asks for it.

        Raises:
            FerError: a folder in it is none of a known class, is empty, or cannot be listed.
        """
        return self._index

    def read(self, rows: NDArray[np.int64], *, batch_size: int = 1024) -> Iterator[Faces]:
        """Decode `rows` (ascending row numbers out of `index`), `batch_size` at a time.

        Raises:
            FerError: a row is not in the index, its picture cannot be decoded, or the batch size is
                below 1.
        """
        places = find_places(self.index(), rows, name=self.name)
        return self._decode(in_batches(places, batch_size=batch_size, name=self.name))

    def _decode(self, batches: Iterator[NDArray[np.int64]]) -> Iterator[Faces]:
        for places in batches:
            images = np.empty((len(places), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
            for image, row in zip(images, self._index.row[places].tolist(), strict=True):
                try:
                    image[...] = read_picture(self._path / self._pictures[row].path)
                except ValueError as error:
                    raise self._bad_picture(row, str(error)) from error
            yield make_faces(self._index, places, images)

    def _bad_picture(self, row: int, reason: str) -> FerError:
        return FerError(
            f"{self.name}/{self._pictures[row].path} (row {row}): {reason}",
            hint="mend it, or leave bad pictures out: --skip-bad",
        )

    @cached_property
    def _pictures(self) -> list[_Picture]:
        try:
            found = sorted(_find_pictures(self._path), key=lambda picture: picture.path)
        except OSError as error:
            raise FerError(f"{error.filename} cannot be listed: {error.strerror}") from error
        if not found:
            raise FerError(f"{self.name} has no class folders", hint=_KNOWN)
        return found

    @cached_property
    def _index(self) -> FaceIndex:
        bad = tuple(self._undecodable()) if self._skip_bad else ()
        rows = np.arange(len(self._pictures), dtype=np.int64)
        usable = rows[~np.isin(rows, [one.row for one in bad])]
        if len(usable) == 0:
            raise FerError(f"{self.name} has no usable picture; row 0: {bad[0].reason}")
        pictures = [self._pictures[row] for row in usable]
        return FaceIndex(
            row=usable,
            emotion=np.array([picture.emotion for picture in pictures], np.int8),
            usage=np.array([picture.usage for picture in pictures], np.int8),
            bad=bad,
        )

    def _undecodable(self) -> Iterator[BadRow]:
        for row, picture in enumerate(self._pictures):
            try:
                read_picture(self._path / picture.path)
            except ValueError as error:
                yield BadRow(row, f"{picture.path}: {error}")


def _find_pictures(root: Path) -> Iterator[_Picture]:
    """All pictures in class folders right in `root`, or in parts right in it."""
    for folder in _subfolders(root, root=root):
        part = _PARTS.get(folder.name.lower())
        if part is None:
            yield from _in_class(folder, root=root, usage=-1)
            continue
        classes = _subfolders(folder, root=root)
        if not classes:
            raise FerError(f"{_shown(folder, root)} has no class folders", hint=_KNOWN)
        for one in classes:
            yield from _in_class(one, root=root, usage=USAGES.index(part))


def _subfolders(folder: Path, *, root: Path) -> list[Path]:
    """The folders right in `folder`, in which no picture may lie."""
    folders = []
    for entry in sorted(folder.iterdir()):
        if _hidden(entry.name):
            continue
        if entry.is_dir():
            folders.append(entry)
        elif entry.suffix.lower() in SUFFIXES:
            raise FerError(
                f"{_shown(entry, root)} lies in no class folder",
                hint="give the folder that holds the class folders, and no picture beside them",
            )
    return folders


def _in_class(folder: Path, *, root: Path, usage: int) -> Iterator[_Picture]:
    """The pictures of one class, also those in folders of the class folder."""
    emotion = _CLASSES.get(folder.name.lower())
    if emotion is None:
        raise FerError(f"{_shown(folder, root)} is no class that is known", hint=_KNOWN)
    empty = True
    for place, subfolders, files in os.walk(folder, onerror=_fail):
        subfolders[:] = [name for name in subfolders if not _hidden(name)]
        for name in files:
            file = Path(place, name)
            if _hidden(name) or file.suffix.lower() not in SUFFIXES:
                continue
            empty = False
            prefix = _PREFIX.match(name)
            named = _USAGE_CODES[prefix[1].lower()] if prefix else usage
            yield _Picture(file.relative_to(root).as_posix(), emotion, named)
    if empty:
        raise FerError(
            f"{_shown(folder, root)} holds no pictures", hint="fill the folder, or remove it"
        )


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _fail(error: OSError) -> None:
    raise error


def _shown(path: Path, root: Path) -> str:
    return Path(root.resolve().name, path.relative_to(root)).as_posix()
