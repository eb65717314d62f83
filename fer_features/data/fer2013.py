"""Whether images are FER2013's, which the published result is about."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer_features.backbones import get_backbone, resolve_weights, seen_images
from fer_features.errors import FerError
from fer_features.runtime.image_keys import seen_by

KNOWN_SHARE = 0.5
"""The share of FER2013's images that must be known; of all, and of its binary task, 76 % are."""


def is_fer2013(sha256: NDArray[np.bytes_]) -> bool | None:
    """Whether images are FER2013's, pixel for pixel.

    The package's own weights have learnt from most of FER2013's Training part, and their file
    records which images those are.

    Args:
        sha256: ``S64`` (N,), hex SHA-256 of each image's pixels.

    Returns:
        None where that file is missing or damaged.
    """
    try:
        known = seen_images(resolve_weights("shipped", get_backbone("fernet")))
    except FerError:
        return None
    if known is None:
        return None
    return bool(seen_by(known.keys, sha256).mean() >= KNOWN_SHARE)
