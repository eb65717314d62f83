"""The files under a folder of class folders: pictures, and all that is passed over."""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from fer_features.config import EMOTIONS, USAGES
from fer_features.data.classes import KNOWN, ClassNames
from fer_features.data.picture import OTHER_PICTURES, suffixes
from fer_features.errors import FerError
from fer_features.runtime.text import plain_text

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
_OFFICIAL = re.compile(rf"(?<![^\W_])({'|'.join(USAGES)})_([0-9]+)", re.IGNORECASE)
_USAGE_CODES = {usage.lower(): code for code, usage in enumerate(USAGES)}
_SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX")  # no one's pictures


@dataclass(frozen=True)
class Picture:
    """A picture of a folder: its path from there with slashes, and what its path says of it."""

    path: str
    emotion: int
    usage: int

    @property
    def official(self) -> tuple[str, int] | None:
        """Part and number in FER2013's own style of naming, whatever stands around them."""
        found = _OFFICIAL.search(PurePosixPath(self.path).name)
        return (found[1].lower(), int(found[2])) if found else None


@dataclass
class Tree:
    """What lies in a folder; paths are from there, with slashes.

    Attributes:
        pictures: in the order of their paths.
        undecodable: pictures by their suffixes, of types that are not read here.
        others: files that are not pictures by their suffixes.
        hidden: files and folders whose names start with a dot, but for the system's own.
        special: what is neither file nor folder (pipes, devices), and links to nothing.
        loops: links to folders that hold the link, or that are read already.
        overruled: pictures whose names and folders name different parts.
        numbers: whether class folders are named by numbers.
        classes: names of all class folders.
        ignored: pictures of each class that is left out.
        mapped: pictures of each class that counts as an emotion by choice.
    """

    pictures: list[Picture] = field(default_factory=list)
    undecodable: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    overruled: list[str] = field(default_factory=list)
    numbers: bool = False
    classes: set[str] = field(default_factory=set)
    ignored: Counter[str] = field(default_factory=Counter)
    mapped: Counter[str] = field(default_factory=Counter)

    def notes(self, names: ClassNames) -> Iterator[str]:
        """What a user must know of how the folder is read, a sentence each."""
        for name, count in sorted(self.ignored.items()):
            yield f"left out (--ignore): class {plain_text(name)}, {count:,} pictures"
        for name, count in sorted(self.mapped.items()):
            emotion = EMOTIONS[names.emotion(name) or 0]
            yield f"read as {emotion} (--map): class {plain_text(name)}, {count:,} pictures"
        if self.numbers:
            order = ", ".join(f"{code} {emotion}" for code, emotion in enumerate(EMOTIONS))
            yield f"class folders named by numbers are read in FER2013's order: {order}"
        if self.overruled:
            yield (
                "file names that start with Training_, PublicTest_ or PrivateTest_ overrule the "
                f"folders train, val and test: they disagree for {_counted(self.overruled)}"
            )
        passed_over = (
            (self.undecodable, "pictures of types that Pillow does not read here"),
            (self.others, "files that are not pictures"),
            (self.hidden, "hidden files or folders"),
            (self.special, "pipes, devices, or links to nothing"),
            (self.loops, "links to folders that hold the link or are read already"),
        )
        for paths, what in passed_over:
            if paths:
                by_suffix = paths is self.undecodable or paths is self.others
                yield f"passed over, {what}: {_counted(paths, by_suffix=by_suffix)}"


def find_tree(root: Path, names: ClassNames) -> Tree:
    """List all that lies in class folders right in `root`, or in parts right in it.

    Raises:
        FerError: a folder is none of a known class, is empty, or a picture lies in none.
        OSError: a folder cannot be listed.
    """
    walk = _Walk(root, names)
    for folder in walk.subfolders(root):
        part = _PARTS.get(folder.name.lower())
        if part is None:
            walk.read_class(folder, usage=-1)
            continue
        classes = walk.subfolders(folder)
        if not classes:
            raise FerError(f"{walk.shown(folder)} has no class folders", hint=KNOWN)
        for one in classes:
            walk.read_class(one, usage=USAGES.index(part))
    walk.tree.pictures.sort(key=lambda picture: picture.path)
    return walk.tree


