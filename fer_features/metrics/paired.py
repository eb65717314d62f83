"""Classifiers on the same rows: how much more accurate one is, and whether that is chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_features.metrics.checks import checked_codes

LEVEL = 0.95


class Difference(NamedTuple):
    """A difference between two accuracies on the same rows, with its 95 % interval."""

    value: float
    low: float
    high: float


def difference(only_a: int, only_b: int, n: int) -> Difference:
    """How much more accurate a is than b, with Bonett and Price's adjusted Wald interval.

    Bonett and Price, 2012, https://doi.org/10.3102/1076998611411915: one row more that only one
    of them gets right, for each.

    Args:
        only_a: rows that only a gets right.
        only_b: rows that only b gets right.
        n: all rows.
    """
    from scipy.special import ndtri

    a, b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    half = float(ndtri((1 + LEVEL) / 2)) * float(np.sqrt((a + b - (a - b) ** 2) / (n + 2)))
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

    Args:
        right_a: bool (N,), the rows that one gets right.
        right_b: bool (N,), those that the other does.

    Raises:
        ValueError: they are not of the same rows.
    """
    from scipy.special import bdtr

    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"right answers {a.shape} and {b.shape} are not paired")
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    p = min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))
    return McNemar(only_a, only_b, p)


def right(y: ArrayLike, probability: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Bool (N,): the rows of int (N,) `y` whose most probable class is the true one."""
    said = np.asarray(probability).argmax(axis=1)
    found: NDArray[np.bool_] = said == checked_codes(y, n=len(said))
    return found


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) correction of p values for how many of them there are."""
    order, highest = np.argsort(p), 0.0
    corrected = [0.0] * len(p)
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        corrected[int(place)] = highest
    return corrected
