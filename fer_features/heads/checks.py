"""Checks of a head's input and output."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from fer_features.errors import FerError

Array = NDArray[Any]

CHUNK = 1024
"""Rows processed at once where all at once would need a copy of the whole array."""

SUM_TOLERANCE = 1e-6
"""Allowed deviation from 1 of the sum of a row's predicted probabilities."""

TARGET_TOLERANCE = 1e-3
"""Allowed deviation from 1 of the sum of a row's soft targets."""


class HeadError(FerError, ValueError):
    """Features, labels or parameters that a head cannot be fitted with.

    A `FerError`, since the caller can correct it, and the `ValueError` that scikit-learn requires
    of an estimator.
    """


def check_above_zero(most: float = sys.float_info.max, **values: float | Sequence[float]) -> None:
    """Raise `HeadError` unless each parameter, or each of its values, is above 0 and <= `most`."""
    for name, value in values.items():
        numbers = np.ravel(np.array(value, dtype=object))  # integers may be of any size
        if not (len(numbers) and all(0 < number <= most for number in numbers)):
            limit = "finite" if most == sys.float_info.max else f"at most {most:,}"
            raise HeadError(f"{name} must be above 0 and {limit}, not {value}")


def check_finite(features: Array) -> None:
    """Raise `HeadError` if a row of features holds NaN or infinity."""
    for start in range(0, len(features), CHUNK):
        block = features[start : start + CHUNK]
        bad = ~np.isfinite(block.reshape(len(block), -1)).all(axis=1)
        if bad.any():
            raise HeadError(
                f"the features hold NaN or infinity, first in row {start + bad.argmax()}",
                hint="extract them again; maps are float16 and end at 65,504",
            )


def checked_labels(y: ArrayLike, *, n: int) -> Array:
    """Labels (n,), checked for length, type and finite values."""
    labels = np.asarray(column_or_1d(y, warn=True))
    if len(labels) != n:
        raise HeadError(f"{len(labels)} labels for {n} rows of features")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise HeadError("the labels hold NaN or infinity")
    check_classification_targets(labels)
    return labels


def checked_groups(groups: ArrayLike, *, n: int) -> Array:
    """Groups (n,), of any type, as numbers."""
    named = np.asarray(groups)
    if named.shape != (n,):
        raise HeadError(f"groups of shape {named.shape} for {n} rows of features")
    return np.unique(named, return_inverse=True)[1].astype(np.int64)


def checked_soft_targets(soft_targets: ArrayLike, *, shape: tuple[int, int]) -> Array:
    """Soft targets (rows, classes), float32, each row not negative and of sum 1."""
    given = np.asarray(soft_targets, dtype=np.float64)
    hint = "give each row's probabilities of the classes, in the ascending order of the labels"
    if given.shape != shape:
        raise HeadError(f"soft targets are {given.shape}, not (rows, classes) = {shape}", hint=hint)
    bad = ~((given >= 0).all(axis=1) & (abs(given.sum(axis=1) - 1) <= TARGET_TOLERANCE))
    if bad.any():
        raise HeadError(f"soft targets are not probabilities, {_first(bad, given)}", hint=hint)
    return given.astype(np.float32)


def checked_probabilities(p: Array, shape: tuple[int, int], *, head: str) -> Array:
    """Probabilities clipped to 0 to 1, in their own type; `head` is named in errors.

    Raises:
        FerError: they are of another shape, or are not probabilities within `SUM_TOLERANCE`.
    """
    if p.shape != shape:
        raise FerError(f"the {head} head gives probabilities {p.shape}, not {shape}")
    within = (p >= -SUM_TOLERANCE) & (p <= 1 + SUM_TOLERANCE)  # False for NaN
    sums = p.sum(axis=1, dtype=np.float64)
    bad = ~(within.all(axis=1) & (abs(sums - 1) <= SUM_TOLERANCE))
    if bad.any():
        raise FerError(
            f"the {head} head's probabilities are not 0 to 1 with sum 1, {_first(bad, p)}",
            hint="correct its _predict_proba: divide each row by its sum, in float64",
        )
    return np.clip(p, 0, 1)


def _first(bad: Array, values: Array) -> str:
    row = int(bad.argmax())
    return f"first in row {row}: {values[row].tolist()}, sum {values[row].sum(dtype=float):.9g}"
