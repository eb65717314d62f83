import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fer_features.data.pictures import read_picture
from fer_features.errors import FerError
from fer_features.model.pictures import PICTURES_TOGETHER, detect_and_predict, predict_pictures
from fer_features.model.predictions import Prediction
from tests.model.fakes import FakeDetector, FakeModel, drawn, save, write_video

TWO = drawn((10, 20, 40, 255), (100, 10, 60, 102))


def predict(pictures: Any, **options: Any) -> list[Prediction]:
    model = FakeModel()
    detector = FakeDetector()
    return list(detect_and_predict(model, pictures, detector=detector, **options))


def test_a_row_a_face_with_its_box_in_the_pictures_pixels() -> None:
    large, small = predict(TWO)
    assert (large.face, large.x, large.y, large.w, large.h) == (0, 100, 10, 60, 60)
    assert (small.face, small.x, small.y, small.w, small.h) == (1, 10, 20, 40, 40)
    assert (large.status, large.label, large.size_px) == ("ok", "dark", 60)
    assert large.probabilities == pytest.approx((0.6, 0.4))
    assert small.probabilities == pytest.approx((0.0, 1.0), abs=0.01)  # its edges are blurred


def test_statuses() -> None:
    pictures = [
        drawn(),
        drawn((10, 10, 19, 200)),
        drawn((10, 10, 20, 200)),
        drawn((10, 10, 50, 128)),
    ]
    none, refused, small, uncertain = predict(pictures)
    assert (none.status, none.face, none.label) == ("no_face", None, None)
    assert (refused.status, refused.label, refused.size_px) == ("too_small", None, 19)
    assert (small.status, small.label, small.is_small) == ("ok", "bright", True)
    assert (uncertain.status, uncertain.label) == ("uncertain", "bright")
    assert [one.source for one in (none, refused)] == ["0", "1"]


def test_only_the_largest_face() -> None:
    assert [one.x for one in predict(TWO, largest=True)] == [100]


def test_a_region_is_looked_at_alone_and_boxes_stay_those_of_the_picture() -> None:
    (row,) = predict(TWO, region=(5, 5, 80, 90))
    assert (row.x, row.y, row.label) == (10, 20, "bright")
    (outside,) = predict(TWO, region=(900, 0, 50, 50))
    assert (outside.status, outside.is_outside) == ("no_face", True)
    (without,) = predict(TWO, region=(0, 0, 9, 9))
    assert (without.status, without.is_outside) == ("no_face", False)


def test_a_model_for_faces_that_are_cut_out_otherwise_is_refused() -> None:
    model, face = FakeModel(), np.full((48, 48), 200, np.uint8)
    model.crop = "tight-2"
    with pytest.raises(FerError, match="cut out by the rule tight-2, and this version cuts by"):
        detect_and_predict(model, TWO, detector=FakeDetector())
    (row,) = detect_and_predict(model, face, whole=True)
    assert row.label == "bright"


def test_a_bad_file_among_good_ones_is_a_row(tmp_path: Path) -> None:
    save(tmp_path / "a.png", TWO)
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    (tmp_path / "c.mp4").write_bytes(b"no video")
    (tmp_path / "d.heic").write_bytes(b"no codec")
    (tmp_path / "notes.txt").write_text("no picture, and nobody says so")
    save(tmp_path / "z" / "e.png", TWO)
    rows = predict(tmp_path)
    assert [Path(one.source).name for one in rows] == [
        "a.png", "a.png", "b.jpg", "c.mp4", "d.heic", "e.png", "e.png"
    ]  # fmt: skip
    assert [one.status for one in rows[2:5]] == ["unreadable"] * 3
    assert all(one.reason and one.label is None for one in rows[2:5])


def test_an_exif_turned_jpeg_has_its_boxes_in_the_turned_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the left lower corner comes to the left upper
    picture = drawn((0, 80, 40, 255), size=(200, 120))
    (row,) = predict(save(tmp_path / "turned.jpg", picture, exif=exif, quality=95))
    assert row.x == pytest.approx(0, abs=1)
    assert row.y == pytest.approx(0, abs=1)
    assert row.w == pytest.approx(40, abs=1)


def test_boxes_of_a_huge_picture_are_in_its_own_pixels(tmp_path: Path) -> None:
    picture = drawn((1000, 2000, 800, 255), size=(4000, 3000))
    (row,) = predict(save(tmp_path / "huge.png", picture, compress_level=1))
    assert (row.x, row.y, row.w, row.h) == (1000, 2000, 800, 800)
    assert row.size_px == 400


