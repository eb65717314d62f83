"""Files that are written completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fer_features.errors import FerError, reason_of


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
            hint="make room there, or name another place" + (f" with {option}" if option else ""),
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a text file in UTF-8; errors as for `atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
