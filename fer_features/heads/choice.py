"""Holding rows out, and choosing among candidates."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import check_random_state

from fer_features import metrics
from fer_features.heads.checks import Array, HeadError


class Part(NamedTuple):
    """Rows to fit or to validate on.

    Attributes:
        X: features of these rows and usually of others: maps are large, and are not copied.
        rows: int64 (n,), the rows of `X` that belong to the part.
        codes: int64 (n,), their class codes.
        groups: int64 (n,), equal for rows that are never separated; None if any may be.
        soft_targets: float32 (n, K), class probabilities to train on; None to train on `codes`.
    """

    X: Array
    rows: Array
    codes: Array
    groups: Array | None = None
    soft_targets: Array | None = None

    def features(self) -> Array:
        """A copy of the part's rows of `X`."""
        return np.asarray(self.X[self.rows])

    def take(self, places: Array) -> Part:
        """The part of some of its rows, given by their indices within it."""
        _, *columns = self
        return Part(self.X, *(None if one is None else one[places] for one in columns))  # type: ignore[arg-type]  # rows and codes are never None


def held_out(
    codes: Array, *, fraction: float, random_state: Any, groups: Array | None = None
) -> Array:
    """Choose rows to validate on: `fraction` of each class, at least one and never all.

    Args:
        codes: int (N,), class codes, each of 0 to K-1 occurring.
        fraction: above 0, below 1.
        random_state: as scikit-learn's.
        groups: (N,), equal for rows that are never separated; one of ``round(1 / fraction)``
            folds is then held out, as near to its size as whole groups allow.

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
    codes: Array, *, k: int, random_state: Any, groups: Array | None = None
) -> list[tuple[Array, Array]]:
    """Stratified folds: for each, the other folds' rows and its own, ascending.

    Args:
        codes: int (N,), class codes, each of 0 to K-1 occurring.
        k: folds, at least 2; fewer are made where a class has fewer rows or groups.
        random_state: as scikit-learn's.
        groups: (N,), equal for rows that stay in one fold; None if any may be separated.

    Raises:
        HeadError: a class has a single row or group, or whole groups cannot be divided so that
            each fold's other rows have every class.
    """
    own = np.arange(len(codes)) if groups is None else groups
    smallest = min(len(np.unique(own[codes == code])) for code in np.unique(codes))
    if smallest < 2:
        unit = "row" if groups is None else "group of rows"
        raise HeadError(
            f"a class has a single training {unit}: no probability can be fitted to it",
            hint="take more rows of it",
        )
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = kind(min(k, smallest), shuffle=True, random_state=random_state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # rows may be fewer than k; groups are counted
        pairs = list(folds.split(codes, codes, groups))
    for rest, out in pairs:
        if len(out) == 0 or len(np.unique(codes[rest])) < len(np.unique(codes)):
            raise HeadError(
                "a fold without a class is left where rows of one group stay together",
                hint="take more rows, or give no groups",
            )
    return pairs


def choose(
    candidates: Sequence[dict[str, Any]], *, varied: Iterable[str], given: bool, rows: int
) -> tuple[dict[str, Any], int]:
    """Choose the candidate with the lowest validation log loss, of equals the first.

    Log loss is a smooth function of a parameter, where accuracy is a step function with ties.

    Args:
        candidates: for each, the parameters `varied` and its `validation_scores`.
        varied: names of the parameters chosen.
        given: the caller gave the validation rows; otherwise they were held out.
        rows: number of validation rows.

    Returns:
        The head's `chosen_`, and the index of the chosen candidate. ``at_edge`` names each
        parameter whose ``lowest`` or ``highest`` candidate was chosen: a better value may lie
        beyond.
    """
    best = int(np.argmin([one["log_loss"] for one in candidates]))
    at_edge = {}
    for name in varied:
        values = {candidate[name] for candidate in candidates}
        ends = {min(values): "lowest", max(values): "highest"}
        if len(values) > 1 and candidates[best][name] in ends:
            at_edge[name] = ends[candidates[best][name]]
    chosen = dict(candidates[best]) | {
        "criterion": "log_loss",
        "validation": "given" if given else "held out",
        "validation_rows": rows,
        "at_edge": at_edge,
        "candidates": list(candidates),
    }
    return chosen, best


def validation_scores(codes: Array, probability: Array) -> dict[str, float]:
    """Log loss (nats) and accuracy of (N, K) probabilities, for `choose`."""
    return {
        "log_loss": metrics.log_loss(codes, probability),
        "accuracy": metrics.accuracy(codes, probability.argmax(axis=1)),
    }


def platt(values: Array, codes: Array) -> LogisticRegression:
    """Platt scaling (1999) of decision values (N, D); multinomial for K > 2 classes."""
    return LogisticRegression(max_iter=1000).fit(values, codes)
