"""Faces from a folder of pictures, one folder for each emotion."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fer_features.config import USAGES
from fer_features.data.faces import BadRow, FaceIndex
from fer_features.data.labels import IGNORED, KNOWN, ORDER, PARTS, Labels, rule_hint
from fer_features.data.pictures import OTHER_PICTURES, PictureSource, suffixes
from fer_features.errors import FerError
from fer_features.runtime.text import counted, plain_text

_PREFIX = re.compile(f"({'|'.join(USAGES)})_", re.IGNORECASE)
_OFFICIAL = re.compile(rf"(?<![^\W_])({'|'.join(USAGES)})_([0-9]+)", re.IGNORECASE)
_SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX")

_UNREAD = "pictures of types that Pillow does not read here"
_OTHER = "files that are not pictures"
_HIDDEN = "hidden files or folders"
_SPECIAL = "pipes, devices, or links to nothing"
_LINKS = "links to folders that contain the link or are read already"


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
            with self.errors(row), (self._path / picture.path).open("rb") as file:
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
        return (self._path / self._listing.pictures[row].path for row in rows.tolist())

    @cached_property
    def _listing(self) -> Listing:
        try:
            listing = Listing(self._path, self._labels)
        except OSError as error:
            raise FerError(f"{error.filename} cannot be listed: {error.strerror}") from error
        if not listing.counts:
            raise FerError(f"{self.name} has no class folders", hint=KNOWN)
        self._labels.notes(listing.counts, source=self.name, unit="picture")  # checks the rules
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
        family, copies = _families(pictures)
        rules = self._labels.notes(listing.counts, source=self.name, unit="picture")
        return FaceIndex(
            row=np.array(rows, np.int64),
            emotion=np.array([picture.emotion for picture in pictures], np.int8),
            usage=np.array([picture.usage for picture in pictures], np.int8),
            family=family,
            bad=tuple(BadRow(*one) for one in bad.items()),
            notes=(*rules, *listing.notes(), *copies),
        )


def _families(pictures: Sequence[Picture]) -> tuple[NDArray[np.int64], list[str]]:
    """The same number from 0 for pictures of one official part and number, -1 for all others."""
    members: defaultdict[tuple[str, int] | None, list[int]] = defaultdict(list)
    for place, picture in enumerate(pictures):
        members[picture.official].append(place)
    families = [places for key, places in members.items() if key and len(places) > 1]
    family = np.full(len(pictures), -1, np.int64)
    for number, places in enumerate(families):
        family[places] = number
    if not families:
        return family, []
    note = (
        f"{counted(len(families), 'photograph')} with several pictures each, "
        f"{sum(map(len, families)):,} in all, by the official part and number in their names "
        f"(for example {plain_text(pictures[families[0][0]].path)})"
    )
    return family, [note]


@dataclass(frozen=True)
class Picture:
    """A picture: its path in the folder with slashes, and the labels that the path gives it."""

    path: str
    emotion: int
    usage: int

    @property
    def official(self) -> tuple[str, int] | None:
        """Part and number in FER2013's naming, ``Training_3908``, if the file's name has them."""
        found = _OFFICIAL.search(PurePosixPath(self.path).name)
        return (found[1].lower(), int(found[2])) if found else None


class Listing:
    """All pictures in class folders directly in `root`, or in its folders of parts.

    Attributes:
        pictures: sorted by path.
        counts: number of pictures of each class folder's name, ignored ones too.

    Raises:
        FerError: a folder is no known class, has no pictures, or a picture is in no class folder.
        OSError: a folder cannot be listed.
    """

    def __init__(self, root: Path, labels: Labels) -> None:
        self.pictures: list[Picture] = []
        self.counts: Counter[str] = Counter()
        self._root, self._labels = root, labels
        self._skipped: defaultdict[str, list[str]] = defaultdict(list)
        self._overruled: list[str] = []
        for folder in self._class_folders(root):
            usage = PARTS.get(folder.name.lower(), -1)
            classes = [folder] if usage < 0 else self._class_folders(folder)
            if not classes:
                raise FerError(f"{self._shown(folder)} has no class folders", hint=KNOWN)
            for one in classes:
                self._add_class(one, usage=usage)
        self.pictures.sort(key=lambda picture: picture.path)

    def notes(self) -> Iterator[str]:
        """What is skipped or ambiguous, one sentence each."""
        if any(name.isdecimal() and not self._labels.has_rule(name) for name in self.counts):
            yield f"class folders named by numbers are read in FER2013's order: {ORDER}"
        if self._overruled:
            yield (
                "file names that start with Training_, PublicTest_ or PrivateTest_ overrule the "
                f"folders train, val and test: they disagree for {_counted(self._overruled)}"
            )
        for what in (_UNREAD, _OTHER, _HIDDEN, _SPECIAL, _LINKS):
            if paths := self._skipped[what]:
                yield f"skipped, {what}: {_counted(paths, by_suffix=what in (_UNREAD, _OTHER))}"

    def _class_folders(self, folder: Path) -> list[Path]:
        """The folders directly in `folder`, in which no picture may be."""
        folders = []
        for entry in self._entries(folder):
            path = folder / entry.name
            if entry.is_dir() and entry.is_symlink() and self._contains(path):
                self._skip(path, _LINKS)
            elif entry.is_dir():
                folders.append(path)
            elif path.suffix.lower() in suffixes():
                raise FerError(
                    f"{self._shown(path)} is in no class folder",
                    hint="give the folder that has the class folders, and no picture beside them",
                )
            else:
                self._skip(path)
        return folders

    def _add_class(self, folder: Path, *, usage: int) -> None:
        """Add the pictures of a class folder, at any depth."""
        emotion = self._labels.code(folder.name)
        if emotion is None:
            raise FerError(
                f"{self._shown(folder)} is no known class",
                hint=f"{KNOWN}; {rule_hint(folder.name)}",
            )
        files = list(self._files(folder))
        self.counts[folder.name] += len(files)
        if emotion == IGNORED:
            return
        if not files:
            raise FerError(
                f"{self._shown(folder)} has no pictures that can be read",
                hint="; ".join(["fill the folder, or remove it", *self.notes()]),
            )
        for file in files:
            prefix = _PREFIX.match(file.name)
            named = PARTS[prefix[1].lower()] if prefix else usage
            picture = Picture(file.relative_to(self._root).as_posix(), emotion, named)
            self.pictures.append(picture)
            if -1 != usage != named:
                self._overruled.append(picture.path)

    def _files(self, top: Path) -> Iterator[Path]:
        """Pictures at any depth; links to folders are followed last, and each folder read once."""
        seen: set[Path] = set()
        folders = deque([top])
        while folders:
            folder = folders.popleft()
            real = folder.resolve()
            if real in seen or (folder.is_symlink() and self._contains(folder)):
                self._skip(folder, _LINKS)
                continue
            seen.add(real)
            for entry in self._entries(folder):
                path = folder / entry.name
                if entry.is_dir():
                    (folders.append if entry.is_symlink() else folders.appendleft)(path)
                elif path.suffix.lower() in suffixes():
                    yield path
                else:
                    self._skip(path)

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        """Files and folders, without hidden ones, pipes and devices (which could block)."""
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                if entry.name in _SYSTEM or entry.name.startswith("._"):
                    continue
                if entry.name.startswith("."):
                    self._skip(folder / entry.name, _HIDDEN)
                elif _is_file_or_folder(entry):
                    yield entry
                else:
                    self._skip(folder / entry.name, _SPECIAL)

    def _contains(self, link: Path) -> bool:
        """Whether a link's target contains the link itself or the root folder."""
        target = link.resolve()
        return any(one.resolve().is_relative_to(target) for one in (link.parent, self._root))

    def _skip(self, path: Path, what: str = "") -> None:
        what = what or (_UNREAD if path.suffix.lower() in OTHER_PICTURES else _OTHER)
        self._skipped[what].append(path.relative_to(self._root).as_posix())

    def _shown(self, path: Path) -> str:
        """A path in messages, starting with the folder's own name."""
        return plain_text(Path(self._root.resolve().name, path.relative_to(self._root)).as_posix())


def _is_file_or_folder(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):  # a link to itself
        return entry.is_file() or entry.is_dir()
    return False


def _counted(paths: list[str], *, by_suffix: bool = False) -> str:
    """How many paths there are, of which suffixes, and the first of them."""
    text = f"{len(paths):,}"
    if by_suffix:
        kinds = Counter(PurePosixPath(path).suffix.lower() or "no suffix" for path in paths)
        text += " (" + ", ".join(f"{plain_text(one)} {n:,}" for one, n in kinds.most_common(5))
        text += ", …)" if len(kinds) > 5 else ")"
    return f"{text}, {'for example ' if len(paths) > 1 else ''}{plain_text(min(paths))}"
