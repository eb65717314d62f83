"""All scores of one set of probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_features.metrics.checks import checked_codes, checked_probability
from fer_features.metrics.decisions import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    precision_recall_f1,
)
from fer_features.metrics.probability import brier, expected_calibration_error, log_loss
from fer_features.metrics.ranking import average_precision, roc_auc

NUMBERS = (
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "ece",
)
"""The scores that are one number."""


@dataclass(frozen=True)
class Scores:
    """What a head achieved on one part of the rows.

    Attributes:
        n: number of rows.
        classes: the classes' names; a code is a place here.
        positive: the class that precision, recall, F1 and average precision are about; None where
            they are macro averages.
        accuracy: share of rows whose most probable class is the true one, 0 to 1.
        balanced_accuracy: mean of the classes' recalls, 0 to 1.
        precision: of the rows called positive, the share that is; 0 to 1.
        recall: of the positive rows, the share that is called so; 0 to 1.
        f1: harmonic mean of precision and recall (macro: the mean of the classes' F1), 0 to 1.
        roc_auc: area under the ROC curve, 0 to 1, or NaN where `roc_auc` leaves it undefined.
        average_precision: 0 to 1, or NaN where `average_precision` leaves it undefined.
        log_loss: mean of -log(probability of the true class), in nats, 0 or more.
        brier: mean squared error of the probabilities, 0 to 1 (more than two classes: to 2).
        ece: expected calibration error, 0 to 1.
        confusion: int64 (K, K), rows true classes, columns predicted ones.
    """

    n: int
    classes: tuple[str, ...]
    positive: str | None
    accuracy: float
    balanced_accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    average_precision: float
    log_loss: float
    brier: float
    ece: float
    confusion: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON knows them: a list of rows for the matrix, None for NaN."""
        numbers = {name: getattr(self, name) for name in NUMBERS}
        return {
            "n": self.n,
            "classes": list(self.classes),
            "positive": self.positive,
            **{name: None if math.isnan(value) else value for name, value in numbers.items()},
            "confusion": self.confusion.tolist(),
        }


def score(
    y: ArrayLike, probability: ArrayLike, *, classes: Sequence[str], positive: str | None = None
) -> Scores:
    """Score probabilities against the truth.

    The predicted class is the most probable one, and of equals the one with the lowest code.

    Args:
        y: int (N,), true class codes, 0 to K-1.
        probability: float (N, K), 0 to 1, each row summing to 1.
        classes: the K classes' names, in the order of their codes.
        positive: of two classes, the one that precision, recall, F1 and average precision are
            about; with None, or with more than two classes, they are macro averages.

    Raises:
        ValueError: shapes, codes, probabilities or names do not fit together.
    """
    p = checked_probability(probability)
    n_classes = p.shape[1]
    codes = checked_codes(y, n=len(p), n_classes=n_classes)
    code = positive_code(classes, positive, n_classes=n_classes)
    predicted = p.argmax(axis=1)
    precision, recall, f1 = precision_recall_f1(
        codes, predicted, n_classes=n_classes, positive=code
    )
    return Scores(
        n=len(codes),
        classes=tuple(classes),
        positive=None if code is None else positive,
        accuracy=accuracy(codes, predicted),
        balanced_accuracy=balanced_accuracy(codes, predicted, n_classes=n_classes),
        precision=precision,
        recall=recall,
        f1=f1,
        roc_auc=roc_auc(codes, p),
        average_precision=average_precision(codes, p, positive=1 if code is None else code),
        log_loss=log_loss(codes, p),
        brier=brier(codes, p),
        ece=expected_calibration_error(codes, p),
        confusion=confusion_matrix(codes, predicted, n_classes=n_classes),
    )


def positive_code(classes: Sequence[str], positive: str | None, *, n_classes: int) -> int | None:
    """The code of the positive class of two; None where macro averages are meant.

    Raises:
        ValueError: the names do not fit the classes.
    """
    if len(classes) != n_classes:
        raise ValueError(f"{len(classes)} class names for {n_classes} columns of probabilities")
    if positive is not None and positive not in classes:
        raise ValueError(f"positive class {positive!r} is not one of {', '.join(classes)}")
    return None if positive is None or n_classes > 2 else list(classes).index(positive)
