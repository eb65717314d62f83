"""How sure scores are, and differences between them: bootstrap and McNemar's test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_features.metrics.checks import checked_codes, checked_probability
from fer_features.metrics.decisions import occurring, ratio
from fer_features.metrics.probability import BINS, bin_of, row_brier, row_log_loss
from fer_features.metrics.scores import positive_code

RESAMPLES = 2000
LEVEL = 0.95
_BLOCK = 250

Interval = tuple[float, float]


def bootstrap(
    y: ArrayLike,
    probability: ArrayLike,
    *,
    classes: Sequence[str],
    positive: str | None = None,
    n: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """95 % intervals of every score that is a number, by the stratified bootstrap.

    Rows are drawn with replacement within each class, as often as the class has rows, and the
    2.5th and 97.5th percentiles of the scores taken (Efron and Tibshirani, 1993, chapter 13).

    Args:
        y: int (N,), true class codes, 0 to K-1.
        probability: float (N, K), 0 to 1, each row summing to 1.
        classes: the K classes' names, in the order of their codes.
        positive: of two classes, the one that precision, recall and F1 are about.
        n: how often the rows are drawn.
        seed: seed of the draws.

    Returns:
        Low and high by the names of `fer_features.metrics.NUMBERS`; NaN where a score is undefined.

    Raises:
        ValueError: shapes, codes, probabilities or names do not fit together.
    """
    p = checked_probability(probability)
    codes = checked_codes(y, n=len(p), n_classes=p.shape[1])
    code = positive_code(classes, positive, n_classes=p.shape[1])
    blocks = [_scores(w, codes, p, positive=code) for w in draws(codes, n=n, seed=seed)]
    found = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    return {name: interval(values) for name, values in found.items()}


def draws(codes: NDArray[np.int64], *, n: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each row is drawn in each of `n` resamples, (B, N) at a time, by class.

    Counts are float32, in which sums of them are exact up to 16 million.

    The same for the same codes, n and seed: what is paired is compared on the same draws.
    """
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    for start in range(0, n, _BLOCK):
        size = min(_BLOCK, n - start)
        counts = np.zeros((size, len(codes)), np.float32)
        for rows in members:
            drawn = rng.integers(len(rows), size=(size, len(rows)), dtype=np.int32)
            drawn += np.arange(size, dtype=np.int32)[:, None] * len(rows)
            found = np.bincount(drawn.ravel(), minlength=size * len(rows))
            counts[:, rows] = found.reshape(size, len(rows))
        yield counts


def interval(values: NDArray[np.float64]) -> Interval:
    """The middle 95 % of resampled values; NaN if one of them is."""
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(values, ends) if np.isfinite(values).all() else (np.nan, np.nan)
    return float(low), float(high)


def _scores(
    w: NDArray[np.float32], codes: NDArray[np.int64], p: NDArray[Any], *, positive: int | None
) -> dict[str, NDArray[np.float64]]:
    """Every score of each resample: (B,) by name, from the counts (B, N)."""
    binary = p.shape[1] == 2
    ranked = [1 if positive is None else positive] if binary else range(p.shape[1])
    areas, precisions = zip(*(_ranking(w, codes == k, p[:, k]) for k in ranked), strict=True)
    return {
        **_decisions(w, codes, p.argmax(axis=1), n_classes=p.shape[1], positive=positive),
        "roc_auc": np.mean(areas, axis=0),
        "average_precision": np.mean(precisions, axis=0),
        **_errors(w, codes, p),
    }


def _decisions(
    w: NDArray[np.float32],
    codes: NDArray[np.int64],
    said: NDArray[np.int64],
    *,
    n_classes: int,
    positive: int | None,
) -> dict[str, NDArray[np.float64]]:
    cells = (w @ np.eye(n_classes**2, dtype=np.float32)[codes * n_classes + said]).astype(
        np.float64
    )
    counts = cells.reshape(-1, n_classes, n_classes)
    hits = np.einsum("bkk->bk", counts)
    true, called = counts.sum(axis=2), counts.sum(axis=1)
    recall = ratio(hits, true)
    meant = occurring(codes, said, n_classes=n_classes)
    if positive is not None:
        meant = np.arange(n_classes) == positive
    return {
        "accuracy": hits.sum(axis=1) / true.sum(axis=1),
        "balanced_accuracy": recall[:, np.unique(codes)].mean(axis=1),
        "precision": ratio(hits, called)[:, meant].mean(axis=1),
        "recall": recall[:, meant].mean(axis=1),
        "f1": ratio(2 * hits, true + called)[:, meant].mean(axis=1),
    }


