"""Runs that may be ranked against each other: their scores, confusion matrices and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_features.errors import FerError
from fer_features.report.charts import STYLES, Chart, Line, unit_axis
from fer_features.report.formats import cell
from fer_features.report.view import Curves, Matrix, Ranking, Score, ScoreRow
from fer_features.runs.compare import Comparison
from fer_features.runs.curves import reliability_points, roc_points
from fer_features.runs.run import Predictions, Run
from fer_features.runs.verdicts import verdict_of
from fer_features.runtime.progress import Log

_OTHERS = ("balanced_accuracy", "f1", "roc_auc", "average_precision", "brier", "ece")
"""Test scores beside the accuracy, in the order of the template's columns."""


def bounds_of(rows: Sequence[ScoreRow]) -> tuple[float, float]:
    """Multiples of 0.05 between which all test accuracies and their intervals lie."""
    scores = [end for row in rows for end in vars(row.test).values() if end is not None]
    low, high = np.floor(min(scores) * 20), np.ceil(max(scores) * 20)
    return float(low / 20), float(max(high, low + 1) / 20)


def ranking(table: Comparison, predictions: Mapping[Path, Predictions], log: Log) -> Ranking:
    """The scores, matrices and curves of runs that may be ranked against each other."""
    try:
        verdict = verdict_of(table)
    except FerError as error:
        verdict = None
        log(f"{table.title}: no verdict: {error.message}")
    names = table.names
    # The published row, at the end, has no name.
    rows = zip(table.rows(), [*names, ""], strict=False)
    return Ranking(
        title=table.title,
        rows=tuple(_score_row(row, name) for row, name in rows),
        verdict=verdict.text() if verdict else "",
        notes=table.notes,
        matrices=tuple(
            _matrix(run.record, name) for run, name in zip(table.runs, names, strict=True)
        ),
        curves=_curves(table.runs, names, predictions),
    )


def _score_row(row: Mapping[str, Any], name: str) -> ScoreRow:
    """A row; of runs with the same head and features only the run's id differs."""
    scores = [
        Score(row[f"test {one}"], row.get(f"test {one} low"), row.get(f"test {one} high"))
        for one in ("accuracy", *_OTHERS)
    ]
    return ScoreRow(
        head=name if name and name == row["run"] else row["head"],
        features=row["features"],
        learnt_from=row["learnt from"],
        validation=row["validation accuracy"],
        test=scores[0],
        others=tuple(scores[1:]),
        fit_seconds=row["fit seconds"],
        published=row["run"] is None,
    )


def _matrix(record: Mapping[str, Any], name: str) -> Matrix:
    counts = np.asarray(record["test"]["confusion"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return Matrix(name, tuple(record["test"]["classes"]), counts.tolist(), shares.tolist())


def _curves(
    runs: Sequence[Run], names: Sequence[str], predictions: Mapping[Path, Predictions]
) -> Curves:
    known = [
        (name, run.record["test"], predictions[run.path].test)
        for name, run in zip(names, runs, strict=True)
        if run.path in predictions
    ]
    drawn = known[:STYLES]
    roc, reliability = [], []
    for style, (_, test, part) in enumerate(drawn):
        positive = test["classes"].index(test["positive"]) if test.get("positive") else None
        if (points := roc_points(part, positive=positive)) is not None:
            roc.append(Line(*points, style))
        reliability.append(Line(*reliability_points(part), style, marked=True))
    return Curves(
        names=tuple(name for name, _, _ in drawn),
        omitted=len(known) - len(drawn),
        roc=_unit_chart(
            "ROC curves",
            "; ".join(f"{name}: area {cell(test['roc_auc'])}" for name, test, _ in drawn),
            roc,
            ("false positive rate", "true positive rate"),
        ),
        reliability=_unit_chart(
            "Reliability curves",
            "; ".join(f"{name}: ECE {cell(test['ece'])}" for name, test, _ in drawn),
            reliability,
            ("confidence", "accuracy"),
            low=0.5 if drawn and len(drawn[0][1]["classes"]) == 2 else 0,
        ),
    )


def _unit_chart(
    title: str, description: str, lines: Sequence[Line], labels: tuple[str, str], low: float = 0
) -> Chart | None:
    """Lines on axes to 1 with the diagonal, x from `low`; None without any point."""
    if not any(len(line.x) for line in lines):
        return None
    x, y = unit_axis(labels[0], low), unit_axis(labels[1])
    return Chart(title, description, x, y, tuple(lines), diagonal=True)
