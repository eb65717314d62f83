"""Why a cache cannot be read, and what to do about it: deleting is the last resort."""

from __future__ import annotations

from pathlib import Path

from fer_features.errors import FerError, reason_of

FIRST_WORDS = "fer_features cache"

_OPEN_ELSEWHERE = ("already open for", "unable to lock", "locking flag")
"""What HDF5 says of a file that some program has open, or has left without closing."""


def unreadable(path: Path, error: OSError) -> FerError:
    """Why HDF5 does not open or read a file, and what to do about it."""
    text = str(error)
    if any(words in text for words in _OPEN_ELSEWHERE):
        return FerError(
            f"{path} is open elsewhere: another program has it open for writing, or ended without "
            "closing it",
            hint="wait until it has closed it; where none has it open, h5clear --status (of HDF5) "
            "clears the mark, and fer cache verify says whether the file is whole",
        )
    if error.errno or "errno" in text:
        return FerError(
            f"{path} cannot be read: {reason_of(error)}",
            hint="the file may be whole: look at its permissions and its disk",
        )
    try:
        ours = is_cache(path)
    except OSError as other:
        return unreadable(path, other)
    if not ours:
        return FerError(
            f"{path}: not a readable HDF5 file: {text}", hint="give a cache that fer extract wrote"
        )
    wait = "if it is still being copied here, wait; else " if "truncated" in text else ""
    return FerError(f"{path} is damaged: {text}", hint=wait + damaged_hint(path))


def damaged_hint(path: Path) -> str:
    """What to do about a damaged cache, and what that costs."""
    try:
        size = f"{path.stat().st_size / 1e6:,.1f} MB"
    except OSError:
        size = "all"
    return (
        f"fetch a copy, or delete it and extract again: that loses its features ({size}), which "
        "are computed again from the images"
    )


def is_cache(path: Path) -> bool:
    """Whether a file is a cache, by its first words; a damaged one is one, too."""
    with path.open("rb") as file:
        return file.read(len(FIRST_WORDS)) == FIRST_WORDS.encode()
