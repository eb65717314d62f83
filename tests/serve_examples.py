"""A model that needs no weights, and a server in a thread, for the tests of `fer serve`."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import uvicorn
from numpy.typing import NDArray
from PIL import Image

from fer_features.config import EMOTIONS
from fer_features.detect import CROP_RULE, Face


class FakeModel:
    """Says happy with 0.9 of bright faces, and of dark ones everything alike."""

    name = "fake"
    classes = EMOTIONS
    threshold = None
    uncertain_below = 0.4
    crop = CROP_RULE
    record = SimpleNamespace(
        spec=SimpleNamespace(backbone="fernet", learnt_from="fer2013 (7 labels)"),
        split=SimpleNamespace(train=28709),
        data=SimpleNamespace(name="fer2013"),
        head="logreg",
        head_title="logistic regression",
        marks=[],
        test=SimpleNamespace(accuracy=0.712, n=3589),
        intervals={"accuracy": (0.697, 0.7265)},
    )

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        bright = images.mean(axis=(1, 2)) > 60
        happy = np.full(len(EMOTIONS), 0.1 / 6)
        happy[EMOTIONS.index("happy")] = 0.9
        alike = np.full(len(EMOTIONS), 1 / 7)
        return np.where(bright[:, None], happy, alike)

    def labels(self, probabilities: NDArray[np.float64]) -> NDArray[np.str_]:
        return np.array(self.classes)[probabilities.argmax(axis=1)]


class FakeDetector:
    """Finds the white rectangle in a black picture."""

    def iter_detect(self, pictures: Iterable[NDArray[np.uint8]]) -> Iterator[list[Face]]:
        return map(self._find, pictures)

    def _find(self, picture: NDArray[np.uint8]) -> list[Face]:
        grey = picture if picture.ndim == 2 else picture.max(axis=2)
        rows, columns = np.nonzero(grey > 128)
        if not len(rows):
            return []
        x, y = int(columns.min()), int(rows.min())
        w, h = int(columns.max()) + 1 - x, int(rows.max()) + 1 - y
        eyes = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
        return [Face(x, y, w, h, 0.9, (eyes * [w, h] + [x, y]).astype(np.float32))]


def picture(
    *,
    width: int = 120,
    height: int = 80,
    box: tuple[int, int, int, int] | None = (10, 20, 30, 40),
    kind: str = "PNG",
    **options: Any,
) -> bytes:
    """A black picture with a white rectangle (x, y, w, h), as a file's bytes."""
    pixels = np.zeros((height, width), np.uint8)
    if box is not None:
        x, y, w, h = box
        pixels[y : y + h, x : x + w] = 255
    return encoded(pixels, kind, **options)


def encoded(pixels: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    """A picture file's bytes."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@contextmanager
def serving(app: Any, **limits: Any) -> Iterator[str]:
    """The address of a server of the application, in a thread."""
    from fer_features.serve.limits import Limits
    from fer_features.serve.server import listen, make_server

    listener = listen("127.0.0.1", 0)
    server: uvicorn.Server = make_server(app, Limits(**limits))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield "http://{}:{}".format(*listener.getsockname())
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
