"""The package `fer` of PyPI as the peer of ``python -m benchmarks accuracy``.

A script for any Python with it in (``--peer-python``): it imports nothing of this package. Called
with two files, it reads uint8 (N, 48, 48) grey faces from the first, an ``.npy``, writes the
probabilities (N, 7) of the package's default network to the second, and prints its version.

A picture that is a face is handed over with a rectangle around all of it, and ``offsets=(0, 0)``:
by default the package takes ten pixels more on each side, which its detector's tight rectangles
need, and which in a cropped picture are a plain border. All else is its own code.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

import numpy as np


def classify(images: Any, detector: Any) -> Any:
    """Probabilities (N, 7), unrounded, of faces uint8 (N, 48, 48) by a ``FER``."""
    found: list[Any] = []
    classifier = detector._classify_emotions  # the public answer has two decimals

    def noted(faces: Any) -> Any:
        found.append(classifier(faces))
        return found[-1]

    detector._classify_emotions = noted
    height, width = images.shape[1:]
    for image in images:
        coloured = np.repeat(image[:, :, np.newaxis], 3, axis=2)
        detector.detect_emotions(coloured, face_rectangles=[(0, 0, width, height)])
    return np.concatenate(found)


def main(images: str, out: str) -> None:
    """Read, classify, write."""
    from fer.fer import FER

    np.save(out, classify(np.load(images), FER(offsets=(0, 0))))
    print(version("fer"))


if __name__ == "__main__":
    main(*sys.argv[1:])
