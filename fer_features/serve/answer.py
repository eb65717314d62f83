"""The answer for a picture, with the milliseconds that each step took."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import ExifTags, Image, UnidentifiedImageError

from fer_features.detect import Detector
from fer_features.detect.crop import check_crop_rule
from fer_features.model.decoding import Seconds
from fer_features.model.model import Model
from fer_features.model.pictures import predict_pictures
from fer_features.model.predictions import Prediction
from fer_features.serve.limits import Limits
from fer_features.serve.refused import RefusedError


@dataclass(frozen=True)
class Milliseconds:
    """How long each step took, with waiting for another picture's."""

    decode: float
    detect: float
    predict: float


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
    status: str
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
    faces: list[FaceAnswer]
    ms: Milliseconds


FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of the formats that are taken: no other decoder sees a stranger's bytes."""


class Answerer:
    """Finds the faces in a picture and asks the model for each; may be called from many threads.

    Args:
        model: a model.
        detector: finds the faces.
        limits: the largest picture.

    Raises:
        FerError: the model is for faces that are cut out otherwise than the detector's.
    """

    def __init__(self, model: Model, detector: Detector, limits: Limits) -> None:
        check_crop_rule(model.crop, model=model.name)
        self._model, self._detector, self._limits = model, detector, limits
        Image.init()
        self._formats = [name for name in FORMATS if name in Image.OPEN]

    def answer(self, body: bytes) -> Answer:
        """The faces in a picture file, with their classes.

        Raises:
            RefusedError: 413, it has too many pixels; 422, it cannot be decoded.
        """
        width, height = self._upright_size(body)
        seconds = Seconds()
        (found,) = predict_pictures(
            self._model, [body], detector=self._detector, workers=1, seconds=seconds
        )
        first = found.rows[0]
        if first.status == "unreadable":
            raise _unreadable(first.reason)
        classes = tuple(self._model.classes)
        faces = [_face(row, classes) for row in found.rows if row.status != "no_face"]
        ms = Milliseconds(**{step: round(1000 * s, 1) for step, s in vars(seconds).items()})
        return Answer(self._model.name, classes, width, height, faces, ms)

    def _upright_size(self, body: bytes) -> tuple[int, int]:
        """The picture's width and height, from its header, before anything is decoded."""
        limit = self._limits.pixels
        try:
            with (
                warnings.catch_warnings(action="ignore"),
                Image.open(io.BytesIO(body), formats=self._formats) as image,
            ):
                (width, height), turn = image.size, image.getexif().get(ExifTags.Base.Orientation)
        except Image.DecompressionBombError:
            width, height, turn = limit + 1, 1, 1
        except UnidentifiedImageError:
            raise _unreadable("it is no picture of a known type") from None
        except Exception as error:  # a damaged header raises anything
            raise _unreadable(str(error) or type(error).__name__) from None
        if width * height > limit:
            raise RefusedError(
                413,
                f"the picture has more than {limit / 1e6:g} million pixels",
                "send a smaller picture",
            )
        return (height, width) if turn in (5, 6, 7, 8) else (width, height)


def _face(row: Prediction, classes: tuple[str, ...]) -> FaceAnswer:
    assert row.face_score is not None  # noqa: S101  found, not the whole picture
    assert row.size_px is not None  # noqa: S101
    x, y, w, h = (round(float(getattr(row, name)), 1) for name in "xywh")
    named = None
    if row.probabilities is not None:
        named = {name: round(p, 6) for name, p in zip(classes, row.probabilities, strict=True)}
    return FaceAnswer(
        x, y, w, h, round(row.face_score, 4), round(row.size_px, 1), row.status, row.label, named
    )


def _unreadable(reason: str) -> RefusedError:
    return RefusedError(
        422, f"the picture cannot be read: {reason}", "send a JPEG, PNG or WebP file"
    )
