"""A model gives what its run gave: in any batch and engine, from the run or from its file."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.pipeline import make_pipeline

import fer_features as fer
from fer_features.heads import make_head
from fer_features.heads.checks import HeadError
from fer_features.model.load import packaged_file
from fer_features.model.record import coverage
from fer_features.runs.run import Run
from fer_features.runtime.hardware import has_openvino

FLIP: dict[str, Any] = {"views": ("flip",)}
FITS = {
    "hog": ("hog", "logreg", {"operate": ("recall", 0.9)}),
    "features": ("fernet", "svm", FLIP | {"combine": "features", "calibrate": "platt"}),
    "rows": ("fernet", "logreg", FLIP | {"combine": "rows", "calibrate": "isotonic"}),
    "maps": ("fernet", "dense", FLIP | {"combine": "rows", "params": {"epochs": 2}}),
    "ensemble": (
        "fernet",
        "ensemble",
        {"params": {"members": ("dense", "ridge")}},
    ),
}
CLOSE = 1e-3


class Runs(dict[str, Run]):
    """Runs of `FITS`, each fitted when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __missing__(self, name: str) -> Run:
        backbone, head, options = FITS[name]
        cache = fer.extract(
            "sample", backbone=backbone, cache_dir=self.folder, precision="float32", **FLIP
        )
        self[name] = fer.fit(cache, head=head, runs_dir=self.folder / "runs", **options)
        return self[name]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return fer.load_faces("sample").images


@pytest.mark.parametrize(
    "name", ["hog", "features", "rows", "maps", pytest.param("ensemble", marks=pytest.mark.long)]
)
def test_a_model_gives_what_its_run_gave(
    runs: Runs, images: NDArray[np.uint8], name: str, tmp_path: Path
) -> None:
    predicted = runs[name].predictions().test
    faces, expected = images[predicted.row], predicted.probability
    model = runs[name].model()
    assert np.abs(model.probabilities(faces) - expected).max() < CLOSE
    assert np.abs(model.probabilities(faces[:1]) - expected[:1]).max() < CLOSE
    saved = fer.load_model(model.save(tmp_path / "one"))
    digest = hashlib.sha256((tmp_path / "one.fer").read_bytes()).hexdigest()
    assert (saved.name, saved.stem) == (f"one@{digest[:8]}", "one")
    assert re.fullmatch(rf"{runs[name].record.id}@[0-9a-f]{{8}}", model.name)
    assert np.abs(saved.predict_proba(faces[:33]) - expected[:33]).max() < CLOSE
    assert saved.record.test == runs[name].record.test
    assert saved.probabilities(images[:0]).shape == (0, 2)


@pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")
def test_engines_agree(runs: Runs, images: NDArray[np.uint8]) -> None:
    by_engine = [
        fer.load_model(runs["rows"], engine=engine, precision="float32").probabilities(images[:40])
        for engine in ("keras", "openvino")
    ]
    assert np.abs(by_engine[0] - by_engine[1]).max() < CLOSE


def test_labels_are_by_the_threshold(runs: Runs) -> None:
    model = runs["hog"].model()
    threshold = runs["hog"].record.operate.threshold  # type: ignore[union-attr]
    assert model.threshold == threshold
    p = np.array([[1 - threshold, threshold], [1.001 - threshold, threshold - 0.001]])
    assert model.labels(p).tolist() == ["happy", "not happy"]


