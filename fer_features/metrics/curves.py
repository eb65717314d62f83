"""ROC and reliability curves, and the calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_features.metrics.checks import checked

BINS = 15
"""Equal bins of confidence of the calibration error, as in Guo et al. (2017)."""

RATES = np.linspace(0, 1, 201)
"""False positive rates at which the curves of several classes are averaged."""


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: arrays (B,), one entry for each bin that has rows.

    Attributes:
        weight: number of rows.
        confidence: mean of their highest probabilities.
        accuracy: share of them whose most probable class is the true one.
    """

    weight: NDArray[np.float64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def reliability(
    y: ArrayLike, probability: ArrayLike, *, bins: int = BINS, least: int = 1
) -> Reliability:
    """Confidence and accuracy by equal bins of confidence, each of which holds its upper bound.

    Args:
        y: int (N,), true class codes, 0 to K-1.
        probability: float (N, K), 0 to 1, each row summing to 1.
        bins: number of bins from 0 to 1.
        least: rows that a bin must have to be returned.

    Raises:
        ValueError: shapes, codes or probabilities do not fit together.
    """
    codes, p = checked(y, probability)
    confidence = p.max(axis=1).astype(np.float64)
    right = p.argmax(axis=1) == codes
    place = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(np.int64)
    weight, sure, hits = (
        np.bincount(place, weights=values, minlength=bins).astype(np.float64)
        for values in (None, confidence, right)
    )
    kept = weight >= least
    return Reliability(weight[kept], sure[kept] / weight[kept], hits[kept] / weight[kept])


def expected_calibration_error(y: ArrayLike, probability: ArrayLike) -> float:
    """Mean distance of confidence from accuracy over `BINS` bins of confidence, 0 to 1.

    The confidence is the highest of a row's probabilities (Guo et al., 2017,
    https://arxiv.org/abs/1706.04599). Arguments and errors are `reliability`'s.
    """
    found = reliability(y, probability)
    gaps = found.weight * abs(found.accuracy - found.confidence)
    return float(gaps.sum() / found.weight.sum())


def roc_of(
    label: NDArray[np.int64], probability: NDArray[np.float64], *, positive: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The ROC curve of a class, or the mean of all classes' curves, each against the rest.

    The mean is of the true positive rates at equal false positive rates, so that its area is the
    mean of the areas (vertical averaging: Fawcett, 2006,
    https://doi.org/10.1016/j.patrec.2005.10.010).

    Args:
        label: int64 (n,), true class codes.
        probability: float64 (n, K).
        positive: the class meant; None for the mean, of two classes for the second.

    Returns:
        False and true positive rates, ascending from 0 to 1; None where the curve is undefined: a
        class does not occur among the labels, or no other does.
    """
    from sklearn.metrics import roc_curve

    n_classes = probability.shape[1]
    if positive is None and n_classes == 2:
        positive = 1
    meant = range(n_classes) if positive is None else (positive,)
    if any(not 0 < (label == code).sum() < len(label) for code in meant):
        return None
    curves = [
        roc_curve(label == code, probability[:, code], drop_intermediate=False)[:2]
        for code in meant
    ]
    if len(curves) == 1:
        false, true = curves[0]
        return false, true
    rates = np.mean([_at(RATES, false, true) for false, true in curves], axis=0)
    return np.append(0, RATES), np.append(0, rates)


def _at(
    rates: NDArray[np.float64], false: NDArray[np.float64], true: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The curve's height at each rate, the top of a vertical step where there is one."""
    last = np.append(np.diff(false) > 0, True)
    out: NDArray[np.float64] = np.interp(rates, false[last], true[last])
    return out