def _ranking(
    w: NDArray[np.float32], is_class: NDArray[np.bool_], p: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ROC AUC and average precision of one class in each resample; NaN if it is all or nothing."""
    if is_class.all() or not is_class.any():
        missing = np.full(len(w), np.nan)
        return missing, np.ones(len(w)) if is_class.all() else missing
    order = np.argsort(-p, kind="stable")
    last = np.flatnonzero(np.append(np.diff(p[order]) != 0, [True]))  # row of each threshold
    ranked = w[:, order]
    said = np.cumsum(ranked, axis=1)
    ranked *= is_class[order]
    hits = np.cumsum(ranked, axis=1)
    if len(last) < len(p):
        said, hits = said[:, last], hits[:, last]
        ranked = np.diff(hits, axis=1, prepend=0)
    precision = np.divide(hits, np.maximum(said, 1), dtype=np.float64)
    precision *= ranked  # what each threshold gains of the class
    alarms = np.subtract(said, hits, out=said)
    n_class, n_rest = hits[:, -1].astype(np.float64), alarms[:, -1].astype(np.float64)
    above = alarms.copy()  # rows of other classes above a threshold, and half of those at it
    above[:, 1:] += alarms[:, :-1]
    lost = np.einsum("bt,bt->b", ranked, above, dtype=np.float64) / 2
    area = 1 - lost / (n_class * n_rest)
    return area, precision.sum(axis=1) / n_class


def _errors(
    w: NDArray[np.float32], codes: NDArray[np.int64], p: NDArray[Any]
) -> dict[str, NDArray[np.float64]]:
    confidence = p.max(axis=1).astype(np.float64)
    gap = (p.argmax(axis=1) == codes) - confidence
    by_bin = np.eye(BINS)[bin_of(confidence, BINS)] * gap[:, None]
    of_row = np.column_stack([row_log_loss(codes, p), row_brier(codes, p), by_bin])
    sums = w.astype(np.float64) @ of_row / len(codes)
    return {"log_loss": sums[:, 0], "brier": sums[:, 1], "ece": abs(sums[:, 2:]).sum(axis=1)}


class Difference(NamedTuple):
    """A difference between two scores on the same rows, with its 95 % interval."""

    value: float
    low: float
    high: float


def difference(
    y: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    *,
    n: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """How much more accurate `a` is than `b`, with the interval of the paired stratified bootstrap.

    Args:
        y: int (N,), true class codes.
        a: float (N, K), one's probabilities.
        b: float (N, K), the other's, of the same rows.
        n: how often the rows are drawn.
        seed: seed of the draws.

    Raises:
        ValueError: shapes, codes or probabilities do not fit together.
    """
    one, other = checked_probability(a), checked_probability(b)
    if one.shape != other.shape:
        raise ValueError(f"probabilities {one.shape} and {other.shape} are not paired")
    codes = checked_codes(y, n=len(one), n_classes=one.shape[1])
    right, other_right = (p.argmax(axis=1) == codes for p in (one, other))
    apart = right.astype(np.float64) - other_right
    values = np.concatenate([w @ apart for w in draws(codes, n=n, seed=seed)]) / len(codes)
    return Difference(float(apart.mean()), *interval(values))


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


def mcnemar(y: ArrayLike, a: ArrayLike, b: ArrayLike) -> McNemar:
    """McNemar's exact test (McNemar, 1947, https://doi.org/10.1007/BF02295996).

    Args:
        y: int (N,), true class codes.
        a: int (N,), the classes that one predicts.
        b: int (N,), those that the other predicts.
    """
    from scipy.stats import binomtest

    codes = checked_codes(y)
    right_a = checked_codes(a, n=len(codes)) == codes
    right_b = checked_codes(b, n=len(codes)) == codes
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return McNemar(only_a, only_b, p)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) correction of p values for how many of them there are."""
    order, highest = np.argsort(p), 0.0
    corrected = [0.0] * len(p)
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        corrected[int(place)] = highest
    return corrected
