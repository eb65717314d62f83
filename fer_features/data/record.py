"""What every source of faces yields, and what every source must be able to do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fer_features.runtime.progress import Advance

SPELLINGS = (
    ("angry", "anger"),
    ("disgust", "disgusted"),
    ("fear", "fearful"),
    ("happy", "happiness"),
    ("sad", "sadness"),
    ("surprise", "surprised"),
    ("neutral",),
)
"""Names by which each of `EMOTIONS` is known in the labels of a source, in any case."""

IMAGE_SIZE = 48
"""Height and width of a face, in pixels."""


_NO_FAMILY: NDArray[np.int64] = np.empty(0, np.int64)


@dataclass(frozen=True)
class BadRow:
    """A row that could not be used: its number in the source, and why."""

    row: int
    reason: str


@dataclass(frozen=True)
class FaceIndex:
    """What is known of a source before any pixel is decoded; one entry for each usable row.

    Attributes:
        row: int64 (N,), the row's number in the source, counted from 0, ascending.
        emotion: int8 (N,), a place in `EMOTIONS`.
        usage: int8 (N,), a place in `USAGES`, or -1.
        bad: rows left out because the source was opened with ``skip_bad=True``.
        notes: what a user must know of how the source was read, a sentence each: files passed over,
            classes left out.
        ignored: how many rows of the source were left out by their label, on request.
        family: int64 (N,), the same number for images that the source names as copies of one
            photograph, -1 for all others.
    """

    row: NDArray[np.int64]
    emotion: NDArray[np.int8]
    usage: NDArray[np.int8]
    bad: tuple[BadRow, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: int = 0
    family: NDArray[np.int64] = field(default_factory=lambda: _NO_FAMILY)

    def __post_init__(self) -> None:
        _fill_family(self, len(self))

    def __len__(self) -> int:
        return len(self.row)

    @property
    def source_rows(self) -> int:
        """How many rows the source has, with those that are left out."""
        return len(self) + len(self.bad) + self.ignored


@dataclass(frozen=True)
class Faces:
    """Decoded faces.

    Attributes:
        images: uint8 (N, 48, 48), grey levels 0 to 255.
        emotion: int8 (N,), a place in `EMOTIONS`.
        usage: int8 (N,), a place in `USAGES`, or -1.
        row: int64 (N,), the row's number in the source, counted from 0.
        sha256: bytes (N,) as ``S64``, the hex SHA-256 of each image's 2,304 pixel bytes.
        family: int64 (N,), as in `FaceIndex`.
    """

    images: NDArray[np.uint8]
    emotion: NDArray[np.int8]
    usage: NDArray[np.int8]
    row: NDArray[np.int64]
    sha256: NDArray[np.bytes_]
    family: NDArray[np.int64] = field(default_factory=lambda: _NO_FAMILY)

    def __post_init__(self) -> None:
        _fill_family(self, len(self))

    def __len__(self) -> int:
        return len(self.images)


def _fill_family(owner: FaceIndex | Faces, count: int) -> None:
    """Where a source knows nothing of families, no image is in one."""
    if owner.family is _NO_FAMILY:
        object.__setattr__(owner, "family", np.full(count, -1, np.int64))


class FaceSource(Protocol):
    """Where faces come from: a CSV file, a folder of pictures, the built-in sample.

    A source is opened once and may be read many times. `index` is cheap; `read` decodes only the
    rows it is asked for.
    """

    @property
    def name(self) -> str:
        """The source's short name: the file's or folder's own name, or ``sample``."""

    def digest(self) -> str:
        """Hex SHA-256 of what the source is made of (the file's bytes, say)."""

    def index(self) -> FaceIndex:
        """Labels and row numbers of all usable rows, without decoding pixels."""

    def read(self, rows: NDArray[np.int64], *, batch_size: int = 1024) -> Iterator[Faces]:
        """Decode `rows` (ascending row numbers out of `index`), `batch_size` at a time.

        Memory stays flat: one batch is held at a time. A row that cannot be decoded is a
        `FerError` that names the file and the row.
        """


def pixel_sha256(images: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Hex SHA-256 of each image's pixel bytes: uint8 (N, H, W) to ``S64`` (N,)."""
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    digests = [hashlib.sha256(image.data).hexdigest().encode() for image in flat]
    return np.array(digests, dtype="S64")


def read_all(
    source: FaceSource,
    rows: NDArray[np.int64] | None = None,
    *,
    advance: Advance | None = None,
) -> Faces:
    """All of `rows` (default: every usable row) as one record; memory grows with their number.

    `advance` is told of the images of each batch.
    """
    wanted = source.index().row if rows is None else rows
    parts = []
    for part in source.read(wanted):
        parts.append(part)
        if advance is not None:
            advance(len(part))
    if not parts:
        empty = np.empty(0)
        return Faces(
            images=np.empty((0, IMAGE_SIZE, IMAGE_SIZE), np.uint8),
            emotion=empty.astype(np.int8),
            usage=empty.astype(np.int8),
            row=empty.astype(np.int64),
            sha256=empty.astype("S64"),
        )
    return Faces(
        images=np.concatenate([part.images for part in parts]),
        emotion=np.concatenate([part.emotion for part in parts]),
        usage=np.concatenate([part.usage for part in parts]),
        row=np.concatenate([part.row for part in parts]),
        sha256=np.concatenate([part.sha256 for part in parts]),
        family=np.concatenate([part.family for part in parts]),
    )
