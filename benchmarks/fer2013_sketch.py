"""Make ``fer_features/data/fer2013.npy``, by which FER2013's images are recognised.

``python benchmarks/fer2013_sketch.py fer2013.csv``
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import fer_features.data
from fer_features.data import open_faces, read_all
from fer_features.data.summary import sketch

if __name__ == "__main__":
    keys = sketch(read_all(open_faces(sys.argv[1])).sha256)
    np.save(Path(fer_features.data.__file__).with_name("fer2013.npy"), keys)
