"""A table of runs that may be ranked against each other, and its columns in every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fer_features.config import COPIES_INDEXED
from fer_features.metrics import NUMBERS
from fer_features.metrics.intervals import WITH_INTERVAL
from fer_features.runs.published import PUBLISHED_ROW, is_published_task
from fer_features.runs.record import RANDOM, SEEN, UNKNOWN, RunRecord
from fer_features.runs.run import Run
from fer_features.runs.verdicts import Verdict, judge

MOST_ROWS = 8
"""Runs of a table that are drawn, unless all heads are asked for."""

_WARNINGS = {
    RANDOM: "The network has learned nothing; these numbers say nothing about ImageNet weights.",
    SEEN: (
        "The weights have learnt from {most:,} of the images that are scored here; these numbers "
        "say nothing about new images."
    ),
    UNKNOWN: (
        "Which images the weights have learnt from is not known, or copies of them cannot be "
        "recognised; they may have learnt from those scored here."
    ),
}


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: its name in CSV and JSON.
        heading: its heading for people; empty where only CSV and JSON have it.
        wide: only in the wide table.
        text: set to the left; the others hold numbers.
    """

    key: str
    heading: str = ""
    wide: bool = False
    text: bool = False

    def cell(self, row: dict[str, Any]) -> str:
        """A row's value for people: four digits for scores, seconds by their size."""
        value = row[self.key]
        if value is None:
            return "–"
        if self.key.endswith("seconds"):
            return f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"
        if self.key == "test accuracy" and row["test accuracy low"] is not None:
            return with_interval(value, (row["test accuracy low"], row["test accuracy high"]))
        return f"{value:.4f}" if isinstance(value, float) else str(value)


_TEST = {
    "accuracy": "test acc [95 %]",
    "balanced_accuracy": "balanced",
    "precision": "prec",
    "recall": "rec",
    "f1": "F1",
    "roc_auc": "AUC",
    "average_precision": "AP",
    "log_loss": "log loss",
    "brier": "Brier",
    "ece": "ECE",
}
_WIDE = ("precision", "recall", "average_precision", "brier")

COLUMNS = (
    Column("head", "head", text=True),
    Column("features", "features", text=True),
    Column("learnt from", "learnt from", wide=True, text=True),
    *(Column(f"validation {name}", "val acc" * (name == "accuracy")) for name in NUMBERS),
    Column("test n", "test n", wide=True),
    *(Column(f"test {name}", _TEST[name], wide=name in _WIDE) for name in NUMBERS),
    *(Column(f"test {name} {end}") for name in WITH_INTERVAL for end in ("low", "high")),
    Column("fit seconds", "fit s"),
    Column("predict seconds", "pred s", wide=True),
    Column("run", "run", wide=True, text=True),
)


def shown_columns(*, wide: bool = False) -> list[Column]:
    """The columns that are drawn, in their order."""
    return [one for one in COLUMNS if one.heading and (wide or not one.wide)]


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """A share and the ends of its interval, of which those below 1 go without their 0."""
    low, high = (f"{end:.3f}".removeprefix("0") for end in interval)
    return f"{value:.4f} [{low}, {high}]"


