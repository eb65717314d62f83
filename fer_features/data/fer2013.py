"""Whether images are FER2013's, which the published result is about."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from fer_features.runtime.image_keys import image_keys, seen_by

SHARE = 0.5
"""Share of the compared images that must be FER2013's."""

FEWEST = 5
"""Images that must be compared for an answer of yes: about one in 34 is."""


def is_fer2013(sha256: NDArray[np.bytes_]) -> bool:
    """Whether images are FER2013's, pixel for pixel.

    A MinHash sketch is compared (Broder, 1997, https://doi.org/10.1109/SEQUEN.1997.666900): the
    1,024 smallest 64-bit keys of FER2013's images come with this package
    (``tools/fer2013_keys.py`` made them). Of the images whose key is not above the largest of
    these, at least half must be among them.

    Args:
        sha256: ``S64`` (N,), hexadecimal SHA-256 of each image's pixels.

    Returns:
        False also where fewer than `FEWEST` images can be compared: of N FER2013 images about
        N / 34 can.
    """
    sketch = _sketch()
    compared = np.unique(sha256[image_keys(sha256) <= sketch[-1]])
    return len(compared) >= FEWEST and bool(seen_by(sketch, compared).mean() >= SHARE)


@cache
def _sketch() -> NDArray[np.uint64]:
    with files(__package__).joinpath("fer2013_keys.npy").open("rb") as file:
        keys: NDArray[np.uint64] = np.load(file, allow_pickle=False).astype(np.uint64)
    return keys
