"""Files that are there complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fer_features.errors import FerError, reason_of


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary name in the same folder; what is written there replaces `path` at the end.

    If the block fails, `path` is as it was and the temporary file is removed.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    draft.unlink(missing_ok=True)  # a link of that name would be followed
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """Write a text file in UTF-8, complete or not at all; missing folders are made.

    Raises:
        FerError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FerError(
            f"{path} cannot be written: {reason_of(error)}",
            hint="make room there, or name another place",
        ) from error
    return path
