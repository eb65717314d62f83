"""The pictures in class folders, and the files that are skipped."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fer_features.config import EMOTIONS, USAGES
from fer_features.data.labels import IGNORED, KNOWN, PARTS, Labels, rule_hint
from fer_features.data.pictures import OTHER_PICTURES, suffixes
from fer_features.errors import FerError
from fer_features.runtime.text import plain_text

_PREFIX = re.compile(f"({'|'.join(USAGES)})_", re.IGNORECASE)
_OFFICIAL = re.compile(rf"(?<![^\W_])({'|'.join(USAGES)})_([0-9]+)", re.IGNORECASE)
_SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX")

_UNREAD = "pictures of types that Pillow does not read here"
_OTHER = "files that are not pictures"
_HIDDEN = "hidden files or folders"
_SPECIAL = "pipes, devices, or links to nothing"
_LINKS = "links to folders that contain the link or are read already"


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
            usage = PARTS.get(folder.name.lower())
            if usage is None:
                self._add_class(folder, usage=-1)
                continue
            classes = self._class_folders(folder)
            if not classes:
                raise FerError(f"{self._shown(folder)} has no class folders", hint=KNOWN)
            for one in classes:
                self._add_class(one, usage=usage)
        self.pictures.sort(key=lambda picture: picture.path)

    def notes(self) -> Iterator[str]:
        """What is skipped or ambiguous, one sentence each."""
        if any(name.isdecimal() and not self._labels.has_rule(name) for name in self.counts):
            order = ", ".join(f"{code} {emotion}" for code, emotion in enumerate(EMOTIONS))
            yield f"class folders named by numbers are read in FER2013's order: {order}"
        if self._overruled:
            yield (
                "file names that start with Training_, PublicTest_ or PrivateTest_ overrule the "
                f"folders train, val and test: they disagree for {_counted(self._overruled)}"
            )
        for what in (_UNREAD, _OTHER, _HIDDEN, _SPECIAL, _LINKS):
            if paths := self._skipped[what]:
                counted = _counted(paths, by_suffix=what in (_UNREAD, _OTHER))
                yield f"skipped, {what}: {counted}"

    def _class_folders(self, folder: Path) -> list[Path]:
        """The folders directly in `folder`, in which no picture may be."""
        folders = []
        for entry in self._entries(folder):
            path = folder / entry.name
            if entry.is_dir() and entry.is_symlink() and self._contains(path):
                self._skip(_LINKS, path)
            elif entry.is_dir():
                folders.append(path)
            elif path.suffix.lower() in suffixes():
                raise FerError(
                    f"{self._shown(path)} is in no class folder",
                    hint="give the folder that has the class folders, and no picture beside them",
                )
            else:
                self._skip_file(path)
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
                self._skip(_LINKS, folder)
                continue
            seen.add(real)
            for entry in self._entries(folder):
                path = folder / entry.name
                if entry.is_dir():
                    (folders.append if entry.is_symlink() else folders.appendleft)(path)
                elif path.suffix.lower() in suffixes():
                    yield path
                else:
                    self._skip_file(path)

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        """Files and folders, without hidden ones, pipes and devices (which could block)."""
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                if entry.name in _SYSTEM or entry.name.startswith("._"):
                    continue
                if entry.name.startswith("."):
                    self._skip(_HIDDEN, folder / entry.name)
                elif _is_file_or_folder(entry):
                    yield entry
                else:
                    self._skip(_SPECIAL, folder / entry.name)

    def _contains(self, link: Path) -> bool:
        """Whether a link's target contains the link itself or the root folder."""
        target = link.resolve()
        return any(one.resolve().is_relative_to(target) for one in (link.parent, self._root))

    def _skip(self, what: str, path: Path) -> None:
        self._skipped[what].append(path.relative_to(self._root).as_posix())

    def _skip_file(self, path: Path) -> None:
        self._skip(_UNREAD if path.suffix.lower() in OTHER_PICTURES else _OTHER, path)

    def _shown(self, path: Path) -> str:
        """A path in messages, starting with the folder's own name."""
        return plain_text(Path(self._root.resolve().name, path.relative_to(self._root)).as_posix())


def _is_file_or_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file() or entry.is_dir()
    except OSError:  # a link to itself
        return False


def _counted(paths: list[str], *, by_suffix: bool = False) -> str:
    """How many paths there are, of which suffixes, and the first of them."""
    text = f"{len(paths):,}"
    if by_suffix:
        kinds = Counter(PurePosixPath(path).suffix.lower() or "no suffix" for path in paths)
        text += " (" + ", ".join(f"{plain_text(one)} {n:,}" for one, n in kinds.most_common(5))
        text += ", …)" if len(kinds) > 5 else ")"
    return f"{text}, {'for example ' if len(paths) > 1 else ''}{plain_text(min(paths))}"
