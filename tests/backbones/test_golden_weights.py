"""Files of pretrained weights of format 1, of the previous version and of this one.

Each holds a network of two arrays, a classifier, and the keys of the first 6 images of the drawn
sample; those of format 2 hold the images' signatures too.
"""

from pathlib import Path

import numpy as np
import pytest

from fer_features.backbones import get_backbone, resolve_weights, seen_images
from fer_features.backbones.weights import learnt_from
from fer_features.backbones.weights_file import is_weights_file, read_weights
from fer_features.data import open_faces, read_all
from fer_features.errors import FerError

GOLDEN = Path(__file__).parents[1] / "golden" / "weights"
FILES = ("format1.h5", "previous-format2.h5", "format2.h5")

NETWORK = {
    "stem/conv/kernel": [
        [-0.5, -0.375, -0.25, -0.125],
        [0.0, 0.125, 0.25, 0.375],
        [0.5, 0.625, 0.75, 0.875],
    ],
    "stem/conv/bias": [0.25, -1.0, 2.0, 0.5],
}
TOP = {
    "kernel": [[-3.5, -2.5], [-1.5, -0.5], [0.5, 1.5], [2.5, 3.5]],
    "bias": [0.125, -0.125],
}


@pytest.mark.parametrize("name", FILES)
def test_its_arrays_are_read(name: str) -> None:
    assert is_weights_file(GOLDEN / name)
    content = read_weights(GOLDEN / name)
    for part, known in ((content.network, NETWORK), (content.top, TOP)):
        assert {key: array.tolist() for key, array in part.items()} == known
        assert {array.dtype for array in part.values()} == {np.dtype(np.float16)}
    weights = resolve_weights(str(GOLDEN / name), get_backbone("fernet"))
    assert learnt_from(weights) == "sample, Training: 6 labels"


@pytest.mark.parametrize("name", FILES)
def test_it_knows_the_images_it_has_learnt_from(name: str) -> None:
    faces = read_all(open_faces("sample"), np.arange(12))
    images, sha256 = faces.images.copy(), faces.sha256.copy()
    images[1], sha256[1] = images[1, :, ::-1], sha256[11]  # a copy: mirrored, with another digest
    seen = seen_images(resolve_weights(str(GOLDEN / name), get_backbone("fernet")))
    assert seen is not None
    marks = seen.marks(images, sha256)
    exact = [1, 0, 1, 1, 1, 1] + 6 * [0]
    if name == "format1.h5":  # without signatures
        assert marks.tolist() == [[one] for one in exact]
    else:
        copy = [0, 1] + 10 * [0]
        assert marks.T.tolist() == [[a + b for a, b in zip(exact, copy, strict=True)], copy]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [100, 511, 512, 3000, -1])
def test_a_flipped_byte_is_an_error(tmp_path: Path, name: str, place: int) -> None:
    raw = bytearray((GOLDEN / name).read_bytes())
    raw[place] ^= 1
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(FerError, match=str(tmp_path / name)):
        read_weights(tmp_path / name)
