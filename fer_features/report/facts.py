"""Tables, learning curves and provenance of single runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_features.report.charts import epoch_chart, size_chart
from fer_features.report.formats import cell, seconds
from fer_features.report.view import Card, Cell, LearningCurves
from fer_features.runs.compare import Comparison
from fer_features.runs.labels import base_features, provenance_unknown
from fer_features.runs.repeats import LeakEffect, OverSeeds, TestPart
from fer_features.runs.run import Run

Names = Mapping[Path, str]
"""A short name for each run, by its folder."""

Record = dict[str, Any]


def seeds(one: OverSeeds) -> tuple[Cell, ...]:
    """Head, features, title, number of seeds, and mean ± standard deviation of the accuracy."""
    cells = []
    for part in ("validation", "test"):
        mean, std = one.mean(part, "accuracy"), one.std(part, "accuracy")
        cells.append("–" if mean is None or std is None else f"{mean:.3f} ± {std:.3f}")
    return (one.head, one.features, one.title, len(one.runs), *cells)


def operating(run: Run, names: Names) -> tuple[Cell, ...]:
    """Run, target, threshold, and precision and recall on validation and test."""
    found = run.record["operate"]
    target = f"{found['wish']} {found['value']:g}"
    if found["threshold"] is None:
        return (names[run.path], target, "unattainable", None, None, None, None)
    scores = (
        found[part][one] for part in ("validation", "test") for one in ("precision", "recall")
    )
    return (names[run.path], target, f"{found['threshold']:.4f}", *scores)


def calibration(run: Run, names: Names) -> tuple[Cell, ...]:
    """Run, method, and log loss, Brier score and ECE on test before and after."""
    found, after = run.record["calibration"], run.record["test"]
    before = found.get("before", {}).get("test", {})
    pairs = ((before.get(name), after[name]) for name in ("log_loss", "brier", "ece"))
    return (names[run.path], found["method"], *(f"{cell(old)} → {cell(new)}" for old, new in pairs))


def by_epoch(run: Run, names: Names) -> LearningCurves:
    """Loss and accuracy by epoch."""
    history, name = run.record["history"], names[run.path]
    known = [one for one in ("loss", "accuracy") if {one, f"val_{one}"} <= set(history)]
    return name, tuple(epoch_chart(name, history, one) for one in known)


def by_size(run: Run, names: Names) -> LearningCurves:
    """Accuracy by number of training images."""
    sizes, name = run.record["sizes"], names[run.path]
    rows, train, held_out = (
        [one[key] for one in sizes] for key in ("rows", "train_accuracy", "validation_accuracy")
    )
    return name, (size_chart(name, rows, train, held_out),)


def leaked(table: Comparison) -> tuple[Cell, ...]:
    """Title, test images, and those with a copy; older records lack the registered ones."""
    split = table.runs[0].record["split"]
    copies = (split["leaked"].get(kind) for kind in ("exact", "near", "registered"))
    return (table.title, split["test"], *copies)


def leak_effect(one: LeakEffect, names: Names) -> tuple[Cell, ...]:
    """Run, accuracy, number and accuracy with and without a copy, and the difference in points."""
    return (
        names[one.run.path],
        one.run.record["test"]["accuracy"],
        *_accuracy(one.with_copy),
        *_accuracy(one.without_copy),
        None if one.effect is None else f"{100 * one.effect:+.1f}",
    )


def _accuracy(part: TestPart | None) -> tuple[int, str | None]:
    if part is None:
        return 0, None
    low, high = part.interval
    return part.n, f"{part.accuracy:.3f} [{low:.3f}, {high:.3f}]"


def cache_card(record: Record) -> Card:
    """Provenance of a cache's features."""
    cache = record["cache"]
    spec, dataset = cache["spec"], cache.get("dataset") or {}
    size = spec.get("size")
    return _card(
        base_features(record),
        {
            "backbone": spec["backbone"],
            "weights": spec["weights"],
            "weights’ SHA-256": spec.get("weights_sha256"),
            "input": f"{size} × {size}" if size else None,
            "preprocessing": spec.get("preprocess"),
            "resizing": spec.get("resize"),
            "arithmetic": spec.get("precision"),
            "data": dataset.get("name"),
            "data’s SHA-256": dataset.get("sha256"),
            "cache’s key": cache["key"],
            "cache’s file": cache.get("path"),
        },
    )


def run_card(record: Record) -> Card:
    """Settings and provenance of a run, and the command that repeats it."""
    head = record["head"]
    chosen = {k: v for k, v in head["chosen"].items() if v and not isinstance(v, list | dict)}
    times = (f"{name} {seconds(value)} s" for name, value in record["seconds"].items())
    return _card(
        record["id"],
        {
            "head": head.get("title") or head["name"],
            "features": f"{'+'.join(head['layers'])} {head.get('features', '')}".strip(),
            "views": ", ".join(head["views"]),
            "settings": _settings(head["params"]),
            "chosen on validation": _settings(chosen),
            "images the weights have learnt from": _learnt(record),
            "time": ", ".join(times),
            "created": record["created"],
            "software": ", ".join(f"{k} {v}" for k, v in record.get("software", {}).items()),
        },
        record.get("command", ""),
    )


def _card(title: str, facts: Mapping[str, Any], command: str = "") -> Card:
    return Card(title, {name: str(value) for name, value in facts.items() if value}, command)


def _settings(params: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={f'{value:.4g}' if isinstance(value, float) else json.dumps(value)}"
        for name, value in params.items()
    )


def _learnt(record: Record) -> str:
    """How many of the rows the weights have learnt from; empty where this does not apply."""
    if provenance_unknown(record):
        return "provenance unknown"
    found = record["data"].get("provenance") or {}
    if found.get("exact") is None:
        return ""
    copies = found.get("copies")
    similar = "copies not looked for" if copies is None else f"{copies:,} copies"
    return f"{found['exact']:,} exact, {similar}, of {record['data']['rows']:,}"
