"""The empirical influence of each row on a score, from which the score's variance follows.

Each function returns the score and float64 (N,): the change of the score with the weight of a row,
counted with weights of 1. They sum to 0; the sum of their squares estimates the score's variance
(the infinitesimal jackknife: Efron and Tibshirani, 1993, chapter 22).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Influence = tuple[float, NDArray[np.float64]]


def auc_influence(is_class: NDArray[np.bool_], p: NDArray[Any]) -> Influence:
    """Of the area under the ROC curve, whose variance is then DeLong's.

    DeLong and others, 1988, https://doi.org/10.2307/2531595.

    Args:
        is_class: bool (N,), whether a row is of the class; both must occur.
        p: float (N,), the class's probabilities.
    """
    from scipy.stats import rankdata

    n_class, n_rest = is_class.sum(), (~is_class).sum()
    ranks = rankdata(p)
    place = np.empty(len(p))  # share of the other kind's rows that a row is on the right side of
    place[is_class] = (ranks[is_class] - rankdata(p[is_class])) / n_rest
    place[~is_class] = 1 - (ranks[~is_class] - rankdata(p[~is_class])) / n_class
    area = float(place[is_class].mean())
    return area, (place - area) / np.where(is_class, n_class, n_rest)


def precision_influence(is_class: NDArray[np.bool_], p: NDArray[Any]) -> Influence:
    """Of the average precision.

    Args:
        is_class: bool (N,), whether a row is of the class; some must be.
        p: float (N,), the class's probabilities.
    """
    order = np.argsort(-p, kind="stable")
    true = is_class[order].astype(np.float64)
    _, first, place = np.unique(-p[order], return_index=True, return_inverse=True)
    last = np.append(first[1:], len(p)) - 1  # rows that are tied share a threshold
    hits, called = np.cumsum(true)[last][place], (last + 1.0)[place]
    precision, total = hits / called, true.sum()
    value = float((true * precision).sum() / total)

    def below(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums over a row's threshold and all lower ones."""
        sums: NDArray[np.float64] = np.cumsum(values[::-1])[::-1][first][place]
        return sums

    gain = true * (precision - value + below(true / called)) - below(true * precision / called)
    influence = np.empty(len(p))
    influence[order] = gain / total
    return value, influence


def f1_influence(
    codes: NDArray[np.int64], predicted: NDArray[np.int64], *, meant: NDArray[np.int64]
) -> Influence:
    """Of the macro average of F1.

    Args:
        codes: int64 (N,), true class codes.
        predicted: int64 (N,), predicted ones.
        meant: int64 (M,), the classes that are averaged over.
    """
    true, called = (one[:, None] == meant for one in (codes, predicted))
    either = true.astype(np.float64) + called
    both = 2.0 * (true & called)
    total = np.maximum(either.sum(axis=0), 1)
    f1 = both.sum(axis=0) / total
    return float(f1.mean()), ((both - f1 * either) / total).mean(axis=1)
