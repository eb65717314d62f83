"""Classifiers on the same rows: how much more accurate one is, and whether that is chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_features.metrics.intervals import LEVEL


@dataclass(frozen=True)
class Difference:
    """A difference between two accuracies on the same rows, with its 95 % interval."""

    value: float
    low: float
    high: float


def difference(only_a: int, only_b: int, n: int) -> Difference:
    """How much more accurate a is than b, with Bonett and Price's adjusted Wald interval.

    Bonett and Price, 2012, https://doi.org/10.3102/1076998611411915: one more row that only one
    of them gets right, for each.

    Args:
        only_a: rows that only a gets right.
        only_b: rows that only b gets right.
        n: all rows.
    """
    from scipy.special import ndtri

    a, b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = float(ndtri((1 + LEVEL) / 2) * np.sqrt((a + b - (a - b) ** 2) / (n + 2)))
    return Difference((only_a - only_b) / n, max(a - b - half, -1.0), min(a - b + half, 1.0))


class McNemar(NamedTuple):
    """McNemar's exact test of two classifiers on the same rows.

    Attributes:
        only_a: rows that only the first gets right.
        only_b: rows that only the second gets right.
        p: two-sided probability of a split as uneven, or more, if both were equally good.
    """

    only_a: int
    only_b: int
    p: float


def mcnemar(right_a: ArrayLike, right_b: ArrayLike) -> McNemar:
    """McNemar's exact test (McNemar, 1947, https://doi.org/10.1007/BF02295996).

    It is a binomial test; `scipy.stats.binomtest` gives the same p value a hundred times slower.

    Args:
        right_a: bool (N,), the rows that one gets right.
        right_b: bool (N,), those that the other does.

    Raises:
        ValueError: they are not of the same rows.
    """
    from scipy.special import bdtr

    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"correct predictions {a.shape} and {b.shape} are not paired")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p = min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))
    return McNemar(only_a, only_b, p)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) correction of p values for how many of them there are."""
    values = np.asarray(p, np.float64)
    order = np.argsort(values)
    steps = np.minimum(values[order] * np.arange(len(values), 0, -1), 1)
    corrected: NDArray[np.float64] = np.empty(len(values))
    corrected[order] = np.maximum.accumulate(steps)
    return [float(one) for one in corrected]
