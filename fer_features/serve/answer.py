"""The answer for a picture, with the milliseconds that each step took."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fer_features.data.pictures import Photograph, read_photograph
from fer_features.detect import Detector, Face, crop_face
from fer_features.serve.limits import Limits
from fer_features.serve.refused import RefusedError


@dataclass
class Milliseconds:
    """How long each step took; waiting for another picture's step is not counted."""

    decode: float = 0.0
    detect: float = 0.0
    predict: float = 0.0

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        """Time a step."""
        start = time.perf_counter()
        yield
        setattr(self, step, round((time.perf_counter() - start) * 1000, 1))


@dataclass(frozen=True)
class FaceAnswer:
    """A face: its box in pixels of the upright picture, and what the model says.

    Attributes:
        x, y, w, h: the box; (x, y) is its upper left corner.
        score: how sure the detector is that it is a face, 0 to 1.
        size_px: the side of the square that the model is shown.
        status: ``ok``; ``uncertain``, no class is likely enough; ``too_small``.
        label: the class; none for a face that is too small to answer for.
        probabilities: of each class, in the model's order; none without a label.
    """

    x: float
    y: float
    w: float
    h: float
    score: float
    size_px: float
    status: Literal["ok", "uncertain", "too_small"]
    label: str | None = None
    probabilities: dict[str, float] | None = None


@dataclass(frozen=True)
class Answer:
    """What is said of a picture.

    Attributes:
        model: the model's name.
        classes: the model's classes.
        width, height: the picture's, turned upright as its EXIF data say.
        faces: the one with the highest score first; empty where none is found.
        ms: how long it took.
    """

    model: str
    classes: tuple[str, ...]
    width: int
    height: int
    faces: list[FaceAnswer] = field(default_factory=list)
    ms: Milliseconds = field(default_factory=Milliseconds)


FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of the formats that are taken: no other decoder sees a stranger's bytes."""

REFUSED_BELOW = 20
"""Faces of fewer pixels get no answer."""


class Answerer:
    """Finds the faces in a picture and asks the model for each; may be called from many threads.

    Pictures are decoded at the same time, faces found and classified one picture after another:
    the engines use all cores for one.

    Args:
        model: has ``name``, ``classes``, ``uncertain_below`` and ``probabilities``.
        detector: has ``detect``.
        limits: the largest picture.
    """

    def __init__(self, model: Any, detector: Any, limits: Limits) -> None:
        self._model, self._detector, self._limits = model, detector, limits
        self._lock = Lock()
        Image.init()
        self._formats = [name for name in FORMATS if name in Image.OPEN]

    def answer(self, body: bytes) -> Answer:
        """The faces in a picture file, with their classes.

        Raises:
            RefusedError: 413, it has too many pixels; 422, it cannot be decoded.
        """
        ms = Milliseconds()
        with ms.of("decode"):
            self._check_size(body)
            photograph = _read(body)
        with self._lock:
            with ms.of("detect"):
                faces = self._detector.detect(photograph.pixels)
            with ms.of("predict"):
                answers = self._classify(photograph, faces)
        size = photograph.width, photograph.height
        return Answer(self._model.name, tuple(self._model.classes), *size, answers, ms)

    def _check_size(self, body: bytes) -> None:
        limit = self._limits.pixels
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(body), formats=self._formats) as image:
                pixels = image.width * image.height
        except Image.DecompressionBombError:
            pixels = limit + 1
        except UnidentifiedImageError:
            raise _unreadable("it is no picture of a known type") from None
        except Exception as error:  # noqa: BLE001  a damaged header raises anything
            raise _unreadable(str(error)) from None
        if pixels > limit:
            raise RefusedError(
                413,
                f"the picture has more than {limit / 1e6:g} million pixels",
                "send a smaller picture",
            )

    def _classify(self, photograph: Photograph, faces: Sequence[Face]) -> list[FaceAnswer]:
        factor = photograph.width / photograph.pixels.shape[1]
        large = [place for place, face in enumerate(faces) if face.h * factor >= REFUSED_BELOW]
        rows = {}
        if large:
            crops = np.stack([crop_face(photograph.pixels, faces[place]) for place in large])
            rows = dict(zip(large, self._model.probabilities(crops), strict=True))
        return [self._face(face, factor, rows.get(place)) for place, face in enumerate(faces)]

    def _face(self, face: Face, factor: float, row: NDArray[np.float64] | None) -> FaceAnswer:
        box = [round(value * factor, 1) for value in (face.x, face.y, face.w, face.h)]
        about = (*box, round(face.score, 4), box[3])
        if row is None:
            return FaceAnswer(*about, "too_small")
        threshold = self._model.uncertain_below
        uncertain = threshold is not None and row.max() < threshold
        label = str(self._model.labels(row[None])[0])
        named = {name: round(float(p), 6) for name, p in zip(self._model.classes, row, strict=True)}
        return FaceAnswer(*about, "uncertain" if uncertain else "ok", label, named)


def _read(body: bytes) -> Photograph:
    try:
        return read_photograph(body)
    except ValueError as error:
        raise _unreadable(str(error)) from None


def _unreadable(reason: str) -> RefusedError:
    return RefusedError(
        422, f"the picture cannot be read: {reason}", "send a JPEG, PNG or WebP file"
    )
