"""Tables and learning curves of single runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fer_features.report.charts import epoch_chart, size_chart
from fer_features.report.formats import cell
from fer_features.report.view import Cell, LearningCurves
from fer_features.runs.repeats import LeakEffect, OverSeeds, TestPart
from fer_features.runs.run import Run
from fer_features.runs.table import ComparisonTable

Names = Mapping[Path, str]
"""A short name for each run, by its folder."""


def seeds(one: OverSeeds) -> tuple[Cell, ...]:
    """Head, features, title, number of seeds, and mean ± standard deviation of the accuracy."""
    cells = (one.cell(part, "accuracy", 3) for part in ("validation", "test"))
    return (one.head, one.features, one.title, len(one.runs), *cells)


def operating(run: Run, names: Names) -> tuple[Cell, ...]:
    """Run, target, threshold, and precision and recall on validation and test."""
    found = run.record.operate
    assert found is not None  # noqa: S101  only such runs are shown here
    target = f"{found.target} {found.value:g}"
    if found.threshold is None or found.validation is None or found.test is None:
        return (names[run.path], target, "unattainable", None, None, None, None)
    parts = (found.validation, found.test)
    scores = (score for part in parts for score in (part.precision, part.recall))
    return (names[run.path], target, f"{found.threshold:.4f}", *scores)


def calibration(run: Run, names: Names) -> tuple[Cell, ...]:
    """Run, method, and log loss, Brier score and ECE on test before and after."""
    found, after = run.record.calibration, run.record.test
    assert found is not None  # noqa: S101  only such runs are shown here
    before = found.before.test
    pairs = (
        (before.log_loss, after.log_loss),
        (before.brier, after.brier),
        (before.ece, after.ece),
    )
    return (names[run.path], found.method, *(f"{cell(old)} → {cell(new)}" for old, new in pairs))


def by_epoch(run: Run, names: Names) -> LearningCurves:
    """Loss and accuracy by epoch."""
    history, name = run.record.history or {}, names[run.path]
    known = [one for one in ("loss", "accuracy") if {one, f"val_{one}"} <= set(history)]
    return name, tuple(epoch_chart(name, history, one) for one in known)


def by_size(run: Run, names: Names) -> LearningCurves:
    """Accuracy by number of training images."""
    sizes, name = run.record.sizes or [], names[run.path]
    rows = [one.rows for one in sizes]
    train = [one.train_accuracy for one in sizes]
    held_out = [one.validation_accuracy for one in sizes]
    return name, (size_chart(name, rows, train, held_out),)


def leaked(table: ComparisonTable) -> tuple[Cell, ...]:
    """Title, test images, and those with a copy; older records lack the registered ones."""
    split = table.runs[0].record.split
    leaked = split.leaked
    return (table.title, split.test, leaked.exact, leaked.near, leaked.registered)


def leak_effect(one: LeakEffect, names: Names) -> tuple[Cell, ...]:
    """Run, accuracy, number and accuracy with and without a copy, and the difference in points."""
    return (
        names[one.run.path],
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
