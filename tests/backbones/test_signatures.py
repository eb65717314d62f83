"""Copies of images are recognised after JPEG compression and resizing; other images are not."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fer_features.backbones.signatures import find_copies, signature_list, signatures
from fer_features.data import open_faces, read_all

Images = NDArray[np.uint8]


@pytest.fixture(scope="module")
def faces() -> Images:
    """Drawn faces of different people."""
    return read_all(open_faces("sample"), np.arange(0, 600, 15)).images


def jpeg(image: Images, quality: int) -> Images:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def resized(image: Images, size: int, method: Image.Resampling) -> Images:
    other = Image.fromarray(image).resize((size, size), method)
    return np.asarray(other.resize((48, 48), method))


METHODS = [
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
]
CHANGES = {
    "JPEG 75": lambda image: jpeg(image, 75),
    "JPEG 95": lambda image: jpeg(image, 95),
    "mirrored": lambda image: image[:, ::-1],
    "brighter, less contrast": lambda image: (image * 0.7 + 40).astype(np.uint8),
    **{
        f"{size} {method.name}": lambda image, size=size, method=method: resized(
            image, size, method
        )
        for size in (64, 96, 224)
        for method in METHODS
    },
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_copies_are_recognised(faces: Images, change) -> None:  # type: ignore[no-untyped-def]
    copies = np.stack([change(image) for image in faces])
    assert find_copies(copies, signature_list(faces)).all()


def test_other_images_are_not(faces: Images) -> None:
    assert not find_copies(faces[20:], signature_list(faces[:20])).any()
    assert not find_copies(255 - faces, signature_list(faces)).any()
    assert not find_copies(faces, np.empty((0, 12), np.uint8)).any()
    assert len(find_copies(faces[:0], signature_list(faces))) == 0


def test_an_image_of_one_grey_level_has_no_signature() -> None:
    flat = np.full((2, 48, 48), [[[0]], [[200]]], np.uint8)
    assert not signatures(flat).any()
    assert signature_list(flat).shape == (0, 12)
    assert not find_copies(flat, np.zeros((1, 12), np.uint8)).any()


def test_a_list_is_sorted_and_holds_each_signature_once(faces: Images) -> None:
    found = signature_list(np.concatenate([faces, faces]))
    np.testing.assert_array_equal(found, np.unique(signatures(faces), axis=0))


def test_signatures_are_the_same_everywhere() -> None:
    """Files hold them: whatever changes these bits needs another format of the file."""
    y, x = np.mgrid[:48, :48]
    images = np.stack([x * y % 251, (x * x + 3 * y) % 256]).astype(np.uint8)
    assert [row.tobytes().hex() for row in signatures(images)] == [
        "1b924170948be68f3f890da8",
        "918de4ee5b9015affb2ec8db",
    ]


@pytest.mark.parametrize(("flipped", "copy"), [(0, True), (9, True), (10, False)])
def test_nine_bits_may_differ(faces: Images, flipped: int, copy: bool) -> None:
    bits = np.unpackbits(signatures(faces[:1]), axis=1)
    bits[:, :flipped] ^= 1
    assert find_copies(faces[:1], np.packbits(bits, axis=1)).tolist() == [copy]
