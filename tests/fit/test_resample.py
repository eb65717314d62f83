"""Cross-validation where a fold lacks a score."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from fer_features.fit import resample


def test_a_score_that_a_fold_lacks_has_no_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    aucs = iter([None, 0.5, 0.7])

    def score(rows: Any, probability: Any) -> SimpleNamespace:
        return SimpleNamespace(**dict.fromkeys(resample.NUMBERS, 0.5) | {"roc_auc": next(aucs)})

    y, X = np.arange(12) % 2, np.zeros((12, 1))
    split = SimpleNamespace(name="reference", train=np.arange(9), validation=np.arange(9, 12))
    problem: Any = SimpleNamespace(dataset=SimpleNamespace(y=y), split=split, seed=0, score=score)
    monkeypatch.setattr(
        resample, "fit_to", lambda head, X, problem, rows: head.fit(X[rows], y[rows])
    )
    cv = resample.cross_validate(DummyClassifier(), X, problem, k=3)
    assert cv["values"]["roc_auc"] == [None, 0.5, 0.7]
    assert cv["mean"]["roc_auc"] is None
    assert cv["std"]["roc_auc"] is None
    assert cv["mean"]["f1"] == 0.5
