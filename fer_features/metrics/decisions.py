"""How good are decisions: the class that was said against the class that was true."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_features.metrics.checks import checked_codes, checked_weights


def confusion_matrix(
    y: ArrayLike, predicted: ArrayLike, *, n_classes: int, weights: ArrayLike | None = None
) -> NDArray[Any]:
    """Count the rows of each pair (true class, predicted class).

    Args:
        y: int (N,), true class codes.
        predicted: int (N,), predicted class codes.
        n_classes: K; all codes are 0 to K-1.
        weights: float (N,), what each row counts for; None for 1.

    Returns:
        (K, K), rows true classes, columns predicted ones; int64, or float64 with weights.

    Raises:
        ValueError: lengths differ, there is no row, or a code is out of range.
    """
    true = checked_codes(y, n_classes=n_classes)
    said = checked_codes(predicted, n=len(true), n_classes=n_classes)
    w = None if weights is None else checked_weights(weights, n=len(true))
    cells = np.bincount(true * n_classes + said, weights=w, minlength=n_classes**2)
    return cells.reshape(n_classes, n_classes)


def accuracy(y: ArrayLike, predicted: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Share of rows where int (N,) `y` and int (N,) `predicted` agree, 0 to 1.

    Raises:
        ValueError: lengths differ, or there is no row.
    """
    true = checked_codes(y)
    said = checked_codes(predicted, n=len(true))
    return float(np.average(true == said, weights=checked_weights(weights, n=len(true))))


def balanced_accuracy(
    y: ArrayLike, predicted: ArrayLike, *, n_classes: int, weights: ArrayLike | None = None
) -> float:
    """Mean of the classes' recalls, over the classes that occur in `y`, 0 to 1.

    Arguments and errors are `confusion_matrix`'s.
    """
    counts = confusion_matrix(y, predicted, n_classes=n_classes, weights=weights)
    true = counts.sum(axis=1)
    return float((counts.diagonal()[true > 0] / true[true > 0]).mean())


def precision_recall_f1(
    y: ArrayLike,
    predicted: ArrayLike,
    *,
    n_classes: int,
    positive: int | None = None,
    weights: ArrayLike | None = None,
) -> tuple[float, float, float]:
    """Precision, recall and F1 of one class, or their macro averages.

    A ratio whose denominator is 0 counts as 0. Macro averages are over the classes that occur in
    `y` or in `predicted`, so that perfect predictions have an F1 of 1 whatever `y` lacks. That is
    scikit-learn's rule with ``zero_division=0``.

    Args:
        y: int (N,), true class codes.
        predicted: int (N,), predicted class codes.
        n_classes: K; all codes are 0 to K-1.
        positive: the code of the class meant; None for macro averages.
        weights: float (N,), what each row counts for; None for 1.

    Raises:
        ValueError: lengths differ, there is no row, or a code is out of range.
    """
    if positive is not None and not 0 <= positive < n_classes:
        raise ValueError(f"positive class code {positive} is not in 0 to {n_classes - 1}")
    counts = confusion_matrix(y, predicted, n_classes=n_classes, weights=weights)
    hits, said, true = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
    meant = occurring(y, predicted, n_classes=n_classes)
    if positive is not None:
        meant = np.arange(n_classes) == positive
    precision = ratio(hits, said)[meant].mean()
    recall = ratio(hits, true)[meant].mean()
    f1 = ratio(2 * hits, said + true)[meant].mean()
    return float(precision), float(recall), float(f1)


def occurring(y: ArrayLike, predicted: ArrayLike, *, n_classes: int) -> NDArray[np.bool_]:
    """Bool (K,): whether a class is true or predicted anywhere."""
    found = np.zeros(n_classes, bool)
    found[np.union1d(np.asarray(y), np.asarray(predicted))] = True
    return found


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """`part` / `whole`, 0 where `whole` is 0."""
    out: NDArray[np.float64] = np.zeros(np.shape(whole))
    np.divide(part, whole, out=out, where=np.asarray(whole) > 0)
    return out
