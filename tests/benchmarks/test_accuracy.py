"""`python -m benchmarks accuracy`: the same images for ours and for the package `fer`."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import accuracy
from benchmarks.accuracy import measure_accuracy, show_accuracy
from benchmarks.config import AccuracyConfig
from benchmarks.fer_package import run_fer_package
from benchmarks.peers.fer_package_faces import classify
from fer_features.data import EMOTIONS
from fer_features.errors import FerError


class FakeFER:
    """As the package's class: it hands on crops, and rounds its answer."""

    def _classify_emotions(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.eye(7, dtype=np.float32)[faces[:, 0, 0]]

    def detect_emotions(
        self, image: NDArray[np.uint8], face_rectangles: list[tuple[int, int, int, int]]
    ) -> None:
        assert image.shape == (48, 48, 3)
        assert face_rectangles == [(0, 0, 48, 48)]
        self._classify_emotions(image[np.newaxis, :, :, 1])


def test_the_package_is_given_whole_faces_and_its_unrounded_answers_are_kept() -> None:
    images = np.full((3, 48, 48), [[[4]], [[0]], [[6]]], np.uint8)
    np.testing.assert_array_equal(classify(images, FakeFER()).argmax(axis=1), [4, 0, 6])


def test_all_are_scored_on_the_same_images_with_and_without_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def always(emotion: int, n: int) -> NDArray[np.float64]:
        return np.tile(np.eye(7)[emotion], (n, 1))

    ours = SimpleNamespace(
        name="ours", classes=list(EMOTIONS), probabilities=lambda images: always(3, len(images))
    )
    monkeypatch.setattr(accuracy, "load_model", lambda name: ours)
    monkeypatch.setattr(accuracy, "_peer", lambda python, images: ("9.9", always(4, len(images))))
    measured = measure_accuracy(
        AccuracyConfig("sample", peer_python=Path("python"), cache_dir=tmp_path)
    )
    found = list(measured["images"].values())
    assert found[0] == 60  # the sample's PrivateTest, some of which have a copy in Training
    assert 0 < found[1] < 60
    assert list(measured["right"]) == ["ours", "fer 9.9 of PyPI"]
    right = measured["right"]["ours"]
    assert found[1] >= right["without a copy in Training"] > 0
    show_accuracy(measured)
    assert f"{right['all'] / 60:.4f} [" in capsys.readouterr().out


def test_a_python_without_the_package_says_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="No module named 'fer'") as error:
        run_fer_package(Path(sys.executable), "fer_package_faces.py", tmp_path, tmp_path)
    assert error.value.hint == f'{sys.executable} -m pip install "fer==25.10.3" "setuptools<81"'
    with pytest.raises(FerError, match="cannot be run: No such file"):
        run_fer_package(tmp_path / "python", "fer_package.py", tmp_path)
