"""All scores of one set of probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import ArrayLike, NDArray

from fer_features.metrics.checks import checked, positive_code
from fer_features.metrics.curves import expected_calibration_error

NUMBERS = (
    "accuracy",
    "balanced_accuracy",
    "precision",
    "recall",
    "f1",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "ece",
)
"""The scores that are one number."""

Share = Annotated[float, Meta(ge=-1e-9, le=1 + 1e-9)]
"""A number from 0 to 1, but for the rounding of a sum."""

Count = Annotated[int, Meta(ge=0, le=10**12)]
"""A number of rows."""


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of one part of the rows.

    Attributes:
        n: number of rows; 0 in runs that do not record it.
        classes: the classes' names; a code is a place here.
        positive: the class that precision, recall, F1 and average precision are about; None where
            they are macro averages.
        accuracy: share of rows whose most probable class is the true one, 0 to 1.
        balanced_accuracy: mean of the recalls of the classes that occur, 0 to 1.
        precision: share of the rows predicted positive that are positive, 0 to 1.
        recall: share of the positive rows that are predicted positive, 0 to 1.
        f1: harmonic mean of precision and recall (macro: the mean of the classes' F1), 0 to 1.
        roc_auc: area under the ROC curve, 0 to 1; None where undefined.
        average_precision: 0 to 1; None where undefined.
        log_loss: mean of -log(probability of the true class), in nats, 0 or more.
        brier: mean squared error of the probabilities, 0 to 1 (more than two classes: to 2).
        ece: expected calibration error, 0 to 1.
        confusion: (K, K) counts, rows true classes, columns predicted ones.
    """

    n: Count = 0
    classes: Annotated[list[str], Meta(min_length=2)]
    positive: str | None = None
    accuracy: Share
    balanced_accuracy: Share
    precision: Share
    recall: Share
    f1: Share
    roc_auc: Share | None
    average_precision: Share | None
    log_loss: Annotated[float, Meta(ge=0)]
    brier: Annotated[float, Meta(ge=0, le=2)]
    ece: Share
    confusion: list[list[Count]]

    def __post_init__(self) -> None:
        """Refuse a confusion matrix or a positive class of other classes."""
        n = len(self.classes)
        if len(self.confusion) != n or any(len(row) != n for row in self.confusion):
            raise ValueError(f"the confusion matrix is not {n} × {n}")
        positive_code(self.classes, self.positive, n_classes=n)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON types."""
        return msgspec.structs.asdict(self)


def score(
    y: ArrayLike, probability: ArrayLike, *, classes: Sequence[str], positive: str | None = None
) -> Scores:
    """Score probabilities against the true classes.

    The predicted class is the most probable one, and of equals the one with the lowest code. A
    precision or recall whose denominator is 0 counts as 0; macro averages are over the classes
    that occur in `y` or are predicted.

    Args:
        y: int (N,), true class codes, 0 to K-1.
        probability: float (N, K), 0 to 1, each row summing to 1.
        classes: the K classes' names, in the order of their codes.
        positive: of two classes, the one that precision, recall, F1 and average precision are
            about; with None, or with more than two classes, they are macro averages.

    Raises:
        ValueError: shapes, codes, probabilities or names do not fit together.
    """
    from sklearn import metrics as sk

    codes, p = checked(y, probability)
    names = list(classes)
    code = positive_code(names, positive, n_classes=p.shape[1])
    predicted = p.argmax(axis=1)
    averaged = {"average": "macro", "zero_division": 0}
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        codes, predicted, labels=None if code is None else [code], **averaged
    )
    return Scores(
        n=len(codes),
        classes=names,
        positive=None if code is None else positive,
        accuracy=accuracy(codes, predicted),
        # the balanced accuracy of scikit-learn, which warns of classes that do not occur
        balanced_accuracy=float(
            sk.recall_score(codes, predicted, labels=np.unique(codes), **averaged)
        ),
        precision=float(precision),
        recall=float(recall),
        f1=float(f1),
        roc_auc=_roc_auc(codes, p),
        average_precision=_average_precision(codes, p, positive=1 if code is None else code),
        log_loss=float(row_log_loss(codes, p).mean()),
        brier=float(row_brier(codes, p).mean()),
        ece=expected_calibration_error(codes, p),
        confusion=sk.confusion_matrix(codes, predicted, labels=range(p.shape[1])).tolist(),
    )


def accuracy(y: ArrayLike, predicted: ArrayLike) -> float:
    """Share of rows where int (N,) `y` and int (N,) `predicted` agree, 0 to 1."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(y, predicted))


def _roc_auc(codes: NDArray[np.int64], p: NDArray[Any]) -> float | None:
    """The area of the second of two classes, or the mean of each class against the rest."""
    from sklearn.metrics import roc_auc_score

    if not np.bincount(codes, minlength=p.shape[1]).all():
        return None
    ranked = range(p.shape[1]) if p.shape[1] > 2 else (1,)
    return float(np.mean([roc_auc_score(codes == k, p[:, k]) for k in ranked]))


def _average_precision(codes: NDArray[np.int64], p: NDArray[Any], *, positive: int) -> float | None:
    """That of the class `positive` of two, or the mean of each class against the rest."""
    from sklearn.metrics import average_precision_score

    ranked = range(p.shape[1]) if p.shape[1] > 2 else (positive,)
    if not np.isin(ranked, codes).all():
        return None
    return float(np.mean([average_precision_score(codes == k, p[:, k]) for k in ranked]))


def log_loss(y: ArrayLike, probability: ArrayLike) -> float:
    """Mean of -log(probability of the true class), in nats.

    Probabilities are clipped to 0 and 1 less the machine epsilon of their own type, as scikit-learn
    does; the logarithm is always of float64, which scikit-learn's is not for float32.
    """
    return float(row_log_loss(*checked(y, probability)).mean())


def row_log_loss(codes: NDArray[np.int64], p: NDArray[Any]) -> NDArray[np.float64]:
    """-log(probability of the true class) of each row, in nats: float64 (N,)."""
    epsilon = np.finfo(p.dtype).eps
    of_class = np.clip(p[np.arange(len(p)), codes], epsilon, 1 - epsilon)
    loss: NDArray[np.float64] = -np.log(of_class.astype(np.float64))
    return loss


def row_brier(codes: NDArray[np.int64], p: NDArray[Any]) -> NDArray[np.float64]:
    """Squared distance of each row's probabilities from the truth, float64 (N,) (Brier, 1950).

    Of two classes, that of one of them, 0 to 1; of more, the sum over all classes, 0 to 2: as
    scikit-learn scales it.
    """
    squares: NDArray[np.float64] = (p.astype(np.float64) - np.eye(p.shape[1])[codes]) ** 2
    return squares[:, 1] if p.shape[1] == 2 else squares.sum(axis=1)