def test_a_whole_picture_is_the_face_as_in_the_cache(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    small = rng.integers(0, 256, (48, 48), np.uint8)
    wide = rng.integers(0, 256, (90, 70, 3), np.uint8)
    for place, picture in enumerate((small, wide)):
        path = save(tmp_path / f"{place}.png", picture)
        (row,) = predict(path, whole=True)
        bright = read_picture(path).mean() / 255
        assert row.probabilities == pytest.approx((1 - bright, bright), abs=1e-12)
        assert (row.x, row.y, row.face_score) == (0, 0, None)
        assert (row.w, row.h) == picture.shape[1::-1]


def test_the_faces_of_several_pictures_are_predicted_together() -> None:
    model = FakeModel()
    detector = FakeDetector()
    detect_and_predict(model, [TWO] * 40, detector=detector)
    assert model.batches == [64, 16]


def test_pictures_are_read_a_few_ahead(tmp_path: Path) -> None:
    read = 0

    def sources() -> Iterator[Path]:
        nonlocal read
        for _ in range(100_000):
            read += 1
            yield path

    path = save(tmp_path / "a.png", TWO)
    model = FakeModel()
    detector = FakeDetector()
    answers = predict_pictures(model, sources(), detector=detector, workers=2)
    for _ in range(3):
        next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert read <= PICTURES_TOGETHER + 4


def test_memory_stays_flat() -> None:
    def peak(n: int) -> int:
        model = FakeModel()
        detector = FakeDetector()
        tracemalloc.start()
        for _ in predict_pictures(model, (TWO.copy() for _ in range(n)), detector=detector):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(120) < 1.3 * peak(40)


def test_the_frames_of_a_video_have_their_own_times(tmp_path: Path) -> None:
    times = [0, 40, 80, 200, 1000, 1040, 2500]
    lit = [TWO if number % 2 else drawn() for number in range(len(times))]
    path = write_video(tmp_path / "v.mp4", lit, times)
    rows = predict([path])
    assert [one.frame for one in rows] == [0, 1, 1, 2, 3, 3, 4, 5, 5, 6]
    assert [one.status == "no_face" for one in rows if not one.face] == [True, False] * 3 + [True]
    assert {one.frame: one.time_s for one in rows} == {
        number: one / 1000 for number, one in enumerate(times)
    }


def test_a_video_that_ends_early_says_so_after_its_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", [TWO] * 50, range(0, 2000, 40), movflags="faststart")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 7 // 10])
    *rows, last = predict([path])
    frames = sorted({one.frame for one in rows})
    assert frames == list(range(len(frames)))
    assert 10 < len(frames) < 45
    assert (last.status, last.frame) == ("unreadable", len(frames))
    assert "ends early" in last.reason


def test_a_path_that_is_not_there_and_an_array_that_is_no_picture() -> None:
    with pytest.raises(FerError, match="does not exist"):
        predict(["nowhere.jpg"])
    with pytest.raises(FerError, match="float64"):
        predict([np.zeros((4, 4))])


class Located:
    """An `os.PathLike` that is no `Path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


def test_a_picture_is_a_path_a_pil_image_or_an_array(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", TWO)
    expected = [(one.x, one.label, one.probabilities) for one in predict(TWO)]
    for given in (path, Located(path), Image.open(path), Image.open(path).convert("RGBA")):
        for pictures in (given, [given]):
            found = predict(pictures)
            assert [(one.x, one.label, one.probabilities) for one in found] == expected


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (None, "a value of type NoneType is no picture"),
        (7, "a value of type int is no picture"),
        ([None], "picture 0 is NoneType"),
        ([TWO, 7], "picture 1 is int"),
        (np.uint8(7), "picture 0 is uint8"),
        ([[[1], [2, 3]]], "picture 0 cannot be read"),
        ([np.zeros((4, 4, 9), np.uint8)], "picture 0 is of shape"),
    ],
)
def test_anything_else_is_named_with_what_is_accepted(given: Any, named: str) -> None:
    with pytest.raises(FerError, match="pictures are paths, PIL images, or arrays") as found:
        predict(given)
    assert named in found.value.message


def test_a_data_frame_has_the_columns_of_the_command() -> None:
    pytest.importorskip("pandas")
    model = FakeModel()
    detector = FakeDetector()
    frame = detect_and_predict(model, [TWO], detector=detector).to_frame()
    assert list(frame.columns) == [
        "source", "frame", "time_s", "face", "x", "y", "w", "h", "face_score", "size_px",
        "status", "label", "p_dark", "p_bright", "model",
    ]  # fmt: skip
    assert frame["label"].tolist() == ["dark", "bright"]


def test_without_pandas_the_command_to_install_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    model = FakeModel()
    with pytest.raises(FerError, match="pip install pandas"):
        detect_and_predict(model, [drawn()], detector=FakeDetector()).to_frame()


def test_real_faces_in_a_photograph_and_in_a_video(tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data")
    from fer_features.detect.detector import Detector

    astronaut = data.astronaut()
    without = astronaut.copy()
    without[60:260, 150:320] = 128
    path = write_video(
        tmp_path / "v.mp4", [without, astronaut, without, astronaut], [0, 100, 700, 750]
    )
    model = FakeModel()
    still, *rows = detect_and_predict(model, [astronaut, path], detector=Detector())
    assert [(one.frame, one.time_s) for one in rows] == [(0, 0.0), (1, 0.1), (2, 0.7), (3, 0.75)]
    assert [one.status == "no_face" for one in rows] == [True, False, True, False]
    assert rows[1].x == pytest.approx(still.x, abs=5)
    assert 150 < (still.x or 0) < 250
