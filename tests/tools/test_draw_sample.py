"""The program that draws the built-in sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fer_features.data import EMOTIONS, load_faces
from fer_features.data.faces import SAMPLE
from tools.draw_sample import drawing
from tools.draw_sample.canvas import disc, ramp, stretch, stroke
from tools.draw_sample.drawing import draw_faces
from tools.draw_sample.people import Expression
from tools.draw_sample.portable_random import PortableRandom
from tools.draw_sample.sample import draw_sample, save_sample

HAPPY = EMOTIONS.index("happy")
SAD = EMOTIONS.index("sad")


def test_it_draws_the_sample_of_the_package(tmp_path: Path) -> None:
    drawn, shipped = draw_sample(), load_faces("sample")
    for column in ("images", "emotion", "usage", "row", "sha256"):
        np.testing.assert_array_equal(getattr(drawn, column), getattr(shipped, column))
    save_sample(drawn, tmp_path / "sample.png")
    with Image.open(tmp_path / "sample.png") as written, Image.open(SAMPLE) as known:
        assert written.info == known.info
        assert (np.asarray(written) == np.asarray(known)).all()


def test_another_seed_draws_other_faces() -> None:
    drawn, other = draw_sample(), draw_sample(seed=1)
    assert not set(drawn.sha256.tolist()) & set(other.sha256.tolist())
    assert drawn.emotion.tolist() != other.emotion.tolist()


def test_faces_do_not_depend_on_how_many_are_drawn_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emotion = np.arange(9, dtype=np.int8) % 7
    whole = draw_faces(emotion, seed=4)
    monkeypatch.setattr(drawing, "_BATCH", 2)
    np.testing.assert_array_equal(draw_faces(emotion, seed=4), whole)


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
        rng = PortableRandom(0, stream=1, count=200)
        drawn = Expression.draw(rng, emotion=np.full(200, EMOTIONS.index(emotion), np.int8))
        shown[emotion] = {unit: float(drawn.au(unit).mean()) for unit in (1, 4, 6, 12, 15)}
    assert max(shown, key=lambda emotion: shown[emotion][12]) == "happy"
    assert max(shown, key=lambda emotion: shown[emotion][6]) == "happy"
    assert max(shown, key=lambda emotion: shown[emotion][4]) == "angry"
    assert max(shown, key=lambda emotion: shown[emotion][15]) == "sad"
    assert max(shown, key=lambda emotion: shown[emotion][1]) == "sad"


def test_random_numbers_keep_to_their_ranges_and_moments() -> None:
    rng = PortableRandom(0, stream=1, count=4000)
    even, bell = rng.uniform(-1.0, 3.0), rng.normal(5.0, 2.0)
    assert even.shape == bell.shape == (4000, 1, 1)
    assert even.dtype == bell.dtype == np.float32
    assert -1.0 <= even.min() < -0.99 < 2.99 < even.max() <= 3.0
    assert abs(bell.mean() - 5.0) < 0.1
    assert abs(bell.std() - 2.0) < 0.1
    assert abs(rng.chance(0.25).mean() - 0.25) < 0.03
    picked = rng.pick(((1.0, 2.0), (3.0, 4.0)), weights=(3, 1))
    assert picked.shape == (4000, 2)
    assert abs((picked[:, 0] == 3.0).mean() - 0.25) < 0.03
    assert sorted(rng.permutation().tolist()) == list(range(4000))


def test_streams_of_one_seed_differ() -> None:
    one, two = (PortableRandom(0, stream=stream, count=5).uniform(0.0, 1.0) for stream in (1, 2))
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
