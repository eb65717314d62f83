"""95 % intervals of scores, in closed form.

`benchmarks/coverage.py` simulates how often each of them covers the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_features.metrics.checks import checked, positive_code
from fer_features.metrics.influence import auc_influence, f1_influence, precision_influence
from fer_features.metrics.scores import NUMBERS, row_brier, row_log_loss

LEVEL = 0.95
WITH_INTERVAL = tuple(name for name in NUMBERS if name != "ece")
"""The scores that have an interval. The expected calibration error has none: it is biased upwards
by chance alone, and resampling adds that bias once more, so that an interval around it would never
hold the 0 of a calibrated model."""

_TINY = 1e-9

Interval = tuple[float, float]


def score_intervals(
    y: ArrayLike, probability: ArrayLike, *, classes: Sequence[str], positive: str | None = None
) -> dict[str, Interval]:
    """95 % intervals of the scores of `WITH_INTERVAL`.

    Accuracy, and of two classes precision and recall, are proportions: Wilson. F1 of one class is
    2J / (1 + J) of the proportion J of hits among rows that are of the class or called so: Wilson
    again (Lam and others, 2023, https://arxiv.org/abs/2309.14621). Macro averages of precision
    and recall: `macro_interval`. Log loss and Brier score: `mean_interval`. ROC AUC, average
    precision and macro F1: `logit_interval` with the variance of each row's influence, for ROC AUC
    that of DeLong and others (1988).

    Args:
        y: int (N,), true class codes, 0 to K-1.
        probability: float (N, K), 0 to 1, each row summing to 1.
        classes: the K classes' names, in the order of their codes.
        positive: of two classes, the one that precision, recall and F1 are about.

    Returns:
        Low and high by name; NaN where the score, or how sure it is, is undefined.

    Raises:
        ValueError: shapes, codes, probabilities or names do not fit together.
    """
    codes, p = checked(y, probability)
    code = positive_code(list(classes), positive, n_classes=p.shape[1])
    return {
        **_of_decisions(codes, p.argmax(axis=1), n_classes=p.shape[1], positive=code),
        "roc_auc": _ranking(auc_influence, codes, p, positive=code),
        "average_precision": _ranking(precision_influence, codes, p, positive=code),
        "log_loss": mean_interval(row_log_loss(codes, p)),
        "brier": mean_interval(row_brier(codes, p), most=1.0 if p.shape[1] == 2 else 2.0),
    }


def wilson(
    share: ArrayLike, n: ArrayLike, *, z: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's (1927) interval of a proportion, https://doi.org/10.2307/2276774.

    Args:
        share: the proportion found, 0 to 1, of any shape.
        n: out of how many, more than 0; of the same shape.
        z: standard errors to either side; None for those of the normal distribution's 95 %.

    Returns:
        Low and high, of that shape; never the same, not even of 0 or all.
    """
    from scipy.special import ndtri

    p, size = np.asarray(share, np.float64), np.asarray(n, np.float64)
    square = np.square(ndtri((1 + LEVEL) / 2) if z is None else z)
    middle = p + square / (2 * size)
    half = np.sqrt(square * (p * (1 - p) / size + square / (4 * size**2)))
    whole = 1 + square / size
    low, high = (middle - half) / whole, (middle + half) / whole
    return np.where(p <= 0, 0, low), np.where(p >= 1, 1, high)


def share_interval(hits: int, n: int) -> Interval:
    """Wilson's interval of `hits` out of `n`; NaN out of none."""
    if n == 0:
        return np.nan, np.nan
    low, high = wilson(hits / n, n)
    return float(low), float(high)


def macro_interval(hits: NDArray[Any], n: NDArray[Any]) -> Interval:
    """The interval of a mean of independent proportions, from Wilson's interval of each.

    Zou, Huang and Zhang (2009), https://doi.org/10.1016/j.csda.2008.09.033: the distances of the
    proportions from their lower ends, as those from the upper, add like standard errors. Wilson's
    are taken with Student's t of n degrees of freedom, which keeps the coverage where n is small.

    Args:
        hits: (K,), of each class.
        n: (K,), out of how many; a proportion out of none counts as 0, and might be anything.
    """
    from scipy.stats import t

    some = n > 0
    share, low, high = np.zeros(len(n)), np.zeros(len(n)), np.ones(len(n))
    share[some] = hits[some] / n[some]
    z = t.ppf((1 + LEVEL) / 2, n[some])
    low[some], high[some] = wilson(share[some], n[some], z=z)
    down, up = (np.sqrt(((share - end) ** 2).sum()) / len(n) for end in (low, high))
    return float(max(share.mean() - down, 0)), float(min(share.mean() + up, 1))


def mean_interval(values: NDArray[np.float64], *, most: float = np.inf) -> Interval:
    """The interval of a mean by Hall's (1992) t statistic, freed of skewness by a cubic.

    https://doi.org/10.1111/j.2517-6161.1992.tb01870.x

    Args:
        values: float (N,), 0 or more.
        most: what none can exceed.

    Returns:
        NaN where the values are fewer than three, or all the same.
    """
    from scipy.stats import skew, t

    n = len(values)
    mean = values.mean()
    spread = values.std()
    if n < 3 or spread <= _TINY * max(abs(mean), _TINY):
        return np.nan, np.nan
    error = spread / np.sqrt(n - 1)
    quantiles = t.ppf([(1 + LEVEL) / 2, (1 - LEVEL) / 2], n - 1)
    a = float(skew(values)) / np.sqrt(n)
    if abs(a) > _TINY:
        quantiles = 3 / a * (np.cbrt(1 + a * (quantiles - a / 6)) - 1)
    low, high = np.clip(mean - quantiles * error, 0, most)
    return float(low), float(high)


def logit_interval(value: float, influence: NDArray[np.float64], *, rows: int) -> Interval:
    """The interval of a score from 0 to 1, symmetric in its log odds.

    Args:
        value: the score.
        influence: float (N,), how much each row moves it; their squares sum to its variance.
        rows: of the rarest class: the variance is known no better than from so many.

    Returns:
        Wilson's out of `rows` where the rows show no variance, as for a score of 1.
    """
    from scipy.special import expit, logit
    from scipy.stats import t

    n = len(influence)
    error = float(np.sqrt((influence**2).sum() * n / max(n - 1, 1)))
    if error < _TINY or not _TINY < value < 1 - _TINY or rows < 2:
        low, high = wilson(np.clip(value, 0, 1), max(rows, 1))
        return float(low), float(high)
    half = t.ppf((1 + LEVEL) / 2, rows - 1) * error / (value * (1 - value))
    low, high = expit(logit(value) - half), expit(logit(value) + half)
    return float(low), float(high)


def _of_decisions(
    codes: NDArray[np.int64], predicted: NDArray[np.int64], *, n_classes: int, positive: int | None
) -> dict[str, Interval]:
    true, called, hits = (
        np.bincount(rows, minlength=n_classes)
        for rows in (codes, predicted, codes[codes == predicted])
    )
    found = {
        "accuracy": share_interval(int(hits.sum()), len(codes)),
        "balanced_accuracy": macro_interval(hits[true > 0], true[true > 0]),
    }
    if positive is not None:
        of_class = int(hits[positive])
        either = int(called[positive] + true[positive]) - of_class
        low, high = share_interval(of_class, either)
        return {
            **found,
            "precision": share_interval(of_class, int(called[positive])),
            "recall": share_interval(of_class, int(true[positive])),
            "f1": (2 * low / (1 + low), 2 * high / (1 + high)),
        }
    meant = np.union1d(codes, predicted)
    value, influence = f1_influence(codes, predicted, meant=meant)
    return {
        **found,
        "precision": macro_interval(hits[meant], called[meant]),
        "recall": macro_interval(hits[meant], true[meant]),
        "f1": logit_interval(value, influence, rows=int(true[true > 0].min())),
    }


def _ranking(
    influence_of: Callable[..., tuple[float, NDArray[np.float64]]],
    codes: NDArray[np.int64],
    p: NDArray[Any],
    *,
    positive: int | None,
) -> Interval:
    """The interval of a ranking's score: of one class of two, or the mean over more."""
    counts = np.bincount(codes, minlength=p.shape[1])
    if not counts.all():
        return np.nan, np.nan
    ranked = range(p.shape[1]) if p.shape[1] > 2 else (1 if positive is None else positive,)
    values, influences = zip(*(influence_of(codes == k, p[:, k]) for k in ranked), strict=True)
    return logit_interval(
        float(np.mean(values)), np.mean(influences, axis=0), rows=int(counts.min())
    )
