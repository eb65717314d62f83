"""Points of the ROC and reliability curves of a run's predictions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fer_features.metrics.curves import ENOUGH, reliability_of, roc_of
from fer_features.runs.run import Part

LEAST_IMAGES = ENOUGH
"""Least number of images in a tenth of confidence of a reliability curve."""

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
"""x and y, ascending in x."""


def roc_points(part: Part, *, positive: int | None) -> Points | None:
    """False and true positive rates, as `metrics.curves.roc_of`; None where undefined."""
    return roc_of(part.label, part.probability, positive=positive)


def reliability_points(part: Part) -> Points:
    """Mean confidence and accuracy by tenths of confidence with `LEAST_IMAGES` images."""
    found = reliability_of(part.label, part.probability)
    return found.confidence, found.accuracy
