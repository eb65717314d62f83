"""The curves that a head's probabilities make, for pictures and reports."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer_features.metrics import Reliability, reliability, roc_curve

RATES = np.linspace(0, 1, 201)
"""False positive rates at which the curves of several classes are averaged."""

ENOUGH = 10
"""Images that a tenth of confidence must have, for its accuracy to say anything."""


def reliability_of(label: NDArray[np.int64], probability: NDArray[np.float64]) -> Reliability:
    """Confidence and accuracy by tenths of confidence, of those with `ENOUGH` images.

    Args:
        label: int64 (n,), true class codes.
        probability: float64 (n, K).
    """
    found = reliability(label, probability, bins=10)
    kept = found.weight >= ENOUGH
    return Reliability(found.weight[kept], found.confidence[kept], found.accuracy[kept])


def roc_of(
    label: NDArray[np.int64], probability: NDArray[np.float64], *, positive: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The ROC curve of a class, or the mean of all classes' curves, each against the rest.

    The mean is of the true positive rates at equal false positive rates, so that its area is the
    mean of the areas (Fawcett, 2006, https://doi.org/10.1016/j.patrec.2005.10.010, calls it
    vertical averaging).

    Args:
        label: int64 (n,), true class codes.
        probability: float64 (n, K).
        positive: the class meant; None for the mean, of two classes for the second.

    Returns:
        False and true positive rates, ascending from 0 to 1; None where the curve is undefined: a
        class does not occur among the labels, or no other does.
    """
    n_classes = probability.shape[1]
    if positive is None and n_classes == 2:
        positive = 1
    meant = range(n_classes) if positive is None else (positive,)
    if any(not 0 < (label == code).sum() < len(label) for code in meant):
        return None
    curves = [roc_curve(label == code, probability[:, code]) for code in meant]
    if len(curves) == 1:
        return curves[0]
    rates = np.mean([_at(RATES, false, true) for false, true in curves], axis=0)
    return np.append(0, RATES), np.append(0, rates)


def _at(
    rates: NDArray[np.float64], false: NDArray[np.float64], true: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The curve's height at each rate, the top of a vertical step where there is one."""
    last = np.append(np.diff(false) > 0, True)
    out: NDArray[np.float64] = np.interp(rates, false[last], true[last])
    return out
