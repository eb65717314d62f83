"""The exception for mistakes that the caller can correct, and its texts."""

from __future__ import annotations

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


def install_hint(*extras: str) -> str:
    """The command that installs this package with some of its extras.

    It names the folder that the source is in: no index has the package.
    """
    return f'pip install ".[{",".join(extras)}]"' if extras else "pip install ."


UPDATE = f"bring fer_features up to date (git pull, then {install_hint()})"
"""What to do about a file that a newer version has written."""
