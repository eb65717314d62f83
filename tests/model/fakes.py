"""A model and a detector whose answers can be worked out by hand, and drawn pictures for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from fer_features.detect import CROP_RULE, Face

LEVEL = np.array([[0.3, 0.3], [0.7, 0.3], [0.5, 0.5], [0.35, 0.8], [0.65, 0.8]], np.float32)


class FakeDetector:
    """Each patch that is not black is a face; the largest has the highest score."""

    def iter_detect(self, pictures: Iterable[NDArray[np.uint8]]) -> Iterator[list[Face]]:
        for picture in pictures:
            yield self.detect(picture)

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        lit = picture.max(axis=2) > 40 if picture.ndim == 3 else picture > 40
        faces = []
        for rows, columns in ndimage.find_objects(ndimage.label(lit)[0]):
            x, y = columns.start, rows.start
            w, h = columns.stop - x, rows.stop - y
            if min(w, h) >= 4:  # no noise of compression
                marks = (LEVEL * (w, h) + (x, y)).astype(np.float32)
                faces.append(Face(x, y, w, h, min(w * h / 1e4, 1.0), marks))
        return sorted(faces, key=lambda one: -one.score)


class FakeModel:
    """Two classes: the probability of ``bright`` is the face's mean grey level over 255."""

    name = "fake"
    classes = ("dark", "bright")
    uncertain_below = 0.6
    crop = CROP_RULE

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.record: dict[str, str] = {}

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        self.batches.append(len(images))
        bright = images.mean(axis=(1, 2)) / 255
        return np.stack([1 - bright, bright], axis=1)

    def labels(self, probabilities: NDArray[np.float64]) -> NDArray[np.str_]:
        return np.array(self.classes)[probabilities.argmax(axis=1)]


def drawn(*patches: tuple[int, int, int, int], size: tuple[int, int] = (200, 120)) -> Any:
    """A black picture of (width, height) with square patches: x, y, side, grey level."""
    picture = np.zeros((size[1], size[0]), np.uint8)
    for x, y, side, level in patches:
        picture[y : y + side, x : x + side] = level
    return picture


def save(path: Path, picture: NDArray[np.uint8], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, **options)
    return path


def write_video(
    path: Path,
    pictures: Iterable[NDArray[np.uint8]],
    times_ms: Iterable[int],
    *,
    rotation: int = 0,
    **options: str,
) -> Path:
    """A video whose frames are shown at these times."""
    import av

    milliseconds = Fraction(1, 1000)
    with av.open(path, "w", options=options) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.bit_rate = 8_000_000
        stream.codec_context.time_base = milliseconds
        stream.pix_fmt = "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for place, (picture, time_ms) in enumerate(zip(pictures, times_ms, strict=True)):
            rgb = picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
            if not place:
                stream.height, stream.width = rgb.shape[:2]
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = time_ms, milliseconds
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path
