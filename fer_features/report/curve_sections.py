"""Curves: ROC, reliability, and learning by epoch and by number of training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fer_features.metrics.curves import ENOUGH, reliability_of, roc_of
from fer_features.report.charts import (
    STYLES,
    Axis,
    Line,
    apart,
    legend,
    line_chart,
    nice_axis,
    unit_axis,
)
from fer_features.report.gather import Gathered, Subject
from fer_features.report.markup import Markup, tag
from fer_features.report.parts import data_table, figure, log, score, section
from fer_features.runs.run import Part, Run
from fer_features.runs.table import ComparisonTable


def curves(gathered: Gathered) -> Markup:
    """ROC and reliability curves."""
    intro = tag(
        "p",
        "On test images. ROC: how many of a class are found for how many false alarms, at every "
        "threshold; of more than two classes the mean, each against the rest. The dotted diagonal "
        "is guessing. Reliability: is a head that says 80 % right in 80 % of the cases? On the "
        "diagonal it is; below it, it is too sure of itself.",
    )
    parts = [_curves(table, subject) for subject in gathered.subjects for table in subject.tables]
    return section("curves", "ROC and reliability", intro, parts, _calibrations(gathered))


def _curves(table: ComparisonTable, subject: Subject) -> list[Markup]:
    known = [
        (name, run, subject.predictions[run.path].test)
        for name, run in zip(table.names, table.runs, strict=True)
        if run.path in subject.predictions
    ]
    title = tag("h3", table.title, class_="quiet")
    if not known:
        return [title, log("The predictions of these runs cannot be read.")]
    drawn = known[:STYLES]
    left = [_roc(style, *one) for style, one in enumerate(drawn)]
    right = [_reliability(style, *one) for style, one in enumerate(drawn)]
    charts = tag("div", _roc_chart(drawn, left), _reliability_chart(drawn, right), class_="charts")
    out = [title, legend([name for name, _, _ in drawn]), charts]
    if len(known) > len(drawn):
        rest = len(known) - len(drawn)
        out.append(
            log(
                f"The {len(drawn)} runs with the best validation accuracy; {rest} more are "
                "in the table above."
            )
        )
    return out


_Known = tuple[str, Run, Part]


def _roc(style: int, name: str, run: Run, part: Part) -> Line | None:
    test = run.record.test
    positive = None if test.positive is None else test.classes.index(test.positive)
    points = roc_of(part.label, part.probability, positive=positive)
    return None if points is None else Line(name, *points, style)


def _roc_chart(drawn: Sequence[_Known], lines: Sequence[Line | None]) -> Markup:
    known = [line for line in lines if line is not None]
    if not known:
        return figure("ROC", log("Undefined: a class does not occur among the test images."))
    areas = [f"{name}: area {score(run.record.test.roc_auc)}" for name, run, _ in drawn]
    chart = line_chart(
        known,
        x=unit_axis("false positive rate"),
        y=unit_axis("true positive rate"),
        title="ROC curves",
        description="; ".join(areas),
        diagonal=True,
    )
    return figure("ROC", chart)


def _reliability(style: int, name: str, run: Run, part: Part) -> Line:
    found = reliability_of(part.label, part.probability)
    return Line(name, found.confidence, found.accuracy, style, marked=True)


def _reliability_chart(drawn: Sequence[_Known], lines: Sequence[Line]) -> Markup:
    if not any(len(line.x) for line in lines):
        return figure("Reliability", log(f"No tenth of confidence has {ENOUGH} images."))
    least = 1 / len(drawn[0][1].record.test.classes)
    errors = [f"{name}: ECE {score(run.record.test.ece)}" for name, run, _ in drawn]
    chart = line_chart(
        lines,
        x=unit_axis("confidence") if least < 0.5 else Axis("confidence", 0.5, 1, _HALF_TICKS),
        y=unit_axis("accuracy"),
        title="Reliability curves",
        description="; ".join(errors),
        diagonal=True,
    )
    return figure(f"Reliability, by tenths of confidence with {ENOUGH} images or more", chart)


def _calibrations(gathered: Gathered) -> Markup | None:
    rows, names = [], gathered.names
    for run in gathered.runs:
        record = run.record
        if record.calibration is None:
            continue
        before, after = record.calibration.before.test, record.test
        pairs = [
            f"{score(getattr(before, name))} → {score(getattr(after, name))}" for name in _PROPER
        ]
        rows.append([names[run.path], record.calibration.method, *pairs])
    if not rows:
        return None
    caption = "What calibration on the validation images did to the test scores"
    columns = ["run", "method", "log loss", "Brier", "ECE"]
    return data_table(caption, columns, rows, text=["method"])


_HALF_TICKS = (0.5, 0.6, 0.7, 0.8, 0.9, 1)
"""Of two classes, the more probable one has one half or more."""

_PROPER = ("log_loss", "brier", "ece")


def learning(gathered: Gathered) -> Markup:
    """How heads learned, by epoch and with more images."""
    names = gathered.names
    by_epoch = [_epochs(run, names[run.path]) for run in gathered.runs if run.record.history]
    by_size = [_sizes(run, names[run.path]) for run in gathered.runs if run.record.sizes]
    epochs = (
        [
            tag("h3", "By epoch"),
            legend(["training", "validation"]),
            tag("div", by_epoch, class_="pairs"),
        ]
        if by_epoch
        else log("None of these heads is trained by epochs.")
    )
    sizes = (
        [
            tag("h3", "By number of training images"),
            legend(["training", "validation"]),
            tag("div", by_size, class_="charts"),
        ]
        if by_size
        else log("No run looked at fewer training images; fer fit --sizes does.")
    )
    return section("learning", "Learning curves", epochs, sizes)


def _epochs(run: Run, name: str) -> Markup:
    """Loss and accuracy of one run; its best epoch is the one of the lowest validation loss."""
    history = run.record.history or {}
    best, n = int(np.argmin(history["val_loss"])) + 1, len(history["loss"])
    charts = [
        _epoch_chart(name, history, value, best=best)
        for value in ("loss", "accuracy")
        if value in history and f"val_{value}" in history
    ]
    told = tag("span", f" best epoch {best} of {n}", class_="quiet")
    return figure([name, told], charts, class_="pair")


def _epoch_chart(run: str, history: dict[str, list[float]], name: str, *, best: int) -> Markup:
    train, held = history[name], history[f"val_{name}"]
    n = len(train)
    return line_chart(
        [
            Line(part, np.arange(1, n + 1), values, style, marked=n <= _FEW)
            for style, (part, values) in enumerate((("training", train), ("validation", held)))
        ],
        x=_epoch_axis(n),
        y=nice_axis(name, [*train, *held]),
        title=f"{name} by epoch of {run}",
        description=f"validation {name} ends at {held[-1]:.3f}; best epoch {best} of {n}",
        mark_x=best,
    )


_FEW = 25
"""Points of a line that are marked; more would hide it."""


def _epoch_axis(n: int) -> Axis:
    last = max(n, 2)
    return Axis("epoch", 1, last, np.arange(1, last + 1, -(-(last - 1) // 5)))


def _sizes(run: Run, name: str) -> Markup:
    sizes = run.record.sizes or []
    rows = [one.rows for one in sizes]
    train = [one.train_accuracy for one in sizes]
    held = [one.validation_accuracy for one in sizes]
    high = rows[-1] if len(set(rows)) > 1 else rows[0] + 1
    axis = Axis("training images", rows[0], high, rows, logarithmic=True, format="{:,.0f}")
    chart = line_chart(
        [
            Line("training", rows, train, 0, marked=True),
            Line("validation", rows, held, 1, marked=True),
        ],
        x=replace(axis, ticks=apart(rows, axis)),
        y=nice_axis("accuracy", [*train, *held]),
        title=f"accuracy by training images of {name}",
        description="; ".join(
            f"{n:,} images: validation {value:.3f}" for n, value in zip(rows, held, strict=True)
        ),
    )
    return figure(name, chart)
