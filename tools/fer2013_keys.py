"""Make `fer_features/data/fer2013_keys.npy` from the original fer2013.csv: hashes, no image."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from fer_features.data import open_faces, read_all
from fer_features.runtime.image_keys import image_keys

NUMBER = 1024


def main(data: str) -> None:
    """Write the smallest keys of the images of `data`."""
    source = open_faces(data)
    keys = np.unique(image_keys(read_all(source, source.index().row).sha256))
    path = Path(__file__).parents[1] / "fer_features" / "data" / "fer2013_keys.npy"
    np.save(path, keys[:NUMBER].astype("<u8"))


if __name__ == "__main__":
    main(sys.argv[1])
