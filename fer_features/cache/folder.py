"""The folder of caches: their files, which caches there are, and which was requested last."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path

from fer_features.cache.format import is_cache
from fer_features.cache.record import Header, RowSelection
from fer_features.errors import FerError
from fer_features.runtime.files import write_text

SUFFIX = ".h5"
JOURNAL_SUFFIX = ".h5.part"
NEW_SUFFIX = ".h5.new"
LOCK_SUFFIX = ".h5.lock"

SHARD_NAME = re.compile(r"-shard-([0-9]+)-of-([0-9]+)\.h5$")
LAST = "last.json"
GRAPHS = "graphs"
"""Where engines keep the graphs that they have compiled or converted."""


def beside(path: Path, suffix: str) -> Path:
    """The file that belongs to the cache at `path` and ends in `suffix`."""
    return path.with_name(path.name.removesuffix(SUFFIX) + suffix)


def cache_path(folder: Path, header: Header) -> Path:
    """Where an extraction puts its cache."""
    spec = header.spec
    words = [Path(str(header.dataset["name"])).name.split(".")[0], spec["backbone"]]
    words += [spec["weights"], spec["precision"]] if spec["weights"] != "none" else []
    stem = "-".join(re.sub(r"[^A-Za-z0-9_]+", "", word) for word in words)
    return Path(folder) / f"{stem}-{header.key}{SUFFIX}"


def journal_path(path: Path) -> Path:
    """The journal of the cache at `path`."""
    return beside(path, JOURNAL_SUFFIX)


def list_caches(folder: Path) -> list[Path]:
    """The caches of a folder, unfinished ones too; the one requested last at the end."""
    names = {
        path.name.removesuffix(suffix)
        for suffix in (SUFFIX, JOURNAL_SUFFIX)
        for path in folder.glob(f"*{suffix}")
    }
    last, _ = _last(folder)

    def order(path: Path) -> tuple[bool, int, str]:
        files = [one for one in (path, journal_path(path)) if one.exists()]
        time = max((one.stat().st_mtime_ns for one in files), default=0)
        return path.name == last, time, path.name

    return sorted((folder / f"{name}{SUFFIX}" for name in names), key=order)


def latest_cache(folder: Path) -> Path:
    """The cache in a folder that was extracted, or requested, last; shards are passed over.

    Raises:
        FerError: there is none, or its extraction was interrupted before anything was finished.
    """
    every = list_caches(folder)
    caches = [one for one in every if not SHARD_NAME.search(one.name)]
    if every and not caches:
        raise FerError(
            f"no cache in {folder}, only shards", hint=f"fer cache merge {folder} joins them"
        )
    if not caches:
        raise FerError(f"no cache in {folder}", hint="fer extract makes one")
    if not caches[-1].exists():
        raise FerError(
            f"{caches[-1]} is unfinished: its extraction was interrupted",
            hint="the same fer extract resumes it; or name another cache",
        )
    return caches[-1]


def remember(path: Path, selection: RowSelection) -> None:
    """Remember that this selection of this cache was requested last: the default of `fer fit`."""
    content = json.dumps({"cache": path.name, "choice": selection.id})
    with suppress(FerError):  # on a read-only disk nothing is remembered
        write_text(path.with_name(LAST), content)


def last_selection(path: Path) -> str | None:
    """The id of the selection of the cache at `path` that was requested last; None if unknown."""
    cache, selection = _last(path.parent)
    return selection if cache == path.name else None


def _last(folder: Path) -> tuple[str | None, str | None]:
    """File name and id of the selection requested last."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((folder / LAST).read_text(encoding="utf-8"))
        return str(found["cache"]), str(found["choice"])
    return None, None


def remove_cache(path: Path) -> int:
    """Delete a cache and all files that belong to it; returns how many bytes were freed.

    Raises:
        FerError: there is none.
    """
    files = _files(path)
    freed = sum(file.stat().st_size for file in files)
    for file in files:
        file.unlink()
    return freed


def describe_files(path: Path) -> str:
    """A cache's files and their size, as text.

    Raises:
        FerError: there is none.
    """
    files = _files(path)
    size = sum(file.stat().st_size for file in files)
    return f"{', '.join(map(str, files))} ({size / 1e6:,.1f} MB)"


def _files(path: Path) -> list[Path]:
    found = [beside(path, suffix) for suffix in (SUFFIX, JOURNAL_SUFFIX, NEW_SUFFIX)]
    found = [file for file in found if file.exists()]
    if not path.name.endswith(SUFFIX) or not found:
        raise FerError(f"no such cache: {path}", hint="fer cache list shows those there are")
    if path.exists() and not is_cache(path):
        raise FerError(f"{path}: not a feature cache", hint="fer removes only files that it wrote")
    return found


def free_bytes(folder: Path) -> int:
    """Free space of the disk that holds a folder, or that will hold it."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _size(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def check_space(folder: Path, needed: int, *, hint: str) -> None:
    """Make sure, before the work, that a disk has room for so many bytes.

    Raises:
        FerError: it has not.
    """
    free = free_bytes(folder)
    if free < needed:
        raise FerError(
            f"{folder}: about {_size(needed)} are needed, {_size(free)} are free",
            hint=hint,
        )
