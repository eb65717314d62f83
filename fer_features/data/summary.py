"""What a source has: counts, exact copies, constant images, and whether its images are FER2013's.

``fer2013.npy`` is a bottom-k sketch (Cohen and Kaplan 2007,
https://doi.org/10.1145/1281100.1281133): the 1,024 smallest of the `image_keys` of FER2013's
35,887 images, hashes only. ``python benchmarks/fer2013_sketch.py fer2013.csv`` makes it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.config import EMOTIONS, USAGES
from fer_features.data.faces import IMAGE_SIZE, BadRow, FaceIndex, FaceSource
from fer_features.data.pictures import PictureSource, read_form
from fer_features.errors import FerError
from fer_features.runtime.image_keys import image_keys

SKETCH_SIZE = 1024

LONG = 1.5
"""A picture whose longer side is more than this many times its shorter side is reported."""

LARGE = 4
"""A picture with a side of more than this many times 48 pixels, or of half as many if it is long,
may be a whole photograph."""

LOOKED_AT = 100
"""Pictures of which `photograph_notes` reads the headers."""

_KNOWN_SHARE = 0.5
_FEWEST = 5
"""Fewest comparable images. The sketch spans 3 % of all keys: of 1,000
images of FER2013 some 30 are comparable, of 500 fewer than 5 in one draw of 1,000."""


@dataclass(frozen=True)
class PictureForms:
    """How pictures are stored.

    Attributes:
        sizes: number of pictures of each (width, height), the most frequent first.
        colour: number of pictures stored in colour, even if they look grey.
        long: paths of pictures whose sides differ by more than a factor of `LONG`.
    """

    sizes: dict[tuple[int, int], int]
    colour: int
    long: tuple[str, ...]

    @property
    def resized(self) -> int:
        """Number of pictures that are not 48×48."""
        return sum(self.sizes.values()) - self.sizes.get((IMAGE_SIZE, IMAGE_SIZE), 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; the ten most frequent sizes as ``WIDTHxHEIGHT``."""
        widths, heights = zip(*self.sizes, strict=True)
        sizes = list(self.sizes.items())[:10]
        return {
            "sizes": {f"{width}x{height}": count for (width, height), count in sizes},
            "width": [min(widths), max(widths)],
            "height": [min(heights), max(heights)],
            "resized": self.resized,
            "colour": self.colour,
            "long": len(self.long),
            "long_example": self.long[0] if self.long else None,
        }


