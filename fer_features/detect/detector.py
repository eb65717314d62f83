"""Finding the faces in pictures."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_features.detect.boxes import Face, find_faces
from fer_features.detect.engines import FaceNetwork, Result, make_network
from fer_features.detect.retinaface import MEAN, STRIDES, WEIGHTS

MIN_SCORE = 0.7
"""The lowest probability of a face."""

MAX_PIXELS = 1_000_000
"""Pictures with more pixels are reduced to as many before faces are looked for.

The network was made for faces of up to about 500 px. In larger ones it finds others.
"""

SMALL_PIXELS = 50_000
"""Pictures with fewer are doubled in width and height: in 48×48 px of which a face takes all, it
would be missed else.
"""

MAX_SIDE = 8192
"""The longest side of the pictures that faces are looked for in."""

DEPTH = 4
"""Pictures that are prepared or computed at once."""

Picture = NDArray[np.uint8]
"""uint8 (H, W) or (H, W, 3), grey levels or RGB."""


class Detector:
    """Finds faces with RetinaFace; may be used by several threads.

    The network is built when it is first needed, in under a second by OpenVINO.

    Args:
        engine: ``openvino``, ``keras`` or ``auto``: OpenVINO if it is installed.
        min_score: the lowest probability of a face, between 0 and 1, both excluded.
    """

    def __init__(self, *, engine: str = "auto", min_score: float = MIN_SCORE) -> None:
        if not 0 < min_score < 1:
            raise ValueError(f"min_score is {min_score}, not between 0 and 1")
        self._engine, self._min_score = engine, min_score
        self._network: FaceNetwork | None = None
        self._lock = threading.Lock()

    @property
    def settings(self) -> dict[str, Any]:
        """What decides which faces are found, in JSON types."""
        with WEIGHTS.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {"detector": WEIGHTS.stem, "detector_sha256": sha256, "min_score": self._min_score}

    def detect(self, picture: Picture) -> list[Face]:
        """Find the faces in a picture, uint8 (H, W) or (H, W, 3) in RGB.

        Returns:
            The faces in the picture's pixels, by score, descending.

        Raises:
            ValueError: the array has another shape or dtype.
            FerError: the engine is not available here.
        """
        return self.detect_many([picture])[0]

    def detect_many(self, pictures: Iterable[Picture]) -> list[list[Face]]:
        """Find the faces in each picture, several at once; the same faces as one by one."""
        return list(self.iter_detect(pictures))

    def iter_detect(self, pictures: Iterable[Picture]) -> Iterator[list[Face]]:
        """Like `detect_many`, but read pictures and return faces as they come."""
        network = self._built()
        waiting: deque[tuple[Result, tuple[float, float]]] = deque()
        for picture in pictures:
            prepared, factors = prepare(picture)
            waiting.append((network.submit(prepared), factors))
            if len(waiting) == DEPTH:
                yield self._faces(*waiting.popleft())
        while waiting:
            yield self._faces(*waiting.popleft())

    def _faces(self, result: Result, factors: tuple[float, float]) -> list[Face]:
        return find_faces(result(), min_score=self._min_score, factors=factors)

    def _built(self) -> FaceNetwork:
        with self._lock:
            if self._network is None:
                self._network = make_network(self._engine)
            return self._network


def prepare(picture: Picture) -> tuple[Picture, tuple[float, float]]:
    """Reduce a picture if it is large, double it if it is small, and pad it to multiples of 32.

    Returns:
        uint8 (h, w, 3), and the width and height of its pixels in pixels of `picture`.

    Raises:
        ValueError: the array has another shape or dtype, or is empty.
    """
    known = picture.ndim > 1 and picture.shape[2:] in ((), (3,))
    if picture.dtype != np.uint8 or not picture.size or not known:
        raise ValueError(f"no picture: {picture.dtype} {picture.shape}, not uint8 (H, W[, 3])")
    height, width = picture.shape[:2]
    enlarge = 2 if width * height < SMALL_PIXELS else 1
    scale = min(enlarge, math.sqrt(MAX_PIXELS / (width * height)), MAX_SIDE / max(width, height))
    if scale != 1:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        image = Image.fromarray(picture)
        picture = np.asarray(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2))
    h, w = picture.shape[:2]
    step = STRIDES[-1]
    padded = np.empty((-h % step + h, -w % step + w, 3), np.uint8)
    padded[h:] = padded[:h, w:] = MEAN  # as the network pads its maps
    padded[:h, :w] = picture if picture.ndim == 3 else picture[:, :, None]
    return padded, (width / w, height / h)
