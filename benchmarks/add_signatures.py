"""Add signatures of the images that a weights file has learnt from, found in the data by its keys.

    python benchmarks/add_signatures.py WEIGHTS DATA OUT

This made format 2 of `fer_features/backbones/fernet.h5`. Nothing else in the file changes.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_features.backbones.signatures import signature_list
from fer_features.backbones.weights_file import read_weights, write_weights
from fer_features.data import open_faces, read_all
from fer_features.runtime.image_keys import image_keys


def main(weights: str, data: str, out: str) -> None:
    """Read `weights` and `data`, and write `out`."""
    content, faces = read_weights(Path(weights)), read_all(open_faces(data))
    learnt = np.isin(image_keys(faces.sha256), content.seen)
    found = len(np.unique(faces.sha256[learnt]))
    if found != len(content.seen):
        sys.exit(f"{data} holds {found:,} of the {len(content.seen):,} images of {weights}")
    signatures = signature_list(faces.images[learnt])
    write_weights(Path(out), replace(content, signatures=signatures))
    print(f"{found:,} images, {len(signatures):,} signatures, {Path(out).stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
