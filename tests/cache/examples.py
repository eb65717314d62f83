"""Caches of a few rows with known numbers, made without any network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_features.cache import Header, Rows, RowSelection, journal_path, open_writer
from fer_features.cache.journal import JournalWriter
from fer_features.cache.record import Columns

HEADER = Header(
    spec={"backbone": "tiny", "weights": "random:0"},
    dataset={"name": "some faces", "sha256": "d" * 64},
    key="0123456789abcdef",
)
COLUMNS: Columns = {"top/pooled": ((2,), "float32"), "top/map": ((1, 2, 2), "float16")}
SOFTWARE = {"fer_features": "0", "engine": "by hand"}


def selection(
    *numbers: int, features: Sequence[str] = tuple(COLUMNS), task: str = "few"
) -> RowSelection:
    info = {"task": {"name": task}, "per_class": None, "seed": 0, "skip_bad": False}
    return RowSelection(info=info, features=tuple(features), rows=np.array(numbers, np.int64))


def rows(*numbers: int, images: Sequence[int] = ()) -> Rows:
    """Rows by their numbers; `images` says which image each shows, by default its own."""
    n = np.array(numbers, np.int64)
    shown = images or numbers
    return Rows(
        emotion=(n % 7).astype(np.int8),
        usage=np.zeros(len(n), np.int8),
        sha256=np.array([b"%064d" % one for one in shown], "S64"),
        source_row=n,
    )


def features(*images: int, columns: Columns = COLUMNS) -> dict[str, np.ndarray]:
    """Features of images: the image's number, with the sign of its place turned."""
    out = {}
    for name, (shape, dtype) in columns.items():
        flat = np.zeros((len(images), int(np.prod(shape))))
        for at, image in enumerate(images):
            flat[at] = image * np.where(np.arange(flat.shape[1]) % 2, -1, 1)
        out[name] = flat.reshape(-1, *shape).astype(dtype)
    return out


def journal(
    path: Path,
    batches: Sequence[Sequence[int]],
    requested: RowSelection,
    *,
    columns: Columns = COLUMNS,
    header: Header = HEADER,
) -> None:
    """Leave a journal beside a cache, with batches of rows that all show images of their own."""
    path.parent.mkdir(exist_ok=True)
    about = {"header": header, "selection": requested, "software": SOFTWARE, "columns": columns}
    with JournalWriter(journal_path(path), **about) as writer:
        for batch in batches:
            writer.append(rows(*batch), features(*batch, columns=columns))


def merge(
    path: Path,
    *,
    compression: str | None = None,
    selections: Sequence[RowSelection] = (),
    copies: Sequence[Rows] = (),
) -> None:
    """Recover a cache's journal as the next command does, and add selections or copies."""
    with open_writer(path, compression=compression) as writer:
        if selections or copies:
            writer.compact(selections=selections, copies=copies)


def make_cache(path: Path, *batches: Sequence[int]) -> Path:
    """A complete cache of these rows."""
    journal(path, batches, selection(*sorted(n for batch in batches for n in batch)))
    merge(path)
    return path
