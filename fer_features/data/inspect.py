"""What a source holds: counts, exact copies, constant images; and a few rows to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.config import EMOTIONS, USAGES
from fer_features.data.folder import FolderFaces
from fer_features.data.picture import PictureForms
from fer_features.data.record import IMAGE_SIZE, BadRow, FaceIndex, FaceSource
from fer_features.errors import FerError

NO_USAGE = "none"
"""The key of the images without a usage, in `DataSummary.to_dict`."""


@dataclass(frozen=True, eq=False)
class DataSummary:
    """What a source holds.

    Attributes:
        name: the source's name.
        digest: hex SHA-256 of the source.
        rows: usable rows.
        counts: int64 (7, 4), images by emotion, in the order of `EMOTIONS`, and by usage, in the
            order of `USAGES` with those that have none last.
        image_size: height and width in pixels.
        copies: surplus exact copies: rows less the number of different images.
        conflicts: groups of identical images whose labels are not all the same.
        constant: rows of the images with one grey level only, ascending.
        bad: rows that were left out.
        notes: what a user must know of how the source was read.
        pictures: sizes and colour of the files; None where the source is not a folder of pictures.
    """

    name: str
    digest: str
    rows: int
    counts: NDArray[np.int64]
    image_size: tuple[int, int]
    copies: int
    conflicts: int
    constant: tuple[int, ...]
    bad: tuple[BadRow, ...]
    notes: tuple[str, ...]
    pictures: PictureForms | None

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON types; ``counts`` by the names of emotion and usage."""
        usages = (*USAGES, NO_USAGE)
        return {
            "name": self.name,
            "sha256": self.digest,
            "rows": self.rows,
            "counts": {
                emotion: dict(zip(usages, line, strict=True))
                for emotion, line in zip(EMOTIONS, self.counts.tolist(), strict=True)
            },
            "image_size": list(self.image_size),
            "surplus_copies": self.copies,
            "conflicting_groups": self.conflicts,
            "constant_rows": list(self.constant),
            "bad_rows": [{"row": one.row, "reason": one.reason} for one in self.bad],
            "notes": list(self.notes),
            "pictures": None if self.pictures is None else self.pictures.to_dict(),
        }


def summarize(source: FaceSource) -> DataSummary:
    """Look at every image of a source once; only 64 bytes an image are kept of it.

    Raises:
        FerError: the source cannot be read.
    """
    index = source.index()
    hashes, constant = [], []
    for faces in source.read(index.row):
        hashes.append(faces.sha256)
        flat = faces.images.reshape(len(faces), -1)
        constant += faces.row[flat.min(axis=1) == flat.max(axis=1)].tolist()
    _, image = np.unique(np.concatenate(hashes), return_inverse=True)
    return DataSummary(
        name=source.name,
        digest=source.digest(),
        rows=len(index),
        counts=_count(index),
        image_size=(IMAGE_SIZE, IMAGE_SIZE),
        copies=len(image) - int(image.max()) - 1,
        conflicts=_count_conflicts(image, index.emotion),
        constant=tuple(constant),
        bad=index.bad,
        notes=index.notes,
        pictures=source.forms() if isinstance(source, FolderFaces) else None,
    )


def _count(index: FaceIndex) -> NDArray[np.int64]:
    counts = np.zeros((len(EMOTIONS), len(USAGES) + 1), np.int64)
    # A usage of -1 is the last column, as it is the last in the table.
    np.add.at(counts, (index.emotion, index.usage), 1)
    return counts


def _count_conflicts(image: NDArray[np.int64], emotion: NDArray[np.int8]) -> int:
    """How many of the images, numbered from 0, stand with more than one emotion."""
    labels = np.zeros((int(image.max()) + 1, len(EMOTIONS)), np.bool_)
    labels[image, emotion] = True
    return int((labels.sum(axis=1) > 1).sum())


def sample_rows(index: FaceIndex, *, per_emotion: int, seed: int) -> NDArray[np.int64]:
    """Choose rows for a grid of pictures.

    Args:
        index: of the source.
        per_emotion: how many of each emotion; all of it where it has fewer.
        seed: seed of the choice; 0 or more. What is chosen of an emotion does not depend on the
            other emotions' rows.

    Returns:
        int64 (M,), row numbers in ascending order, as `FaceSource.read` takes them.

    Raises:
        FerError: `per_emotion` is below 1, or the seed below 0.
    """
    if per_emotion < 1 or seed < 0:
        raise FerError(
            f"{per_emotion} images of each emotion with seed {seed} cannot be chosen",
            hint="take 1 or more of each, and a seed of 0 or more",
        )
    chosen = []
    for code in range(len(EMOTIONS)):
        rows = index.row[index.emotion == code]
        rng = np.random.default_rng((seed, code))
        chosen.append(rng.choice(rows, min(per_emotion, len(rows)), replace=False))
    return np.sort(np.concatenate(chosen))
