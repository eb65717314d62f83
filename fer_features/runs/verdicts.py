"""Paired tests of a comparison's first run against the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fer_features.errors import FerError
from fer_features.metrics.paired import Difference, difference, holm, mcnemar
from fer_features.runs.run import Run

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
        outcome: whether the first is ``ahead``, ``behind``, or that is ``open``.
    """

    name: str
    difference: Difference
    only_first: int
    only_other: int
    p: float
    p_holm: float
    outcome: str


@dataclass(frozen=True)
class Verdict:
    """The first run on validation against the others on test.

    Attributes:
        first: its name. It is chosen by validation; test only shows how certain that is.
        others: the rest, in the order of their validation accuracy.
        tied: the runs of the table whose validation accuracy is the first's, without it.
        left_out: why a run of the table is not among the others, for each such run.
    """

    first: str
    others: tuple[Against, ...]
    tied: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def best(self) -> bool:
        """Whether it is alone in front on validation, and ahead of every other on test."""
        compared = not (self.tied or self.left_out)
        return compared and len(self.named("ahead")) == len(self.others)

    def named(self, outcome: str) -> list[str]:
        """The others of an outcome."""
        return [one.name for one in self.others if one.outcome == outcome]

    @property
    def _test(self) -> str:
        n = len(self.others)
        corrected = f", Holm-corrected for {n} comparisons" if n > 1 else ""
        return f"McNemar's exact test{corrected}, at {100 * SIGNIFICANCE:g} %"

    def text(self, *, short: bool = False) -> str:
        """The verdict in words, with the names of the others, or their numbers where `short`."""
        left_out = [f"Left out of this verdict: {why}." for why in self.left_out]
        return " ".join([self._text(short=short), *left_out])

    def _text(self, *, short: bool) -> str:
        if self.best:
            others = "the other" if len(self.others) == 1 else "every other"
            return (
                f"{self.first} is best: first on validation, and on test ahead of {others} by more "
                f"than chance ({self._test})."
            )
        if short:
            tied = f", tied with {_listed(self.tied)}" if self.tied else ""
            ahead, behind, unclear = (len(self.named(one)) for one in ("ahead", "behind", "open"))
            return (
                f"{self.first} is first on validation{tied}; on test it is ahead of {ahead}, "
                f"behind {behind} and not distinguishable from {unclear} of the others "
                f"({self._test})."
            )
        parts, it = [f"{self.first} is first on validation."], "It"
        if self.tied:
            it = self.first
            tied = _listed([self.first, *self.tied])
            parts = [f"{tied} are tied first on validation; {it} is listed first."]
        for outcome, words in _OUTCOMES.items():
            if names := self.named(outcome):
                parts.append(f"{it} {words} {_listed(names)}.")
        return f"{' '.join(parts)} ({self._test}.)"

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON types."""
        return {**msgspec.to_builtins(self), "best": self.best, "text": self.text()}


_OUTCOMES = {
    "ahead": "is ahead on test, by more than chance, of",
    "open": "cannot be told apart from",
    "behind": "is behind on test, by more than chance,",
}
"""The outcomes, and the words before the names of the others."""


def _listed(names: Sequence[str]) -> str:
    """Names with commas and an "and" between; heads on the same features are named together."""
    heads: dict[str, list[str]] = {}
    for name in names:
        head, _, features = name.partition(" on ")
        heads.setdefault(features, []).append(head)
    return "; ".join(
        " and ".join(filter(None, [", ".join(some[:-1]), some[-1]]))
        + (f" on {features}" if features else "")
        for features, some in heads.items()
    )


def verdict(
    names: Sequence[str], rights: Sequence[NDArray[np.bool_]], *, tied: Sequence[str] = ()
) -> Verdict:
    """Compare the first of several with the others on the test rows.

    Args:
        names: their names, the best validation accuracy first.
        rights: of each, bool (N,): which of the same test rows it gets right.
        tied: those whose validation accuracy is the first's, without the first.
    """
    first, *others = rights
    tests = [mcnemar(first, other) for other in others]
    found = []
    for name, (only_first, only_other, p), p_holm in zip(
        names[1:], tests, holm([test.p for test in tests]), strict=True
    ):
        apart = "ahead" if only_first > only_other else "behind"
        gain = difference(only_first, only_other, len(first))
        outcome = apart if p_holm <= SIGNIFICANCE else "open"
        found.append(Against(name, gain, only_first, only_other, p, p_holm, outcome))
    return Verdict(names[0], tuple(found), tuple(tied))


def judge(runs: Sequence[Run], names: Sequence[str]) -> Verdict | str:
    """Paired tests of the first run against the others, or why there are none.

    Args:
        runs: runs on the same split, the best validation accuracy first.
        names: their names.
    """
    if len(runs) < 2:
        return "there is one run only"
    try:
        first = runs[0].predictions().test
    except FerError as error:
        return error.message
    compared, rights, left_out = [names[0]], [first.right], []
    for run, name in zip(runs[1:], names[1:], strict=True):
        try:
            test = run.predictions().test
        except FerError as error:
            left_out.append(error.message)
            continue
        if not all(
            np.array_equal(getattr(test, one), getattr(first, one)) for one in ("row", "label")
        ):
            return f"{run.path} has other test rows than {runs[0].path}"
        compared.append(name)
        rights.append(test.right)
    if len(compared) < 2:
        return "; ".join(left_out)
    best, *accuracies = [run.record.validation.accuracy for run in runs]
    tied = [name for name, one in zip(names[1:], accuracies, strict=True) if one == best]
    return replace(verdict(compared, rights, tied=tied), left_out=tuple(left_out))
