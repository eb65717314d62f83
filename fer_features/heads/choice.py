"""Rows to choose on, and the choice among candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from fer_features import metrics
from fer_features.errors import FerError


class HeadError(FerError, ValueError):
    """Features, labels or parameters that no head can be fitted with.

    A `FerError`, since a person can put it right, and the `ValueError` that scikit-learn's
    contract asks of an estimator.
    """


class Part(NamedTuple):
    """Rows to fit or to validate on: `rows` of `X`, with the class codes of just those rows."""

    X: NDArray[Any]
    rows: NDArray[np.int64]
    codes: NDArray[np.int64]

    def features(self) -> NDArray[Any]:
        """Return a copy of just the rows meant."""
        chosen: NDArray[Any] = self.X[self.rows]
        return chosen

    def with_rows(self, other: Part) -> Part:
        """Return this part with the rows of another part of the same `X` after its own."""
        return Part(
            self.X,
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.codes, other.codes]),
        )


def held_out(codes: NDArray[np.int64], *, fraction: float, random_state: Any) -> NDArray[np.int64]:
    """Choose rows to validate on: `fraction` of each class, at least one and never all.

    Args:
        codes: int (N,), class codes, each of 0 to K-1 occurring.
        fraction: above 0, below 1.
        random_state: a seed, or what else scikit-learn takes for one.

    Returns:
        Row numbers, ascending.

    Raises:
        HeadError: a class has a single row, or `fraction` is out of range.
    """
    if not 0 < fraction < 1:
        raise HeadError(f"validation_fraction must be between 0 and 1, not {fraction}")
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


def check_above_zero(**values: float | Sequence[float]) -> None:
    """Raise `HeadError` unless each parameter, or each of a parameter's values, is above 0."""
    for name, value in values.items():
        numbers = np.ravel(np.asarray(value, dtype=np.float64))
        if not (len(numbers) and (numbers > 0).all()):
            raise HeadError(f"{name} must be above 0, not {value}")
