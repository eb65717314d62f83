"""`FeatureExtractor` in scikit-learn's tools: every image goes through the network once."""

import logging
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_array
from sklearn.utils.estimator_checks import parametrize_with_checks

from fer_features.backbones import Backbone, get_backbone
from fer_features.backbones.descriptors import describe
from fer_features.errors import FerError
from fer_features.extract import extractor
from fer_features.extract.extractor import FeatureExtractor

N = 24


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (N, 48, 48), dtype=np.uint8)


@pytest.fixture
def hog(tmp_path: Path) -> FeatureExtractor:
    return FeatureExtractor("hog", cache_dir=tmp_path, batch_size=5)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images in each call of an engine."""
    sizes: list[int] = []
    real = extractor.make_engine

    def make_engine(*args: Any, **kwargs: Any) -> Any:
        engine = real(*args, **kwargs)
        submit = engine.submit

        def counted(images: np.ndarray) -> Any:
            sizes.append(len(images))
            return submit(images)

        engine.submit = counted
        return engine

    monkeypatch.setattr(extractor, "make_engine", make_engine)
    extractor.shared_engine.cache_clear()
    yield sizes
    extractor.shared_engine.cache_clear()


def test_features_are_those_of_the_backbone(hog: FeatureExtractor, images: np.ndarray) -> None:
    recipes = {"hog_8": (get_backbone("hog").descriptors or {})["hog_8"]}
    expected = describe(images, recipes, ["pooled", "map"])
    for _ in range(2):  # computed, then read
        pooled = hog.fit_transform(images)
        assert pooled.dtype == np.float32
        np.testing.assert_array_equal(pooled, expected["hog_8/pooled"])
        maps = clone(hog).set_params(output="map").fit_transform(images)
        assert maps.dtype == np.float16
        np.testing.assert_array_equal(maps, expected["hog_8/map"])
    np.testing.assert_array_equal(hog.transform(images.reshape(N, -1)), pooled)


def test_a_grid_search_extracts_each_image_once(
    hog: FeatureExtractor, images: np.ndarray, computed: list[int]
) -> None:
    twice = np.concatenate([images, images[:4]])
    search = GridSearchCV(
        make_pipeline(hog, LogisticRegression()),
        {"logisticregression__C": [0.1, 1.0, 10.0]},
        cv=3,
        error_score="raise",
    ).fit(twice, np.arange(N + 4) % 2)
    assert sum(computed) == N
    search.predict(images)
    assert sum(computed) == N
    search.set_params(estimator__featureextractor__layer="hog_12").fit(images, np.arange(N) % 2)
    assert sum(computed) == 2 * N  # another layer is stored elsewhere


def test_another_process_finds_what_was_computed(
    hog: FeatureExtractor, images: np.ndarray, computed: list[int]
) -> None:
    first = hog.transform(images)
    extractor.shared_engine.cache_clear()  # as in a new process
    again = pickle.loads(pickle.dumps(hog))  # noqa: S301  our own
    np.testing.assert_array_equal(again.transform(images[::-1]), first[::-1])
    assert sum(computed) == N


def test_a_network_is_built_when_it_is_needed(
    tiny: Backbone, tmp_path: Path, images: np.ndarray, computed: list[int]
) -> None:
    features = FeatureExtractor(
        "tiny", weights="random:0", engine="keras", precision="float32", cache_dir=tmp_path
    ).fit(images)
    assert not computed
    assert features.transform(images).shape == (N, 6)
    assert features.get_feature_names_out().tolist() == [f"second_{k}" for k in range(6)]
    other = clone(features).set_params(weights="random:1")
    assert not np.allclose(other.transform(images), features.transform(images))
    assert sum(computed) == 2 * N


def test_fernet_is_the_default(tmp_path: Path, images: np.ndarray) -> None:
    features = FeatureExtractor(cache_dir=tmp_path).fit_transform(images[:2])
    assert features.shape == (2, 192)


def test_the_pooling_is_the_backbones(tmp_path: Path, images: np.ndarray) -> None:
    features = FeatureExtractor("efficientnet_lite0", size=48, cache_dir=tmp_path)
    names = features.get_feature_names_out()
    assert features.transform(images[:2]).shape == (2, len(names)) == (2, 9 * 112)


def test_tables_have_names(hog: FeatureExtractor, images: np.ndarray) -> None:
    pytest.importorskip("pandas")
    table = hog.set_params(layer="hog_12").set_output(transform="pandas").fit_transform(images)
    assert table.columns[:2].tolist() == ["hog_12_0", "hog_12_1"]
    assert table.shape == (N, 648)


def only_file(folder: Path) -> Path:
    (path,) = folder.rglob("*.sqlite")
    return path


@pytest.mark.parametrize("damage", ["garbage", "truncated", "features"])
def test_a_damaged_file_is_computed_again_and_logged(
    hog: FeatureExtractor,
    images: np.ndarray,
    tmp_path: Path,
    computed: list[int],
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    expected = hog.transform(images)
    path = only_file(tmp_path)
    match damage:
        case "garbage":
            path.write_bytes(b"garbage" * 1000)
        case "truncated":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "features":
            with sqlite3.connect(path) as file:
                file.execute("UPDATE features SET content = zeroblob(7200)")
            file.close()
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(hog.transform(images), expected)
    assert caplog.records
    assert sum(computed) == 2 * N
    np.testing.assert_array_equal(hog.transform(images), expected)
    assert sum(computed) == 2 * N


def test_what_is_done_outlasts_an_interruption(
    hog: FeatureExtractor,
    images: np.ndarray,
    computed: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extractor, "BLOCK", 10)
    real = extractor.make_engine

    def stop_after_two_blocks(*args: Any, **kwargs: Any) -> Any:
        engine = real(*args, **kwargs)
        submit = engine.submit

        def stopping(images: np.ndarray) -> Any:
            if sum(computed) == 20:
                raise KeyboardInterrupt
            return submit(images)

        engine.submit = stopping
        return engine

    with monkeypatch.context() as patch:
        patch.setattr(extractor, "make_engine", stop_after_two_blocks)
        with pytest.raises(KeyboardInterrupt):
            hog.transform(images)
    extractor.shared_engine.cache_clear()
    hog.transform(images)
    assert sum(computed) == N


def test_a_folder_that_cannot_be_written_is_an_error(
    hog: FeatureExtractor, images: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "extractor").write_text("in the way")
    with pytest.raises(FerError, match="extractor"):
        hog.transform(images)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"backbone": "vgg"}, "vgg"),
        ({"layer": "hog_99"}, "hog_99"),
        ({"output": "grid"}, "grid"),
        ({"output": "grid3"}, "grid3"),
        ({"engine": "onnx"}, "hog"),
        ({"size": 96}, "96"),
        ({"weights": "imagenet"}, "hog"),
    ],
)
def test_a_wrong_parameter_is_named_by_fit(
    hog: FeatureExtractor, images: np.ndarray, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(FerError, match=named):
        hog.set_params(**change).fit(images)


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((2, 48, 48)),
        np.zeros((2, 47, 48), np.uint8),
        np.zeros(2304, np.uint8),
        np.zeros((0, 48, 48), np.uint8),
        [["a"]],
    ],
    ids=["float", "shape", "one image", "none", "text"],
)
def test_what_are_no_images_is_refused(hog: FeatureExtractor, X: Any) -> None:
    for method in (hog.fit, hog.transform):
        with pytest.raises(FerError):
            method(X)


TABLES = "the check fits a table of floats, which is refused: images are bytes of 48×48 pixels"
EXPECTED_FAILED_CHECKS = dict.fromkeys(
    (
        "check_fit_score_takes_y",
        "check_estimators_overwrite_params",
        "check_dont_overwrite_parameters",
        "check_estimators_fit_returns_self",
        "check_readonly_memmap_input",
        "check_positive_only_tag_during_fit",
        "check_estimators_dtypes",
        "check_pipeline_consistency",
        "check_estimator_sparse_tag",
        "check_estimator_sparse_array",
        "check_estimator_sparse_matrix",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_transformer_general",
        "check_transformer_preserve_dtypes",
        "check_transformers_unfitted_stateless",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_fit2d_1sample",
        "check_fit2d_1feature",
        "check_dict_unchanged",
        "check_fit_idempotent",
        "check_fit_check_is_fitted",
    ),
    TABLES,
)
"""They run on images in `test_scikit_learns_checks_on_images`."""


@parametrize_with_checks(
    [FeatureExtractor("pixels")], expected_failed_checks=lambda _: EXPECTED_FAILED_CHECKS
)
def test_scikit_learns_own_checks(
    estimator: Any, check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check(estimator)


class OnImages(FeatureExtractor):
    """It makes an image of each row of a table, so that scikit-learn's checks have some."""

    def fit(self, X: Any, y: Any = None) -> Any:
        return super().fit(self._images(X))

    def transform(self, X: Any) -> np.ndarray:
        return super().transform(self._images(X))

    def _images(self, X: Any) -> np.ndarray:
        rows = [np.frombuffer(row.tobytes(), np.uint8) for row in check_array(X, dtype=float)]
        return np.stack([np.resize(row, (48, 48)) for row in rows])


@parametrize_with_checks([OnImages("pixels")])
def test_scikit_learns_checks_on_images(
    estimator: Any, check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check(estimator)
