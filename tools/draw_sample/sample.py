"""The 600 rows of the sample, and the picture file that stores them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from fer_features.data import IMAGE_SIZE, Faces, pixel_sha256
from tools.draw_sample.drawing import draw_faces
from tools.draw_sample.portable_random import PortableRandom

_ROWS = np.array((80, 40, 80, 180, 80, 60, 80))  # of each emotion, in the order of EMOTIONS
_TWINS = np.array((2, 1, 2, 3, 2, 1, 1))  # of them, rows that repeat another row
_PARTS = (480, 60, 60)  # rows of each usage, in the order of USAGES
_COLUMNS = 25  # faces in a line of the picture


def draw_sample(*, seed: int = 0) -> Faces:
    """Draw all 600 rows. The package has those of seed 0."""
    once = _ROWS - _TWINS
    emotion = np.repeat(np.arange(len(_ROWS), dtype=np.int8), once)
    first = np.cumsum(once) - once
    twins = [np.arange(start, start + n) for start, n in zip(first, _TWINS, strict=True)]
    shown = np.concatenate([np.arange(len(emotion)), *twins])
    shown = shown[PortableRandom(seed, stream=2, count=len(shown)).permutation()]
    images = draw_faces(emotion, seed=seed)[shown]
    return Faces(
        images=images,
        emotion=emotion[shown],
        usage=np.repeat(np.arange(len(_PARTS), dtype=np.int8), _PARTS),
        row=np.arange(len(images)),
        sha256=pixel_sha256(images),
    )


def save_sample(faces: Faces, path: Path) -> None:
    """Write the faces as one PNG, 25 in a line, with their labels as its text."""
    lines = faces.images.reshape(-1, _COLUMNS, IMAGE_SIZE, IMAGE_SIZE).swapaxes(1, 2)
    text = PngImagePlugin.PngInfo()
    for name, codes in (("emotion", faces.emotion), ("usage", faces.usage)):
        text.add_text(name, "".join(map(str, codes)))
    picture: NDArray[np.uint8] = lines.reshape(-1, _COLUMNS * IMAGE_SIZE)
    Image.fromarray(picture).save(path, optimize=True, pnginfo=text)
