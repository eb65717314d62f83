"""Fits on parts of the rows: cross-validation, and how a head learns with more of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.data.splits import folds, nested_parts
from fer_features.fit.problem import Problem
from fer_features.metrics import score

Sizes = list[dict[str, Any]]
"""For each part of the training rows: its ``rows``, and the scores of a head fitted to them."""

SHARES = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the training rows that `learn_by_size` fits to."""

NUMBERS = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss")


def cross_validate(head: Any, X: NDArray[Any], problem: Problem, *, k: int) -> dict[str, Any]:
    """Mean and spread of the scores over k folds of the training and validation rows.

    The test rows take no part. Each fold's head makes its own choices on a part of its own
    training rows.
    """
    from sklearn.base import clone

    selection, split = problem.selection, problem.split
    seen = np.sort(np.concatenate([split.train, split.validation]))
    copies = selection.groups.linked[seen]
    group = np.arange(len(seen)) if split.name == "reference" else copies
    scores = []
    for train, held in folds(label=selection.label[seen], group=group, k=k, seed=problem.seed):
        one = clone(head)
        _fit(one, X, problem, seen[train])
        scores.append(_score(one, X, problem, seen[held]))
    columns = {name: [one[name] for one in scores] for name in NUMBERS}
    return {
        "folds": k,
        "values": columns,
        "mean": {name: float(np.mean(values)) for name, values in columns.items()},
        "std": {name: float(np.std(values, ddof=1)) for name, values in columns.items()},
    }


def learn_by_size(head: Any, X: NDArray[Any], problem: Problem) -> Sizes:
    """Scores of the head fitted to ever more of the training rows, each part within the next.

    On training and validation rows: test is not for choosing how many rows to collect.
    """
    from sklearn.base import clone

    selection, split = problem.selection, problem.split
    parts = nested_parts(
        label=selection.label[split.train],
        group=selection.groups.linked[split.train],
        shares=SHARES,
        seed=problem.seed,
    )
    sizes = []
    for part in parts:
        rows, one = split.train[part], clone(head)
        _fit(one, X, problem, rows, validated=True)
        on_training = _score(one, X, problem, rows)
        on_validation = _score(one, X, problem, split.validation)
        sizes.append(
            {
                "rows": len(rows),
                "train_accuracy": on_training["accuracy"],
                "validation_accuracy": on_validation["accuracy"],
                "validation_log_loss": on_validation["log_loss"],
            }
        )
    return sizes


def _fit(
    head: Any,
    X: NDArray[Any],
    problem: Problem,
    rows: NDArray[np.int64],
    *,
    validated: bool = False,
) -> None:
    selection, held = problem.selection, problem.split.validation
    head.fit(
        X[rows],
        selection.label[rows],
        validation=(X[held], selection.label[held]) if validated else None,
        groups=selection.groups.linked[rows],
        soft_targets=None if selection.targets is None else selection.targets[rows],
    )


def _score(head: Any, X: NDArray[Any], problem: Problem, rows: NDArray[np.int64]) -> dict[str, Any]:
    selection = problem.selection
    task = selection.task
    return score(
        selection.label[rows],
        head.predict_proba(X[rows]),
        classes=task.class_names,
        positive=task.positive,
    ).to_dict()