@dataclass(frozen=True, eq=False)
class DataSummary:
    """What a source has.

    Attributes:
        name: the source's name.
        digest: hex SHA-256 of the source.
        rows: number of usable rows.
        counts: int64 (7, 4), images by emotion, in the order of `EMOTIONS`, and by usage, in the
            order of `USAGES` with those of no usage last.
        image_size: height and width in pixels.
        copies: surplus exact copies: rows less the number of different images.
        conflicts: groups of identical images whose labels differ.
        constant: rows of the images with a single grey level, ascending.
        bad: rows that were left out.
        notes: what was left out, mapped or ambiguous in the source, one sentence each.
        pictures: sizes and colours of the files; None unless the source holds pictures.
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
        usages = (*USAGES, "none")
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
            "bad_rows": [vars(one) for one in self.bad],
            "notes": list(self.notes),
            "pictures": None if self.pictures is None else self.pictures.to_dict(),
        }


def summarize(source: FaceSource) -> DataSummary:
    """Summarize a source in one pass over its images, with 64 bytes of memory for each.

    Raises:
        FerError: the source cannot be read.
    """
    index = source.index()
    hashes, constant = [], []
    for faces in source.read(index.row):
        hashes.append(faces.sha256)
        constant += faces.row[np.ptp(faces.images, axis=(1, 2)) == 0].tolist()
    _, image = np.unique(np.concatenate(hashes), return_inverse=True)
    counts = np.zeros((len(EMOTIONS), len(USAGES) + 1), np.int64)
    np.add.at(counts, (index.emotion, index.usage), 1)  # a usage of -1 is the last column
    labels = np.zeros((image.max() + 1, len(EMOTIONS)), np.bool_)
    labels[image, index.emotion] = True
    return DataSummary(
        name=source.name,
        digest=source.digest(),
        rows=len(index),
        counts=counts,
        image_size=(IMAGE_SIZE, IMAGE_SIZE),
        copies=len(image) - len(labels),
        conflicts=int((labels.sum(axis=1) > 1).sum()),
        constant=tuple(constant),
        bad=index.bad,
        notes=index.notes,
        pictures=picture_forms(source) if isinstance(source, PictureSource) else None,
    )


def picture_forms(source: PictureSource) -> PictureForms | None:
    """Sizes and colours of the usable pictures as they are stored; decodes only their headers.

    Returns:
        None if the source's rows are no picture files.

    Raises:
        FerError: a picture's header cannot be read.
    """
    if not source.has_pictures:
        return None
    sizes, colour, long = Counter[tuple[int, int]](), 0, []
    rows = source.index().row
    for row, file in zip(rows.tolist(), source.files(rows), strict=True):
        with source.errors(row):
            size, in_colour = read_form(file)
        sizes[size] += 1
        colour += in_colour
        if max(size) > LONG * min(size):
            long.append(source.file_name(row) or f"row {row}")
    return PictureForms(sizes=dict(sizes.most_common()), colour=colour, long=tuple(long))


def photograph_notes(source: FaceSource, *, option: str) -> Iterator[str]:
    """A note if most of a source's first pictures may be whole photographs, read as faces.

    Args:
        source: the source; only a `PictureSource` has pictures.
        option: the command's option that finds the faces in them.
    """
    if not isinstance(source, PictureSource) or not source.has_pictures:
        return
    sizes = []
    for file in source.files(source.index().row[:LOOKED_AT]):
        with suppress(ValueError):  # reading the picture says what is wrong with it
            sizes.append(read_form(file)[0])
    large = [one for one in sizes if _may_be_photograph(*one)]
    if 2 * len(large) > len(sizes):
        width, height = max(large)
        yield (
            f"pictures (the largest {width}×{height} pixels) are each squashed whole to "
            f"{IMAGE_SIZE}×{IMAGE_SIZE}, as faces; in photographs {option} finds the faces instead"
        )


def _may_be_photograph(width: int, height: int) -> bool:
    short, long = sorted((width, height))
    return long > IMAGE_SIZE * (LARGE / 2 if long > LONG * short else LARGE)


def sample_rows(index: FaceIndex, *, per_emotion: int, seed: int) -> NDArray[np.int64]:
    """Draw rows of each emotion at random.

    Args:
        index: the source's index.
        per_emotion: rows of each emotion; all of an emotion that has fewer.
        seed: 0 or more; the rows of an emotion do not depend on the other emotions' rows.

    Returns:
        int64 (M,), ascending row numbers.

    Raises:
        FerError: `per_emotion` is below 1, or the seed below 0.
    """
    if per_emotion < 1 or seed < 0:
        raise FerError(
            f"cannot draw {per_emotion} images of each emotion with seed {seed}",
            hint="give 1 or more of each, and a seed of 0 or more",
        )
    drawn = []
    for code in range(len(EMOTIONS)):
        rows = index.row[index.emotion == code]
        rng = np.random.default_rng((seed, code))
        drawn.append(rng.choice(rows, min(per_emotion, len(rows)), replace=False))
    return np.sort(np.concatenate(drawn))


def sketch(sha256: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """The smallest keys of images, ascending: ``S64`` (N,) to uint64, at most `SKETCH_SIZE`."""
    return np.unique(image_keys(sha256))[:SKETCH_SIZE]


def is_fer2013(sha256: NDArray[np.bytes_]) -> bool:
    """Whether at least half of the images are FER2013's, pixel for pixel.

    Of the different images whose key is at most the sketch's largest, the share in the sketch
    estimates that of all. False where fewer than five images can be compared.

    Args:
        sha256: ``S64`` (N,), hex SHA-256 of each image's pixels.
    """
    with files("fer_features.data").joinpath("fer2013.npy").open("rb") as file:
        known = np.load(file, allow_pickle=False)
    keys = np.unique(image_keys(sha256))
    keys = keys[keys <= known[-1]]
    return len(keys) >= _FEWEST and bool(np.isin(keys, known).mean() >= _KNOWN_SHARE)
