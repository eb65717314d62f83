"""Whether images are FER2013's, which the published result is about.

``fer2013.npy`` is a bottom-k sketch (Cohen and Kaplan 2007,
https://doi.org/10.1145/1281100.1281133): the 1,024 smallest of the `image_keys` of FER2013's
35,887 images, hashes only. ``python benchmarks/fer2013_sketch.py fer2013.csv`` makes it again.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from fer_features.runtime.image_keys import image_keys

SKETCH_SIZE = 1024

_KNOWN_SHARE = 0.5
_FEWEST = 5
"""Comparable images below which nothing can be said. The sketch spans 3 % of all keys: of 1,000
images of FER2013 some 30 are comparable, of 500 fewer than 5 in one draw of 1,000."""


def sketch(sha256: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """The smallest keys of images, ascending: ``S64`` (N,) to uint64, at most `SKETCH_SIZE`."""
    return np.unique(image_keys(sha256))[:SKETCH_SIZE]


def is_fer2013(sha256: NDArray[np.bytes_]) -> bool:
    """Whether at least half of the images are FER2013's, pixel for pixel.

    Of the different images whose key is at most the sketch's largest, the share in the sketch
    estimates that of all. False where fewer than five images can be compared.

    Args:
        sha256: ``S64`` (N,), hex SHA-256 of each image's pixels.
    """
    with files("fer_features.data").joinpath("fer2013.npy").open("rb") as file:
        known = np.load(file, allow_pickle=False)
    keys = np.unique(image_keys(sha256))
    keys = keys[keys <= known[-1]]
    return len(keys) >= _FEWEST and bool(np.isin(keys, known).mean() >= _KNOWN_SHARE)
