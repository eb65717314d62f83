"""How well probabilities put rows in order, whatever the threshold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_features.metrics.checks import checked_codes, checked_probability, checked_weights


def roc_auc(y: ArrayLike, probability: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Area under the ROC curve; for more than two classes, the mean of one class against the rest.

    It is the chance that a row of the class gets a higher probability of it than a row of another
    class does, a tie counting one half: the Mann-Whitney statistic (Hanley and McNeil, 1982,
    https://doi.org/10.1148/radiology.143.1.7063747).

    Args:
        y: int (N,), true class codes, 0 to K-1.
        probability: float (N, K), 0 to 1, each row summing to 1.
        weights: float (N,), what each row counts for; None for 1.

    Returns:
        0 to 1, or NaN where it is undefined: a class does not occur in `y`, or no other does.

    Raises:
        ValueError: shapes, codes or probabilities do not fit together.
    """
    p, codes, w = _checked(y, probability, weights)
    if p.shape[1] == 2:
        return _auc(codes == 1, p[:, 1], w)
    return float(np.mean([_auc(codes == k, p[:, k], w) for k in range(p.shape[1])]))


def average_precision(
    y: ArrayLike,
    probability: ArrayLike,
    *,
    positive: int = 1,
    weights: ArrayLike | None = None,
) -> float:
    """Precision averaged over the recall that is gained from one threshold to the next.

    For more than two classes the mean of one class against the rest. That is scikit-learn's
    definition: no interpolation.

    Args:
        y: int (N,), true class codes, 0 to K-1.
        probability: float (N, K), 0 to 1, each row summing to 1.
        positive: of two classes, the code of the one that is meant.
        weights: float (N,), what each row counts for; None for 1.

    Returns:
        0 to 1, or NaN where it is undefined: a class that is meant does not occur in `y`.

    Raises:
        ValueError: shapes, codes or probabilities do not fit together.
    """
    p, codes, w = _checked(y, probability, weights)
    meant = range(p.shape[1]) if p.shape[1] > 2 else (positive,)
    return float(np.mean([_ap(codes == k, p[:, k], w) for k in meant]))


def roc_curve(
    is_class: NDArray[np.bool_], p: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rates at each threshold, both ascending from 0 to 1, float64 (T,).

    Args:
        is_class: bool (N,), whether a row is of the class; both must occur.
        p: float (N,), the class's probabilities.
    """
    true, false = _by_threshold(is_class, p, np.ones(len(p)))
    hits, alarms = np.cumsum(true), np.cumsum(false)
    return np.append(0, alarms / alarms[-1]), np.append(0, hits / hits[-1])


def _checked(
    y: ArrayLike, probability: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float64]]:
    p = checked_probability(probability)
    codes = checked_codes(y, n=len(p), n_classes=p.shape[1])
    return p, codes, checked_weights(weights, n=len(p))


def _by_threshold(
    is_class: NDArray[np.bool_], p: NDArray[Any], w: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight of rows of the class, and of the others, at each distinct p, the highest first."""
    _, place = np.unique(-p, return_inverse=True)
    true: NDArray[np.float64] = np.bincount(place, weights=w * is_class).astype(np.float64)
    false: NDArray[np.float64] = np.bincount(place, weights=w * ~is_class).astype(np.float64)
    return true, false


def _auc(is_class: NDArray[np.bool_], p: NDArray[Any], w: NDArray[np.float64]) -> float:
    true, false = _by_threshold(is_class, p, w)
    if not (true.any() and false.any()):
        return math.nan
    lower = false.sum() - np.cumsum(false)
    return float((true * (lower + false / 2)).sum() / (true.sum() * false.sum()))


def _ap(is_class: NDArray[np.bool_], p: NDArray[Any], w: NDArray[np.float64]) -> float:
    true, false = _by_threshold(is_class, p, w)
    if not true.any():
        return math.nan
    hits, said = np.cumsum(true), np.cumsum(true + false)
    precision = np.divide(hits, said, out=np.zeros(len(hits)), where=said > 0)
    return float((true * precision).sum() / true.sum())
