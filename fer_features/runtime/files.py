"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A name to write under, in the same folder; what is there takes `path`'s place at the end.

    Where the block fails, `path` is as it was, and the draft is gone.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    draft.unlink(missing_ok=True)  # a link of that name would be followed
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
