"""The built-in sample: what it promises, and that it can be learnt."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from fer_features.data import EMOTIONS, Faces, FaceSource, load_faces, open_faces, read_all
from fer_features.data.faces import SampleFaces
from fer_features.errors import FerError

HAPPY = EMOTIONS.index("happy")
SAD = EMOTIONS.index("sad")
ROWS = {"angry": 80, "disgust": 40, "fear": 80, "happy": 180, "sad": 80, "surprise": 60}


@pytest.fixture(scope="module")
def source() -> SampleFaces:
    return SampleFaces()


@pytest.fixture(scope="module")
def faces(source: SampleFaces) -> Faces:
    return read_all(source)


def test_sample_is_opened_by_its_name() -> None:
    opened: FaceSource = open_faces("sample")
    assert isinstance(opened, SampleFaces)
    assert opened.name == "sample"


def test_index_counts_rows_emotions_and_parts(source: SampleFaces) -> None:
    index = source.index()
    assert index.row.tolist() == list(range(600))
    counts = np.bincount(index.emotion, minlength=7)
    assert dict(zip(EMOTIONS, counts.tolist(), strict=True)) == {**ROWS, "neutral": 80}
    assert index.usage.tolist() == [0] * 480 + [1] * 60 + [2] * 60
    assert (index.row.dtype, index.emotion.dtype, index.usage.dtype) == (np.int64, np.int8, np.int8)
    assert index.bad == ()


def test_labels_are_shuffled_over_the_parts(source: SampleFaces) -> None:
    index = source.index()
    for usage in range(3):
        happy = np.mean(index.emotion[index.usage == usage] == HAPPY)
        assert 0.15 < happy < 0.45


def test_read_gives_the_rows_asked_for_in_batches(source: SampleFaces, faces: Faces) -> None:
    rows = np.array([0, 3, 7, 480, 599])
    parts = list(source.read(rows, batch_size=2))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert parts[1].row.tolist() == [7, 480]
    assert parts[1].usage.tolist() == [0, 1]
    np.testing.assert_array_equal(parts[1].images, faces.images[[7, 480]])
    np.testing.assert_array_equal(parts[1].emotion, faces.emotion[[7, 480]])
    assert list(source.read(np.array([], np.int64))) == []


def test_images_agree_with_the_index_and_their_hashes(source: SampleFaces, faces: Faces) -> None:
    assert (faces.images.shape, faces.images.dtype) == ((600, 48, 48), np.uint8)
    np.testing.assert_array_equal(faces.emotion, source.index().emotion)
    np.testing.assert_array_equal(faces.usage, source.index().usage)
    assert faces.sha256[5].decode() == hashlib.sha256(faces.images[5].tobytes()).hexdigest()


def test_what_is_read_may_be_written_to(source: SampleFaces) -> None:
    before = source.digest()
    read_all(source).images[:] = 0
    assert source.digest() == before == SampleFaces().digest()


@pytest.mark.parametrize("row", [-1, 600])
def test_a_row_that_is_not_there_is_named(source: SampleFaces, row: int) -> None:
    with pytest.raises(FerError, match=f" row {row}"):
        source.read(np.sort([3, row]))


def test_digest_names_pixels_emotions_and_parts(source: SampleFaces, faces: Faces) -> None:
    content = faces.images.tobytes() + faces.emotion.tobytes() + faces.usage.tobytes()
    assert source.digest() == hashlib.sha256(content).hexdigest()


def test_its_digest_never_changes(source: SampleFaces) -> None:
    # Caches and published numbers name the sample by this digest.
    assert source.digest() == "d58dd204a2f0065129a60943474e3021499395332913640f481e23ffca869a49"


def test_twelve_rows_repeat_another_row_and_its_label(faces: Faces) -> None:
    _, place, count = np.unique(faces.sha256, return_inverse=True, return_counts=True)
    assert sorted(count.tolist()) == [1] * 576 + [2] * 12
    twins = [np.flatnonzero(place == which) for which in np.flatnonzero(count == 2)]
    assert all(faces.emotion[one] == faces.emotion[other] for one, other in twins)
    assert any(faces.usage[one] != faces.usage[other] for one, other in twins)


def test_pictures_use_the_grey_scale(faces: Faces) -> None:
    assert faces.images.min() == 0
    assert faces.images.max() == 255
    assert 90 < faces.images.mean() < 150
    spans = np.ptp(faces.images.reshape(600, -1).astype(np.int64), axis=1)
    assert spans.min() > 50


def _accuracy(pixels: NDArray[np.float64], happy: NDArray[np.bool_]) -> float:
    """Five-fold accuracy of ridge regression on standardised pixels."""
    x = (pixels - pixels.mean(0)) / (pixels.std(0) + 1e-9)
    y = np.where(happy, 1.0, -1.0)
    right = 0
    for fold in range(5):
        test = np.arange(len(y)) % 5 == fold
        gram = x[~test] @ x[~test].T + 0.1 * x.shape[1] * np.eye(int((~test).sum()))
        score = x[test] @ x[~test].T @ np.linalg.solve(gram, y[~test])
        right += int(((score > 0) == happy[test]).sum())
    return right / len(y)


def test_happy_is_recognised_by_the_mouth_and_not_by_the_frame(faces: Faces) -> None:
    unhappy = [np.flatnonzero(faces.emotion == EMOTIONS.index(e))[:60] for e in ("angry", "fear")]
    unhappy.append(np.flatnonzero(faces.emotion == SAD)[:60])
    rows = np.sort(np.concatenate([np.flatnonzero(faces.emotion == HAPPY), *unhappy]))
    happy = faces.emotion[rows] == HAPPY
    images = faces.images[rows].astype(np.float64)
    mouth = images[:, 29:43, 12:36].reshape(len(rows), -1)
    frame = images[:, :, [0, 1, 2, -3, -2, -1]].reshape(len(rows), -1)
    light = np.stack([images.mean((1, 2)), images.std((1, 2))], axis=1)
    assert 0.68 < _accuracy(mouth, happy) < 0.88
    assert 0.42 < _accuracy(frame, happy) < 0.58
    assert 0.42 < _accuracy(light, happy) < 0.58


def test_a_batch_size_below_1_is_refused(source: SampleFaces) -> None:
    with pytest.raises(FerError, match=" 0"):
        source.read(np.array([3]), batch_size=0)


def test_load_faces_gives_all_rows(faces: Faces) -> None:
    loaded = load_faces()
    assert (loaded.images == faces.images).all()
    assert loaded.row.tolist() == list(range(600))
