"""Cross-validation where a fold lacks a score."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from fer_features.fit import resample


def test_a_score_that_a_fold_lacks_has_no_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    aucs = iter([None, 0.5, 0.7])

    def score(head: Any, dataset: Any, rows: Any) -> SimpleNamespace:
        return SimpleNamespace(**dict.fromkeys(resample.NUMBERS, 0.5) | {"roc_auc": next(aucs)})

    y, X = np.arange(12) % 2, np.zeros((12, 1))
    split: Any = SimpleNamespace(name="reference", train=np.arange(9), validation=np.arange(9, 12))
    dataset: Any = SimpleNamespace(y=y)
    monkeypatch.setattr(
        resample, "fit_rows", lambda head, dataset, rows: head.fit(X[rows], y[rows])
    )
    monkeypatch.setattr(resample, "_score", score)
    cv = resample.cross_validate(DummyClassifier(), dataset, split, k=3, seed=0)
    assert cv.values["roc_auc"] == [None, 0.5, 0.7]
    assert cv.mean["roc_auc"] is None
    assert cv.std["roc_auc"] is None
    assert cv.mean["f1"] == 0.5