def test_weights_are_inside_found_by_their_hash_or_named(
    runs: Runs, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    model = runs["features"].model()
    spec = model.record.spec
    inside = fer.load_model(model.save(tmp_path / "inside.fer", with_weights=True))
    assert inside.record.weights_file == "weights.h5"
    local = msgspec.structs.replace(spec, weights="mine.h5")
    model.record = msgspec.structs.replace(model.record, spec=local)
    moved = fer.load_model(model.save(tmp_path / "local.fer"))
    with pytest.raises(fer.FerError, match=rf"mine\.h5 with SHA-256 {spec.weights_sha256}"):
        moved.predict(images[:1])
    (tmp_path / "mine.h5").write_bytes(b"other weights")
    with pytest.raises(fer.FerError, match="were not found"):
        moved.predict(images[:1])
    assert inside.weights.path is not None
    (tmp_path / "mine.h5").write_bytes(inside.weights.path.read_bytes())
    assert np.array_equal(moved.predict_proba(images[:9]), inside.predict_proba(images[:9]))
    other = msgspec.structs.replace(spec, weights_sha256="0" * 64)
    model.record = msgspec.structs.replace(model.record, spec=other)
    with pytest.raises(fer.FerError, match="needs other weights shipped of fernet"):
        fer.load_model(model.save(tmp_path / "other.fer")).predict(images[:1])


def test_faces_are_arrays_or_paths(images: NDArray[np.uint8], tmp_path: Path) -> None:
    model = fer.load_model()
    Image.fromarray(images[0]).save(tmp_path / "face.png")
    expected = model.predict_proba(images[:2])
    flat = model.predict_proba(images[:2].reshape(2, -1))
    mixed = model.predict_proba([tmp_path / "face.png", np.stack([images[1]] * 3, axis=-1)])
    assert np.array_equal(flat, expected)
    assert np.allclose(mixed, expected, atol=1e-6)
    assert model.predict(str(tmp_path / "face.png")).tolist() == model.predict(images[:1]).tolist()
    opened = Image.open(tmp_path / "face.png")
    for given in (opened, [opened], [opened.convert("RGBA")]):
        assert np.array_equal(model.predict_proba(given), model.predict_proba(images[:1]))
    odd: list[Any] = [None, 7, [None], [np.zeros((48, 48))], [tmp_path / "none.png"]]
    for one in (*odd, [np.zeros((4, 4, 9), np.uint8)]):
        with pytest.raises(fer.FerError, match="pictures are paths, PIL images, or arrays"):
            model.predict(one)


def test_the_packaged_models_are_what_their_cards_say() -> None:
    seven, binary = fer.load_model("fernet"), fer.load_model("fernet-binary")
    assert seven.classes == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert binary.classes == ("not happy", "happy")
    for model, accuracy in ((seven, 0.6815), (binary, 0.9512)):
        assert model.record.test.accuracy == pytest.approx(accuracy, abs=1e-4)
        table = model.record.uncertain
        assert table is not None
        (below,) = (one for one in table.table if one.threshold == model.uncertain_below)
        assert below.accuracy is not None
        assert below.accuracy > model.record.test.accuracy


def test_a_packaged_model_has_its_own_name_and_a_copy_another(tmp_path: Path) -> None:
    packaged = packaged_file("fernet")
    assert packaged is not None
    shutil.copy(packaged, tmp_path)
    assert fer.load_model("fernet").name == "fernet"
    assert fer.load_model(tmp_path / "fernet.fer").name.startswith("fernet@")


def test_what_a_head_refuses_is_said_once(runs: Runs, images: NDArray[np.uint8]) -> None:
    class Refusing:
        def predict_proba(self, features: NDArray[Any]) -> NDArray[Any]:
            raise HeadError("the features hold NaN", hint="extract them again")

    model = runs["hog"].model()
    model.head = Refusing()
    with pytest.raises(fer.FerError) as caught:
        model.predict(images[:1])
    assert (
        caught.value.message == "the model's head does not fit its features: the features hold NaN"
    )
    assert "extract" not in str(caught.value)


def test_coverage_by_hand() -> None:
    probability = np.array([[0.9, 0.1], [0.4, 0.6], [0.55, 0.45], [0.2, 0.8]])
    found = coverage(np.array([0, 0, 0, 1]), probability, measured_on="four rows")
    by_threshold = {one.threshold: (one.share, one.accuracy) for one in found.table}
    assert by_threshold[0.5] == (1.0, 0.75)
    assert by_threshold[0.6] == (0.75, 2 / 3)
    assert by_threshold[0.85] == (0.25, 1.0)
    assert by_threshold[0.95] == (0.0, None)


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(fer.FerError, match="no model nothing"):
        fer.load_model("nothing")
    with pytest.raises(fer.FerError, match="no run in"):
        fer.load_model(tmp_path)


def test_a_pipeline_goes_from_images_to_labels(images: NDArray[np.uint8], tmp_path: Path) -> None:
    extractor = fer.FeatureExtractor("hog", cache_dir=tmp_path)
    labels = np.where(fer.load_faces("sample").emotion == 3, "happy", "not happy")
    pipeline = make_pipeline(extractor, make_head("logreg")).fit(images, labels)
    assert pipeline.score(images, labels) > 0.8
