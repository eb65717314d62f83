"""Tables, learning curves and provenance of single runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fer_features.report.charts import epoch_chart, size_chart
from fer_features.report.formats import cell, seconds
from fer_features.report.view import Card, Cell, LearningCurves
from fer_features.runs.record import RunRecord
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


def cache_card(record: RunRecord) -> Card:
    """Provenance of a cache's features."""
    cache, spec, dataset = record.cache, record.cache.spec, record.cache.dataset
    return _card(
        record.base_features,
        {
            "backbone": spec.backbone,
            "weights": spec.weights,
            "weights’ SHA-256": spec.weights_sha256,
            "input": f"{spec.size} × {spec.size}" if spec.size else None,
            "preprocessing": spec.preprocess,
            "resizing": spec.resize,
            "arithmetic": spec.precision,
            "data": dataset and dataset.name,
            "data’s SHA-256": dataset and dataset.sha256,
            "cache’s key": cache.key,
            "cache’s file": cache.path,
        },
    )


def run_card(record: RunRecord) -> Card:
    """Settings and provenance of a run, and the command that repeats it."""
    head = record.head
    chosen = {k: v for k, v in head.chosen.items() if v and not isinstance(v, list | dict)}
    times = (
        f"{name} {seconds(value)} s" for name, value in msgspec.to_builtins(record.seconds).items()
    )
    return _card(
        record.id,
        {
            "head": head.title or head.name,
            "features": f"{'+'.join(head.layers)} {head.features}".strip(),
            "views": ", ".join(head.views),
            "settings": _settings(head.params),
            "chosen on validation": _settings(chosen),
            "images the weights have learnt from": _learnt(record),
            "time": ", ".join(times),
            "created": record.created,
            "software": ", ".join(f"{k} {v}" for k, v in record.software.items()),
        },
        record.command,
    )


def _card(title: str, facts: Mapping[str, Any], command: str = "") -> Card:
    return Card(title, {name: str(value) for name, value in facts.items() if value}, command)


def _settings(params: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={f'{value:.4g}' if isinstance(value, float) else json.dumps(value)}"
        for name, value in params.items()
    )


def _learnt(record: RunRecord) -> str:
    """How many of the rows the weights have learnt from; empty where this does not apply."""
    if record.provenance_unknown:
        return "provenance unknown"
    found = record.data.provenance
    if found is None or found.exact is None:
        return ""
    similar = "copies not looked for" if found.copies is None else f"{found.copies:,} copies"
    return f"{found.exact:,} exact, {similar}, of {record.data.rows:,}"
