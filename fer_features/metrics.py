"""How good are probabilities: pure functions of what was true and what was said.

Labels are class codes 0 … K-1, probabilities are (N, K) with one column for each class. Every
number agrees with scikit-learn's function of the same name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Scores:
    """What a head achieved on one part of the rows.

    Attributes:
        n: number of rows.
        classes: the classes' names; a code is a place here.
        positive: the class that precision, recall and F1 are about; None where they are macro
            averages.
        accuracy: share of rows whose most probable class is the true one, 0 to 1.
        precision: of the rows called positive, the share that is; 0 to 1.
        recall: of the positive rows, the share that is called so; 0 to 1.
        f1: harmonic mean of precision and recall (macro: the mean of the classes' F1), 0 to 1.
        roc_auc: area under the ROC curve, 0 to 1, or NaN where `roc_auc` leaves it undefined.
        log_loss: mean of -log(probability of the true class), in nats, 0 or more.
        confusion: int64 (K, K), rows true classes, columns predicted ones.
    """

    n: int
    classes: tuple[str, ...]
    positive: str | None
    accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    log_loss: float
    confusion: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON knows them: a list of rows for the matrix, None for NaN."""
        return {
            "n": self.n,
            "classes": list(self.classes),
            "positive": self.positive,
            "accuracy": self.accuracy,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "roc_auc": None if math.isnan(self.roc_auc) else self.roc_auc,
            "log_loss": self.log_loss,
            "confusion": self.confusion.tolist(),
        }


def score(
    y: ArrayLike, probability: ArrayLike, *, classes: Sequence[str], positive: str | None = None
) -> Scores:
    """Score probabilities against the truth.

    The predicted class is the most probable one, and of equals the one with the lowest code.

    Args:
        y: int (N,), true class codes, 0 to K-1.
        probability: float (N, K), 0 to 1, each row summing to 1.
        classes: the K classes' names, in the order of their codes.
        positive: of two classes, the one that precision, recall and F1 are about; with None, or
            with more than two classes, they are macro averages.

    Raises:
        ValueError: shapes, codes, probabilities or names do not fit together.
    """
    p = _checked_probability(probability)
    n_classes = p.shape[1]
    codes = _checked_codes(y, n=len(p), n_classes=n_classes)
    if len(classes) != n_classes:
        raise ValueError(f"{len(classes)} class names for {n_classes} columns of probabilities")
    if positive is not None and positive not in classes:
        raise ValueError(f"positive class {positive!r} is not one of {', '.join(classes)}")
    if n_classes > 2:
        positive = None
    predicted = p.argmax(axis=1)
    precision, recall, f1 = precision_recall_f1(
        codes,
        predicted,
        n_classes=n_classes,
        positive=None if positive is None else list(classes).index(positive),
    )
    return Scores(
        n=len(codes),
        classes=tuple(classes),
        positive=positive,
        accuracy=accuracy(codes, predicted),
        precision=precision,
        recall=recall,
        f1=f1,
        roc_auc=roc_auc(codes, p),
        log_loss=log_loss(codes, p),
        confusion=confusion_matrix(codes, predicted, n_classes=n_classes),
    )


def confusion_matrix(y: ArrayLike, predicted: ArrayLike, *, n_classes: int) -> NDArray[np.int64]:
    """Count the rows of each pair (true class, predicted class).

    Args:
        y: int (N,), true class codes.
        predicted: int (N,), predicted class codes.
        n_classes: K; all codes are 0 to K-1.

    Returns:
        int64 (K, K), rows true classes, columns predicted ones.

    Raises:
        ValueError: lengths differ, there is no row, or a code is out of range.
    """
    true = _checked_codes(y, n=None, n_classes=n_classes)
    said = _checked_codes(predicted, n=len(true), n_classes=n_classes)
    cells = np.bincount(true * n_classes + said, minlength=n_classes**2)
    return cells.reshape(n_classes, n_classes).astype(np.int64)


def accuracy(y: ArrayLike, predicted: ArrayLike) -> float:
    """Share of rows where int (N,) `y` and int (N,) `predicted` agree, 0 to 1.

    Raises:
        ValueError: lengths differ, or there is no row.
    """
    true = _checked_codes(y, n=None, n_classes=None)
    said = _checked_codes(predicted, n=len(true), n_classes=None)
    return float(np.mean(true == said))


def precision_recall_f1(
    y: ArrayLike, predicted: ArrayLike, *, n_classes: int, positive: int | None = None
) -> tuple[float, float, float]:
    """Precision, recall and F1 of one class, or their macro averages.

    A ratio whose denominator is 0 counts as 0. Macro averages are over the classes that occur in
    `y` or in `predicted`, so that perfect predictions have an F1 of 1 whatever `y` lacks. That is
    scikit-learn's rule with ``zero_division=0``.

    Args:
        y: int (N,), true class codes.
        predicted: int (N,), predicted class codes.
        n_classes: K; all codes are 0 to K-1.
        positive: the code of the class meant; None for macro averages.

    Raises:
        ValueError: lengths differ, there is no row, or a code is out of range.
    """
    if positive is not None and not 0 <= positive < n_classes:
        raise ValueError(f"positive class code {positive} is not in 0 to {n_classes - 1}")
    counts = confusion_matrix(y, predicted, n_classes=n_classes)
    hits, said, true = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
    meant = said + true > 0 if positive is None else np.arange(n_classes) == positive
    precision = _ratio(hits, said)[meant].mean()
    recall = _ratio(hits, true)[meant].mean()
    f1 = _ratio(2 * hits, said + true)[meant].mean()
    return float(precision), float(recall), float(f1)


def roc_auc(y: ArrayLike, probability: ArrayLike) -> float:
    """Area under the ROC curve; for more than two classes, the mean of one class against the rest.

    It is the chance that a row of the class gets a higher probability of it than a row of another
    class does, a tie counting one half: the Mann-Whitney statistic of the average ranks (Hanley
    and McNeil, 1982, https://doi.org/10.1148/radiology.143.1.7063747).

    Args:
        y: int (N,), true class codes, 0 to K-1.
        probability: float (N, K), 0 to 1, each row summing to 1.

    Returns:
        0 to 1, or NaN where it is undefined: a class does not occur in `y`, or no other does.

    Raises:
        ValueError: shapes, codes or probabilities do not fit together.
    """
    p = _checked_probability(probability)
    codes = _checked_codes(y, n=len(p), n_classes=p.shape[1])
    if p.shape[1] == 2:
        return _rank_auc(codes == 1, p[:, 1])
    return float(np.mean([_rank_auc(codes == k, p[:, k]) for k in range(p.shape[1])]))


def log_loss(y: ArrayLike, probability: ArrayLike) -> float:
    """Mean of -log(probability of the true class), in nats.

    Probabilities are kept from 0 and 1 by the machine epsilon of their own type, as scikit-learn
    does, so that one confident mistake does not make the mean infinite.

    Args:
        y: int (N,), true class codes, 0 to K-1.
        probability: float (N, K), 0 to 1, each row summing to 1.

    Raises:
        ValueError: shapes, codes or probabilities do not fit together.
    """
    p = _checked_probability(probability)
    codes = _checked_codes(y, n=len(p), n_classes=p.shape[1])
    epsilon = np.finfo(p.dtype).eps
    said = np.clip(p[np.arange(len(p)), codes], epsilon, 1 - epsilon)
    return float(-np.log(said.astype(np.float64)).mean())


def _rank_auc(is_class: NDArray[np.bool_], p: NDArray[np.floating[Any]]) -> float:
    n_class = int(is_class.sum())
    n_rest = len(is_class) - n_class
    if n_class == 0 or n_rest == 0:
        return math.nan
    _, place, count = np.unique(p, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((rank[is_class].sum() - n_class * (n_class + 1) / 2) / (n_class * n_rest))


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


def _checked_codes(y: ArrayLike, *, n: int | None, n_classes: int | None) -> NDArray[np.int64]:
    codes = np.asarray(y)
    if codes.ndim != 1 or not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(f"class codes must be int (N,), not {codes.dtype} {codes.shape}")
    if len(codes) == 0:
        raise ValueError("there are no rows to score")
    if n is not None and len(codes) != n:
        raise ValueError(f"{len(codes)} class codes where {n} rows are")
    if n_classes is not None and (codes.min() < 0 or codes.max() >= n_classes):
        raise ValueError(
            f"class codes {codes.min()} to {codes.max()} where 0 to {n_classes - 1} are meant"
        )
    return codes.astype(np.int64)


def _checked_probability(probability: ArrayLike) -> NDArray[np.floating[Any]]:
    p = np.asarray(probability)
    if p.ndim != 2 or p.shape[1] < 2 or not np.issubdtype(p.dtype, np.floating):
        raise ValueError(f"probabilities must be float (N, K), K >= 2, not {p.dtype} {p.shape}")
    if not np.isfinite(p).all():
        raise ValueError("probabilities hold NaN or infinity")
    if (p < 0).any() or (p > 1).any() or (abs(p.sum(axis=1, dtype=np.float64) - 1) > 1e-3).any():
        raise ValueError("probabilities must be 0 to 1 and sum to 1 in each row")
    return p
