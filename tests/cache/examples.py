"""Caches of a few rows with known numbers, made without any network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_features.cache import (
    Header,
    JournalHeader,
    JournalWriter,
    OutputSpecs,
    Rows,
    RowSelection,
    fold,
    journal_of,
)

HEADER = Header(
    spec={"backbone": "tiny", "weights": "random:0"},
    dataset={"name": "some faces", "sha256": "d" * 64},
    key="0123456789abcdef",
)
OUTPUTS: OutputSpecs = {"top/pooled": ((2,), "float32"), "top/map": ((1, 2, 2), "float16")}
SOFTWARE = {"fer_features": "0", "engine": "by hand"}


def choice(
    *numbers: int, features: Sequence[str] = tuple(OUTPUTS), task: str = "few"
) -> RowSelection:
    info = {"task": {"name": task}, "per_class": None, "seed": 0, "skip_bad": False}
    return RowSelection(info=info, features=tuple(features), rows=np.array(numbers, np.int64))


def opening(*numbers: int, outputs: OutputSpecs = OUTPUTS, task: str = "few") -> JournalHeader:
    asked = choice(*numbers, features=tuple(outputs), task=task)
    return JournalHeader(header=HEADER, choice=asked, outputs=outputs, software=SOFTWARE)


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


def features(*images: int, outputs: OutputSpecs = OUTPUTS) -> dict[str, np.ndarray]:
    """Features of images: the image's number, with the sign of its place turned."""
    out = {}
    for name, (shape, dtype) in outputs.items():
        flat = np.zeros((len(images), int(np.prod(shape))))
        for at, image in enumerate(images):
            flat[at] = image * np.where(np.arange(flat.shape[1]) % 2, -1, 1)
        out[name] = flat.reshape(-1, *shape).astype(dtype)
    return out


def journal(path: Path, batches: Sequence[Sequence[int]], about: JournalHeader) -> None:
    """Write batches of rows that all show images of their own."""
    with JournalWriter(journal_of(path), about) as writer:
        for batch in batches:
            every = np.ones(len(batch), bool)
            writer.append(rows(*batch), every, features(*batch, outputs=about.outputs))


def make_cache(path: Path, *batches: Sequence[int]) -> Path:
    """A complete cache of these rows."""
    journal(path, batches, opening(*sorted(n for batch in batches for n in batch)))
    fold(path, journal_of(path))
    return path
