"""The exception for mistakes that the caller can correct, and its texts."""

from __future__ import annotations

import errno
import os
import re


class FerError(Exception):
    """A mistake that the caller can correct: what is wrong, and what to do next.

    Raise it where the mistake is found; the command line prints it in one place, as two lines,
    and exits with status 2. Any other exception is a fault of the program.

    Args:
        message: what is wrong, in one line, naming the file, row or option it is about.
        hint: what to do about it, in one line; empty where the message says it already.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


def reason_of(error: OSError) -> str:
    """Why something could not be read or written, in a few words: HDF5's own are many."""
    number = re.search(r"errno = (\d+)", str(error))
    if number:
        return os.strerror(int(number[1]))
    return error.strerror or next(iter(str(error).splitlines()), "") or type(error).__name__


def hint_of(error: OSError) -> str:
    """What to do where something could not be written; empty if the reason is another one."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room there, or name another place"
    return "name another place" if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) else ""


def install_hint(*extras: str) -> str:
    """The command that installs what some of this package's extras need.

    Without an extra it is this package itself, from the folder of its source: no index has it.
    """
    needed = [one for extra in extras for one in _requirements(extra)]
    if needed:
        return " ".join(["pip install", *(f'"{one}"' for one in needed)])
    return f'pip install ".[{",".join(extras)}]"' if extras else "pip install ."


def _requirements(extra: str) -> list[str]:
    """The packages of an extra, with their versions."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        listed = requires("fer-features") or []
    except PackageNotFoundError:  # run from its source
        return []
    parts = [one.partition(";") for one in listed]
    wanted = f"extra == '{extra}'"
    return [name.strip() for name, _, marker in parts if wanted in marker.replace('"', "'")]


UPDATE = f"bring fer_features up to date (git pull, then {install_hint()})"
"""What to do about a file that a newer version has written."""
