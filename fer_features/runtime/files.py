"""Files that are written completely or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fer_features.errors import FerError, hint_of, reason_of


def check_writable(path: Path, *, hint: str) -> None:
    """Make sure that a file can be made, before the work whose result it is to hold.

    Args:
        path: the file; its folder, or the nearest above it that exists, is tried.
        hint: what to do otherwise.

    Raises:
        FerError: it cannot.
    """
    folder = next((one for one in path.parents if one.exists()), path.parent)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FerError(f"{folder} cannot be written: {reason_of(error)}", hint=hint) from error


def check_replaced(path: Path, *begins: bytes, what: str) -> None:
    """Make sure that a file which is to be replaced is of the kind that is to be written.

    Args:
        path: the file; if it does not exist or is empty, all is well.
        begins: what such a file begins with, one of them; in any case of letters.
        what: what it is.

    Raises:
        FerError: it is something else, the caller's data for example, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(max(map(len, begins))).lower()
    except (FileNotFoundError, NotADirectoryError):  # whether it can be written is seen then
        return
    except OSError as error:
        raise FerError(
            f"{path} cannot be replaced: {reason_of(error)}", hint="name another file"
        ) from error
    if start and not start.startswith(tuple(one.lower() for one in begins)):
        raise FerError(
            f"{path} exists, and is no {what}: it is not replaced",
            hint="name another file, or move that one away",
        )


@contextmanager
def atomic_path(path: Path, *, option: str = "") -> Iterator[Path]:
    """A temporary file in the same folder, which replaces `path` at the end of the block.

    Missing folders are made. If the block fails, `path` is unchanged and the temporary file is
    removed.

    Args:
        path: the file to write.
        option: the command's option that names it, for the error's hint.

    Raises:
        FerError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # a link of that name would be followed
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise FerError(
            f"{path} cannot be written: {reason_of(error)}",
            hint=(hint_of(error) or "name another place") + (f" with {option}" if option else ""),
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a text file in UTF-8; errors as for `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
