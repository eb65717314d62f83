"""Errors for caches that cannot be read, with hints that name deleting only as the last resort."""

from __future__ import annotations

from pathlib import Path

from fer_features.cache.format import is_cache
from fer_features.errors import FerError, reason_of

_OPEN_ELSEWHERE = ("already open for", "unable to lock", "locking flag")
"""Words in HDF5's errors for a file that another program has open, or has not closed."""


def unreadable(path: Path, error: OSError) -> FerError:
    """The error for a file that HDF5 cannot open or read."""
    text = str(error)
    if any(words in text for words in _OPEN_ELSEWHERE):
        return FerError(
            f"{path} is open elsewhere: another program has it open for writing, or ended without "
            "closing it",
            hint="wait until it is closed; if no program has it open, h5clear --status (of HDF5) "
            "clears the mark, and fer cache verify checks the file",
        )
    if error.errno or "errno" in text:
        return FerError(
            f"{path} cannot be read: {reason_of(error)}",
            hint="the file may be intact: check its permissions and its disk",
        )
    try:
        foreign = not is_cache(path)
    except OSError as other:
        return unreadable(path, other)
    if foreign:
        return FerError(
            f"{path} is no HDF5 file, or only a part of one",
            hint="give a cache that fer extract wrote",
        )
    if "truncated" in text:
        return damaged(path, "it is truncated, its end is missing")
    return damaged(path, text)


def damaged(path: Path, what: str) -> FerError:
    """The error for a cache with wrong bytes; its hint names what deleting it would lose."""
    wait = "if it is still being copied here, wait; else " if "truncated" in what else ""
    size = f"{path.stat().st_size / 1e6:,.1f} MB" if path.exists() else "all"
    return FerError(
        f"{path} is damaged: {what}",
        hint=f"{wait}restore a copy, or delete it and extract again: that loses its features "
        f"({size}), which are then computed again from the images",
    )
