"""Faces in memory, the interface of a source of faces, and the built-in sample."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fer_features.data.labels import Labels
from fer_features.errors import FerError
from fer_features.runtime.progress import Advance

IMAGE_SIZE = 48
"""Height and width of a face, in pixels."""

SAMPLE = Path(__file__).with_name("sample.png")
"""The faces side by side, row by row, 25 in a line; its text ``emotion`` and ``usage`` hold one
digit for each. ``tools/draw_sample`` draws it."""


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used: its number in the source, and the reason."""

    row: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Row metadata, the same for an index and for faces in memory."""

    row: NDArray[np.int64]
    emotion: NDArray[np.int8]
    usage: NDArray[np.int8]
    family: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        if len(self.family) != len(self.row):
            object.__setattr__(self, "family", np.full(len(self.row), -1, np.int64))

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, kw_only=True)
class Faces(_Rows):
    """Images in memory, with their labels.

    Attributes:
        images: uint8 (N, 48, 48), grey levels 0 to 255.
        emotion: int8 (N,), index into `EMOTIONS`.
        usage: int8 (N,), index into `USAGES`, or -1 if the source names none.
        row: int64 (N,), row number in the source, from 0.
        sha256: ``S64`` (N,), hex SHA-256 of each image's 2,304 pixel bytes.
        family: int64 (N,), the same number for images whose names mark them as copies of one
            photograph; -1 for all others (default).
    """

    images: NDArray[np.uint8]
    sha256: NDArray[np.bytes_]


@dataclass(frozen=True, kw_only=True)
class FaceIndex(_Rows):
    """Labels of all usable rows of a source, read without decoding a pixel.

    Attributes:
        row: int64 (N,), as in `Faces`, ascending.
        emotion: int8 (N,), as in `Faces`.
        usage: int8 (N,), as in `Faces`.
        family: int64 (N,), as in `Faces`.
        bad: rows left out because the source was opened with ``skip_bad=True``.
        notes: what was left out, mapped or ambiguous in the source, one sentence each.
        ignored: number of rows left out by their label.
    """

    bad: tuple[BadRow, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: int = 0

    @property
    def source_rows(self) -> int:
        """Number of rows in the source, including those left out."""
        return len(self) + len(self.bad) + self.ignored

    def batches(
        self, rows: NDArray[np.int64], *, batch_size: int, name: str
    ) -> list[NDArray[np.int64]]:
        """Positions of `rows` in this index, in arrays of at most `batch_size`.

        Raises:
            FerError: a row is not in the index, the rows are not in ascending order, or the batch
                size is below 1. `name` is the source's.
        """
        if batch_size < 1:
            raise FerError(f"{name}: the batch size must be 1 or more, not {batch_size}")
        wanted = np.asarray(rows, dtype=np.int64)
        if (np.diff(wanted) <= 0).any():
            raise FerError(f"{name}: row numbers must be unique and in ascending order")
        missing = ~np.isin(wanted, self.row, assume_unique=True)
        if missing.any():
            raise FerError(f"{name} has no usable row {wanted[missing][0]}")
        places = np.searchsorted(self.row, wanted)
        return [places[start : start + batch_size] for start in range(0, len(places), batch_size)]

    def faces(self, places: NDArray[np.int64], images: NDArray[np.uint8]) -> Faces:
        """The decoded `images`, uint8 (M, 48, 48), of the rows at `places`, int64 (M,)."""
        return Faces(
            images=images,
            sha256=pixel_sha256(images),
            row=self.row[places],
            emotion=self.emotion[places],
            usage=self.usage[places],
            family=self.family[places],
        )


class FaceSource(Protocol):
    """A CSV file, a folder of pictures or the built-in sample.

    `index` is cheap; `read` decodes only the requested rows, and can be called many times.
    """

    @property
    def name(self) -> str:
        """The file's or folder's own name, or ``sample``."""

    def digest(self) -> str:
        """Hex SHA-256 of the source's content."""

    def index(self) -> FaceIndex:
        """Labels and row numbers of all usable rows."""

    def read(self, rows: NDArray[np.int64], *, batch_size: int = 1024) -> Iterator[Faces]:
        """Decode `rows` (ascending row numbers of `index`), `batch_size` at a time.

        One batch is held in memory at a time. A row that cannot be decoded is a `FerError` that
        names the file and the row.
        """


