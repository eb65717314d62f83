"""Runs and comparisons as people read them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer_features.errors import FerError
from fer_features.runtime.console import emit_json, say, table, width

if TYPE_CHECKING:
    from fer_features.runs.compare import Comparison
    from fer_features.runs.repeats import LeakEffect, OverSeeds, TestPart
    from fer_features.runs.verdicts import Verdict

FORMATS = ("table", "markdown", "csv", "json")


_NARROW = {
    "head": "head",
    "features": "features",
    "validation accuracy": "val acc",
    "test accuracy": "test acc [95 %]",
    "fit seconds": "fit s",
}
_WIDE = {
    "head": "head",
    "features": "features",
    "validation accuracy": "val acc",
    "test accuracy": "test acc [95 %]",
    "test balanced_accuracy": "balanced",
    "test precision": "prec",
    "test recall": "rec",
    "test f1": "F1",
    "test roc_auc": "AUC",
    "test average_precision": "AP",
    "test log_loss": "log loss",
    "test brier": "Brier",
    "test ece": "ECE",
    "fit seconds": "fit s",
    "predict seconds": "pred s",
}
_WIDE_ENOUGH = 150


def check_format(format_: str) -> None:
    """Make sure that a format is known.

    Raises:
        FerError: it is not.
    """
    if format_ not in FORMATS:
        raise FerError(f"no such format: {format_}", hint=f"known are {', '.join(FORMATS)}")


def show_comparisons(
    tables: Sequence[Comparison],
    verdicts: Sequence[Verdict | None],
    *,
    seeds: Sequence[OverSeeds] = (),
    leaks: Sequence[LeakEffect] = (),
    format_: str = "table",
) -> None:
    """Comparisons as a table, Markdown, CSV or JSON on stdout."""
    from fer_features.cli.fit import show_over_seeds
    from fer_features.runs import formats as compare_formats

    if format_ == "json":
        emit_json(compare_formats.to_json(tables, verdicts, seeds, leaks))
    elif format_ == "csv":
        print(compare_formats.to_csv(tables), end="")
    elif format_ == "markdown":
        print(compare_formats.to_markdown(tables, verdicts), end="")
    else:
        for one, verdict in zip(tables, verdicts, strict=True):
            _show_comparison(one, verdict)
        show_over_seeds(seeds)
        _show_leaks(leaks)
        if width() < _WIDE_ENOUGH:
            say("More columns in a wider terminal, or with --format markdown, csv or json.")


def _show_comparison(comparison: Comparison, verdict: Verdict | None) -> None:
    from fer_features.runs.formats import cells

    shown = _WIDE if width() >= _WIDE_ENOUGH else _NARROW
    rows = comparison.rows()
    if comparison.same_head_twice:  # only its run tells one from the other; the published has none
        rows = [{**row, "head": row["run"] or row["head"]} for row in rows]
    table(
        list(shown.values()),
        [cells(row, shown) for row in rows],
        title=comparison.title,
        text_columns=["head", "features"],
        last_apart=comparison.published,
    )
    marked = [("=", verdict.text())] if verdict is not None else []
    marked += [
        ("·", f"{name}: learnt from {text}") for name, text in comparison.learnt_from.items()
    ]
    marked += [("!", text) for text in comparison.notes]
    for mark, line in marked:
        text = f"{mark} {line}"
        say(textwrap.fill(text, width() - 2, initial_indent="  ", subsequent_indent="    "))
    say()


def _show_leaks(leaks: Sequence[LeakEffect]) -> None:
    if not leaks:
        return
    rows = []
    for one in leaks:
        record = one.run.record
        rows.append(
            [
                record["head"]["name"],
                one.features,
                f"{record['split']['name']} {record['seed']}",
                f"{record['test']['accuracy']:.4f}",
                f"{100 * one.effect:+.2f}" if one.effect is not None else "–",
                *(_accuracy_of(part) for part in (one.with_copy, one.without_copy)),
            ]
        )
    table(
        ["head", "features", "split, seed", "test acc", "points", "with a copy", "without"],
        rows,
        title="Splits that leak: accuracy on test images with a copy in training or validation",
        text_columns=["head", "features", "split, seed"],
    )
    text = (
        "points is what the images with a copy add to the whole: test acc less the accuracy "
        "without them. In brackets 95 % intervals; all of one run, on its own test images."
    )
    say(textwrap.fill(text, width() - 2, initial_indent="  ", subsequent_indent="  "))
    say()


def _accuracy_of(part: TestPart | None) -> str:
    from fer_features.runs.formats import with_interval

    return "–" if part is None else f"{with_interval(part.accuracy, part.interval)} of {part.n:,}"
