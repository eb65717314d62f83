"""Fits on parts of the rows: cross-validation, and the learning curve by training-set size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from fer_features.data.splits import folds, nested_parts
from fer_features.fit.dataset import Problem

Sizes = list[dict[str, Any]]
"""For each part of the training rows: its ``rows``, and the scores of a head fitted to them."""

SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the training rows that `learn_by_size` fits to."""

NUMBERS = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss")


def cross_validate(head: Any, X: NDArray[Any], problem: Problem, *, k: int) -> dict[str, Any]:
    """Mean and standard deviation of the scores over k folds of the training and validation rows.

    Test rows take no part. Each fold's head makes its choices on a part of its training rows. A
    score that some fold has not, as ROC AUC where a class is missing, has no mean (None).
    """
    dataset, split = problem.dataset, problem.split
    rows = np.sort(np.concatenate([split.train, split.validation]))
    group = np.arange(len(rows)) if split.name == "reference" else dataset.groups.linked[rows]
    scores = []
    for train, held in folds(label=dataset.y[rows], group=group, k=k, seed=problem.seed):
        one = clone(head)
        fit_to(one, X, problem, rows[train])
        scores.append(problem.score(rows[held], one.predict_proba(X[rows[held]])))
    values = {name: [getattr(one, name) for one in scores] for name in NUMBERS}
    mean: dict[str, float | None] = dict.fromkeys(NUMBERS)
    std = mean.copy()
    for name, column in values.items():
        if None not in column:
            mean[name], std[name] = float(np.mean(column)), float(np.std(column, ddof=1))
    return {"folds": k, "values": values, "mean": mean, "std": std}


def learn_by_size(head: Any, X: NDArray[Any], problem: Problem) -> Sizes:
    """Scores of the head fitted to ever more of the training rows, each part within the next.

    On training and validation rows: test is not for choosing how many rows to collect.
    """
    dataset, split = problem.dataset, problem.split
    parts = nested_parts(
        label=dataset.y[split.train],
        group=dataset.groups.linked[split.train],
        shares=SHARES,
        seed=problem.seed,
    )
    sizes = []
    for rows in (split.train[part] for part in parts):
        one = clone(head)
        fit_to(one, X, problem, rows, validation=split.validation)
        training, validation = (
            problem.score(part, one.predict_proba(X[part])) for part in (rows, split.validation)
        )
        sizes.append(
            {
                "rows": len(rows),
                "train_accuracy": training.accuracy,
                "validation_accuracy": validation.accuracy,
                "validation_log_loss": validation.log_loss,
            }
        )
    return sizes


def fit_to(
    head: Any,
    X: NDArray[Any],
    problem: Problem,
    rows: NDArray[np.int64],
    *,
    validation: NDArray[np.int64] | None = None,
) -> None:
    """Fit a head to some rows of a problem.

    Args:
        head: the head.
        X: features of all rows of the data set.
        problem: labels, groups and soft targets.
        rows: places of the rows to fit to.
        validation: places of the rows to choose on; None leaves them to the head.
    """
    dataset = problem.dataset
    head.fit(
        X[rows],
        dataset.y[rows],
        validation=None if validation is None else (X[validation], dataset.y[validation]),
        groups=dataset.groups.linked[rows],
        soft_targets=None if dataset.soft_targets is None else dataset.soft_targets[rows],
    )
