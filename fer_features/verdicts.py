"""Which of a comparison's runs is best, if that can be said at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.compare import Comparison
from fer_features.errors import FerError
from fer_features.intervals import Difference, difference, holm, mcnemar


@dataclass(frozen=True)
class Against:
    """The run that validation puts first, against one of the others, on the same test rows.

    Attributes:
        name: the other run.
        difference: of test accuracy, the first's less the other's, with its 95 % interval.
        only_first: test rows that only the first gets right.
        only_other: test rows that only the other gets right.
        p: McNemar's exact test.
        p_holm: the same, corrected for the number of others (Holm).
    """

    name: str
    difference: Difference
    only_first: int
    only_other: int
    p: float
    p_holm: float


@dataclass(frozen=True)
class Verdict:
    """What can be said of the run that validation puts first.

    Attributes:
        first: its name. It is chosen by validation; test only says how sure that is.
        others: the rest, in the order of their validation accuracy.
    """

    first: str
    others: tuple[Against, ...]

    @property
    def best(self) -> bool:
        """Whether every interval of its difference to another lies above 0."""
        return all(one.difference.low > 0 for one in self.others)

    def text(self) -> str:
        """The verdict in words."""
        better = [one.name for one in self.others if one.difference.low > 0]
        worse = [one.name for one in self.others if one.difference.high < 0]
        open_ = [one.name for one in self.others if one.name not in (*better, *worse)]
        if self.best:
            return (
                f"{self.first} is best: first on validation, and on test ahead of each other by "
                "more than chance (95 % interval of the paired difference)."
            )
        parts = [f"{self.first} is first on validation."]
        if better:
            parts.append(f"On test it is ahead, by more than chance, of {_listed(better)}.")
        if open_:
            parts.append(f"It cannot be told apart from {_listed(open_)}.")
        if worse:
            parts.append(f"On test it is behind {_listed(worse)}.")
        return " ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON types."""
        others = [{**asdict(one), "difference": one.difference._asdict()} for one in self.others]
        return {"first": self.first, "best": self.best, "others": others, "text": self.text()}


def _listed(names: Sequence[str]) -> str:
    """Names with commas and an "and" between; heads on the same features are told together."""
    heads: dict[str, list[str]] = {}
    for name in names:
        head, _, features = name.partition(" on ")
        heads.setdefault(features, []).append(head)
    told = [
        _and(some) + (f" on {features}" if features else "") for features, some in heads.items()
    ]
    return "; ".join(told)


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def verdict(
    names: Sequence[str], y: NDArray[np.int64], probability: Sequence[NDArray[Any]]
) -> Verdict:
    """Compare the first of several with the others on the test rows.

    Args:
        names: what they are called, the best validation accuracy first.
        y: int (N,), true class codes of the test rows.
        probability: of each, float (N, K) of the same rows.
    """
    first, *others = probability
    tests = [mcnemar(y, first.argmax(axis=1), other.argmax(axis=1)) for other in others]
    corrected = holm([test.p for test in tests])
    return Verdict(
        names[0],
        tuple(
            Against(name, difference(y, first, other), *test, p_holm)
            for name, other, test, p_holm in zip(names[1:], others, tests, corrected, strict=True)
        ),
    )


def verdict_of(
    comparison: Comparison, *, note: Callable[[str], None] | None = None
) -> Verdict | None:
    """What the paired tests on the test rows say of the run that validation puts first.

    Args:
        comparison: runs on the same split.
        note: told why there is no verdict.

    Returns:
        None where there are not two runs, or the predictions of one cannot be read.

    Raises:
        FerError: the runs' test rows are not the same.
    """
    if len(comparison.runs) < 2:
        return None
    try:
        tests = [run.predictions().test for run in comparison.runs]
    except FerError as error:
        if note is not None:
            note(f"no verdict: {error.message}")
        return None
    if any(not np.array_equal(tests[0].row, one.row) for one in tests):
        raise FerError(
            "runs of one table have different test rows: their folders have been mixed up",
            hint="fit them again",
        )
    return verdict(comparison.names, tests[0].label, [one.probability for one in tests])
