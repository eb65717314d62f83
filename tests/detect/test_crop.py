"""Cropping: the square, its levelling, and the picture's edge."""

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from fer_features.detect import Detector, Face, crop_face
from fer_features.detect.crop import roll_of

NOISE = np.random.default_rng(0).integers(0, 256, (200, 300)).astype(np.uint8)
ASTRONAUT: NDArray[np.uint8] = skimage.data.astronaut()


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def face(x: float, y: float, w: float, h: float, *, eyes: tuple[float, float] = (1, 0)) -> Face:
    landmarks = np.zeros((5, 2), np.float32)
    landmarks[1] = eyes
    return Face(x, y, w, h, 1.0, landmarks)


def test_the_side_is_the_boxs_height_and_a_face_of_48_px_is_not_changed() -> None:
    assert (crop_face(NOISE, face(110, 50, 28, 48)) == NOISE[50:98, 100:148]).all()


def test_large_faces_are_averaged_over_areas() -> None:
    crop = crop_face(NOISE, face(40, 20, 100, 144))
    means = NOISE[20:164, 18:162].reshape(48, 3, 48, 3).mean(axis=(1, 3))
    assert np.abs(crop - means).max() < 1  # Pillow rounds rows, then columns


def test_small_faces_are_enlarged() -> None:
    ramp = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8), (60, 60))
    crop = crop_face(ramp, face(10, 10, 20, 24)).astype(int)
    assert (np.diff(crop[0]) == 2).mean() > 0.9  # half a step a pixel, without blocks


def test_colour_becomes_luma() -> None:
    picture = np.full((80, 80, 3), (200, 100, 50), np.uint8)
    assert (crop_face(picture, face(10, 10, 40, 48)) == 124).all()


def test_beyond_the_picture_its_edge_is_repeated() -> None:
    crop = crop_face(NOISE, face(-24, 100, 48, 48))
    assert (crop[:, :24] == NOISE[100:148, :1]).all()
    assert (crop[:, 24:] == NOISE[100:148, :24]).all()
    outside = crop_face(NOISE, face(1000, -900, 48, 48))
    assert (outside == NOISE[0, -1]).all()


def test_a_picture_of_one_pixel() -> None:
    assert (crop_face(np.full((1, 1, 3), 7, np.uint8), face(0, 0, 1, 1)) == 7).all()


def test_eyes_within_15_degrees_are_left() -> None:
    upright = crop_face(NOISE, face(100, 50, 48, 48))
    assert (crop_face(NOISE, face(100, 50, 48, 48, eyes=(10, 2.6))) == upright).all()
    assert (crop_face(NOISE, face(100, 50, 48, 48, eyes=(10, 2.8))) != upright).any()


@pytest.mark.parametrize(("eyes", "turns"), [((0, 1), 1), ((-1, 0), 2), ((0, -1), 3)])
def test_right_angles(eyes: tuple[float, float], turns: int) -> None:
    # A box of 36 × 48 has a diagonal of 60, and a face turned by 90° a box of 48 × 36.
    w, h = (36, 48) if turns == 2 else (48, 36)
    crop = crop_face(NOISE, face(150 - w / 2, 100 - h / 2, w, h, eyes=eyes))
    square = NOISE[100 - 24 : 100 + 24, 150 - 24 : 150 + 24]
    assert np.abs(crop.astype(int) - np.rot90(square, turns)).max() <= 1


@pytest.mark.parametrize("degrees", [-40, -25, 25, 40])
def test_a_turned_photograph_gives_the_same_face(detector: Detector, degrees: int) -> None:
    upright = crop_face(ASTRONAUT, detector.detect(ASTRONAUT)[0])
    turned = np.asarray(
        Image.fromarray(ASTRONAUT).rotate(-degrees, Image.Resampling.BILINEAR, center=(225, 117))
    )
    found = detector.detect(turned)[0]
    assert roll_of(found) == pytest.approx(degrees, abs=10)
    levelled = crop_face(turned, found)
    tilted = crop_face(turned, face(found.x, found.y, found.w, found.h))
    assert likeness(upright, levelled) > max(likeness(upright, tilted) + 0.3, 0.55)


def likeness(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of the pixels in the middle of two crops."""
    middle = slice(8, 40)
    return float(np.corrcoef(one[middle, middle].ravel(), other[middle, middle].ravel())[0, 1])
