"""Faces out of a folder of pictures, one folder for each emotion."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_features.data.batches import find_places, in_batches, make_faces
from fer_features.data.classes import KNOWN, ClassNames
from fer_features.data.folder_tree import Picture, Tree, families, find_tree
from fer_features.data.picture import PictureForms, read_form, read_picture
from fer_features.data.record import IMAGE_SIZE, BadRow, FaceIndex, Faces
from fer_features.errors import FerError
from fer_features.runtime.text import plain_text


class FolderFaces:
    """The pictures in class folders, as in the folder form of FER2013 on Kaggle.

    ``angry/ disgust/ fear/ happy/ sad/ surprise/ neutral/`` or ``0/`` to ``6/``, also in other
    spellings (``anger``, ``happiness``, …) and in upper case, side by side or under ``train/``,
    ``val/`` and ``test/``. A picture's usage is what its file name starts with (``Training_``,
    ``PublicTest_``, ``PrivateTest_``), or else its part's: train is Training, val PublicTest, test
    PrivateTest. Folders in a class folder belong to the class, links to folders too. Files that are
    not read, hidden ones among them, are counted and named in `FaceIndex.notes`; pipes and devices
    are never opened.

    Pictures whose names hold the same official part and number (``Training_3908.jpg``,
    ``Training_3908_flip.jpg``) are one photograph and its copies: `FaceIndex.family` is the same.

    A row's number is its place in the sorted list of the pictures' paths, whatever the order in
    which the disk lists them. See `fer_features.data.picture` for what is done to a picture.

    Args:
        path: the folder.
        skip_bad: let `index` decode every picture and leave the bad ones out.
        ignore: names of class folders that are left out.
        classes: for names of class folders, the emotion that they count as.

    Raises:
        FerError: `classes` names no known emotion, or a class is left out and mapped at once.
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
        self._names = ClassNames(ignore, classes)

    @property
    def name(self) -> str:
        """The folder's own name, with what cannot be printed as escapes."""
        return plain_text(self._path.resolve().name)

    def digest(self) -> str:
        """Hex SHA-256 over all pictures, in the order of their rows.

        For each: its path, a zero byte, and the SHA-256 of the file's bytes. Where classes are left
        out or mapped, a hash of that and of which.

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
        return self._names.stamp(content.hexdigest())

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

    def forms(self) -> PictureForms:
        """Sizes and colour of the usable pictures as they are stored; only their headers are read.

        Raises:
            FerError: a picture's header cannot be read.
        """
        sizes, colour, long = Counter[tuple[int, int]](), 0, []
        for row in self._index.row.tolist():
            try:
                form = read_form(self._path / self._pictures[row].path)
            except ValueError as error:
                raise self._bad_picture(row, str(error)) from error
            sizes[form.width, form.height] += 1
            colour += form.colour
            if form.long:
                long.append(plain_text(self._pictures[row].path))
        return PictureForms(sizes=dict(sizes.most_common()), colour=colour, long=tuple(long))

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
            f"{plain_text(f'{self.name}/{self._pictures[row].path}')} (row {row}): {reason}",
            hint="fix it, or leave bad pictures out: --skip-bad",
        )

    @cached_property
    def _tree(self) -> Tree:
        try:
            tree = find_tree(self._path, self._names)
        except OSError as error:
            raise FerError(f"{error.filename} cannot be listed: {error.strerror}") from error
        if not tree.classes:
            raise FerError(f"{self.name} has no class folders", hint=KNOWN)
        self._names.check_found(tree.classes, source=self.name)
        if not tree.pictures:
            raise FerError(f"{self.name}: all of its classes are left out (--ignore)")
        return tree

    @property
    def _pictures(self) -> list[Picture]:
        return self._tree.pictures

    @cached_property
    def _index(self) -> FaceIndex:
        bad = tuple(self._undecodable()) if self._skip_bad else ()
        rows = np.arange(len(self._pictures), dtype=np.int64)
        usable = rows[~np.isin(rows, [one.row for one in bad])]
        if len(usable) == 0:
            raise FerError(f"{self.name} has no usable picture; row 0: {bad[0].reason}")
        pictures = [self._pictures[row] for row in usable]
        family = np.array(families(pictures), np.int64)
        return FaceIndex(
            row=usable,
            emotion=np.array([picture.emotion for picture in pictures], np.int8),
            usage=np.array([picture.usage for picture in pictures], np.int8),
            bad=bad,
            family=family,
            notes=(*self._tree.notes(self._names), *_family_note(pictures, family)),
        )

    def _undecodable(self) -> Iterator[BadRow]:
        for row, picture in enumerate(self._pictures):
            try:
                read_picture(self._path / picture.path)
            except ValueError as error:
                yield BadRow(row, f"{plain_text(picture.path)}: {error}")


def _family_note(pictures: Sequence[Picture], family: NDArray[np.int64]) -> Iterator[str]:
    members = np.flatnonzero(family >= 0)
    if len(members):
        example = plain_text(pictures[members[0]].path)
        yield (
            f"{family.max() + 1:,} photographs stand in several pictures each, {len(members):,} in "
            f"all, by the official part and number in their names ({example} for one)"
        )
