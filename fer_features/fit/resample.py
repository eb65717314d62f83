"""Fit a head to some of the rows, and predict others: cross-validation, and the learning curve."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from fer_features.data.splits import Split, folds, nested_parts
from fer_features.fit.dataset import Dataset
from fer_features.fit.features import read_features
from fer_features.metrics import Scores
from fer_features.runs import schema as runs

SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the training rows that `learn_by_size` fits to."""

NUMBERS = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss")
"""The scores that `cross_validate` averages."""

Indices = NDArray[np.int64]


def fit_rows(
    head: Any, dataset: Dataset, rows: Indices, *, validation: Indices | None = None
) -> None:
    """Fit a head.

    Args:
        head: the head.
        dataset: features, labels, groups and soft targets.
        rows: indices in the data set of the rows to fit to.
        validation: of the rows to choose on; None leaves them to the head.
    """
    X, y, soft = read_features(dataset, head.needs), dataset.y, dataset.soft_targets
    head.fit(
        X[rows],
        y[rows],
        validation=None if validation is None else (X[validation], y[validation]),
        groups=dataset.groups.linked[rows],
        soft_targets=None if soft is None else soft[rows],
    )


def predict_rows(head: Any, dataset: Dataset, rows: Indices) -> NDArray[Any]:
    """A fitted head's probabilities (n, K) of the rows with these indices in the data set."""
    probability: NDArray[Any] = head.predict_proba(read_features(dataset, head.needs)[rows])
    return probability


def cross_validate(
    head: Any, dataset: Dataset, split: Split, *, k: int, seed: int
) -> runs.CrossValidation:
    """Mean and standard deviation of the scores over k folds of the training and validation rows.

    Test rows take no part. Each fold's head makes its choices on a part of its training rows. A
    score that some fold has not, as ROC AUC where a class is missing, has no mean (None).
    """
    rows = np.sort(np.concatenate([split.train, split.validation]))
    group = np.arange(len(rows)) if split.name == "reference" else dataset.groups.linked[rows]
    scores = []
    for train, held in folds(label=dataset.y[rows], group=group, k=k, seed=seed):
        one = clone(head)
        fit_rows(one, dataset, rows[train])
        scores.append(_score(one, dataset, rows[held]))
    values = {name: [getattr(one, name) for one in scores] for name in NUMBERS}
    known = {name: column for name, column in values.items() if None not in column}
    none: dict[str, float | None] = dict.fromkeys(NUMBERS)
    return runs.CrossValidation(
        folds=k,
        values=values,
        mean=none | {name: float(np.mean(column)) for name, column in known.items()},
        std=none | {name: float(np.std(column, ddof=1)) for name, column in known.items()},
    )


def learn_by_size(head: Any, dataset: Dataset, split: Split, *, seed: int) -> list[runs.Size]:
    """Scores of the head fitted to ever more of the training rows, each part within the next.

    On training and validation rows: test is not for choosing how many rows to collect.
    """
    parts = nested_parts(
        label=dataset.y[split.train],
        group=dataset.groups.linked[split.train],
        shares=SHARES,
        seed=seed,
    )
    sizes = []
    for rows in (split.train[part] for part in parts):
        one = clone(head)
        fit_rows(one, dataset, rows, validation=split.validation)
        validation = _score(one, dataset, split.validation)
        sizes.append(
            runs.Size(
                rows=len(rows),
                train_accuracy=_score(one, dataset, rows).accuracy,
                validation_accuracy=validation.accuracy,
                validation_log_loss=validation.log_loss,
            )
        )
    return sizes


def _score(head: Any, dataset: Dataset, rows: Indices) -> Scores:
    return dataset.score(rows, predict_rows(head, dataset, rows))
