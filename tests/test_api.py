"""The public interface, as `docs/python.md` describes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fer_features as fer


def test_every_public_name_is_there() -> None:
    for name in fer.__all__:
        assert getattr(fer, name) is not None
    assert set(fer.__all__) <= set(dir(fer))
    with pytest.raises(AttributeError, match="nonsense"):
        fer.nonsense  # noqa: B018


@pytest.mark.parametrize("first", ["", "import fer_features.fit.fit, fer_features.extract.plan"])
def test_fit_and_extract_can_be_called_whatever_was_imported_before(first: str) -> None:
    program = (
        f"{first}\nfrom fer_features import extract, fit\nimport fer_features as fer\n"
        "assert callable(fit) and callable(extract) and fer.fit is fit and fer.extract is extract"
    )
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603  our own program


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def cache(folder: Path) -> fer.Cache:
    return fer.extract("sample", backbone="pixels", per_class=30, cache_dir=folder / "cache")


def test_faces_are_loaded_whole() -> None:
    faces = fer.load_faces("sample")
    assert faces.images.shape == (600, 48, 48)
    assert faces.images.dtype == np.uint8
    assert len(faces.emotion) == len(faces.usage) == len(faces.sha256) == 600


def test_a_dataset_of_a_cache(cache: fer.Cache) -> None:
    data = cache.dataset()
    assert data.X.shape == (60, 2304)
    assert np.bincount(data.y).tolist() == [30, 30]
    assert data.groups.shape == (60,)
    assert data.classes == ("not happy", "happy")
    with pytest.raises(fer.FerError, match="colour"):
        cache.dataset(colour="red")


def test_one_head_gives_a_run_and_several_a_list(cache: fer.Cache, folder: Path) -> None:
    run = fer.fit(cache, head="ridge", runs_dir=folder / "runs")
    assert run.record.head.name == "ridge"
    runs = fer.fit(cache.path, head=["ridge", "svm"], seed=1, runs_dir=folder / "runs")
    assert [one.record.head.name for one in runs] == ["ridge", "svm"]
    found = fer.compare(runs)
    assert [row["head"] for row in found.to_frame().to_dict("records")] == [
        table_row["head"] for table_row in found.rows()
    ]
    assert "ridge" in found.to_markdown()


def test_options_are_checked(cache: fer.Cache, folder: Path) -> None:
    with pytest.raises(fer.FerError, match="depth"):
        fer.fit(cache, head="ridge", depth=3)
    with pytest.raises(fer.FerError, match="seed"):
        fer.fit(cache, head="ridge", seed="one")
    with pytest.raises(fer.FerError, match="bakbone"):
        fer.extract("sample", bakbone="hog")
    with pytest.raises(fer.FerError, match="size"):
        fer.extract("sample", backbone="hog", size="big", cache_dir=folder)


def test_what_there_is_is_listed() -> None:
    assert "fernet" in fer.list_backbones()
    assert [one.name for one in fer.list_heads()][:2] == ["dense", "logreg"]


def test_one_text_stands_for_a_list_of_one(folder: Path) -> None:
    both = fer.extract(
        "sample", backbone="pixels", per_class=5, views="flip", cache_dir=folder / "c"
    )
    assert "pixels/pooled_flip" in both.features
