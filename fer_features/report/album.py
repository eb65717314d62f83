"""The faces that a report shows, from the cache that its runs were fitted on."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.config import EMOTIONS, USAGES
from fer_features.errors import FerError
from fer_features.report.markup import Markup, tag


@dataclass(frozen=True)
class Face:
    """A face as it is shown.

    Attributes:
        image: uint8 (H, W).
        emotion: the data set's own label.
        usage: which of the data set's own parts it is in; empty where it has none.
    """

    image: NDArray[np.uint8]
    emotion: str
    usage: str


def read_faces(record: dict[str, Any], rows: Iterable[int]) -> dict[int, Face]:
    """Faces of a run's cache, by their row numbers in the source.

    Args:
        record: the run's record.
        rows: the numbers; those that the cache does not hold are left out.

    Raises:
        FerError: the cache is gone, is another one now, or does not hold its images.
    """
    from fer_features.cache import Cache

    path = Path(record["cache"].get("path", ""))
    with Cache(path) as cache:
        if cache.header.key != record["cache"]["key"]:
            raise FerError(f"{path} is another cache than the one that the runs were fitted on")
        numbers = np.intersect1d(np.fromiter(rows, np.int64), cache.rows.source_row)
        places = np.searchsorted(cache.rows.source_row, numbers)
        who, images = cache.rows[places], cache.images(places)
    return {
        int(row): Face(image, EMOTIONS[emotion], USAGES[usage] if usage >= 0 else "")
        for row, image, emotion, usage in zip(numbers, images, who.emotion, who.usage, strict=True)
    }


def picture(face: Face, *, alt: str) -> Markup:
    """A face as an ``img`` that carries its own PNG."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(face.image).save(out, "png", optimize=True)
    source = "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
    height, width = face.image.shape
    return tag("img", src=source, alt=alt, width=width, height=height, class_="face")
