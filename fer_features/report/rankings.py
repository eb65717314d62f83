"""Runs that may be ranked against each other: their scores, confusion matrices and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_features.report.charts import STYLES, Chart, Line, unit_chart
from fer_features.report.formats import cell
from fer_features.report.view import Ranking
from fer_features.runs.predictions import Part, Predictions
from fer_features.runs.table import ComparisonTable
from fer_features.runtime.progress import Log


def bounds_of(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Multiples of 0.05 between which all test accuracies and their intervals lie."""
    keys = ("test accuracy", "test accuracy low", "test accuracy high")
    scores = [row[key] for row in rows for key in keys if row[key] is not None]
    low, high = np.floor(min(scores) * 20), np.ceil(max(scores) * 20)
    return float(low / 20), float(max(high, low + 1) / 20)


def ranking(table: ComparisonTable, predictions: Mapping[Path, Predictions], log: Log) -> Ranking:
    """The scores, matrices and curves of runs that may be ranked against each other."""
    verdict = table.verdict
    if verdict is None and len(table.runs) > 1:
        log(f"{table.title}: no verdict: {table.judged}")
    names = table.names
    records = [run.record for run in table.runs]
    readable = [
        (name, run.record.test, predictions[run.path].test)
        for name, run in zip(names, table.runs, strict=True)
        if run.path in predictions
    ]
    roc, reliability = _curves(readable[:STYLES])
    validation = [one.validation.accuracy for one in records]
    return Ranking(
        table=table,
        rows=tuple(table.drawn_rows(all_heads=True)),
        runs=tuple(zip(names, records, strict=True)),
        tied=validation.count(validation[0]) - 1,
        verdict=verdict.text() if verdict else "",
        drawn=tuple(name for name, _, _ in readable[:STYLES]),
        readable=len(readable),
        roc=roc,
        reliability=reliability,
    )


def _curves(runs: Sequence[tuple[str, Any, Part]]) -> tuple[Chart | None, Chart | None]:
    """ROC and reliability curves of runs with these names, test scores and predictions."""
    roc, reliability = [], []
    for style, (_, test, part) in enumerate(runs):
        positive = test.classes.index(test.positive) if test.positive else None
        if (points := part.roc(positive)) is not None:
            roc.append(Line(*points, style))
        reliability.append(Line(*part.reliability(), style, marked=True))
    areas = "; ".join(f"{name}: area {cell(test.roc_auc)}" for name, test, _ in runs)
    errors = "; ".join(f"{name}: ECE {cell(test.ece)}" for name, test, _ in runs)
    rates = ("false positive rate", "true positive rate")
    low = 0.5 if runs and len(runs[0][1].classes) == 2 else 0
    return (
        unit_chart("ROC curves", areas, roc, rates),
        unit_chart("Reliability curves", errors, reliability, ("confidence", "accuracy"), low),
    )