@dataclass(frozen=True)
class ComparisonTable:
    """Runs that may be ranked against each other: same images, labels, split and seed.

    Attributes:
        runs: the runs, the best validation accuracy first.
    """

    runs: tuple[Run, ...]

    @property
    def title(self) -> str:
        """What they have in common."""
        first = self.runs[0].record
        split = first.split
        seed = "" if split.seed is None else f", seed {split.seed}"
        parts = f"{split.train:,} / {split.validation:,} / {split.test:,}"
        return f"{first.data_title}, split {split.name}{seed} ({parts})"

    @property
    def published(self) -> bool:
        """Whether the published result is about the same task."""
        return is_published_task(self.runs[0].record)

    @cached_property
    def features(self) -> list[str]:
        """Each run's features, no longer than it takes to tell them apart."""
        records = [run.record for run in self.runs]

        def several(values: Iterable[tuple[str, object]]) -> set[str]:
            counts = Counter(base for base, _ in set(values))
            return {base for base, count in counts.items() if count > 1}

        base = [one.base_features for one in records]
        heads = [one.head for one in records]
        layers = several(zip(base, (tuple(head.layers) for head in heads), strict=True))
        vectors = (one for one in zip(base, heads, strict=True) if one[1].features != "map")
        layers |= several((name, head.features) for name, head in vectors)
        precisions = several((one.base_features, one.cache.spec.precision) for one in records)
        return [
            one.features(layers=name in layers, precision=name in precisions)
            for name, one in zip(base, records, strict=True)
        ]

    @cached_property
    def names(self) -> list[str]:
        """Each run's name within the table."""
        pairs = [
            (run.record.head.name, of) for run, of in zip(self.runs, self.features, strict=True)
        ]
        several = len(set(self.features)) > 1
        return [
            run.record.id if pairs.count(pair) > 1 else " on ".join(pair) if several else pair[0]
            for run, pair in zip(self.runs, pairs, strict=True)
        ]

    @property
    def learnt_from(self) -> dict[str, str]:
        """What each backbone here has learnt from, and from how many labels."""
        found = {run.record.base_features: run.record.learnt_from for run in self.runs}
        return dict(sorted(found.items()))

    @property
    def sources(self) -> list[str]:
        """A line for each kind of features: layers, pooling, and what they have learnt from."""
        used: dict[str, set[str]] = {}
        for run in self.runs:
            head = run.record.head
            used.setdefault(run.record.base_features, set()).add(
                f"{'+'.join(head.layers)} {head.features}"
            )
        return [
            f"{name} ({', '.join(sorted(used[name]))}): learnt from {text}"
            for name, text in self.learnt_from.items()
        ]

    @property
    def marks(self) -> dict[str, list[str]]:
        """The backbones of each warning that `RunRecord.marks` has for a run."""
        records = [run.record for run in self.runs]
        return {
            mark: sorted({one.base_features for one in records if mark in one.marks})
            for mark in _WARNINGS
            if any(mark in one.marks for one in records)
        }

    def notes_on(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """Warnings about weights, split and calibration, and those that belong beside some rows."""
        records = [run.record for run in self.runs]
        split, notes = records[0].split, []
        for mark, names in self.marks.items():
            for name in names:
                most = max(one.scored_seen for one in records if one.base_features == name)
                notes.append(f"{name}: {mark}. {_WARNINGS[mark].format(most=most)}")
        leaked = split.leaked
        exact, near, registered = leaked.exact, leaked.near, leaked.registered or 0
        if exact or near or registered:
            notes.append(
                f"test images with a copy in training or validation: {exact:,} exact, {near:,} "
                f"near and {registered:,} shifted or scaled, of {split.test:,}. That raises the "
                "scores of every row; --split grouped avoids it."
            )
        if split.copies_indexed:
            notes.append(f"{COPIES_INDEXED}.")
        if ids := ", ".join(record.id for record in records if record.calibration):
            notes.append(f"calibrated on the validation rows, which improves their scores: {ids}.")
        shown = {row["run"] for row in rows}
        singles = [one for one in records if one.only_member and one.id in shown]
        if single := ", ".join(f"{one.id} ({one.only_member})" for one in singles):
            notes.append(f"an ensemble with a single member is that head: {single}.")
        return notes

    @property
    def notes(self) -> list[str]:
        """Warnings that belong to the table."""
        return self.notes_on(self.rows())

    @cached_property
    def judged(self) -> Verdict | str:
        """The paired tests of the first run against the others, or why there are none."""
        return judge(self.runs, self.names)

    @property
    def verdict(self) -> Verdict | None:
        """The paired tests of the first run against the others, if there are any."""
        return self.judged if isinstance(self.judged, Verdict) else None

    def rows(self) -> list[dict[str, Any]]:
        """A row for each run by the keys of `COLUMNS`, and the published one at the end, if any."""
        blank = dict.fromkeys(one.key for one in COLUMNS)
        rows = [
            {**blank, **_values(run.record), "features": name}
            for run, name in zip(self.runs, self.features, strict=True)
        ]
        return rows + [{**blank, **PUBLISHED_ROW}] * self.published

    def drawn_rows(self, *, all_heads: bool = False) -> list[dict[str, Any]]:
        """The rows of a drawn table, in which each run can be told from the others.

        Unless `all_heads`: of several features the best head of each, and `MOST_ROWS` at most.
        """
        rows = self.rows()
        own, published = rows[: len(self.runs)], rows[len(self.runs) :]
        for row, name in zip(own, self.names, strict=True):
            if name == row["run"]:  # the same head on the same features again
                row["head"] = name
        if all_heads:
            return rows
        if len(set(self.features)) > 1:  # rows are in order, the best first
            best = {row["features"]: row for row in reversed(own)}
            own = [row for row in own if best[row["features"]] is row]
        return own[:MOST_ROWS] + published

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {
            "title": self.title,
            "rows": self.rows(),
            "learnt_from": self.learnt_from,
            "notes": self.notes,
            "verdict": self.verdict and self.verdict.to_dict(),
        }

    def to_markdown(self, *, all_heads: bool = True, wide: bool = False) -> str:
        """A Markdown section with the table, its verdict and its notes."""
        columns = shown_columns(wide=wide)
        rows = self.drawn_rows(all_heads=all_heads)
        cells = [
            [one.heading for one in columns],
            ["---" if one.text else "---:" for one in columns],
        ]
        cells += [[one.cell(row).replace("|", r"\|") for one in columns] for row in rows]
        lines = [f"| {' | '.join(row)} |" for row in cells]
        texts = [self.verdict.text(short=not all_heads)] if self.verdict else []
        texts += self.sources
        return (
            "\n\n".join([f"### {self.title}", "\n".join(lines), *texts, *self.notes_on(rows)])
            + "\n"
        )


def _values(record: RunRecord) -> dict[str, Any]:
    values = {
        "head": record.head.name,
        "learnt from": record.learnt_from,
        "test n": record.split.test,
        "fit seconds": record.seconds.fit,
        "predict seconds": record.seconds.predict,
        "run": record.id,
    }
    for part, scores in (("validation", record.validation), ("test", record.test)):
        values |= {f"{part} {name}": getattr(scores, name) for name in NUMBERS}
    for name in WITH_INTERVAL:
        low, high = record.intervals.get(name) or (None, None)
        values |= {f"test {name} low": low, f"test {name} high": high}
    return values