class _Walk:
    """One pass over a folder, noting in `tree` what it meets."""

    def __init__(self, root: Path, names: ClassNames) -> None:
        self.tree = Tree()
        self._root, self._names = root, names
        self._readable = suffixes()

    def shown(self, path: Path) -> str:
        """A path as messages name it: from the folder's own name on."""
        return plain_text(Path(self._root.resolve().name, path.relative_to(self._root)).as_posix())

    def subfolders(self, folder: Path) -> list[Path]:
        """The folders right in `folder`, in which no picture may lie."""
        folders = []
        for entry in self._entries(folder):
            path = folder / entry.name
            if entry.is_dir():
                if entry.is_symlink() and self._leads_up(path):
                    self._note(self.tree.loops, path)
                else:
                    folders.append(path)
            elif path.suffix.lower() in self._readable:
                raise FerError(
                    f"{self.shown(path)} lies in no class folder",
                    hint="give the folder that holds the class folders, and no picture beside them",
                )
            else:
                self._note_unread(path)
        return folders

    def read_class(self, folder: Path, *, usage: int) -> None:
        """Note the pictures of one class, also those in folders of the class folder."""
        tree, name = self.tree, folder.name
        tree.classes.add(name)
        emotion = self._names.emotion(name)
        if self._names.ignores(name):
            tree.ignored[name.lower()] += sum(1 for _ in self._pictures(folder))
            return
        if emotion is None:
            plain = plain_text(name)
            raise FerError(
                f"{self.shown(folder)} is no class that is known",
                hint=f"{KNOWN}; --ignore {plain} leaves it out, --map {plain}=neutral, say, counts "
                "it as an emotion",
            )
        mapped = self._names.maps(name)
        tree.numbers |= name.isdecimal() and not mapped
        before = len(tree.pictures)
        for file in self._pictures(folder):
            path = file.relative_to(self._root).as_posix()
            prefix = _PREFIX.match(file.name)
            named = _USAGE_CODES[prefix[1].lower()] if prefix else usage
            if -1 != usage != named:
                tree.overruled.append(path)
            tree.pictures.append(Picture(path, emotion, named))
        found = len(tree.pictures) - before
        if not found:
            raise FerError(
                f"{self.shown(folder)} holds no pictures that can be read",
                hint="fill the folder, or remove it"
                + "".join(f"; {log}" for log in tree.notes(self._names)),
            )
        if mapped:
            tree.mapped[name.lower()] += found

    def _pictures(self, folder: Path) -> Iterator[Path]:
        """Files at any depth that end as pictures do; links to folders are followed once."""
        seen = {folder.resolve()}
        folders, links = deque([folder]), deque[Path]()
        while folders or links:
            if folders:
                place = folders.popleft()
            else:
                place = links.popleft()
                if place.resolve() in seen or self._leads_up(place):
                    self._note(self.tree.loops, place)
                    continue
                seen.add(place.resolve())
            for entry in self._entries(place):
                path = place / entry.name
                if entry.is_dir() and entry.is_symlink():
                    links.append(path)
                elif entry.is_dir():
                    real = path.resolve()
                    if real not in seen:
                        seen.add(real)
                        folders.append(path)
                elif path.suffix.lower() in self._readable:
                    yield path
                else:
                    self._note_unread(path)

    def _entries(self, folder: Path) -> Iterator[os.DirEntry[str]]:
        """Files and folders by name; what is hidden, or is neither, is only noted."""
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
        for entry in entries:
            path = folder / entry.name
            if entry.name in _SYSTEM or entry.name.startswith("._"):
                continue
            if entry.name.startswith("."):
                self._note(self.tree.hidden, path)
            elif _is_plain(entry):
                yield entry
            else:
                self._note(self.tree.special, path)

    def _leads_up(self, link: Path) -> bool:
        """Whether a link's target holds the link itself, or the whole folder."""
        target = link.resolve()
        return any(place.resolve().is_relative_to(target) for place in (link.parent, self._root))

    def _note(self, paths: list[str], path: Path) -> None:
        paths.append(path.relative_to(self._root).as_posix())

    def _note_unread(self, path: Path) -> None:
        picture = path.suffix.lower() in OTHER_PICTURES
        self._note(self.tree.undecodable if picture else self.tree.others, path)


def _is_plain(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file or a folder, or a link to one; a pipe would be waited for for ever."""
    try:
        return entry.is_file() or entry.is_dir()
    except OSError:  # a link to itself
        return False


def _counted(paths: list[str], *, by_suffix: bool = False) -> str:
    """How many, of which suffixes if asked for, and the first of them."""
    text = f"{len(paths):,}"
    if by_suffix:
        kinds = Counter(PurePosixPath(path).suffix.lower() or "no suffix" for path in paths)
        text += " (" + ", ".join(f"{plain_text(one)} {n:,}" for one, n in kinds.most_common(5))
        text += ", …)" if len(kinds) > 5 else ")"
    return f"{text}, {plain_text(min(paths))}" + (" for one" if len(paths) > 1 else "")


def families(pictures: Iterable[Picture]) -> list[int]:
    """Numbers from 0 that pictures of one official part and number share; -1 where none does."""
    keys = [picture.official for picture in pictures]
    counts = Counter(key for key in keys if key is not None)
    numbers: dict[tuple[str, int], int] = {}
    return [
        numbers.setdefault(key, len(numbers)) if key is not None and counts[key] > 1 else -1
        for key in keys
    ]
