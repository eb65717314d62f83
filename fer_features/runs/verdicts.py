"""Which of a comparison's runs is best, if that can be said at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError
from fer_features.metrics.paired import Difference, difference, holm, mcnemar, right
from fer_features.runs.compare import Comparison

SIGNIFICANCE = 0.05
"""The probability, at most, that a verdict calls any of equally good runs ahead or behind."""


@dataclass(frozen=True)
class Against:
    """The first run against one of the others, on the same test rows.

    Attributes:
        name: the other run.
        difference: of test accuracy, the first's less the other's, with its 95 % interval, which is
            not corrected for the number of others.
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

    @property
    def outcome(self) -> str:
        """Whether the first is ``ahead``, ``behind``, or that is ``open``."""
        if self.p_holm > SIGNIFICANCE:
            return "open"
        return "ahead" if self.only_first > self.only_other else "behind"


@dataclass(frozen=True)
class Verdict:
    """What can be said of the run that validation puts first.

    Attributes:
        first: its name. It is chosen by validation; test only says how sure that is.
        others: the rest, in the order of their validation accuracy.
        tied: those of the others whose validation accuracy is the first's.
    """

    first: str
    others: tuple[Against, ...]
    tied: tuple[str, ...] = ()

    @property
    def best(self) -> bool:
        """Whether validation puts it alone in front, and on test it is ahead of every other."""
        return not self.tied and not (self.named("open") or self.named("behind"))

    def named(self, outcome: str) -> list[str]:
        """The others of an outcome."""
        return [one.name for one in self.others if one.outcome == outcome]

    def text(self) -> str:
        """The verdict in words."""
        n = len(self.others)
        corrected = f", Holm-corrected for {n} comparisons" if n > 1 else ""
        test = f"McNemar's exact test{corrected}, at {100 * SIGNIFICANCE:g} %"
        if self.best:
            others = "the other" if n == 1 else "every other"
            return (
                f"{self.first} is best: first on validation, and on test ahead of {others} by more "
                f"than chance ({test})."
            )
        subject = "It"
        parts = [f"{self.first} is first on validation."]
        if self.tied:
            subject = self.first
            tied = _listed([self.first, *self.tied])
            parts = [f"{tied} are tied first on validation; {subject} is listed first by its name."]
        for outcome, words in _OUTCOMES.items():
            if names := self.named(outcome):
                parts.append(f"{subject} {words} {_listed(names)}.")
        return f"{' '.join(parts)} ({test}.)"

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON types."""
        others = [
            {**asdict(one), "difference": one.difference._asdict(), "outcome": one.outcome}
            for one in self.others
        ]
        return {
            "first": self.first,
            "tied": list(self.tied),
            "best": self.best,
            "others": others,
            "text": self.text(),
        }


_OUTCOMES = {
    "ahead": "is ahead on test, by more than chance, of",
    "open": "cannot be told apart from",
    "behind": "is behind on test, by more than chance,",
}
"""The outcomes, and how a sentence goes on to the names of the others."""


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
    names: Sequence[str], rights: Sequence[NDArray[np.bool_]], *, tied: Sequence[str] = ()
) -> Verdict:
    """Compare the first of several with the others on the test rows.

    Args:
        names: what they are called, the best validation accuracy first.
        rights: of each, bool (N,): which of the same test rows it gets right.
        tied: those whose validation accuracy is the first's, without the first.
    """
    first, *others = rights
    tests = [mcnemar(first, other) for other in others]
    corrected = holm([test.p for test in tests])
    return Verdict(
        names[0],
        tuple(
            Against(name, difference(test.only_a, test.only_b, len(first)), *test, p_holm)
            for name, test, p_holm in zip(names[1:], tests, corrected, strict=True)
        ),
        tuple(tied),
    )


def verdict_of(
    comparison: Comparison, *, log: Callable[[str], None] | None = None
) -> Verdict | None:
    """What the paired tests on the test rows say of the run that validation puts first.

    Args:
        comparison: runs on the same split.
        log: called with the reason why there is no verdict.

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
        if log is not None:
            log(f"no verdict: {error.message}")
        return None
    if any(not np.array_equal(tests[0].row, one.row) for one in tests):
        raise FerError(
            "runs of one table have different test rows: their folders have been mixed up",
            hint="fit them again",
        )
    names = comparison.names
    accuracy = [run.record["validation"]["accuracy"] for run in comparison.runs]
    return verdict(
        names,
        [right(tests[0].label, one.probability) for one in tests],
        tied=[
            name for name, one in zip(names[1:], accuracy[1:], strict=True) if one == accuracy[0]
        ],
    )
