"""Tables and learning curves of single runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fer_features.report.charts import epoch_chart, size_chart
from fer_features.report.formats import cell
from fer_features.report.view import Cell, LearningCurves
from fer_features.runs.record import RunRecord
from fer_features.runs.repeats import LeakEffect, OverSeeds, TestPart
from fer_features.runs.schema import Calibration, Operate, Size
from fer_features.runs.table import ComparisonTable


def seeds(one: OverSeeds) -> tuple[Cell, ...]:
    """Head, features, title, number of seeds, and mean ± standard deviation of the accuracy."""
    cells = (one.cell(part, "accuracy", 3) for part in ("validation", "test"))
    return (one.head, one.features, one.title, len(one.runs), *cells)


def operating(name: str, found: Operate) -> tuple[Cell, ...]:
    """Run, target, threshold, and precision and recall on validation and test."""
    target = f"{found.target} {found.value:g}"
    if found.threshold is None or found.validation is None or found.test is None:
        return (name, target, "unattainable", None, None, None, None)
    parts = (found.validation, found.test)
    scores = (score for part in parts for score in (part.precision, part.recall))
    return (name, target, f"{found.threshold:.4f}", *scores)


def calibration(name: str, record: RunRecord, found: Calibration) -> tuple[Cell, ...]:
    """Run, method, and log loss, Brier score and ECE on test before and after."""
    scores = ("log_loss", "brier", "ece")
    pairs = [
        [cell(getattr(one, key)) for one in (found.before.test, record.test)] for key in scores
    ]
    return (name, found.method, *map(" → ".join, pairs))


def by_epoch(name: str, history: Mapping[str, Sequence[float]]) -> LearningCurves:
    """Loss and accuracy by epoch."""
    known = [one for one in ("loss", "accuracy") if {one, f"val_{one}"} <= set(history)]
    return name, tuple(epoch_chart(name, history, one) for one in known)


def by_size(name: str, sizes: Sequence[Size]) -> LearningCurves:
    """Accuracy by number of training images."""
    rows = [one.rows for one in sizes]
    train = [one.train_accuracy for one in sizes]
    held_out = [one.validation_accuracy for one in sizes]
    return name, (size_chart(name, rows, train, held_out),)


def leaked(table: ComparisonTable) -> tuple[Cell, ...]:
    """Title, test images, and those with a copy; older records lack the registered ones."""
    split = table.runs[0].record.split
    leaked = split.leaked
    return (table.title, split.test, leaked.exact, leaked.near, leaked.registered)


def leak_effect(name: str, one: LeakEffect) -> tuple[Cell, ...]:
    """Run, accuracy, number and accuracy with and without a copy, and the difference in points."""
    return (
        name,
        one.run.record.test.accuracy,
        *_accuracy(one.with_copy),
        *_accuracy(one.without_copy),
        None if one.effect is None else f"{100 * one.effect:+.1f}",
    )


def _accuracy(part: TestPart | None) -> tuple[int, str | None]:
    if part is None:
        return 0, None
    low, high = part.interval
    return part.n, f"{part.accuracy:.3f} [{low:.3f}, {high:.3f}]"
