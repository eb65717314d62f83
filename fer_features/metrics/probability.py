"""How true probabilities are: not only which is highest, but how high."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_features.metrics.checks import checked_codes, checked_probability, checked_weights

BINS = 15
"""Equal steps of confidence that calibration is looked at in, as Guo et al. do."""


def log_loss(y: ArrayLike, probability: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Mean of -log(probability of the true class), in nats.

    Probabilities are kept from 0 and 1 by the machine epsilon of their own type, as scikit-learn
    does, so that one confident mistake does not make the mean infinite.

    Args:
        y: int (N,), true class codes, 0 to K-1.
        probability: float (N, K), 0 to 1, each row summing to 1.
        weights: float (N,), what each row counts for; None for 1.

    Raises:
        ValueError: shapes, codes or probabilities do not fit together.
    """
    p, codes, w = _checked(y, probability, weights)
    return float(np.average(row_log_loss(codes, p), weights=w))


def brier(y: ArrayLike, probability: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Mean squared difference between probabilities and what was true (Brier, 1950).

    Of two classes, that of one of them, 0 to 1; of more, the sum over all classes, 0 to 2: as
    scikit-learn scales it.

    Arguments and errors are `log_loss`'s.
    """
    p, codes, w = _checked(y, probability, weights)
    return float(np.average(row_brier(codes, p), weights=w))


def expected_calibration_error(
    y: ArrayLike,
    probability: ArrayLike,
    *,
    bins: int = BINS,
    weights: ArrayLike | None = None,
) -> float:
    """Mean distance of confidence from accuracy over equal steps of confidence, 0 to 1.

    The confidence is the highest of a row's probabilities (Guo et al., 2017,
    https://arxiv.org/abs/1706.04599).

    Args:
        y: int (N,), true class codes, 0 to K-1.
        probability: float (N, K), 0 to 1, each row summing to 1.
        bins: how many steps from 0 to 1.
        weights: float (N,), what each row counts for; None for 1.

    Raises:
        ValueError: shapes, codes or probabilities do not fit together.
    """
    found = reliability(y, probability, bins=bins, weights=weights)
    total = found.weight.sum()
    return float((found.weight * abs(found.accuracy - found.confidence)).sum() / total)


@dataclass(frozen=True)
class Reliability:
    """What is behind a reliability diagram; arrays (B,), one entry for each step that has rows.

    Attributes:
        weight: how many rows, or their weight.
        confidence: mean of their highest probabilities.
        accuracy: share of them whose most probable class is the true one.
    """

    weight: NDArray[np.float64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def reliability(
    y: ArrayLike,
    probability: ArrayLike,
    *,
    bins: int = BINS,
    weights: ArrayLike | None = None,
) -> Reliability:
    """Confidence and accuracy by steps of confidence; arguments are those of the error."""
    p, codes, w = _checked(y, probability, weights)
    confidence = p.max(axis=1).astype(np.float64)
    right = p.argmax(axis=1) == codes
    place = bin_of(confidence, bins)
    weight, said, was = (
        np.bincount(place, weights=w * values, minlength=bins).astype(np.float64)
        for values in (np.ones(len(p)), confidence, right)
    )
    there = weight > 0
    return Reliability(weight[there], said[there] / weight[there], was[there] / weight[there])


def bin_of(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """The step of each confidence, of which each ends with its upper bound."""
    place: NDArray[np.int64] = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(np.int64)
    return place


def row_log_loss(codes: NDArray[np.int64], p: NDArray[Any]) -> NDArray[np.float64]:
    """-log(probability of the true class) of each row, in nats: float64 (N,)."""
    epsilon = np.finfo(p.dtype).eps
    said = np.clip(p[np.arange(len(p)), codes], epsilon, 1 - epsilon)
    loss: NDArray[np.float64] = -np.log(said.astype(np.float64))
    return loss


def row_brier(codes: NDArray[np.int64], p: NDArray[Any]) -> NDArray[np.float64]:
    """Squared distance of each row's probabilities from the truth, float64 (N,)."""
    if p.shape[1] == 2:
        distance: NDArray[np.float64] = (p[:, 1].astype(np.float64) - (codes == 1)) ** 2
    else:
        distance = ((p.astype(np.float64) - np.eye(p.shape[1])[codes]) ** 2).sum(axis=1)
    return distance


def _checked(
    y: ArrayLike, probability: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float64]]:
    p = checked_probability(probability)
    codes = checked_codes(y, n=len(p), n_classes=p.shape[1])
    return p, codes, checked_weights(weights, n=len(p))
