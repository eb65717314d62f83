"""The package `fer` of PyPI as the peer of ``python -m benchmarks predict``.

A script for any Python with it in (``--peer-python``): it imports nothing of this package. Given a
folder, it runs the package with its own defaults (Haar cascade, quantised network) on each picture,
once to warm up and once by the clock, and prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any


def main(paths: list[str]) -> None:
    """Measure, and print the line."""
    import cv2
    from fer.fer import FER

    detector: Any = FER()
    decode = found = 0.0
    faces = 0
    for measured in (False, True):
        for path in paths if measured else paths[:3]:
            begun = time.perf_counter()
            picture = cv2.imread(path)
            read = time.perf_counter()
            answers = detector.detect_emotions(picture)
            if measured:
                decode += read - begun
                found += time.perf_counter() - read
                faces += len(answers)
    about = {"pictures": len(paths), "faces": faces, "seconds": decode + found}
    print(json.dumps({"version": version("fer"), **about, "shares": {"decode": decode}}))


if __name__ == "__main__":
    main([str(one) for one in sorted(Path(sys.argv[1]).iterdir()) if one.is_file()])
