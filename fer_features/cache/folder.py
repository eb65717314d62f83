"""The folder of caches: which there are, and which was asked for last."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

from fer_features.cache.faults import is_cache
from fer_features.cache.record import (
    DRAFT_SUFFIX,
    JOURNAL_SUFFIX,
    SUFFIX,
    RowSelection,
    beside,
)
from fer_features.errors import FerError

LAST = "last.json"
GRAPHS = "graphs"
"""Where engines keep the graphs that they have compiled or converted."""


def list_caches(folder: Path) -> list[Path]:
    """The caches of a folder by their names, begun ones too, the one asked for last at the end."""
    names = {path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}")}
    names |= {path.name.removesuffix(JOURNAL_SUFFIX) for path in folder.glob(f"*{JOURNAL_SUFFIX}")}
    last = _last(folder)

    def order(path: Path) -> tuple[bool, int, str]:
        files = [one for one in (path, journal_of(path)) if one.exists()]
        time = max((one.stat().st_mtime_ns for one in files), default=0)
        return last is not None and path.name == last[0], time, path.name

    return sorted((folder / f"{name}{SUFFIX}" for name in names), key=order)


def journal_of(path: Path) -> Path:
    """Where the cache at `path` keeps what has been computed and is not in it yet."""
    return beside(path, JOURNAL_SUFFIX)


def latest_cache(folder: Path) -> Path:
    """The cache in a folder that was extracted, or asked for, last.

    Raises:
        FerError: there is none, or its extraction was interrupted before anything was finished.
    """
    caches = list_caches(folder)
    if not caches:
        raise FerError(f"no cache in {folder}", hint="fer extract makes one")
    if not caches[-1].exists():
        raise FerError(
            f"{caches[-1]} has been begun and not finished",
            hint="the same fer extract goes on where it stopped; or name another cache",
        )
    return caches[-1]


def remember(path: Path, choice: RowSelection) -> None:
    """Note that this choice of this cache was asked for last, so that `fer fit` takes it up."""
    place = path.with_name(LAST)
    draft = place.with_name(f".{LAST}.{path.name}")
    with contextlib.suppress(OSError):  # a cache on a read-only disk serves as well
        draft.write_text(json.dumps({"cache": path.name, "choice": choice.id}), encoding="utf-8")
        draft.replace(place)


def last_selection(path: Path) -> str | None:
    """The id of the choice that was asked for last of the cache at `path`; None if not known."""
    last = _last(path.parent)
    return last[1] if last is not None and last[0] == path.name else None


def _last(folder: Path) -> tuple[str, str] | None:
    try:
        noted = json.loads((folder / LAST).read_text(encoding="utf-8"))
        return str(noted["cache"]), str(noted["choice"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_cache(path: Path) -> int:
    """Delete a cache and what belongs to it; the number of bytes that were freed.

    Raises:
        FerError: there is none.
    """
    files = _files(path)
    freed = sum(file.stat().st_size for file in files)
    for file in files:
        file.unlink()
    return freed


def describe_files(path: Path) -> str:
    """A cache's files and their size, for people.

    Raises:
        FerError: there is none.
    """
    files = _files(path)
    size = sum(file.stat().st_size for file in files)
    return f"{', '.join(map(str, files))} ({size / 1e6:,.1f} MB)"


def _files(path: Path) -> list[Path]:
    places = [beside(path, suffix) for suffix in (SUFFIX, JOURNAL_SUFFIX, DRAFT_SUFFIX)]
    found = [file for file in places if file.exists()]
    if not path.name.endswith(SUFFIX) or not found:
        raise FerError(f"no such cache: {path}", hint="fer cache list shows those there are")
    if path.exists() and not is_cache(path):
        raise FerError(
            f"{path}: not a feature cache", hint="what fer did not write, it leaves alone"
        )
    return found


def free_bytes(folder: Path) -> int:
    """How much more the disk under a folder holds."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