class FileSource(ABC):
    """What a CSV file and a folder of pictures have in common as a `FaceSource`.

    Args:
        path: the file or folder.
        skip_bad: let `index` decode every image and leave the bad ones out.
        ignore: labels, or names of class folders, whose images are left out.
        classes: the emotion that other labels or class folders count as, by name.

    Raises:
        FerError: `ignore` and `classes` contradict each other, or name no emotion.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        skip_bad: bool = False,
        ignore: Sequence[str] = (),
        classes: Mapping[str, str] | None = None,
    ) -> None:
        self.path = self._path = Path(path)
        self._skip_bad = skip_bad
        self._labels = Labels(ignore, classes)

    @property
    @abstractmethod
    def name(self) -> str:
        """The file's or folder's own name, with unprintable characters escaped."""

    @abstractmethod
    def index(self) -> FaceIndex:
        """Labels and row numbers of all usable rows."""

    def read(self, rows: NDArray[np.int64], *, batch_size: int = 1024) -> Iterator[Faces]:
        """Decode `rows` (ascending row numbers of `index`), `batch_size` at a time.

        Raises:
            FerError: a row is not in the index or its image cannot be decoded, the batch size is
                below 1, or a CSV file has changed since it was indexed.
        """
        return self._decode(self.index().batches(rows, batch_size=batch_size, name=self.name))

    @abstractmethod
    def _decode(self, batches: list[NDArray[np.int64]]) -> Iterator[Faces]:
        """The faces at each of `batches`, positions in `index`."""


class SampleFaces:
    """600 drawn faces in FER2013's form, for a first run; no person is shown.

    - 180 happy, 80 each of angry, fear, sad and neutral, 60 surprise, 40 disgust, shuffled.
    - Rows 0 to 479 are Training, 480 to 539 PublicTest, 540 to 599 PrivateTest.
    - Like FER2013, it has exact copies: 12 rows repeat the pixels and the label of an earlier row,
      some of them in another part.
    - An emotion is drawn as the FACS action units that make it up, each of random intensity; the
      person, pose, light, grain and occlusions do not depend on it. Some faces are ambiguous.
    """

    name = "sample"

    def digest(self) -> str:
        """Hex SHA-256 of the images' bytes, then the emotions', then the usages', row by row."""
        index, images = _sample()
        return hashlib.sha256(
            b"".join(map(bytes, (images, index.emotion, index.usage)))
        ).hexdigest()

    def index(self) -> FaceIndex:
        """Labels of all 600 rows."""
        return _sample()[0]

    def read(self, rows: NDArray[np.int64], *, batch_size: int = 1024) -> Iterator[Faces]:
        """Yield `rows` (ascending), `batch_size` at a time.

        Raises:
            FerError: a row is not in the sample, or the batch size is below 1.
        """
        index, images = _sample()
        batches = index.batches(rows, batch_size=batch_size, name=self.name)
        return (index.faces(places, images[places]) for places in batches)


@cache
def _sample() -> tuple[FaceIndex, NDArray[np.uint8]]:
    """The index, and uint8 (600, 48, 48)."""
    from PIL import Image

    with Image.open(SAMPLE) as picture:
        emotion, usage = (
            np.array(list(picture.info[name]), np.int8) for name in ("emotion", "usage")
        )
        tiles = np.asarray(picture).reshape(-1, IMAGE_SIZE, picture.width // IMAGE_SIZE, IMAGE_SIZE)
    images = np.ascontiguousarray(tiles.swapaxes(1, 2)).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    return FaceIndex(row=np.arange(len(images)), emotion=emotion, usage=usage), images


def pixel_sha256(images: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Hex SHA-256 of each image's pixel bytes: uint8 (N, H, W) to ``S64`` (N,)."""
    return np.array([hashlib.sha256(one.tobytes()).hexdigest() for one in images], dtype="S64")


def read_all(
    source: FaceSource,
    rows: NDArray[np.int64] | None = None,
    *,
    advance: Advance = lambda n: None,
) -> Faces:
    """Read `rows` (default: every usable row) into memory.

    Args:
        source: where to read.
        rows: int64 (M,), ascending row numbers of the source's index.
        advance: progress callback, called with the number of images in each batch.

    Raises:
        FerError: a row cannot be read.
    """
    index = source.index()
    nothing = np.empty((0, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    parts = [index.faces(np.empty(0, np.int64), nothing)]
    for part in source.read(index.row if rows is None else rows):
        parts.append(part)
        advance(len(part))
    columns = [one.name for one in fields(Faces)]
    return Faces(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in columns})
