"""Rows to choose on, and the choice among candidates."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import check_random_state

from fer_features import metrics
from fer_features.errors import FerError


class HeadError(FerError, ValueError):
    """Features, labels or parameters that no head can be fitted with.

    A `FerError`, since a person can put it right, and the `ValueError` that scikit-learn's
    contract asks of an estimator.
    """


class Part(NamedTuple):
    """Rows to fit or to validate on.

    Attributes:
        X: features of these rows and, as a rule, of others.
        rows: int64 (n,), the rows of `X` meant.
        codes: int64 (n,), the class codes of just those rows.
        groups: int64 (n,), equal for rows that must stay on one side; None where each row stands
            for itself.
    """

    X: NDArray[Any]
    rows: NDArray[np.int64]
    codes: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None

    def features(self) -> NDArray[Any]:
        """Return a copy of just the rows meant."""
        chosen: NDArray[Any] = self.X[self.rows]
        return chosen

    def with_rows(self, other: Part) -> Part:
        """Return this part with the rows of another part of the same `X` after its own."""
        groups = None
        if self.groups is not None and other.groups is not None:
            groups = np.concatenate([self.groups, other.groups])
        return Part(
            self.X,
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.codes, other.codes]),
            groups,
        )

    def take(self, places: NDArray[np.int64]) -> Part:
        """Return the part of just these of its rows; `places` counts them from 0."""
        groups = None if self.groups is None else self.groups[places]
        return Part(self.X, self.rows[places], self.codes[places], groups)


def held_out(
    codes: NDArray[np.int64],
    *,
    fraction: float,
    random_state: Any,
    groups: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Choose rows to validate on: `fraction` of each class, at least one and never all.

    Args:
        codes: int (N,), class codes, each of 0 to K-1 occurring.
        fraction: above 0, below 1.
        random_state: a seed, or what else scikit-learn takes for one.
        groups: (N,), equal for rows that stay on one side; the share is then that of one of
            ``round(1 / fraction)`` folds, as near as whole groups come to it.

    Returns:
        Row numbers, ascending.

    Raises:
        HeadError: a class has a single row or group, or `fraction` is out of range.
    """
    if not 0 < fraction < 1:
        raise HeadError(f"validation_fraction must be between 0 and 1, not {fraction}")
    if groups is not None:
        k = max(2, round(1 / max(fraction, 1 / len(codes))))
        (_, held_rows), *_ = fold_pairs(codes, k=k, random_state=random_state, groups=groups)
        return held_rows
    random = check_random_state(random_state)
    held = []
    for code, count in enumerate(np.bincount(codes)):
        if count < 2:
            raise HeadError(
                f"class number {code} has a single row: none can be held out to validate on",
                hint="take more rows of it, or give validation rows",
            )
        size = min(max(1, round(fraction * count)), count - 1)
        held.append(random.permutation(np.flatnonzero(codes == code))[:size])
    return np.sort(np.concatenate(held))


def fold_pairs(
    codes: NDArray[np.int64],
    *,
    k: int,
    random_state: Any,
    groups: NDArray[np.int64] | None = None,
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Divide rows into stratified folds: for each, the other folds' rows and its own, ascending.

    Args:
        codes: int (N,), class codes, each of 0 to K-1 occurring.
        k: folds, at least 2; fewer are made where a class has fewer rows or groups.
        random_state: a seed, or what else scikit-learn takes for one.
        groups: (N,), equal for rows that stay in one fold; None where each row stands for itself.

    Raises:
        HeadError: a class has a single row or group, or whole groups cannot be divided so that
            each fold's other rows have every class.
    """
    own = np.arange(len(codes)) if groups is None else groups
    smallest = min(len(np.unique(own[codes == code])) for code in np.unique(codes))
    if smallest < 2:
        what = "row" if groups is None else "group of rows"
        raise HeadError(
            f"a class has a single training {what}: no probability can be fitted to it",
            hint="take more rows of it",
        )
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = kind(min(k, smallest), shuffle=True, random_state=random_state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rows may be fewer than k; groups are counted
        pairs = [(rest, out) for rest, out in folds.split(codes, codes, groups)]
    for rest, out in pairs:
        if len(out) == 0 or len(np.unique(codes[rest])) < len(np.unique(codes)):
            raise HeadError(
                "rows that belong together leave a fold without a class",
                hint="take more rows, or give no groups",
            )
    return pairs


def choose(
    candidates: Sequence[dict[str, Any]], *, varied: Sequence[str], given: bool, rows: int
) -> tuple[dict[str, Any], int]:
    """Choose the candidate with the lowest validation log loss, of equals the first.

    Log loss moves smoothly with a parameter, where accuracy jumps from row to row and ties.

    Args:
        candidates: for each, the parameters `varied` and its `validation_scores`.
        varied: names of the parameters chosen.
        given: the caller gave the validation rows; otherwise they were held out.
        rows: number of validation rows.

    Returns:
        What goes into `chosen_`, and the place of the chosen one. ``at_edge`` names each
        parameter chosen at the end of its candidates, ``lowest`` or ``highest``: a better value
        may lie beyond.
    """
    best = min(range(len(candidates)), key=lambda place: candidates[place]["log_loss"])
    at_edge = {}
    for name in varied:
        values = {candidate[name] for candidate in candidates}
        if len(values) > 1 and candidates[best][name] in (min(values), max(values)):
            at_edge[name] = "lowest" if candidates[best][name] == min(values) else "highest"
    chosen = dict(candidates[best]) | {
        "criterion": "log_loss",
        "validation": "given" if given else "held out",
        "validation_rows": rows,
        "at_edge": at_edge,
        "candidates": list(candidates),
    }
    return chosen, best


def validation_scores(
    codes: NDArray[np.int64], probability: NDArray[np.floating[Any]]
) -> dict[str, float]:
    """Return the log loss (nats) and accuracy of (N, K) probabilities, as `choose` takes them."""
    return {
        "log_loss": metrics.log_loss(codes, probability),
        "accuracy": metrics.accuracy(codes, probability.argmax(axis=1)),
    }


def platt(values: NDArray[np.floating[Any]], codes: NDArray[np.int64]) -> LogisticRegression:
    """Fit probabilities to decision values (N, D): Platt (1999); multinomial for K > 2 classes."""
    return LogisticRegression(max_iter=1000).fit(values, codes)


def check_above_zero(**values: float | Sequence[float]) -> None:
    """Raise `HeadError` unless each parameter, or each of a parameter's values, is above 0."""
    for name, value in values.items():
        numbers = np.ravel(np.array(value, dtype=object))  # integers may be of any size
        if not (len(numbers) and all(0 < number < math.inf for number in numbers)):
            raise HeadError(f"{name} must be above 0 and finite, not {value}")


def check_at_most(most: int, **values: int | Sequence[int]) -> None:
    """Raise `HeadError` if a parameter, or one of a parameter's values, is above `most`."""
    for name, value in values.items():
        if any(number > most for number in np.ravel(np.array(value, dtype=object))):
            raise HeadError(f"{name} must be at most {most:,}, not {value}")


def check_every_class(codes: NDArray[np.int64], classes: NDArray[Any]) -> None:
    """Raise `HeadError` unless rows that a calibration is fitted to are of all `classes`."""
    for code, label in enumerate(classes):
        if code not in codes:
            raise HeadError(f"no validation row is of class {label}: nothing to choose on")
