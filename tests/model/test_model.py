"""A model gives what its run gave, in any batch, from a run or from its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import fer_features as fer
from fer_features.runs.run import Run

OPTIONS = [
    ("hog", "logreg", {}),
    ("fernet", "svm", {"views": ("flip",), "combine": "features", "calibrate": "platt"}),
    ("fernet", "logreg", {"views": ("flip",), "combine": "rows", "calibrate": "isotonic"}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def runs(folder: Path) -> list[Run]:
    caches = {
        name: fer.extract(
            "sample", backbone=name, cache_dir=folder, views=("flip",), precision="float32"
        )
        for name in ("hog", "fernet")
    }
    return [
        fer.fit(caches[backbone], head=head, runs_dir=folder / "runs", **options)
        for backbone, head, options in OPTIONS
    ]


def faces_of(run: Run) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The test rows' faces, and what the run predicted of them."""
    found = run.predictions().test
    return fer.load_faces("sample").images[found.row], found.probability


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_a_model_gives_what_its_run_gave(runs: list[Run], number: int, tmp_path: Path) -> None:
    run = runs[number]
    images, expected = faces_of(run)
    model = run.model()
    assert np.abs(model.probabilities(images) - expected).max() < 1e-3
    assert np.abs(model.probabilities(images[:1]) - expected[:1]).max() < 1e-3
    saved = fer.load_model(model.save(tmp_path / "one"))
    assert saved.name == "one"
    assert np.abs(saved.predict_proba(images[:40]) - expected[:40]).max() < 1e-3
    assert saved.record.test == run.record.test
