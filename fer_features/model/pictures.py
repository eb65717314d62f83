"""From pictures to predictions: decoded ahead, faces found and predicted together, in order."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_features.detect.boxes import only_largest
from fer_features.detect.crop import REFUSED_PX, check_crop_rule, crop_face, side_of
from fer_features.detect.sources import list_sources
from fer_features.errors import FerError
from fer_features.model.decoding import (
    Options,
    Picture,
    Seconds,
    Source,
    corner_of,
    decode,
    part_of,
)
from fer_features.model.faces import PICTURES, as_pixels, as_sequence
from fer_features.model.predictions import OUTSIDE, Prediction, Predictions

if TYPE_CHECKING:
    from fer_features.detect.boxes import Face

FACES_TOGETHER = 64
"""Faces that are predicted together."""

PICTURES_TOGETHER = 32
"""Pictures after which their faces are predicted, however few they are."""

PIXELS_TOGETHER = 32_000_000
"""Pixels of pictures after which their faces are predicted."""


class FaceModel(Protocol):
    """What is needed of a `Model`."""

    name: str
    classes: tuple[str, ...]
    uncertain_below: float | None
    crop: str

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Of faces uint8 (N, 48, 48): (N, K)."""

    def labels(self, probabilities: NDArray[Any]) -> NDArray[np.str_]:
        """Of probabilities (N, K): (N,)."""


class FaceDetector(Protocol):
    """What is needed of a `Detector`."""

    def iter_detect(self, pictures: Iterable[NDArray[np.uint8]]) -> Iterator[list[Face]]:
        """The faces of each picture, as they come."""


@dataclass(frozen=True)
class Answer:
    """A picture and its rows."""

    picture: Picture
    rows: list[Prediction]


class Cut(NamedTuple):
    """A picture with its faces, which are not predicted yet.

    Attributes:
        picture: the picture.
        rows: its rows, without labels.
        crops: uint8 (48, 48) each, the faces of the rows with status ``ok``, in their order.
    """

    picture: Picture
    rows: list[Prediction]
    crops: list[NDArray[np.uint8]]


@dataclass
class _Waiting:
    """Pictures whose faces are found but not predicted."""

    pictures: list[Cut] = field(default_factory=list)

    def is_full(self) -> bool:
        shown = (one.picture.pixels for one in self.pictures)
        pixels = sum(one.size for one in shown if one is not None)
        faces = sum(len(one.crops) for one in self.pictures)
        many = len(self.pictures) >= PICTURES_TOGETHER or faces >= FACES_TOGETHER
        return many or pixels >= 3 * PIXELS_TOGETHER


def predict_pictures(
    model: FaceModel,
    sources: Iterable[Source],
    *,
    detector: FaceDetector | None = None,
    options: Options = Options(),  # noqa: B008  frozen
    workers: int | None = None,
    seconds: Seconds | None = None,
) -> Iterator[Answer]:
    """Find the faces in pictures and videos, and predict them.

    However many pictures there are, a few are in memory: they are decoded by several threads, a
    few ahead; faces are looked for in several pictures at once, and the faces of several pictures
    are predicted together.

    Args:
        model: a model.
        sources: files (pictures, or videos by their suffix) and arrays.
        detector: finds the faces; by default a new one.
        options: what is looked for.
        workers: threads that decode; by default one for each processor, at most four.
        seconds: the time spent waiting for each step is added.

    Yields:
        An answer for each picture or frame, in the sources' order. What cannot be read has an
        answer too.

    Raises:
        FerError: the model's weights are not found, an engine is not available, or the model is for
            faces that are cut out otherwise.
    """
    if not options.whole:
        check_crop_rule(model.crop, model=model.name)
    seconds = seconds or Seconds()
    waiting = _Waiting()
    for cut in cut_faces(sources, options, detector=detector, workers=workers, seconds=seconds):
        waiting.pictures.append(cut)
        if waiting.is_full():
            yield from _predict(model, waiting, seconds)
            waiting = _Waiting()
    yield from _predict(model, waiting, seconds)


def cut_faces(
    sources: Iterable[Source],
    options: Options,
    *,
    detector: FaceDetector | None = None,
    workers: int | None = None,
    seconds: Seconds | None = None,
) -> Iterator[Cut]:
    """Find the faces in pictures and videos and cut them out; arguments as `predict_pictures`."""
    seconds = seconds or Seconds()
    decoded = decode(sources, options, workers or min(4, os.cpu_count() or 1), seconds)
    if detector is None and not options.whole:
        from fer_features.detect.detector import Detector

        detector = Detector()
    for picture, faces in _find(decoded, detector, options, seconds):
        yield Cut(picture, *_rows(picture, faces, options))


