"""What an evaluation finds: scores by class and by group, as a table, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from fer_features.metrics.intervals import Interval
from fer_features.metrics.paired import Difference
from fer_features.runtime.text import counted

SIGNIFICANCE = 0.05
"""The probability, at most, that any group or model is called better or worse by chance alone."""

LEAST = 30
"""Faces of a group of which something is called better or worse."""

ALL, CLASS, GROUP = "all", "class", "group"
WITH_UNANSWERED = "with unanswered"
"""Kinds of scores."""


@dataclass(frozen=True)
class Against:
    """The model against the other on the same faces.

    Attributes:
        difference: of accuracy, the model's less the other's, with its 95 % interval.
        only_model: faces that only the model gets right.
        only_other: faces that only the other gets right.
        p: McNemar's exact test, Holm-corrected for the number of groups.
        outcome: ``ahead``, ``behind``, ``open``, or ``few`` for fewer than `LEAST` faces.
    """

    difference: Difference
    only_model: int
    only_other: int
    p: float
    outcome: str


@dataclass(frozen=True)
class GroupScore:
    """Scores on the faces of a group.

    Attributes:
        kind: ``all``; ``with unanswered``, where pictures without an answer count as wrong;
            ``class`` for the faces of one true class; or ``group``.
        name: of the class or the group.
        n: its faces.
        accuracy: the share of them that is classified correctly.
        interval: its 95 % interval (Wilson).
        balanced_accuracy: the mean over the classes that occur.
        balanced_interval: its 95 % interval.
        p: of a group, whether it is as good on it as on the others, class by class
            (Mantel-Haenszel), Holm-corrected for the number of groups; None without others.
        outcome: of a group ``better`` or ``worse`` than the others, ``open``, ``few`` for fewer
            than `LEAST` faces, or ``alone`` if it has all faces; empty of others.
        against: the other model on the same faces, where there is one.
    """

    kind: str
    name: str
    n: int
    accuracy: float
    interval: Interval
    balanced_accuracy: float
    balanced_interval: Interval
    p: float | None = None
    outcome: str = ""
    against: Against | None = None


class LeftOut(NamedTuple):
    """Faces that are not scored.

    Attributes:
        other_class: faces of emotions that are in no class of the model, by emotion.
        learnt: faces that a backbone has learnt from, pixel for pixel.
        learnt_copies: faces that are recognised as copies of such, compressed or resized.
        bad: rows of the source that cannot be read.
    """

    other_class: dict[str, int]
    learnt: int
    learnt_copies: int
    bad: int


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate_model` found.

    Attributes:
        model: the model's name.
        other: the other's, or None.
        data: the source's name.
        group: what the faces are grouped by, or None.
        classes: the classes' names.
        confusion: faces by true and by predicted class.
        scores: of all faces, of each class, and of each group.
        unanswered: pictures without an answer by status (``no_face``, ``too_small``,
            ``unreadable``); None where each picture is a face.
        left_out: what is not scored.
        allowed: whether faces that were learnt from are scored all the same.
        notes: what else must be known, a sentence each.
    """

    model: str
    other: str | None
    data: str
    group: str | None
    classes: tuple[str, ...]
    confusion: list[list[int]]
    scores: tuple[GroupScore, ...]
    unanswered: dict[str, int] | None
    left_out: LeftOut
    allowed: bool
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; intervals that are undefined are null."""
        found = asdict(self)
        found["left_out"] = self.left_out._asdict()
        return found | {"significance": SIGNIFICANCE, "least": LEAST}

    def columns(self) -> tuple[str, ...]:
        """The headings of the table."""
        grouped = ("than the others",) if self.group else ()
        paired = (f"less {self.other} [95 %]", "verdict") if self.other else ()
        first = ("faces", "n", "accuracy [95 %]", "balanced [95 %]")
        return (*first, *grouped, *paired)

    def rows(self) -> list[list[str]]:
        """The cells of the table: a row for each of `scores`, and the counts of `unanswered`."""
        first, *others = (list(self._cells(one)) for one in self.scores)
        empty = [""] * (len(first) - 2)
        counts = (self.unanswered or {}).items()
        return [first, *([status, f"{n:,}", *empty] for status, n in counts), *others]

    def _cells(self, one: GroupScore) -> Iterator[str]:
        yield (
            one.name
            if one.kind in (ALL, WITH_UNANSWERED)
            else f"{self.group if one.kind == GROUP else CLASS}: {one.name}"
        )
        yield f"{one.n:,}"
        yield _with_interval(one.accuracy, one.interval)
        of_class = one.kind == CLASS
        yield "" if of_class else _with_interval(one.balanced_accuracy, one.balanced_interval)
        if self.group:
            yield WORDS[one.outcome] + (f" (p {one.p:.2g})" if one.p is not None else "")
        if one.against is not None:
            gain = one.against.difference
            yield f"{gain.value:+.4f} [{gain.low:+.3f}, {gain.high:+.3f}]"
            yield f"{WORDS[one.against.outcome]} (p {one.against.p:.2g})"
        elif self.other:
            yield from ("", "")

    def texts(self) -> list[str]:
        """What must be said beside the table, a sentence or two each."""
        found, out = [], self.left_out
        if self.unanswered is not None:
            n, counts = self.scores[0].n, self.unanswered
            found.append(
                "Of each picture the largest face is scored. Accuracy is that of the "
                f"{counted(n, 'face')} answered; no answer for "
                f"{counted(sum(counts.values()), 'picture')} "
                f"({', '.join(f'{status} {count:,}' for status, count in counts.items())})."
            )
        if out.learnt or out.learnt_copies:
            verb = "Scored all the same" if self.allowed else "Left out"
            found.append(
                f"{verb}: {counted(out.learnt, 'face')} that the backbone has learnt from, and "
                f"{out.learnt_copies:,} recognised as copies of such."
            )
        if out.other_class:
            names = ", ".join(f"{name} {n:,}" for name, n in out.other_class.items())
            found.append(
                f"Left out: {counted(sum(out.other_class.values()), 'face')} of emotions that "
                f"{self.model} does not know ({names})."
            )
        if out.bad:
            found.append(f"Left out: {counted(out.bad, 'row')} that cannot be read.")
        if self.group:
            found.append(
                "Groups are compared with the faces of all others, class by class "
                "(Mantel-Haenszel), Holm-corrected for the number of groups, at "
                f"{100 * SIGNIFICANCE:g} %. {FEW}"
            )
        if self.other:
            found.append(
                "Models are compared by McNemar's exact test on the same faces, Holm-corrected for "
                f"the number of groups, at {100 * SIGNIFICANCE:g} %."
            )
        return [*found, *self.notes]

    def to_markdown(self) -> str:
        """The table and the texts as Markdown."""
        columns = self.columns()
        lines = [
            f"**{self.model} on {self.data}**\n",
            *(
                f"| {' | '.join(_escaped(cell) for cell in row)} |"
                for row in (columns, ["---"] + ["---:"] * (len(columns) - 1), *self.rows())
            ),
            "",
            *(f"- {_escaped(text)}" for text in self.texts()),
        ]
        return "\n".join(lines) + "\n"


WORDS = {
    "": "",
    "better": "better",
    "worse": "worse",
    "open": "no difference shown",
    "few": "too few to say",
    "alone": "no others",
    "ahead": "ahead",
    "behind": "behind",
}
"""The outcomes in words."""

FEW = f"Of fewer than {LEAST} faces nothing is said but the interval."


def _with_interval(value: float, interval: Interval) -> str:
    low, high = (f"{end:.3f}".removeprefix("0") for end in interval)
    return f"{value:.4f} [{low}, {high}]"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
