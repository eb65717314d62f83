"""Scores: the table of runs, and their confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fer_features.report.charts import interval_bar
from fer_features.report.gather import Gathered
from fer_features.report.markup import Child, Markup, tag
from fer_features.report.parts import boxed, caption_of, data_table, log, score, seconds, section
from fer_features.runs.repeats import OverSeeds
from fer_features.runs.run import Run
from fer_features.runs.table import ComparisonTable
from fer_features.runs.verdicts import Verdict

_COLUMNS = {
    "head": "Head",
    "validation accuracy": "Validation",
    "test accuracy": "Test, 95 % interval",
    "test balanced_accuracy": "Balanced",
    "test f1": "F1",
    "test roc_auc": "ROC AUC",
    "test average_precision": "AP",
    "test brier": "Brier",
    "test ece": "ECE",
    "fit seconds": "Fit, s",
}


def results(gathered: Gathered) -> Markup:
    """The tables of runs, with what may be concluded from them."""
    intro = tag(
        "p",
        "Accuracy on validation and on test, the best on validation first: test never chooses. The "
        "bars show 95 % intervals (Wilson), the small numbers those of the other scores. All that "
        "stands right of the bars is of the test images; of Brier score and ECE (expected "
        "calibration error, which has no interval) less is better. A heading’s button sorts by its "
        "column.",
    )
    parts = []
    for subject in gathered.subjects:
        bounds = _bounds(subject.tables)
        for table, verdict in zip(subject.tables, subject.verdicts, strict=True):
            parts.append(_table(table, verdict, bounds))
    return section("results", "Results", intro, parts, _seeds(gathered.seeds), _operating(gathered))


def _bounds(tables: Sequence[ComparisonTable]) -> tuple[float, float]:
    """Twentieths between which all test accuracies and their intervals lie."""
    rows = [row for table in tables for row in table.rows()]
    columns = ("test accuracy", "test accuracy low", "test accuracy high")
    known = [row[name] for row in rows for name in columns if row[name] is not None]
    low, high = np.floor(min(known) * 20), np.ceil(max(known) * 20)
    return float(low / 20), float(max(high, low + 1) / 20)


def _table(
    table: ComparisonTable, verdict: Verdict | None, bounds: tuple[float, float]
) -> list[Markup | None]:
    rows = table.rows()
    for row, name in zip(rows, table.names, strict=False):  # the published row has no name
        if name == row["run"]:  # the same head on the same features again: only its run tells
            row["head"] = name
    head = [_sortable(name, shown) for name, shown in _COLUMNS.items()]
    body = [_row(row, bounds, own=row["run"] is not None) for row in rows]
    said = verdict.text() if verdict is not None else None
    drawn = tag(
        "table",
        caption_of(table.title),
        tag("thead", tag("tr", head)),
        tag("tbody", body),
        class_="sortable",
    )
    notes = [log(one) for one in table.notes]
    return [
        boxed(drawn, label=table.title),
        tag("p", said, class_="verdict") if said else None,
        *notes,
    ]


def _sortable(name: str, shown: str) -> Markup:
    kind = "text" if name == "head" else "num"
    arrow = tag("span", aria_hidden="true", class_="arrow")
    first = "descending" if name == "validation accuracy" else None
    button = tag("button", shown, arrow, type="button")
    return tag("th", button, scope="col", class_=kind, aria_sort=first)


def _row(row: dict[str, Any], bounds: tuple[float, float], *, own: bool) -> Markup:
    cells = []
    for name in _COLUMNS:
        value, class_ = row[name], "num"
        if name == "head":
            learnt = f"{row['features']}, learnt from {row['learnt from']}"
            features = tag("small", learnt)
            both = f"{value} {row['features']}"
            cells.append(tag("th", value, features, scope="row", data_value=both))
            continue
        shown: Child = _with_ends(row, name)
        if name == "fit seconds" and value is not None:
            shown = seconds(value)
        if name == "test accuracy" and value is not None:
            shown, class_ = _with_interval(row, bounds), "num wide"
        sorted_by = "" if value is None else str(value)
        cells.append(tag("td", shown, class_=class_, data_value=sorted_by))
    return tag("tr", cells, class_=None if own else "published")


def _with_interval(row: dict[str, Any], bounds: tuple[float, float]) -> Child:
    value, low, high = (row[f"test accuracy{end}"] for end in ("", " low", " high"))
    if low is None:
        return score(value)
    ends = f"{low:.3f} – {high:.3f}"
    return [
        interval_bar(value, low, high, bounds=bounds),
        tag("b", score(value)),
        " ",
        tag("small", ends),
    ]


def _with_ends(row: dict[str, Any], name: str) -> Child:
    """A score, and below it the ends of its interval if it has one."""
    low, high = row.get(f"{name} low"), row.get(f"{name} high")
    if low is None or high is None:
        return score(row[name])
    return [score(row[name]), " ", tag("small", f"{low:.3f} – {high:.3f}")]


def _seeds(found: Sequence[OverSeeds]) -> Markup | None:
    if not found:
        return None
    rows = []
    for one in found:
        cells = [_mean(one, "validation", "accuracy"), _mean(one, "test", "accuracy")]
        rows.append([one.head, one.features, one.title, f"{len(one.runs)}", *cells])
    columns = ["head", "features", "images and split", "seeds", "validation", "test"]
    caption = "Accuracy over several seeds, each with a split of its own: mean ± standard deviation"
    return data_table(caption, columns, rows, text=["features", "images and split"])


def _mean(one: OverSeeds, part: str, name: str) -> str:
    mean, std = one.mean(part, name), one.std(part, name)
    return "–" if mean is None or std is None else f"{mean:.3f} ± {std:.3f}"


def _operating(gathered: Gathered) -> Markup | None:
    """Thresholds that were chosen on validation for a wish, and what they give."""
    rows, names = [], gathered.names
    for run in gathered.runs:
        wish = run.record.operate
        if wish is None:
            continue
        asked = f"{wish.target} {wish.value:g}"
        if wish.threshold is None:
            rows.append([names[run.path], asked, "none gives it", "–", "–", "–", "–"])
            continue
        scores = [
            score(getattr(getattr(wish, part), name))
            for part in ("validation", "test")
            for name in _WISHES
        ]
        rows.append([names[run.path], asked, f"{wish.threshold:.4f}", *scores])
    if not rows:
        return None
    caption = "Thresholds chosen on validation, and what they give"
    columns = ["run", "wish", "threshold"]
    columns += [f"{part} {name}" for part in ("validation", "test") for name in _WISHES]
    return data_table(caption, columns, rows, text=["wish"])


_WISHES = ("precision", "recall")


def confusion(gathered: Gathered) -> Markup:
    """What each head takes for what."""
    intro = tag(
        "p",
        "Test images by their true class (rows) and by what the head says (columns). The shade is "
        "the share of the true class.",
    )
    parts = []
    for subject in gathered.subjects:
        for table in subject.tables:
            title = tag("h3", table.title, class_="quiet")
            matrices = [
                _matrix(run, name) for run, name in zip(table.runs, table.names, strict=True)
            ]
            many = " many" * (len(subject.record.task.classes) > _FEW)
            parts.append([title, tag("div", matrices, class_=f"cards{many}")])
    return section("confusion", "Confusion matrices", intro, parts)


_FEW = 3
"""Classes whose matrix fits into a narrow card."""


def _matrix(run: Run, name: str) -> Markup:
    test = run.record.test
    counts = np.asarray(test.confusion)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    head = [tag("th", one, scope="col") for one in test.classes]
    body = []
    for true, one in enumerate(test.classes):
        cells = [
            tag(
                "td",
                f"{counts[true, said]:,}",
                tag("small", f"{share[true, said]:.0%}"),
                style=f"--share:{share[true, said]:.2f}",
                class_="right" if true == said else None,
            )
            for said in range(len(counts))
        ]
        body.append(tag("tr", tag("th", one, scope="row"), cells))
    corner = tag("td", tag("small", "true ↓ said →"))
    drawn = tag(
        "table",
        caption_of(name),
        tag("thead", tag("tr", corner, head)),
        tag("tbody", body),
        class_="matrix",
    )
    return boxed(drawn, label=f"confusion matrix of {name}")
