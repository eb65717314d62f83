"""The built-in data set: faces drawn from a seed, in FER2013's form, with nothing downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from fer_features.data.dice import Dice
from fer_features.data.drawing import draw_faces
from fer_features.data.record import FaceIndex, Faces, pixel_sha256
from fer_features.errors import FerError

# Rows of each emotion in the order of `EMOTIONS`, and how many of them are twins of other rows.
_ROWS = (80, 40, 80, 180, 80, 60, 80)
_TWINS = (2, 1, 2, 3, 2, 1, 1)

# Rows of each part in the order of `USAGES`: the first 480 rows are Training, as in FER2013.
_PARTS = (480, 60, 60)


class SampleFaces:
    """600 drawn faces that take FER2013's place in a first run; no person is shown.

    - 180 happy, 80 each of angry, fear, sad and neutral, 60 surprise, 40 disgust, shuffled.
    - Rows 0 to 479 are Training, 480 to 539 PublicTest, 540 to 599 PrivateTest.
    - As FER2013 does, it holds exact twins: 12 of the rows repeat the pixels and the label of
      an earlier row, and a twin may lie in another part than the row it repeats. The other 588
      are drawn one by one.
    - An emotion is drawn as the FACS action units that make it up, each of random intensity;
      the person, pose, light, film, and what hides the face are drawn without a look at it.
      Some faces are hard to tell, and a few cannot be told.

    The faces are drawn at the first `read` or `digest`, in about a second, and kept (1.4 MB).
    A seed gives the same bytes on every machine (see `fer_features.data.dice`).

    Args:
        seed: which 600 faces; 0 or more.

    Raises:
        FerError: the seed is below 0.
    """

    def __init__(self, *, seed: int = 0) -> None:
        if seed < 0:
            raise FerError(f"sample: the seed must be 0 or more, not {seed}")
        self._seed = seed

    @property
    def name(self) -> str:
        """``sample``, whatever the seed: `digest` tells seeds apart."""
        return "sample"

    def digest(self) -> str:
        """Hex SHA-256 of the images' bytes, then the emotions', then the usages', row by row."""
        faces = self._faces
        content = hashlib.sha256()
        for part in (faces.images, faces.emotion, faces.usage):
            content.update(part.tobytes())
        return content.hexdigest()

    def index(self) -> FaceIndex:
        """Labels of all 600 rows; nothing is drawn for it."""
        drawn, place = self._plan
        return FaceIndex(
            row=np.arange(sum(_ROWS), dtype=np.int64),
            emotion=drawn[place],
            usage=np.repeat(np.arange(len(_PARTS), dtype=np.int8), _PARTS),
        )

    def read(self, rows: NDArray[np.int64], *, batch_size: int = 1024) -> Iterator[Faces]:
        """Yield `rows` in the order given, `batch_size` at a time.

        Raises:
            FerError: a row is not in the sample, or the batch size is below 1.
        """
        if batch_size < 1:
            raise FerError(f"sample: the batch size must be 1 or more, not {batch_size}")
        count = sum(_ROWS)
        missing = rows[(rows < 0) | (rows >= count)]
        if missing.size:
            raise FerError(
                f"sample: there is no row {missing[0]}",
                hint=f"its rows are numbered from 0 to {count - 1}",
            )
        return self._batches(rows, batch_size)

    def _batches(self, rows: NDArray[np.int64], batch_size: int) -> Iterator[Faces]:
        for start in range(0, len(rows), batch_size):
            wanted = rows[start : start + batch_size]
            yield Faces(
                images=self._faces.images[wanted],
                emotion=self._faces.emotion[wanted],
                usage=self._faces.usage[wanted],
                row=self._faces.row[wanted],
                sha256=self._faces.sha256[wanted],
            )

    @cached_property
    def _plan(self) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Emotion of each drawn face (588,), and which of them each row shows (600,)."""
        once = np.subtract(_ROWS, _TWINS)
        drawn = _emotions_drawn()
        first = np.cumsum(once) - once
        twins = [
            np.arange(start, start + count) for start, count in zip(first, _TWINS, strict=True)
        ]
        shown = np.concatenate([np.arange(len(drawn)), *twins])
        return drawn, shown[Dice(self._seed, stream=2, count=len(shown)).order()]

    @cached_property
    def _faces(self) -> Faces:
        _, place = self._plan
        index = self.index()
        images = _draw(self._seed)[place]
        return Faces(
            images=images,
            emotion=index.emotion,
            usage=index.usage,
            row=index.row,
            sha256=pixel_sha256(images),
        )


def _emotions_drawn() -> NDArray[np.int8]:
    """Emotion of each drawn face (588,): all rows but the twins, emotion by emotion."""
    return np.repeat(np.arange(len(_ROWS), dtype=np.int8), np.subtract(_ROWS, _TWINS))


@lru_cache(maxsize=2)
def _draw(seed: int) -> NDArray[np.uint8]:
    """The drawn faces of a seed, uint8 (588, 48, 48); drawn once in a process."""
    images = draw_faces(_emotions_drawn(), seed=seed)
    images.flags.writeable = False
    return images
