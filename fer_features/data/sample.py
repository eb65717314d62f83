"""The built-in data set: 600 drawn faces in FER2013's form, with nothing downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_features.data.faces import IMAGE_SIZE, FaceIndex, Faces

SAMPLE = Path(__file__).with_name("sample.png")
"""The faces side by side, row by row, 25 in a line; its text ``emotion`` and ``usage`` hold one
digit for each. ``tools/draw_sample`` draws it."""


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
        index, images = _load()
        return hashlib.sha256(
            b"".join(map(bytes, (images, index.emotion, index.usage)))
        ).hexdigest()

    def index(self) -> FaceIndex:
        """Labels of all 600 rows."""
        return _load()[0]

    def read(self, rows: NDArray[np.int64], *, batch_size: int = 1024) -> Iterator[Faces]:
        """Yield `rows` (ascending), `batch_size` at a time.

        Raises:
            FerError: a row is not in the sample, or the batch size is below 1.
        """
        index, images = _load()
        batches = index.batches(rows, batch_size=batch_size, name=self.name)
        return (index.faces(places, images[places]) for places in batches)


@cache
def _load() -> tuple[FaceIndex, NDArray[np.uint8]]:
    """The index, and uint8 (600, 48, 48)."""
    with Image.open(SAMPLE) as picture:
        emotion, usage = (
            np.array(list(picture.info[name]), np.int8) for name in ("emotion", "usage")
        )
        tiles = np.asarray(picture).reshape(-1, IMAGE_SIZE, picture.width // IMAGE_SIZE, IMAGE_SIZE)
    images = np.ascontiguousarray(tiles.swapaxes(1, 2)).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)
    return FaceIndex(row=np.arange(len(images)), emotion=emotion, usage=usage), images