def detect_and_predict(
    model: FaceModel, pictures: Any, *, detector: FaceDetector | None = None, **options: Any
) -> Predictions:
    """See `Model.detect_and_predict`."""
    alone = getattr(pictures, "ndim", 1) in (0, 2, 3)
    sources = _sources([pictures] if alone else as_sequence(pictures))
    answers = predict_pictures(model, sources, detector=detector, options=Options(**options))
    return Predictions(tuple(row for one in answers for row in one.rows), tuple(model.classes))


def _sources(pictures: Iterable[Any]) -> Iterator[Source]:
    for number, one in enumerate(pictures):
        if isinstance(one, (str, os.PathLike)):
            if not Path(one).exists():
                raise FerError(f"{one} does not exist", hint=PICTURES)
            yield from list_sources([Path(one)])
            continue
        array = as_pixels(one, f"picture {number}")
        if array.shape[2:] not in ((), (3,)):
            raise FerError(f"picture {number} is of shape {array.shape}", hint=PICTURES)
        yield array


def _find(
    decoded: Iterator[Picture], detector: FaceDetector | None, options: Options, seconds: Seconds
) -> Iterator[tuple[Picture, list[Any]]]:
    """Each picture with the faces that are found in it, in their pixels of the whole picture."""
    if options.whole or detector is None:
        yield from ((picture, []) for picture in decoded)
        return
    waiting: deque[tuple[Picture, bool]] = deque()
    inside = 0.0

    def parts() -> Iterator[NDArray[np.uint8]]:
        nonlocal inside
        while True:
            begun = time.perf_counter()
            picture = next(decoded, None)
            inside += time.perf_counter() - begun
            if picture is None:
                return
            part = part_of(picture, options.region)
            waiting.append((picture, part.size > 0))
            if part.size:
                yield part

    found = detector.iter_detect(parts())
    while True:
        begun, inside = time.perf_counter(), 0.0
        faces = next(found, None)
        seconds.add("detect", begun + inside)
        while waiting and not waiting[0][1]:  # nothing was looked for in these
            yield waiting.popleft()[0], []
        if faces is None:
            return
        picture, _ = waiting.popleft()
        yield picture, [_moved(one, *corner_of(picture, options.region)) for one in faces]


def _moved(face: Face, left: int, top: int) -> Face:
    shift = np.array((left, top), np.float32)
    return replace(face, x=face.x + left, y=face.y + top, landmarks=face.landmarks + shift)


def _rows(
    picture: Picture, faces: list[Face], options: Options
) -> tuple[list[Prediction], list[NDArray[np.uint8]]]:
    """A picture's rows, and the 48×48 faces of those that get a label, in the rows' order."""
    common = Prediction(picture.source, picture.frame, picture.time_s, reason=picture.reason)
    if picture.pixels is None:
        return [replace(common, status="unreadable")], []
    if options.whole and picture.face is not None:
        part = part_of(picture, options.region)
        left, top = corner_of(picture, options.region)
        height, width = part.shape[:2]
        size_px = min(height, width)
        row = _found(common, 0, (left, top, width, height), None, size_px, picture.scale)
        return [row], [picture.face] if row.status != "too_small" else []
    if options.largest:
        faces = only_largest(faces)
    if not faces:
        outside = not part_of(picture, options.region).size
        return [replace(common, status="no_face", reason=OUTSIDE if outside else "")], []
    rows, crops = [], []
    for number, face in enumerate(faces):
        box = (face.x, face.y, face.w, face.h)
        rows.append(_found(common, number, box, face.score, side_of(face), picture.scale))
        if rows[-1].status != "too_small":
            crops.append(crop_face(picture.pixels, face))
    return rows, crops


def _found(
    common: Prediction,
    number: int,
    box: tuple[float, float, float, float],
    score: float | None,
    size_px: float,
    scale: float,
) -> Prediction:
    x, y, w, h = (one * scale for one in box)
    status = "too_small" if size_px < REFUSED_PX else "ok"
    return replace(
        common, face=number, x=x, y=y, w=w, h=h, face_score=score, size_px=size_px, status=status
    )


def _predict(model: FaceModel, waiting: _Waiting, seconds: Seconds) -> Iterator[Answer]:
    begun = time.perf_counter()
    crops = [crop for one in waiting.pictures for crop in one.crops]
    probabilities = model.probabilities(np.stack(crops)) if crops else np.empty((0, 0))
    labels: Iterable[str] = model.labels(probabilities) if crops else ()
    answers = iter(zip(probabilities.tolist(), labels, strict=True))
    seconds.add("predict", begun)
    for picture, rows, _ in waiting.pictures:
        named = (replace(row, model=model.name) for row in rows)
        yield Answer(
            picture,
            [_labelled(row, *next(answers), model) if row.status == "ok" else row for row in named],
        )


def _labelled(
    row: Prediction, probabilities: list[float], label: Any, model: FaceModel
) -> Prediction:
    least = model.uncertain_below
    status = "uncertain" if least is not None and max(probabilities) < least else "ok"
    return replace(row, status=status, label=str(label), probabilities=tuple(probabilities))
