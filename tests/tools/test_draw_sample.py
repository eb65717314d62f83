"""The built-in sample: it is what it promises, the same everywhere, and it can be learnt."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from fer_features.data.canvas import disc, ramp, stretch, stroke
from fer_features.data.dice import Dice
from fer_features.data.drawing import draw_faces
from fer_features.data.sitters import Expression
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fer_features.data import EMOTIONS, Faces, FaceSource, open_faces, read_all
from fer_features.data import drawing as drawing_module
from fer_features.data import sample as sample_module
from fer_features.data.sample import SampleFaces
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


# --- what a source of faces must do


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


def test_index_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a face was drawn")

    monkeypatch.setattr(sample_module, "draw_faces", refuse)
    assert len(SampleFaces().index()) == 600


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
    with pytest.raises(FerError, match=f"no row {row} .*from 0 to 599"):
        source.read(np.array([3, row]))


def test_impossible_arguments_are_refused(source: SampleFaces) -> None:
    with pytest.raises(FerError, match="batch size must be 1 or more, not 0"):
        source.read(np.array([3]), batch_size=0)
    with pytest.raises(FerError, match="seed must be 0 or more, not -1"):
        SampleFaces(seed=-1)


# --- the same everywhere


def test_digest_names_pixels_emotions_and_parts(source: SampleFaces, faces: Faces) -> None:
    content = faces.images.tobytes() + faces.emotion.tobytes() + faces.usage.tobytes()
    assert source.digest() == hashlib.sha256(content).hexdigest()


def test_seed_0_has_the_same_bytes_on_every_machine(source: SampleFaces) -> None:
    # Caches and published numbers name the sample by this digest. It may be pinned because the
    # drawing uses PCG64's raw bits and correctly rounded arithmetic alone.
    assert source.digest() == "d58dd204a2f0065129a60943474e3021499395332913640f481e23ffca869a49"


def test_another_seed_draws_other_faces(faces: Faces) -> None:
    other = read_all(SampleFaces(seed=1))
    assert not set(other.sha256.tolist()) & set(faces.sha256.tolist())
    assert other.emotion.tolist() != faces.emotion.tolist()


def test_faces_do_not_depend_on_how_many_are_drawn_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emotion = np.arange(9, dtype=np.int8) % 7
    whole = draw_faces(emotion, seed=4)
    monkeypatch.setattr(drawing_module, "_BATCH", 2)
    np.testing.assert_array_equal(draw_faces(emotion, seed=4), whole)


# --- what is in it


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


def test_the_emotion_moves_nothing_but_the_face() -> None:
    happy = draw_faces(np.full(64, HAPPY, np.int8), seed=2)
    sad = draw_faces(np.full(64, SAD, np.int8), seed=2)
    changed = (happy != sad).any(axis=0)
    assert changed[28:42, 16:32].all()  # around the mouth
    assert not changed[:, :3].any()
    assert not changed[:, -2:].any()


def test_action_units_follow_the_emotion() -> None:
    shown = {}
    for emotion in ("happy", "angry", "sad", "neutral"):
        dice = Dice(0, stream=1, count=200)
        drawn = Expression.draw(dice, emotion=np.full(200, EMOTIONS.index(emotion), np.int8))
        shown[emotion] = {unit: float(drawn.au(unit).mean()) for unit in (1, 4, 6, 12, 15)}
    assert max(shown, key=lambda emotion: shown[emotion][12]) == "happy"
    assert max(shown, key=lambda emotion: shown[emotion][6]) == "happy"
    assert max(shown, key=lambda emotion: shown[emotion][4]) == "angry"
    assert max(shown, key=lambda emotion: shown[emotion][15]) == "sad"
    assert max(shown, key=lambda emotion: shown[emotion][1]) == "sad"


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


def test_happy_is_told_by_the_mouth_and_not_by_the_frame(faces: Faces) -> None:
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


# --- what it is drawn with


def test_dice_keep_to_their_ranges_and_moments() -> None:
    dice = Dice(0, stream=1, count=4000)
    even, bell = dice.spread(-1.0, 3.0), dice.bell(5.0, 2.0)
    assert even.shape == bell.shape == (4000, 1, 1)
    assert even.dtype == bell.dtype == np.float32
    assert -1.0 <= even.min() < -0.99 < 2.99 < even.max() <= 3.0
    assert abs(bell.mean() - 5.0) < 0.1
    assert abs(bell.std() - 2.0) < 0.1
    assert abs(dice.chance(0.25).mean() - 0.25) < 0.03
    picked = dice.pick(((1.0, 2.0), (3.0, 4.0)), weights=(3, 1))
    assert picked.shape == (4000, 2)
    assert abs((picked[:, 0] == 3.0).mean() - 0.25) < 0.03
    assert sorted(dice.order().tolist()) == list(range(4000))


def test_streams_of_one_seed_differ() -> None:
    one, two = (Dice(0, stream=stream, count=5).spread(0.0, 1.0) for stream in (1, 2))
    assert not np.array_equal(one, two)


@given(st.floats(-3, 3, width=32), st.floats(-1, 1), st.floats(0.125, 1.0))
def test_masks_lie_between_0_and_1(value: float, low: float, width: float) -> None:
    at = np.array([value], np.float32)
    rising, falling = ramp(at, low, low + width), ramp(at, low + width, low)
    for mask in (rising, stroke(at, width), disc(at, at)):
        assert 0.0 <= mask[0] <= 1.0
    assert rising[0] + falling[0] == pytest.approx(1.0, abs=1e-5)


def test_masks_at_points_worked_out_by_hand() -> None:
    at = np.array([0.0, 0.25, 0.5, 1.0], np.float32)
    assert ramp(at, 0.0, 1.0).tolist() == [0.0, 0.15625, 0.5, 1.0]  # 3t² - 2t³
    assert stroke(at, 0.5).tolist() == [1.0, 0.5, 0.0, 0.0]
    assert disc(at, np.zeros_like(at)).tolist() == [1.0, 0.87890625, 0.5625, 0.0]  # (1 - r²)²


def test_stretched_noise_passes_through_its_lattice() -> None:
    lattice = np.array([[[0.0, 1.0, 0.0], [2.0, 3.0, 2.0], [0.0, 1.0, 0.0]]], np.float32)
    noise = stretch(lattice)
    assert noise.shape == (1, 48, 48)
    assert noise[0, ::24, ::24].tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert noise[0, 12, 0] == 1.0
